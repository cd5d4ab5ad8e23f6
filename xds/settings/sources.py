"""Reads settings from a YAML file, the environment and flags, each overruling the one before.

Every value keeps its origin, so that whatever is wrong is told with the place to mend it. What is wrong
is reported all at once, one line each, and quotes no value that might be a secret.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SettingsError
from rapidfuzz import process
from rapidfuzz.distance import JaroWinkler

from xds.settings.model import Group, Settings

FILE_VARIABLE = "GRAYPLANE_CONFIG"
"""Names the settings file where no flag does."""

_PREFIX = "GRAYPLANE_"
_RESERVED_PREFIX = "GRAYPLANE_TEST_"  # the test harness's own
_CLOSE_ENOUGH = 0.8

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

    Args:
        file: the settings file; the one that ``GRAYPLANE_CONFIG`` names when None, no file when unset.
        flags: values from the command line.

    Raises:
        InvalidSettingsError: with everything that is wrong.
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
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise InvalidSettingsError([f"{file}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise InvalidSettingsError([f"{file}: not UTF-8 at byte {error.start}"]) from None
    except yaml.YAMLError as error:
        raise InvalidSettingsError([_describe_yaml(file, error)]) from None
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise InvalidSettingsError([f"{file}:1:1: settings are a mapping, such as `source: files`"])
    return list(_leaves(file, root, ()))


def _leaves(file: Path, mapping: yaml.MappingNode, parent: SettingPath) -> Iterator[Given]:
    seen: dict[str, str] = {}
    for key, value in mapping.value:
        origin = f"{file}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise InvalidSettingsError([f"{origin}: a setting's name is a plain word"])
        path = (*parent, key.value)
        if key.value in seen:
            raise InvalidSettingsError(
                [f"{origin}: {_dotted(path)} is set twice, first at {seen[key.value]}"]
            )
        seen[key.value] = origin
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(file, value, path)
        elif not (value.tag == "tag:yaml.org,2002:null" and path in _SECTIONS):
            # A section whose settings are all commented out reads as null; that sets nothing.
            yield Given(path, _construct(value, origin), origin)


def _construct(node: yaml.Node, origin: str) -> object:
    loader = yaml.SafeLoader("")
    try:
        value: object = loader.construct_object(node, deep=True)
    except yaml.YAMLError:
        raise InvalidSettingsError([f"{origin}: cannot be read as a YAML value"]) from None
    finally:
        loader.dispose()
    return value


def _describe_yaml(file: Path, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{file}:{mark.line + 1}:{mark.column + 1}: not YAML: {error.problem}"
    return f"{file}: not YAML: {error}"


def _from_environment() -> list[Given]:
    unknown = [
        f"environment: unknown variable {name}{_did_you_mean(name.upper(), _VARIABLES)}"
        for name in sorted(os.environ)
        if name.startswith(_PREFIX)
        and not name.startswith(_RESERVED_PREFIX)
        and name not in (*_VARIABLES, FILE_VARIABLE)
    ]
    if unknown:
        raise InvalidSettingsError(unknown)
    try:
        values = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise InvalidSettingsError([f"environment: {error}; GRAYPLANE_GROUPS is JSON"]) from None
    return list(_flatten(values, ()))


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
    problem = error.get("ctx", {}).get("error") or error["msg"].replace("Input should", "should", 1)
    return f"{where}{_dotted(path)}: {problem}" if path else f"{where}{problem}"


def _origin(path: SettingPath, origins: Mapping[SettingPath, str]) -> str:
    """Where the value at, above or below a path came from; '' when several places or none made it."""
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
    """Any group's path as that of all groups, to look it up among the known ones."""
    return ("groups", "<group>", *path[2:]) if path[0] == "groups" and len(path) > 1 else path


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    found = process.extractOne(name, list(known), scorer=JaroWinkler.similarity, score_cutoff=_CLOSE_ENOUGH)
    return f" (did you mean {found[0]}?)" if found else ""


def _known_below(section: SettingPath) -> str:
    return ", ".join(path[-1] for path in _KNOWN if path[:-1] == section)


def _walk(model: type[BaseModel], parent: SettingPath) -> Iterator[tuple[SettingPath, bool]]:
    """Every setting there is with whether it is a section."""
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
