"""JSON that somebody may have written by hand: checked against a shape, cut down to it, or refused in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from stgan.errors import StganError
from stgan.names import quoted
from stgan.report.page import sane_number

_LARGEST = 1 << 28  # bytes; 10,000 clips take about 3 million
_LONGEST_TEXT = 20_000

Shape = Any
"""What a value may be: a predicate; [shape], a list; {str: shape}, a table by name; {"name": shape, ...}, a record.

None fits every shape but that of a list's items, and an entry that a record lacks is None.
"""


def text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def truth(value: Any) -> bool:
    return isinstance(value, bool)


def number(value: Any) -> bool:
    return sane_number(value) is not None


def count(value: Any) -> bool:
    return number(value) and isinstance(value, int) and value >= 0


def fraction(value: Any) -> bool:
    return number(value) and 0 <= value <= 1


def pair_of(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A list of two, the first not the larger."""
    return lambda value: isinstance(value, list) and len(value) == 2 and all(map(kind, value)) and value[0] <= value[1]


def read(
    path: Path,
    shape: dict[str, Shape],
    required: dict[str, Any],
    remedy: str,
    check: Callable[[dict[str, Any]], None] = lambda record: None,
) -> dict[str, Any]:
    """A record from a JSON file, as by `fitted`.

    Args:
        remedy: how the sentence goes on if the file is not like this.
        check: what a shape cannot say; it raises ValueError as `fitted` does.

    Raises:
        StganError: the file cannot be read or has another shape.
    """
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise ValueError("not a file, or too large")
        record = fitted(json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse), shape, required)
        check(record)
    except (OSError, ValueError, RecursionError) as error:
        place = " ".join(str(error).split())[:100]
        raise StganError(f"{quoted(path)} cannot be used (wrong: {place}); {remedy}") from error
    return record


def fitted(value: Any, shape: dict[str, Shape], required: dict[str, Any]) -> dict[str, Any]:
    """All entries of the shape and no others; None for those that the value lacks.

    Args:
        required: entries that must have these values, or with None must be there.

    Raises:
        ValueError: the value has another shape; the message is the place.
    """
    record = _fitted(value, shape, "") or {}
    for name, wanted in required.items():
        if record.get(name) is None or (wanted is not None and record[name] != wanted):
            raise ValueError(name)
    return record


def _fitted(value: Any, shape: Shape, place: str) -> Any:
    """The value, of records only the entries that the shape has; ValueError with the place of what does not fit."""
    if value is None:
        return None
    if isinstance(shape, list):
        if isinstance(value, list) and None not in value:
            return [_fitted(item, shape[0], f"{place}[{i}]") for i, item in enumerate(value)]
    elif isinstance(shape, dict) and str in shape:
        if isinstance(value, dict):
            return {name: _fitted(item, shape[str], f"{place}[{name[:40]!a}]") for name, item in value.items()}
    elif isinstance(shape, dict):
        if isinstance(value, dict):
            return {
                name: _fitted(value.get(name), inner, f"{place}.{name}" if place else name)
                for name, inner in shape.items()
            }
    elif shape(value):
        return value
    raise ValueError(place or "the whole")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
