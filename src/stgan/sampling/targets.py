"""Targets: a layer, a channel or a single unit of a condition network, to be maximized instead of an action.

A target is written LAYER, LAYER:CHANNEL or LAYER:CHANNEL,POSITION. LAYER is a module's path in the network
("convolutions.2", "lstm"); its values are those that leave the module, before the ReLU behind it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.names import listed

AXES = {0: (), 1: ("T",), 3: ("T", "Y", "X")}
"""Names of the positions in a layer, by their number."""

_TARGET = re.compile(r"(?P<layer>[^:]{1,200})(:(?P<unit>[0-9]{1,9}(,[0-9]{1,9}){0,3}))?")


@dataclass(frozen=True)
class Layer:
    """The values of a layer, "clip channel *position", whichever way the module lays them out.

    per_frame: the module sees single frames, so that the time in the position is which frame it was.
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
        """Of the position."""
        return tuple(self.values.shape[2:])


@dataclass(frozen=True)
class Target:
    """What to maximize: the layer's mean square; or the mean of a channel; or a unit of it.

    position: T, Y, X of the unit, as far as the layer has them; Y, X of a layer that sees single frames mean every
              frame.
    """

    layer: str
    channel: int | None = None
    position: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Target":
        """From LAYER, LAYER:CHANNEL or LAYER:CHANNEL,T,Y,X. Raises StganError for anything else."""
        match = _TARGET.fullmatch(text)
        if not match:
            raise StganError(f"a target is LAYER, LAYER:CHANNEL or LAYER:CHANNEL,T,Y,X, not {text[:80]!r}")
        unit = [int(number) for number in match["unit"].split(",")] if match["unit"] else []
        return cls(match["layer"], unit[0] if unit else None, tuple(unit[1:]))

    def slug(self, network: str) -> str:
        """A word that can name a folder: "c3d.convolutions.2_17" for convolutions.2:17 of c3d."""
        unit = () if self.channel is None else (self.channel, *self.position)
        return re.sub(r"^\.|[^A-Za-z0-9._-]", "-", "_".join(map(str, (f"{network}.{self.layer}", *unit))))

    def value(self, values: Float[Tensor, "clips channels *position"]) -> Float[Tensor, " clips"]:
        """One value a clip of a layer's values; positions that are not named are averaged over."""
        if self.channel is None:
            return values.square().flatten(1).mean(1)
        named = values[:, self.channel]
        for place in reversed(self.position):
            named = named[..., place]
        return named.reshape(len(values), -1).mean(1)

    def check(self, network: str, layers: dict[str, Layer]) -> None:
        """StganError unless the layers of the network with this name have such a target."""
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
                raise StganError(f"{name} has no {axis} {place}; there it goes from 0 to {length - 1}")


def layers(network: nn.Module, videos: Float[Tensor, "batch 3 time height width"]) -> dict[str, Layer]:
    """Every layer that can be a target, by its path, in the order in which they run, with its values for videos."""
    with torch.no_grad():
        return record(network, videos, [name for name, _ in network.named_modules() if name])


def record(
    network: nn.Module, videos: Float[Tensor, "batch 3 time height width"], names: Sequence[str]
) -> dict[str, Layer]:
    """Run the network and keep what leaves these modules, as far as they run and give a layer's values."""
    kept: dict[str, Layer] = {}

    def keep(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        layer = as_layer(output, len(videos))
        if layer:
            kept[name] = layer

    hooks = [network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
    try:
        network(videos)
    finally:
        _remove(hooks)
    return kept


def as_layer(output: Any, clips: int) -> Layer | None:
    """A module's output as a layer; None if it is none.

    LSTMs give "clip time channel" and their last state; frame networks have the frames of all clips in the batch.
    What is batched in another way, as attention over the patches of each frame is, is none.
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


def _remove(hooks: Iterable[Any]) -> None:
    for hook in hooks:
        hook.remove()
