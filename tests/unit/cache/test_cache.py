"""Views by key: made when first asked for, kept while somebody watches."""

from tests.unit.cache.test_view import Watcher, cluster
from xds.cache import Cache, Ref
from xds.type_urls import CLUSTER


def test_a_key_has_one_view_and_others_have_others() -> None:
    cache = Cache()
    cache.apply("edge", [cluster("a")])
    assert cache.view("edge") is cache.view("edge")
    assert list(cache.view("edge").resources(CLUSTER)) == ["a"]
    assert not cache.view(("sidecar", 1)).resources(CLUSTER)
    assert set(cache.views) == {"edge", ("sidecar", 1)}
    cache.apply("edge", drop=[Ref(CLUSTER, "a")])
    assert not cache.view("edge").resources(CLUSTER)


def test_a_watched_view_is_not_forgotten() -> None:
    cache = Cache()
    view = cache.view("edge")
    watcher = Watcher(view)
    cache.forget("edge")
    assert cache.view("edge") is view
    view.unwatch(watcher)
    cache.forget("edge")
    cache.forget("never there")
    assert not cache.views
