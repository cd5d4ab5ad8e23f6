"""What all models of the language have in common."""

from functools import cache

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Frozen, closed, camelCase on the outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


@cache
def words_of(model: type[BaseModel]) -> dict[str, str]:
    """Return the words of the language for the fields of a model."""
    return {name: field.alias or name for name, field in model.model_fields.items()}


def given(model: BaseModel, *fields: str) -> list[str]:
    """Return those of some fields that have a value, as words of the language."""
    words = words_of(type(model))
    return [
        words[field]
        for field in fields
        if (value := getattr(model, field)) is not None and value is not False
    ]
