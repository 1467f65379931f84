"""Typed records: JSON and YAML files are read into frozen dataclasses and checked here.

Each file format is one frozen dataclass; `annotated_types` give the limits of its values. No file is trusted: it may
have any size, hold any names and values, or not be a regular file.
"""

import dataclasses
import json
import os
import re
import types
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Interval, MaxLen
from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import core_schema

from stgan.errors import StganError
from stgan.files import write_text
from stgan.names import listed, one_line, quoted

T = TypeVar("T")

LARGEST_JSON = 1 << 28
"""Bytes; the scores of 10,000 clips take about 3 million."""
LARGEST_YAML = 1 << 16
"""Bytes; recipes take about 2,000, and PyYAML is slow on nested lists."""
LARGEST_TEXT = 1 << 26
"""Bytes; the list of 100,000 clips takes about 5 million."""
_MOST_YAML_VALUES = 10_000  # in a YAML file; aliases could multiply them without limit
_DEEPEST = 50  # levels of lists and mappings
_LONGEST_NUMBER = 1 << 63

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # YAML 1.1 needs a dot and a sign to read it as a number


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first must not be above the second")
    return pair


# Values that pages show. Larger numbers and longer texts have no meaning there and would break the layout.
Number = Annotated[float, Interval(gt=-1e12, lt=1e12)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
FractionInterval = Annotated[tuple[Fraction, Fraction], AfterValidator(_rising)]
Count = Annotated[int, Interval(ge=0, lt=10**12)]
Text = Annotated[str, MaxLen(20_000)]


class RecordError(ValueError):
    """Values do not fit a record. place: where inside them ("network.layers[2]"; "" for the whole). reason: why."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(one_line(f"{place}: {reason}" if place else reason))
        self.place, self.reason = place, reason


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Annotates a union of records. The file names the type of a record under `key`, beside the record's own values.

    kinds:   record types by the name in the file.
    default: the name where the file has none; if it is empty, the name is required.

    >>> Shape = Annotated[Circle | Square, OneOf("shape", {"circle": Circle, "square": Square})]
    """

    key: str
    kinds: Mapping[str, type[Any]]
    default: str = ""

    def read(self, values: Any) -> Any:
        """The record that plain values describe. ValueError if they do not describe one."""
        if not isinstance(values, dict):
            raise ValueError(_MAPPING)
        name = values.get(self.key, self.default)
        if not isinstance(name, str) or name not in self.kinds:
            found = f", not {quoted(str(name))}" if self.key in values else ""
            raise ValueError(f"{self.key} must be one of {', '.join(self.kinds)}{found}")
        return checked(self.kinds[name], {key: value for key, value in values.items() if key != self.key})

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(self.read)


def as_record(kind: Callable[..., T] | types.UnionType, values: Any, source: str | Path, remedy: str = "") -> T:
    """Convert plain values (of JSON or YAML) to a record: a dataclass, or any type that pydantic knows.

    Types are strict: text is not accepted for a number, and unknown names, NaN and infinities are refused. Lists
    become tuples where the type says so. `__post_init__` of a dataclass may raise ValueError for further rules.

    Args:
        source: where the values come from, for the message.
        remedy: what the user can do, as the second half of the message.

    Raises:
        StganError: the values do not fit the type; the message names the place inside them and the reason.
    """
    try:
        return checked(kind, values)
    except ValueError as error:
        where = quoted(source) if isinstance(source, Path) else source
        raise StganError(f"{where}: {error}" + (f"; {remedy}" if remedy else "")) from error


def checked(kind: Callable[..., T] | types.UnionType, values: Any) -> T:
    """As `as_record`, but raises RecordError, whose message names no source."""
    try:
        text = json.dumps([values])  # pydantic reports the place of a NaN
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError("", f"holds a value that JSON cannot hold ({one_line(error)})") from error
    try:
        (record,) = _adapter(kind).validate_json(text)
        return record
    except ValidationError as error:
        raise _first(error, kind) from error


def as_plain(record: Any) -> Any:
    """Convert a record, or lists and mappings of records, to the plain values that reading its JSON would give."""
    return json.loads(json.dumps(record, default=dataclasses.asdict, allow_nan=False))


def completed(values: Any, record: Any) -> Any:
    """Plain values of an older version of `record`, completed with the defaults of fields that were added since."""
    if not (dataclasses.is_dataclass(record) and isinstance(values, dict)):
        return values
    result = dict(values)
    for item in dataclasses.fields(record):
        if item.name in values:
            result[item.name] = completed(values[item.name], getattr(record, item.name))
        elif item.default is not dataclasses.MISSING:
            result[item.name] = as_plain(item.default)
        elif item.default_factory is not dataclasses.MISSING:
            result[item.name] = as_plain(item.default_factory())
    return result


def read_json(path: Path, most: int = LARGEST_JSON, remedy: str = "") -> Any:
    """Read the plain values of a JSON file of at most `most` bytes. For `remedy` see `as_record`.

    Raises:
        StganError: there is no such regular file, or `parse_json` refuses it.
    """
    then = f"; {remedy}" if remedy else ""
    try:
        return parse_json(read_bounded(path, most))
    except StganError as error:
        raise StganError(f"{error}{then}") from error
    except ValueError as error:
        raise StganError(f"{quoted(path)} is not valid JSON: {one_line(error)}{then}") from error


def parse_json(text: str | bytes) -> Any:
    """Parse JSON to plain values. ValueError for invalid JSON, NaN, infinities, and names that appear twice."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error


def read_record(path: Path, kind: Callable[..., T], remedy: str = "", most: int = LARGEST_JSON) -> T:
    """Read a record from a JSON file. Raises what `read_json` and `as_record` raise."""
    return as_record(kind, read_json(path, most, remedy), path, remedy)


def as_json(record: Any) -> str:
    """The text of the JSON file of a record, or of plain values."""
    return json.dumps(as_plain(record), indent=2, allow_nan=False) + "\n"


def write_record(path: Path, record: Any) -> None:
    """Write a record, or plain values, as a JSON file, atomically."""
    write_text(path, as_json(record))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the names and values of a YAML file. StganError if it cannot be read or holds something else."""
    try:
        values = parse_yaml(read_bounded(path, LARGEST_YAML).decode())
    except (yaml.YAMLError, ValueError) as error:
        raise StganError(f"{quoted(path)} is not valid YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise StganError(f"{quoted(path)}: it must hold names and values")
    return values


def parse_yaml(text: str) -> Any:
    """Parse YAML to plain values of bounded size. YAMLError or ValueError for anything else."""
    try:
        values = yaml.safe_load(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error
    left, count = [(values, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > _MOST_YAML_VALUES or depth > _DEEPEST:
            raise ValueError("it holds too many values, or they are nested too deep")
        if isinstance(value, int) and abs(value) >= _LONGEST_NUMBER:
            raise ValueError("it holds a whole number of more than 63 bits")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left += [(item, depth + 1) for item in inner]
    return values


def merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`values` updated with `overrides`; nested mappings are merged in the same way."""
    result = dict(values)
    for name, value in overrides.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def read_text(path: Path, most: int = LARGEST_TEXT, errors: str = "strict", *, beginning: bool = False) -> str:
    """The text of a regular file in UTF-8, with or without a mark of the byte order, or in UTF-16 with it.

    most:      the largest number of bytes.
    errors:    what happens to other bytes, as in `bytes.decode`.
    beginning: of a larger file, return the text of the first `most` bytes.

    Raises:
        StganError: the file is not regular, cannot be read, is too large, or is not text in UTF-8.
    """
    try:
        content = read_bounded(path, most, beginning=beginning)
        return content.decode("utf-16" if content[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise StganError(f"{quoted(path)} is not text in UTF-8") from error


def read_bounded(path: Path, most: int, *, beginning: bool = False) -> bytes:
    """The bytes of a regular file. StganError if it is not regular, cannot be read, or has more than `most` bytes.

    beginning: of a larger file, return the first `most` bytes.
    """
    try:
        if os.path.lexists(path) and not path.is_file():  # opening a pipe would block
            raise StganError(f"{quoted(path)} is not a regular file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise StganError(f"{quoted(path)} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(content) > most and not beginning:
        raise StganError(f"{quoted(path)} is too large: more than {most} bytes")
    return content[:most]


@cache
def _adapter(kind: Any) -> Any:  # a TypeAdapter, which beartype does not know
    # pydantic accepts a configuration for a container; it then holds for the dataclasses inside.
    return TypeAdapter(tuple[kind], config=_CONFIG)


def _first(error: ValidationError, kind: Any) -> RecordError:
    """The first error: "network.layers[2]: must be a whole number, not 'x'"."""
    errors = [(*_place(kind, each["loc"][1:]), each) for each in error.errors(include_url=False)]
    place, holder, first = errors[0]
    if first["type"] == "unexpected_keyword_argument":
        known = [item.name for item in dataclasses.fields(holder)] if dataclasses.is_dataclass(holder) else []
        nearest = get_close_matches(str(first["loc"][-1]), known, 1)
        meant = f" (did you mean {nearest[0]}?)" if nearest else ""
        reason = f"unknown name{meant}" + (f"; known are {listed(known, str(first['loc'][-1]))}" if known else "")
    elif first["type"] == "value_error":
        inner = first["ctx"]["error"]
        place, reason = f"{place}.{getattr(inner, 'place', '')}".strip("."), getattr(inner, "reason", str(inner))
    elif first["type"] in ("missing", "json_invalid"):
        reason = "is missing" if first["type"] == "missing" else first["msg"]
    else:  # for a union, name every accepted type
        here = [each for other, _, each in errors if other == place]
        reason = " or ".join(dict.fromkeys(_wanted(each) for each in here))
        value = first["input"]
        if place and isinstance(value, str | int | float | bool | None):
            reason += f", not {quoted(str(value)[:100])}"
        if isinstance(value, str) and _EXPONENT.fullmatch(value):
            reason += " (in YAML, 1e-3 has to be written 1.0e-3)"
    return RecordError(place, reason)


_MAPPING = "must hold names and values"
_WANTED = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "dataclass_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "none_required": "must be empty",
}
"""Our words for pydantic's types of errors."""
_PLAIN = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "less than": "below",
}


def _wanted(error: Any) -> str:
    wanted = _WANTED.get(error["type"]) or error["msg"].replace("Input should be", "must be")
    for formal, plain in _PLAIN.items():
        wanted = wanted.replace(formal, plain)
    return wanted


def _place(kind: Any, steps: Sequence[int | str]) -> tuple[str, Any]:
    """The place of an error, and the type that holds it. pydantic's steps include the choices of a union."""
    place, holder = "", kind
    for step in steps:
        kind = _plain_type(kind)
        if isinstance(kind, tuple):  # a union
            same = [choice for choice in kind if getattr(choice, "__name__", "") == step]
            kind = same[0] if same else next((choice for choice in kind if get_args(choice)), Any)
            continue
        holder, inner = kind, get_args(kind)
        if dataclasses.is_dataclass(kind):
            kind = get_type_hints(kind, include_extras=True).get(str(step), Any)
        elif isinstance(step, int) and inner and ... not in inner and len(inner) > step:
            kind = inner[step]
        else:
            kind = inner[0 if isinstance(step, int) else -1] if inner else Any
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    return place.removeprefix("."), holder


def _plain_type(kind: Any) -> Any:
    """A type without its annotations, or the choices of a union, without None, where more than one is left."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    choices = tuple(choice for choice in get_args(kind) if choice is not type(None))
    return choices if len(choices) > 1 else _plain_type(choices[0])


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {quoted(next(name for name in names if names.count(name) > 1))} appears twice")
    return values


def _finite(number: str) -> float:
    return float(number) if abs(float(number)) < float("inf") else _refuse(quoted(number[:20]))  # such as 1e999


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
