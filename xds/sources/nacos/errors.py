"""What can go wrong with Nacos, said to the operator."""

import os
import socket


def os_reason(error: OSError) -> str:
    """What the system says is wrong, without the numbers that Python puts around it."""
    if error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()


class NacosError(Exception):
    """Nacos did not do what it was asked to; the text says what, where and what would help."""


class UnreachableError(NacosError):
    """No server could be reached, or none answered."""


class RefusedError(NacosError):
    """A server refused for lack of credentials or permission."""
