"""Are generated clips worth training on? The paper's Section 5.3, Table 3.

One classifier is trained three times, from the same weights, with the same seed: on generated clips only, on real ones
only, on both; and so for every seed. Random-clip accuracy (random windows of consecutive frames of each test clip, the
same in all arms and at all times) is taken every so many iterations. The paper stops where the accuracy on the test
clips is best, and reports that; here, clips of held-out groups choose where to stop, unless the paper's way is asked
for. Both figures are recorded.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

from lightning_fabric import Fabric

from stgan.checkpoints.checkpoint import Checkpoint
from stgan.errors import StganError
from stgan.files import locked, sha256
from stgan.metrics.means import Mean
from stgan.names import quoted
from stgan.records import (
    Count,
    Fraction,
    FractionInterval,
    Number,
    Text,
    as_plain,
    as_record,
    read_json,
    write_record,
)
from stgan.scoring import Clip
from stgan.studies.counts import draw_counts
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

ArmName = Literal["generated", "real", "both"]
ARMS: tuple[ArmName, ...] = get_args(ArmName)
RECORD = "augmentation.json"
FIGURE = "counts.png"
PUBLISHED: dict[ArmName, float] = {"generated": 0.156, "real": 0.506, "both": 0.522}
"""The paper's Table 3: random-clip accuracies on UCF-101, by what was trained on."""
_ARM = "arm.json"
_EXAMPLES = 2  # clips of an action that a report may show
_MOST_RUNS = 1000


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

    name: ArmName
    clips: Count
    start: Text
    curve: tuple[CurvePoint, ...]
    chosen: CurvePoint
    interval: FractionInterval
    best_on_test: CurvePoint
    best_on_test_interval: FractionInterval
    checkpoint: Text

    def __post_init__(self) -> None:
        if not self.curve:
            raise ValueError("the curve has no point")


@dataclass(frozen=True)
class Run:
    """The arms of one seed, which decides the last layer's weights, the order of the clips and their augmentation."""

    seed: int
    arms: tuple[Arm, ...]

    def __post_init__(self) -> None:
        if sorted(arm.name for arm in self.arms) != sorted(ARMS):
            raise ValueError(f"the arms must be {', '.join(ARMS)}")

    def arm(self, name: ArmName) -> Arm:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)


@dataclass(frozen=True)
class ArmMeans:
    """Accuracy on the test clips of each arm, over the seeds."""

    generated: Mean
    real: Mean
    both: Mean


@dataclass(frozen=True)
class Summary:
    """What the runs come to.

    generated, real, both: random-clip accuracy on the test clips of each arm where it stopped, over the seeds.
    best_on_test: the same, stopped where it is best on the test clips (the paper's way: too good).
    gain:  by how much the generated clips raise the accuracy: "both" minus "real" of the same seed, in [-1, 1].
    share: the accuracy with generated clips only over that with real clips only; None if the latter is 0.
    """

    generated: Mean
    real: Mean
    both: Mean
    best_on_test: ArmMeans
    gain: Mean
    share: Number | None

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "Summary":
        """Of at least one run."""
        stopped = {name: Mean.of([run.arm(name).chosen.test for run in runs]) for name in ARMS}
        best = {name: Mean.of([run.arm(name).best_on_test.test for run in runs]) for name in ARMS}
        gain = Mean.of([run.arm("both").chosen.test - run.arm("real").chosen.test for run in runs])
        real = stopped["real"].mean
        share = stopped["generated"].mean / real if real else None
        return cls(**stopped, best_on_test=ArmMeans(**best), gain=gain, share=share)

    def arm(self, name: ArmName) -> Mean:
        """Of the arm of this name, where it stopped."""
        found: Mean = getattr(self, name)
        return found


@dataclass(frozen=True)
class NetworkBehind:
    """A network behind generated clips. seen: how many clips it was trained on; 0: not known."""

    role: Text
    hash: Text
    seen: Count


@dataclass(frozen=True, kw_only=True)
class AugmentationResult:
    """What `run_augmentation` found, and what `augmentation.json` holds.

    groups:   of the clips to train on, to validate and to test.
    clips:    how many of each.
    counts:   clips trained on, by action: of the real ones, of the generated ones.
    sources:  of each action a few of the clips trained on, as paths from the experiment's folder.
    networks: what was behind the generated clips.
    proven:   whether all of these are known to have been trained on clips to train on, and nothing else.
    """

    format: Literal[2] = 2  # 1: one seed
    initial: Text
    recipe: FinetuningRecipe
    actions: tuple[Text, ...]
    groups: dict[Text, tuple[Text, ...]]
    clips: dict[Text, Count]
    counts: dict[Text, dict[Text, Count]]
    sources: dict[Text, tuple[Text, ...]] = field(default_factory=dict)
    networks: tuple[NetworkBehind, ...]
    proven: bool
    runs: tuple[Run, ...]
    seeds: tuple[int, ...]
    summary: Summary
    published: dict[ArmName, Fraction] = field(default_factory=PUBLISHED.copy)
    version: Text = __version__

    def __post_init__(self) -> None:
        if not 1 <= len(self.runs) <= _MOST_RUNS or self.seeds != tuple(run.seed for run in self.runs):
            raise ValueError("runs and seeds do not belong together")
        means = [self.summary.gain, *(self.summary.arm(name) for name in ARMS)]
        if {len(mean.values) for mean in means} != {len(self.runs)}:
            raise ValueError("the summary is not that of the runs")
        if self.published.keys() != set(ARMS) or {*self.counts, *self.sources} - {"real", "generated"}:
            raise ValueError("figures are those of real and of generated clips")


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
    trained_on: dict[ArmName, tuple[tuple[ClipFile, ...], tuple[ClipFile, ...]]] = {
        "generated": ((), made), "real": (train, ()), "both": (train, made)
    }  # fmt: skip
    runs = []
    for seed in seeds if seeds is not None else (recipe.seed,):
        arms = []
        for name in ARMS:
            clips = FinetuningClips(classes, *trained_on[name], validation, test)
            arms.append(_arm(name, initial, clips, replace(recipe, seed=seed), folder, fabric, save_every))
        runs.append(Run(seed, tuple(arms)))
    sides = {"train": train, "validation": validation, "test": test}
    result = AugmentationResult(
        initial=initial.hash,
        recipe=recipe,
        actions=classes,
        groups={side: tuple(sorted({clip.group for clip in clips if clip.group})) for side, clips in sides.items()},
        clips={side: len(clips) for side, clips in sides.items()},
        counts={"real": dict(Counter(c.label for c in train)), "generated": dict(Counter(c.label for c in made))},
        sources={"real": _examples(train, folder), "generated": _examples(made, folder)},
        networks=tuple(NetworkBehind(each.role, each.hash, len(each.seen)) for each in networks),
        proven=proven,
        runs=tuple(runs),
        seeds=tuple(run.seed for run in runs),
        summary=Summary.of(runs),
    )
    if fabric.is_global_zero:
        draw_counts(folder / FIGURE, result.counts["real"], result.counts["generated"])
        write_record(folder / RECORD, result)
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
    name: ArmName,
    initial: Checkpoint,
    clips: FinetuningClips,
    recipe: FinetuningRecipe,
    folder: Path,
    fabric: Fabric,
    save_every: float,
) -> Arm:
    """Train one arm in `folder`/`place`, or find it trained. What could resume it goes: of C3D 0.9 GB."""
    place = Path(f"seed_{recipe.seed}") / name
    path = folder / place / _ARM
    key = identity(recipe, initial.hash, repr(initial.network.config), clips.digest)
    with locked(*([folder / place] if fabric.is_global_zero else [])):
        if found := _read_arm(path, key):
            return found
        fabric.barrier()
        what = f"augmentation, {name}, seed {recipe.seed}"
        tuned = finetune(initial, clips, recipe, Workspace(fabric, folder / place, save_every), what)
        arm = _described(name, len(clips.train), tuned, place / CHECKPOINT)
        if fabric.is_global_zero:
            write_record(path, {"key": key, **as_plain(arm)})
            (folder / place / STATE).unlink(missing_ok=True)
    fabric.barrier()
    return arm


def _read_arm(path: Path, key: str) -> Arm | None:
    """The arm that a file describes; None if there is none, of this recipe and these clips, or it is not readable."""
    try:
        values = read_json(path)
        return as_record(Arm, values, path) if isinstance(values, dict) and values.pop("key", None) == key else None
    except StganError:
        return None


def _described(name: ArmName, clips: int, found: Finetuned, checkpoint: Path) -> Arm:
    chosen, best = found.chosen, found.best_on_test
    return Arm(
        name, clips, found.start, found.curve, chosen, found.interval(chosen), best, found.interval(best),
        checkpoint.as_posix(),
    )  # fmt: skip
