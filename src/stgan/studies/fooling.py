"""The paper's fooling experiment (Section 5.2, Table 2, Figure 5).

Clips are steered by one condition network, and judged by that network and by networks that never saw them. What the
steering network says of its own clips is how well it was fooled; the gap to the others' verdicts is what an Inception
Score computed with it would hide.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from stgan.errors import StganError
from stgan.pipeline import STGAN
from stgan.records import Count, Text, read_record
from stgan.scoring import (
    Clip,
    Evaluator,
    Protocol,
    ScoreCache,
    Scores,
    SteeredBy,
    as_evaluator,
    evaluate,
)
from stgan.studies.generating import first_clips, first_frames
from stgan.version import __version__
from stgan.video import read_video
from stgan.video.strips import Strip, save_strips

REAL = "real"
FIGURE = "fooling.png"
RECORD = "fooling.json"


@dataclass(frozen=True)
class Verdict:
    """What one network says of one set of clips.

    clips:  the network that steered them, or "real".
    scores: without those of single clips.
    """

    clips: Text
    evaluator: Text
    fooled: bool
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class FoolingStudy:
    """What `fooling.json` holds: how the clips were made, and every verdict."""

    format: Literal[1] = 1
    model: Text
    preset: Text
    seed: int
    num: Count
    steered_by: tuple[Text, ...]
    rows: tuple[Verdict, ...]
    version: Text = __version__


def read_fooling(folder: Path) -> FoolingStudy:
    """The record of a study's folder. StganError if there is none, or it is not what `stgan fooling` writes."""
    return read_record(folder / RECORD, FoolingStudy, "run stgan fooling again")


def judges_of(model: STGAN) -> list[Evaluator]:
    """Every classifier of the model: those that steer, then those that never do."""
    folder = model.folder
    if not folder.evaluators:
        raise StganError(f"{model.name} has no evaluator, so nothing in it can judge clips that its networks steered")
    return [
        as_evaluator(folder.load(part, model.device), name)
        for name, part in {**folder.condition, **folder.evaluators}.items()
    ]


def real_clips(clips: Sequence[Clip], actions: Sequence[str]) -> list[Clip]:
    """Those of these actions, to be judged beside generated ones: the test clips where there are such, else all."""
    known = [clip for clip in clips if clip.action in actions]
    return [clip for clip in known if clip.split == "test"] or known


def judge(
    sets: Mapping[str, Path],
    judges: Sequence[Evaluator],
    num: int,
    *,
    real: Sequence[Clip] = (),
    cache: ScoreCache | None = None,
    on_set: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """Each network's scores of each set of clips: the first `num` of every action of each set, and real ones.

    Args:
        sets: folders of clips, by the network that steered them.
        real: brought to the size of the generated clips.
        on_set: called after each verdict.
    """
    clips = {name: first_clips(folder, num) for name, folder in sets.items()}
    protocols = dict.fromkeys(clips, Protocol())
    if real:
        height, width = read_video(next(iter(clips.values()))[0].path).frames.shape[1:3]
        clips[REAL] = [replace(clip, steering=SteeredBy((), frozenset())) for clip in real]  # nothing steered them
        protocols[REAL] = Protocol(size=(height, width))
    verdicts = []
    for name, chosen in clips.items():
        for each in judges:
            scores = evaluate(chosen, each, protocol=protocols[name], allow_fooled=True, cache=cache)
            verdicts.append(Verdict(name, each.name, bool(scores.fooled), replace(scores, clips=())))
            on_set()
    return verdicts


def record(model: STGAN, preset: str, seed: int, num: int, verdicts: Sequence[Verdict]) -> FoolingStudy:
    """What is written of these verdicts."""
    steered_by = tuple(sorted({verdict.clips for verdict in verdicts} - {REAL}))
    return FoolingStudy(
        model=model.name, preset=preset, seed=seed, num=num, steered_by=steered_by, rows=tuple(verdicts)
    )


def draw(path: Path, sets: Mapping[str, Path], actions: Sequence[str], columns: int = 8) -> None:
    """The paper's Figure 5, beside clips that another network steered: a strip for each set and action."""
    strips = [
        Strip(f"{action}, {name}", first_frames(folder, action)) for action in actions for name, folder in sets.items()
    ]
    save_strips(path, strips, columns=columns)
