"""Words that the model knows and that nothing compiles yet: they are refused, never ignored.

Whoever lands the compilation of a word takes it out of `NOT_YET`. When that is empty, this module goes.
"""

from collections.abc import Iterator, Mapping

from xds.documents.defect import Defect, Path
from xds.rules.model import Model, RuleDocument
from xds.rules.model.base import words_of

NOT_YET: Mapping[type[Model], frozenset[str]] = {
    RuleDocument: frozenset({"aliases"}),
}
"""The fields, by Python's names."""


def not_yet(value: object, path: Path = ()) -> Iterator[Defect]:
    """Yield a defect for every word in a valid document that is not supported yet."""
    if isinstance(value, Model):
        refused = NOT_YET.get(type(value), frozenset())
        words = words_of(type(value))
        for name in value.model_fields_set:
            here = (*path, words[name])
            if name in refused:
                yield Defect(here, "not supported yet", "remove it", at_key=True)
            else:
                yield from not_yet(getattr(value, name), here)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from not_yet(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from not_yet(item, (*path, key))
