"""`Steering`: which networks steer clips and towards what; and which clips these networks take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from stgan.checkpoints import ModelFolder
from stgan.defaults import FRAMES, MOST_FRAMES
from stgan.errors import StganError
from stgan.names import listed
from stgan.sampling import (
    Action,
    Activation,
    Layer,
    Networks,
    SamplerSettings,
    SpectralSettings,
    input_side,
    layers,
    least_side,
    visible_side,
    window_of,
)
from stgan.sampling.settings import check_range


@dataclass(frozen=True)
class Steering:
    """Which networks steer clips, and what they maximize. `STGAN.steering` makes and checks it.

    condition:   the name of a condition network, or "both".
    classifiers: the condition networks that it stands for, by name, as they were loaded.
    networks:    the networks for a sampler; batch normalizations of the condition networks are folded into weights.
    objectives:  what can be maximized: actions by their names, or one target by a name for its clips.
    target:      the target as text; None for actions.
    frames:      frames of a clip.
    whole:       width and height in pixels of the frames that a sampler makes, which may be cropped.
    side:        width and height of a clip in pixels.
    """

    condition: str
    classifiers: Mapping[str, Any]
    networks: Networks
    objectives: Mapping[str, Action | Activation]
    target: str | None
    frames: int
    whole: int
    side: int

    def check(self, action: str) -> None:
        """StganError unless this action, or target by its name, is among those that were asked for."""
        if not isinstance(action, str) or action not in self.objectives:
            raise StganError(f"unknown action {action!r}; asked for are {listed(self.objectives, str(action))}")


def only_one(classifiers: Mapping[str, Any]) -> str:
    """The name of the one condition network that a target is a part of."""
    if len(classifiers) > 1:
        raise StganError(f"a target is a part of one condition network; name which: {' or '.join(classifiers)}")
    return next(iter(classifiers))


def layers_of(network: Any, frames: int, side: int, device: torch.device) -> dict[str, Layer]:
    """The layers of a condition network that can be targets, with their values for a grey clip of this size."""
    grey = torch.full((1, 3, window_of(network) or frames, side, side), 0.5)
    return layers(network, grey.to(device))


def sides(
    classifiers: Mapping[str, Any], preset: SamplerSettings | None, image_size: int, clip_size: int | None
) -> tuple[int, int]:
    """Width and height in pixels of frames as they are made, and of a clip.

    Without a generator, both are those of the preset, or the largest input of a condition network. With one, whose
    frames have `image_size`, a clip has the model's `clip_size`, else what the condition networks see: whole frames of
    the generator, unless every network crops, as LRCN crops 227 pixels out of 256 in the paper.
    """
    if isinstance(preset, SpectralSettings):
        size = preset.size or max(input_side(network) or image_size for network in classifiers.values())
        return size, size
    if clip_size:
        return image_size, min(clip_size, image_size)
    return image_size, max(visible_side(network, image_size) for network in classifiers.values())


def default_frames(classifiers: Mapping[str, Any]) -> int:
    """Frames of a clip: 16, or as many as a condition network takes if these are more."""
    return max(FRAMES, *(window_of(network) or 0 for network in classifiers.values()))


def check_clips(classifiers: Mapping[str, Any], frames: int, whole: int, side: int, folder: ModelFolder) -> None:
    """StganError if one of the networks does not take clips with this number of frames or this size.

    folder: of the model that makes the clips, for the message.
    """
    check_range("the number of frames", frames, 1, MOST_FRAMES, whole=True)
    for name, network in classifiers.items():
        visible, window = visible_side(network, whole), window_of(network)
        if whole < least_side(network):
            raise StganError(
                f"the {name} condition network crops {least_side(network)} pixels, but frames have only {whole}"
            )
        if side < visible < whole:
            raise StganError(
                f"the {name} condition network crops {visible} pixels, but clips of {folder.name} have {side}"
            )
        if window and frames < window:
            lrcn = "lrcn" in folder.condition
            raise StganError(
                f"the {name} condition network takes clips of at least {window} frames, not {frames}; "
                + ("an lrcn condition network takes clips of any length" if lrcn else "ask for as many")
            )
