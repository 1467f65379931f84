"""`STGAN`: a model ready to generate, from a name and an action to videos."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.checkpoints import Checkpoint, CheckpointError, Classifier, ModelFolder, find_model, own_checkpoints
from stgan.devices import Precision, batch_size, choose_device
from stgan.errors import StganError
from stgan.files import DEFAULT_MODEL
from stgan.names import listed
from stgan.networks import CodePrior, Encoder, ImageGenerator, SequencePrior
from stgan.networks.layout import channels_last, fold_batch_norm
from stgan.sampling import (
    PRESETS,
    Action,
    Activation,
    Init,
    Layer,
    Networks,
    OnIteration,
    Preset,
    Samples,
    Target,
    clip_seed,
    layers,
    sample,
    visible_side,
    window_of,
)

FRAMES = 16
MOST_FRAMES = 1024
BOTH = "both"
STRENGTH = 0.9


@dataclass(frozen=True)
class ClipRequest:
    """One clip to make: an action, or a target's name, and its number among the clips of that action."""

    action: str
    index: int


def of_first(wanted: int, on_iteration: OnIteration) -> OnIteration:
    """What is called with a whole batch, told of its first clips alone."""
    return lambda iteration, values, render: on_iteration(iteration, values[:wanted], lambda: render()[:wanted])


class STGAN:
    """A model: generator, encoder, condition networks and, where it has them, priors, loaded on one device.

    >>> model = STGAN.from_pretrained("weizmann")
    >>> videos = model.generate("wave2", num_videos=4, seed=0)  # Float[Tensor, "4 3 16 64 64"] in [0, 1]
    """

    def __init__(
        self,
        folder: ModelFolder,
        device: torch.device | str = "cpu",
        condition: Classifier | Mapping[str, Classifier] | None = None,
    ) -> None:
        self.folder, self.device = folder if condition is None else replace(folder, condition={}), torch.device(device)
        self.checkpoints: dict[str, Checkpoint] = {
            part: folder.load(part, self.device)
            for part in (folder.encoder, folder.generator, *folder.priors.values(), *self.folder.condition.values())
        }
        self._check()
        for checkpoint in self.checkpoints.values():
            channels_last(checkpoint.network)
        self.folded = {
            part: fold_batch_norm(self._network(part)) for part in (folder.encoder, *self.folder.condition.values())
        }
        if condition is not None:
            self._steer_by(condition)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = DEFAULT_MODEL,
        device: torch.device | str | None = None,
        condition: Classifier | Mapping[str, Classifier] | None = None,
    ) -> "STGAN":
        """Load a bundled model, a folder, or a Hugging Face hub id; onto a GPU if there is one and none is named.

        Args:
            model: see `find_model`; default: the bundled "weizmann".
            condition: classifiers of your own, which steer in place of the model's: one, called "own", or several by
                name; each a `VideoClassifier`, a network that `adapt` recognises, or a checkpoint. The actions are
                then theirs. They are moved to the device.

        Raises:
            CheckpointError: there is no such model, or part of it is missing, damaged or does not fit.
            StganError: there is no such device, or a classifier cannot steer.
        """
        return cls(find_model(model), choose_device(device), condition)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def actions(self) -> tuple[str, ...]:
        """What it can be asked to show."""
        return self.folder.actions

    @property
    def image_size(self) -> int:
        """Side of the generator's square frames in pixels."""
        return self._network(self.folder.generator).config.image_size

    def clip_size(self, condition: str = BOTH) -> int:
        """Side of a clip's square frames in pixels: the model's, else what the networks that steer see.

        That is all of the generator's frames, unless every network crops, as LRCN crops 227 pixels out of 256 in the
        paper.
        """
        if self.folder.clip_size:
            return min(self.folder.clip_size, self.image_size)
        names = self.condition_names(condition)
        networks = [self._network(self.folder.condition[name]) for name in names]
        return max(visible_side(network, self.image_size) for network in networks)

    def generate(
        self,
        action: str | None = None,
        num_videos: int = 1,
        seed: int = 0,
        *,
        preset: str | Preset | None = None,
        condition: str = BOTH,
        iterations: int | None = None,
        frames: int = FRAMES,
        init: Float[Tensor, "3 any_time any_height any_width"] | None = None,
        strength: float = STRENGTH,
        target: str | None = None,
        on_iteration: OnIteration | None = None,
    ) -> Float[Tensor, "num_videos 3 time height width"]:
        """Videos of an action, RGB in [0, 1]. Video i depends on (seed, action, i) and the settings, not on the rest.

        Args:
            preset: "motion", "robust", "paper", "pixels", or a `Preset`; None takes "motion" where the model has a
                sequence prior for its actions and there is no `init`, else "robust" where it has a code prior, else
                "paper".
            condition: which network steers: "lrcn", "c3d" or "both"; by name of those of your own.
            iterations: of activation maximization; None takes the preset's.
            frames: of a video, up to 1024; C3D looks at longer videos than its own window by window.
            init: start from this video, RGB in [0, 1], instead of from noise alone. It is brought to the model's
                frame size (short side, then centre) and to `frames` frames (the middle ones; back and forth if
                there are fewer).
            strength: in (0, 1], how much of `init` may change; with the robust preset only, as it anneals.
            target: instead of an action, a part of the one condition network that is to be activated (Erhan et al.
                2009): "LAYER" (its mean square), "LAYER:CHANNEL" (its mean) or "LAYER:CHANNEL,T,Y,X" (one unit).

        Raises:
            StganError: an unknown action, preset, condition or target, or a number out of its range.
        """
        if num_videos < 1:
            raise StganError(f"the number of videos must be at least 1, not {num_videos}")
        if (action is None) == (target is None):
            raise StganError("name either an action or a target to generate")
        chosen = self.preset(preset, iterations, init=init is not None)
        self.check_frames(condition, frames)
        name = action if target is None else self.target_name(target, condition)
        start = None if init is None else self.init(init, frames, strength)
        parts = []
        for requests in self.batches(str(name), num_videos, frames):
            wanted = num_videos - requests[0].index
            watch = on_iteration and of_first(wanted, on_iteration)
            parts.append(
                self.sample(requests, seed, chosen, condition, frames, watch, target=target, init=start).videos
            )
        return torch.cat(parts)[:num_videos]

    def batches(
        self, action: str, num: int, frames: int = FRAMES, size: int | None = None
    ) -> Iterator[list[ClipRequest]]:
        """The first `num` clips of an action, a batch after the other; a few more if they do not fill the last one.

        A clip always has the same neighbours, so that its last bits, which depend on what it is computed with, do not
        depend on how many clips were asked for, on what was there already, or on which machine makes it.

        size: None takes `batch_size`.
        """
        size = size or self.batch_size(frames)
        for first in range(0, num, size):
            yield [ClipRequest(action, index) for index in range(first, first + size)]

    def batch_size(self, frames: int = FRAMES) -> int:
        """How many clips are made at a time, unless another number is asked for."""
        return batch_size(self.device, frames, self.image_size)

    def sample(
        self,
        requests: Sequence[ClipRequest],
        seed: int,
        preset: Preset,
        condition: str = BOTH,
        frames: int = FRAMES,
        on_iteration: OnIteration | None = None,
        *,
        target: str | None = None,
        init: Init | None = None,
    ) -> Samples:
        """Clips of one action, or of one target under its name, as one batch, with their codes and values."""
        actions = {request.action for request in requests}
        if len(actions) != 1:
            raise StganError("a batch is of one action")
        self._check_told(preset)
        networks, steering = self.networks(condition, frames), self.check_frames(condition, frames)
        phi: Action | Activation
        if target is None:
            phi = Action(networks.condition, self._action_number(actions.pop()))
        else:
            phi = Activation(steering[0], self.find_target(target, condition, frames))
        seeds = [clip_seed(seed, request.action, request.index) for request in requests]
        return sample(networks, phi, seeds, preset, frames=frames, init=init, on_iteration=on_iteration)

    def networks(self, condition: str = BOTH, frames: int = FRAMES) -> Networks:
        """What a sampler needs, batch normalizations folded away.

        Raises:
            StganError: a network that steers does not take clips of so many frames.
        """
        self.check_frames(condition, frames)
        return Networks(
            image_generator=self._network(self.folder.generator),
            encoder=self.folded[self.folder.encoder],
            condition=tuple(self.folded[self.folder.condition[name]] for name in self.condition_names(condition)),
            code_prior=self._network(self.folder.code_prior) if self.folder.code_prior else None,
            sequence_prior=self._network(self.folder.sequence_prior) if self.folder.sequence_prior else None,
            side=self.clip_size(condition),
        )

    def check_frames(self, condition: str, frames: int) -> tuple[Any, ...]:
        """The networks that steer; StganError if one of them does not take clips of so many frames."""
        if frames < 1:
            raise StganError(f"the number of frames must be at least 1, not {frames}")
        if frames > MOST_FRAMES:
            raise StganError(f"the number of frames must be at most {MOST_FRAMES}, not {frames}")
        names, side = self.condition_names(condition), self.clip_size(condition)
        steering = tuple(self._network(self.folder.condition[name]) for name in names)
        for name, network in zip(names, steering, strict=True):
            if side < visible_side(network, self.image_size) < self.image_size:
                raise StganError(
                    f"the {name} condition network crops {visible_side(network, self.image_size)} pixels, but clips of "
                    f"{self.name} have {side}"
                )
            window = window_of(network)
            if window and frames < window:
                advice = "an lrcn condition network takes clips of any length"
                raise StganError(
                    f"the {name} condition network takes clips of at least {window} frames, not {frames}; "
                    + (advice if "lrcn" in self.folder.condition else "ask for as many")
                )
        return steering

    def find_target(self, target: str, condition: str, frames: int = FRAMES) -> Target:
        """A target as written; StganError unless the one network that steers has it (see `layers`)."""
        parsed = Target.parse(target)
        parsed.check(self._one_condition(condition), self.layers(condition, frames))
        return parsed

    def target_name(self, target: str, condition: str) -> str:
        """What clips of a target are called, in place of an action: "c3d.convolutions.2_17"."""
        return Target.parse(target).slug(self._one_condition(condition))

    def layers(self, condition: str, frames: int = FRAMES) -> dict[str, Layer]:
        """The layers of a condition network that can be a target, by name, in the order in which they run."""
        name = self._one_condition(condition)
        self.check_frames(name, frames)
        network = self._network(self.folder.condition[name])
        grey = torch.full((1, 3, window_of(network) or frames, self.image_size, self.image_size), 0.5)
        return layers(network, grey.to(self.device))

    def init(
        self,
        video: Float[Tensor, "3 any_time any_height any_width"],
        frames: int = FRAMES,
        strength: float = STRENGTH,
        source: str = "",
    ) -> Init:
        """A video to start from, brought to the model's frame size and to so many frames (see `Init.fit`)."""
        fitted = Init.fit(video, self.image_size, frames, strength, source)
        return replace(fitted, video=fitted.video.to(self.device))

    def preset(
        self,
        preset: str | Preset | None = None,
        iterations: int | None = None,
        precision: Precision | None = None,
        *,
        init: bool = False,
    ) -> Preset:
        """A preset by name, with another number of iterations or another precision if given.

        None: "motion" where the model has a sequence prior for its actions and there is no video to start from, else
        "robust" where it has a code prior, else "paper". A sequence prior that does not know the actions is not told
        them: "motion" by name then has action_guidance 0.
        """
        if preset is None:
            preset = "robust" if self.folder.code_prior else "paper"
            if self._sequence_prior_knows_actions and not init:
                preset = "motion"
        if isinstance(preset, str):
            if preset not in PRESETS:
                raise StganError(f"unknown preset {preset!r}; there are {', '.join(PRESETS)}")
            preset = PRESETS[preset]
            if preset.space == "sequences" and self.folder.sequence_prior and not self._sequence_prior_knows_actions:
                preset = replace(preset, action_guidance=0.0)
        if preset.space == "whitened" and not self.folder.code_prior:
            raise StganError(f"preset {preset.name} needs a code prior, which {self.name} has not; choose another")
        if preset.space == "sequences" and not self.folder.sequence_prior:
            raise StganError(f"preset {preset.name} needs a sequence prior, which {self.name} has not; choose another")
        if preset.space == "sequences" and init:
            raise StganError(f"preset {preset.name} starts from noise alone; choose robust to start from a video")
        self._check_told(preset)
        if iterations is not None:
            preset = replace(preset, iterations=iterations)
        return preset if precision is None else replace(preset, precision=precision)

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
        """Weight hashes of the generator, of every network that steered and of their ancestors, for the manifest."""
        steering = {name: self.checkpoints[self.folder.condition[name]] for name in self.condition_names(condition)}
        ancestors = {
            f"{name}: {label}": value for name, each in steering.items() for label, value in each.ancestors.items()
        }
        return {
            "generator": self.checkpoints[self.folder.generator].hash,
            "encoder": self.checkpoints[self.folder.encoder].hash,
            **{role: self.checkpoints[part].hash for role, part in self.folder.priors.items()},
            "condition": {name: each.hash for name, each in steering.items()},
            **({"condition_ancestors": ancestors} if ancestors else {}),
        }

    def check_actions(self, actions: Sequence[str]) -> list[str]:
        """The actions asked for, each once, in order; all of them if none is named."""
        for action in actions:
            self._action_number(action)
        return list(dict.fromkeys(actions)) or list(self.actions)

    def _action_number(self, action: str) -> int:
        if action not in self.actions:
            raise StganError(f"unknown action {action!r}; {self.name} has {listed(self.actions, action)}")
        return self.actions.index(action)

    def _one_condition(self, condition: str) -> str:
        names = self.condition_names(condition)
        if len(names) > 1:
            raise StganError(
                f"a target is a part of one condition network; name which: {' or '.join(self.folder.condition)}"
            )
        return names[0]

    @property
    def _sequence_prior_knows_actions(self) -> bool:
        """Whether there is one, whose actions are those that can be asked for."""
        part = self.folder.sequence_prior
        return part is not None and self.checkpoints[part].actions == self.actions

    def _check_told(self, preset: Preset) -> None:
        """StganError if the sequence prior would be told the number of an action that it knows as another one."""
        told = preset.space == "sequences" and preset.action_guidance != 0 and self.folder.sequence_prior
        if told and not self._sequence_prior_knows_actions:
            raise StganError(
                f"preset {preset.name} tells the sequence prior of {self.name} the action, and it knows other "
                "actions than the classifier; choose robust, or action_guidance=0"
            )

    def _steer_by(self, condition: Classifier | Mapping[str, Classifier]) -> None:
        """Let these networks, and the actions that they know, take the place of the model's own."""
        own = own_checkpoints(condition, self.device)
        if BOTH in own:
            raise StganError(f"a condition network cannot be called {BOTH!r}, which means all of them; rename it")
        parts = {name: f"own:{name}" for name in own}  # as no folder of a model is called
        self.checkpoints |= {parts[name]: checkpoint for name, checkpoint in own.items()}
        self.folded |= {parts[name]: checkpoint.network for name, checkpoint in own.items()}
        self.folder = replace(self.folder, actions=next(iter(own.values())).actions, condition=parts)

    def _network(self, part: str) -> Any:
        return self.checkpoints[part].network

    def _check(self) -> None:
        """The parts must be what their roles say, for the same codes and actions."""
        for part, kind in (
            (self.folder.encoder, Encoder),
            (self.folder.generator, ImageGenerator),
            *([(self.folder.code_prior, CodePrior)] if self.folder.code_prior else []),
            *([(self.folder.sequence_prior, SequencePrior)] if self.folder.sequence_prior else []),
        ):
            if not isinstance(self._network(part), kind):
                raise CheckpointError(f"{self.folder.path / part} is not a {kind.__name__}")
        sizes = {
            self._network(part).config.code_size
            for part in (self.folder.encoder, self.folder.generator, *self.folder.priors.values())
        }
        if len(sizes) > 1:
            raise CheckpointError(f"{self.folder.path}: encoder, generator and priors differ in their code size")
        if self.folder.sequence_prior:
            prior = self.checkpoints[self.folder.sequence_prior]
            if prior.actions != self.actions or self._network(self.folder.sequence_prior).config.num_classes != len(
                self.actions
            ):
                raise CheckpointError(
                    f"{self.folder.path / self.folder.sequence_prior} knows other actions than {self.folder.path} names"
                )
        for name, part in self.folder.condition.items():
            if not hasattr(self._network(part), "log_probabilities"):
                raise CheckpointError(f"{self.folder.path / part} is no classifier and cannot steer as {name}")
            if self.checkpoints[part].actions != self.actions:
                raise CheckpointError(f"{self.folder.path / part} knows other actions than {self.folder.path} names")
