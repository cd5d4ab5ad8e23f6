"""One layout for documents, with their comments and the order of their keys kept."""

import io
import json
import re

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from xds.documents import tree
from xds.documents.identity import Kind, kind_of
from xds.documents.text import UnreadableError, decode

_ANY_WIDTH = 1 << 20
_MOST = 10 << 20


class FormatError(ValueError):
    """The document cannot be laid out; says why."""


def formatted(name: str, content: bytes) -> str:
    """Return a document in its layout: the same values and comments, and nothing else of how it looked.

    Two blanks a level, lists inside what they belong to, one blank line at most, no blanks at the ends of
    lines, and one line feed at the end. Comments on lines of their own stand like what follows them. Raise
    ``FormatError`` for what is no document.
    """
    try:
        text = decode(content, _MOST).replace("\r\n", "\n").replace("\r", "\n")
        if kind_of(name) is Kind.LIST:
            return _tidy(text)
        before = tree.compose(text)[0]
        if name.endswith(".json"):
            return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
        laid_out = _laid_out(_tidy(text))
        for candidate in (_tidy(_comments_in_place(laid_out)), _tidy(laid_out)):
            if _same(tree.compose(candidate)[0], before):
                return candidate
    except UnreadableError as error:
        raise FormatError(f"{name}:{error.mark.line}:{error.mark.column}: {error.message}") from None
    except (YAMLError, json.JSONDecodeError) as error:
        raise FormatError(f"{name}: {error}") from None
    raise FormatError(f"{name}: cannot be laid out without a change of what it says")


def _laid_out(text: str) -> str:
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = _ANY_WIDTH
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    out = io.StringIO()
    yaml.dump(yaml.load(text), out)
    return out.getvalue()


def _tidy(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"


def _comments_in_place(text: str) -> str:
    """Indent comments on lines of their own like the line that follows them."""
    lines = text.split("\n")
    indent = ""
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        if line.lstrip().startswith("#"):
            lines[number] = indent + line.lstrip()
        elif line.strip():
            indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(lines)


def _same(one: tree.Node, other: tree.Node) -> bool:
    """Whether two trees say the same, wherever it stands."""
    if isinstance(one, tree.Scalar) and isinstance(other, tree.Scalar):
        return (one.text, one.plain) == (other.text, other.plain)
    if isinstance(one, tree.Sequence) and isinstance(other, tree.Sequence):
        return len(one.items) == len(other.items) and all(map(_same, one.items, other.items))
    if isinstance(one, tree.Mapping) and isinstance(other, tree.Mapping):
        return list(one.items) == list(other.items) and all(
            _same(item, other.items[key]) for key, item in one.items.items()
        )
    if isinstance(one, tree.Refused) and isinstance(other, tree.Refused):
        return one.message == other.message
    return False
