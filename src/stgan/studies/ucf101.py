"""The paper's evaluation on UCF-101 (Section 5, Tables 2 and 3), in stages that each write a record.

| stage    | what it does                                                          | the paper's figure  |
|----------|-----------------------------------------------------------------------|---------------------|
| weights  | published files become the checkpoints of a model                     |                     |
| data     | the tree of UCF-101 is checked                                        |                     |
| generate | 10,000 videos, classes drawn uniformly, steered by LRCN               |                     |
| score    | their Inception Score by C3D, which did not steer them                | 23.44               |
| real     | the same of all real clips                                            | 70.07               |
| fooled   | as many videos, steered by that C3D, which then scores them           | 66.33               |
| augment  | C3D from Sports-1M, trained on generated clips, on real ones, on both | 15.6, 50.6, 52.2 %  |
"""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

from stgan.checkpoints import assemble, find_model
from stgan.checkpoints.checkpoint import load_checkpoint
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.devices import choose_device
from stgan.errors import StganError
from stgan.generation import GenerationJob
from stgan.names import quoted
from stgan.pipeline import STGAN
from stgan.records import Count, Number, Text, as_plain, as_record, read_record, write_record
from stgan.scoring import (
    Clip,
    Rules,
    ScoreCache,
    Scores,
    SteeredBy,
    evaluate,
    evaluator_of,
    generated_clips,
    labelled_clips,
)
from stgan.scoring.scores import InceptionEstimate
from stgan.studies.augmentation import PUBLISHED, Run, run_augmentation
from stgan.studies.generating import generate_set
from stgan.studies.selection import scores_by_clip, select
from stgan.studies.ucf101_recipe import Recipe, SetRecipe
from stgan.training.run import one_device
from stgan.version import __version__
from stgan.video import ClipFile, ClipFolder
from stgan.video.ucf101_index import INDEX, load_index, prepare_ucf101
from stgan.video.ucf101_names import UCF101, Published

STAGES = ("weights", "data", "generate", "score", "real", "fooled", "augment")
MODEL, GENERATED, FOOLED, AUGMENTATION, RECORDS = "model", "generated", "fooled", "augmentation", "records"
"""Folders: checkpoints, two sets of videos, trainings, and the records of the stages."""
CACHE = "cache"

INCEPTION_SCORES = {"score": 23.44, "fooled": 66.33, "real": 70.07}
"""The paper's Table 2, by stage."""
Part = TypeVar("Part")
OnProgress = Callable[[str, int, int | None], None]
"""(what, done, total)"""


def draw_classes(actions: Sequence[str], num: int, seed: int) -> dict[str, int]:
    """The number of videos of each class, if the class of each of `num` videos is drawn uniformly (Section 5.2)."""
    drawn = Counter(random.Random(f"{seed}/classes").choices(actions, k=num))
    return {action: drawn[action] for action in actions if drawn[action]}


@dataclass(frozen=True)
class StageRecord:
    """What a stage writes to RECORDS/STAGE.json. inputs: what its result depends on; it is redone if they change."""

    stage: Text
    inputs: dict[Text, Any]
    result: dict[Text, Any]
    seconds: Number
    version: Text = __version__
    format: Literal[1] = 1


class Reproduction:
    """The stages of a recipe in a folder. Finished ones are kept; an unfinished one continues where it stopped.

    data:        the root of UCF-101; may be None for stages that do not need it.
    weights:     the folder with the published files.
    published:   the expected classes and counts of clips; a rehearsal has its own.
    on_progress: called with the progress of a stage; trainings show their own progress.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        data: Path | None,
        weights: Path,
        device: str | None = None,
        published: Published = UCF101,
        on_progress: OnProgress = lambda what, done, total: None,
    ) -> None:
        self.recipe, self.out, self.data, self.weights = recipe, out, data, weights
        self.device, self.published, self.on_progress = choose_device(device), published, on_progress
        self._stages: dict[str, tuple[Callable[[], Any], Callable[[], dict[str, Any]]]] = {
            "weights": (lambda: recipe.weights, self._weights),
            "data": (lambda: recipe.data, self._data),
            "generate": (
                lambda: self._set_inputs("generate", recipe.generate),
                lambda: self._generate_videos(recipe.generate, GENERATED),
            ),
            "score": (
                lambda: {**asdict(recipe.score), "generate": self._needed("generate", "score").inputs},
                lambda: _summary(self._evaluate(generated_clips(out / GENERATED), GENERATED)),
            ),
            "real": (self._real_inputs, self._real),
            "fooled": (
                lambda: {**self._set_inputs("fooled", recipe.fooled), "score": asdict(recipe.score)},
                self._fooled,
            ),
            "augment": (self._augment_inputs, self._augment),
        }
        """By stage: a function for its inputs, and one that does it."""

    def run(self, stage: str) -> StageRecord:
        """Run a stage, unless it is done.

        Raises:
            StganError: something that it needs is missing or wrong, or an earlier stage has not been done.
        """
        inputs_of, work = self._stages[stage]
        inputs = as_plain(inputs_of())
        found = self.record(stage)
        if found and found.inputs == inputs and stage != "data":  # a tree of files may change at any time
            return found
        started = time.monotonic()
        result = as_plain(work())
        record = StageRecord(stage, inputs, result, round(time.monotonic() - started, 1))
        (self.out / RECORDS).mkdir(parents=True, exist_ok=True)
        write_record(self._path(stage), record)
        return record

    def is_done(self, stage: str) -> bool:
        """Whether a stage has been done, and its inputs have not changed since."""
        found = self.record(stage)
        try:
            return found is not None and found.inputs == as_plain(self._stages[stage][0]())
        except StganError:  # an earlier stage has not been done
            return False

    def record(self, stage: str) -> StageRecord | None:
        """The record of a stage; None if there is none, or if it cannot be read."""
        try:
            return read_record(self._path(stage), StageRecord)
        except StganError:
            return None

    def _path(self, stage: str) -> Path:
        return self.out / RECORDS / f"{stage}.json"

    def _needed(self, stage: str, by: str) -> StageRecord:
        record = self.record(stage)
        if record is None:
            raise StganError(
                f"stage {by} needs stage {stage}, which has not been done in {quoted(self.out)}; do it first"
            )
        return record

    def _weights(self) -> dict[str, Any]:
        """Convert published files to checkpoints in OUT/model; returns their hashes."""
        paths = {name: source.paths(self.weights) for name, source in self.recipe.weights.items()}
        wanted = dict.fromkeys(path for each in paths.values() for path in each)
        missing = [path.name for path in wanted if not _is_there(path)]
        if missing:
            fetched = [known.name for known in KNOWN_FILES if known.file in missing and known.urls]
            by_hand = [known.name for known in KNOWN_FILES if known.file in missing and not known.urls]
            ways = [f"stgan weights fetch {' '.join(fetched)}"] * bool(fetched)
            ways += [f"with a browser {', '.join(by_hand)} (stgan weights list NAME)"] * bool(by_hand)
            raise StganError(
                f"{quoted(self.weights)} lacks {len(missing)} of {len(wanted)} files of weights: {', '.join(missing)}; "
                f"get them: {', and '.join(ways) or 'their names are not among those of stgan weights list'}"
            )
        hashes = {}
        for number, (name, source) in enumerate(self.recipe.weights.items()):
            self.on_progress("weights", number, len(paths))
            hashes[name] = source.convert(paths[name], self.out / MODEL / name)
        self.on_progress("weights", len(paths), len(paths))
        steering = tuple(dict.fromkeys((self.recipe.generate.condition, self.recipe.fooled.condition)))
        evaluator = self.recipe.score.evaluator
        assemble(
            self.out / MODEL, "ucf101", condition=steering, evaluators=() if evaluator in steering else (evaluator,)
        )
        return hashes

    def _data(self) -> dict[str, Any]:
        if self.data is None:
            raise StganError("these stages need UCF-101; give its folder with --data FOLDER")
        chosen = self.recipe.data
        index = prepare_ucf101(
            self.data,
            self._index,
            splits=(chosen.split,),
            quick=True,
            published=self.published,
            progress=lambda done, total: self.on_progress("data", done, total),
        )
        problems = index.problems()
        if problems and not chosen.incomplete:
            raise StganError(
                f"{quoted(self.data)} is not the whole of UCF-101: {problems[0].rstrip('.')}; stgan data prepare "
                "ucf101 lists what is missing, and with --set data.incomplete=true the existing clips are used (the "
                "paper used all)"
            )
        if not index.readable:
            raise StganError(f"{quoted(self.data)} has no clip that can be read")
        files = "\n".join(f"{clip.file} {clip.bytes}" for clip in index.readable)
        return {"digest": hashlib.sha256(files.encode()).hexdigest(), **index.summary()}

    @property
    def _index(self) -> Path:
        return self.out / INDEX

    def clips(self) -> tuple[ClipFile, ...]:
        """The clips of UCF-101 that stage data found, with the official split."""
        return load_index(self._index).clip_files(self.recipe.data.split)

    def _fooled(self) -> dict[str, Any]:
        """Videos that a network steered, and their scores by that network."""
        made = self._generate_videos(self.recipe.fooled, FOOLED)
        scores = self._evaluate(generated_clips(self.out / FOOLED), FOOLED, allow_fooled=True)
        return {**made, **_summary(scores)}

    def _set_inputs(self, stage: str, chosen: SetRecipe) -> dict[str, Any]:
        return {**asdict(chosen), "weights": self._needed("weights", stage).result}

    def _generate_videos(self, chosen: SetRecipe, name: str) -> dict[str, Any]:
        model = STGAN.from_pretrained(self.out / MODEL, self.device)
        preset = model.preset(chosen.preset, chosen.iterations)
        counts = draw_classes(model.actions, chosen.num_videos, chosen.seed)
        done = count(1)
        steering = model.steering(condition=chosen.condition, preset=preset)
        job = GenerationJob(model, steering, preset, counts, chosen.seed)
        generate_set(job, self.out / name, on_clip=lambda: self.on_progress(name, next(done), chosen.num_videos))
        return {"num_videos": chosen.num_videos, "classes": len(counts), "size": steering.side}

    def _real_inputs(self) -> dict[str, Any]:
        made = self._needed("weights", "real").result
        return {
            **asdict(self.recipe.score),
            "evaluator": made[self.recipe.score.evaluator],
            "data": self._needed("data", "real").result["digest"],
        }

    def _real(self) -> dict[str, Any]:
        """The scores of all clips, train and test alike, as the paper's "whole UCF-101 dataset"."""
        none = SteeredBy((), frozenset())
        clips = labelled_clips(ClipFolder(load_index(self._index).videos, self.clips()))
        return _summary(self._evaluate([replace(clip, steering=none) for clip in clips], "real"))

    def _augment_inputs(self) -> dict[str, Any]:
        return {
            "select": asdict(self.recipe.select),
            "augment": asdict(self.recipe.augment),
            "score": self._needed("score", "augment").inputs,
            "initial": self._needed("weights", "augment").result[self.recipe.initial],
            "data": self._needed("data", "augment").result["digest"],
        }

    def _augment(self) -> dict[str, Any]:
        """Section 5.3: train on the clips that contributed most to the score, on real clips, and on both."""
        generated = generated_clips(self.out / GENERATED)
        chosen = select(
            generated,
            scores_by_clip(self._evaluate(generated, GENERATED)),
            most=self.recipe.select.most,
            least=self.recipe.select.least,
            any_verdict=True,  # the paper does not exclude clips that the evaluator takes for another action
        )
        found = run_augmentation(
            load_checkpoint(self.out / MODEL / self.recipe.initial),
            self.clips(),
            chosen.clips,
            self.recipe.augment,
            self.out / AUGMENTATION,
            one_device(self.device),
            allow_unknown=True,  # published weights do not list their training clips
            actions=find_model(self.out / MODEL).actions,
        )
        return {
            "selected": len(chosen.clips),
            "candidates": len(chosen.candidates),
            "least": chosen.least,
            **as_plain(found),
        }

    def _evaluate(self, clips: Sequence[Clip], name: str, *, allow_fooled: bool = False) -> Scores:
        """The scores, also written to OUT/NAME_scores.json."""

        def watch(results: Iterable[Any], description: str, total: int) -> Iterator[Any]:
            for done, result in enumerate(results, start=1):
                yield result
                self.on_progress(f"{name}: {description}", done, total)

        evaluator = evaluator_of(find_model(self.out / MODEL), self.recipe.score.evaluator, device=self.device)
        with closing(ScoreCache(self.out / CACHE)) as cache:
            scores = evaluate(
                clips,
                evaluator,
                rules=Rules(splits=self.recipe.score.splits),
                allow_fooled=allow_fooled,
                cache=cache,
                watch=watch,
            )
        write_record(self.out / f"{name}_scores.json", scores)
        return scores


@dataclass(frozen=True)
class Line:
    """A figure of the paper and ours. interval: 95 %, of ours, over clips. fooled: the evaluator steered the clips."""

    stage: str
    what: str
    published: float
    measured: float | None = None
    interval: tuple[float, float] | None = None
    num: int | None = None
    fooled: bool = False


@dataclass(frozen=True)
class _Scored:
    """What is compared with the paper's Table 2."""

    inception_score: InceptionEstimate
    num_videos: Count


@dataclass(frozen=True)
class _Trained:
    """What is compared with the paper's Table 3; empty in records from before there were several seeds."""

    runs: tuple[Run, ...] = ()


def compare_with_paper(records: Mapping[str, StageRecord]) -> list[Line]:
    """The paper's Tables 2 and 3, and the measured values; None if a stage has not been done.

    Raises:
        StganError: a record is not what its stage writes.
    """
    lines = []
    for stage, published in INCEPTION_SCORES.items():
        line = Line(stage, _WORDS[stage], published, fooled=stage == "fooled")
        if record := records.get(stage):
            found = _part(_Scored, record)
            score = found.inception_score
            line = replace(line, measured=score.mean, interval=(score.low, score.high), num=found.num_videos)
        lines.append(line)
    augment = records.get("augment")
    runs = _part(_Trained, augment).runs if augment else ()  # of one seed, so one run
    for name, published in PUBLISHED.items():
        line = Line("augment", f"{_WORDS['augment']}, {name}", published)
        for run in runs:
            arm = run.arm(name)
            line = replace(line, measured=arm.chosen.test, interval=arm.interval, num=arm.clips)
        lines.append(line)
    return lines


_WORDS = {
    "score": "Inception Score, steered by LRCN",
    "fooled": "Inception Score, steered by the evaluator itself",
    "real": "Inception Score of UCF-101",
    "augment": "random-clip accuracy",
}


def _is_there(path: Path) -> bool:
    """A TensorFlow checkpoint has two files, whose names start with the given name."""
    return path.is_file() or path.with_name(f"{path.name}.index").is_file()


def _part(kind: type[Part], record: StageRecord) -> Part:
    """The fields of this type from the result of a stage. StganError if they are not what the stage writes."""
    known = {each.name: record.result[each.name] for each in fields(kind) if each.name in record.result}  # type: ignore[arg-type]
    return as_record(kind, known, f"the record of stage {record.stage}", "do it again")


def _summary(scores: Scores) -> dict[str, Any]:
    values = as_plain(scores)
    kept = ("num_videos", "inception_score", "splits", "accuracy", "accuracy_interval", "motion", "diversity", "fooled",
            "evaluator", "evaluator_hash", "protocol", "steered_by")  # fmt: skip
    return {name: values[name] for name in kept}
