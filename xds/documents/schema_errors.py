"""From the plain values of a document to a typed model, or to what is wrong with each value, in words."""

import re
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from xds.documents.defect import Defect, Path, printable, quoted
from xds.documents.tree import Mapping as MappingNode
from xds.documents.tree import Node, Refused, Scalar, Sequence, find
from xds.documents.words import did_you_mean, model_at, without_choices, words

ModelT = TypeVar("ModelT")

_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "path_type": "text",
    "string_type": "text",
    "tuple_type": "a list",
}
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "y", "1"), "true") | dict.fromkeys(
    ("false", "no", "off", "n", "0"), "false"
)


class Reader(Generic[ModelT]):
    """Reads documents of one kind.

    ``model`` is a pydantic model, or another type that pydantic knows, such as a list of models. ``examples``
    says, for a model, what an author could have meant by a text in its place; ``missing``, for a field that
    must be given, what it is.
    """

    def __init__(
        self,
        model: type[ModelT],
        examples: Mapping[type[BaseModel], str] | None = None,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        self._model = model
        self._validator = TypeAdapter(model).validator
        self._examples = examples or {}
        self._missing = missing or {}

    def read(self, root: Node, values: object) -> tuple[ModelT | None, list[Defect]]:
        """Return what ``values``, the plain data of ``root``, describe; or None, and what is wrong."""
        try:
            return self._validator.validate_python(values, by_alias=True, by_name=False), []
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            return None, [defect for detail in details for defect in self._defects(root, detail)]

    def _defects(self, root: Node, detail: ErrorDetails) -> Iterator[Defect]:
        place: Path = detail["loc"]
        at_key = place[-1:] == ("[key]",)
        if at_key:
            place = place[:-1]
        path, context = without_choices(place), detail.get("ctx", {})
        node = find(root, path)
        match detail["type"]:
            case "extra_forbidden":
                model = model_at(self._model, place[:-1])
                hint = did_you_mean(str(path[-1]), words(model)) if model else ""
                yield Defect(path, "unknown field", hint, at_key=True)
            case _ if isinstance(node, Refused) and not at_key:
                yield Defect(path, node.message, node.hint)
            case "rule":
                yield Defect((*path, *context["inside"]), context["message"], context["hint"], at_key)
            case "missing":
                yield Defect(path, "is missing", self._missing.get(str(path[-1]), ""))
            case "too_short" if node is not None and _size(node):
                pass  # not empty: its items are wrong, each with an error of its own
            case kind if kind in _WANTED:
                hint = self._hint(_WANTED[kind], place, node)
                yield Defect(path, f"expected {_WANTED[kind]}, found {_describe(node)}", hint)
            case "literal_error":
                yield _literal(path, node, _literals(detail))
            case _:
                yield Defect(path, *expectation(detail), at_key)

    def _hint(self, wanted: str, place: Path, node: Node | None) -> str:
        match node:
            case Scalar(text=text):
                return self._scalar_hint(wanted, place, text)
            case MappingNode() if wanted == "a list":
                return "begin each entry of the list with '- '"
            case Sequence() if wanted == "a mapping":
                return "remove '- ' or [ ]"
            case _:
                return ""

    def _scalar_hint(self, wanted: str, place: Path, text: str) -> str:
        match wanted:
            case "text":
                return f"write it in quotes: {quoted(text)}"
            case "true or false":
                word = _BOOLEANS.get(text.lower())
                return f"write {word}" if word else ""
            case "a whole number":
                return _whole_number(text)
            case "a number":
                return _number(text)
            case "a list":
                return f"write a list: [{printable(text)}]"
            case _:
                return self._object_hint(place, text)

    def _object_hint(self, place: Path, text: str) -> str:
        model = model_at(self._model, place)
        if model and model in self._examples:
            return self._examples[model].format(quoted(text))
        return f"with {', '.join(words(model))}" if model else ""


def expectation(detail: ErrorDetails) -> tuple[str, str]:
    """Say what was expected of a value, and a hint; not a word about the value, which may be secret."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case kind if kind in _WANTED:
            return f"expected {_WANTED[kind]}", ""
        case kind if kind in _LIMITS:
            message, hint = _LIMITS[kind]
            return message, hint.format_map(context)
        case "literal_error":
            return f"expected one of {', '.join(_literals(detail))}", ""
        case "value_error":
            return str(context["error"]), ""
        case _:
            return detail["msg"], ""


def _literals(detail: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", detail.get("ctx", {}).get("expected", ""))


def _literal(path: Path, node: Node | None, known: list[str]) -> Defect:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return Defect(path, f"{quoted(node.text)} is not known here", did_you_mean(node.text, known))
    return Defect(path, f"expected text, found {_describe(node)}", f"one of {', '.join(known)}")


_LIMITS = {
    "greater_than": ("too small a number", "above {gt}"),
    "greater_than_equal": ("too small a number", "at least {ge}"),
    "less_than": ("too big a number", "below {lt}"),
    "less_than_equal": ("too big a number", "at most {le}"),
    "string_too_long": ("too long", "at most {max_length} characters"),
    "string_too_short": ("is empty", "write at least one character"),
    "too_long": ("too many entries", "at most {max_length}"),
    "too_short": ("is empty", "write at least one entry"),
}


def _size(node: Node) -> int:
    match node:
        case Sequence() | MappingNode():
            return len(node.items)
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
        case MappingNode():
            return "a mapping"
        case _:
            return "nothing"


def _whole_number(text: str) -> str:
    digits = text.replace("_", "").replace(",", "").removesuffix("%").removesuffix(".0")
    if re.fullmatch(r"[-+]?[0-9]{1,19}", digits):
        return f"write {int(digits)}"
    return "decimal digits only, without quotes"


def _number(text: str) -> str:
    digits = text.replace("_", "").replace(",", "").removesuffix("%")
    if re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?", digits):
        return f"write {float(digits):g}"
    return "decimal digits only, without quotes"
