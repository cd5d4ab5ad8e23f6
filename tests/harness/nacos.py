"""A Nacos server for tests, found or started; `python -m tests.harness.nacos --install` prepares one.

The first of these that is there:

1. the server that GRAYPLANE_TEST_NACOS names (host:port; GRAYPLANE_TEST_NACOS_USERNAME and _PASSWORD if
   it wants a login),
2. the official image in a Docker engine that can be reached,
3. r-nacos, a Nacos server written in Rust, built by cargo once into the user's cache.

There is no fourth: without a server the tests that need one fail and say so.
"""

import argparse
import base64
import contextlib
import fcntl
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import httpx

from tests.harness.ports import free_port
from xds.sources.nacos import NacosSettings

IMAGE = "nacos/nacos-server:v3.2.3"
RNACOS_VERSION = "0.8.7"
START_SECONDS = 180.0
_STARTS = 5
_RNACOS_SECONDS = 20.0

# An unoptimised build serves tests well and takes a third of the time.
_BUILD = {
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "256",
    "CARGO_PROFILE_RELEASE_LTO": "off",
}


class NoNacosError(Exception):
    """No Nacos could be had."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The tests need a Nacos server, and {reason}. Any of these helps: "
            "set GRAYPLANE_TEST_NACOS=host:port to one that is there; "
            f"run a Docker engine (its image is {IMAGE}); "
            f"install Rust's cargo (r-nacos {RNACOS_VERSION} is then built once, in about 4 minutes)."
        )


@dataclass(frozen=True)
class NacosServer:
    """A running server."""

    address: str
    username: str | None = None
    password: str | None = None

    def settings(self, namespace: str, *, address: str | None = None, **others: Any) -> NacosSettings:
        """Settings for a namespace of this server, by way of another address if given."""
        return NacosSettings(
            server_addresses=address or self.address,
            namespace=namespace,
            username=self.username,
            password=self.password,
            **others,
        )

    def environment(self, namespace: str) -> dict[str, str]:
        """What makes a Grayplane process use a namespace of this server, beside ``--nacos``."""
        environment = {"GRAYPLANE_NACOS__NAMESPACE": namespace}
        if self.username and self.password:
            environment |= {
                "GRAYPLANE_NACOS__USERNAME": self.username,
                "GRAYPLANE_NACOS__PASSWORD": self.password,
            }
        return environment


@contextlib.contextmanager
def nacos_server() -> Iterator[NacosServer]:
    """A server for as long as the block runs."""
    if address := os.environ.get("GRAYPLANE_TEST_NACOS"):
        yield NacosServer(
            address,
            os.environ.get("GRAYPLANE_TEST_NACOS_USERNAME"),
            os.environ.get("GRAYPLANE_TEST_NACOS_PASSWORD"),
        )
        return
    with _container() if _has_image() else rnacos() as server:
        yield server


def _has_image() -> bool:
    """Whether there is a Docker engine with the official image, pulled if need be."""
    engine = _engine()
    if engine is None:
        return False
    with contextlib.closing(engine):
        try:
            engine.images.get(IMAGE)
        except docker.errors.ImageNotFound:
            _say(f"pulling {IMAGE}")
            try:
                engine.images.pull(IMAGE)
            except (docker.errors.DockerException, OSError) as error:
                _say(f"{IMAGE} cannot be pulled ({error}); using r-nacos instead")
                return False
    return True


def _engine() -> Any:
    """A client of the Docker engine; None where none can be reached."""
    with contextlib.suppress(docker.errors.DockerException):
        return docker.from_env(timeout=600)
    with warnings.catch_warnings():
        # The client that could not connect leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return None


@contextlib.contextmanager
def _container() -> Iterator[NacosServer]:
    port = port_pair()
    engine = docker.from_env(timeout=60)
    container = engine.containers.run(
        IMAGE,
        detach=True,
        auto_remove=True,
        labels={"grayplane": "test"},
        ports={"8848/tcp": ("127.0.0.1", port), "9848/tcp": ("127.0.0.1", port + 1000)},
        environment={
            "MODE": "standalone",
            "JVM_XMS": "256m",
            "JVM_XMX": "512m",
            "NACOS_AUTH_ENABLE": "false",
            "NACOS_AUTH_ADMIN_ENABLE": "false",
            "NACOS_AUTH_CONSOLE_ENABLE": "false",
            # Mandatory even so.
            "NACOS_AUTH_TOKEN": base64.b64encode(os.urandom(48)).decode(),
            "NACOS_AUTH_IDENTITY_KEY": "grayplane-test",
            "NACOS_AUTH_IDENTITY_VALUE": base64.b64encode(os.urandom(12)).decode(),
        },
    )
    try:
        address = f"127.0.0.1:{port}"
        url = f"http://{address}/nacos/v3/admin/core/state/readiness"
        _wait("GET", url, {}, lambda: None, is_ready=_says_that_it_is_ready)
        yield NacosServer(address)
    finally:
        container.kill()
        engine.close()


@contextlib.contextmanager
def rnacos(**environment: str) -> Iterator[NacosServer]:
    """An r-nacos of our own, with these settings of its own."""
    program = install_rnacos()
    with tempfile.TemporaryDirectory(prefix="grayplane-r-nacos-") as directory:
        for attempt in range(1, _STARTS + 1):
            home = Path(directory, str(attempt))
            home.mkdir()
            process, address = _spawn(program, home, environment)
            try:
                try:
                    _until_ready(process, home, address)
                except _StillbornError as error:
                    if attempt == _STARTS:
                        raise NoNacosError(f"r-nacos does not start: {error}") from error
                    continue
                yield NacosServer(address)
                return
            finally:
                process.kill()
                process.wait()


class _StillbornError(Exception):
    """A start of r-nacos that came to nothing."""


class RNacos:
    """An r-nacos that a test stops, kills and starts again, on one port and with its data in a directory."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._program = install_rnacos()
        self._process: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self.port = port_pair()
        self.server = NacosServer(f"127.0.0.1:{self.port}")

    def start(self) -> None:
        """Start it, and wait until it takes writes."""
        self._home.mkdir(exist_ok=True)
        for _ in range(_STARTS):
            self._process, address = _spawn(self._program, self._home, {}, self.port)
            try:
                _until_ready(self._process, self._home, address)
            except _StillbornError:
                self.stop(signal.SIGKILL)
                if not self._was_ready:  # what a first start left half done keeps the next from starting
                    shutil.rmtree(self._home)
                    self._home.mkdir()
            else:
                self._was_ready = True
                return
        raise NoNacosError("r-nacos does not start")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process
        self._process.send_signal(number)

    def stop(self, number: signal.Signals) -> None:
        """End it by a signal, and wait for that."""
        if self._process:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Lose its data."""
        shutil.rmtree(self._home)


@contextlib.contextmanager
def rnacos_process(home: Path) -> Iterator[RNacos]:
    """A running r-nacos that a test may stop."""
    nacos = RNacos(home)
    try:
        nacos.start()
        yield nacos
    finally:
        nacos.stop(signal.SIGKILL)


def _until_ready(process: subprocess.Popen[bytes], home: Path, address: str) -> None:
    """Wait until it takes writes: it answers before it can."""
    name = f"ready-{uuid.uuid4().hex[:8]}"  # One that exists would be refused.
    ready = {"customNamespaceId": name, "namespaceName": name, "namespaceDesc": "test"}
    url = f"http://{address}/nacos/v1/console/namespaces"
    try:
        _wait("POST", url, ready, lambda: _check(process, home), _RNACOS_SECONDS)
    except NoNacosError as error:
        # On a busy machine a start sometimes comes to nothing and its log does not say so.
        raise _StillbornError(str(error)) from error


def _spawn(
    program: Path, home: Path, environment: dict[str, str], port: int | None = None
) -> tuple[subprocess.Popen[bytes], str]:
    port = port or port_pair()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [program],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                "PATH": os.environ.get("PATH", ""),
                "RNACOS_HTTP_PORT": str(port),
                "RNACOS_HTTP_CONSOLE_PORT": str(free_port()),
                "RNACOS_CONFIG_DB_DIR": str(home),
                "RNACOS_DATA_DIR": str(home),
                **environment,
            },
        )
    return process, f"127.0.0.1:{port}"


def _check(process: subprocess.Popen[bytes], home: Path) -> None:
    log = (home / "log").read_text(errors="replace")
    # On a busy machine one of its threads sometimes uses another's before that is ready, and ends; the
    # rest lives on and fails every write.
    if process.poll() is not None or "panicked at" in log:
        raise _StillbornError(log[-2000:])


def install_rnacos() -> Path:
    """The r-nacos program, built first if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grayplane"
    root = cache / f"r-nacos-{RNACOS_VERSION}"
    program = root / "bin" / "rnacos"
    if program.exists():
        return program
    cargo = shutil.which("cargo")
    if cargo is None:
        raise NoNacosError("there is neither GRAYPLANE_TEST_NACOS, nor a Docker engine, nor cargo")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "r-nacos.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Another test run may be building it.
        if not program.exists():
            _say(f"building r-nacos {RNACOS_VERSION} into {root}: once, some minutes")
            command = [
                cargo,
                "install",
                "rnacos",
                "--version",
                RNACOS_VERSION,
                "--locked",
                "--root",
                str(root),
            ]
            if subprocess.run(command, env=os.environ | _BUILD, check=False).returncode:
                raise NoNacosError("cargo could not build r-nacos (its output is above)")
    return program


def port_pair() -> int:
    """A free port whose companion for gRPC, 1000 above it, is free too."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1000))
            except OSError:
                continue
            return port


def _takes_requests(answer: httpx.Response) -> bool:
    return answer.status_code in {200, 403}  # One that wants a login is ready to refuse.


def _says_that_it_is_ready(answer: httpx.Response) -> bool:
    """Whether a Nacos 3 is ready; until then it answers with status 200, too, and another code."""
    return answer.status_code == 200 and answer.json()["code"] == 0


def _wait(
    method: str,
    url: str,
    form: dict[str, str],
    check: Callable[[], None],
    seconds: float = START_SECONDS,
    *,
    is_ready: Callable[[httpx.Response], bool] = _takes_requests,
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        with contextlib.suppress(httpx.TransportError):
            if is_ready(httpx.request(method, url, data=form, timeout=2, trust_env=False)):
                return
        time.sleep(0.05)
    raise NoNacosError(f"{url} was not ready within {seconds:g} s")


def _say(text: str) -> None:
    sys.stderr.write(f"nacos for tests: {text}\n")


def main() -> None:
    """Make sure that a server can be had, so that the tests need not wait for a build."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.nacos", description=__doc__)
    parser.add_argument(
        "--install", action="store_true", required=True, help="fetch or build what is missing"
    )
    parser.parse_args()
    try:
        if address := os.environ.get("GRAYPLANE_TEST_NACOS"):
            _say(f"{address}, by GRAYPLANE_TEST_NACOS")
        elif _has_image():
            _say(f"{IMAGE} in Docker")
        else:
            _say(str(install_rnacos()))
    except NoNacosError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
