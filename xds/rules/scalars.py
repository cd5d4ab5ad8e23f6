"""The terms of the language: what a name, a host, a path or a duration may be.

Nothing passes that a proxy would refuse. Each term is a type for the model to use; its check returns the
value in the form that the model keeps, and raises an error with a hint for the author.
"""

import ipaddress
import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema

from xds.documents.defect import invalid, quoted

_NAME = r"[A-Za-z0-9_.:-]{1,200}"
_TCHAR = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}"  # RFC 9110, 5.6.2
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = rf"(?:\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*)"
_PATH = r"/[\x21\x22\x24-\x3e\x40-\x7e]*"  # visible ASCII without '?' and '#'
_QUERY_NAME = r"[\x21\x22\x24\x25\x27-\x3c\x3e-\x7e]{1,200}"  # visible ASCII without '#', '&', '='
_METHOD = r"[A-Z][A-Z0-9_-]{0,39}"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DURATION = r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h))+"
_DURATION_PART = re.compile(r"([0-9.]+)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_LONGEST = timedelta(days=365)

_ELSEWHERE = {
    ":path": "match the path with `uri`",
    ":method": "match the method with `method`",
    ":authority": "list the host in `hosts`",
    "host": "list the host in `hosts`",
}


def check_name(text: str) -> str:
    """A name as Nacos takes it for a dataId; '|' separates service and subset on the wire."""
    if re.fullmatch(_NAME, text):
        return text
    if not text or len(text) > 200:
        raise invalid(f"a name of {len(text)} characters", "a name has 1 to 200 characters")
    raise invalid(f"{quoted(text)} is not a name", "use letters, digits, '-', '_', '.' and ':'")


def check_header_name(text: str) -> str:
    """The name of an HTTP field, in lower case as HTTP/2 and Envoy have it."""
    name = text.lower()
    if name in _ELSEWHERE:
        raise invalid(f"{quoted(text)} cannot be used as a header here", _ELSEWHERE[name])
    if re.fullmatch(_TCHAR, text):
        return name
    raise invalid(f"{quoted(text)} is not a header name", "use letters, digits and '-', such as x-user-id")


def check_cookie_name(text: str) -> str:
    """The name of a cookie (RFC 6265, 4.1.1); case counts."""
    if re.fullmatch(_TCHAR, text):
        return text
    raise invalid(f"{quoted(text)} is not a cookie name", "use letters, digits, '-' and '_'")


def check_query_name(text: str) -> str:
    """The name of a query parameter as it stands in the URL; case counts."""
    if re.fullmatch(_QUERY_NAME, text):
        return text
    hint = "use letters, digits, '-' and '_'; others percent-encoded, as they stand in the URL"
    raise invalid(f"{quoted(text)} is not the name of a query parameter", hint)


def check_value(text: str) -> str:
    """A text to compare with; Envoy refuses empty ones, and no request carries control characters."""
    if not text:
        raise invalid("an empty text", 'regex: "^$" is an empty value; present: false is an absent one')
    if found := _CONTROL.search(text):
        raise invalid(f"the character U+{ord(found[0]):04X} never occurs in a request", "remove it")
    return text


def check_path(text: str) -> str:
    """A path, or the beginning of one, as it stands in the URL."""
    if re.fullmatch(_PATH, text):
        return text
    if not text.startswith("/"):
        raise invalid(f"{quoted(text)} is not a path", "a path begins with '/'")
    if "?" in text or "#" in text:
        raise invalid("a path holds no '?' or '#'", "match query parameters with `query`")
    escaped = quote(text[:200], safe="/:@!$&'()*+,;=~%")
    raise invalid("a path holds only visible ASCII characters", f"percent-encode the others: {escaped}")


def check_method(text: str) -> str:
    """An HTTP method; case counts and all registered ones are in upper case (RFC 9110, 9.1)."""
    if re.fullmatch(_METHOD, text):
        return text
    upper = text.upper()
    hint = f"methods are in upper case: {upper}" if re.fullmatch(_METHOD, upper) else "such as GET"
    raise invalid(f"{quoted(text)} is not a method", hint)


def check_host(text: str) -> str:
    """A domain of a virtual host, in lower case: a DNS name, an IPv4 address, ``*.suffix`` or ``*``."""
    host = text.lower()
    problem, hint = f"{quoted(text)} is not a host", "such as reviews.example.com, *.example.com or *"
    if not text.isascii():
        raise invalid(problem, f"write it as clients send it: {_in_ascii(host)}")
    if host.endswith(".") and re.fullmatch(_HOST, host[:-1]):
        raise invalid(problem, f"without the dot at the end: {host[:-1]}")
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and re.fullmatch(_HOST, name):
        raise invalid(problem, f"without the port: {name}; it is served on every port of the gateway")
    if "://" in host:
        raise invalid(problem, "without the scheme")
    if len(host) > 253 or not re.fullmatch(_HOST, host):
        raise invalid(problem, hint)
    if host.rpartition(".")[2].isdigit():  # no top-level domain is all digits: it is meant as an address
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise invalid(problem, "it looks like an IPv4 address, but is none") from None
    return host


def _in_ascii(host: str) -> str:
    """The form of an internationalized name that is sent (RFC 5890), if it has one."""
    try:
        sent = host.encode("idna").decode()
    except UnicodeError:
        sent = ""
    return sent if re.fullmatch(_HOST, sent) else "in ASCII"


def check_duration(value: object) -> timedelta:
    """A time span in Go's notation, as Istio has it: units h, m, s, ms, down to one millisecond."""
    if isinstance(value, timedelta):
        span = value
    elif isinstance(value, str) and len(value) <= 40 and re.fullmatch(_DURATION, value):
        amount = sum(float(n) * _MILLISECONDS[unit] for n, unit in _DURATION_PART.findall(value))
        span = timedelta(milliseconds=round(amount, 3))
    else:
        raise invalid("not a duration", "a number with its unit (h, m, s or ms), such as 3s, 250ms or 1m30s")
    if span <= timedelta(0):
        raise invalid("a duration must be longer than 0", "leave the field out for its default")
    if span > _LONGEST:
        raise invalid("a duration may be a year at most", "8760h")
    if span.microseconds % 1000:
        raise invalid("a duration is a whole number of milliseconds", "such as 1500ms or 1.5s")
    return span


def format_duration(span: timedelta) -> str:
    """``span`` as a rule would have it."""
    seconds, rest = divmod(span, timedelta(seconds=1))
    return f"{span // timedelta(milliseconds=1)}ms" if rest else f"{seconds}s"


def _whole(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Name = Annotated[str, AfterValidator(check_name), _whole(_NAME)]
HeaderName = Annotated[str, AfterValidator(check_header_name), _whole(_TCHAR)]
CookieName = Annotated[str, AfterValidator(check_cookie_name), _whole(_TCHAR)]
QueryName = Annotated[str, AfterValidator(check_query_name), _whole(_QUERY_NAME)]
Value = Annotated[str, AfterValidator(check_value), Field(min_length=1)]
UriPath = Annotated[str, AfterValidator(check_path), _whole(_PATH)]
Host = Annotated[str, AfterValidator(check_host), _whole(_HOST.replace("a-z", "A-Za-z"))]
Duration = Annotated[
    timedelta,
    BeforeValidator(check_duration),
    PlainSerializer(format_duration, when_used="json"),
    _whole(_DURATION),
]
Bool = Annotated[bool, Strict()]
Weight = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
Int64 = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
