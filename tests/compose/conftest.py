"""One run of the compose demo for all tests of it: starting it takes a minute."""

import sys
from collections.abc import Iterator

import docker
import pytest

from tests.compose.base_images import provide
from tests.compose.project import Project


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    client = docker.from_env()
    for image, is_stand_in in provide(client).items():
        sys.stderr.write(f"{image}: {'a stand-in' if is_stand_in else 'the official image'}\n")
    with Project(client) as running:
        try:
            yield running
        finally:
            sys.stderr.write(running.logs())
    client.close()
