"""A request as a proxy sees it, and where the texts stand that rules look at."""

import ipaddress
from dataclasses import dataclass

from xds.routing.predicates import (
    Baggage,
    Cookie,
    Header,
    Identity,
    Method,
    Path,
    Query,
    Source,
    SourceAddress,
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``target`` is the path with its query, percent-encoded; names of headers in any case.

    ``source`` is the client's address, None if it is not known.
    """

    method: str = "GET"
    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    source: str | None = None

    @property
    def path(self) -> str:
        """The path without the query string."""
        return self.target.partition("?")[0]

    def lines(self, name: str) -> list[str]:
        """Return the values of a header, one for each line it was sent on."""
        return [value for key, value in self.headers if key.lower() == name]

    def header(self, name: str) -> str | None:
        """Return the value of a header, lines joined; None if it is not there."""
        lines = self.lines(name)
        return ",".join(lines) if lines else None

    def cookie(self, name: str) -> str | None:
        """Return the value of the first cookie of a name, without quotes."""
        for line in self.lines("cookie"):
            for pair in line.split(";"):
                key, equals, value = pair.lstrip(" ").partition("=")
                if equals and key == name:
                    quoted = len(value) > 1 and value[0] == value[-1] == '"'
                    return value[1:-1] if quoted else value
        return None

    def parameter(self, name: str) -> str | None:
        """Return the value of the first query parameter of a name, as it was sent."""
        _, question_mark, query = self.target.partition("?")
        for pair in query.split("&") if question_mark else ():
            key, _, value = pair.partition("=")
            if pair and key == name:
                return value
        return None

    def baggage(self, name: str) -> list[str]:
        """Return the values of the members of W3C baggage with a key, without properties."""
        members = (member.partition(";")[0] for member in (self.header("baggage") or "").split(","))
        pairs = (member.partition("=") for member in members)
        return [value.strip(" \t") for key, equals, value in pairs if equals and key.strip(" \t") == name]

    def values(self, source: Source) -> list[str]:
        """Return the texts at a source; none if it is not there, several only of baggage."""
        if isinstance(source, Baggage):
            return self.baggage(source.name)
        value = self._value(source)
        return [] if value is None else [value]

    def identity(self, identity: Identity) -> str | None:
        """Return what identifies the user, as it is hashed; None if it is not there.

        An empty cookie is nobody's, and addresses are hashed in the spelling of RFC 5952.
        """
        if isinstance(identity, SourceAddress):
            return self.source and _canonical(self.source)
        value = self._value(identity)
        return (value or None) if isinstance(identity, Cookie) else value

    def _value(self, source: Path | Method | Header | Cookie | Query) -> str | None:
        match source:
            case Path():
                return self.path
            case Method():
                return self.method
            case Header(name):
                return self.header(name)
            case Cookie(name):
                return self.cookie(name)
            case Query(name):
                return self.parameter(name)


def _canonical(address: str) -> str:
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return f"::ffff:{parsed.ipv4_mapped}"
    return str(parsed)
