"""Sections of a parameter file: typed and frozen. Allowed values are stated once; an error is one line.

The file is read by the parser that DVC has, so that both see the same values: YAML 1.2, in which 010 is ten.
"""

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import core_schema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vad import VadError

SHOWN = 100
"""Characters of a wrong value that a message shows."""
LARGEST = 5000
"""Most values that a parameter file may hold: by aliases a small file can expand without limit."""

Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
"""Strict: true is not 1, and text is not a number."""


class OneOf:
    """In an annotation: the text is one of `names`."""

    def __init__(self, names: Sequence[str] | Mapping[str, Any]) -> None:
        self.names = tuple(names)

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.names))


class Section(BaseModel):
    """A group of parameters that can't be changed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=Section)


def load(path: Path, model: type[Model], renamed: Mapping[str, str]) -> Model:
    """Read and check a parameter file. `renamed` has the names that keys and values once had -> those of now.

    Raises VadError with one line a problem: the file, the key, its value and what is allowed.
    """
    try:
        return model.model_validate(_read(path))
    except ValidationError as error:
        problems = error.errors()
        # An item that is refused makes its list too short as well: the item says it all.
        nested = {problem["loc"][:-1] for problem in problems if problem["loc"]}
        told = [problem for problem in problems if not problem["loc"] or problem["loc"] not in nested]
        lines = dict.fromkeys(_explain(problem, model, renamed) for problem in told)
        raise VadError("\n".join(f"{path}: {line}" for line in lines)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        # Not the parser in C, which DVC uses and which reads the same: what is nested too deeply would end the process.
        values = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise VadError(f"{path}: must be a mapping of parameters; `git checkout {path}` restores it")
        if _count(values, LARGEST) >= LARGEST:
            raise VadError(f"{path}: holds more than {LARGEST} values; `git checkout {path}` restores it")
        return values
    except FileNotFoundError:
        raise VadError(f"{path}: no such file; run this from the top folder of the project") from None
    except (YAMLError, ValueError, RecursionError) as error:  # a date that is none, an integer of 5,000 digits
        raise VadError(f"{path}: not valid YAML: {_short(' '.join(str(error).split()), 300)}") from None


def _count(values: Any, most: int) -> int:
    """How many values there are, those inside included, counted up to `most`: what holds itself has no end."""
    waiting, count = [values], 0
    while waiting and count < most:
        value = waiting.pop()
        count += 1
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return count


def _short(text: str, length: int = SHOWN) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _explain(problem: Any, model: type[Section], renamed: Mapping[str, str]) -> str:
    """One pydantic error as `key = value: what is allowed`."""
    location = problem["loc"]
    key = ".".join(str(part) for part in location if part != "[key]")
    section, field = _field(location, model)
    if problem["type"] == "extra_forbidden" or location[-1:] == ("[key]",):
        name = str(location[-1] if location[-1] != "[key]" else location[-2])
        known = _keys(field) if field else list((section or model).model_fields)
        return f"{key}: unknown key; {_hint(name, known, renamed)}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    may_be = allowed(field) if field else "a section"
    if problem["type"] == "missing":
        return f"{key}: missing; must be {may_be}"
    value = problem["input"]
    hint = f"; {value} is called {renamed[value]} now" if isinstance(value, str) and value in renamed else ""
    return f"{key} = {_short(repr(value))}: must be {may_be}{hint}"


def _hint(name: str, known: Sequence[str], renamed: Mapping[str, str]) -> str:
    for old, new in renamed.items():
        if name == old or name.startswith(f"{old}_"):
            return f"it is called {new}{name.removeprefix(old)} now"
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def _field(location: tuple[Any, ...], model: type[Section]) -> tuple[type[Section] | None, FieldInfo | None]:
    """The section that a location lies in, and the field of it that holds what is there, None for a section's own."""
    section: type[Section] = model
    for part in location:
        if part not in section.model_fields:
            return section, None
        field = section.model_fields[part]
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, Section)):
            return section, field
        section = field.annotation
    return section, None


def _keys(field: FieldInfo) -> list[str]:
    """The keys that a mapping may have."""
    (key, _) = get_args(field.annotation)
    return list(_one_of(get_args(key)[1:]))


def _one_of(metadata: Sequence[Any]) -> tuple[str, ...]:
    return next((one.names for one in metadata if isinstance(one, OneOf)), ())


def allowed(field: FieldInfo) -> str:
    """What a field's value may be, in words: from its type and bounds, and in brackets what its description adds."""
    text = _allowed(field.annotation, field.metadata)
    return f"{text} ({field.description})" if field.description else text


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The words that a field's value may be, or may be a list of; none for numbers, paths and sections."""
    annotation, metadata = field.annotation, list(field.metadata)
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Literal:
            return tuple(map(str, get_args(part)))
        if get_origin(part) is Annotated:
            metadata += part.__metadata__
    return _one_of(metadata)


def _allowed(annotation: Any, metadata: Sequence[Any]) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _allowed(inner[0], [*annotation.__metadata__, *metadata])
    if names := _one_of(metadata) or (inner if origin is Literal else ()):
        return " or ".join(filter(None, [", ".join(map(str, names[:-1])), str(names[-1])]))
    if origin in (Union, types.UnionType):
        return " or ".join(_allowed(part, metadata) for part in sorted(inner, key=lambda part: part is not type(None)))
    if origin is tuple:
        empty = "" if any(isinstance(one, MinLen) for one in metadata) else ", maybe empty,"
        words = choices(FieldInfo(annotation=annotation))
        return f"a list{empty} of {', '.join(words)}"
    if origin is dict:
        return f"a mapping from {', '.join(_one_of(get_args(inner[0])[1:]))} to {_allowed(inner[1], ())}"
    simple = {type(None): "null", bool: "true or false", Path: "a path"}
    return simple.get(annotation) or _bounds(annotation, _flat(metadata))


def _flat(metadata: Sequence[Any]) -> list[Any]:
    """Metadata with what lies inside a `Field(...)` beside the rest."""
    return [one for item in metadata for one in (item.metadata if isinstance(item, FieldInfo) else [item])]


def _bounds(kind: Any, metadata: Sequence[Any]) -> str:
    if isinstance(kind, type) and issubclass(kind, Section):
        return "a section"
    least = next((f"from {one.ge}" for one in metadata if isinstance(one, Ge)), "")
    least = next((f"above {one.gt}" for one in metadata if isinstance(one, Gt)), least)
    most = next((f"{one.le}" for one in metadata if isinstance(one, Le)), "")
    most = next((f"below {one.lt}" for one in metadata if isinstance(one, Lt)), most)
    what = "an integer" if kind is int else "a number"
    what = next((f"a multiple of {one.multiple_of}" for one in metadata if isinstance(one, MultipleOf)), what)
    if not most:
        return f"{what} {least}" + (" up" if least.startswith("from") else "")
    if least.startswith("above"):
        return f"{what} {least} and {'' if most.startswith('below') else 'up to '}{most}"
    return f"{what} {least} to {most}"
