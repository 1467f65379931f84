"""Caffe's files byte by byte: what is read of them, and what is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import Source, fill, schema, varint, write_binaryproto, write_caffemodel

from stgan.checkpoints.importing import recognise
from stgan.checkpoints.importing.caffe import read_binaryproto, read_caffemodel
from stgan.checkpoints.importing.layers import Convolution
from stgan.checkpoints.importing.wire import BYTES, VARINT, Budget, fields, varints


def by_hand(number: int, content: bytes | int) -> bytes:
    """A field: its number and way, then a number, or a length and so many bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_a_network_written_by_hand(tmp_path: Path) -> None:
    """One layer each of the three forms, from the published numbers of fields alone."""
    new_blob = by_hand(7, by_hand(1, bytes([2, 3]))) + by_hand(5, floats(1, 2, 3, 4, 5, 6))
    settings = by_hand(1, 2) + by_hand(3, 5) + by_hand(4, 3) + by_hand(6, 300)
    new = by_hand(1, b"conv") + by_hand(2, b"Convolution") + by_hand(7, new_blob) + by_hand(106, settings)
    old_blob = b"".join(by_hand(i, n) for i, n in enumerate((1, 1, 3, 2), 1)) + by_hand(5, floats(*range(6)))
    old = by_hand(4, b"inner") + by_hand(5, 14) + by_hand(6, old_blob)
    c3d_blob = b"".join(by_hand(i, n) for i, n in enumerate((1, 1, 1, 2, 2), 1)) + by_hand(6, floats(*range(4)))
    c3d = by_hand(4, b"conv1a") + by_hand(5, 30) + by_hand(6, c3d_blob) + by_hand(10, by_hand(7, 1) + by_hand(3, 1))
    data = by_hand(5, struct.pack("<2d", 0.5, -1))  # an old number of this field would be the width
    doubles = by_hand(7, by_hand(1, 2)) + by_hand(8, data[2:])
    path = tmp_path / "net"
    path.write_bytes(
        by_hand(1, b"name") + by_hand(2, old) + by_hand(2, c3d) + by_hand(100, new)
        + by_hand(100, by_hand(1, b"double") + by_hand(2, b"Bias") + by_hand(7, doubles))
        + by_hand(100, by_hand(1, b"relu") + by_hand(2, b"ReLU"))
    )  # fmt: skip
    assert recognise(path) == "caffemodel"
    inner, conv1a, conv, double = read_caffemodel(path)
    assert (inner.name, inner.kind, inner.weight.shape) == ("inner", "inner product", (1, 1, 3, 2))
    assert inner.weight.with_axes(2).read().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (conv1a.kind, conv1a.weight.shape, conv1a.convolution) == (
        "convolution3d",
        (1, 1, 1, 2, 2),
        Convolution(1, 1),
    )
    assert (conv.kind, conv.convolution) == ("convolution", Convolution(stride=300, padding=5))
    assert conv.weight.read().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert double.kind == "bias" and double.weight.read().tolist() == [0.5, -1]


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 2**64 - 1) | st.binary(max_size=40)), max_size=20))
def test_fields_of_any_message(written: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(by_hand(number, content) for number, content in written)
    found = list(fields(memoryview(message), Budget()))
    assert [(each.number, each.value) for each in found] == written
    assert [each.way for each in found] == [VARINT if isinstance(content, int) else BYTES for _, content in written]
    if message:
        with pytest.raises(ValueError):
            list(fields(memoryview(message + b"\x80"), Budget()))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    for read in (lambda: list(fields(memoryview(message), Budget())), lambda: varints(memoryview(message), Budget())):
        try:
            read()
        except ValueError as error:
            assert str(error)


def test_what_protobuf_writes(tmp_path: Path, rng: np.random.Generator) -> None:
    for shapes in ("shape", "legacy"):
        for form in ("layer", "v1", "c3d"):
            arrays = (rng.random((4, 6), np.float32), rng.random(4, np.float32))
            layers = [Source(name, "InnerProduct", arrays) for name in ("a", "b")]
            path = write_caffemodel(tmp_path / "net", layers, form, shapes)
            net = schema(form == "c3d")["NetParameter"].FromString(
                path.read_bytes()
            )  # the writer wrote what it meant to
            assert np.allclose((net.layer if form == "layer" else net.layers)[1].blobs[0].data, arrays[0].ravel())
            found = read_caffemodel(path)
            assert [layer.name for layer in found] == ["a", "b"] and found[0].convolution is None
            for mine, theirs in zip(found[1].arrays, arrays, strict=True):
                assert np.array_equal(mine.with_axes(theirs.ndim).read().numpy(), theirs)


def test_a_mean(tmp_path: Path, rng: np.random.Generator) -> None:
    for form in ("c3d", "layer"):
        values = rng.random((1, 3, 2, 4, 5), np.float32)
        path = write_binaryproto(tmp_path / "anything", values, form)
        assert recognise(path) == "binaryproto"
        assert np.array_equal(read_binaryproto(path).read().numpy(), values)


def blob(array: np.ndarray, **changed: int) -> bytes:
    made = schema(True)["BlobProto"]()
    fill(made, array, "c3d")
    for name, value in changed.items():
        setattr(made, name, value)
    return made.SerializeToString()


ONES = np.ones((2, 2), np.float32)


def test_damaged_layers(tmp_path: Path) -> None:
    path = tmp_path / "net"
    for layer, message in (
        (by_hand(6, blob(ONES, width=3)), "one of its arrays has 4 values, which do not fit its shape"),
        (by_hand(6, blob(ONES, num=2**62)), "do not fit its shape"),
        (by_hand(6, blob(ONES, num=-1)), "do not fit its shape"),
        (by_hand(6, blob(ONES)[:-3]), "do not fit its shape|cut short"),
        (by_hand(6, by_hand(1, 1) + by_hand(7, b"")), "do not fit its shape"),
        (by_hand(6, blob(ONES)) * 33, "has more than 32 blobs"),
        (by_hand(6, b"") * 20_000, "has more than"),
        (b"\x08\x01" * 100_001, "more than 100000 fields"),
        (b"\x33" + bytes(9), "damaged, or not a protocol buffer"),
        (b"\x02\x00", "damaged, or not a protocol buffer"),
        (b"\x08" + b"\xff" * 12, "a number does not end"),
        (by_hand(7, bytes(5))[:-1], "a field is longer than the rest"),
    ):
        path.write_bytes(by_hand(2, by_hand(4, b"conv1a") + layer))
        with pytest.raises(ValueError, match=message):
            read_caffemodel(path)
    path.write_bytes(b"\x12\x00" * 2001)
    with pytest.raises(ValueError, match="more than 2000 layers"):
        read_caffemodel(path)
