"""A part of the settings, and the values that several parts have."""

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        message = (
            f"{text!r} is not an IP address; 127.0.0.1 for this machine alone, 0.0.0.0 for all interfaces"
        )
        raise ValueError(message) from None


IpAddress = Annotated[str, AfterValidator(_ip_address)]
"""An address to listen on. Envoy resolves no names for listeners, so neither do we."""

Port = Annotated[int, Field(ge=1, le=65535)]
NonEmpty = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A mapping of settings: frozen, and closed to other names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(Section):
    """PEM files of a port with TLS; they are read again when they change (``xds.server.TlsFiles``)."""

    certificate: Path
    key: Path
