"""Which hosts the webhooks of rollouts may call, as the operator has it (``rollouts.webhook_hosts``)."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from xds.documents.defect import printable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_METADATA = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local: the metadata of most clouds is at 169.254.169.254
            "fe80::/10",
            "fd00:ec2::/32",  # Amazon
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure
            "192.0.0.192/32",  # Oracle Cloud
        ),
    )
)
"""Where clouds give credentials to whoever asks from the machine."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as NAT64 writes them (RFC 6052)."""
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


def check_pattern(pattern: str) -> str:
    """Return a pattern as it is compared. Raise ``ValueError`` if it is none."""
    if pattern == "*" or _network(pattern):
        return pattern
    name = pattern.lower().rstrip(".")
    if _NAME.fullmatch(name):
        return name
    raise ValueError(
        f"{pattern!r} is not a host such as ci.example.com, *.example.com, 10.0.0.7, 10.0.0.0/8 or * (any)"
    )


@dataclass(frozen=True)
class WebhookHosts:
    """Hosts by name (``ci.example.com``, ``*.example.com``), by address or network, or any (``*``).

    Addresses where clouds give credentials are no host's, whatever its name, unless they are listed
    themselves.
    """

    patterns: tuple[str, ...] = ("*",)

    def problem_of(self, url: str) -> str | None:
        """Say why a URL may not be called; None if it may, as far as it says itself."""
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        return self.problem_of_host(host) if host else "the URL has no host"

    def problem_of_host(self, host: str) -> str | None:
        """Say why a host, a name or an address, may not be called; None if it may."""
        host = _as_compared(host)
        if address := _address(host):
            refused = self.problem_of_address(host)
            if refused or "*" in self.patterns or self._is_listed(address):
                return refused
        elif any(_covers(pattern, host) for pattern in self.patterns):
            return None
        return f"{printable(host)} may not be called"

    def problem_of_address(self, address: str) -> str | None:
        """Say why no host at an address may be called, one by a name neither; None if some may."""
        at = _address(address)
        if at is None or self._is_listed(at):
            return None
        if any(at in network for network in _METADATA):
            return f"{printable(address)} may not be called: clouds have credentials there"
        return None

    @property
    def hint(self) -> str:
        """What would be right."""
        allowed = ", ".join(self.patterns) or "none"
        return f"the operator allows {allowed} (rollouts.webhook_hosts)"

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(filter(None, map(_network, self.patterns)))

    def _is_listed(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def is_this_machine(address: str) -> bool:
    """Whether who connects to an address comes to the machine itself."""
    at = _address(address)
    return at is not None and (at.is_loopback or at.is_unspecified)


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in ("*", name)


def _as_compared(host: str) -> str:
    """Return a host as DNS is asked for it."""
    try:
        return host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        return host.lower().rstrip(".")


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    """Read an address; one of IPv4 within one of IPv6 is that of IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return next(_within(address), address)


def _within(address: Address) -> Iterator[Address]:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
        elif address in _TRANSLATED:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
