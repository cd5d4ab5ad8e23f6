"""The words that may stand at a place, for "did you mean"."""

from collections.abc import Collection
from types import UnionType
from typing import Annotated, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from rapidfuzz import fuzz, process

from xds.documents.defect import Path, printable

_SIMILAR = 60  # of 100; "matches" for "match" is 83, "rout" for "route" 89, "weigth" for "weight" 83
_SHOWN = 20
_CHOICE = "\0"  # no document holds it


def choice(name: str) -> str:
    """Make the tag of one form of a value that has several, such as a list or a mapping.

    Pydantic puts tags into the places of its errors; these ones are told from keys of the document.
    """
    return f"{_CHOICE}{name}"


def without_choices(place: Path) -> Path:
    """Return a place of pydantic's as a path in the document."""
    return tuple(step for step in place if not _is_choice(step))


def words(model: type[BaseModel]) -> list[str]:
    """Return the fields of a model as a document writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def model_at(model: object, place: Path) -> type[BaseModel] | None:
    """Return the model of what is at a place of a document that ``model`` describes, if it is an object."""
    kind: object = _bare(model)
    for step in place:
        if _is_choice(step):
            kind = _bare(_chosen(kind, str(step)))
        elif _is_model(kind):
            fields = {field.alias or name: field for name, field in kind.model_fields.items()}
            kind = _bare(fields[str(step)].annotation) if step in fields else None
        else:
            inner = get_args(kind)
            kind = _bare(inner[1 if get_origin(kind) is dict else 0]) if inner else None
    return kind if _is_model(kind) else None


def did_you_mean(word: str, known: Collection[str], *, show: bool = True) -> str:
    """Name the word that was probably meant, or, to ``show``, what there is."""
    if not known:
        return ""
    found = process.extractOne(
        word[:100].lower(), {name: name.lower() for name in known}, scorer=fuzz.ratio, score_cutoff=_SIMILAR
    )
    if found:
        return f"did you mean {printable(found[2])}?"
    if not show:
        return ""
    few = sorted(known)[:_SHOWN]
    return f"there is {', '.join(map(printable, few))}" + (", …" if len(few) < len(known) else "")


def _is_choice(step: object) -> bool:
    return isinstance(step, str) and step.startswith(_CHOICE)


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _chosen(union: object, tag: str) -> object:
    """Return the member of a union that has a tag."""
    for member in get_args(union):
        if get_origin(member) is Annotated and Tag(tag) in get_args(member):
            return member
    return None


def _bare(annotation: object) -> object:
    """Return ``annotation`` without ``Annotated`` and ``None``; a union with other members stays one."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, UnionType}:
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) > 1:
                return annotation
            annotation = members[0]
        else:
            return annotation
