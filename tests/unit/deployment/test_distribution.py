"""What is built from a commit: the same bytes each time, with the operators' files in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from xds.package_data import package_data

_ROOT = Path(__file__).parents[3]


def _build(directory: Path) -> Path:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=_ROOT, env=environment, check=True, capture_output=True)
    [wheel] = directory.glob("*.whl")
    return wheel


def test_the_same_sources_make_the_same_wheel(tmp_path: Path) -> None:
    one, other = _build(tmp_path / "one"), _build(tmp_path / "other")
    assert one.read_bytes() == other.read_bytes()
    names = zipfile.ZipFile(one).namelist()
    assert package_data("config/grayplane.yaml").read_bytes() == zipfile.ZipFile(one).read(
        "xds/share/config/grayplane.yaml"
    )
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]
