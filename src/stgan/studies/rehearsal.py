"""A rehearsal of the evaluation on UCF-101, with small untrained weights in the published formats and synthetic clips.

Every stage runs on them in minutes, so that errors appear that the real evaluation would only show after days.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path

import av
import numpy as np

from stgan.checkpoints.known_files import known_file
from stgan.files import replacing, write_text
from stgan.studies.ucf101_recipe import Recipe, Source
from stgan.video.ucf101_lists import SIDES
from stgan.video.ucf101_names import CLASSES, Published

GROUPS = 3
"""Groups of each class, with one clip each. The first group is for testing, the others are for training."""
TREE = Published(CLASSES, GROUPS, {1: ((GROUPS - 1) * len(CLASSES), len(CLASSES))})

_C3D = "c3d.npz"
_SEED, _WIDTH, _CODE, _GREY = 0, 4, 16, 100
_FRAMES, _FPS, _CLIP = 18, 25, (160, 120)
_CONTRAST = 60
"""Factor on the weights of the generator's last layer, whose outputs are in 0-255."""

Arrays = tuple[np.ndarray, ...]
Layers = Mapping[str, tuple[str, Arrays]]
"""Type and blobs of each layer, by its name."""


def rehearsed(recipe: Recipe) -> Recipe:
    """The recipe with few videos, iterations and steps, for the files of `write_weights`.

    The evaluator has Chainer's format, because TensorFlow may not be installed.
    """
    sources = {
        recipe.score.evaluator: Source("c3d", (_C3D, "c3d-tensorflow-mean"), protocol="tensorflow"),
        recipe.initial: Source("c3d", ("c3d-sports1m", "c3d-sports1m-mean")),
    }
    return replace(
        recipe,
        weights={**recipe.weights, **sources},
        data=replace(recipe.data, split=1),
        generate=replace(recipe.generate, num_videos=8, iterations=2),
        fooled=replace(recipe.fooled, num_videos=4, iterations=2),
        augment=replace(recipe.augment, iterations=2, every=2, batch_size=2),
    )


def write_weights(folder: Path) -> None:
    """Write DeePSiM's generator, CaffeNet, LRCN, two C3Ds and their means, with few channels and random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    random = _Random()
    lrcn = {
        **_frame_network(random, (7, 5, 3, 3, 3)),
        "lstm1": ("LSTM", random.blobs(4 * _WIDTH, _CODE) + random.blobs(4 * _WIDTH, _WIDTH)[:1]),
        "fc8-final": ("InnerProduct", random.blobs(len(CLASSES), _WIDTH)),
    }
    for name, layers in (
        ("deepsim-fc6", _generator(random)),
        ("caffenet", _frame_network(random, (11, 5, 3, 3, 3))),
        ("lrcn-rgb", lrcn),
    ):
        _write(folder / known_file(name).file, _caffemodel(layers))
    _write(folder / known_file("c3d-sports1m").file, _caffemodel_of_c3d(_c3d(random, 5)))
    _write(folder / known_file("c3d-sports1m-mean").file, _blob_of_c3d(np.full((1, 3, 16, 128, 171), _GREY, "<f4")))
    c3d = _c3d(random, len(CLASSES))
    chainer = {f"{name}/{part}": blobs[i] for name, (_, blobs) in c3d.items() for i, part in enumerate("Wb")}
    with replacing(folder / _C3D) as temporary, temporary.open("wb") as file:
        np.savez(file, **chainer)  # type: ignore[arg-type]
    with replacing(folder / known_file("c3d-tensorflow-mean").file) as temporary, temporary.open("wb") as file:
        np.save(file, np.full((16, 112, 112, 3), _GREY, "<f4"))


def write_tree(root: Path) -> None:
    """Write UCF-101's folders and lists with three small clips of each class: a moving square in the class's colour."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True, exist_ok=True)
    sides: dict[str, list[str]] = {side: [] for side in SIDES}
    for number, label in enumerate(CLASSES):
        for group in range(1, GROUPS + 1):
            name = f"{label}/v_{label}_g{group:02d}_c01.avi"
            sides["test" if group == 1 else "train"].append(name if group == 1 else f"{name} {number + 1}")
            path = root / "UCF-101" / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_clip(path, number, group)
    write_text(lists / "classInd.txt", "".join(f"{i} {label}\n" for i, label in enumerate(CLASSES, start=1)))
    for side, lines in sides.items():
        write_text(lists / f"{side}list01.txt", "".join(f"{line}\n" for line in lines))


class _Random:
    """Random weights that keep the scale of activations (He initialization), and biases of 0."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(_SEED)

    def blobs(self, *shape: int, outputs: int | None = None) -> Arrays:
        """outputs: number of biases, if it is not the first axis."""
        weights = self.rng.normal(size=shape) * (2 / prod(shape[1:])) ** 0.5
        return weights.astype("<f4"), np.zeros(outputs or shape[0], "<f4")


def _generator(random: _Random) -> Layers:
    """Table 1."""
    layers: dict[str, tuple[str, Arrays]] = {
        "defc7": ("InnerProduct", random.blobs(_CODE, _CODE)),
        "defc6": ("InnerProduct", random.blobs(_CODE, _CODE)),
        "defc5": ("InnerProduct", random.blobs(_WIDTH * 4 * 4, _CODE)),
    }
    for level in range(5, -1, -1):
        outputs = _WIDTH if level else 3
        weights, bias = random.blobs(_WIDTH, outputs, 4, 4, outputs=outputs)
        layers[f"deconv{level}"] = ("Deconvolution", (weights if level else _CONTRAST * weights, bias))
        if level > 2:
            layers[f"conv{level}_1"] = ("Deconvolution", random.blobs(_WIDTH, _WIDTH, 3, 3))
    return layers


def _frame_network(random: _Random, kernels: tuple[int, ...]) -> Layers:
    """CaffeNet, or the frame network of LRCN. Convolutions 2, 4 and 5 have two groups; fc6 sees 6x6 pixels."""
    incoming = (3, _WIDTH // 2, _WIDTH, _WIDTH // 2, _WIDTH // 2)
    layers = {
        f"conv{i}": ("Convolution", random.blobs(_WIDTH, inputs, kernel, kernel))
        for i, (inputs, kernel) in enumerate(zip(incoming, kernels, strict=True), start=1)
    }
    return {**layers, "fc6": ("InnerProduct", random.blobs(_CODE, _WIDTH * 6 * 6))}


def _c3d(random: _Random, classes: int) -> Layers:
    names = ("conv1a", "conv2a", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
    layers = {
        name: ("Convolution3D", random.blobs(_WIDTH, _WIDTH if i else 3, 3, 3, 3)) for i, name in enumerate(names)
    }
    return {
        **layers,
        "fc6": ("InnerProduct", random.blobs(_CODE, _WIDTH * 4 * 4)),
        "fc7": ("InnerProduct", random.blobs(_CODE, _CODE)),
        "fc8": ("InnerProduct", random.blobs(classes, _CODE)),
    }


def _caffemodel(layers: Layers) -> bytes:
    """NetParameter.layer of Caffe: name, type, blobs (their shape, their values)."""
    return b"".join(
        _bytes(100, _bytes(1, name.encode()) + _bytes(2, kind.encode()) + b"".join(_bytes(7, _blob(b)) for b in blobs))
        for name, (kind, blobs) in layers.items()
    )


def _caffemodel_of_c3d(layers: Layers) -> bytes:
    """NetParameter.layers of Facebook's C3D: name, number of the type, blobs."""
    types = {"Convolution3D": 30, "InnerProduct": 14}
    return b"".join(
        _bytes(
            2,
            _bytes(4, name.encode())
            + _number(5, types[kind])
            + b"".join(_bytes(6, _blob_of_c3d(b.reshape((1,) * (5 - b.ndim) + b.shape))) for b in blobs),
        )
        for name, (kind, blobs) in layers.items()
    )


def _blob(values: np.ndarray) -> bytes:
    return _bytes(7, _bytes(1, b"".join(map(_varint, values.shape)))) + _bytes(5, values.tobytes())


def _blob_of_c3d(values: np.ndarray) -> bytes:
    return b"".join(_number(i, n) for i, n in enumerate(values.shape, start=1)) + _bytes(6, values.tobytes())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, as protocol buffers write numbers."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _write_clip(path: Path, number: int, group: int) -> None:
    """MPEG-4 in AVI, as UCF-101 has it."""
    with replacing(path) as temporary, av.open(str(temporary), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=_FPS)
        stream.width, stream.height, stream.pix_fmt = *_CLIP, "yuv420p"
        width, height = _CLIP
        for t in range(_FRAMES):
            frame = np.full((height, width, 3), 40 + 10 * group, np.uint8)
            left = (5 * number + 4 * t) % (width - 30)
            frame[40:70, left : left + 30] = (2 * number, 255 - 2 * number, 120)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
