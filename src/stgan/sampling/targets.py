"""Targets: a layer, a channel or a single unit of a condition network, to be maximized instead of an action.

A target is written LAYER, LAYER:CHANNEL or LAYER:CHANNEL,POSITION. LAYER is a module's path in the network
("convolutions.2", "lstm"). Its values are the module's output, before the ReLU that follows.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.names import listed

AXES = {0: (), 1: ("T",), 3: ("T", "Y", "X")}
"""Names of the axes of a position, by their number."""

_TARGET = re.compile(r"(?P<layer>[^:]{1,200})(:(?P<unit>[0-9]{1,9}(,[0-9]{1,9}){0,3}))?")


@dataclass(frozen=True)
class Layer:
    """The values of a layer.

    values:    "clip channel *position", whatever the module's own order of axes is.
    per_frame: whether the module sees single frames; T of the position is then the number of the frame.
    """

    values: Tensor
    per_frame: bool

    @property
    def channels(self) -> int:
        return self.values.shape[1]

    @property
    def axes(self) -> tuple[str, ...]:
        return AXES[self.values.ndim - 2]

    @property
    def size(self) -> tuple[int, ...]:
        """The lengths of the axes of the position."""
        return tuple(self.values.shape[2:])


@dataclass(frozen=True)
class Target:
    """What to maximize: the mean square of a layer, the mean of a channel, or a unit.

    position: T, Y, X of the unit, if the layer has these axes. In a layer that sees single frames, Y, X alone mean the
              unit in every frame.
    """

    layer: str
    channel: int | None = None
    position: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Parse LAYER, LAYER:CHANNEL or LAYER:CHANNEL,T,Y,X. StganError for anything else."""
        match = _TARGET.fullmatch(text)
        if not match:
            raise StganError(f"a target is LAYER, LAYER:CHANNEL or LAYER:CHANNEL,T,Y,X, not {text[:80]!r}")
        unit = [int(number) for number in match["unit"].split(",")] if match["unit"] else []
        return cls(match["layer"], unit[0] if unit else None, tuple(unit[1:]))

    def slug(self, network: str) -> str:
        """A name for a folder of clips: "c3d.convolutions.2_17" for convolutions.2:17 of c3d."""
        unit = () if self.channel is None else (self.channel, *self.position)
        return re.sub(r"^\.|[^A-Za-z0-9._-]", "-", "_".join(map(str, (f"{network}.{self.layer}", *unit))))

    def value(self, values: Float[Tensor, "clips channels *position"]) -> Float[Tensor, " clips"]:
        """The target's value for each clip, given the layer's values: the mean over the axes that have no position."""
        if self.channel is None:
            return values.square().flatten(1).mean(1)
        named = values[:, self.channel]
        for place in reversed(self.position):
            named = named[..., place]
        return named.reshape(len(values), -1).mean(1)

    def check(self, network: str, layers: dict[str, Layer]) -> None:
        """StganError unless the target is one of these layers or a part of it. network: its name, for the message."""
        if self.layer not in layers:
            raise StganError(f"unknown layer {self.layer!r} of {network}; it has {listed(layers, self.layer)}")
        layer, name = layers[self.layer], f"{network}.{self.layer}"
        if self.channel is not None and self.channel >= layer.channels:
            raise StganError(f"{name} has no channel {self.channel}; its channels are 0 to {layer.channels - 1}")
        axes, size = layer.axes, layer.size
        if layer.per_frame and len(self.position) == len(axes) - 1:
            axes, size = axes[1:], size[1:]
        if self.position and len(self.position) != len(axes):
            asked = ",".join(map(str, (self.channel, *self.position)))
            raise StganError(f"a unit of {name} is named by {','.join(('CHANNEL', *axes))}, not {asked}")
        for axis, place, length in zip(axes, self.position, size, strict=False):
            if place >= length:
                raise StganError(f"{name} has no {axis} {place}; its {axis} is from 0 to {length - 1}")


def layers(network: nn.Module, videos: Float[Tensor, "batch 3 time height width"]) -> dict[str, Layer]:
    """All layers that can be targets, by path, in the order in which they run, with their values for the videos."""
    with torch.no_grad():
        return record(network, videos, [name for name, _ in network.named_modules() if name])


def record(
    network: nn.Module, videos: Float[Tensor, "batch 3 time height width"], names: Sequence[str]
) -> dict[str, Layer]:
    """Run the network and return the outputs of these modules, except those that do not run or give no layer."""
    with recording(network, names, len(videos)) as kept:
        network(videos)
    return kept


@contextmanager
def recording(network: nn.Module, names: Sequence[str], clips: int) -> Iterator[dict[str, Layer]]:
    """The outputs of these modules when the network runs in the block on so many clips (see `record`)."""
    kept: dict[str, Layer] = {}

    def keep(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        layer = as_layer(output, clips)
        if layer:
            kept[name] = layer

    hooks = [network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def as_layer(output: Any, clips: int) -> Layer | None:
    """A module's output as a layer; None if it has no layer's shape.

    LSTMs give "clip time channel" and their last state. In networks of frames, the batch holds the frames of all clips.
    Any other batch, such as that of attention over the patches of each frame, gives no layer.
    """
    x = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(x, Tensor) or not x.is_floating_point() or not x.ndim:
        return None
    if len(x) != clips and (x.ndim in (3, 5) or len(x) % clips):
        return None
    if x.ndim == 3:
        return Layer(x.movedim(2, 1), per_frame=False)
    if x.ndim == 4 or (x.ndim == 2 and len(x) != clips):
        return Layer(x.unflatten(0, (clips, -1)).movedim(1, 2), per_frame=True)
    return Layer(x, per_frame=False) if x.ndim in (2, 5) else None
