"""The evaluation context of OpenFeature as a request that rules decide on."""

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from xds.routing import Request, Routing
from xds.routing.predicates import Cookie, Header, Identity, Query, SourceAddress

_TEXTS = frozenset({"method", "region", "sourceIp", "targetingKey", "uri", "userAgent"})
_PARTS = ("headers", "cookies", "query")


class InvalidContextError(ValueError):
    """The context is not what the protocol or this server takes; the text says what would be right."""


class Context(NamedTuple):
    """A context as a request, and what stands in for users that it does not identify."""

    request: Request
    targeting_key: str | None

    def completed(self, identities: Iterable[Identity]) -> Request:
        """Return the request with the targeting key for every identity that it does not have."""
        request = self.request
        if not self.targeting_key:
            return request
        headers, target, source = list(request.headers), request.target, request.source
        for identity in identities:
            if request.identity(identity) is not None:
                continue
            match identity:
                case Header(name):
                    headers.append((name, self.targeting_key))
                case Cookie(name):
                    headers.append(("cookie", f"{name}={self.targeting_key}"))
                case Query(name):
                    mark = "&" if "?" in target else "?"
                    target += f"{mark}{name}={quote(self.targeting_key, safe='')}"
                case SourceAddress():
                    pass  # a key is no address
        return Request(request.method, target, _with_one_cookie_header(headers), source)


def read_context(body: bytes, region_header: str) -> Context:
    """Read the context of a request body. Raise ``InvalidContextError``."""
    try:
        message = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise InvalidContextError(f"the body is not JSON: {error}") from None
    context = message.get("context", {}) if isinstance(message, dict) else None
    if not isinstance(context, dict):
        raise InvalidContextError('the body is {"context": {…}}')
    texts = {name: _text(name, value) for name, value in context.items() if name in _TEXTS}
    parts = {part: dict(_part(part, context)) for part in _PARTS}
    headers = [(name.lower(), value) for name, value in parts["headers"].items()]
    headers += [("cookie", f"{name}={value}") for name, value in parts["cookies"].items()]
    if "userAgent" in texts:
        headers.append(("user-agent", texts["userAgent"]))
    if "region" in texts:
        headers.append((region_header, texts["region"]))
    return Context(
        Request(
            method=texts.get("method", "GET"),
            target=_target(texts.get("uri", "/"), parts["query"]),
            headers=_with_one_cookie_header(headers),
            source=_address(texts.get("sourceIp")),
        ),
        texts.get("targetingKey"),
    )


def identities_of(routing: Routing) -> tuple[Identity, ...]:
    """Return what the rules of a service identify users by."""
    return tuple(dict.fromkeys(one for each in routing.decisions for one in each.identities()))


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidContextError(f"context.{name} is text, such as {_EXAMPLES.get(name, 'user-42')!r}")
    return str(value)


_EXAMPLES: Mapping[str, str] = {"uri": "/checkout", "sourceIp": "203.0.113.7", "region": "CN-SH"}


def _part(part: str, context: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the entries of ``headers: {…}`` and of keys such as ``headers.x-user-id``."""
    whole = context.get(part, {})
    if not isinstance(whole, dict):
        raise InvalidContextError(f"context.{part} is an object of texts")
    flat = {name.partition(".")[2]: value for name, value in context.items() if name.startswith(f"{part}.")}
    for name, value in {**whole, **flat}.items():
        text = _text(f"{part}.{name}", value)
        if any(not char.isprintable() for char in f"{name}{text}"):
            raise InvalidContextError(f"context.{part}.{name} holds a control character")
        yield name, text


def _target(uri: str, query: Mapping[str, str]) -> str:
    if not uri.startswith("/"):
        raise InvalidContextError("context.uri is a path, such as '/checkout'")
    if not query:
        return uri
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    return f"{uri}{'&' if '?' in uri else '?'}{pairs}"


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidContextError(f"context.sourceIp is {text!r}, which is not an IP address") from None


def _with_one_cookie_header(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Put all cookies on one line, as clients do."""
    headers = list(headers)
    cookies = "; ".join(value for name, value in headers if name == "cookie")
    others = tuple(header for header in headers if header[0] != "cookie")
    return (*others, ("cookie", cookies)) if cookies else others
