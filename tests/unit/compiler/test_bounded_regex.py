"""A confined pattern matches the text around a part exactly if the pattern matches the part."""

import pytest
import re2
from hypothesis import assume, given
from hypothesis import strategies as st

from xds.compiler.bounded_regex import confined
from xds.compiler.regex import NOTHING

TEXT = 'ab/.?;&= -_A7"'

atoms = st.sampled_from(
    [
        *(".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\C", "a", "b", "/", "=", r"\.", r"\?", ";", "&"),
        *("$", r"\z"),
        *(r"\x3f", r"\077", r"\x{3B}", r"\Qa?b;\E", r"\Q.\E", "(?i)A", r"\b", r"\B"),
        *(
            "[a?]",
            "[?;&]",
            "[^a]",
            "[^]a]",
            "[]?a]",
            "[ -~]",
            "[!-a]",
            "[?-]",
            "[-?]",
            "[a-]",
            r"[\x3b-\x7f]",
        ),
        *("[[:punct:]]", "[[:^alpha:]]", "[[:^punct:]x]", r"[\W_]", r"[\Da]", r"[^\d]", r"[\]?]"),
    ]
)
repeats = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "*?"])
patterns = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})")
        | st.tuples(inner, inner).map(lambda pair: f"{pair[0]}|{pair[1]}")
        | st.tuples(inner, repeats).map(lambda pair: f"({pair[0]}){pair[1]}")
    ),
    max_leaves=6,
)
anchored = st.tuples(
    st.sampled_from(["", "^", r"\A", "(?i)^"]), patterns, st.sampled_from(["", "$", r"\z", "$$"])
).map(lambda parts: f"{parts[0]}(?:{parts[1]}){parts[2]}")


def matcher(pattern: str) -> "re2._Regexp[bytes]":
    """Compile as Envoy does."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return re2.compile(pattern.encode(), options)


@given(
    pattern=patterns | anchored,
    stop=st.sampled_from("?;&"),
    quote=st.sampled_from(["", '"']),
    part=st.text(TEXT, max_size=5),
    rest=st.text(TEXT, max_size=4) | st.none(),
    before=st.sampled_from(["", "x=", 'x="']),
)
def test_it_matches_what_the_pattern_matches(
    pattern: str, stop: str, part: str, rest: str | None, before: str, quote: str
) -> None:
    assume(stop not in part)
    after = rf"{quote}(?:\{stop}\C*)?"
    text = before + part + quote + ("" if rest is None else stop + rest)
    around = matcher(before + confined(pattern, stop) + after)
    assert bool(around.fullmatch(text.encode())) == bool(matcher(pattern).fullmatch(part.encode()))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (r".*\.png", "/a?x=b.png", False),
        (r".*\.png", "/a.png?x=b", True),
        ("^/api/.*$", "/api/v1?x", True),
        ("/api|/apis$", "/apis?x", True),
        (r"/a\?b", "/a?b", False),
        ("[^/]*", "?", True),
    ],
)
def test_a_path_ends_at_its_query(pattern: str, path: str, expected: bool) -> None:
    rest = r"(?:\?\C*)?"
    assert bool(matcher(confined(pattern, "?") + rest).fullmatch(path.encode())) is expected


@given(st.binary(max_size=3))
def test_nothing_matches_nothing(text: bytes) -> None:
    assert not matcher(NOTHING).fullmatch(text)


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("^a$", "a", True),
        ("^a$", "ab", False),
        ("(a$|b$)", "b", True),
        ("(?:(a$)|b)", "a", True),
        ("a$|(b)c", "a", True),
        ("(a$)*", "a", True),
        ("(?:a|b$){2}", "ab", True),
        ("(?:a|b$){2}", "b", False),
        ("(?:a$){2}", "a", False),
        ("(?:a$|c*){3}", "a", True),
        ("a$b*", "a", True),
        ("a$b+", "a", False),
        ("(?:(?i)x|y)a$(?:b|)", "ya", True),
    ],
)
def test_the_end_of_a_pattern_is_the_end_of_a_quoted_part(pattern: str, value: str, matches: bool) -> None:
    rest = '"(?:;.*)?'
    for text in (f'"{value}"', f'"{value}"; c=d'):
        found = re2.fullmatch(f'"{confined(pattern, ";")}{rest}', text) is not None
        assert found == matches
