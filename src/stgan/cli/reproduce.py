"""`stgan reproduce`: a published evaluation from beginning to end."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stgan.checkpoints.fetching import default_folder
from stgan.cli.score_tables import shown_interval
from stgan.errors import Interrupted, StganError
from stgan.files import alone
from stgan.names import duration
from stgan.records import as_plain, write_record

if TYPE_CHECKING:
    from stgan.studies.costs import Cost
    from stgan.studies.ucf101 import Line, StageRecord

app = typer.Typer(no_args_is_help=True)
RESULTS = "results.json"


class Stage(str, Enum):
    """A part of the evaluation, in their order."""

    WEIGHTS = "weights"
    DATA = "data"
    GENERATE = "generate"
    SCORE = "score"
    REAL = "real"
    FOOLED = "fooled"
    AUGMENT = "augment"


@app.callback()
def reproduce() -> None:
    """Published evaluations, stage by stage, with the published figures beside the measured ones."""


@app.command("ucf101")
def ucf101(
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Holds UCF-101 and ucfTrainTestlist (stgan data prepare).")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Holds the published files; default: where stgan weights fetch puts them."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for models, videos, records and results.")] = Path("ucf101"),
    stage: Annotated[
        list[Stage] | None, typer.Option(help="Only this stage; may be repeated. Default: all of them.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: the paper's values (recipes/ucf101.yaml).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Replace one of the recipe's; may be repeated."),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Convert the weights, look at the data, say what the rest takes, stop.")
    ] = False,
    rehearse: Annotated[
        bool, typer.Option("--dry-run", help="Every stage in minutes, on small made files: what fails, fails now.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
) -> None:
    """The paper's evaluation on UCF-101: Inception Scores (Table 2), fooled scores, generated training data (Table 3).

    Stages: weights, data, generate, score, real, fooled, augment. Before the long ones it says what they take on this
    machine. Finished stages are kept, and an interrupted one goes on where it stopped. docs/ucf101.md has the details.

    Examples:

      stgan reproduce ucf101 --dry-run --out rehearsal

      stgan reproduce ucf101 --data data --estimate

      stgan reproduce ucf101 --data data --stage weights --stage generate --stage score --stage data --stage real

      stgan reproduce ucf101 --data data --set generate.num_videos=1000 --out ucf101_small
    """
    # Here and not above: they take seconds to import, which the other commands need not wait for.
    from stgan.studies.costs import costs
    from stgan.studies.rehearsal import TREE, rehearsed, write_tree, write_weights
    from stgan.studies.ucf101 import STAGES, Reproduction, compare_with_paper
    from stgan.studies.ucf101_recipe import DEFAULT, load_recipe
    from stgan.training.recipes import parse_overrides
    from stgan.video.ucf101 import UCF101

    console = Console(markup=False, highlight=False)
    chosen = load_recipe(recipe or DEFAULT, parse_overrides(settings or []))
    published = UCF101
    if rehearse:
        if data or weights:
            raise StganError("--dry-run makes its own files; leave --data and --weights away")
        with console.status("making small files"):
            data, weights, published = out / "made" / "data", out / "made" / "weights", TREE
            write_weights(weights)
            write_tree(data)
        chosen = rehearsed(chosen)
    wanted = [name for name in STAGES if stage is None or name in {each.value for each in stage}]
    with _bars(console) as bars, _saying_how_to_go_on():
        work = Reproduction(
            chosen, out, data=data, weights=weights or default_folder(), device=device, published=published,
            on_progress=bars.show,
        )  # fmt: skip
        first = [name for name in ("weights", "data") if name in wanted or estimate]
        for name in first:
            _show_stage(console, work.run(name), bars)
        rest = [name for name in wanted if name not in first]
        asked = [name for name in (STAGES if estimate else rest) if name not in first and not work.is_done(name)]
        if asked:
            bars.show("measuring what the rest takes", 0, None)
            found = [cost for cost in costs(work) if cost.stage in asked]
            bars.clear()
            _show_costs(console, found, str(work.device))
        elif estimate:
            console.print("every stage is done")
        for name in () if estimate else rest:
            _show_stage(console, work.run(name), bars)
    if estimate:
        return
    records = {name: record for name in STAGES if (record := work.record(name))}
    lines = compare_with_paper(records)
    if rehearse:
        console.print("A rehearsal: every stage works; the figures are of untrained networks and mean nothing.")
    _show_results(console, lines)
    values = {
        "rehearsal": rehearse,
        "lines": [as_plain(line) for line in lines],
        "records": {name: as_plain(record) for name, record in records.items()},
    }
    write_record(out / RESULTS, values)
    console.print(f"{RESULTS} and everything it rests on are in {out}", soft_wrap=True)


@app.command("augmentation")
def augmentation(
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Clips whose groups are actors, laid out as for training.")
    ],
    config: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The study's recipes: study.yaml, augmentation.yaml, the model's.")
    ] = Path("recipes/augmentation"),
    out: Annotated[Path, typer.Option(help="Folder for models, clips, classifiers and study.json.")] = Path(
        "augmentation"
    ),
    setting: Annotated[
        list[str] | None, typer.Option(help="Only this setting; may be repeated. Default: all, the primary one first.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Replace one of the recipes'; may be repeated."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
) -> None:
    """Generated clips as training data where few actors were filmed: Table 3 for several numbers of actors.

    For each setting: train a model on the clips of its actors alone, generate, select, and train a recogniser on real
    clips, generated ones and both, for several seeds; all other actors are tested on. Hours on a CPU. What is finished
    is kept, and an interrupted part goes on where it stopped. stgan report OUT makes a page of it; docs/augmentation.md
    tells what was found.

    Examples:

      stgan reproduce augmentation --data clips/weizmann

      stgan reproduce augmentation --data clips/weizmann --setting two --set study.num=10 --set generator.steps=500
    """
    # Here and not above: they take seconds to import, which the other commands need not wait for.
    from stgan.cli.augment import show
    from stgan.devices import choose_device
    from stgan.studies.actors import STUDY, ActorsStudy
    from stgan.training.recipes import parse_overrides
    from stgan.training.run import one_device

    console = Console(markup=False, highlight=False)
    with _bars(console) as bars, _saying_how_to_go_on():

        def say(sentence: str) -> None:
            bars.clear()
            console.print(sentence, soft_wrap=True)

        study = ActorsStudy(
            data, config, out, one_device(choose_device(device)), overrides=parse_overrides(settings or []), say=say,
            on_progress=bars.show,
        )  # fmt: skip
        primary = study.recipe.primary
        names = setting or sorted(study.recipe.settings, key=lambda name: name != primary)
        for name in names:  # a mistake in the last is known before hours of the first
            study.check_setting(name)
        for name in names:
            with alone(out / name):
                show(console, study.run(name))
            bars.clear()
    written = study.write()
    what = f"{out / STUDY} has all of it: stgan report {out}" if written else f"{STUDY} waits for setting {primary}"
    console.print(what, soft_wrap=True)


class _Bars:
    """Progress bars that appear when there is progress, and leave the terminal to a training's own."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress: Progress | None = None
        self.tasks: dict[str, int] = {}

    def show(self, what: str, done: int, total: int | None) -> None:
        if self.progress is None:
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TimeRemainingColumn(),
            )  # fmt: skip
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.progress.start()
        if what not in self.tasks:
            self.tasks[what] = self.progress.add_task(what, total=total)
        self.progress.update(self.tasks[what], completed=done, total=total)  # type: ignore[arg-type]

    def clear(self) -> None:
        if self.progress is not None:
            self.progress.stop()
        self.progress, self.tasks = None, {}


@contextmanager
def _bars(console: Console) -> Iterator[_Bars]:
    bars = _Bars(console)
    try:
        yield bars
    finally:
        bars.clear()


@contextmanager
def _saying_how_to_go_on() -> Iterator[None]:
    """Ctrl-C ends with a sentence."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("what is finished is kept, the same command goes on there") from None


def _show_stage(console: Console, record: "StageRecord", bars: _Bars) -> None:
    bars.clear()
    console.print(f"{record.stage}: done in {duration(record.seconds)}")


def _show_costs(console: Console, costs: "list[Cost]", device: str) -> None:
    table = Table(title=f"What is left, on {device} (measured on a few clips)")
    for column in ("stage", "work", "about", "disk"):
        table.add_column(column, justify="left" if column in ("stage", "work") else "right")
    for cost in costs:
        table.add_row(cost.stage, cost.work, duration(cost.seconds), f"{cost.bytes / 1e9:.2f} GB" * bool(cost.bytes))
    disk = sum(cost.bytes for cost in costs)
    table.add_row("all", "", duration(sum(cost.seconds for cost in costs)), f"{disk / 1e9:.2f} GB")
    console.print(table)


def _show_results(console: Console, lines: "list[Line]") -> None:
    table = Table(title="UCF-101, as published and as measured")
    for column in ("", "published", "measured", "95 %", "clips"):
        table.add_column(column, justify="right" if column else "left")
    for line in lines:
        measured = "not yet" if line.measured is None else f"{line.measured:.3g}"
        table.add_row(
            line.what + " FOOLED" * line.fooled,
            f"{line.published:g}",
            measured,
            shown_interval(line.interval) if line.interval else "",
            f"{line.num:,}" if line.num else "",
        )
    console.print(table)
