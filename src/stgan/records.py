"""Typed records: what JSON and YAML files hold, read into frozen dataclasses and checked here, once.

A file format is a frozen dataclass. Nothing in such a file is trusted: it may be of any size, hold any names and
values, or be no regular file at all.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import yaml
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from stgan.errors import StganError
from stgan.files import write_text
from stgan.names import quoted

T = TypeVar("T")

LARGEST_JSON = 1 << 28
"""Bytes; the scores of 10,000 clips take about 3 million."""
LARGEST_YAML = 1 << 16
"""Bytes; recipes take about 2,000, and PyYAML takes long over nested lists."""
_MOST_YAML_VALUES = 10_000  # of a YAML file, whose aliases could stand for any number
_DEEPEST = 50  # levels of lists and mappings
_LONGEST_NUMBER = 1 << 63

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first must not be above the second")
    return pair


# For figures that are shown to people: larger numbers and longer texts mean nothing and would break a page.
Number = Annotated[float, Field(gt=-1e12, lt=1e12)]
Fraction = Annotated[float, Field(ge=0, le=1)]
FractionInterval = Annotated[tuple[Fraction, Fraction], AfterValidator(_rising)]
Count = Annotated[int, Field(ge=0, lt=10**12)]
Text = Annotated[str, Field(max_length=20_000)]


def as_record(kind: type[T], values: Any, source: str | Path, remedy: str = "") -> T:
    """Plain values (of JSON or YAML) as a record of this type: a dataclass, or any type that pydantic knows.

    Types are strict: no text for a number, no unknown names, no NaN and no infinity. Lists become tuples where the
    type says so. `__post_init__` of a dataclass may raise ValueError for what a type cannot say.

    Args:
        source: where the values are from, for the message.
        remedy: what the user can do about it, as the message's second half.

    Raises:
        StganError: the values are something else; the message names the place inside and what is wrong with it.
    """
    try:
        return checked(kind, values)
    except ValueError as error:
        where = quoted(source) if isinstance(source, Path) else source
        raise StganError(f"{where}: {error}" + (f"; {remedy}" if remedy else "")) from error


def checked(kind: type[T], values: Any) -> T:
    """As `as_record`. ValueError if the values are something else; the message is one line without a source."""
    try:
        text = json.dumps([values])  # where a NaN stands, pydantic says
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"holds what is no plain value ({_one_line(error)})") from error
    try:
        adapter: TypeAdapter[tuple[T]] = _adapter(kind)  # type: ignore[arg-type]
        return adapter.validate_json(text)[0]
    except ValidationError as error:
        raise ValueError(_first_reason(error)) from error


def as_plain(record: Any) -> Any:
    """A record as plain values: what JSON gives back, so that both can be compared."""
    values = dataclasses.asdict(record) if dataclasses.is_dataclass(record) else record  # type: ignore[arg-type]
    return json.loads(json.dumps(values, allow_nan=False))


def read_json(path: Path, most: int = LARGEST_JSON, remedy: str = "") -> Any:
    """The plain values of a JSON file of at most `most` bytes. No name may come twice in an object.

    remedy: see `as_record`.

    Raises:
        StganError: there is no such regular file, or it is something else.
    """
    then = f"; {remedy}" if remedy else ""
    try:
        return parse_json(read_bounded(path, most))
    except StganError as error:
        raise StganError(f"{error}{then}") from error
    except ValueError as error:
        raise StganError(f"{quoted(path)} is not valid JSON: {_one_line(error)}{then}") from error


def parse_json(text: str | bytes) -> Any:
    """Plain values from JSON. ValueError for anything else: also NaN, infinities and names that come twice."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error


def read_record(path: Path, kind: type[T], remedy: str = "", most: int = LARGEST_JSON) -> T:
    """A record from a JSON file; errors as of `read_json` and `as_record`."""
    return as_record(kind, read_json(path, most, remedy), path, remedy)


def write_record(path: Path, record: Any) -> None:
    """A record, or plain values, as a JSON file that appears whole or not at all."""
    write_text(path, json.dumps(as_plain(record), indent=2, allow_nan=False) + "\n")


def read_yaml(path: Path) -> dict[str, Any]:
    """The names and values of a YAML file. StganError if it is something else."""
    try:
        values = parse_yaml(read_bounded(path, LARGEST_YAML).decode())
    except (yaml.YAMLError, ValueError) as error:
        raise StganError(f"{quoted(path)} is not valid YAML: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise StganError(f"{quoted(path)}: it must hold names and values")
    return values


def parse_yaml(text: str) -> Any:
    """Plain values of bounded size from YAML. YAMLError or ValueError for anything else."""
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
            raise ValueError("it holds a number of insane size")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left += [(item, depth + 1) for item in inner]
    return values


def merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `overrides` in their place, nested mappings likewise."""
    result = dict(values)
    for name, value in overrides.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file. StganError if it is none, cannot be read, or is larger than `most` bytes."""
    try:
        if os.path.lexists(path) and not path.is_file():  # to open a pipe would wait for ever
            raise StganError(f"{quoted(path)} is not a regular file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise StganError(f"{quoted(path)} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(content) > most:
        raise StganError(f"{quoted(path)} is too large: more than {most} bytes")
    return content


@cache
def _adapter(kind: type[Any]) -> Any:  # a TypeAdapter, which beartype does not know
    # pydantic takes a configuration for a container only; from there it holds for the dataclasses inside.
    return TypeAdapter(tuple[kind], config=_CONFIG)  # type: ignore[valid-type]


def _first_reason(error: ValidationError) -> str:
    """The first thing that is wrong, with its place: "network.layers[2]: Input should be a valid integer"."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ""
    for step in first["loc"][1:]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    said = {"unexpected_keyword_argument": "unknown name", "missing": "is missing"}.get(first["type"])
    reason = said or first["msg"].removeprefix("Value error, ")
    if not said and place and isinstance(first["input"], str | int | float | bool | None):
        reason += f", not {quoted(str(first['input'])[:100])}"
    return _one_line(f"{place[1:]}: {reason}" if place else reason)


def _one_line(message: object) -> str:
    text = " ".join(str(message).split()) or type(message).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {quoted(next(name for name in names if names.count(name) > 1))} comes twice")
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
