"""`STGAN`: a loaded model, which generates videos of an action."""

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.checkpoints import CheckpointError, ModelFolder, find_model
from stgan.checkpoints.checkpoint import Checkpoint
from stgan.checkpoints.fingerprint import as_text, fingerprint
from stgan.checkpoints.own_classifier import Classifier, own_checkpoints
from stgan.defaults import BOTH, FRAMES, LARGEST_SEED, STRENGTH
from stgan.devices import Precision, batch_size, choose_device, suited_precision
from stgan.errors import StganError
from stgan.files import DEFAULT_MODEL
from stgan.names import listed
from stgan.networks import Encoder, ImageGenerator, MapCodec, MapPrior
from stgan.networks.layout import channels_last, fold_batch_norm
from stgan.sampling import (
    PRESETS,
    Action,
    Activation,
    ClipPriorSettings,
    GuidedSettings,
    Init,
    Layer,
    Networks,
    OnIteration,
    SamplerSettings,
    Samples,
    Target,
    clip_seed,
    sample,
)
from stgan.sampling.sampler import SAMPLERS
from stgan.sampling.settings import check_kind, check_range
from stgan.steering import Steering, check_clips, default_frames, layers_of, only_one, sides

_KINDS = {
    "encoder": Encoder, "generator": ImageGenerator,
    "map_codec": MapCodec, "frame_prior": MapPrior, "clip_prior": MapPrior,
}  # fmt: skip


def batches(num: int, size: int) -> Iterator[range]:
    """The numbers of `num` clips in batches of `size` clips; the last batch may be smaller."""
    return (range(first, min(first + size, num)) for first in range(0, num, size))


class STGAN:
    """A model on one device: generator, encoder, condition networks, and priors if it has any.

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
        self.drawn = folder.actions  # those that the generator and its priors were trained on
        self.checkpoints: dict[str, Checkpoint] = {
            part: folder.load(part, self.device)
            for part in dict.fromkeys(
                (folder.encoder, folder.generator, *folder.priors.values(), *self.folder.condition.values())
            )
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
        """Load a bundled model, a folder, or a Hugging Face hub id.

        Args:
            model: see `find_model`; default: the bundled "weizmann".
            device: default: a GPU if there is one, else the CPU.
            condition: your own classifiers, which steer instead of the model's: one, which is then called "own", or
                several by name. Each is a `VideoClassifier`, a network that `adapt` recognises, or a checkpoint. They
                are moved to the device, and their actions replace the model's.

        Raises:
            CheckpointError: there is no such model, or a part of it is missing, damaged or does not fit.
            StganError: there is no such device, or a classifier cannot steer.
        """
        return cls(find_model(model), choose_device(device), condition)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that the model can generate."""
        return self.folder.actions

    @property
    def image_size(self) -> int:
        """Side of the generator's square frames in pixels."""
        return self._network(self.folder.generator).config.image_size

    def generate(
        self,
        action: str | None = None,
        num_videos: int = 1,
        seed: int = 0,
        *,
        preset: str | SamplerSettings | None = None,
        condition: str = BOTH,
        iterations: int | None = None,
        frames: int | None = None,
        init: Float[Tensor, "3 any_time any_height any_width"] | None = None,
        strength: float = STRENGTH,
        target: str | None = None,
        on_iteration: OnIteration | None = None,
    ) -> Float[Tensor, "num_videos 3 time height width"]:
        """Videos of an action, RGB in [0, 1]. Video i depends on (seed, action, i) and the settings.

        The same call gives the same bits on the same machine. With another `num_videos`, device or number of threads,
        rounding differs, and the steps up the gradient amplify the difference. With the bundled weizmann model, a video
        made alone and the same video made as one of four differ by at most 2.4 of 255 grey levels with "motion", and by
        2 on average with "robust", where details differ.

        Args:
            action: name of the action; None with a `target`.
            preset: "motion", "robust", "spectral", "paper", "pixels", or settings of a sampler. Default: see `preset`.
            condition: the network that steers: "lrcn", "c3d" or "both", or the name of one of your own classifiers.
            iterations: number of iterations of activation maximization. Default: the preset's.
            frames: frames of a video, at most 1024. C3D sees longer videos than its window as several windows.
                Default: 16, or as many as a condition network takes if these are more.
            init: start from this video, RGB in [0, 1], instead of from noise alone. It is resized (short side) and
                cropped (centre) to the model's frame size. It is cut to its middle `frames` frames, or played back
                and forth if it has fewer.
            strength: how much of `init` may change, in (0, 1]. For the preset "motion", the middle frame stays as it
                is, and the motion may change by so much; for "robust", everything may.
            target: instead of an action, a part of the one condition network to activate (Erhan et al. 2009): "LAYER"
                (its mean square), "LAYER:CHANNEL" (its mean) or "LAYER:CHANNEL,T,Y,X" (one unit).
            on_iteration: called after each iteration (see `OnIteration`).

        Raises:
            StganError: an unknown action, preset, condition or target, or a number out of its range.
        """
        check_range("the number of videos", num_videos, 1, whole=True)
        check_range("the seed", seed, -LARGEST_SEED, LARGEST_SEED, whole=True)
        if (action is None) == (target is None):
            raise StganError("name either an action or a target to generate")
        chosen = self.preset(preset, iterations)
        actions = [] if action is None else [action]
        steering = self.steering(actions, condition=condition, frames=frames, target=target, preset=chosen)
        (name,) = steering.objectives
        start = None if init is None else self.init(init, steering.frames, strength, size=steering.whole)
        parts = [
            self.sample(steering, name, numbers, seed, chosen, init=start, on_iteration=on_iteration).videos
            for numbers in batches(num_videos, max(self.batch_size(steering.frames, steering.side), chosen.together))
        ]
        return torch.cat(parts)

    def steering(
        self,
        actions: Sequence[str] = (),
        *,
        condition: str = BOTH,
        frames: int | None = None,
        target: str | None = None,
        preset: SamplerSettings | None = None,
    ) -> Steering:
        """Resolve and check which networks steer clips of these actions, or of a target.

        Args:
            actions: default: all actions of the model.
            condition, frames, target: see `generate`.
            preset: what the clips are made with, if it is not one that uses the model's generator.

        Raises:
            StganError: an unknown action, condition or target, or a network that steers does not take such clips.
        """
        if isinstance(actions, str):
            actions = [actions]
        check_kind("actions", actions, Sequence, "a list of names")
        check_kind("condition", condition, str, "the name of a condition network")
        check_kind("a target", target, str | None, "text")
        if target is not None and actions:
            raise StganError(f"name either actions or a target, not both {actions[0]!r} and {target!r}")
        classifiers = self._classifiers(condition)
        whole, side = self._sides(classifiers, preset)
        frames = default_frames(classifiers) if frames is None else frames
        check_clips(classifiers, frames, whole, side, self.folder)
        networks = Networks(
            image_generator=self._network(self.folder.generator),
            encoder=self.folded[self.folder.encoder],
            condition=tuple(self.folded[self.folder.condition[name]] for name in classifiers),
            side=side,
            **{role: self._network(part) for role, part in self.folder.priors.items()},
        )
        objectives: dict[str, Action | Activation]
        if target is None:
            objectives = {name: Action(networks.condition, self._number(name)) for name in actions or self.actions}
        else:
            parsed, name = Target.parse(target), only_one(classifiers)
            parsed.check(name, layers_of(classifiers[name], frames, whole, self.device))
            objectives = {parsed.slug(name): Activation(classifiers[name], parsed)}
        return Steering(condition, classifiers, networks, objectives, target, frames, whole, side)

    def batch_size(self, frames: int = FRAMES, side: int | None = None) -> int:
        """The default number of clips of an action that are made together. side: of a clip; None: the generator's."""
        return batch_size(self.device, frames, side or self.image_size)

    def sample(
        self,
        steering: Steering,
        action: str,
        numbers: Sequence[int],
        seed: int,
        preset: SamplerSettings,
        *,
        init: Init | None = None,
        on_iteration: OnIteration | None = None,
    ) -> Samples:
        """Make the clips with these numbers of one action, or of the target, as one batch.

        Args:
            action: one of the names in `steering.objectives`.
            numbers: numbers of clips, from 0 on; at least one.

        Raises:
            StganError: an argument is not as described, or there is not enough memory for so many clips at a time.
        """
        check_kind("steering", steering, Steering, "what STGAN.steering returns")
        check_kind("numbers", numbers, Sequence, "a list of whole numbers")
        check_kind("init", init, Init | None, "what STGAN.init returns")
        check_kind("on_iteration", on_iteration, Callable | None, "a function")
        if not numbers:
            raise StganError("numbers is empty; name at least one clip, by its number from 0 on")
        for number in numbers:
            check_range("the number of a clip", number, 0, whole=True)
        check_range("the seed", seed, -LARGEST_SEED, LARGEST_SEED, whole=True)
        steering.check(action)
        chosen = self.preset(preset)
        self.check_sides(steering, chosen)
        if init is not None and tuple(init.video.shape[1:]) != (steering.frames, steering.whole, steering.whole):
            raise StganError(
                f"the video to start from has {tuple(init.video.shape[1:])} frames and pixels instead of "
                f"{(steering.frames, steering.whole, steering.whole)}; STGAN.init fits it"
            )
        seeds = [clip_seed(seed, action, number) for number in numbers]
        return sample(
            steering.networks, steering.objectives[action], seeds, chosen,
            frames=steering.frames, init=init, on_iteration=on_iteration,
        )  # fmt: skip

    def check_sides(self, steering: Steering, preset: SamplerSettings) -> None:
        """StganError unless clips of this preset have the size that the steering was made for."""
        whole, _ = self._sides(steering.classifiers, preset)
        if whole != steering.whole:
            raise StganError(
                f"preset {preset.name} makes frames of {whole} pixels, and the steering is for {steering.whole}; "
                "make it with steering(..., preset=...)"
            )

    def layers(self, condition: str, frames: int | None = None) -> dict[str, Layer]:
        """The layers of a condition network that can be targets, by name, in the order in which they run."""
        steering = self.steering(condition=condition, frames=frames)
        network = steering.classifiers[only_one(steering.classifiers)]
        return layers_of(network, steering.frames, steering.whole, self.device)

    def init(
        self,
        video: Float[Tensor, "3 any_time any_height any_width"],
        frames: int = FRAMES,
        strength: float = STRENGTH,
        source: str = "",
        size: int | None = None,
    ) -> Init:
        """A video to start from, fitted to this number of frames and to this size or the model's (see `Init.fit`)."""
        check_kind("a video to start from", video, Tensor, "a tensor (3, time, height, width)")
        check_kind("the strength", strength, int | float, "a number")
        fitted = Init.fit(video, size or self.image_size, frames, strength, source)
        return replace(fitted, video=fitted.video.to(self.device))

    def preset(
        self,
        preset: str | SamplerSettings | None = None,
        iterations: int | None = None,
        precision: Precision | Literal["auto"] | None = None,
    ) -> SamplerSettings:
        """The settings of a preset, with another number of iterations or precision if given.

        precision: "auto" is the fastest one of the model's device for presets with a prior, and else the preset's:
        `paper` is computed as it was published.

        The default preset is "motion" if the model has a clip prior for its actions, else "robust" if it has a frame
        prior, else "paper". If you steer by classifiers of your own with actions that the generator has never seen, it
        is "spectral". If the clip prior was trained for other actions, the preset "motion" is unconditional: its
        guidance scale is 0.

        Raises:
            StganError: there is no such preset, or it does not work with this model.
        """
        if preset is None:
            preset = self._default_preset()
        if isinstance(preset, str):
            if preset not in PRESETS:
                raise StganError(f"unknown preset {preset!r}; there are {', '.join(PRESETS)}")
            preset = self._named_preset(preset)
        if type(preset) not in SAMPLERS:
            raise StganError(
                f"a preset is {', '.join(PRESETS)} or the settings of a sampler, not {reprlib.repr(preset)}"
            )
        if preset.needs and preset.needs not in self.folder.priors:
            parts = [role.replace("_", " ") for role in ("encoder", "generator", *self.folder.priors)]
            able = [name for name, each in PRESETS.items() if each.needs is None or each.needs in self.folder.priors]
            raise StganError(
                f"preset {preset.name} needs a {preset.needs.replace('_', ' ')}, but {self.name} has only "
                f"{', '.join(parts[:-1])} and {parts[-1]}; choose {' or '.join(able)}"
            )
        if preset.conditional and not self._knows_actions(preset):
            raise StganError(
                f"preset {preset.name} is conditional on the action, and the prior of {self.name} knows other actions "
                "than the classifier; choose robust, or guidance_scale=0"
            )
        if iterations is not None:
            preset = replace(preset, iterations=iterations)
        if precision == "auto":
            precision = suited_precision(self.device) if preset.needs else None
        return preset if precision is None else replace(preset, precision=precision)

    def hashes(self, steering: Steering) -> dict[str, Any]:
        """Weight hashes of the generator, the encoder, the priors, the condition networks and their ancestors.

        `condition_tensors` are the fingerprints of the condition networks, as text.
        """
        checkpoints = {name: self.checkpoints[self.folder.condition[name]] for name in steering.classifiers}
        ancestors = {
            f"{name}: {label}": value for name, each in checkpoints.items() for label, value in each.ancestors.items()
        }
        return {
            "generator": self.checkpoints[self.folder.generator].hash,
            "encoder": self.checkpoints[self.folder.encoder].hash,
            **{role: self.checkpoints[part].hash for role, part in self.folder.priors.items()},
            "condition": {name: each.hash for name, each in checkpoints.items()},
            **({"condition_ancestors": ancestors} if ancestors else {}),
            "condition_tensors": {name: as_text(fingerprint(each.network)) for name, each in checkpoints.items()},
        }

    def _classifiers(self, condition: str) -> dict[str, Any]:
        """The condition networks that this name, or "both", stands for."""
        if condition != BOTH and condition not in self.folder.condition:
            raise StganError(
                f"unknown condition {condition!r}; {self.name} has {', '.join(self.folder.condition)} and {BOTH}"
            )
        names = self.folder.condition if condition == BOTH else [condition]
        return {name: self._network(self.folder.condition[name]) for name in names}

    def _sides(self, classifiers: Mapping[str, Any], preset: SamplerSettings | None) -> tuple[int, int]:
        return sides(classifiers, preset, self.image_size, self.folder.clip_size)

    def _number(self, action: str) -> int:
        if action not in self.actions:
            raise StganError(f"unknown action {action!r}; {self.name} has {listed(self.actions, str(action))}")
        return self.actions.index(action)

    def _default_preset(self) -> SamplerSettings:
        """The first preset that works with the model and its actions."""
        if not set(self.actions) <= set(self.drawn):
            return PRESETS["spectral"]
        for name in ("motion", "robust"):
            chosen = self._suited(PRESETS[name])
            if chosen.needs in self.folder.priors and (not chosen.conditional or self._knows_actions(chosen)):
                return chosen
        return PRESETS["paper"]

    def _named_preset(self, name: str) -> SamplerSettings:
        """The preset; unconditional if the prior was trained for other actions."""
        chosen = self._suited(PRESETS[name])
        known = chosen.needs not in self.folder.priors or self._knows_actions(chosen)
        return chosen if known or not chosen.conditional else chosen.unconditional()

    def _suited(self, preset: SamplerSettings) -> SamplerSettings:
        """The preset, with the frame guidance that suits the model."""
        guidance = self.folder.frame_guidance
        if not (guidance and isinstance(preset, GuidedSettings) and isinstance(preset.prior, ClipPriorSettings)):
            return preset
        return replace(preset, prior=replace(preset.prior, frame_guidance=guidance))

    def _knows_actions(self, settings: SamplerSettings) -> bool:
        """Whether the prior that these settings need was trained for the actions of the condition networks."""
        part = self.folder.priors.get(settings.needs or "")
        return part is not None and self.checkpoints[part].actions == self.actions

    def _steer_by(self, condition: Classifier | Mapping[str, Classifier]) -> None:
        """Replace the model's condition networks and actions by these networks and their actions."""
        own = own_checkpoints(condition, self.device)
        if BOTH in own:
            raise StganError(f"a condition network cannot be called {BOTH!r}, which means all of them; rename it")
        parts = {name: f"own:{name}" for name in own}  # no folder of a model has such a name
        self.checkpoints |= {parts[name]: checkpoint for name, checkpoint in own.items()}
        self.folded |= {parts[name]: checkpoint.network for name, checkpoint in own.items()}
        self.folder = replace(self.folder, actions=next(iter(own.values())).actions, condition=parts)

    def _network(self, part: str) -> Any:
        return self.checkpoints[part].network

    def _check(self) -> None:
        """CheckpointError unless each part fits its role, and all have the same codes and actions."""
        parts = {"encoder": self.folder.encoder, "generator": self.folder.generator, **self.folder.priors}
        for role, part in parts.items():
            if not isinstance(self._network(part), _KINDS[role]):
                raise CheckpointError(f"{self.folder.path / part} is not a {_KINDS[role].__name__}")
        if len({self._network(parts[role]).config.code_size for role in ("encoder", "generator")}) > 1:
            raise CheckpointError(f"{self.folder.path}: encoder and generator differ in their code size")
        self._check_maps()
        for role in ("frame_prior", "clip_prior"):
            if part := parts.get(role, ""):
                classes = self._network(part).config.num_classes
                if self.checkpoints[part].actions != self.actions or classes != len(self.actions):
                    raise CheckpointError(
                        f"{self.folder.path / part} knows other actions than {self.folder.path} names"
                    )
        for name, part in self.folder.condition.items():
            if not hasattr(self._network(part), "log_probabilities"):
                raise CheckpointError(f"{self.folder.path / part} is no classifier and cannot steer as {name}")
            if self.checkpoints[part].actions != self.actions:
                raise CheckpointError(f"{self.folder.path / part} knows other actions than {self.folder.path} names")

    def _check_maps(self) -> None:
        """CheckpointError unless the priors are of the codec's maps of the model's frames."""
        maps = self.folder.priors
        if not maps:
            return
        if "map_codec" not in maps:
            raise CheckpointError(f"{self.folder.path} has priors, but no map codec")
        codec = self._network(maps["map_codec"]).config.encoder
        for role in ("frame_prior", "clip_prior"):
            if role in maps:
                prior = self._network(maps[role]).config
                if (prior.channels, prior.grid * codec.stride) != (codec.channels, self.image_size):
                    raise CheckpointError(f"{self.folder.path / maps[role]} is a prior of other maps than the codec's")
                if (prior.frames == 1) != (role == "frame_prior"):
                    raise CheckpointError(f"{self.folder.path / maps[role]} is a prior of {prior.frames} frames")
