"""Are generated clips worth training on? The paper's Section 5.3, Table 3.

One classifier is trained three times, from the same weights, with the same seed: on generated clips only, on real ones
only, on both; and so for every seed. Random-clip accuracy (random windows of consecutive frames of each test clip, the
same in all arms and at all times) is taken every so many iterations. The paper stops where the accuracy on the test
clips is best, and reports that; here, clips of held-out groups choose where to stop, unless the paper's way is asked
for. Both figures are recorded.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from stgan.checkpoints import Checkpoint
from stgan.errors import StganError
from stgan.files import locked, sha256, write_text
from stgan.metrics.means import Mean
from stgan.names import quoted
from stgan.report.counts import draw_counts
from stgan.scoring import Clip
from stgan.studies.provenance import (
    Network,
    check_initial,
    check_networks,
    content_hashes,
    unknown_networks,
    unseen_groups,
)
from stgan.studies.splits import sides_of
from stgan.training.finetuning import CHECKPOINT, CurvePoint, Finetuned, FinetuningClips, FinetuningRecipe, finetune
from stgan.training.run import STATE, Workspace, identity
from stgan.version import __version__
from stgan.video import ClipFile

ARMS = ("generated", "real", "both")
RECORD = "augmentation.json"
FIGURE = "counts.png"
FORMAT = 2  # 1: one seed
PUBLISHED = {"generated": 0.156, "real": 0.506, "both": 0.522}
"""The paper's Table 3: random-clip accuracies on UCF-101, by what was trained on."""
_ARM = "arm.json"
_EXAMPLES = 2  # clips of an action that a report may show


@dataclass(frozen=True)
class Arm:
    """One training.

    name:          "generated", "real" or "both": what it was trained on; clips: how many.
    start:         hash of the weights that it began with, the same in all arms of a seed.
    curve:         every evaluation.
    chosen:        the one whose weights are kept. interval: 95 % (Wilson), of its accuracy on the test clips.
    best_on_test:  the paper's way to choose: best on the clips that it is reported on.
    checkpoint:    folder of the kept weights, within that of the experiment.
    """

    name: str
    clips: int
    start: str
    curve: tuple[CurvePoint, ...]
    chosen: CurvePoint
    interval: tuple[float, float]
    best_on_test: CurvePoint
    best_on_test_interval: tuple[float, float]
    checkpoint: str


@dataclass(frozen=True)
class Run:
    """The arms of one seed, which decides the last layer's weights, the order of the clips and their augmentation."""

    seed: int
    arms: tuple[Arm, ...]

    def arm(self, name: str) -> Arm:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)


@dataclass(frozen=True)
class AugmentationResult:
    """What `run_augmentation` found; `to_json` is what it writes to `augmentation.json`.

    groups:   of the clips to train on, to validate and to test.
    clips:    how many of each.
    counts:   clips trained on, by action: of the real ones, of the generated ones.
    sources:  of each action a few of the clips trained on, as paths from the experiment's folder.
    networks: what was behind the generated clips: role, hash, and how many clips it was trained on (0: not known).
    proven:   whether all of these are known to have been trained on clips to train on, and nothing else.
    """

    initial: str
    recipe: FinetuningRecipe
    actions: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    clips: dict[str, int]
    counts: dict[str, dict[str, int]]
    sources: dict[str, tuple[str, ...]]
    networks: tuple[dict[str, Any], ...]
    proven: bool
    runs: tuple[Run, ...]

    def accuracy(self, name: str) -> Mean:
        """Random-clip accuracy on the test clips of an arm where it stopped, over the seeds."""
        return Mean.of([run.arm(name).chosen.test for run in self.runs])

    def best_on_test(self, name: str) -> Mean:
        """The same, stopped where it is best on the test clips (the paper's way: too good)."""
        return Mean.of([run.arm(name).best_on_test.test for run in self.runs])

    @property
    def gain(self) -> Mean:
        """By how much the generated clips raise the accuracy: "both" minus "real" of the same seed, in [-1, 1]."""
        return Mean.of([run.arm("both").chosen.test - run.arm("real").chosen.test for run in self.runs])

    @property
    def share(self) -> float | None:
        """The accuracy with generated clips only over that with real clips only; None if the latter is 0."""
        real = self.accuracy("real").mean
        return self.accuracy("generated").mean / real if real else None

    def to_json(self) -> dict[str, Any]:
        summary = {name: asdict(self.accuracy(name)) for name in ARMS}
        best = {name: asdict(self.best_on_test(name)) for name in ARMS}
        return {
            "format": FORMAT,
            **asdict(self),
            "seeds": [run.seed for run in self.runs],
            "summary": {**summary, "best_on_test": best, "gain": asdict(self.gain), "share": self.share},
            "published": PUBLISHED,
            "version": __version__,
        }


def run_augmentation(
    initial: Checkpoint,
    real: Sequence[ClipFile],
    generated: Sequence[Clip],
    recipe: FinetuningRecipe,
    folder: Path,
    fabric: Fabric,
    *,
    seeds: Sequence[int] | None = None,
    networks: Sequence[Network] = (),
    allow_unknown: bool = False,
    actions: Sequence[str] | None = None,
    save_every: float = 60.0,
) -> AugmentationResult:
    """Train in three arms for every seed. An interrupted run goes on where it stopped; finished arms are kept.

    Args:
        initial: the classifier to start from, of any classes: its last layer is made anew.
        real: clips whose splits are "train", "test" and, if there are such, "val", which then choose where to stop.
            Otherwise clips of some of the groups to train on are held out for that, unless the test clips choose; of
            groups that no network behind the generated clips was trained on, if there are such.
        generated: those to train on (see `stgan.studies.selection`), each with the action that it should show.
        recipe: of every arm.
        folder: receives a folder for each seed and arm, `augmentation.json` and `counts.png`.
        fabric: devices, launched.
        seeds: default: the recipe's alone.
        networks: what is behind the generated clips (see `stgan.studies.provenance`).
        allow_unknown: go on although nothing says what some of these were trained on; the result says so.
        actions: the classes in the order of the outputs; default: those of the real clips, sorted.
        save_every: seconds between two states to resume from.

    Raises:
        StganError: clips are missing, damaged, of unknown actions, or on both sides of the split; a network behind
            the generated clips has seen others than those to train on, or the weights to start from one that judges.
    """
    classes = tuple(actions) if actions is not None else tuple(sorted({clip.label for clip in real}))
    lending = recipe.stop_on == "validation" and not any(clip.split == "val" for clip in real)
    unseen = unseen_groups(networks, [clip for clip in real if clip.split == "train"]) if lending else None
    train, validation, test = sides_of(real, recipe, unseen)
    made = tuple(_generated(clip) for clip in generated)
    _check(classes, train, validation, test, made)
    check_initial(initial, (*validation, *test))
    proven = _prove(networks, train, (*validation, *test), allow_unknown)
    trained_on = {"generated": ((), made), "real": (train, ()), "both": (train, made)}
    runs = []
    for seed in seeds if seeds is not None else (recipe.seed,):
        arms = []
        for name in ARMS:
            clips = FinetuningClips(classes, *trained_on[name], validation, test)
            place = Path(f"seed_{seed}") / name
            arms.append(_arm(initial, clips, replace(recipe, seed=seed), folder, place, fabric, save_every))
        runs.append(Run(seed, tuple(arms)))
    sides = {"train": train, "validation": validation, "test": test}
    result = AugmentationResult(
        initial.hash,
        recipe,
        classes,
        {side: tuple(sorted({clip.group for clip in clips if clip.group})) for side, clips in sides.items()},
        {side: len(clips) for side, clips in sides.items()},
        {"real": dict(Counter(c.label for c in train)), "generated": dict(Counter(c.label for c in made))},
        {"real": _examples(train, folder), "generated": _examples(made, folder)},
        tuple({"role": each.role, "hash": each.hash, "seen": len(each.seen)} for each in networks),
        proven,
        tuple(runs),
    )
    if fabric.is_global_zero:
        draw_counts(folder / FIGURE, result.counts["real"], result.counts["generated"])
        write_text(folder / RECORD, json.dumps(result.to_json(), indent=2) + "\n")
    return result


def _generated(clip: Clip) -> ClipFile:
    clip.check_file()
    if clip.action is None:
        raise StganError(f"nothing says which action {quoted(clip.name)} should show; it cannot be trained on")
    return ClipFile(clip.path, clip.action, split="train")


def _examples(clips: Sequence[ClipFile], folder: Path) -> tuple[str, ...]:
    """The first clips of each action, as paths from `folder`."""
    of: dict[str, list[ClipFile]] = {}
    for clip in clips:
        of.setdefault(clip.label, []).append(clip)
    return tuple(os.path.relpath(clip.path, folder) for some in of.values() for clip in some[:_EXAMPLES])


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


def _prove(
    networks: Sequence[Network], train: Sequence[ClipFile], judging: Sequence[ClipFile], allow_unknown: bool
) -> bool:
    """Whether nothing behind the generated clips has seen others than those to train on; StganError if it has."""
    if networks:
        check_networks(networks, set(content_hashes(train).values()), content_hashes(judging))
    unknown = unknown_networks(networks) if networks else ["all of them"]
    if unknown and not allow_unknown:
        raise StganError(
            "nothing says on which clips these networks behind the generated clips were trained, which may be those of "
            f"the test: {', '.join(unknown)}; generate by a model of stgan train and choose by stgan select, or allow "
            "it, which the result will say"
        )
    return not unknown


def _arm(
    initial: Checkpoint,
    clips: FinetuningClips,
    recipe: FinetuningRecipe,
    folder: Path,
    place: Path,
    fabric: Fabric,
    save_every: float,
) -> Arm:
    """Train one arm in `folder`/`place`, or find it trained. What could resume it goes: of C3D 0.9 GB."""
    path = folder / place / _ARM
    key = identity(recipe, initial.hash, repr(initial.network.config), clips.digest)
    with locked(*([folder / place] if fabric.is_global_zero else [])):
        if found := _read_arm(path, key):
            return found
        fabric.barrier()
        what = f"augmentation, {place.name}, seed {recipe.seed}"
        tuned = finetune(initial, clips, recipe, Workspace(fabric, folder / place, save_every), what)
        arm = _described(place.name, len(clips.train), tuned, place / CHECKPOINT)
        if fabric.is_global_zero:
            write_text(path, json.dumps({"key": key, **asdict(arm)}, indent=2) + "\n")
            (folder / place / STATE).unlink(missing_ok=True)
    fabric.barrier()
    return arm


def _read_arm(path: Path, key: str) -> Arm | None:
    """The arm that a file describes; None if there is none, of this recipe and these clips, or it is not readable."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("key") != key:
            return None
        values["curve"] = tuple(CurvePoint(**point) for point in values["curve"])
        for name in ("chosen", "best_on_test"):
            values[name] = CurvePoint(**values[name])
        for name in ("interval", "best_on_test_interval"):
            values[name] = tuple(values[name])
        return Arm(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _described(name: str, clips: int, found: Finetuned, checkpoint: Path) -> Arm:
    chosen, best = found.chosen, found.best_on_test
    return Arm(
        name, clips, found.start, found.curve, chosen, found.interval(chosen), best, found.interval(best),
        checkpoint.as_posix(),
    )  # fmt: skip
