"""Fixtures of the tests of logins."""

from collections.abc import Iterator

import pytest

from tests.harness.oidc_world import World, running


@pytest.fixture
def world() -> Iterator[World]:
    """A world of the test's own."""
    with running() as it:
        yield it


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """A world for tests that leave it as it is."""
    with running() as it:
        yield it
