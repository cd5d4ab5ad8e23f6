import re

import re2
from hypothesis import given
from hypothesis import strategies as st

from xds.compiler.header_parts import cookie, query, quoted_cookie
from xds.compiler.regex import alternations, integer_range, literal
from xds.routing.predicates import Exact, Prefix, Present, Regex

int64 = st.integers(-(2**63), 2**63 - 1)
integers = st.integers(-30, 30) | st.integers(-(10**6), 10**6) | int64
texts = st.text('aAbZ09;&=. "|*[]()\\^$?+{}-_~é', min_size=1, max_size=6)


def fullmatch(pattern: str, text: str) -> bool:
    """Match as Envoy does, by bytes."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern.encode(), options).fullmatch(text.encode()) is not None


def any_matches(patterns: object, text: str) -> bool:
    return any(fullmatch(pattern, text) for pattern in patterns)  # type: ignore[attr-defined]


ranges = st.tuples(integers, integers).filter(lambda pair: pair[0] != pair[1]).map(sorted)


@given(ranges, st.data())
def test_a_range_holds_exactly_its_integers(bounds: list[int], data: st.DataObject) -> None:
    start, end = bounds
    value = data.draw(st.sampled_from([start - 1, start, start + 1, end - 1, end, 0]) | integers)
    sign, zeros = data.draw(st.sampled_from(["", "+"])), "0" * data.draw(st.integers(0, 2))
    text = f"-{zeros}{-value}" if value < 0 else f"{sign}{zeros}{value}"
    assert fullmatch(integer_range(start, end), text) == (start <= value < end)


@given(texts)
def test_no_range_holds_what_is_no_integer(text: str) -> None:
    pattern = integer_range(-(2**63), 2**63 - 1)
    assert fullmatch(pattern, text) == (re.fullmatch("[+-]?[0-9]+", text) is not None)


@given(texts, texts)
def test_a_literal_is_itself_alone(text: str, other: str) -> None:
    assert fullmatch(literal(text), text)
    assert fullmatch(literal(text), other) == (text == other)


@given(st.text("aAbB.é", min_size=1, max_size=3), st.text("aAbB.éÉ", min_size=1, max_size=3))
def test_ignoring_case_folds_ascii(text: str, other: str) -> None:
    folded = fullmatch(literal(text, ignore_case=True), other)
    assert folded == (text.encode().lower() == other.encode().lower())


@given(st.lists(texts, min_size=1, max_size=20), texts)
def test_one_of_several_values(values: list[str], text: str) -> None:
    assert any_matches(alternations(values, ignore_case=False), text) == (text in values)


def test_long_lists_are_split_so_that_envoy_compiles_them() -> None:
    values = [f"user-{number:030}" for number in range(10_000)]
    patterns = list(alternations(values, ignore_case=True))
    assert len(patterns) > 1
    assert max(map(len, patterns)) <= 16 * 1024
    assert [any_matches(patterns, value) for value in (values[0], values[-1], "user-")] == [True, True, False]


names = st.text("ab%.", min_size=1, max_size=3)
pairs = st.lists(st.tuples(st.sampled_from(["", " ", "  "]), names, st.text('ab=" ', max_size=3) | st.none()))


@given(names, pairs, texts)
def test_the_first_cookie_of_a_name_counts(
    name: str, pairs: list[tuple[str, str, str | None]], text: str
) -> None:
    header = ";".join(
        f"{spaces}{key}" + ("" if value is None else f"={value}") for spaces, key, value in pairs
    )
    value = next((value for _, key, value in pairs if key == name and value is not None), None)
    quoted = value is not None and len(value) > 1 and value[0] == value[-1] == '"'
    present, wanted = Present(), Exact(value or text)
    assert any_matches(cookie(name).patterns(present), header) == (value is not None)
    assert any_matches(cookie(name).patterns(wanted), header) == (value == (value or text))
    assert any_matches(quoted_cookie(name).patterns(present), header) == quoted


@given(names, st.lists(st.tuples(names, st.text("ab=?", max_size=3) | st.none())))
def test_the_first_parameter_of_a_name_counts(name: str, pairs: list[tuple[str, str | None]]) -> None:
    path = "/a?" + "&".join(key if value is None else f"{key}={value}" for key, value in pairs)
    value = next((value or "" for key, value in pairs if key == name), None)
    assert any_matches(query(name).patterns(Present()), path) == (value is not None)
    assert any_matches(query(name).patterns(Prefix("a")), path) == (value or "").startswith("a")
    assert any_matches(query(name).patterns(Regex("a*")), path) == (value is not None and set(value) <= {"a"})
