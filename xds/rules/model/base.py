"""What all models of the language have in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Frozen, closed, camelCase on the outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def word(model: type[BaseModel], field: str) -> str:
    """The word of the language for a field of a model."""
    return model.model_fields[field].alias or field


def given(model: BaseModel, *fields: str) -> list[str]:
    """Those of some fields that have a value, as words of the language."""
    values = ((field, getattr(model, field)) for field in fields)
    return [word(type(model), field) for field, value in values if value is not None and value is not False]
