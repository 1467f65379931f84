"""Are generated clips worth training on? The paper's Section 5.3, Table 3.

One classifier is fine-tuned three times, from the same weights, with the same seed: on generated clips only, on real
ones only, on both. Random-clip accuracy (one window of consecutive frames of each test clip, the same in all arms and
at all times) is taken every so many iterations, and chooses where to stop. The paper chooses by the test clips that it
then reports on; here, clips of held-out groups choose, unless the paper's way is asked for. Both figures are recorded.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from stgan.checkpoints import Checkpoint
from stgan.errors import StganError
from stgan.files import sha256, write_text
from stgan.names import quoted
from stgan.scoring import Clip
from stgan.studies.selection import draw_counts
from stgan.training.data import group_of
from stgan.training.finetuning import CHECKPOINT, Finetuned, FinetuningClips, FinetuningRecipe, Point, finetune
from stgan.training.run import Workshop
from stgan.version import __version__
from stgan.video import ClipFile

ARMS = ("generated", "real", "both")
RECORD = "augmentation.json"
FIGURE = "counts.png"
FORMAT = 1
_HELD_OUT = 3  # tells this draw apart from those of epochs and steps


@dataclass(frozen=True)
class Arm:
    """One fine-tuning.

    name:          "generated", "real" or "both": what it was trained on; clips: how many.
    start:         hash of the weights that it began with, the same in all arms.
    curve:         every evaluation.
    chosen:        the one whose weights are kept. interval: 95 % (Wilson), of its accuracy on the test clips.
    best_on_test:  the paper's way to choose: best on the clips that it is reported on.
    checkpoint:    folder of the kept weights.
    """

    name: str
    clips: int
    start: str
    curve: tuple[Point, ...]
    chosen: Point
    interval: tuple[float, float]
    best_on_test: Point
    best_on_test_interval: tuple[float, float]
    checkpoint: str


@dataclass(frozen=True)
class AugmentationResult:
    """What `run_augmentation` found; `to_json` is what it writes to `augmentation.json`.

    counts: clips trained on, by action: of the real ones, of the generated ones.
    """

    initial: str
    recipe: FinetuningRecipe
    actions: tuple[str, ...]
    validation_clips: int
    test_clips: int
    counts: dict[str, dict[str, int]]
    arms: tuple[Arm, ...]

    def arm(self, name: str) -> Arm:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def gain(self) -> float:
        """By how much the generated clips raise the accuracy on the test clips: "both" minus "real", in [-1, 1]."""
        return self.arm("both").chosen.test - self.arm("real").chosen.test

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self), "gain": self.gain, "version": __version__}


def run_augmentation(
    initial: Checkpoint,
    real: Sequence[ClipFile],
    generated: Sequence[Clip],
    recipe: FinetuningRecipe,
    folder: Path,
    fabric: Fabric,
    *,
    actions: Sequence[str] | None = None,
    save_every: float = 60.0,
) -> AugmentationResult:
    """Fine-tune in three arms. An interrupted run goes on where it stopped; finished arms are not trained again.

    Args:
        initial: the classifier to start from, of any classes: its last layer is made anew.
        real: clips whose splits are "train", "test" and, if there are such, "val", which then choose where to stop.
            Otherwise clips of some of the groups to train on are held out for that, unless the test clips choose.
        generated: those to train on (see `stgan.studies.selection`), each with the action that it should show.
        recipe: of every arm.
        folder: receives a folder for each arm, `augmentation.json` and `counts.png`.
        fabric: devices, launched.
        actions: the classes in the order of the outputs; default: those of the real clips, sorted.
        save_every: seconds between two states to resume from.

    Raises:
        StganError: clips are missing, damaged, of unknown actions, or on both sides of the split.
    """
    classes = tuple(actions) if actions is not None else tuple(sorted({clip.label for clip in real}))
    train, validation, test = _split(real, recipe)
    made = tuple(_generated(clip) for clip in generated)
    _check(classes, train, validation, test, made)
    trained_on = {"generated": made, "real": train, "both": (*train, *made)}
    arms = []
    for name in ARMS:
        clips = FinetuningClips(classes, trained_on[name], validation, test)
        found = finetune(initial, clips, recipe, Workshop(fabric, folder / name, save_every), f"augmentation, {name}")
        arms.append(_arm(name, len(clips.train), found, folder / name / CHECKPOINT))
    counts = {"real": dict(Counter(c.label for c in train)), "generated": dict(Counter(c.label for c in made))}
    result = AugmentationResult(initial.hash, recipe, classes, len(validation), len(test), counts, tuple(arms))
    if fabric.is_global_zero:
        draw_counts(folder / FIGURE, counts["real"], counts["generated"])
        write_text(folder / RECORD, json.dumps(result.to_json(), indent=2) + "\n")
    return result


def hold_out(clips: Sequence[ClipFile], share: float, seed: int) -> tuple[tuple[ClipFile, ...], tuple[ClipFile, ...]]:
    """(the rest, clips of held-out groups): of every action about `share` of its clips, by whole groups.

    Groups are taken in random order, each whose actions all lack held-out clips still, and never an action's last.
    """
    groups: dict[str, Counter[str]] = {}
    for clip in clips:
        groups.setdefault(group_of(clip), Counter())[clip.label] += 1
    total = Counter(clip.label for clip in clips)
    left = Counter(label for labels in groups.values() for label in labels)  # groups of an action that stay
    held: Counter[str] = Counter()
    out = set()
    for i in np.random.default_rng((seed, 0, _HELD_OUT)).permutation(len(groups)):
        name = sorted(groups)[i]
        if all(held[label] < share * total[label] and left[label] > 1 for label in groups[name]):
            out.add(name)
            held += groups[name]
            left -= Counter(dict.fromkeys(groups[name], 1))
    return (
        tuple(clip for clip in clips if group_of(clip) not in out),
        tuple(clip for clip in clips if group_of(clip) in out),
    )


def _split(
    real: Sequence[ClipFile], recipe: FinetuningRecipe
) -> tuple[tuple[ClipFile, ...], tuple[ClipFile, ...], tuple[ClipFile, ...]]:
    """Clips to train on, to validate and to test."""
    train, validation, test = (tuple(clip for clip in real if clip.split == name) for name in ("train", "val", "test"))
    if recipe.stop_on == "validation" and not validation:
        train, validation = hold_out(train, recipe.validation_share, recipe.seed)
    for clips, what in ((train, "to train on"), (test, "to test on")):
        if not clips:
            raise StganError(f"no real clip is {what}: give clips with the splits train and test")
    if recipe.stop_on == "validation" and not validation:
        raise StganError(
            "no clip can be held out to choose where to stop, since every action has only one group; give clips with "
            "the split val, or stop on the test clips as the paper did"
        )
    return train, validation, test


def _generated(clip: Clip) -> ClipFile:
    clip.check_file()
    if clip.action is None:
        raise StganError(f"nothing says which action {quoted(clip.name)} should show; it cannot be trained on")
    return ClipFile(clip.path, clip.action, split="train")


def _check(
    classes: Sequence[str],
    train: Sequence[ClipFile],
    validation: Sequence[ClipFile],
    test: Sequence[ClipFile],
    generated: Sequence[ClipFile],
) -> None:
    """Every clip is of a known action, and nothing that judges has been trained on."""
    if not generated:
        raise StganError("no generated clip is left to train on; select some")
    for clip in (*train, *validation, *test, *generated):
        if clip.label not in classes:
            raise StganError(f"{quoted(clip.path)} shows {quoted(clip.label)}, which is not one of the classes")
        if not clip.path.is_file():
            raise StganError(f"{quoted(clip.path)} is missing; complete the clips, or leave it out")
    sides = {"train": train, "validation": validation, "test": test}
    for one, other in combinations(sides, 2):
        shared = {clip.group for clip in sides[one]} & {clip.group for clip in sides[other]} - {None}
        if shared:
            group = quoted(sorted(map(str, shared))[0])
            raise StganError(f"{group} is a group of {one} clips and of {other} clips; put each group on one side")
    for judging, name in ((test, "test"), (validation, "validation")):
        copied = _same_file((*train, *generated), judging)
        if copied:
            raise StganError(f"{quoted(copied[0])} is to be trained on and is the {name} clip {quoted(copied[1])} too")


def _same_file(some: Sequence[ClipFile], others: Sequence[ClipFile]) -> tuple[Path, Path] | None:
    """A file of each with the same contents. Few have the same size, so that few are read."""
    sizes: dict[int, list[Path]] = {}
    for clip in others:
        sizes.setdefault(clip.path.stat().st_size, []).append(clip.path)
    for clip in some:
        for path in sizes.get(clip.path.stat().st_size, ()):
            if clip.path == path or sha256(clip.path) == sha256(path):
                return clip.path, path
    return None


def _arm(name: str, clips: int, found: Finetuned, checkpoint: Path) -> Arm:
    chosen, best = found.chosen, found.best_on_test
    return Arm(
        name, clips, found.start, found.curve, chosen, found.interval(chosen), best, found.interval(best),
        str(checkpoint),
    )  # fmt: skip
