"""The scalars of documents: what a name, a host, a path or a duration may be.

Nothing passes that a proxy would refuse. Each is a type for the model to use. Its check returns the value in
the form that the model keeps, or raises an error with a hint for the author.
"""

import ipaddress
import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema

from xds.documents.defect import invalid, quoted
from xds.documents.words import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_TCHAR = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # RFC 9110, 5.6.2
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*)")
_PATH = re.compile(r"/[\x21\x22\x24-\x3e\x40-\x7e]*")  # visible ASCII without '?' and '#'
_QUERY_NAME = re.compile(
    r"[\x21\x22\x24\x25\x27-\x3c\x3e-\x7e]{1,200}"
)  # visible ASCII without '#', '&', '='
_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,39}")
_REGION = re.compile(r"[A-Z]{2}(?:-(?:[A-Z0-9]{1,3}|\*))?")
_SALT = re.compile(r"[\x21-\x7e]{1,100}")
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9.]+)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_LONGEST = timedelta(days=365)

RETRY_CONDITIONS = (
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)
"""Envoy's words (x-envoy-retry-on and x-envoy-retry-grpc-on) that need no further settings."""

_ELSEWHERE = {
    ":path": "match the path with `uri`",
    ":method": "match the method with `method`",
    ":authority": "list the host in `hosts`",
    "host": "list the host in `hosts`",
}


def check_name(text: str) -> str:
    """Check a name as Nacos takes it for a dataId; '|' separates service and subset on the wire."""
    if _NAME.fullmatch(text):
        return text
    if not text or len(text) > 200:
        raise invalid(f"a name of {len(text)} characters", "a name has 1 to 200 characters")
    raise invalid(f"{quoted(text)} is not a name", "use letters, digits, '-', '_', '.' and ':'")


def check_header_name(text: str) -> str:
    """Check the name of an HTTP field; return it in lower case, as HTTP/2 and Envoy have it."""
    name = text.lower()
    if name in _ELSEWHERE:
        raise invalid(f"{quoted(text)} cannot be used as a header here", _ELSEWHERE[name])
    if _TCHAR.fullmatch(text):
        return name
    raise invalid(f"{quoted(text)} is not a header name", "use letters, digits and '-', such as x-user-id")


def check_cookie_name(text: str) -> str:
    """Check the name of a cookie (RFC 6265, 4.1.1); case counts."""
    if _TCHAR.fullmatch(text):
        return text
    raise invalid(f"{quoted(text)} is not a cookie name", "use letters, digits, '-' and '_'")


def check_query_name(text: str) -> str:
    """Check the name of a query parameter as it stands in the URL; case counts."""
    if _QUERY_NAME.fullmatch(text):
        return text
    hint = "use letters, digits, '-' and '_'; others percent-encoded, as they stand in the URL"
    raise invalid(f"{quoted(text)} is not the name of a query parameter", hint)


def check_value(text: str) -> str:
    """Check a text to compare with; Envoy refuses empty ones, and no request carries control characters."""
    if not text:
        raise invalid("an empty text", 'regex: "^$" is an empty value; present: false is an absent one')
    if found := _CONTROL.search(text):
        raise invalid(f"the character U+{ord(found[0]):04X} never occurs in a request", "remove it")
    return text


def check_path(text: str) -> str:
    """Check a path, or the beginning of one, as it stands in the URL."""
    if _PATH.fullmatch(text):
        return text
    if not text.startswith("/"):
        raise invalid(f"{quoted(text)} is not a path", "a path begins with '/'")
    if "?" in text or "#" in text:
        raise invalid("a path holds no '?' or '#'", "match query parameters with `query`")
    escaped = quote(text[:200], safe="/:@!$&'()*+,;=~%")
    raise invalid("a path holds only visible ASCII characters", f"percent-encode the others: {escaped}")


def check_method(text: str) -> str:
    """Check an HTTP method; case counts and all registered ones are in upper case (RFC 9110, 9.1)."""
    if _METHOD.fullmatch(text):
        return text
    upper = text.upper()
    hint = f"methods are in upper case: {upper}" if _METHOD.fullmatch(upper) else "such as GET"
    raise invalid(f"{quoted(text)} is not a method", hint)


def check_host(text: str) -> str:
    """Check a domain: a DNS name, an IPv4 address, ``*.suffix`` or ``*``. Return it in lower case."""
    host = text.lower()
    problem, hint = f"{quoted(text)} is not a host", "such as reviews.example.com, *.example.com or *"
    if not text.isascii():
        raise invalid(problem, f"write it as clients send it: {_in_ascii(host)}")
    if host.endswith(".") and _HOST.fullmatch(host[:-1]):
        raise invalid(problem, f"without the dot at the end: {host[:-1]}")
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and _HOST.fullmatch(name):
        raise invalid(problem, f"without the port: {name}; it is served on every port of the gateway")
    if "://" in host:
        raise invalid(problem, "without the scheme")
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise invalid(problem, hint)
    if host.rpartition(".")[2].isdigit():  # no top-level domain is all digits: it is meant as an address
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise invalid(problem, "it looks like an IPv4 address, but is none") from None
    return host


def _in_ascii(host: str) -> str:
    """Return the form of an internationalized name that is sent (RFC 5890), if it has one."""
    try:
        sent = host.encode("idna").decode()
    except UnicodeError:
        sent = ""
    return sent if _HOST.fullmatch(sent) else "in ASCII"


@lru_cache(maxsize=1024)  # documents have few of them, again and again
def _time_span(text: str) -> timedelta:
    amount = sum(float(n) * _MILLISECONDS[unit] for n, unit in _DURATION_PART.findall(text))
    return timedelta(milliseconds=round(amount, 3))


def check_duration(value: object) -> timedelta:
    """Check a time span in Go's notation, as Istio has it: units h, m, s, ms, down to one millisecond."""
    if isinstance(value, timedelta):
        span = value
    elif isinstance(value, str) and len(value) <= 40 and _DURATION.fullmatch(value):
        span = _time_span(value)
    else:
        raise invalid("not a duration", "a number with its unit (h, m, s or ms), such as 3s, 250ms or 1m30s")
    if span <= timedelta(0):
        raise invalid("a duration must be longer than 0", "leave the field out for its default")
    if span > _LONGEST:
        raise invalid("a duration may be a year at most", "8760h")
    if span.microseconds % 1000:
        raise invalid("a duration is a whole number of milliseconds", "such as 1500ms or 1.5s")
    return span


def check_header_value(text: str) -> str:
    """Check the value of a header that proxies set; it is taken literally."""
    if text and len(text) <= 4096 and text.isascii() and text.isprintable() and text == text.strip():
        return text
    raise invalid(
        "not the value of a header", "1 to 4,096 visible ASCII characters, not beginning or ending in a space"
    )


def check_cidr(text: str) -> str:
    """Check a network, or an address, which is a network of one; return it as ``10.0.0.0/8``."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        hint = "such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"
        raise invalid(f"{quoted(text)} is no network", hint) from None
    raise invalid(f"{quoted(text)} has bits set behind the prefix", f"the network is {network}")


def check_region(text: str) -> str:
    """Check a country or a part of one (ISO 3166); return it in upper case. ``CN-*`` is every part of CN."""
    region = text.upper()
    if _REGION.fullmatch(region):
        return region
    raise invalid(f"{quoted(text)} is not a region", "such as CN, CN-SH or CN-* (ISO 3166)")


def check_percent(value: float) -> float:
    """Check a share in percent, to a millionth of the whole."""
    if not 0 <= value <= 100:
        raise invalid(f"{value:g} is not a percentage", "from 0 to 100")
    if abs(value * 10_000 - round(value * 10_000)) > 1e-6:
        raise invalid("a percentage has four decimals at most", f"such as {round(value, 4):g}")
    return value


def check_positive_percent(value: float) -> float:
    """Check a share in percent above 0."""
    if value == 0:
        raise invalid("0 percent has no effect", "remove it, or write more than 0")
    return check_percent(value)


def check_salt(text: str) -> str:
    """Check a salt of a hash."""
    if _SALT.fullmatch(text):
        return text
    raise invalid(f"{quoted(text)} is not a salt", "1 to 100 visible ASCII characters without spaces")


def check_authority(text: str) -> str:
    """Check a host with or without a port."""
    authority = text.lower()
    host, colon, port = authority.rpartition(":")
    if not colon:
        host, port = authority, "80"
    if _DNS_NAME.fullmatch(host) and len(host) <= 253 and port.isdecimal() and 0 < int(port) < 65536:
        return authority
    raise invalid(f"{quoted(text)} is not a host", "such as reviews.example.com or reviews.internal:8080")


def check_dns_name(text: str) -> str:
    """Check a domain name; one label is enough. Return it in lower case."""
    name = text.lower()
    if len(name) <= 253 and _DNS_NAME.fullmatch(name):
        return name
    raise invalid(
        f"{quoted(text)} is not a domain name", "letters, digits and '-', such as foo-bar or foo.example.com"
    )


def check_subject_alt_name(text: str) -> str:
    """Check a DNS name, an IP address or a URI such as a SPIFFE id, as a certificate holds it."""
    if text and len(text) <= 1000 and text.isascii() and text.isprintable() and " " not in text:
        return text
    raise invalid(f"{quoted(text)} is not a name in a certificate", "a DNS name, an address or a URI")


def check_file_path(text: str) -> str:
    """Check the absolute path of a file on the proxy's machine."""
    if text.startswith("/") and len(text) <= 1000 and text.isprintable():
        return text
    raise invalid(
        f"{quoted(text)} is not the path of a file", "such as /etc/certs/ca.pem, on the proxy's machine"
    )


def check_text(text: str) -> str:
    """Check a text for people or other programs."""
    if text.strip() and len(text) <= 4096:
        return text
    raise invalid("a text of 1 to 4,096 characters is expected", "write one, or remove the field")


def check_url(text: str) -> str:
    """Check a URL of a web service."""
    if re.fullmatch(r"https?://[^\s/?#]+[^\s#]*", text) and len(text) <= 2000:
        return text
    raise invalid(f"{quoted(text)} is not a URL", "such as https://ci.example.com/smoke")


def check_body(text: str) -> str:
    """Check a text that proxies answer with; Envoy takes 4,096 bytes."""
    size = len(text.encode())
    if 0 < size <= 4096:
        return text
    raise invalid(f"a body of {size:,} bytes", "1 to 4,096 bytes, as Envoy takes; leave it out for none")


def check_substitution(text: str) -> str:
    """Check what stands in the place of a match; a backslash is followed by a digit or a backslash."""
    if not re.fullmatch(r"[\x21-\x7e]{1,512}", text):
        raise invalid("a replacement holds only visible ASCII characters", "1 to 512; percent-encode others")
    if re.search(r"\\(?![0-9\\])", text.replace("\\\\", "")):
        raise invalid("a backslash is followed by the number of a group", r"such as \1; \\\\ is a backslash")
    return text


def check_redirect_status(code: int) -> int:
    """Check a status code that sends the client elsewhere."""
    if code in {301, 302, 303, 307, 308}:
        return code
    raise invalid(f"{code} does not redirect", "one of 301, 302, 303, 307 and 308")


def check_retry_condition(text: str) -> str:
    """Check a retry condition of Envoy's, or a status code."""
    if text in RETRY_CONDITIONS or re.fullmatch(r"[2-5][0-9]{2}", text):
        return text
    raise invalid(f"there is no retry condition {quoted(text)}", did_you_mean(text, RETRY_CONDITIONS))


def format_duration(span: timedelta) -> str:
    """Return ``span`` as a rule would have it."""
    seconds, rest = divmod(span, timedelta(seconds=1))
    return f"{span // timedelta(milliseconds=1)}ms" if rest else f"{seconds}s"


def _whole(pattern: re.Pattern[str], *, any_case: bool = False) -> WithJsonSchema:
    allowed = pattern.pattern.replace("a-z", "A-Za-z") if any_case else pattern.pattern
    return WithJsonSchema({"type": "string", "pattern": f"^{allowed}$"})


Name = Annotated[str, AfterValidator(check_name), _whole(_NAME)]
HeaderName = Annotated[str, AfterValidator(check_header_name), _whole(_TCHAR)]
CookieName = Annotated[str, AfterValidator(check_cookie_name), _whole(_TCHAR)]
QueryName = Annotated[str, AfterValidator(check_query_name), _whole(_QUERY_NAME)]
Value = Annotated[str, AfterValidator(check_value), Field(min_length=1)]
UriPath = Annotated[str, AfterValidator(check_path), _whole(_PATH)]
Host = Annotated[str, AfterValidator(check_host), _whole(_HOST, any_case=True)]
Duration = Annotated[
    timedelta,
    BeforeValidator(check_duration),
    PlainSerializer(format_duration, when_used="json"),
    _whole(_DURATION),
]
Cidr = Annotated[str, AfterValidator(check_cidr)]
Region = Annotated[str, AfterValidator(check_region), _whole(_REGION)]
ListName = Name
Salt = Annotated[str, AfterValidator(check_salt), _whole(_SALT)]
BaggageKey = CookieName
HeaderValue = Annotated[str, AfterValidator(check_header_value)]
Authority = Annotated[str, AfterValidator(check_authority)]
DnsName = Annotated[str, AfterValidator(check_dns_name), _whole(_DNS_NAME, any_case=True)]
HostName = DnsName
SubjectAltName = Annotated[str, AfterValidator(check_subject_alt_name)]
FilePath = Annotated[str, AfterValidator(check_file_path), _whole(re.compile("/.+"))]
Text = Annotated[str, AfterValidator(check_text)]
HttpUrl = Annotated[str, AfterValidator(check_url), _whole(re.compile("https?://.+"))]
BodyText = Annotated[str, AfterValidator(check_body)]
Substitution = Annotated[str, AfterValidator(check_substitution)]
RetryCondition = Annotated[str, AfterValidator(check_retry_condition)]
Scheme = Literal["http", "https"]
GrpcStatus = Literal[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
"""In the order of their numbers, from 1."""
ErrorStatus = Annotated[int, Strict(), Field(ge=200, le=599)]
ResponseStatus = ErrorStatus
RedirectStatus = Annotated[
    int,
    Strict(),
    AfterValidator(check_redirect_status),
    Field(json_schema_extra={"enum": [301, 302, 303, 307, 308]}),
]
Percent = Annotated[
    float, Strict(), AfterValidator(check_percent), Field(json_schema_extra={"minimum": 0, "maximum": 100})
]
PositivePercent = Annotated[
    float,
    Strict(),
    AfterValidator(check_positive_percent),
    Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": 100}),
]
PositiveFloat = Annotated[float, Strict(), Field(gt=0)]
UInt32 = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
PositiveInt32 = Annotated[int, Strict(), Field(ge=1, le=2**32 - 1)]
Bool = Annotated[bool, Strict()]
Weight = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
Int64 = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
