"""C3D from each of its formats and by each protocol, against its equations in double precision."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from frames import as_videos, grey_levels, relative
from published import Source, c3d, tensorflow_variables, write_binaryproto, write_chainer
from restated import c3d_logits
from safetensors.torch import save_file

from stgan.checkpoints import CheckpointError
from stgan.checkpoints.importing import import_weights
from stgan.checkpoints.importing.layers import Array
from stgan.checkpoints.importing.tensorflow_checkpoints import tensorflow_layers
from stgan.networks import C3D
from stgan.video.ucf101_names import CLASSES

CLOSE, FAR = 1e-4, 1e-2
PER_CHANNEL = {"jfzhang95": [90.0, 98.0, 102.0], "mmaction": [104.0, 117.0, 128.0]}  # BGR, RGB


@pytest.fixture
def mean(rng: np.random.Generator) -> np.ndarray:
    """A mean volume that differs in each place, as no published one does: "3 16 128 171", BGR."""
    return rng.uniform(40, 160, (3, 16, 128, 171)).astype(np.float32)


def prepared(protocol: str, frames: np.ndarray, mean: np.ndarray, order: int = 0, corner: tuple = ()) -> np.ndarray:
    """The network's input of RGB bytes, "3 16 112 112", as the program behind a protocol makes it.

    order, corner: of the colours and of the mean; other than published where they are given.
    """
    stretched = {"tgan": ((128, 128), cv2.INTER_CUBIC), "tgan2": ((112, 112), cv2.INTER_LINEAR)}
    size, how = stretched.get(protocol, ((171, 128), cv2.INTER_LINEAR))
    if protocol == "tensorflow":
        size = (int(frames.shape[2] * (112.0 / frames.shape[1]) + 1), 112)
    resized = np.stack([cv2.resize(frame.astype(np.float64), size, interpolation=how) for frame in frames])
    top, left = (size[1] - 112) // 2, (size[0] - 112) // 2
    order = order or (1 if protocol in ("tensorflow", "mmaction") else -1)
    pixels = resized[:, top : top + 112, left : left + 112, ::order].transpose(3, 0, 1, 2)
    if protocol in PER_CHANNEL:
        return pixels - np.array(PER_CHANNEL[protocol]).reshape(3, 1, 1, 1)
    row, column = corner or {"tgan2": (8, 8)}.get(protocol, (8, 29))
    return pixels - mean[:, :, row : row + 112, column : column + 112]


def frames_for(protocol: str, rng: np.random.Generator) -> np.ndarray:
    return grey_levels(rng, 16, *((112, 112) if protocol == "tgan2" else (120, 160)))


def check(network: C3D, layers: list[Source], protocol: str, frames: np.ndarray, mean: np.ndarray, pool5="up") -> None:
    """Its input and its logits are those of its program, and would not be with anything swapped."""
    videos, right = as_videos(frames), prepared(protocol, frames, mean)
    pixels = network.config.preprocessing.video(videos, network.mean_volume)[0]
    assert relative(pixels, right) < CLOSE
    order = -1 if protocol in ("tensorflow", "mmaction") else 1
    wrong = [prepared(protocol, frames, mean, order=order), prepared(protocol, frames[::-1], mean)]
    if protocol not in PER_CHANNEL:
        corner = (8, 29) if protocol == "tgan2" else (8, 8)
        wrong += [prepared(protocol, frames, mean, corner=corner), prepared(protocol, frames, mean[::-1])]
        wrong += [prepared(protocol, frames, mean * 0)]
    assert all(relative(pixels, each) > 10 * FAR for each in wrong)
    logits = network(videos)[0]
    assert relative(logits, c3d_logits(layers, right, pool5)) < CLOSE
    assert relative(logits, c3d_logits(layers, right, "around" if pool5 == "up" else "up")) > FAR
    assert relative(logits, c3d_logits(layers, wrong[0], pool5)) > FAR


@pytest.mark.parametrize("inner", [("fc6-1", "fc7-1", "fc8-1"), ("fc6", "fc7", "fc8_ucf101")])
def test_facebooks_caffe(
    inner: tuple, write: Callable[..., Path], rng: np.random.Generator, mean: np.ndarray, tmp_path: Path
) -> None:
    layers = c3d(rng, inner_names=inner)
    volume = write_binaryproto(tmp_path / "mean", mean[None])
    checkpoint = import_weights("c3d", [volume, write(layers, "c3d")])
    assert checkpoint.network.config.stages == ((3,), (4,), (5, 6), (6, 5), (4, 4)) and checkpoint.actions == ()
    check(checkpoint.network, layers, "caffe", frames_for("caffe", rng), mean)
    axes = [replace(each, type="Convolution") if each.pad else each for each in layers]  # of Caffe's own, five
    again = import_weights("c3d", [write(axes, "layer"), volume])
    assert again.hash == checkpoint.hash


def test_where_poolings_are(
    write: Callable[..., Path], rng: np.random.Generator, mean: np.ndarray, tmp_path: Path
) -> None:
    """By the numbers in the names; without them as published, with eight convolutions or five."""
    volume = write_binaryproto(tmp_path / "mean", mean[None])
    five, odd = ("conv1a", "conv2a", "conv3a", "conv4a", "conv5a"), ("c1", "c2a", "c2b", "c3", "c4", "c5")
    for names, stages in (
        (five, ((2,), (3,), (4,), (3,), (2,))),
        (tuple("abcde"), ((2,), (3,), (4,), (3,), (2,))),
        (odd, ((2,), (3, 4), (3,), (2,), (2,))),
        (tuple("abcdefgh"), ((2,), (3,), (4, 3), (2, 2), (2, 2))),
    ):
        layers = c3d(rng, (2, 3, 4, 3, 2, 2, 2, 2)[: len(names)], names=names)
        assert import_weights("c3d", [write(layers, "c3d"), volume]).network.config.stages == stages
    with pytest.raises(CheckpointError, match="6 convolutions whose names do not tell where the poolings are"):
        import_weights("c3d", [write(c3d(rng, (2,) * 6, names=tuple("abcdef")), "c3d"), volume])


@pytest.mark.parametrize(("protocol", "compressed"), [("tgan", True), ("tgan2", True), ("tgan2", False)])
def test_chainer(protocol: str, compressed: bool, rng: np.random.Generator, mean: np.ndarray, tmp_path: Path) -> None:
    layers = c3d(rng, classes=101)
    weights = write_chainer(tmp_path / "weights.npz", layers, compressed)
    np.savez(tmp_path / "mean2.npz", mean=mean if compressed else mean[:, None])
    checkpoint = import_weights("c3d", [weights, tmp_path / "mean2.npz"], protocol=protocol)
    assert checkpoint.actions == CLASSES
    if compressed:
        check(checkpoint.network, layers, protocol, frames_for(protocol, rng), mean)
    else:
        default = import_weights("c3d", [weights, tmp_path / "mean2.npz"])
        assert default.provenance["imported"]["protocol"] == "tgan"


@pytest.mark.parametrize("pool5", ["channels-first", "channels-last"])
def test_tensorflow_variables(pool5: str, rng: np.random.Generator) -> None:
    """Kernels and inner products in their order of axes; pool5 in both."""
    layers = c3d(rng)
    variables = tensorflow_variables(layers, channels_last=pool5 == "channels-last")
    arrays = {
        name.split("/")[-1]: Array(value.shape, lambda value=value: torch.from_numpy(value))
        for name, value in variables.items()
    }
    ours = tensorflow_layers(arrays, pool5)
    for mine, theirs in zip(ours, layers, strict=True):
        for found, wanted in zip(mine.arrays, theirs.arrays, strict=True):
            assert found.shape == wanted.shape and np.array_equal(found.read().numpy(), wanted)
    other = tensorflow_layers(arrays, "channels-first" if pool5 == "channels-last" else "channels-last")
    assert not np.array_equal(other[8].arrays[0].read().numpy(), layers[8].arrays[0])


PORTS = {
    "jfzhang95": ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b", "fc6", "fc7", "fc8"),
    "numbered": (*(f"features.{i}" for i in (0, 3, 6, 8, 11, 13, 16, 18)), *(f"classifier.{i}" for i in (0, 3, 6))),
    "mmaction": (
        *(f"backbone.conv{i}.conv" for i in ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")),
        *("backbone.fc6", "backbone.fc7", "cls_head.fc_cls"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("port", "format"),
    [
        ("jfzhang95", "zip"),
        ("mmaction", "zip"),
        ("numbered", "old"),
        ("numbered", "training"),
        ("mmaction", "safetensors"),
    ],
)
def test_ports_to_pytorch(port: str, format: str, rng: np.random.Generator, mean: np.ndarray, tmp_path: Path) -> None:
    layers = c3d(rng)
    state = {}
    for name, layer in zip(PORTS[port], layers, strict=True):
        state |= {
            f"{name}.weight": torch.from_numpy(layer.arrays[0]),
            f"{name}.bias": torch.from_numpy(layer.arrays[1]),
        }
    path = tmp_path / "weights"
    if format == "safetensors":
        save_file(state, path)
    elif format == "training":
        prefixed = {f"module.{name}": torch.nn.Parameter(value) for name, value in state.items()}
        moments = {0: {"momentum_buffer": torch.zeros(3), "step": 4}}
        torch.save({"epoch": 3, "opt_dict": {"state": moments}, "state_dict": prefixed}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=format == "zip")
    checkpoint = import_weights("c3d", [path])
    protocol = checkpoint.provenance["imported"]["protocol"]
    assert protocol == ("mmaction" if port == "mmaction" else "jfzhang95")
    assert checkpoint.network.config.pad_last_pool is True
    for i, layer in enumerate(layers[:8]):
        assert np.array_equal(checkpoint.network.convolutions[i].weight.numpy(), layer.arrays[0])
    assert np.array_equal(checkpoint.network.fc8.bias.numpy(), layers[-1].arrays[1])
    if format == "zip":
        check(checkpoint.network, layers, protocol, frames_for(protocol, rng), mean, "around")


def test_what_does_not_fit_is_one_sentence(
    write: Callable[..., Path], rng: np.random.Generator, mean: np.ndarray, tmp_path: Path
) -> None:
    layers = c3d(rng)
    weights = write(layers, "c3d")
    volume = write_binaryproto(tmp_path / "mean", mean[None])
    small = write_binaryproto(tmp_path / "small", mean[None, :, :, :112, :112])
    dots = Source("fc8", "InnerProduct", (np.ones((3, 7), np.float32), np.ones(3, np.float32)))
    cases = [
        (([weights],), r"it needs a mean volume \(3x16x128x171\): name its file too"),
        (([weights, small],), "the mean is 1x3x16x112x112, but this protocol subtracts one of 3x16x128x171"),
        (([weights, volume], "tensorflow"), "subtracts one of 16x112x112x3"),
        (([weights, volume], "jfzhang95"), "a mean per channel; leave it out"),
        (([weights, volume], "c4d"), "protocol must be one of caffe, tensorflow, tgan"),
        (([weights, weights],), "one file of weights is imported at a time"),
        (([weights, volume, volume],), "at most one of a mean"),
        (([volume],), "0 and 1 were given"),
    ]
    for (files, *protocol), message in cases:
        with pytest.raises(CheckpointError, match=message):
            import_weights("c3d", files, protocol=protocol[0] if protocol else None)
    with pytest.raises(CheckpointError, match="three inner products, but it has 8 and 2; its last layer may"):
        import_weights("c3d", [write(layers[:-1], "c3d"), volume])
    with pytest.raises(CheckpointError, match="three inner products, but it has 8 and 4"):
        import_weights("c3d", [write([*layers, dots], "c3d"), volume])
    with pytest.raises(CheckpointError, match="has 7 outputs"):
        import_weights("c3d", [write(layers, "c3d"), volume], actions=("walk", "run"))
    with pytest.raises(CheckpointError, match="pool5 is for TensorFlow's C3D only"):
        import_weights("c3d", [weights, volume], pool5="channels-last")
    with pytest.raises(CheckpointError, match="64 inputs, unlike pool5"):
        fewer = [*layers[:7], Source("conv5b", "Convolution3D", tuple(array[:3] for array in layers[7].arrays), pad=1)]
        import_weights("c3d", [write([*fewer, *layers[8:]], "c3d"), volume])
    with pytest.raises(CheckpointError, match=r"tensors differ, the first is .convolutions\.5\.weight"):
        import_weights("c3d", [write([*layers[:4], layers[5], layers[4], *layers[6:]], "c3d"), volume])
