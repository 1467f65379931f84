"""A reader of the Protocol Buffers wire format (protobuf.dev/programming-guides/encoding) that copies nothing.

The protobuf library converts a whole message to objects, which takes up to twenty times the size of a hostile file.
This reader yields views of the file and limits the number of fields of a file.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, BYTES = 0, 2
"""Wire types in Caffe's files: a number; a string, a message or packed numbers."""

_FIXED = {1: 8, 5: 4}  # bytes of the two wire types of fixed length
_MOST_FIELDS = 100_000  # of a file, with those inside others; real networks have less than 10,000


class Field(NamedTuple):
    """One field of a message. way: its wire type. value: a number, or the bytes of any other type."""

    number: int
    way: int
    value: int | memoryview


class Budget:
    """How many more fields and numbers are read from a file."""

    def __init__(self) -> None:
        self.left = _MOST_FIELDS

    def spend(self) -> None:
        """Count one. ValueError if the file has too many."""
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"it has more than {_MOST_FIELDS} fields")


def fields(message: memoryview, budget: Budget) -> Iterator[Field]:
    """Yield the fields of a message in their order.

    Raises:
        ValueError: the message is cut short or invalid, or the file has too many fields.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, way = key >> 3, key & 7
        if not number or way not in (VARINT, BYTES, *_FIXED):
            raise ValueError("it is damaged, or not a protocol buffer")
        length, at = (_FIXED[way], at) if way in _FIXED else _varint(message, at)
        budget.spend()
        if way == VARINT:
            yield Field(number, way, length)
            continue
        if length > len(message) - at:
            raise ValueError("it is cut short or damaged: a field is longer than the rest of the file")
        yield Field(number, way, message[at : at + length])
        at += length


def varints(packed: memoryview, budget: Budget) -> list[int]:
    """Packed numbers. ValueError if the last one is cut short, or the file has too many."""
    numbers, at = [], 0
    while at < len(packed):
        number, at = _varint(packed, at)
        numbers.append(number)
        budget.spend()
    return numbers


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, stored in seven bits per byte, and the offset after it."""
    number = 0
    for i, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return number, at + i + 1
    raise ValueError("it is cut short or damaged: a number does not end")
