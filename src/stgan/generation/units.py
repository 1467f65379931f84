"""The unit of work of a generation: a batch of clips of one action."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

FPS = 25.0

Key = tuple[str, int]  # a clip's action and its number among the clips of that action


@dataclass(frozen=True)
class Unit:
    """Clips that are made together. A worker makes a unit as a whole; any number of workers share a plan.

    action: the action (or the name of the target).
    clips:  the numbers of the clips among those of the action.
    """

    action: str
    clips: range


@dataclass(frozen=True)
class Generated:
    """A new clip.

    key:     the action (or the name of the target), and the clip's number among the clips of the action.
    frames:  RGB, 0 to 255.
    details: for the manifest: the final probability of the action under the networks that steered, or the activation
             of the target; and the number of steps up the gradient.
    place:   the position in its batch.
    """

    key: Key
    frames: UInt8[np.ndarray, "time height width 3"]
    details: Mapping[str, float]
    place: int


Companion = Callable[[Generated, Path], None]
"""Writes a file or folder that belongs beside a clip's .mp4, to this path, atomically."""
