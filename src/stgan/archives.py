"""Zip archives of untrusted files: of PyTorch, of NumPy, and downloaded ones.

Programs find the directory of an archive in different ways, so that one archive can hold two sets of files: one for the
program that checks it, and another for the program that loads it. `open_archive` accepts only archives in which every
byte belongs to one member, to the single directory, or to its end, so that all programs read the same.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

MOST_MEMBERS = 10_000
"""Of an archive. Known files have at most about 2,000."""

_MEMBER = struct.Struct("<4s5H3L2H")  # signature, version, flags, method, time, date, CRC, two sizes, two lengths
_END = struct.Struct("<4s4H2LH")  # signature, two disks, entries here, entries, size, offset, length of the comment
_END64 = struct.Struct("<4sQ2H2L4Q")  # signature, size, two versions, two disks, entries here, entries, size, offset
_EXTRA64 = struct.Struct("<2H2Q")  # kind, length, two sizes
_LOCATOR64 = struct.Struct("<4sLQL")  # signature, disk, offset of the record above, disks
_LONGEST_COMMENT = (1 << 16) - 1
_ELSEWHERE = (1 << 32) - 1  # as a size: it is in the extra field
_DESCRIBED, _ENCRYPTED, _UTF8 = 1 << 3, 1 << 0, 1 << 11  # flags
_FOLDER = 1 << 4  # attribute; PyTorch reads nothing from such a member and gives what was in memory before
_DESCRIPTORS: tuple[int, ...] = (0, 12, 16, 20, 24)  # bytes that may follow a member with the flag _DESCRIBED


@contextmanager
def open_archive(path: Path, most_bytes: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive, once all of it except the members' contents is checked.

    most_bytes: the largest sum of the members' unpacked sizes. A member never yields more bytes than its size.

    Raises:
        ValueError: the archive is damaged, ambiguous, encrypted, or too large, or has too many members. Reading a
            damaged member raises it, too.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        entries, begin = _directory(file)
        try:
            with zipfile.ZipFile(file) as archive:
                if len(archive.infolist()) != entries:
                    raise ValueError("its archive is ambiguous: its directory is longer than its end says")
                _check_members(file, archive.infolist(), begin, most_bytes)
                yield archive
        except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, struct.error) as error:
            raise ValueError(f"its archive is damaged: {error}") from error


def is_archive(path: Path) -> bool:
    """Whether a file starts as a zip archive does. PyTorch decides in this way, too."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def _directory(file: BinaryIO) -> tuple[int, int]:
    """The number of members, and the offset of the directory, which only its end follows. ValueError otherwise."""
    size = file.seek(0, 2)
    start = max(0, size - _END.size - _LONGEST_COMMENT)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise ValueError("it is no zip archive, or it is cut short")
    _, disk, first, here, entries, length, begin, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise ValueError("its archive is ambiguous: data follow its directory")
    end = start + at
    if at >= _LOCATOR64.size and tail[at - _LOCATOR64.size : at].startswith(b"PK\6\7"):
        _, _, place, _ = _LOCATOR64.unpack_from(tail, at - _LOCATOR64.size)
        end -= _LOCATOR64.size + _END64.size
        if place != end:
            raise ValueError("its archive is ambiguous: its directory has two ends")
        short = (here, entries, length, begin)
        file.seek(end)
        signature, _, _, _, disk, first, *long = _END64.unpack(file.read(_END64.size))
        full = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        if signature != b"PK\6\6" or any(a not in (b, most) for a, b, most in zip(short, long, full, strict=True)):
            raise ValueError("its archive is ambiguous: its directory has two ends")
        here, entries, length, begin = long
    if disk or first or here != entries or begin + length != end:
        raise ValueError("its archive is ambiguous: its directory is not where its end says")
    if entries > MOST_MEMBERS:
        raise ValueError(f"its archive has more than {MOST_MEMBERS} members")
    return entries, begin


def _check_members(file: BinaryIO, infos: list[zipfile.ZipInfo], begin: int, most_bytes: int) -> None:
    """ValueError unless the members fill the file from its start to its directory, which begins at `begin`."""
    if sum(info.file_size for info in infos) > most_bytes:
        raise ValueError(f"its archive is too large: unpacked it would have more than {most_bytes} bytes")
    if len({info.orig_filename.lower() for info in infos}) < len(infos):  # PyTorch ignores case
        raise ValueError("its archive is ambiguous: two members have the same name")
    at, gaps = 0, _DESCRIPTORS[:1]
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & _ENCRYPTED:
            raise ValueError("its archive is encrypted, or packed in an unknown way")
        file.seek(info.header_offset)
        signature, _, flags, method, _, _, crc, packed, size, name, extra = _MEMBER.unpack(file.read(_MEMBER.size))
        if (signature, flags, method) != (b"PK\3\4", info.flag_bits, info.compress_type):
            raise ValueError("its archive is ambiguous: a member does not fit the directory")
        written = info.orig_filename.encode("utf-8" if flags & _UTF8 else "cp437")
        if file.read(name) != written or info.filename != info.orig_filename:
            raise ValueError("its archive is ambiguous: a member has two names")
        if (info.is_dir() or info.external_attr & _FOLDER) and info.file_size:
            raise ValueError("its archive is ambiguous: a folder in it has a content")
        before = crc, *_sizes(packed, size, file.read(extra))
        listed = info.CRC, info.compress_size, info.file_size
        if before != listed and not (flags & _DESCRIBED and before == (0, 0, 0)):
            raise ValueError("its archive is ambiguous: a member has two sizes")
        if method == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise ValueError("its archive is ambiguous: a member has two sizes")
        if info.header_offset - at not in gaps:
            raise ValueError("its archive is ambiguous: members overlap, or data belong to none")
        at = info.header_offset + _MEMBER.size + name + extra + info.compress_size
        gaps = _DESCRIPTORS if flags & _DESCRIBED else _DESCRIPTORS[:1]
    if begin - at not in gaps:
        raise ValueError("its archive is ambiguous: members overlap the directory, or data belong to none")


def _sizes(packed: int, size: int, extra: bytes) -> tuple[int, int]:
    """The sizes of a member before its content: those in its header, or in its extra field where they are large."""
    while _ELSEWHERE in (packed, size) and len(extra) >= _EXTRA64.size:
        kind, length, *sizes = _EXTRA64.unpack_from(extra)
        if (kind, length) == (1, 16):
            size, packed = sizes
            break
        extra = extra[4 + length :]
    return packed, size
