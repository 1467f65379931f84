"""Seeded damage: to bytes, to parsed JSON or YAML, and to lines of text."""

import copy
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

EXTREME_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
EXTREME_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0xFFFFFF, 0x0FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HOSTILE_STRINGS = (
    *(
        "",
        " ",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:\\a",
        "a\0b",
        "-rf",
        "--help",
        "~",
        "$HOME",
    ),
    *("walk\nrun", "\x1b[31mred", "\u202egnp.4pm", "e\u0301", "\U0001f483", "\ud800", "NaN", "1e999", "12", "None"),
    *("a" * 300, "b" * 100_000, "http://127.0.0.1:9/x", "{{7*7}}", "__class__", "%s%n"),
)
HOSTILE_VALUES = (
    *(None, True, False, 0, 1, -1, 3, 0.5, -0.5, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")),
    *(10**6, 10**9, 2**31, 2**63, 10**30, -(10**9), [], {}, [[]], [None], {"": None}, [1] * 1000, [[1]] * 200),
    *HOSTILE_STRINGS,
)


class Call:
    """Unpickling it would call a function."""

    def __init__(self, function: Callable[..., Any], arguments: tuple) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple]:
        return self.call


def damage_bytes(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """One to four kinds of damage, one after the other; `others` are files to take pieces from."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(_BYTE_DAMAGE)(bytearray(data), rng, others)
    return bytes(data)


def damage_values(values: Any, rng: Random) -> Any:
    """A copy of parsed JSON or YAML in which one to three places are wrong."""
    values = copy.deepcopy(values)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(values))
        if not places:
            return copy.deepcopy(rng.choice(HOSTILE_VALUES))
        holder, key = rng.choice(places)
        match rng.randrange(8):
            case 0 if isinstance(holder, dict):
                holder[rng.choice(("", "extra", "__class__", "format", "network"))] = holder.pop(key)
            case 1:
                del holder[key]
            case 2:
                other, other_key = rng.choice(places)
                if other_key in other if isinstance(other, dict) else other_key < len(other):
                    holder[key] = copy.deepcopy(other[other_key])
            case 3 if isinstance(holder[key], int | float):
                holder[key] = holder[key] * rng.choice((-1, 0, 2, 0.5, 10, 1000, 10**9))
            case 4 if isinstance(holder[key], list):
                holder[key] = holder[key] * rng.choice((0, 2, 5, 100))
            case 5 if isinstance(holder[key], str):
                holder[key] = holder[key] + rng.choice(HOSTILE_STRINGS)
            case 6:
                deep: Any = 1
                for _ in range(rng.choice((3, 50, 400))):
                    deep = [deep] if rng.random() < 0.5 else {"a": deep}
                holder[key] = deep
            case _:
                holder[key] = copy.deepcopy(rng.choice(HOSTILE_VALUES))
    return values


def damage_lines(text: str, rng: Random) -> str:
    """A csv file or a list in which cells, lines or line ends are wrong."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        cells = lines[at].split(",")
        match rng.randrange(8):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 2:
                lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
            case 3:
                lines[at] += rng.choice((",", '"', "\r", "\0", ",,,,,,,", "x" * 2_000_000, '"' * 999, "\ufeff"))
            case 4:
                lines = ["\r".join(lines) if rng.random() < 0.5 else "\r\n".join(lines)]
            case 5:
                lines[0] = "\ufeff" + lines[0]
            case _:
                cells[rng.randrange(len(cells))] = rng.choice(HOSTILE_STRINGS)
                lines[at] = ",".join(cells)
    return "\n".join(lines)


def _places(values: Any) -> Any:
    """Every (container, key) of nested dicts and lists."""
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        yield values, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _somewhere(data: bytearray, rng: Random) -> int:
    """A place, often among the first bytes, which say what the rest is."""
    return rng.randrange(max(1, len(data) if rng.random() < 0.5 else min(len(data), rng.choice((16, 64, 512, 4096)))))


def _flip(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    for _ in range(rng.choice((1, 2, 8, 64)) if data else 0):
        data[_somewhere(data, rng)] ^= 1 << rng.randrange(8)
    return data


def _set(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at, length = _somewhere(data, rng), rng.choice((1, 2, 4, 16, 256))
    data[at : at + length] = bytes([rng.choice(EXTREME_BYTES)]) * len(data[at : at + length])
    return data


def _number(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    width = rng.choice((1, 2, 4, 8))
    number = (rng.choice(EXTREME_NUMBERS) << rng.choice((0, 0, 32))) & ((1 << 8 * width) - 1)
    at = _somewhere(data, rng)
    data[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))[: len(data[at : at + width])]
    return data


def _field(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    """A number near one of the four-letter names with which mp4, mov and avi mark their fields."""
    names = [match.start() for match in re.finditer(rb"[A-Za-z][A-Za-z0-9 ]{3}", bytes(data))]
    if not names:
        return _number(data, rng, others)
    at = max(0, rng.choice(names) + rng.choice((-4, 4, 8, 12, 16, 20, 24, 28, 32)))
    data[at : at + 4] = rng.choice(EXTREME_NUMBERS).to_bytes(4, rng.choice(("big", "little")))[: len(data[at : at + 4])]
    return data


def _cut(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    return data[: _somewhere(data, rng)]


def _remove(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at = _somewhere(data, rng)
    del data[at : at + rng.choice((1, 3, 16, 300, 5000))]
    return data


def _insert(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at = _somewhere(data, rng)
    data[at:at] = rng.choice((rng.randbytes(rng.choice((1, 4, 100, 5000))), b"\0" * 1000, b"\xff" * 1000))
    return data


def _repeat(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    at, length = _somewhere(data, rng), rng.choice((4, 64, 1000, 20_000))
    data[at:at] = data[at : at + length] * rng.choice((1, 3, 50))
    return data


def _splice(data: bytearray, rng: Random, others: Sequence[bytes]) -> bytearray:
    other = rng.choice(others) if others else bytes(data)
    start, length = rng.randrange(max(1, len(other))), rng.choice((8, 100, 4000, 10**6))
    at = _somewhere(data, rng)
    data[at : at + length] = other[start : start + length]
    return data


_BYTE_DAMAGE = (_flip, _flip, _set, _number, _field, _field, _cut, _remove, _insert, _repeat, _splice)
