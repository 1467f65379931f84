"""The priors as denoisers of whole clips, by the settings that choose them."""

from collections.abc import Callable
from typing import Any

from stgan.sampling.denoising import Denoiser
from stgan.sampling.map_priors import ClipDenoiser, ClipPriorSettings, FrameDenoiser, FramePriorSettings
from stgan.sampling.task import Task
from stgan.sampling.vector_priors import (
    CodeDenoiser,
    CodePriorSettings,
    SequenceDenoiser,
    SequencePriorSettings,
)

PriorSettings = FramePriorSettings | SequencePriorSettings | CodePriorSettings | ClipPriorSettings
"""Records are read as the first one that has all of their names: those with fewer names come before those with more."""

DENOISERS: dict[type[Any], Callable[[Task, Any, str], Denoiser]] = {
    FramePriorSettings: FrameDenoiser,
    ClipPriorSettings: ClipDenoiser,
    CodePriorSettings: CodeDenoiser,
    SequencePriorSettings: SequenceDenoiser,
}
"""The denoiser of each class of settings; called with a task, the settings and the preset's name."""
