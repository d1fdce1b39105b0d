"""The names that records are made of, and what a record is."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    WithJsonSchema,
)

from sanrec.errors import ConfigError, unknown

Modality = Literal["text", "image", "video", "audio"]
Pooling = Literal["first", "mean", "last"]
Label = Annotated[str, WithJsonSchema({"type": ["string", "integer"]})]  # yaml reads 0 as a number
Moment = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int | float | date) else value),
    WithJsonSchema({"type": ["string", "number"]}),
]  # a number or a date, as it stands in a table; yaml reads both
Fusion = Literal["concat", "static", "dynamic", "momef"]

CHANNELS: dict[str, Modality] = {  # a channel is one view of an item
    "title": "text",
    "cover": "image",
    "video": "video",
    "audio": "audio",
    "cover-caption": "text",
    "video-caption": "text",
}
LETTERS = {"T": "title", "I": "cover", "V": "video", "A": "audio"}  # in the papers' order
CAPTIONED: dict[str, str] = {"cover-caption": "cover", "video-caption": "video"}  # what a channel's captions are of
Medium = Literal["cover", "video"]
USUAL_CAPTIONERS: dict[str, dict[str, str]] = {  # by the corpus' source; those of files are IISAN-Versa's (IV-A)
    "files": {"cover": "llava-mistral-7b", "video": "llava-34b"},
    "demo": {"cover": "llava", "video": "llava"},
}


class Frozen(BaseModel):
    """A record that cannot change and takes no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def validate(model: type[Frozen], values: Mapping[str, Any], where: str) -> Any:
    """Build `model` from `values`, turning pydantic's complaints into one ConfigError for people.

    `where` says what the values are, as `config.yaml`. Every complaint is listed; unknown keys get the nearest
    valid one.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = []
        for complaint in error.errors():
            place = ".".join(str(part) for part in complaint["loc"])
            if complaint["type"] == "extra_forbidden":
                keys = _fields_at(model, complaint["loc"][:-1])
                before = [str(part) for part in complaint["loc"][:-1]]
                lines.append(str(unknown("key", place, [".".join([*before, key]) for key in keys])))
            else:
                given = f", not {complaint.get('input')!r}" if place else ""  # else it is the whole record
                lines.append(f"{place or 'value'}: {complaint['msg']}{given}")
        raise ConfigError(f"{where}: " + "; ".join(lines)) from None


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The field names of the record that `path` leads to from `model`, through dicts and tuples of records."""
    for part in path:
        field = model.model_fields.get(str(part))
        annotation: Any = field.annotation if field else model
        inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = inner[0] if inner else model
    return list(model.model_fields)
