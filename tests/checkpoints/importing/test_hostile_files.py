"""Files that are damaged, or made to harm: one sentence each, no code run, no memory taken."""

import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published import Source, c3d, deepsim, write_binaryproto, write_caffemodel, write_chainer

from stgan.checkpoints import CheckpointError
from stgan.checkpoints.importing import import_weights, recognise
from stgan.checkpoints.importing.layers import MOST_BYTES

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Imports a file of these bytes as a C3D with a mean, and gives the sentence in which it is refused."""
    np.save(tmp_path / "mean.npy", np.ones((16, 112, 112, 3), np.float32))

    def sentence(content: bytes | Path, kind: str = "c3d") -> str:
        path = content if isinstance(content, Path) else tmp_path / "file"
        if isinstance(content, bytes):
            path.write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            import_weights(kind, [path, tmp_path / "mean.npy"] if kind == "c3d" else [path])
        text = str(caught.value)
        assert text.isprintable() and len(text) < 1000, text
        return text

    return sentence


class Payload:
    """Unpickling it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


class Reduced:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


def saved(value: Any, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def npy(array: np.ndarray, **header: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {**np.lib.format.header_data_from_array_1_0(array), **header})
    return buffer.getvalue() + array.tobytes()


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def test_what_is_no_file_of_weights(refused: Callable[..., str], tmp_path: Path) -> None:
    for content in (
        b"",
        b"words",
        bytes(1000),
        b"\x89HDF\r\n\x1a\n",
        pickle.dumps({"a": 1}),
        os.urandom(50),
    ):
        assert "is not a file of weights" in refused(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "none", tmp_path / "folder", tmp_path / "loop", Path("/dev/zero"), tmp_path / ("x" * 300)):
        with pytest.raises(CheckpointError) as caught:
            recognise(path)
        assert str(caught.value).isprintable()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    assert "too large" in refused(tmp_path / "large")
    assert "which could run code" not in refused(archive({"weights.txt": b"words"}))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_run_nothing_and_take_nothing(
    zipped: bool, refused: Callable[..., str], tmp_path: Path, rng: np.random.Generator
) -> None:
    weights = {f"conv{i}.weight": torch.ones(2, 3, 3, 3, 3) for i in range(8)}
    harmful = tmp_path / "executed"
    for value in (
        Payload(harmful),
        Reduced(bytearray, 1 << 40),
        Reduced(torch.zeros, 1 << 40),
        Reduced(getattr, "a", "upper"),
        np.float64(1),
    ):
        assert "it holds more than tensors" in refused(saved({**weights, "more": value}, zipped))
    assert not harmful.exists()
    stretched = torch.ones(1).expand(1 << 40)
    assert "more values than it has bytes" in refused(saved({"conv1.weight": stretched}, zipped))
    data = saved(weights, zipped)
    for length in (30, len(data) // 2, len(data) - 100):
        refused(data[:length])
    assert "0 and 0" in refused(saved({"epoch": 3}, zipped))
    assert "8 and 0" in refused(saved(weights, zipped))
    assert "is of PyTorch" in refused(data, kind="generator")


def test_a_tape_archive_is_refused_without_advice_to_run_it(refused: Callable[..., str]) -> None:
    """PyTorch takes a file that `tarfile` opens for one of its oldest format, and advises weights_only=False."""
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, {}, []))
    header = bytearray(start + tarfile.TarInfo("x").tobuf()[len(start) :])
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    assert tarfile.is_tarfile(io.BytesIO(header + bytes(1024)))
    assert "or holds more than tensors; save the state_dict alone" in refused(bytes(header) + bytes(1024))


def test_archives(refused: Callable[..., str], tmp_path: Path) -> None:
    bomb = archive({"conv1a/W.npy": npy(np.zeros(1)) + bytes(1 << 26)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 17 and "cut short or damaged" in refused(bomb)
    data = saved({"a": torch.ones(3)})
    members = {
        info.filename: zipfile.ZipFile(io.BytesIO(data)).read(info)
        for info in zipfile.ZipFile(io.BytesIO(data)).infolist()
    }
    for content in (data, archive({"conv1a/W.npy": npy(np.zeros(1))})):
        assert "ambiguous" in refused(content + b"more")
        assert "it is no zip archive" in refused(content[:-5])
    assert "it is compressed" in refused(archive(members, zipfile.ZIP_DEFLATED))
    described = {
        name: content + bytes(1 << 23) if name.endswith("data.pkl") else content for name, content in members.items()
    }
    assert "holds more than tensors" in refused(archive(described))
    prefix = next(iter(members)).partition("/")[0]
    harmful = pickle.dumps(Reduced(bytearray, 1 << 40), protocol=2)
    for name in (f"{prefix}/DATA.pkl", f"{prefix}/xdata.pkl", "other/data.pkl"):  # PyTorch ignores case
        assert (
            "not a file of torch.save" in (text := refused(archive({**members, name: harmful}))) or "same name" in text
        )
        benign = {f"{prefix}/xdata.pkl" if key.endswith("data.pkl") else key: value for key, value in members.items()}
        assert "not a file of torch.save" in refused(archive({**benign, name: harmful}))
    liar = bytearray(archive({"conv1a/W.npy": npy(np.zeros(3))}))
    at = liar.rindex(b"PK\x01\x02")
    liar[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)  # the length of the unpacked file, in the directory
    assert "would have more than" in refused(bytes(liar))


def test_arrays(refused: Callable[..., str]) -> None:
    for array, header, message in (
        (np.zeros(3), {"shape": (1 << 50,)}, "cut short or damaged"),
        (np.zeros(3), {"shape": (-3,)}, "cut short or damaged"),
        (np.zeros(3), {"descr": "|O"}, "could run code"),
        (np.zeros(3), {"descr": "<i8"}, "which is not floating-point"),
        (np.zeros(3), {"descr": [("a", "<f8")]}, "which is not floating-point"),
        (np.zeros(3), {"descr": "words"}, "cannot be imported as a c3d"),
        (np.zeros(3), {"shape": (1,) * 10_000}, "cannot be imported as a c3d"),
        (np.zeros(1), {"shape": (1,) * 200}, "cannot be imported as a c3d"),
    ):
        assert message in refused(archive({"conv1a/W.npy": npy(array, **header)}))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is measured as Linux does it")
def test_small_files_that_take_much(tmp_path: Path) -> None:
    """a large mean, a long header, very many arrays, and much behind an array, which its archive does not tell of."""
    many = {f"a{i}.npy": npy(np.zeros(1, np.float32)) for i in range(4000)}
    large = npy(np.zeros(0, np.float16), shape=(3, 1 << 24))
    header = b"\x93NUMPY\x02\0" + struct.pack("<L", 1 << 26) + b" " * (1 << 26)
    for number, members in enumerate(({"mean.npy": large + bytes(3 << 25)}, {"mean.npy": header}, many)):
        with zipfile.ZipFile(tmp_path / f"{number}.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            for name, content in members.items():
                made.writestr(name, content)
    mean, behind = npy(np.ones(3, np.float32)), bytes(1 << 27)
    with zipfile.ZipFile(tmp_path / "3.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.writestr("mean.npy", mean + behind)
    hidden = (tmp_path / "3.npz").read_bytes()
    for true, told in ((len(mean + behind), len(mean)), (zlib.crc32(mean + behind), zlib.crc32(mean))):
        hidden = hidden.replace(struct.pack("<L", true), struct.pack("<L", told))
    (tmp_path / "3.npz").write_bytes(hidden)
    script = r"""
import re, sys
from pathlib import Path
from stgan.checkpoints import CheckpointError
from stgan.checkpoints.importing.published import _layers, _read_mean
folder = Path(sys.argv[1])
def peak():  # not that of getrusage, which a process inherits from the one that starts it
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
for name in ("0.npz", "1.npz"):
    try:
        _read_mean(folder / name)
    except CheckpointError as error:
        print(error)
_layers(folder / "2.npz", "npz", "")
assert _read_mean(folder / "3.npz").read().tolist() == [1, 1, 1]
print(f"{(peak() - before) // 1024} MB")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    mean, header, memory = done.stdout.splitlines()
    assert "more than any mean volume" in mean and "reading array header" in header
    assert int(memory.split()[0]) < 60  # where the files unpack to 100, 67 and 134 MB


def test_object_arrays(refused: Callable[..., str], tmp_path: Path) -> None:
    harmful = tmp_path / "executed"
    objects = np.array([Payload(harmful)], dtype=object)
    np.savez(tmp_path / "weights.npz", **{"conv1a/W": objects})
    assert "could run code" in refused(tmp_path / "weights.npz")
    np.save(tmp_path / "mean2.npy", objects)
    weights = write_chainer(tmp_path / "c3d.npz", c3d(np.random.default_rng(0)))
    with pytest.raises(CheckpointError, match="not a usable mean: it holds Python objects"):
        import_weights("c3d", [weights, tmp_path / "mean2.npy"])
    assert not harmful.exists()


def test_numbers_that_are_none(tmp_path: Path, rng: np.random.Generator) -> None:
    layers = deepsim(rng)
    for bad in (np.nan, np.inf):
        layers[3].arrays[0][0, 0, 0, 0] = bad
        path = write_caffemodel(tmp_path / "weights", layers)
        with pytest.raises(CheckpointError, match="not finite numbers, first in upconv5"):
            import_weights("generator", [path])
    layers[3].arrays[0][0, 0, 0, 0] = 1
    layers[0].arrays[1][:] = 3e38
    with pytest.raises(CheckpointError, match="lead to numbers that are not finite"):
        import_weights("generator", [write_caffemodel(tmp_path / "weights", layers)])
    mean = np.full((1, 3, 16, 128, 171), np.nan, np.float32)
    files = [write_caffemodel(tmp_path / "c3d", c3d(rng), "c3d"), write_binaryproto(tmp_path / "mean", mean)]
    with pytest.raises(CheckpointError, match="not a usable mean: it has values that are not finite"):
        import_weights("c3d", files)


def test_layers_that_do_not_belong_together(
    refused: Callable[..., str], tmp_path: Path, rng: np.random.Generator
) -> None:
    def import_generator(layers: list[Source]) -> str:
        return refused(write_caffemodel(tmp_path / "weights", layers), kind="generator")

    layers = deepsim(rng)
    first, *rest = layers
    assert "it has no layer 'defc7'; its layers are defc6" in import_generator(rest)
    assert "it has two layers 'defc7'" in import_generator([first, *layers])
    renamed = Source("defc7", "Convolution", first.arrays)
    assert "its layer 'defc7' is of the kind convolution, not inner product" in import_generator([renamed, *rest])
    assert "no gapless deconv1" in import_generator(
        [layer for layer in layers if layer.name not in ("deconv3", "conv3_1")]
    )
    assert "no gapless deconv1" in import_generator(c3d(rng)[8:])
    wide = Source("defc5", "InnerProduct", tuple(array[:-1] for array in layers[2].arrays))
    assert "do not form a square map" in import_generator([*layers[:2], wide, *layers[3:]])
    no_bias = Source("defc7", "InnerProduct", first.arrays[:1])
    assert "has 1 arrays, not weights and a bias" in import_generator([no_bias, *rest])
    empty = Source("defc7", "InnerProduct", (first.arrays[0][:0], first.arrays[1][:0]))
    assert "empty arrays" in import_generator([empty, *rest])
    other = Source("deconv1", "Deconvolution", layers[-2].arrays, stride=1, pad=1)
    assert "has stride 1 and padding 1" in import_generator([*layers[:-2], other, layers[-1]])
    narrow = Source("defc6", "InnerProduct", tuple(array[:-1] for array in layers[1].arrays))
    assert "2 tensors differ, the first is 'fc7.bias' ((23,) in the file, (24,) expected)" in import_generator(
        [first, narrow, *layers[2:]]
    )
    assert "cannot be imported; networks that can are" in refused(
        write_caffemodel(tmp_path / "weights", layers), kind="map_prior"
    )
    assert "is a mean, which only a C3D has" in refused_with_mean(tmp_path, layers)


def refused_with_mean(folder: Path, layers: list[Source]) -> str:
    files = [
        write_caffemodel(folder / "weights", layers),
        write_binaryproto(folder / "volume", np.ones((1, 1, 1, 1, 1))),
    ]
    with pytest.raises(CheckpointError) as caught:
        import_weights("generator", files)
    return str(caught.value)
