"""Choosing nodes as client status requests do (``type/matcher/v3/node.proto``)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import re2

from xds.server.errors import invalid
from xds.wire import Node

NodeFilter = Callable[[Node], bool]
_MISSING = object()


def node_filter(matchers: Iterable[Any]) -> NodeFilter:
    """Compile ``NodeMatcher`` messages: a node passes that matches any of them, any node if there are none.

    Raise ``StreamError`` for what is not supported; nothing is passed over in silence.
    """
    compiled = [_node(matcher) for matcher in matchers]
    return lambda node: not compiled or any(matches(node) for matches in compiled)


def _node(matcher: Any) -> NodeFilter:
    identity = _string(matcher.node_id) if matcher.HasField("node_id") else None
    metadata = [_struct(one) for one in matcher.node_metadatas]

    def matches(node: Node) -> bool:
        return (identity is None or identity(node.id)) and all(one(node.metadata) for one in metadata)

    return matches


def _struct(matcher: Any) -> Callable[[Mapping[str, object]], bool]:
    path = [segment.key for segment in matcher.path]
    matches = _value(matcher.value)

    def found(metadata: object) -> bool:
        for key in path:
            metadata = metadata.get(key, _MISSING) if isinstance(metadata, Mapping) else _MISSING
        return matches(metadata)

    return found


def _value(matcher: Any) -> Callable[[object], bool]:
    match matcher.WhichOneof("match_pattern"):
        case "null_match":
            return lambda value: value is None
        case "string_match":
            matches = _string(matcher.string_match)
            return lambda value: isinstance(value, str) and matches(value)
        case "bool_match":
            return lambda value: value is matcher.bool_match
        case "present_match":
            return lambda value: (value is not _MISSING) is matcher.present_match
        case "or_match":
            either = [_value(one) for one in matcher.or_match.value_matchers]
            return lambda value: any(one(value) for one in either)
        case other:
            raise invalid(f"node_matchers: {other or 'an empty value matcher'} is not supported")


def _string(matcher: Any) -> Callable[[str], bool]:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return _regex(matcher.safe_regex.regex)
    fold = str.lower if matcher.ignore_case else str
    wanted = fold(getattr(matcher, kind or "exact"))
    match kind:
        case "exact":
            return lambda text: fold(text) == wanted
        case "prefix":
            return lambda text: fold(text).startswith(wanted)
        case "suffix":
            return lambda text: fold(text).endswith(wanted)
        case "contains":
            return lambda text: wanted in fold(text)
        case _:
            raise invalid(f"node_matchers: {kind or 'an empty string matcher'} is not supported")


def _regex(pattern: str) -> Callable[[str], bool]:
    try:
        compiled = re2.compile(pattern)
    except re2.error as error:
        raise invalid(f"node_matchers: safe_regex {pattern!r}: {error}") from None
    return lambda text: compiled.fullmatch(text) is not None
