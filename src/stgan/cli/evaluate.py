"""`stgan evaluate`: what a network that did not steer sees in clips."""

import csv
import io
import os
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from stgan.checkpoints import bundled_models, find_model, is_own_classifier
from stgan.cli.score_tables import show_scores
from stgan.devices import choose_device
from stgan.errors import Interrupted, StganError
from stgan.files import default_cache, write_text
from stgan.manifest import MANIFEST, Manifest
from stgan.names import quoted
from stgan.records import write_record
from stgan.scoring import (
    BATCH,
    SCORES,
    Clip,
    Real,
    ScoreCache,
    Scores,
    evenly,
    find_evaluator,
    folder_clips,
    labelled_clips,
    unlisted,
)
from stgan.scoring import evaluate as score
from stgan.video import find_clips

_MOST_CLIPS = 1_000_000
_MOST_WORKERS = 256
_MOST_AT_ONCE = 4096
_FASTEST = 1000.0  # frames a second

DEFAULT_MODEL = "weizmann"


def evaluate(
    folder: Annotated[
        Path, typer.Argument(help="What stgan generate wrote; or any clips, in a folder per action or loose.")
    ],
    real: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Real clips to compare with, laid out as for training.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model whose evaluators are meant; default: the bundled one that made the clips, else weizmann."
        ),
    ] = None,
    evaluator: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH|MODULE:FUNCTION",
            help="evaluator, c3d, lrcn, a checkpoint folder, an I3D file, or a classifier of your own, which this "
            "function of a module or FILE.py returns: its code is run, and nothing is kept of its answers.",
        ),
    ] = "evaluator",
    features: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="Take distances on this network's features; default: the evaluator's."),
    ] = None,
    num: Annotated[int | None, typer.Option(help="Score so many clips, of all actions alike; default: all.")] = None,
    splits: Annotated[int, typer.Option(help="Parts over which the Inception Score is averaged.")] = 1,
    frames: Annotated[
        int | None, typer.Option(help="Frames of a window; default: as many as the evaluator was trained on.")
    ] = None,
    csv_list: Annotated[
        str | None, typer.Option("--real-csv", metavar="NAME", help="The list in the real folder, if it has several.")
    ] = None,
    split_column: Annotated[str, typer.Option(help="Of that list: the column that says train or test.")] = "split",
    ucf_split: Annotated[int, typer.Option(help="Which of UCF-101's three splits.")] = 1,
    real_fps: Annotated[
        float | None, typer.Option(help="Read real clips at so many frames a second; default: all their frames.")
    ] = None,
    allow_fooled: Annotated[
        bool, typer.Option("--allow-fooled", help="Score with a network that steered, and say so.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave out what cannot be scored, and say what that was.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all scores here.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a line for each clip here.")] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results are kept; default: ~/.cache/stgan.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute everything anew and keep nothing.")] = False,
    batch_size: Annotated[int, typer.Option(help="Clips that a worker judges at once.")] = BATCH,
    workers: Annotated[
        int | None, typer.Option(help="Threads that decode and judge; default: one a core, at most 8.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
) -> None:
    """Score clips: recognition, Inception Score, distances to real clips, diversity, motion.

    What networks said of a clip is kept, so that an interrupted run goes on where it stopped. Scores of clips that
    stgan generated are also written to scores.json beside them.

    Examples:

      stgan generate --num 10 --out clips && stgan evaluate clips

      stgan evaluate clips --real weizmann --json scores.json --csv clips.csv

      stgan evaluate clips --real UCF-101 --features i3d_torchscript.pt        (a true FVD)

      stgan evaluate clips --evaluator c3d --allow-fooled                      (it steered them)
    """
    console = Console(markup=False, highlight=False)
    for option, value, low, high in (
        ("--num", num, 1, _MOST_CLIPS),
        ("--real-fps", real_fps, 0.01, _FASTEST),
        ("--batch-size", batch_size, 1, _MOST_AT_ONCE),
        ("--workers", workers, 1, _MOST_WORKERS),
    ):
        if value is not None and not low <= value <= high:
            raise StganError(f"{option} must be {low} to {high}, not {value}")
    for option, file in (("--json", json_file), ("--csv", csv_file)):
        if file:
            check_output(option, file)
    clips = folder_clips(folder)
    notes = _notes_on_manifest(folder, clips)
    clips = clips if num is None else evenly(clips, num)
    whole = find_model(made_by(folder) if model is None else model)
    place = choose_device(device)
    judge = find_evaluator(evaluator, whole, frames=frames, device=place)
    space = find_evaluator(features, whole, frames=frames, device=place) if features else None
    beside = None
    if real:
        beside = Real(
            labelled_clips(find_clips(real, csv=csv_list, split_column=split_column, ucf_split=ucf_split)), real_fps
        )
    own = any(is_own_classifier(name) for name in (evaluator, features) if name)  # whose code may change unseen
    kept = None if no_cache or own else open_cache(cache, console)
    try:
        with closing(kept) if kept else nullcontext():
            scores = score(
                clips, judge, features=space, real=beside, splits=splits, allow_fooled=allow_fooled,
                keep_going=keep_going, cache=kept, batch_size=batch_size, workers=workers,
                watch=lambda results, what, total: track(results, description=what, total=total, console=console),
            )  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted("the same command goes on where this one stopped" if kept else "nothing was kept") from None
    scores = replace(scores, notes=(*scores.notes, *notes))
    show_scores(console, scores)
    if json_file:
        write_record(json_file, scores)
    if csv_file:
        write_text(csv_file, _as_csv(scores))
    if num is None:
        keep_scores(folder, scores, console)


def made_by(folder: Path) -> str:
    """The bundled model whose generator made a folder's clips, as its manifest has it; else the usual one.

    No other name is taken from there: a folder may not say what is fetched and loaded.
    """
    entry = next(Manifest(folder).read(), {})
    name, hashes = entry.get("model"), entry.get("hashes")
    if name in bundled_models() and isinstance(hashes, dict):
        model = find_model(name)
        if model.load(model.generator).hash == hashes.get("generator"):
            return str(name)
    return DEFAULT_MODEL


def keep_scores(folder: Path, scores: Scores, console: Console) -> None:
    """Honest scores of all clips of a manifest are kept beside them."""
    if Manifest(folder).path.is_file() and scores.fooled is False and not scores.skipped:
        try:
            write_record(folder / SCORES, scores)
        except OSError as error:  # clips that may only be read
            console.print(f"note: {SCORES} cannot be kept beside the clips ({error.strerror or error})", soft_wrap=True)


def check_output(option: str, path: Path) -> None:
    """Raise StganError unless a file can be put there; a device or a link would be replaced by it."""
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise StganError(f"{option} {quoted(path)} is not a regular file; give the name of a file")
    if path.name == MANIFEST:
        raise StganError(f"{option} {quoted(path)} has the name of what tells of clips; give another name")
    if not path.parent.is_dir():
        raise StganError(f"{option} {quoted(path)} lies in no folder; give the name of a file in one that is there")


def open_cache(folder: Path | None, console: Console) -> ScoreCache | None:
    """The cache that was asked for; the usual one if it can be used."""
    if folder:
        return ScoreCache(folder)
    try:
        return ScoreCache(default_cache())
    except StganError as error:
        console.print(f"nothing is kept: {error}", soft_wrap=True)
        return None


def _notes_on_manifest(folder: Path, clips: Sequence[Clip]) -> list[str]:
    """What a manifest does not cover: files that it does not name, and files that it names without a hash."""
    if not Manifest(folder).path.is_file():
        return []
    notes = []
    if names := unlisted(folder, clips):
        notes.append(f"{len(names)} clips in the folder are not in its manifest and not scored, {names[0]} first")
    if unproven := [clip.name for clip in clips if clip.sha256 is None]:
        notes.append(
            f"the manifest has no hash of {len(unproven)} clips: whether they are those it describes is not known"
        )
    return notes


def _as_csv(scores: Scores) -> str:
    file = io.StringIO()
    lines = [asdict(clip) for clip in scores.clips]
    writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue().encode(errors="backslashreplace").decode()  # names of files need not be Unicode
