"""What can go wrong with Nacos, in words for the operator."""

import os
import socket
import ssl


def os_reason(error: OSError) -> str:
    """Return the system's words for an error, without the numbers that Python adds."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.lower()}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()


class NacosError(Exception):
    """Nacos did not do what it was asked; the text says what, where and what would help."""


class UnreachableError(NacosError):
    """No server could be reached, or none answered."""


class RefusedError(NacosError):
    """A server refused for lack of credentials or permission."""
