"""Zip archives, also such in which programs find different files: `good` for the one and `evil` for the other."""

import io
import struct
import zipfile
from collections.abc import Callable

Members = dict[str, bytes]


def zipped(members: Members, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def streamed(members: Members) -> bytes:
    """As a server writes it that does not know the sizes: they follow each member."""

    class Pipe(io.BytesIO):
        def tell(self) -> int:
            raise OSError

    file = Pipe()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def two_directories(good: Members, evil: Members) -> bytes:
    """zipfile reads the directory before the end, PyTorch the one at the offset that the end gives."""
    members, directory, end = _parts(zipped(evil))
    return members + directory + zipped(good)[: -len(end)] + _with_begin(end, len(members))


def overlapping(good: Members, evil: Members) -> bytes:
    """The directory lists the first member once more, under the name of the last."""
    members, directory, end = _parts(zipped({**good, "last": next(iter(good.values()))}))
    at = directory.rindex(b"PK\1\2")
    entry = bytearray(directory[at:])
    entry[42:46] = bytes(4)
    return members + directory[:at] + bytes(entry) + end


def renamed(good: Members, evil: Members) -> bytes:
    """The first member has one name in the directory and another before its content."""
    content = zipped(good)
    return content[:30] + bytes([content[30] ^ 0x20]) + content[31:]


def between(good: Members, evil: Members) -> bytes:
    members, directory, end = _parts(zipped(good))
    return members + b"hidden" + directory + _with_begin(end, len(members) + 6)


def hidden_member(good: Members, evil: Members) -> bytes:
    """The last member is not in the directory."""
    members, directory, end = _parts(zipped({**good, "hidden": b"x"}))
    last = directory.rindex(b"PK\1\2")
    counts = struct.pack("<2H2L", len(good), len(good), last, len(members))
    return members + directory[:last] + end[:8] + counts + end[20:]


def two_ends(good: Members, evil: Members) -> bytes:
    """A 64-bit end that leads to another directory than the 32-bit end."""
    members, directory, end = _parts(zipped(evil))
    count, begin = len(good), len(members)
    second = len(members) + len(directory)
    other, listed, _ = _parts(zipped(good))
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(listed), second + len(other))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, second + len(other) + len(listed), 1)
    return members + directory + other + listed + record + locator + _with_begin(end, begin)


AMBIGUOUS: tuple[Callable[[Members, Members], bytes], ...] = (
    two_directories,
    overlapping,
    renamed,
    between,
    hidden_member,
    two_ends,
    lambda good, evil: b"before" + zipped(good),
    lambda good, evil: zipped(good) + b"after",
    lambda good, evil: zipped(evil, comment=zipped(good)[-65_000:]),
    lambda good, evil: zipped(evil) + zipped(good),
    lambda good, evil: zipped({**good, **{name.upper(): content for name, content in evil.items()}}),
)


def _parts(content: bytes) -> tuple[bytes, bytes, bytes]:
    """The members, the directory, and its end."""
    length, begin = struct.unpack_from("<2L", content, len(content) - 10)
    return content[:begin], content[begin : begin + length], content[begin + length :]


def _with_begin(end: bytes, begin: int) -> bytes:
    return end[:16] + struct.pack("<L", begin) + end[20:]
