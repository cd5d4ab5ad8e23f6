"""What is wrong with a document's values, one by one: the model's errors in words for the author."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from xds.documents.defect import Defect, Path, printable, quoted
from xds.documents.tree import Data, Mapping, Node, Refused, Scalar, Sequence, find
from xds.rules.model import HttpRule, Match, Model, RuleDocument, StringMatcher, Subset, UriMatcher
from xds.rules.vocabulary import LATER, did_you_mean, model_at, words

_WANTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "int_type": "a whole number",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "y", "1"), "true") | dict.fromkeys(
    ("false", "no", "off", "n", "0"), "false"
)
_EXAMPLES: dict[type[Model], str] = {
    Match: "{headers: {x-release: {exact: canary}}}",
    HttpRule: "{name: canary, match: [{headers: {x-release: {exact: canary}}}], route: [{subset: gray}]}",
    Subset: "{labels: {version: v2}}",
}
_MISSING = {
    "name": "a name for logs and metrics",
    "route": "where the requests go, such as [{subset: gray}]",
    "subset": "the name of a subset",
    "labels": "the metadata that instances must have, such as {version: v2}",
    "start": "the lowest integer that matches",
    "end": "the integer after the highest that matches",
}


def read(root: Node, values: Data) -> tuple[RuleDocument | None, list[Defect]]:
    """The document that ``values``, the plain data of ``root``, describe; or None, and what is wrong."""
    try:
        return RuleDocument.model_validate(values, by_alias=True, by_name=False), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [defect for detail in details for defect in _defects(root, detail)]


def _defects(root: Node, detail: ErrorDetails) -> Iterator[Defect]:
    at_key = detail["loc"][-1:] == ("[key]",)
    path: Path = detail["loc"][:-1] if at_key else detail["loc"]
    node, context = find(root, path), detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            yield _unknown(path)
        case _ if isinstance(node, Refused) and not at_key:
            yield Defect(path, node.message, node.hint)
        case "rule":
            yield Defect(path, context["message"], context["hint"], at_key)
        case "missing":
            yield Defect(path, "is missing", _MISSING.get(str(path[-1]), ""))
        case "too_short" if node is not None and _size(node):
            pass  # not empty: its items are wrong, each with an error of its own
        case kind if kind in _WANTED:
            yield Defect(path, f"expected {_WANTED[kind]}, found {_describe(node)}", _hint(kind, path, node))
        case kind:
            yield Defect(path, *_limit(kind, context, detail["msg"]), at_key)


def _unknown(path: Path) -> Defect:
    word, model = str(path[-1]), model_at(path[:-1])
    if model is None:
        return Defect(path, "unknown field", at_key=True)
    if word in LATER.get(model, ()):
        hint = "to match headers, write them under `match`" if word == "headers" else "remove it"
        return Defect(path, "not supported yet", hint, at_key=True)
    return Defect(path, "unknown field", did_you_mean(word, words(model)), at_key=True)


def _limit(kind: str, context: dict[str, Any], otherwise: str) -> tuple[str, str]:
    match kind:
        case "greater_than_equal":
            return "too small a number", f"at least {context['ge']}"
        case "less_than_equal":
            return "too big a number", f"at most {context['le']}"
        case "too_long":
            return "too many entries", f"at most {context['max_length']}"
        case "too_short":
            return "is empty", "write at least one entry"
        case "string_too_short":
            return "is empty", "write at least one character"
        case _:
            return otherwise, ""


def _size(node: Node) -> int:
    match node:
        case Sequence(items=items):
            return len(items)
        case Mapping(entries=entries):
            return len(entries)
        case _:
            return 0


def _describe(node: Node | None) -> str:
    match node:
        case Scalar(text=text) if node.is_number:
            return f"the number {printable(text)}"
        case Scalar(text=text):
            return f"the text {quoted(text)}" if isinstance(node.value, str) else text
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case _:
            return "nothing"


def _hint(kind: str, path: Path, node: Node | None) -> str:
    match node:
        case Scalar(text=text):
            return _scalar_hint(kind, path, text)
        case Mapping() if kind == "tuple_type":
            return "begin each entry of the list with '- '"
        case Sequence() if kind in {"dict_type", "model_type"}:
            return "remove '- ' or [ ]"
        case _:
            return ""


def _scalar_hint(kind: str, path: Path, text: str) -> str:
    match kind:
        case "string_type":
            return f"write it in quotes: {quoted(text)}"
        case "bool_type":
            word = _BOOLEANS.get(text.lower())
            return f"write {word}" if word else ""
        case "int_type":
            return _whole_number(text)
        case "tuple_type":
            return f"write a list: [{printable(text)}]"
        case "model_type":
            return _object_hint(path, text)
        case _:
            return ""


def _object_hint(path: Path, text: str) -> str:
    model = model_at(path)
    if model is StringMatcher:
        return f"write {{exact: {quoted(text)}}}"
    if model is UriMatcher:
        return f"write {{prefix: {quoted(text)}}} or {{exact: {quoted(text)}}}"
    if model in _EXAMPLES:
        return f"such as {_EXAMPLES[model]}"
    return f"with {', '.join(words(model))}" if model else ""


def _whole_number(text: str) -> str:
    digits = text.replace("_", "").replace(",", "").removesuffix("%").removesuffix(".0")
    if re.fullmatch(r"[-+]?[0-9]{1,19}", digits):
        return f"write {int(digits)}"
    return "decimal digits only, without quotes"
