"""Damaged files of weights of other programs, imported."""

import io
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from mutations import HOSTILE_STRINGS, Call, damage_bytes
from published import (
    CAFFENET,
    Source,
    c3d,
    deepsim,
    frame_network,
    lrcn,
    write_binaryproto,
    write_caffemodel,
    write_chainer,
)
from safetensors.torch import save
from torch import Tensor

from stgan.checkpoints.importing import import_weights

MEAN = (3, 16, 128, 171)


class Weights:
    """`import_weights` of a damaged file of each format, or of layers that do not belong together, or of a pickle."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.path, self.mean = folder, folder / "case", folder / "mean.npz"
        rng = np.random.default_rng(0)
        np.savez_compressed(self.mean, mean=np.full(MEAN, 100, np.float32))
        self.networks: list[tuple[str, list[Source], str]] = [
            ("generator", deepsim(rng, 5, 4, 2, ((2, 3), (2,))), "layer"),
            ("generator", deepsim(rng, 5, 4, 2, ((2, 3), (2,))), "v1"),
            ("encoder", frame_network(rng, CAFFENET, (2, 2, 2, 2, 2), 3), "layer"),
            ("lrcn", lrcn(rng, 2, 3, 4, channels=(2, 2, 2, 2, 2)), "layer"),
            ("c3d", c3d(rng, (2,) * 8, (3, 3), 4), "c3d"),
        ]
        c3d_layers = self.networks[-1][1]
        self.state = state_dict(c3d_layers)
        self.originals = [(kind, self._caffe(layers, form)) for kind, layers, form in self.networks]
        for compressed in (False, True):
            chainer = write_chainer(folder / "chainer.npz", c3d_layers, compressed)
            self.originals.append(("c3d", chainer.read_bytes()))
        self.originals += [("c3d", self._saved(self.state, zipped)) for zipped in (True, False)]
        self.originals.append(("c3d", save(self.state)))
        self.whole = write_caffemodel(folder / "whole", c3d_layers, "c3d")
        small_mean = write_binaryproto(folder / "volume", np.ones((1, 3, 2, 2, 2), np.float32))
        self.originals += [("mean", self.mean.read_bytes()), ("mean", small_mean.read_bytes())]
        self.kind = "c3d"

    def damage(self, rng: Random) -> Path:
        choice = rng.random()
        if choice < 0.3:
            self.kind, layers, form = rng.choice(self.networks)
            write_caffemodel(self.path, _damage_layers(layers, rng), form, rng.choice(("shape", "legacy")))
        elif choice < 0.4:
            self.kind = "c3d"
            self.path.write_bytes(self._harmful(rng))
        else:
            self.kind, original = rng.choice(self.originals)
            self.path.write_bytes(damage_bytes(original, rng, [other for _, other in self.originals]))
        return self.path

    def attempt(self, path: Path) -> None:
        if self.kind == "mean":
            import_weights("c3d", [self.whole, path])
        elif self.kind == "c3d":
            import_weights("c3d", [path, self.mean], protocol="tgan")  # which takes this mean, whatever the format
        else:
            import_weights(self.kind, [path])

    def _caffe(self, layers: list[Source], form: str) -> bytes:
        return write_caffemodel(self.folder / "caffe", layers, form).read_bytes()

    def _saved(self, value: Any, zipped: bool) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
        return buffer.getvalue()

    def _harmful(self, rng: Random) -> bytes:
        calls: tuple[tuple[Callable[..., Any], tuple], ...] = (
            (Path.touch, (self.folder / "executed",)), (bytearray, (1 << 34,)), (torch.zeros, (1 << 34,)),
            (dict, ()), (eval, ("1",)),
        )  # fmt: skip
        value = {**self.state, "more": Call(*rng.choice(calls))}
        kind = rng.randrange(4)
        if kind == 3:
            return pickle.dumps(value)
        if kind == 2:
            buffer = io.BytesIO()
            np.savez(buffer, **{"conv1a/W": np.array([Call(*rng.choice(calls))], dtype=object)})
            return buffer.getvalue()
        return self._saved(value, zipped=bool(kind))


def state_dict(layers: list[Source]) -> dict[str, Tensor]:
    """The layers of a C3D, as PyTorch has them."""
    state = {}
    for i, layer in enumerate(layers):
        for name, array in zip(("weight", "bias"), layer.arrays, strict=True):
            state[f"{'fc' if i > 7 else 'conv'}{i}.{name}"] = torch.from_numpy(array)
    return state


def _damage_layers(layers: list[Source], rng: Random) -> list[Source]:
    layers = list(layers)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(layers))
        layer, other = layers[at], rng.choice(layers)
        match rng.randrange(9):
            case 0 if len(layers) > 1:
                del layers[at]
            case 1:
                layers.insert(at, other)
            case 2:
                name = rng.choice(("", "conv1a", "fc9", *HOSTILE_STRINGS)).encode("utf-8", "replace").decode()
                layers[at] = replace(layer, name=name)
            case 3:
                layers[at] = replace(layer, arrays=other.arrays)
            case 4:
                layers[at] = replace(layer, arrays=layer.arrays[: rng.randrange(3)] or other.arrays)
            case 5:
                layers[at] = replace(layer, stride=rng.choice((0, 3, 1 << 40)), pad=rng.choice((0, 7, 1 << 40)))
            case 6:
                bad = rng.choice((np.nan, np.inf, -3e38, 1e30))
                layers[at] = replace(layer, arrays=(np.full_like(layer.arrays[0], bad), *layer.arrays[1:]))
            case 7:
                arrays = tuple(array[rng.randrange(2) :: rng.choice((1, 2))] for array in layer.arrays)
                layers[at] = replace(layer, arrays=arrays)
            case _:
                layers[at] = replace(layer, arrays=tuple(array.reshape(-1) for array in layer.arrays))
    return [layer for layer in layers if len(layer.arrays) > 1]
