"""Zip archives that programs may read differently, that lie about their sizes, or that unpack to gigabytes."""

import pickle
import re
import struct
import zipfile
import zlib
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import torch
from mutations import EXTREME_NUMBERS, HOSTILE_STRINGS, Call, damage_bytes
from odd_archives import AMBIGUOUS, Members, streamed, zipped
from published import c3d, write_chainer
from published_weights import MEAN, state_dict
from torch import nn

from stgan.archives import open_archive
from stgan.checkpoints.fetching import fetch
from stgan.checkpoints.i3d_files import load_i3d
from stgan.checkpoints.importing import import_weights
from stgan.checkpoints.known_files import KnownFile
from stgan.errors import StganError
from stgan.files import remove

_URL = "http://127.0.0.1:9/net.zip"
_NET = b"the file that is wanted " * 500
_FIELDS = {  # offsets and bytes of the numbers in a header: flags, method, CRC, sizes, lengths, ...
    b"PK\3\4": {6: 2, 8: 2, 14: 4, 18: 4, 22: 4, 26: 2, 28: 2},
    b"PK\1\2": {8: 2, 10: 2, 16: 4, 20: 4, 24: 4, 28: 2, 30: 2, 32: 2, 34: 2, 42: 4},
    b"PK\5\6": {4: 2, 6: 2, 8: 2, 10: 2, 12: 4, 16: 4, 20: 2},
}
_MEMBER, _LISTED = b"PK\3\4", b"PK\1\2"
_GIANT = 1 << 31  # bytes of zeros


class Archives:
    """A zip archive as weights (PyTorch, NumPy), as an I3D (TorchScript), or downloaded.

    Two programs that open an accepted archive in different ways have to find the same in it.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.path, self.mean, self.out = folder / "case.pt", folder / "mean.npz", folder / "out"
        np.savez_compressed(self.mean, mean=np.full(MEAN, 100, np.float32))
        layers = c3d(np.random.default_rng(0), (2,) * 8, (3, 3), 4)
        torch.save(state_dict(layers), folder / "torch")
        harmful = Call(Path.touch, (folder / "executed",))
        torch.jit.script(_Writes(str(folder / "executed"))).save(str(folder / "script"))
        remove(folder / "executed")
        weights, arrays = _members(folder / "torch"), _members(write_chainer(folder / "chainer.npz", layers))
        objects = BytesIO()
        np.lib.format.write_array(objects, np.array([harmful], dtype=object))
        self.families: dict[str, tuple[Members, Members]] = {
            "torch": (weights, {**weights, "torch/data.pkl": pickle.dumps({"a": harmful}, 2)}),
            "script": (weights, _members(folder / "script")),
            "npz": (arrays, {**arrays, next(iter(arrays)): objects.getvalue()}),
            "fetched": ({"a/fc6/net": _NET, "a/fc7/net": b"x"}, {"a/fc6/net": _NET[::-1], "b/fc6/net": _NET}),
        }
        self.family = ""

    def damage(self, rng: Random) -> Path:
        self.family = rng.choice(list(self.families))
        good, evil = self.families[self.family][:: rng.choice((1, 1, 1, -1))]
        match rng.randrange(8):
            case 0 | 1:
                data = rng.choice(AMBIGUOUS)(good, evil)
            case 2 | 3 | 4:
                method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                data = _damage_headers(zipped(good, method), rng)
            case 5:
                data = _bomb(good, rng)
            case 6:
                data = zipped(_with_odd_name(good, rng)) if rng.random() < 0.7 else streamed(good)
            case _:
                data = damage_bytes(zipped(good), rng, [zipped(evil)])
        self.path.write_bytes(damage_bytes(data, rng, ()) if rng.random() < 0.1 else data)
        if self.family == "fetched":
            self._pretend_to_download(data)
        return self.path

    def attempt(self, path: Path) -> None:
        _check_unambiguous(path)
        if self.family == "fetched":
            self._fetch()
        elif self.family == "script":
            load_i3d(path)
        else:
            import_weights("c3d", [path, self.mean], protocol="tgan")

    def _pretend_to_download(self, data: bytes) -> None:
        """Leave what a download leaves that ended with its last byte."""
        remove(self.out)
        self.out.mkdir()
        (self.out / "net.part").write_bytes(data)
        notes = f'{{"url": "{_URL}", "version": "", "tag": "", "total": {len(data)}}}'
        (self.out / "net.part.json").write_text(notes)

    def _fetch(self) -> None:
        digest = f"sha256:{sha256(_NET).hexdigest()}"
        known = KnownFile("net", "", "net", "its page", (_URL,), member="fc6/net", size=len(_NET), checksum=digest)
        try:
            assert fetch(known, self.out).path.read_bytes() == _NET
        except StganError:
            assert {file.name for file in self.out.iterdir()} == {".net.lock"}
            raise


class _Writes(nn.Module):
    """TorchScript that writes a file when it is loaded."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.target, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.target, self.training = state
        torch.save(torch.zeros(1), self.target)


def _members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _check_unambiguous(path: Path) -> None:
    """AssertionError if an accepted archive holds something else for PyTorch, or for who reads it from its start."""
    try:
        with open_archive(path, 1 << 24) as archive:
            found = {info.filename: archive.open(info).read(info.file_size) for info in archive.infolist()}
            described = any(info.flag_bits & 8 for info in archive.infolist())  # sizes follow the contents
    except ValueError:
        return
    assert described or _from_start(path.read_bytes()) == found
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        records = {name: reader.get_record(name) for name in reader.get_all_records()}
    except RuntimeError:
        return
    inner = {name.partition("/")[2]: content for name, content in found.items()}  # PyTorch leaves the folder out
    assert records.items() <= inner.items(), records.items() - inner.items()


def _from_start(data: bytes) -> Members:
    """The members of an archive, one after the other, without its directory."""
    found, at = {}, 0
    while data[at : at + 4] == _MEMBER:
        method, packed, size, name, extra = struct.unpack_from("<8xH8x2L2H", data, at)
        start = at + 30 + name + extra
        if size == 0xFFFFFFFF:
            size, packed = struct.unpack_from("<4x2Q", data, at + 30 + name)
        content = data[start : start + packed]
        if method == zipfile.ZIP_DEFLATED:
            content = zlib.decompressobj(-15).decompress(content, size) if size else b""
        found[data[at + 30 : at + 30 + name].decode("utf-8", "replace")] = content
        at = start + packed
    return found


def _damage_headers(data: bytes, rng: Random) -> bytes:
    """Wrong numbers in headers, in half of the cases before a member and in the directory alike."""
    damaged = bytearray(data)
    places = [(found.start(), found.group()) for found in re.finditer(rb"PK(?:\x03\x04|\x01\x02|\x05\x06)", data)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, kind = rng.choice(places)
        field, width = rng.choice(list(_FIELDS[kind].items()))
        old = int.from_bytes(damaged[at + field : at + field + width], "little")
        small = rng.choice((-100, -12, -1, 1, 12, 16, 100))
        new = rng.choice((old + small, old ^ (1 << rng.randrange(8 * width)), rng.choice(EXTREME_NUMBERS), 8, 0))
        twins = [(at, field)]
        if kind == _MEMBER and rng.random() < 0.5:
            number = [start for start, each in places if each == _MEMBER].index(at)
            twins += [(start, field + 2) for start, each in places if each == _LISTED][number : number + 1]
        for start, offset in twins:
            number_bytes = (new % (1 << 8 * width)).to_bytes(width, "little")
            damaged[start + offset : start + offset + width] = number_bytes
    return bytes(damaged)


def _bomb(members: Members, rng: Random) -> bytes:
    """A member that unpacks to gigabytes, and says so or does not; or very many members."""
    name, *_ = members
    if rng.random() < 0.1:
        return zipped({**members, **{f"{name}{i}": b"" for i in range(rng.choice((9_000, 20_000)))}})
    packer = zlib.compressobj(wbits=-15)
    begin = packer.compress(members[name]) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = begin + zeros * (_GIANT >> 20) + packer.flush()
    data = bytearray(zipped({**members, name: packed}))
    claimed = rng.choice((_GIANT, len(members[name]), len(members[name]), 0, len(packed), 0xFFFFFFFE, 1 << 29))
    for place, method, size in ((data.index(name.encode()) - 30, 8, 22), (data.rindex(name.encode()) - 46, 10, 24)):
        struct.pack_into("<H", data, place + method, zipfile.ZIP_DEFLATED)
        struct.pack_into("<L", data, place + size, claimed)
    return bytes(data)


def _with_odd_name(members: Members, rng: Random) -> Members:
    """One more member, or another name for one; names that differ only in case, or that lead elsewhere."""
    known = rng.choice(list(members))
    hostile = rng.choice(HOSTILE_STRINGS).encode("utf-8", "replace").decode()[:60_000]
    name = rng.choice((known.upper(), f"../{known}", f"/{known}", known.replace("/", "\\"), f"{known}/", hostile))
    kept = {key: value for key, value in members.items() if key != known or rng.random() < 0.5}
    return {**kept, name or "x": members[known]}
