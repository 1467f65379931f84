"""`STGAN`: a model ready to generate, from a name and an action to videos, and to a folder of clips."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.checkpoints import Checkpoint, CheckpointError, ModelFolder, find_model
from stgan.errors import StganError
from stgan.networks import C3D, CodePrior, Encoder, ImageGenerator
from stgan.networks.layout import channels_last
from stgan.sampling import PRESETS, Networks, OnIteration, Preset, Samples, clip_seed, sample
from stgan.version import __version__

FPS = 25.0
FRAMES = 16
BOTH = "both"


@dataclass(frozen=True)
class ClipRequest:
    """One clip to make: an action and its number among the clips of that action."""

    action: str
    index: int


class STGAN:
    """A model: generator, encoder, code prior and condition networks, loaded on one device.

    >>> model = STGAN.from_pretrained("weizmann")
    >>> videos = model.generate("wave2", num_videos=4, seed=0)  # Float[Tensor, "4 3 16 64 64"] in [0, 1]
    """

    def __init__(self, folder: ModelFolder, device: torch.device | str = "cpu") -> None:
        self.folder, self.device = folder, torch.device(device)
        self.checkpoints: dict[str, Checkpoint] = {
            part: folder.load(part, self.device)
            for part in (folder.encoder, folder.generator, folder.code_prior, *folder.condition.values())
        }
        self._check()
        for checkpoint in self.checkpoints.values():
            channels_last(checkpoint.network)

    @classmethod
    def from_pretrained(cls, model: str | Path = "weizmann", device: torch.device | str | None = None) -> "STGAN":
        """Load a bundled model, a folder, or a Hugging Face hub id; onto a GPU if there is one and none is named.

        Raises:
            CheckpointError: there is no such model, or part of it is missing, damaged or does not fit.
            StganError: there is no such device.
        """
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(1, device=device).tolist()
        except (RuntimeError, AssertionError) as error:
            raise StganError(f"device {str(device)!r} is not to be had here; name another or none") from error
        return cls(find_model(model), device)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def actions(self) -> tuple[str, ...]:
        """What it can be asked to show."""
        return self.folder.actions

    @property
    def image_size(self) -> int:
        """Side of the square frames in pixels."""
        return self._network(self.folder.generator).config.image_size

    def generate(
        self,
        action: str,
        num_videos: int = 1,
        seed: int = 0,
        *,
        preset: str | Preset = "robust",
        condition: str = BOTH,
        iterations: int | None = None,
        frames: int = FRAMES,
        on_iteration: OnIteration | None = None,
    ) -> Float[Tensor, "num_videos 3 time height width"]:
        """Videos of an action, RGB in [0, 1]. Video i depends on (seed, action, i) and the settings, not on the rest.

        Args:
            preset: "robust", "paper", or a `Preset`.
            condition: which network steers: "lrcn", "c3d" or "both".
            iterations: of activation maximization; None takes the preset's.

        Raises:
            StganError: an unknown action, preset or condition, or a number below 1.
        """
        if num_videos < 1:
            raise StganError(f"the number of videos must be at least 1, not {num_videos}")
        chosen = self.preset(preset, iterations)
        parts = [
            self.sample([ClipRequest(action, index)], seed, chosen, condition, frames, on_iteration).videos
            for index in range(num_videos)
        ]
        return torch.cat(parts)

    def sample(
        self,
        requests: Sequence[ClipRequest],
        seed: int,
        preset: Preset,
        condition: str = BOTH,
        frames: int = FRAMES,
        on_iteration: OnIteration | None = None,
    ) -> Samples:
        """Clips of one action as one batch, with their codes and probabilities."""
        actions = {request.action for request in requests}
        if len(actions) != 1:
            raise StganError("a batch is of one action")
        action = self._action_number(actions.pop())
        steering = self.check_frames(condition, frames)
        networks = Networks(
            image_generator=self._network(self.folder.generator),
            encoder=self._network(self.folder.encoder),
            code_prior=self._network(self.folder.code_prior),
            condition=steering,
        )
        seeds = [clip_seed(seed, request.action, request.index) for request in requests]
        return sample(networks, action, seeds, preset, frames=frames, on_iteration=on_iteration)

    def check_frames(self, condition: str, frames: int) -> tuple[Any, ...]:
        """The networks that steer; StganError if one of them does not take clips of so many frames."""
        if frames < 1:
            raise StganError(f"the number of frames must be at least 1, not {frames}")
        steering = tuple(self._network(self.folder.condition[name]) for name in self.condition_names(condition))
        for network in steering:
            if isinstance(network, C3D) and frames != network.config.frames:
                raise StganError(
                    f"the c3d condition network takes {network.config.frames} frames, not {frames}; "
                    "an lrcn condition network takes clips of any length"
                )
        return steering

    def preset(self, preset: str | Preset, iterations: int | None = None) -> Preset:
        """A preset by name, with another number of iterations if given."""
        if isinstance(preset, str):
            if preset not in PRESETS:
                raise StganError(f"unknown preset {preset!r}; there are {', '.join(PRESETS)}")
            preset = PRESETS[preset]
        if iterations is None:
            return preset
        if iterations < 1:
            raise StganError(f"the number of iterations must be at least 1, not {iterations}")
        return replace(preset, iterations=iterations)

    def condition_names(self, condition: str) -> list[str]:
        """The condition networks that "lrcn", "c3d" or "both" means."""
        if condition == BOTH:
            return list(self.folder.condition)
        if condition not in self.folder.condition:
            raise StganError(
                f"unknown condition {condition!r}; {self.name} has {', '.join(self.folder.condition)} and {BOTH}"
            )
        return [condition]

    def hashes(self, condition: str) -> dict[str, Any]:
        """Weight hashes of the generator and of every network that steered, for the manifest."""
        return {
            "generator": self.checkpoints[self.folder.generator].hash,
            "encoder": self.checkpoints[self.folder.encoder].hash,
            "code_prior": self.checkpoints[self.folder.code_prior].hash,
            "condition": {
                name: self.checkpoints[self.folder.condition[name]].hash for name in self.condition_names(condition)
            },
        }

    def check_actions(self, actions: Sequence[str]) -> list[str]:
        """The actions asked for, each once, in order; all of them if none is named."""
        for action in actions:
            self._action_number(action)
        return list(dict.fromkeys(actions)) or list(self.actions)

    def _action_number(self, action: str) -> int:
        if action not in self.actions:
            raise StganError(f"unknown action {action!r}; {self.name} has {', '.join(self.actions)}")
        return self.actions.index(action)

    def _network(self, part: str) -> Any:
        return self.checkpoints[part].network

    def _check(self) -> None:
        """The parts must be what their roles say, for the same codes and actions."""
        for part, kind in (
            (self.folder.encoder, Encoder),
            (self.folder.generator, ImageGenerator),
            (self.folder.code_prior, CodePrior),
        ):
            if not isinstance(self._network(part), kind):
                raise CheckpointError(f"{self.folder.path / part} is not a {kind.__name__}")
        sizes = {
            self._network(part).config.code_size
            for part in (self.folder.encoder, self.folder.generator, self.folder.code_prior)
        }
        if len(sizes) > 1:
            raise CheckpointError(f"{self.folder.path}: encoder, generator and code prior differ in their code size")
        for name, part in self.folder.condition.items():
            if not hasattr(self._network(part), "log_probabilities"):
                raise CheckpointError(f"{self.folder.path / part} is no classifier and cannot steer as {name}")
            if self.checkpoints[part].actions != self.actions:
                raise CheckpointError(f"{self.folder.path / part} knows other actions than {self.folder.path} names")


@dataclass(frozen=True)
class Generated:
    """A clip that was made: its request, the samples (a batch of one), and the seconds it took."""

    request: ClipRequest
    samples: Samples
    seconds: float


def generate_clips(
    model: STGAN,
    actions: Sequence[str],
    num: int,
    seed: int,
    preset: Preset,
    condition: str,
    frames: int,
    on_iteration: OnIteration | None = None,
    skip: Callable[[ClipRequest], bool] = lambda request: False,
) -> Iterator[Generated]:
    """Clips one after another: all actions' first, then all second ones, so that an interrupted run has some of each.

    On a CPU one clip of 16 frames keeps every core busy, so clips are not batched.
    """
    if num < 1:
        raise StganError(f"the number of clips must be at least 1, not {num}")
    for index in range(num):
        for action in actions:
            request = ClipRequest(action, index)
            if skip(request):
                continue
            started = time.monotonic()
            samples = model.sample([request], seed, preset, condition, frames, on_iteration)
            yield Generated(request, samples, time.monotonic() - started)


def run_settings(model: STGAN, seed: int, preset: Preset, condition: str, frames: int) -> dict[str, Any]:
    """What all clips of a run have in common, as the manifest records it: enough to make them again."""
    return {
        "seed": seed,
        "model": model.name,
        "preset": preset.name,
        "condition": condition,
        "frames": frames,
        "iterations": preset.iterations,
        "settings": json.loads(json.dumps(asdict(preset))),
        "hashes": model.hashes(condition),
        "version": __version__,
    }


def manifest_entry(generated: Generated, file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The line of one clip: its file, what it shows, what steered thought of it, and the run's settings."""
    return {
        "file": file.as_posix(),
        "action": generated.request.action,
        "index": generated.request.index,
        "probability": round(float(generated.samples.probability[0]), 6),
        "steps": int(generated.samples.steps[0]),
        **settings,
    }
