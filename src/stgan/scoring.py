"""Stream the clips of a folder through an evaluator that did not steer them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.checkpoints import Checkpoint, CheckpointError, ModelFolder, load_checkpoint
from stgan.errors import StganError
from stgan.manifest import Manifest
from stgan.metrics.classification import confusion_matrix, inception_score, motion
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
    """The clips that a folder's manifest lists."""
    entries = Manifest(folder).read()
    if not entries:
        raise StganError(
            f"{folder} has no manifest.jsonl with clips; generate some with: stgan generate --out {folder}"
        )
    clips = []
    for entry in entries:
        path = folder / entry["file"]
        if folder.resolve() not in path.resolve().parents:
            raise StganError(f"{folder}/manifest.jsonl names a file outside the folder: {entry['file']}")
        steered = entry.get("hashes", {}).get("condition")
        if (
            not isinstance(steered, dict)
            or not steered
            or not all(isinstance(value, str) for value in steered.values())
        ):
            raise StganError(f"{folder}/manifest.jsonl does not say which networks steered {entry['file']}")
        clips.append(Clip(path, entry["action"], frozenset(steered.values())))
    return clips


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
        StganError: the evaluator steered one of the clips (unless `allow_fooled`), or does not know an action.
    """
    fooled = any(evaluator.hash in clip.steered_by for clip in clips)
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
