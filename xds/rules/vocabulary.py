"""The words of the language by where they may stand, for "did you mean"."""

from collections.abc import Collection
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from rapidfuzz import fuzz, process

from xds.documents.defect import Path, printable
from xds.rules.model import HttpRule, Match, Model, RuleDocument, Sticky

LATER: dict[type[Model], frozenset[str]] = {
    RuleDocument: frozenset({"lanes"}),
    Match: frozenset({"sourceIp", "device", "region", "percentage", "lane", "schedule"}),
    HttpRule: frozenset({"fallback", "retries", "mirror", "fault", "headers", "rewrite", "redirect"}),
    Sticky: frozenset({"sourceIp"}),
}
"""Words that the language keeps for what it cannot do yet."""

_SIMILAR = 60  # of 100; "matches" for "match" is 83, "rout" for "route" 89, "weigth" for "weight" 83


def words(model: type[Model]) -> list[str]:
    """The fields of a model as a rule writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def model_at(path: Path) -> type[Model] | None:
    """What the object at ``path`` is in the language; None if there is none."""
    kind: object = RuleDocument
    for step in path:
        if isinstance(kind, type) and issubclass(kind, Model):
            fields = {field.alias or name: field for name, field in kind.model_fields.items()}
            kind = _bare(fields[step].annotation) if step in fields else None
        else:
            args = get_args(kind)
            kind = _bare(args[1 if get_origin(kind) is dict else 0]) if args else None
    return kind if isinstance(kind, type) and issubclass(kind, Model) else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Name the word that was probably meant, or what there is."""
    if not known:
        return ""
    found = process.extractOne(
        word[:100].lower(), {name: name.lower() for name in known}, scorer=fuzz.ratio, score_cutoff=_SIMILAR
    )
    if found:
        return f"did you mean {printable(found[2])}?"
    few = sorted(known)[:20]
    return f"there is {', '.join(map(printable, few))}" + (", …" if len(few) < len(known) else "")


def _bare(annotation: object) -> object:
    """``annotation`` without ``Annotated`` and ``None``."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType):
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        else:
            return annotation
