"""Are generated clips worth training on? The paper's Section 5.3, Table 3.

For every seed, one classifier is trained three times from the same weights: on generated clips, on real clips, and on
both. Random-clip accuracy (on random windows of consecutive frames of each test clip, the same in all arms and at all
times) is measured after every `every` iterations. The paper stops at the best accuracy on the test clips, and reports
it. Here, clips of held-out groups decide where to stop, unless the recipe asks for the paper's way. Both figures are
recorded.
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
from stgan.files import locked
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
from stgan.training.finetuning import CHECKPOINT, CurvePoint, FinetuningClips, FinetuningRecipe, finetune
from stgan.training.run import STATE, Workspace, identity
from stgan.version import __version__
from stgan.video import ClipFile
from stgan.video.frame_folders import clip_sha256, frame_files

ArmName = Literal["generated", "real", "both"]
ARMS: tuple[ArmName, ...] = get_args(ArmName)
RECORD = "augmentation.json"
FIGURE = "counts.png"
PUBLISHED: dict[ArmName, float] = {"generated": 0.156, "real": 0.506, "both": 0.522}
"""The paper's Table 3: random-clip accuracies on UCF-101, by what was trained on."""
_ARM = "arm.json"
_EXAMPLES = 2  # clips of each action that a report may show
_MOST_RUNS = 1000


@dataclass(frozen=True)
class Arm:
    """One training.

    name:          "generated", "real" or "both": the clips that it was trained on; clips: their number.
    start:         hash of the initial weights, the same in all arms of a seed.
    curve:         every evaluation.
    chosen:        the one whose weights are kept. interval: 95 % (Wilson), of its accuracy on the test clips.
    best_on_test:  the one that the paper would choose: the best on the test clips.
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
    """The arms of one seed, which decides the new layer's weights, the order of the clips and their augmentation."""

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
    """Accuracy of each arm on the test clips, over the seeds."""

    generated: Mean
    real: Mean
    both: Mean


@dataclass(frozen=True)
class Summary:
    """Means over the runs.

    generated, real, both: random-clip accuracy on the test clips of each arm at the chosen evaluation.
    best_on_test: the same at the evaluation that is best on the test clips (the paper's way, which is too optimistic).
    gain:  the accuracy of "both" minus that of "real" of the same seed, in [-1, 1].
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
        """The summary of at least one run."""
        stopped = {name: Mean.of([run.arm(name).chosen.test for run in runs]) for name in ARMS}
        best = {name: Mean.of([run.arm(name).best_on_test.test for run in runs]) for name in ARMS}
        gain = Mean.of([run.arm("both").chosen.test - run.arm("real").chosen.test for run in runs])
        real = stopped["real"].mean
        share = stopped["generated"].mean / real if real else None
        return cls(**stopped, best_on_test=ArmMeans(**best), gain=gain, share=share)

    def arm(self, name: ArmName) -> Mean:
        """The accuracy of the arm of this name at the chosen evaluation."""
        found: Mean = getattr(self, name)
        return found


@dataclass(frozen=True)
class NetworkBehind:
    """A network behind generated clips. seen: number of clips that it was trained on; 0: unknown."""

    role: Text
    hash: Text
    seen: Count


@dataclass(frozen=True, kw_only=True)
class AugmentationResult:
    """The result of `run_augmentation`, and what `augmentation.json` holds.

    groups:   groups of the training, validation and test clips.
    clips:    their numbers.
    counts:   numbers of training clips of each action, real and generated.
    sources:  a few training clips of each action, as paths from the experiment's folder.
    networks: the networks behind the generated clips.
    proven:   whether all of these are known to have been trained on training clips only.
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
            raise ValueError("the seeds are not those of the runs")
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
    """Train three arms for every seed. An interrupted run continues where it stopped; finished arms are kept.

    Args:
        initial: the classifier to start from. Its last layer is replaced, so it may have any classes.
        real: clips with the splits "train", "test" and optionally "val". Clips of "val" decide where to stop. If there
            are none, clips of some training groups are held out for this, unless the test clips decide. These groups
            are ones that no network behind the generated clips was trained on, if there are any.
        generated: clips to train on (see `stgan.studies.selection`), each with the action that it should show.
        recipe: of every arm.
        folder: receives a folder for each seed and arm, `augmentation.json` and `counts.png`.
        fabric: devices, launched.
        seeds: default: the recipe's alone.
        networks: the networks behind the generated clips (see `stgan.studies.provenance`).
        allow_unknown: accept networks whose training clips are unknown; the result says so.
        actions: the classes in the order of the outputs; default: those of the real clips, sorted.
        save_every: seconds between two states to resume from.

    Raises:
        StganError: clips are missing, damaged, of unknown actions, or in two splits; a network behind the generated
            clips was trained on others than the training clips; or the initial weights on a validation or test clip.
    """
    classes = tuple(actions) if actions is not None else tuple(sorted({clip.label for clip in real}))
    hold_out = recipe.stop_on == "validation" and not any(clip.split == "val" for clip in real)
    unseen = unseen_groups(networks, [clip for clip in real if clip.split == "train"]) if hold_out else None
    train, validation, test = sides_of(real, recipe, unseen)
    made = tuple(_generated(clip) for clip in generated)
    _check(classes, train, validation, test, made)
    check_initial(initial, (*validation, *test))
    proven = _proven(networks, train, (*validation, *test), allow_unknown)
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
        raise StganError(f"the action of {quoted(clip.name)} is unknown, so it cannot be trained on; leave it out")
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
    """Raise StganError unless every clip is of a known action, and no validation or test clip is trained on."""
    if not generated:
        raise StganError("there is no generated clip to train on; select some")
    for clip in (*train, *validation, *test, *generated):
        if clip.label not in classes:
            raise StganError(f"{quoted(clip.path)} shows {quoted(clip.label)}, which is not one of the classes")
        if not clip.path.is_file() and not frame_files(clip.path):
            raise StganError(f"{quoted(clip.path)} is missing; complete the clips, or leave it out")
    sides = {"train": train, "validation": validation, "test": test}
    for one, other in combinations(sides, 2):
        shared = {clip.group for clip in sides[one]} & {clip.group for clip in sides[other]} - {None}
        if shared:
            group = quoted(sorted(map(str, shared))[0])
            raise StganError(f"{group} is a group of {one} clips and of {other} clips; put each group into one split")
    for held_out, name in ((test, "test"), (validation, "validation")):
        copied = _same_file((*train, *generated), held_out)
        if copied:
            raise StganError(
                f"the training clip {quoted(copied[0])} is also the {name} clip {quoted(copied[1])}; leave out one"
            )


def _same_file(some: Sequence[ClipFile], others: Sequence[ClipFile]) -> tuple[Path, Path] | None:
    """A file of each with the same contents. Only files of equal sizes are read."""
    sizes: dict[int, list[Path]] = {}
    for clip in others:
        sizes.setdefault(clip.path.stat().st_size, []).append(clip.path)
    for clip in some:
        for path in sizes.get(clip.path.stat().st_size, ()):
            if clip.path == path or clip_sha256(clip.path) == clip_sha256(path):
                return clip.path, path
    return None


def _proven(
    networks: Sequence[Network], train: Sequence[ClipFile], held_out: Sequence[ClipFile], allow_unknown: bool
) -> bool:
    """Whether all networks are known to have seen training clips only. StganError if one has seen other clips."""
    if networks:
        check_networks(networks, set(content_hashes(train).values()), content_hashes(held_out))
    unknown = unknown_networks(networks) if networks else ["all of them"]
    if unknown and not allow_unknown:
        raise StganError(
            "it is unknown on which clips these networks behind the generated clips were trained, and test clips may "
            f"be among them: {', '.join(unknown)}; generate with a model of stgan train and choose with stgan select, "
            "or allow it (the result will say so)"
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
    """Train one arm, unless it is trained. Its state for resuming is removed at the end (0.9 GB for C3D)."""
    place = Path(f"seed_{recipe.seed}") / name
    path = folder / place / _ARM
    key = identity(recipe, initial.hash, repr(initial.network.config), clips.digest)
    with locked(*([folder / place] if fabric.is_global_zero else [])):
        if found := _read_arm(path, key):
            return found
        fabric.barrier()
        what = f"augmentation, {name}, seed {recipe.seed}"
        tuned = finetune(initial, clips, recipe, Workspace(fabric, folder / place, save_every), what)
        arm = Arm(
            name=name,
            clips=len(clips.train),
            start=tuned.start,
            curve=tuned.curve,
            chosen=tuned.chosen,
            interval=tuned.interval(tuned.chosen),
            best_on_test=tuned.best_on_test,
            best_on_test_interval=tuned.interval(tuned.best_on_test),
            checkpoint=(place / CHECKPOINT).as_posix(),
        )
        if fabric.is_global_zero:
            write_record(path, {"key": key, **as_plain(arm)})
            (folder / place / STATE).unlink(missing_ok=True)
    fabric.barrier()
    return arm


def _read_arm(path: Path, key: str) -> Arm | None:
    """The arm that a file describes; None if it is of another recipe or other clips, or cannot be read."""
    try:
        values = read_json(path)
        return as_record(Arm, values, path) if isinstance(values, dict) and values.pop("key", None) == key else None
    except StganError:
        return None
