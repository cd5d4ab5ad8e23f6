"""The tree of a document, beside what PyYAML's composer makes of the same text."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xds.documents import tree
from xds.documents.text import Mark, UnreadableError

_TOKENS = (
    *("a", "b", "name", "中", "'q'", '"d\\n"', "", "~", "null", "true", "False", "no", "<<", "#c"),
    *("0", "-1", "+2", "010", "1.5", ".5", "-", "1_0", "0x1F", ".inf", "1e3"),
    *(": ", "- ", "? ", ", ", ",", "[", "]", "{", "}", "\n", "\n  ", "\n    ", "|\n", ">\n"),
)
_TEXTS = st.lists(st.sampled_from(_TOKENS), max_size=25).map("".join)
# Texts that PyYAML writes plain, for YAML 1.1 knows no such numbers; YAML 1.2, JSON and Grayplane do.
_NEWER_NUMBER = re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+|0o[0-7]+")
_SCALARS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=8).filter(
        lambda text: not _NEWER_NUMBER.fullmatch(text)
    ),
    st.integers(-(10**18), 10**18),
    st.floats(-1e99, 1e99),
    st.booleans(),
)
_KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=4)
_DATA = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4)
)


def _shown(node: tree.Node) -> object:
    """What a tree has at which positions, but for the values of scalars."""
    match node:
        case tree.Scalar():
            return node.mark, node.text
        case tree.Sequence():
            return node.mark, [_shown(item) for item in node.items]
        case tree.Mapping():
            return node.mark, [(node.mark_of(key), key, _shown(item)) for key, item in node.items.items()]
        case tree.Refused():
            return node.mark, None


def _expected(node: yaml.Node) -> object:
    assert node.start_mark is not None
    mark = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
    match node:
        case yaml.ScalarNode():
            null = not node.style and node.value in {"", "~", "null", "Null", "NULL"}
            return mark, None if null else node.value
        case yaml.SequenceNode():
            return mark, [_expected(item) for item in node.value]
        case yaml.MappingNode():
            entries: dict[str, object] = {}
            for key, value in node.value:
                at, text = _pair(_expected(key))
                plain = isinstance(key, yaml.ScalarNode) and not key.style
                if isinstance(text, str) and not (plain and text == "<<"):
                    entries.setdefault(text, (at, text, _expected(value)))  # of two the first counts
            return mark, list(entries.values())
    raise AssertionError(node)


def _pair(shown: object) -> tuple[object, object]:
    assert isinstance(shown, tuple)
    at, text = shown
    return at, text


@given(_TEXTS)
def test_everything_stands_where_pyyaml_finds_it(text: str) -> None:
    try:
        root, _ = tree.compose(text)
    except UnreadableError:
        return
    composed = yaml.compose(text, yaml.CSafeLoader)
    assert composed
    assert _shown(root) == _expected(composed)


@given(_TEXTS)
def test_what_pyyaml_composes_is_readable(text: str) -> None:
    try:
        composed = yaml.compose(text, yaml.CSafeLoader)
    except yaml.YAMLError:
        with pytest.raises(UnreadableError):
            tree.compose(text)
        return
    if composed is not None:
        tree.compose(text)


@given(_DATA, st.booleans(), st.integers(20, 200))
def test_values_are_what_was_written(data: Any, flow: bool, width: int) -> None:
    text = yaml.dump(data, default_flow_style=flow, width=width, allow_unicode=True)
    root, defects = tree.compose(text)
    assert defects == []
    assert root.value == data


@given(st.lists(st.sampled_from(("a", "~", "1", "x: y", "[b]", "{c: d, 2: e}")), min_size=1, max_size=8))
def test_exactly_as_many_keys_and_values_as_there_may_be(items: list[str]) -> None:
    text = "".join(f"- {item}\n" for item in items)
    count = 1 + sum({"x: y": 3, "[b]": 2, "{c: d, 2: e}": 5}.get(item, 1) for item in items)
    tree.compose(text, count)
    with pytest.raises(UnreadableError, match=f"more than {count - 1} keys"):
        tree.compose(text, count - 1)
