"""`stgan fooling`: scores by the network that steered, beside scores by networks that did not."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from stgan.cli import options
from stgan.cli.evaluate import score_cache
from stgan.cli.terminal import (
    check_needed,
    check_range,
    new_console,
    new_table,
    on_interrupt,
    read_clips,
    write_json,
)
from stgan.errors import StganError
from stgan.files import typed
from stgan.progress import bars

if TYPE_CHECKING:
    from stgan.scoring import Clip
    from stgan.studies.fooling import EvaluatorScores

_MOST_CLIPS = 100_000
_SHOWN = 3  # actions in the figure
EXAMPLES = (
    "stgan fooling --real weizmann",
    "stgan fooling --model jhmdb --real jhmdb --real-csv split1.csv --split-column strict",
    "stgan fooling --preset robust --num 10 --seed 1 --out fooling_robust",
)


def fooling(
    model: options.Model = options.MODEL,
    preset: options.Preset = "paper",
    num: options.Num = 1,
    seed: options.Seed = 0,
    iterations: options.Iterations = None,
    real: options.Real = None,
    csv_list: options.RealCsv = None,
    split_column: options.SplitColumn = "split",
    ucf_split: options.UcfSplit = 1,
    out: Annotated[Path, options.folder("--out", "Folder for the clips, the figure and the record.")] = Path("fooling"),
    cache: options.Cache = None,
    device: options.Device = None,
) -> None:
    """The paper's fooling experiment: each condition network steers clips, and all networks score them.

    A network that steered clips gives them high scores, whatever they show. --num is for each condition network. With
    the bundled model, one clip of each action takes about 4 minutes on two CPU cores and shows the gap; --num 4 gives
    narrower intervals. Real clips are scored too; if their list has a split, only the test clips. Finished clips in OUT
    are kept: after an interruption, the same command makes the rest. stgan report OUT makes a page of the result.
    """
    from stgan.generation import GenerationJob
    from stgan.pipeline import STGAN
    from stgan.scoring import labelled_clips
    from stgan.studies.fooling import FIGURE, RECORD, draw, evaluators_of, real_clips, record, score_sets
    from stgan.studies.generating import generate_set

    console = new_console()
    check_needed("--real", real, {"--real-csv": csv_list})
    check_range("--num", num, 1, _MOST_CLIPS)
    stgan = STGAN.from_pretrained(typed(model), device)
    settings = stgan.preset(preset, iterations)
    judges = evaluators_of(stgan)
    known: list[Clip] = []
    if real:
        found = read_clips(console, real, csv=csv_list, split_column=split_column, ucf_split=ucf_split)
        known = real_clips(labelled_clips(found), stgan.actions)
        if not known:
            raise StganError(f"'{real}' has no clips of the actions of {stgan.name}; choose another --real")
    steering = list(stgan.folder.condition)
    with (
        score_cache(cache, console) as kept,
        on_interrupt("finished clips are kept, the same command makes the rest"),
        bars(console) as progress,
    ):
        clips = progress.add_task("clips", total=len(steering) * num * len(stgan.actions))
        sets = {
            name: generate_set(
                GenerationJob(stgan, stgan.steering(condition=name, preset=settings), settings, num, seed),
                out / name,
                on_clip=lambda: progress.update(clips, advance=1),
            )
            for name in steering
        }
        scoring = progress.add_task("verdicts", total=(len(sets) + bool(known)) * len(judges))
        on_set = partial(progress.update, scoring, advance=1)
        verdicts = score_sets(sets, judges, num, real=known, cache=kept, on_set=on_set)
    draw(out / FIGURE, sets, stgan.actions[:_SHOWN])
    write_json(out / RECORD, record(stgan, settings.name, seed, num, verdicts))
    console.print(_table(verdicts, f"{stgan.name}, preset {settings.name}, {num} clips of each action, seed {seed}"))
    for sentence in _gaps(verdicts, steering):
        console.print(sentence, soft_wrap=True)
    console.print(f"clips, {FIGURE} and {RECORD} are in {out}; stgan report {out} makes a page of them", soft_wrap=True)


def _table(verdicts: Sequence["EvaluatorScores"], title: str) -> Table:
    """At most 80 characters wide."""
    from stgan.cli.score_tables import shown_interval
    from stgan.studies.fooling import REAL

    columns = ("steered by", "scored by", "accuracy\n(95 %)", "Inception Score\n(95 %)", "motion")
    table = new_table(*columns, left=2, title=title)
    for i, verdict in enumerate(verdicts):
        scores = verdict.scores
        if i and verdicts[i - 1].clips != verdict.clips:
            table.add_section()
        score = scores.inception_score
        assert score is not None  # every evaluator of a model knows its actions
        table.add_row(
            "none: real" if verdict.clips == REAL else verdict.clips,
            verdict.evaluator + " FOOLED" * verdict.fooled,
            f"{scores.accuracy:.2f} {shown_interval(scores.accuracy_interval)}",
            f"{score.mean:.2f} {shown_interval((score.low, score.high))}",
            f"{scores.motion:.2f}",
        )
    return table


def _gaps(verdicts: Sequence["EvaluatorScores"], steering: Sequence[str]) -> list[str]:
    """Sentences that compare the scores by each network that steered with those by networks that never steer."""
    sentences = []
    for name in steering:
        of = [verdict for verdict in verdicts if verdict.clips == name]
        own = next(verdict.scores for verdict in of if verdict.evaluator == name)
        for verdict in of:
            if verdict.evaluator not in steering:
                honest = verdict.scores
                assert own.inception_score and honest.inception_score  # as above
                sentences.append(
                    f"{name} gives the clips it steered an Inception Score of {own.inception_score.mean:.2f} "
                    f"(accuracy {own.accuracy:.2f}), {verdict.evaluator} {honest.inception_score.mean:.2f} "
                    f"({honest.accuracy:.2f})"
                )
    return sentences
