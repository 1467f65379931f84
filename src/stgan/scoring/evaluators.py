"""Networks that score clips: how they are found, what they are shown, and whether they steered the clips."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stgan.checkpoints import CheckpointError, ModelFolder
from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint
from stgan.checkpoints.description import check_unambiguous
from stgan.checkpoints.fingerprint import RELATED, Fingerprint, fingerprint, from_text, shared
from stgan.checkpoints.i3d_files import load_i3d
from stgan.checkpoints.own_classifier import is_own_classifier, load_own_classifier
from stgan.defaults import EVALUATOR, MOST_FRAMES
from stgan.errors import StganError
from stgan.files import named
from stgan.metrics.blocks import check_pixels
from stgan.names import quoted
from stgan.networks import Preprocessing, VideoClassifier
from stgan.networks.adapter import VideoClassifierConfig
from stgan.networks.layout import channels_last
from stgan.scoring.clips import Clip, Protocol

FRAMES = 16
"""Frames of a window for networks that take any number and whose card does not give the number in training."""
_I3D_FILES = (".pt", ".pth", ".safetensors")


@dataclass(frozen=True)
class Evaluator:
    """A classifier that scores videos.

    name:      as the user gave it.
    kind:      its architecture.
    actions:   class names in the order of its outputs; empty if unknown.
    frames:    of the windows it is shown. usual_frames: the default of this number.
    hash:      weight hash; `ancestors` are the hashes of the networks it was made from.
    tensors:   its fingerprint.
    file:      SHA-256 of the file it came from, if it is an I3D; else "".
    seen:      first 16 digits of the content hashes (`ClipFacts.sha256`) of the clips it was trained on.
    """

    name: str
    kind: str
    network: nn.Module
    actions: tuple[str, ...]
    frames: int
    hash: str
    ancestors: frozenset[str]
    seen: frozenset[str]
    usual_frames: int
    tensors: Fingerprint = field(default_factory=dict)
    file: str = ""

    def __call__(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch classes"]]:
        """Features and log probabilities of RGB videos in [0, 1]. Any size will do: the network resizes them itself.

        Raises:
            StganError: a video has a single frame, or values that are not finite or not in [0, 1]; or the network
                cannot score it.
        """
        check_videos(videos)
        return self.classify(videos.to(self.device))

    @torch.no_grad()
    def classify(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch classes"]]:
        """The same for videos that need no check, such as decoded ones."""
        try:
            features, log_probabilities = self._outputs(videos)
        except ValueError as error:  # too few frames, a crop that does not fit
            raise StganError(f"{quoted(self.name)} cannot score these clips: {error}") from error
        if not (features.isfinite().all() and log_probabilities.isfinite().all()):
            raise StganError(
                f"the outputs of {quoted(self.name)} for some of these clips are not finite; use another network"
            )
        return features, log_probabilities

    def _outputs(self, videos: Tensor) -> tuple[Tensor, Tensor]:
        """Of a network that takes single frames, the mean of its features and of its probabilities over the frames."""
        network: Any = self.network
        if not _takes_single_frames(network):
            return network.features_and_log_probabilities(videos)
        features, values = zip(*map(network.features_and_log_probabilities, videos.split(1, 2)), strict=True)
        return torch.stack(features).mean(0), torch.stack(values).logsumexp(0) - math.log(len(values))

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters(), torch.empty(0)).device

    @property
    def identity(self) -> str:
        """Everything but the clip that decides its outputs. A TorchScript file holds code, so its hash is included.

        A network of the hub has a config of its own, which says more than its weights do: the number of heads.
        """
        inner = getattr(getattr(self.network, "module", None), "config", "")
        return f"{self.kind} {self.network.config!r} {self.frames} frames {self.hash} {self.file}{inner}"

    @property
    def _pixels(self) -> Preprocessing:
        config: Any = self.network.config
        return getattr(config, "frame", config).preprocessing

    @property
    def input_values(self) -> int:
        """Values of pixels that the network sees of a window; 0 if it takes frames of any size."""
        return 3 * self.frames * (self._pixels.size or 0) ** 2

    def describe(self, protocol: Protocol) -> str:
        """What it is shown of a clip, in words."""
        config, pixels = self.network.config, self._pixels
        size = f"fitted to {pixels.size}x{pixels.size} by '{pixels.fit}'" if pixels.size else "of any size"
        channels = "luma" if getattr(config, "gray", False) else pixels.channels.upper()
        mean = "a mean volume" if pixels.mean == "volume" else f"mean {_numbers(pixels.mean)}"
        every = f", every {protocol.stride}th of a clip," if protocol.stride > 1 else ""
        windows = f"the {protocol.window} {self.frames} frames{every} of"
        if protocol.windows > 1:
            spread = "drawn at random from" if protocol.window == "random" else "evenly spread over"
            windows = f"{protocol.windows} windows of {self.frames} frames{every}, {spread}"
        rate = f" at {protocol.fps:g} frames a second" if protocol.fps is not None else ""
        apart = ", one frame at a time" if _takes_single_frames(self.network) else ""
        first = "brought to {}x{}, ".format(*protocol.size) if protocol.size else ""
        short = "played back and forth" if protocol.short == "mirror" else "left out"
        return (
            f"{windows} a clip{rate} (a shorter one is {short}){apart}, {first}{size}, "
            f"{channels} in 0-{pixels.scale:g}, minus {mean}, over {_numbers(pixels.std)}"
        )

    def numbers(self, clips: Iterable[Clip]) -> list[int | None]:
        """The class number of each clip's action; None if the action is unknown."""
        number = {action: i for i, action in enumerate(self.actions)}
        return [number.get(clip.action) if clip.action is not None else None for clip in clips]

    def knows_some(self, clips: Iterable[Clip]) -> bool:
        """Whether it knows one of the clips' actions, or has classes whose names are not known, as an I3D has."""
        if not self.actions:
            return self.kind != VideoClassifierConfig.network
        return any(number is not None for number in self.numbers(clips))

    def relation(self, clips: Iterable[Clip]) -> str | None:
        """How it is related to the networks that steered the clips, as a clause.

        The clause is empty if it is not related. None: some of the clips do not say what steered them.
        """
        clips = list(clips)
        steering = [clip.steering for clip in clips if clip.steering is not None]
        tensors = {text: name for each in steering for name, text in each.tensors.items()}
        shares = ((shared(from_text(text), self.tensors), name) for text, name in tensors.items())
        most, name = max(shares, default=(0, ""))
        named = any({self.hash, *self.ancestors} & each.hashes for each in steering)
        if named and not RELATED <= most < 1:
            return f"{self.name} steered these clips, or shares an ancestor with a network that did"
        if most >= RELATED:
            return (
                f"{self.name} shares weights with {name}, which steered these clips "
                f"({most:.0%} of those of the smaller network)"
            )
        return "" if len(steering) == len(clips) else None


def check_videos(videos: Float[Tensor, "batch 3 time height width"]) -> None:
    """Raise StganError unless these are videos of RGB values in [0, 1]. A network would give scores for anything."""
    if videos.shape[2] < 2:
        raise StganError("a video has two frames or more; this one is a still")
    try:
        check_pixels(videos)
    except ValueError as error:
        raise StganError(f"{error}: rescale them") from error


def find_evaluator(
    name: str | Path | None,
    model: ModelFolder,
    *,
    frames: int | None = None,
    device: torch.device | str = "cpu",
    run_code: bool = False,
    trust_torchscript: bool = False,
) -> Evaluator:
    """A classifier: an evaluator or condition network of the model by name, a checkpoint folder, or an I3D file.

    Args:
        name: a `Path` is always a folder or a file. A string may be any of these, and is refused if it names both a
            network of the model and a folder or file here. None: the model's "evaluator".
        frames: of the windows it is shown; default: as many as in its training.
        run_code: `name` comes from the command line, and may be MODULE:FUNCTION (see `load_own_classifier`). Names
            from files never run code.
        trust_torchscript: see `load_i3d`.

    Raises:
        StganError: there is none, the name is ambiguous or would run code that is not allowed, the network cannot score
            clips, or it takes another number of frames.
    """
    if name is None:
        return evaluator_of(model, frames=frames, device=device)
    path = named(name)
    if isinstance(name, str) and (part := model.classifiers.get(name)):
        check_unambiguous(name, f"a network of the model {model.name}", model.path / part)
        return evaluator_of(model, name, frames=frames, device=device)
    if isinstance(name, str) and is_own_classifier(name):
        if not run_code:
            raise StganError(
                f"{quoted(name)} would run code or fetch weights, which only an option of the command line may name; "
                "in Python, call as_evaluator with own_checkpoint of your classifier"
            )
        checkpoint = load_own_classifier(name, device)
    elif path.suffix.lower() in _I3D_FILES or os.path.isfile(path):
        checkpoint = load_i3d(path, device, trust_torchscript=trust_torchscript)
    else:
        checkpoint = load_checkpoint(path, device)
    return as_evaluator(checkpoint, str(name), frames=frames)


def evaluator_of(
    model: ModelFolder,
    name: str = EVALUATOR,
    *,
    frames: int | None = None,
    device: torch.device | str = "cpu",
) -> Evaluator:
    """An evaluator or condition network of the model by its name. Errors as for `find_evaluator`."""
    if name not in model.classifiers:
        known = ", ".join(model.classifiers)
        raise StganError(
            f"{model.name} has no network {quoted(name)} that could score; name another evaluator, such as {known}"
        )
    return as_evaluator(model.load(model.classifiers[name], device), name, frames=frames)


def as_evaluator(checkpoint: Checkpoint, name: str, *, frames: int | None = None) -> Evaluator:
    """A loaded classifier as an evaluator. Errors as for `find_evaluator`."""
    network: Any = checkpoint.network
    if not hasattr(network, "features_and_log_probabilities"):
        raise CheckpointError(f"{quoted(name)} is a {type(network).__name__}, which cannot score clips")
    own = None if _takes_single_frames(network) else getattr(network.config, "frames", None)
    if frames is not None and not 2 <= frames <= MOST_FRAMES:
        raise StganError(f"clips are scored by 2 to {MOST_FRAMES} frames, not {frames}")
    if own and frames not in (None, own):
        raise StganError(f"{quoted(name)} takes clips of {own} frames, not {frames}")
    least = getattr(network.config, "min_frames", 2)
    if frames is not None and frames < least:
        raise StganError(f"{quoted(name)} takes clips of at least {least} frames, not {frames}")
    data = checkpoint.provenance.get("data")
    trained_on = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(trained_on, int) or not 2 <= trained_on <= MOST_FRAMES:
        trained_on = FRAMES
    return Evaluator(
        name=name,
        kind=network.config.network,
        network=network if isinstance(network, VideoClassifier) else channels_last(network),
        actions=checkpoint.actions,
        frames=own or frames or trained_on,
        usual_frames=own or trained_on,
        hash=checkpoint.hash,
        ancestors=frozenset(checkpoint.ancestors.values()),
        seen=frozenset(seen_clips(checkpoint)),
        tensors=fingerprint(network),
        file=str(checkpoint.provenance.get("sha256", "")),
    )


def _takes_single_frames(network: Any) -> bool:
    return getattr(network.config, "frames", None) == 1


def seen_clips(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The clips that a network was trained on, as `Evaluator.seen`; empty if the checkpoint does not list them."""
    seen = checkpoint.provenance.get("seen")
    return tuple(map(str, seen)) if isinstance(seen, list) else ()


def _numbers(values: Iterable[float]) -> str:
    return "/".join(dict.fromkeys(f"{value:g}" for value in values))
