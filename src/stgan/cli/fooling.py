"""`stgan fooling`: scores by the network that steered, beside scores by one that did not."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stgan.cli.evaluate import open_cache
from stgan.cli.score_tables import shown_interval
from stgan.errors import Interrupted, StganError
from stgan.pipeline import STGAN
from stgan.records import write_record
from stgan.scoring import Clip, labelled_clips
from stgan.studies.fooling import FIGURE, REAL, RECORD, Verdict, draw, judge, judges_of, real_clips, record
from stgan.studies.generating import generate_set
from stgan.video import find_clips

_MOST_CLIPS = 100_000
_SHOWN = 3  # actions in the figure


def fooling(
    model: Annotated[str, typer.Option(help="Bundled name, folder, or Hugging Face hub id.")] = "weizmann",
    preset: Annotated[str, typer.Option(help="paper (as published), robust, or pixels (no generator).")] = "paper",
    num: Annotated[int, typer.Option(help="Clips of each action and each steering network.")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same clips.")] = 0,
    iterations: Annotated[int | None, typer.Option(help="Of activation maximization; default: the preset's.")] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Real clips to be judged too, laid out as for training; of a list that says so, the test clips alone.",
        ),
    ] = None,
    csv_list: Annotated[
        str | None, typer.Option("--real-csv", metavar="NAME", help="The list in the real folder, if it has several.")
    ] = None,
    split_column: Annotated[str, typer.Option(help="Of that list: the column that says train or test.")] = "split",
    ucf_split: Annotated[int, typer.Option(help="Which of UCF-101's three splits.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for clips, figure and record.")] = Path("fooling"),
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results are kept; default: ~/.cache/stgan.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
) -> None:
    """The paper's fooling experiment: clips steered by each condition network, judged by all networks.

    A network that steered gives its clips high scores whatever they show. With the bundled model, one clip of each
    action takes about 4 minutes on two CPU cores and shows the gap; --num 4 gives narrower intervals. Clips that are in
    OUT already are kept, so that an interrupted study goes on where it stopped. stgan report OUT makes a page of it.

    Examples:

      stgan fooling --real weizmann

      stgan fooling --model jhmdb --real jhmdb --real-csv split1.csv --split-column strict

      stgan fooling --preset robust --num 10 --seed 1 --out fooling_robust
    """
    console = Console(markup=False, highlight=False)
    if not 1 <= num <= _MOST_CLIPS:
        raise StganError(f"--num must be 1 to {_MOST_CLIPS}, not {num}")
    stgan = STGAN.from_pretrained(model, device)
    settings = stgan.preset(preset, iterations)
    judges = judges_of(stgan)
    known: list[Clip] = []
    if real:
        found = find_clips(real, csv=csv_list, split_column=split_column, ucf_split=ucf_split)
        known = real_clips(labelled_clips(found), stgan.actions)
        if not known:
            raise StganError(f"'{real}' has no clips of the actions of {stgan.name}; choose another --real")
    steering = list(stgan.folder.condition)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    kept = open_cache(cache, console)
    try:
        with Progress(*columns, console=console) as progress, closing(kept) if kept else nullcontext():
            clips = progress.add_task("clips", total=len(steering) * num * len(stgan.actions))
            sets = {
                name: generate_set(
                    stgan, settings, name, num, seed, out / name, on_clip=lambda: progress.update(clips, advance=1)
                )
                for name in steering
            }
            scoring = progress.add_task("verdicts", total=(len(sets) + bool(known)) * len(judges))
            verdicts = judge(
                sets, judges, num, real=known, cache=kept, on_set=lambda: progress.update(scoring, advance=1)
            )
    except KeyboardInterrupt:
        raise Interrupted("finished clips are kept, the same command makes the rest") from None
    draw(out / FIGURE, sets, stgan.actions[:_SHOWN])
    write_record(out / RECORD, record(stgan, settings.name, seed, num, verdicts))
    console.print(_table(verdicts, f"{stgan.name}, preset {settings.name}, {num} clips of each action, seed {seed}"))
    for sentence in _gaps(verdicts, steering):
        console.print(sentence, soft_wrap=True)
    console.print(f"clips, {FIGURE} and {RECORD} are in {out}; stgan report {out} makes a page of them", soft_wrap=True)


def _table(verdicts: Sequence[Verdict], title: str) -> Table:
    """At most 80 wide."""
    table = Table(title=title)
    for column in ("steered by", "judged by", "accuracy\n(95 %)", "Inception Score\n(95 %)", "motion"):
        table.add_column(column, justify="left" if column in ("steered by", "judged by") else "right")
    for i, verdict in enumerate(verdicts):
        scores = verdict.scores
        if i and verdicts[i - 1].clips != verdict.clips:
            table.add_section()
        score = scores.inception_score
        table.add_row(
            "none: real" if verdict.clips == REAL else verdict.clips,
            verdict.evaluator + " FOOLED" * verdict.fooled,
            f"{scores.accuracy:.2f} {shown_interval(scores.accuracy_interval)}",
            f"{score.mean:.2f} {shown_interval((score.low, score.high))}",
            f"{scores.motion:.2f}",
        )
    return table


def _gaps(verdicts: Sequence[Verdict], steering: Sequence[str]) -> list[str]:
    """How much better each steering network thinks of its clips than the networks that never steer."""
    sentences = []
    for name in steering:
        of = [verdict for verdict in verdicts if verdict.clips == name]
        own = next(verdict.scores for verdict in of if verdict.evaluator == name)
        for verdict in of:
            if verdict.evaluator not in steering:
                honest = verdict.scores
                sentences.append(
                    f"{name} gives the clips it steered an Inception Score of {own.inception_score.mean:.2f} "
                    f"(accuracy {own.accuracy:.2f}), {verdict.evaluator} {honest.inception_score.mean:.2f} "
                    f"({honest.accuracy:.2f})"
                )
    return sentences
