"""What of nacos-sdk-python is imported, and what of it others find."""

import subprocess
import sys


def python(*lines: str) -> str:
    """Run lines in a process that has imported nothing yet; return what they print."""
    return subprocess.check_output([sys.executable, "-c", "\n".join(lines)], text=True).strip()


def test_the_clients_of_the_sdk_are_not_imported() -> None:
    roots = python(
        "import sys, xds.sources.nacos",
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))",
    ).split()
    assert "v2" in roots
    assert not [root for root in roots if root.startswith(("alibabacloud", "Tea", "Crypto", "requests"))]


def test_who_uses_them_in_the_same_process_finds_them() -> None:
    assert python(
        "import xds.sources.nacos",
        "from v2.nacos import NacosConfigService, NacosException",
        "from xds.sources.nacos.sdk import NacosException as ours",
        "print(NacosConfigService.__name__, NacosException is ours)",
    ) == ("NacosConfigService True")


def test_when_they_are_there_first_the_sdk_is_used_as_it_is() -> None:
    assert python(
        "import sys, v2.nacos",
        "package = v2.nacos",
        "import xds.sources.nacos",
        "print(sys.modules['v2.nacos'] is package)",
    ) == ("True")
