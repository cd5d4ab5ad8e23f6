"""What an operator sets: the settings that there are, and how they are read.

Making a `Settings` in code reads nothing but its arguments; `load` reads the settings file, the environment
and the flags.
"""

from xds.settings.model import (
    Drain,
    Edge,
    Files,
    Group,
    Http,
    Limits,
    Log,
    Nacos,
    Port,
    Settings,
    Sidecar,
    Xds,
    default_state_dir,
)
from xds.settings.sources import Given, InvalidSettingsError, flag, load

__all__ = [
    "Drain",
    "Edge",
    "Files",
    "Given",
    "Group",
    "Http",
    "InvalidSettingsError",
    "Limits",
    "Log",
    "Nacos",
    "Port",
    "Settings",
    "Sidecar",
    "Xds",
    "default_state_dir",
    "flag",
    "load",
]
