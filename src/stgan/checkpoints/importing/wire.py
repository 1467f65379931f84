"""A reader of the Protocol Buffers wire format (protobuf.dev/programming-guides/encoding) that copies nothing.

The protobuf library converts a whole message to objects, which takes up to twenty times the size of a hostile file.
This reader yields views of the file and limits the number of fields of a message.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, BYTES = 0, 2
"""Wire types in Caffe's files: a number; a string, a message or packed numbers."""

_FIXED = {1: 8, 5: 4}  # bytes of the two wire types of fixed length
_MOST_FIELDS = 10_000  # of one message; real networks have about 100


class Field(NamedTuple):
    """One field of a message. way: its wire type. value: a number, or the bytes of any other type."""

    number: int
    way: int
    value: int | memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message in their order.

    Raises:
        ValueError: the message is cut short or invalid, or has too many fields.
    """
    at = count = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, way = key >> 3, key & 7
        if not number or way not in (VARINT, BYTES, *_FIXED):
            raise ValueError("it is damaged, or not a protocol buffer")
        length, at = (_FIXED[way], at) if way in _FIXED else _varint(message, at)
        count += 1
        if count > _MOST_FIELDS:
            raise ValueError(f"one of its messages has more than {_MOST_FIELDS} fields")
        if way == VARINT:
            yield Field(number, way, length)
            continue
        if length > len(message) - at:
            raise ValueError("it is cut short or damaged: a field is longer than the rest of the file")
        yield Field(number, way, message[at : at + length])
        at += length


def varints(packed: memoryview) -> list[int]:
    """Packed numbers. ValueError if the last one is cut short, or there are too many."""
    numbers, at = [], 0
    while at < len(packed):
        number, at = _varint(packed, at)
        numbers.append(number)
        if len(numbers) > _MOST_FIELDS:
            raise ValueError("one of its lists of numbers is too long")
    return numbers


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, stored in seven bits per byte, and the offset after it."""
    number = 0
    for i, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return number, at + i + 1
    raise ValueError("it is cut short or damaged: a number does not end")
