import pytest

from xds.views.mesh_names import MeshNames

Given = dict[str, tuple[tuple[str, ...], bool]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": ((), False)}, {"a": ("a",)}),
        ({"a": (("b", "c"), True)}, {"a": ("a", "b", "c")}),
        ({"a/b": (("b",), True)}, {"a/b": ("b",)}),
        ({"a/b": ((), True)}, {"a/b": ()}),
        ({"a": (("A", "b", "B"), True)}, {"a": ("a", "b")}),
        ({"a": ((), False), "A": ((), False)}, {"A": ("A",), "a": ()}),
        ({"a": ((), True), "A": ((), False)}, {"A": (), "a": ("a",)}),
        ({"a": ((), False), "b": (("a",), True)}, {"a": (), "b": ("b", "a")}),
        ({"a": ((), True), "b": (("a",), True)}, {"a": ("a",), "b": ("b",)}),
        ({"a": ((), False), "b": (("a",), False)}, {"a": ("a",), "b": ("b",)}),
        ({"a:1": (("x",), False), "a:2": (("x",), False)}, {"a:1": ("a:1", "x"), "a:2": ("a:2",)}),
    ],
)
def test_each_name_is_one_services(given: Given, expected: dict[str, tuple[str, ...]]) -> None:
    for order in (list(given), list(reversed(given))):
        names = MeshNames()
        for service in order:
            aliases, has_rule = given[service]
            names.set(service, (service, *aliases), has_rule=has_rule)
        assert {service: names.of(service) for service in given} == expected


def test_a_name_goes_to_the_next_when_its_service_is_gone() -> None:
    names = MeshNames()
    names.set("a", ("a",), has_rule=False)
    names.set("b", ("b", "a"), has_rule=True)
    assert names.rivals("b") == {"a", "b"}
    names.remove("b")
    assert names.of("a") == ("a",)
    assert names.rivals("b") == set()
