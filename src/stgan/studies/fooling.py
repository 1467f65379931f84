"""The paper's fooling experiment (Section 5.2, Table 2, Figure 5).

Clips are steered by one condition network, and scored by that network and by networks that did not steer them. The
scores of the steering network show how well it was fooled. They exceed the scores of the others by what an Inception
Score of the steering network would hide.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import MaxLen

from stgan.errors import StganError
from stgan.pipeline import STGAN
from stgan.records import Count, Text, read_record
from stgan.scoring import Clip, Evaluator, Protocol, ScoreCache, Scores, SteeredBy, as_evaluator, evaluate
from stgan.studies.generating import first_clips, first_frames
from stgan.version import __version__
from stgan.video import read_video
from stgan.video.strips import Strip, save_strips

REAL = "real"
FIGURE = "fooling.png"
RECORD = "fooling.json"
_MOST_ROWS = 1000  # 16 networks steer, and they and 16 others score


@dataclass(frozen=True)
class EvaluatorScores:
    """The scores of one set of clips by one network.

    clips:  the network that steered them, or "real".
    fooled: whether the evaluator, or a network that shares an ancestor with it, steered them.
    scores: without those of single clips.
    """

    clips: Text
    evaluator: Text
    fooled: bool
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class FoolingStudy:
    """What `fooling.json` holds: how the clips were made, and their scores by every network."""

    format: Literal[1] = 1
    model: Text
    preset: Text
    seed: int
    num: Count
    steered_by: Annotated[tuple[Text, ...], MaxLen(_MOST_ROWS)]
    rows: Annotated[tuple[EvaluatorScores, ...], MaxLen(_MOST_ROWS)]
    version: Text = __version__


def read_fooling(folder: Path) -> FoolingStudy:
    """The record of a study's folder. StganError if there is none, or it is not what `stgan fooling` writes."""
    return read_record(folder / RECORD, FoolingStudy, "run stgan fooling again")


def evaluators_of(model: STGAN) -> list[Evaluator]:
    """Every classifier of the model: those that can steer, then those that cannot."""
    folder = model.folder
    if not folder.evaluators:
        raise StganError(f"{model.name} has no evaluator, which is needed to score clips that its networks steered")
    loaded = {part: folder.load(part, model.device) for part in dict.fromkeys(folder.classifiers.values())}
    return [as_evaluator(loaded[part], name) for name, part in folder.classifiers.items()]


def real_clips(clips: Sequence[Clip], actions: Sequence[str]) -> list[Clip]:
    """The real clips of these actions that are scored: the test clips if there are any, else all."""
    known = [clip for clip in clips if clip.action in actions]
    return [clip for clip in known if clip.split == "test"] or known


def score_sets(
    sets: Mapping[str, Path],
    evaluators: Sequence[Evaluator],
    num: int,
    *,
    real: Sequence[Clip] = (),
    cache: ScoreCache | None = None,
    on_set: Callable[[], None] = lambda: None,
) -> list[EvaluatorScores]:
    """Score the first `num` clips of every action of each set, and real clips, by each network.

    Args:
        sets: folders of clips, by the network that steered them.
        real: clips that are brought to the size of the generated ones.
        on_set: called each time that a network has scored a set.
    """
    clips = {name: first_clips(folder, num) for name, folder in sets.items()}
    protocols = dict.fromkeys(clips, Protocol())
    if real:
        height, width = read_video(next(iter(clips.values()))[0].path).frames.shape[1:3]
        clips[REAL] = [replace(clip, steering=SteeredBy((), frozenset())) for clip in real]  # nothing steered them
        protocols[REAL] = Protocol(size=(height, width))
    rows = []
    for name, chosen in clips.items():
        for each in evaluators:
            scores = evaluate(chosen, each, protocol=protocols[name], allow_fooled=True, cache=cache)
            rows.append(EvaluatorScores(name, each.name, bool(scores.fooled), replace(scores, clips=())))
            on_set()
    return rows


def record(model: STGAN, preset: str, seed: int, num: int, rows: Sequence[EvaluatorScores]) -> FoolingStudy:
    """The record of a study with these scores."""
    steered_by = tuple(sorted({row.clips for row in rows} - {REAL}))
    return FoolingStudy(model=model.name, preset=preset, seed=seed, num=num, steered_by=steered_by, rows=tuple(rows))


def draw(path: Path, sets: Mapping[str, Path], actions: Sequence[str], columns: int = 8) -> None:
    """Draw the paper's Figure 5 for every set: a strip for each set and action."""
    strips = [
        Strip(f"{action}, {name}", first_frames(folder, action)) for action in actions for name, folder in sets.items()
    ]
    save_strips(path, strips, columns=columns)
