"""What an instance must look like to be routed to, whatever source names it."""

import ipaddress
import math


def address_problem(address: str) -> str | None:
    """Why nothing can be sent to this address; None when something can."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return f"{address!r} is not an IP address: proxies are sent addresses and resolve no names"
    return None


def port_problem(port: int) -> str | None:
    """Why this port cannot be connected to."""
    return None if 0 < port < 65536 else f"port {port} is not between 1 and 65535"


def weight_problem(weight: float) -> str | None:
    """Why this weight says nothing (the range is Nacos's)."""
    return (
        None
        if math.isfinite(weight) and 0 <= weight <= 10_000
        else f"weight {weight:g} is not between 0 and 10000"
    )
