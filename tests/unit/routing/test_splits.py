import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.routing.splits import TOTAL, shares

weights = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.integers(0, 2**32 - 1), min_size=1
).filter(lambda weights: any(weights.values()))


@pytest.mark.parametrize(
    ("given_weights", "expected"),
    [
        ({"stable": 95, "gray": 5}, {"gray": 50_000, "stable": 950_000}),
        ({"stable": 9995, "gray": 5}, {"gray": 500, "stable": 999_500}),
        ({"stable": 1, "gray": 0}, {"stable": 1_000_000}),
        ({"a": 1, "b": 1, "c": 1}, {"a": 333_334, "b": 333_333, "c": 333_333}),
        ({"stable": 4_000_000_000, "gray": 1}, {"gray": 1, "stable": 999_999}),
    ],
)
def test_shares_are_what_the_weights_say(given_weights: dict[str, int], expected: dict[str, int]) -> None:
    assert shares(given_weights) == expected


@given(weights)
def test_shares_add_up_and_drop_only_zeros(weights: dict[str, int]) -> None:
    scaled = shares(weights)
    assert sum(scaled.values()) == TOTAL
    assert scaled.keys() == {name for name, weight in weights.items() if weight}
    assert all(share > 0 for share in scaled.values())


@given(weights)
def test_shares_are_exact_to_one(weights: dict[str, int]) -> None:
    total = sum(weights.values())
    scaled = shares(weights)
    raised = sum(weight * TOTAL < total for weight in weights.values() if weight)
    for name, share in scaled.items():
        assert abs(share - weights[name] * TOTAL / total) <= 1 + raised


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000))
def test_raising_a_weight_moves_its_boundary_one_way(weight: int, more: int, stable: int) -> None:
    before = shares({"gray": weight, "stable": stable}).get("gray", 0)
    after = shares({"gray": weight + more, "stable": stable}).get("gray", 0)
    assert after >= before


@given(weights, st.randoms())
def test_the_order_of_weights_does_not_count(weights: dict[str, int], random: object) -> None:
    names = list(weights)
    random.shuffle(names)  # type: ignore[attr-defined]
    shuffled = shares({name: weights[name] for name in names})
    assert list(shuffled.items()) == list(shares(weights).items())
