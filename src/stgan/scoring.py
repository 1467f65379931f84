"""Stream the clips of a folder through an evaluator that did not steer them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.checkpoints import Checkpoint, CheckpointError, ModelFolder, load_checkpoint
from stgan.errors import StganError
from stgan.files import sha256
from stgan.manifest import Manifest
from stgan.metrics.classification import confusion_matrix, inception_score, motion
from stgan.names import quoted
from stgan.networks.layout import channels_last
from stgan.video import center_window, read_video, to_float


@dataclass(frozen=True)
class Clip:
    """A clip to score: its file, the action it should show, and the hashes of the networks that steered it."""

    path: Path
    action: str
    steered_by: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scores:
    """What an evaluator says of clips. Accuracies are fractions in [0, 1]; motion is in 0-255 units."""

    evaluator: str
    fooled: bool
    num_videos: int
    accuracy: float
    per_action: dict[str, float]
    confusion: list[list[int]]
    inception_score: dict[str, float]
    motion: float


def generated_clips(folder: Path) -> list[Clip]:
    """The clips that a folder's manifest lists; of a folder that is being written to, those that are finished.

    Raises:
        StganError: there is no manifest, it cannot be trusted, or a clip is not the one that it describes.
    """
    clips = []
    for entry in Manifest(folder).read():
        path = folder / entry["file"]
        steered = entry.get("hashes", {}).get("condition")
        if (
            not isinstance(steered, dict)
            or not steered
            or not all(isinstance(value, str) for value in steered.values())
        ):
            raise StganError(
                f"the manifest of {quoted(folder)} does not say which networks steered {quoted(entry['file'])}"
            )
        _check_file(folder, entry)
        clips.append(Clip(path, entry["action"], frozenset(steered.values())))
    if not clips:
        raise StganError(
            f"{quoted(folder)} has no manifest.jsonl with clips; generate some with stgan generate --out FOLDER"
        )
    return clips


def _check_file(folder: Path, entry: dict[str, Any]) -> None:
    """The clip must be in the folder and the very file that was generated: it is what the entry's hashes are about."""
    path = folder / entry["file"]
    try:
        if path.resolve() != folder.resolve() / entry["file"]:
            raise StganError(f"{quoted(path)} is a link; put the clip itself there, or take it out of the manifest")
        if not path.is_file():
            raise StganError(f"{quoted(path)} is missing; make it again with stgan generate --resume")
        if "sha256" in entry and sha256(path) != entry["sha256"]:
            raise StganError(f"{quoted(path)} was changed or damaged; make it again with stgan generate --resume")
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise StganError(f"{quoted(path)} cannot be read; check the file") from error


def find_evaluator(name: str, model: ModelFolder) -> Checkpoint:
    """A classifier: an evaluator or condition network of the model by name, or any checkpoint folder."""
    part = {**model.condition, **model.evaluators}.get(name)
    checkpoint = model.load(part) if part else load_checkpoint(Path(name))
    if not hasattr(checkpoint.network, "log_probabilities"):
        raise CheckpointError(f"{name} is a {type(checkpoint.network).__name__}, which cannot score clips")
    return checkpoint


@torch.no_grad()
def score(
    clips: Sequence[Clip],
    evaluator: Checkpoint,
    name: str,
    *,
    splits: int = 1,
    allow_fooled: bool = False,
    watch: Callable[[Sequence[Clip]], Iterable[Clip]] = iter,
) -> Scores:
    """Score the clips: all frames, or the centre window of as many as the evaluator was made for.

    The evaluator's own preprocessing resizes and crops them.

    `watch` may wrap the clips to show progress.

    Raises:
        StganError: the evaluator, or a network it was made from, steered one of the clips (unless `allow_fooled`);
            or it does not know an action.
    """
    ancestors = evaluator.provenance.get("ancestors")  # it may have been trained on from a network that steered
    own = {evaluator.hash, *(map(str, ancestors.values()) if isinstance(ancestors, dict) else ())}
    fooled = any(own & clip.steered_by for clip in clips)
    if fooled and not allow_fooled:
        raise StganError(
            f"{name} steered these clips, so its scores would only show how well it was fooled; "
            "use another --evaluator, or --allow-fooled to see that"
        )
    unknown = sorted({clip.action for clip in clips} - set(evaluator.actions))
    if unknown:
        raise StganError(f"{name} does not know the action {unknown[0]!r}; it knows {', '.join(evaluator.actions)}")
    if not 1 <= splits <= len(clips):
        raise StganError(f"{len(clips)} clips cannot be scored in {splits} splits; choose 1 to {len(clips)}")
    network = channels_last(evaluator.network)
    frames = getattr(network.config, "frames", None)
    actions = torch.tensor([evaluator.actions.index(clip.action) for clip in clips])
    probabilities, motions = [], []
    for clip in watch(clips):
        video = load_clip(clip.path, frames)
        probabilities.append(network.log_probabilities(video).exp())  # type: ignore[operator]
        motions.append(motion(video))
    p = torch.cat(probabilities)
    predicted = p.argmax(1)
    matrix = confusion_matrix(actions, predicted, len(evaluator.actions))
    mean, std = inception_score(p, splits)
    return Scores(
        evaluator=name,
        fooled=fooled,
        num_videos=len(clips),
        accuracy=float((predicted == actions).double().mean()),
        per_action={action: _share(matrix[i], i) for i, action in enumerate(evaluator.actions) if matrix[i].sum()},
        confusion=matrix.tolist(),
        inception_score={"mean": float(mean), "std": float(std)},
        motion=float(torch.cat(motions).mean()),
    )


def load_clip(path: Path, frames: int | None) -> Float[Tensor, "1 3 time height width"]:
    """A clip's centre window of `frames` frames (None: all); too short clips are played back and forth."""
    decoded = read_video(path).frames
    return to_float(decoded[center_window(len(decoded), frames or len(decoded))]).unsqueeze(0)


def _share(row: Int[Tensor, " classes"], i: int) -> float:
    return float(row[i] / row.sum())
