"""Reads settings from a YAML file, the environment and flags, each overruling the one before.

Every value keeps its origin, so that whatever is wrong is told with the place to mend it. What is wrong
is reported all at once, one line each, and quotes no value that might be a secret.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SettingsError

from xds.documents import tree
from xds.documents.defect import render
from xds.documents.schema_errors import expectation
from xds.documents.text import EmptyDocumentError, Mark, UnreadableError, decode
from xds.documents.words import did_you_mean
from xds.settings.model import Settings
from xds.settings.proxies import Group

API_URL_VARIABLE, API_TOKEN_VARIABLE = "GRAYPLANE_API_URL", "GRAYPLANE_API_TOKEN"
"""Where commands find a running server, and their token; nothing of a server's own settings."""

FILE_VARIABLE = "GRAYPLANE_CONFIG"
"""Names the settings file where no flag does."""

_PREFIX = "GRAYPLANE_"
_RESERVED_PREFIX = "GRAYPLANE_TEST_"  # the test harness's own
_URL = r"(?:tcp|udp|sctp)://\S+"
_KUBERNETES = {
    "_SERVICE_HOST": r"[0-9A-Fa-f.:]+",
    "_SERVICE_PORT(?:_[A-Z0-9_]+)?": "[0-9]+",
    "_PORT": _URL,
    "_PORT_[0-9]+_(?:TCP|UDP|SCTP)": _URL,
    "_PORT_[0-9]+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR)": r"\S+",
}
"""How names and values of the variables look that Kubernetes makes for a Service."""

SettingPath = tuple[str, ...]


class InvalidSettingsError(ValueError):
    """Settings that cannot be used. ``errors`` has one line for each defect."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Given:
    """One value that somebody gave, and where: ``grayplane.yaml:3:9``, a variable or a flag."""

    path: SettingPath
    value: object
    origin: str


def load(file: Path | None = None, flags: Iterable[Given] = ()) -> Settings:
    """Read all settings.

    ``file`` is the settings file; None: the one that ``GRAYPLANE_CONFIG`` names, if any. ``flags`` are values
    from the command line. Raise ``InvalidSettingsError`` with everything that is wrong.
    """
    if file is None and os.environ.get(FILE_VARIABLE):
        file = Path(os.environ[FILE_VARIABLE])
    given = [*(_from_file(file) if file else ()), *_from_environment(), *flags]
    try:
        return Settings(**_merge(given))  # type: ignore[arg-type]  # that is for pydantic to find out
    except ValidationError as error:
        origins = {value.path: value.origin for value in given}
        lines = [
            _describe(detail, origins) for detail in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidSettingsError(lines) from None


def flag(path: str, value: object, name: str) -> Given:
    """Make the value of a flag, for a setting written with dots: ``xds.port``."""
    return Given(tuple(path.split(".")), value, name)


def _from_file(file: Path) -> list[Given]:
    try:
        root, defects = tree.compose(decode(file.read_bytes()))
    except OSError as error:
        raise InvalidSettingsError([f"{file}: cannot be read: {error.strerror}"]) from None
    except EmptyDocumentError:
        return []
    except UnreadableError as error:
        raise InvalidSettingsError([_line(file, error.mark, error.message, error.hint)]) from None
    lines = [
        _line(file, mark, f"{render(one.path)} {one.message}".strip(), one.hint) for mark, one in defects
    ]
    if tree.is_null(root):
        return []
    if not isinstance(root, tree.Mapping):
        lines.append(_line(file, root.mark, "settings are a mapping", "such as `source: files`"))
    else:
        lines += [
            _line(file, mark, f"{render(path)}: {message}", hint)
            for path, mark, message, hint in tree.without_value(root)
        ]
    if lines or not isinstance(root, tree.Mapping):
        raise InvalidSettingsError(lines)
    return list(_leaves(file, root, ()))


def _leaves(file: Path, mapping: tree.Mapping, parent: SettingPath) -> Iterator[Given]:
    for name, item in mapping.items.items():
        path, mark = (*parent, name), mapping.mark_of(name)
        origin = f"{file}:{mark.line}:{mark.column}"
        if isinstance(item, tree.Mapping) and item.items:
            yield from _leaves(file, item, path)
        elif not tree.is_null(item):
            yield Given(path, item.value, origin)
        elif path not in _SECTIONS:
            # A section whose settings are all commented out has no value; that sets nothing.
            yield Given(path, None, origin)


def _line(file: Path, mark: Mark, message: str, hint: str) -> str:
    return f"{file}:{mark.line}:{mark.column}: {message}" + (f" ({hint})" if hint else "")


def _from_environment() -> list[Given]:
    unknown = [
        f"environment: unknown variable {name}{_did_you_mean(name.upper(), _VARIABLES)}"
        for name, value in sorted(os.environ.items())
        if name.startswith(_PREFIX)
        and not name.startswith(_RESERVED_PREFIX)
        and name not in (*_VARIABLES, FILE_VARIABLE, API_URL_VARIABLE, API_TOKEN_VARIABLE)
        and not _is_of_kubernetes(name, value)
    ]
    if unknown:
        raise InvalidSettingsError(unknown)
    try:
        values = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise InvalidSettingsError([f"environment: {error}; GRAYPLANE_GROUPS is JSON"]) from None
    return list(_flatten(values, ()))


def _is_of_kubernetes(name: str, value: str) -> bool:
    """Whether a variable tells of a Kubernetes Service whose name begins with grayplane.

    Kubernetes puts these into every pod of the namespace (its documentation, "Service: environment
    variables"); they are no settings.
    """
    forms = (form for form in _KUBERNETES if re.fullmatch(f"GRAYPLANE(?:_[A-Z0-9]+)*?{form}", name))
    return any(re.fullmatch(_KUBERNETES[form], value) for form in forms)


def _flatten(values: Mapping[str, object], parent: SettingPath) -> Iterator[Given]:
    for name, value in values.items():
        path = (*parent, name)
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, path)
        else:
            yield Given(path, value, "environment " + _variable(path[:1] if path[0] == "groups" else path))


def _merge(given: Iterable[Given]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for value in given:
        section = merged
        for name in value.path[:-1]:
            inner = section.setdefault(name, {})
            if not isinstance(inner, dict):  # a scalar where a section belongs; left for validation to report
                break
            section = inner
        else:
            section[value.path[-1]] = value.value
    return merged


def _describe(error: ErrorDetails, origins: Mapping[SettingPath, str]) -> str:
    path = tuple(str(part) for part in error["loc"])
    origin = _origin(path, origins)
    where = f"{origin}: " if origin else ""
    if error["type"] == "extra_forbidden":
        general = _general(path)
        hint = _did_you_mean(_dotted(general), _DOTTED) or f" (known here: {_known_below(general[:-1])})"
        return f"{where}unknown setting {_dotted(path)}{hint}"
    if error["type"] == "model_type":
        return f"{where}{_dotted(path)} is a section: it holds {_known_below(_general(path))}"
    message, hint = expectation(error)
    problem = f"{message} ({hint})" if hint else message
    return f"{where}{_dotted(path)}: {problem}" if path else f"{where}{problem}"


def _origin(path: SettingPath, origins: Mapping[SettingPath, str]) -> str:
    """Say where the value at, above or below a path came from; '' when several places or none made it."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    below = {origin for other, origin in origins.items() if path and other[: len(path)] == path}
    return below.pop() if len(below) == 1 else ""


def _dotted(path: SettingPath) -> str:
    return ".".join(path)


def _variable(path: SettingPath) -> str:
    return _PREFIX + "__".join(path).upper()


def _general(path: SettingPath) -> SettingPath:
    """Return any group's path as that of all groups, to look it up among the known ones."""
    return ("groups", "<group>", *path[2:]) if path[0] == "groups" and len(path) > 1 else path


def _did_you_mean(name: str, known: Collection[str]) -> str:
    hint = did_you_mean(name, known, show=False)
    return f" ({hint})" if hint else ""


def _known_below(section: SettingPath) -> str:
    return ", ".join(path[-1] for path in _KNOWN if path[:-1] == section)


def _walk(model: type[BaseModel], parent: SettingPath) -> Iterator[tuple[SettingPath, bool]]:
    """Yield every setting there is, with whether it is a section."""
    for name, field in model.model_fields.items():
        path, kind = (*parent, name), field.annotation
        if name == "groups" and not parent:
            yield path, True
            yield from _walk(Group, (*path, "<group>"))
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield path, True
            yield from _walk(kind, path)
        else:
            yield path, False


_KNOWN = dict(_walk(Settings, ()))
_SECTIONS = frozenset(path for path, is_section in _KNOWN.items() if is_section)
_DOTTED = tuple(_dotted(path) for path in _KNOWN)
_VARIABLES = tuple(
    _variable(path)
    for path, is_section in _KNOWN.items()
    if path == ("groups",) or not (is_section or "<group>" in path)
)
