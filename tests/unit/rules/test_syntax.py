"""What is no YAML, or no rule document, before any field is looked at."""

import itertools
import json

import pytest

from tests.unit.rules.marked import DOCUMENT, Expected, assert_problems, told
from xds.documents import text, tree
from xds.rules.parse import parse


def _only(content: bytes, document: str = DOCUMENT) -> tuple[int, int, str, str]:
    parsed = parse(document, content)
    assert parsed.rule is None
    assert len(parsed.problems) == 1, told(parsed.problems)
    problem = parsed.problems[0]
    assert problem.path == ""
    return problem.line, problem.column, problem.message, problem.hint


@pytest.mark.parametrize(
    ("content", "line", "column", "message", "hint"),
    [
        pytest.param(b"", 1, 1, "empty", "delete it", id="empty"),
        pytest.param(b"# nothing\n\n", 1, 1, "empty", "delete it", id="comments-only"),
        pytest.param(b"---\n", 2, 1, "no value", "", id="empty-explicit"),
        pytest.param(b"- a\n- b\n", 1, 1, "this is a list", "service:", id="list"),
        pytest.param(b"\n  reviews\n", 2, 3, "this is text", "service:", id="scalar"),
        pytest.param(
            b"# one\nservice: a\n---\nservice: b\n", 3, 1, "second YAML document", "one document", id="two"
        ),
        pytest.param(
            b"service: a\n...\nservice: b\n", 3, 1, "end of the document", "one document", id="after-end"
        ),
        pytest.param(b"%YAML 1.1\n---\nservice: a\n", 1, 1, "directives", "remove", id="directive"),
        pytest.param(b"service: a\nhosts:\n\t- b\n", 3, 1, "tab", "spaces", id="tab"),
        pytest.param(b"a: b\n\tc: d\n", 2, 1, "tab", "spaces", id="tab-in-value"),
        pytest.param(b"service: a: b\n", 1, 11, "':' cannot stand here", "quotes", id="colon"),
        pytest.param(b"a:\n  b: 1\n c: 2\n", 3, 2, "key of this mapping", "indentation", id="indentation"),
        pytest.param(b"http: [a\nb: c\n", 2, 2, "begun at line 1, column 7", "bracket", id="open-list"),
        pytest.param(b"{a: 1, b: [2}", 1, 13, "list in [ ]", "bracket", id="wrong-bracket"),
        pytest.param(b'{"a": 1', 1, 8, "mapping in { }", "bracket", id="open-mapping"),
        pytest.param(
            b"a: 'b\nc: d\n", 3, 1, "never closed (begun at line 1, column 4)", "quote", id="open-quote"
        ),
        pytest.param(b"hosts: [@a]\n", 1, 9, "begin with @", "quotes", id="at"),
        pytest.param(b"hosts: [`a`]\n", 1, 9, "begin with `", "quotes", id="backtick"),
        pytest.param(b'a: "\\d"\n', 1, 5, "escape", "backslash", id="escape"),
        pytest.param(b'a: "\\ud83d\\ude00"\n', 1, 7, "escape", "character itself", id="surrogates"),
        pytest.param(b"a:\n- b\n  c: d\n", 3, 4, "':' cannot stand here", "indentation", id="list-item"),
    ],
)
def test_syntax(content: bytes, line: int, column: int, message: str, hint: str) -> None:
    found = _only(content)
    assert found[:2] == (line, column), found
    assert message in found[2]
    assert hint in found[3]


@pytest.mark.parametrize(
    ("content", "line", "column", "message", "hint"),
    [
        pytest.param("service: é".encode("latin-1"), 1, 10, "0xe9", "UTF-8", id="latin-1"),
        pytest.param("# 内测\nservice: 评\n".encode("gbk"), 1, 3, "0xc4", "GBK", id="gbk"),
        pytest.param("a: 1\r\nb: é".encode() + b"\xff", 2, 5, "0xff", "UTF-8", id="after-wide-character"),
        pytest.param(b"a: \xed\xa0\x80", 1, 4, "0xed", "UTF-8", id="encoded-surrogate"),
        pytest.param("service: a".encode("utf-16"), 1, 1, "UTF-16", "UTF-8", id="utf-16"),
        pytest.param("service: a".encode("utf-32"), 1, 1, "UTF-32", "UTF-8", id="utf-32"),
        pytest.param("service: a".encode("utf-16-le"), 1, 2, "U+0000", "remove", id="utf-16-without-mark"),
        pytest.param(b"service: a\n# b\x00\n", 2, 4, "U+0000", "remove", id="nul"),
        pytest.param(b"service: a\x1b[31m\n", 1, 11, "U+001B", "remove", id="escape"),
        pytest.param("service: a\u2028b\n".encode(), 1, 11, "U+2028", "remove", id="line-separator"),
        pytest.param("service: \ufeffa\n".encode(), 1, 10, "U+FEFF", "remove", id="inner-mark"),
    ],
)
def test_encoding(content: bytes, line: int, column: int, message: str, hint: str) -> None:
    found = _only(content)
    assert found[:2] == (line, column), found
    assert message in found[2]
    assert hint in found[3]


def test_byte_order_mark_of_utf_8_is_no_part_of_the_text() -> None:
    parsed = parse(DOCUMENT, b"\xef\xbb\xbfservice: a\nenabled: 1\n")
    assert [(problem.line, problem.column) for problem in parsed.problems] == [(2, 10)]
    assert parse(DOCUMENT, b"\xef\xbb\xbfservice: a\n").rule


def test_size() -> None:
    fits = b"service: a\n#"
    fits += b"x" * (text.MAX_BYTES - len(fits))
    assert parse(DOCUMENT, fits).rule
    assert _only(fits + b"x") == (
        1,
        1,
        "the document has 1,048,577 bytes",
        "at most 1,048,576 (1 MiB) are read",
    )


@pytest.mark.parametrize("opening", ["[", "{? ", "- ", "? ", '{"a": ', "[[] , {a: "])
def test_nesting_is_bounded(opening: str) -> None:
    line, column, message, _ = _only(opening.encode() * (text.MAX_BYTES // len(opening)))
    assert (line, message) == (1, f"nested more than {tree.MAX_DEPTH} levels deep")
    assert column <= len(opening) * (tree.MAX_DEPTH + 1)


def test_deepest_nesting() -> None:
    inside = tree.MAX_DEPTH - 1
    assert_problems(f"§deep: {'[' * inside}{']' * inside}", Expected("deep", "unknown field"))


def test_number_of_values_is_bounded() -> None:
    count = tree.MAX_VALUES - 3  # the mapping, the key and the list are values as well
    fits = parse(DOCUMENT, b"other: [" + b"1," * count + b"]")
    assert [problem.path for problem in fits.problems] == ["other"]
    line, column, message, hint = _only(b"other: [" + b"1," * (count + 1) + b"]")
    assert (line, column) == (1, len("other: [") + 2 * count + 1)
    assert message == "more than 50,000 keys and values"
    assert "lists" in hint


def test_aliases_cost_nothing() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = itertools.pairwise(letters)
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairs)
    parsed = parse(DOCUMENT, bomb.encode())
    assert len(parsed.problems) == 26
    assert {problem.message for problem in parsed.problems} == {"unknown field"}


def test_anchors_aliases_and_tags_are_refused() -> None:
    assert_problems(
        "service: §&name a\nhosts: [§*name, §&more [{x: 1, x: 2}], a.b, §*more]\nenabled: §!!bool true",
        Expected("service", "anchors and aliases (&, *) are not supported: name", "write the value out"),
        Expected("hosts[0]", "aliases"),
        Expected("hosts[1]", "aliases"),
        Expected("hosts[3]", "aliases"),
        Expected("enabled", "tags (!) are not supported: tag:yaml.org,2002:bool", "quotes"),
    )


def test_keys() -> None:
    assert_problems(
        "§§1: a\n§§true: a\n§~: a\n? §[a]\n: b\n§<<: {a: b}\n§*a : b\n"
        "service: a\n§service: b\n§service: c\n§on: x",
        Expected("1", "the key 1 is not text", 'in quotes: "1"'),
        Expected("1", "unknown field"),
        Expected("true", "the key true is not text", 'in quotes: "true"'),
        Expected("true", "unknown field"),
        Expected("", "a key is missing"),
        Expected("", "cannot be a key"),
        Expected("", "merge keys", "write the fields out"),
        Expected("", "anchors"),
        Expected("service", "given twice, first at line 8, column 1", "keep one"),
        Expected("service", "given twice, first at line 8, column 1", "keep one"),
        Expected("on", "unknown field"),
    )


def test_json() -> None:
    rule = {"service": "a", "hosts": ["b.c"], "subsets": {"s": {"labels": {"v": "1"}}}, "baseline": "s"}
    for indent in (None, 2, "\t"):
        parsed = parse("a.json", json.dumps(rule, indent=indent).encode())
        assert parsed.rule, told(parsed.problems)
        assert parsed.rule.hosts == ("b.c",)
    assert_problems(
        '{\n\t"hosts": ["a.b",§7],\n\t§"foo": null}',
        Expected("hosts[1]", "expected text, found the number 7"),
        Expected("foo", "unknown field"),
        document="a.json",
    )


def test_problems_are_capped_and_counted() -> None:
    parsed = parse(DOCUMENT, b"".join(b"k%d: 1\n" % i for i in range(1000)))
    assert len(parsed.problems) == 51
    assert parsed.problems[-1].message == "and 950 more problems"
    assert list(parsed.problems) == sorted(parsed.problems)


def test_what_is_said_is_safe_to_print() -> None:
    parsed = parse(DOCUMENT, b'"\\e[31m\\nred": 1\n"%s": 2\nservice: "\\x9b"' % (b"k" * 900))
    said = told(parsed.problems)
    assert said.replace("\n", "").isprintable()
    assert said.count("\n") == 2
    assert max(map(len, said.split("\n"))) < 300


def test_regexes_are_bounded() -> None:
    head = "subsets: {s: {labels: {v: a}}}\nbaseline: s\nhttp:\n- name: a\n  route: [{subset: s}]\n  match:\n"
    matches = [f"  - headers: {{a: {{regex: a{i}}}}}\n" for i in range(501)]
    assert parse(DOCUMENT, (head + "".join(matches[:500])).encode()).rule
    found = _only((head + "".join(matches)).encode())
    assert found == (507, 19, "more than 500 regular expressions", "use in, exact or prefix")
