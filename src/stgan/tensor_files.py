"""What is checked of an untrusted file of tensors before it is read: of NumPy, of PyTorch, and .safetensors.

`weights_only=True` runs no code, but a pickle may still allocate any amount of memory (a bytearray of any length).
So the names that a pickle uses are checked first, and only those of tensors are allowed.
"""

import io
import pickletools
import re
import struct
import zipfile
from math import prod
from pathlib import Path

import numpy as np

from stgan.archives import open_archive

LONGEST_HEADER = 1 << 9
"""Bytes of a NumPy header. Known files have 128, and a long one takes long to parse."""

_LONGEST_TABLE = 1 << 20  # bytes
_VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MOST_PICKLED = 1 << 22  # bytes of the tensors' description; that of a thousand tensors takes 0.1 MB
_PICKLES = 5  # in an old file before its values: a mark, a version, the machine, the tensors, their keys
_TENSORS = re.compile(
    r"torch\._utils _rebuild_(tensor|tensor_v2|parameter)|collections OrderedDict|torch\.nn\.parameter Parameter|"
    r"torch ([A-Z][A-Za-z0-9]*Storage|Size)"
)
_ELSEWHERE = ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4")  # other ways to name something


def npy_header(head: bytes, size: int) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether it is in Fortran's order, type and offset of a .npy file's array.

    head: its first `LONGEST_HEADER` bytes. size: of the whole file.

    Raises:
        ValueError: it is damaged, or not of this size, or holds Python objects.
    """
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    if version not in _VERSIONS:
        raise ValueError(f"one of its arrays is of NumPy's format {version}, which no known file has")
    shape, fortran, dtype = _VERSIONS[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code")
    if min(shape, default=0) < 0 or stream.tell() + prod(shape) * dtype.itemsize != size:
        raise ValueError("one of its arrays is cut short or damaged")
    return shape, fortran, dtype, stream.tell()


def check_table(path: Path) -> None:
    """ValueError if the table of contents of a .safetensors file has over 1 MB: safetensors would read up to 100 MB
    for a minute.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) == 8 and struct.unpack("<Q", start)[0] > _LONGEST_TABLE:
        raise ValueError(f"its table of contents is longer than {_LONGEST_TABLE} bytes")


def check_pickles(path: Path, zipped: bool, most_bytes: int) -> None:
    """ValueError for pickles that name anything but tensors, or for a compressed archive.

    zipped: whether the file is an archive. most_bytes: of the archive, see `open_archive`.
    """
    if zipped:
        with open_archive(path, most_bytes) as archive:
            infos = archive.infolist()
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise ValueError("it is compressed, which torch.save does not do")
            # PyTorch reads this member of the first one's folder, in whatever case its name is written.
            wanted = infos[0].filename.partition("/")[0] + "/data.pkl" if infos else ""
            described = [info for info in infos if info.filename.lower().endswith("data.pkl")]
            names = [info.filename for info in described]
            if names != [wanted] or described[0].file_size > _MOST_PICKLED:
                raise ValueError("it is not a file of torch.save, or holds more than tensors")
            pickles, count = io.BytesIO(archive.read(described[0])), 1
    else:
        with path.open("rb") as file:
            pickles, count = io.BytesIO(file.read(_MOST_PICKLED)), _PICKLES
    for _ in range(count):
        for operation, argument, _ in pickletools.genops(pickles):
            if operation.name in _ELSEWHERE or (operation.name == "GLOBAL" and not _TENSORS.fullmatch(str(argument))):
                raise ValueError(
                    f"it holds more than tensors ({str(argument)[:60]!r}), which could run code; save the tensors alone"
                )
