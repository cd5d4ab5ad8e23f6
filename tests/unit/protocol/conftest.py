"""What tests of both variants begin with."""

import pytest

from tests.unit.protocol.clients import cluster, endpoints, listener, route
from xds.cache import View


@pytest.fixture
def view() -> View:
    view = View()
    view.apply([cluster("a"), cluster("b"), endpoints("a"), endpoints("b"), listener("l"), route("r", "a")])
    return view
