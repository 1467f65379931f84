"""Protocol Buffers on the wire (protobuf.dev/programming-guides/encoding), read where they lie.

The protobuf library turns a whole message into objects: of a file of empty layers it makes twenty times its size, and
of an honest one two copies. Here nothing is copied, and a message may have so many fields and no more.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, BYTES = 0, 2
"""How a value is written, of the ways that Caffe's files use: a number; a string, message or packed numbers."""

_FIXED = {1: 8, 5: 4}  # bytes of the two ways of fixed length
_MOST_FIELDS = 10_000  # of one message; a network's description has a hundredth


class Field(NamedTuple):
    """One field of a message: a number, or the bytes of whatever else it is."""

    number: int
    way: int
    value: int | memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message in the order in which they stand.

    Raises:
        ValueError: it is cut short, no message at all, or has too many fields.
    """
    at = count = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, way = key >> 3, key & 7
        if not number or way not in (VARINT, BYTES, *_FIXED):
            raise ValueError("it is damaged, or no protocol buffer")
        length, at = (_FIXED[way], at) if way in _FIXED else _varint(message, at)
        count += 1
        if count > _MOST_FIELDS:
            raise ValueError(f"one of its messages has more than {_MOST_FIELDS} fields")
        if way == VARINT:
            yield Field(number, way, length)
            continue
        if length > len(message) - at:
            raise ValueError("it is cut short or damaged: a field is longer than what is left of the file")
        yield Field(number, way, message[at : at + length])
        at += length


def varints(packed: memoryview) -> list[int]:
    """Numbers that were written one after the other. ValueError if the last one is cut short, or there are many."""
    numbers, at = [], 0
    while at < len(packed):
        number, at = _varint(packed, at)
        numbers.append(number)
        if len(numbers) > _MOST_FIELDS:
            raise ValueError("one of its lists of numbers is too long")
    return numbers


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, seven to a byte, and where it ends."""
    number = 0
    for i, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return number, at + i + 1
    raise ValueError("it is cut short or damaged: a number does not end")
