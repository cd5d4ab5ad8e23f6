"""What an operator sets: the settings that there are, and how they are read.

Making a `Settings` in code reads nothing but its arguments; `load` reads the settings file, the environment
and the flags.
"""

from xds.settings.http import Http, HttpTls, Oidc
from xds.settings.loading import (
    API_TOKEN_VARIABLE,
    API_URL_VARIABLE,
    Given,
    InvalidSettingsError,
    flag,
    load,
)
from xds.settings.model import (
    Drain,
    Files,
    Grant,
    Limits,
    Log,
    MutualTls,
    Nacos,
    Settings,
    Tracing,
    Validation,
    Xds,
    default_state_dir,
)
from xds.settings.proxies import Edge, Group, Sidecar, Stage
from xds.settings.section import Port

__all__ = [
    "API_TOKEN_VARIABLE",
    "API_URL_VARIABLE",
    "Drain",
    "Edge",
    "Files",
    "Given",
    "Grant",
    "Group",
    "Http",
    "HttpTls",
    "InvalidSettingsError",
    "Limits",
    "Log",
    "MutualTls",
    "Nacos",
    "Oidc",
    "Port",
    "Settings",
    "Sidecar",
    "Stage",
    "Tracing",
    "Validation",
    "Xds",
    "default_state_dir",
    "flag",
    "load",
]
