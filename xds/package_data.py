"""Finds the files that come with Grayplane: example rules and bootstraps.

They are the operators' files ``config/`` and ``envoy/`` of the repository; a wheel carries them within the
package.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def package_data(path: str) -> Path:
    """Return where a file or directory is that is called ``path`` in the repository."""
    installed = _PACKAGE / "share" / path
    return installed if installed.exists() else _PACKAGE.parent / path
