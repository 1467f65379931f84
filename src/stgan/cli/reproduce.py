"""`stgan reproduce`: a whole published evaluation."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from stgan.cli import options
from stgan.cli.terminal import command, new_console, new_table, on_interrupt, write_json
from stgan.errors import StganError
from stgan.files import locked
from stgan.names import duration
from stgan.progress import Stages

if TYPE_CHECKING:
    from stgan.studies.costs import Cost
    from stgan.studies.ucf101 import Line, StageRecord

_INTERRUPTED = "finished work is kept, the same command continues"

app = typer.Typer(no_args_is_help=True)
RESULTS = "results.json"


class UcfStage(str, Enum):
    """The stages of the evaluation on UCF-101, in order."""

    WEIGHTS = "weights"
    DATA = "data"
    GENERATE = "generate"
    SCORE = "score"
    REAL = "real"
    FOOLED = "fooled"
    AUGMENT = "augment"


@app.callback()
def reproduce() -> None:
    """Repeat published evaluations stage by stage, and compare the published figures with the measured ones."""


@command(
    app,
    "ucf101",
    "stgan reproduce ucf101 --dry-run --out rehearsal",
    "stgan reproduce ucf101 --data data --estimate",
    "stgan reproduce ucf101 --data data --stage weights --stage generate --stage score --stage data --stage real",
    "stgan reproduce ucf101 --data data --set generate.num_videos=1000 --out ucf101_small",
)
def ucf101(
    data: Annotated[
        Path | None, options.folder("--data", "Folder that holds UCF-101 and ucfTrainTestlist (stgan data prepare).")
    ] = None,
    weights: Annotated[
        Path | None,
        options.folder(
            "--weights", "Folder that holds the published weights. Default: where stgan weights fetch puts them."
        ),
    ] = None,
    out: Annotated[Path, options.folder("--out", "Folder for models, videos, records and results.")] = Path("ucf101"),
    stage: Annotated[
        list[UcfStage] | None, typer.Option(help="Run only this stage. May be repeated. Default: all stages.")
    ] = None,
    recipe: Annotated[
        Path | None, options.file("--recipe", "Recipe. Default: the paper's values (recipes/ucf101.yaml).")
    ] = None,
    settings: options.Settings = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Convert the weights, check the data, show how long the rest takes, and stop."),
    ] = False,
    rehearse: Annotated[
        bool, typer.Option("--dry-run", help="Run every stage in minutes, on small artificial files, to find faults.")
    ] = False,
    device: options.Device = None,
) -> None:
    """The paper's evaluation on UCF-101: Inception Scores (Table 2), fooled scores, generated training data (Table 3).

    Stages: weights, data, generate, score, real, fooled, augment. Before the long stages, the command shows how long
    they take on this machine. Finished stages are kept: after an interruption, the same command continues.
    docs/ucf101.md has the details.
    """
    from stgan.checkpoints.fetching import default_folder
    from stgan.studies.costs import costs
    from stgan.studies.rehearsal import TREE, rehearsed, write_tree, write_weights
    from stgan.studies.ucf101 import STAGES, Reproduction, compare_with_paper
    from stgan.studies.ucf101_recipe import DEFAULT, load_recipe
    from stgan.training.recipes import parse_overrides
    from stgan.video.ucf101_names import UCF101

    console = new_console()
    chosen = load_recipe(recipe or DEFAULT, parse_overrides(settings or [], ("initial",)))
    published = UCF101
    if rehearse:
        if data or weights:
            raise StganError("--dry-run makes its own files; leave --data and --weights away")
        with console.status("making small files"):
            data, weights, published = out / "made" / "data", out / "made" / "weights", TREE
            write_weights(weights)
            write_tree(data)
        chosen = rehearsed(chosen)
    wanted = [name for name in STAGES if stage is None or name in stage]
    with on_interrupt(_INTERRUPTED), Stages(console) as bars:
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
            bars.show("measuring how long the rest takes", 0, None)
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
        console.print("Rehearsal: every stage works; the figures come from untrained networks and mean nothing.")
    _show_results(console, lines)
    write_json(out / RESULTS, {"rehearsal": rehearse, "lines": lines, "records": records})
    console.print(f"{RESULTS} and all files that it is based on are in {out}", soft_wrap=True)


@command(
    app,
    "augmentation",
    "stgan reproduce augmentation --data clips/weizmann",
    "stgan reproduce augmentation --data clips/weizmann --setting two --set study.num=10 --set generator.steps=500",
)
def augmentation(
    data: Annotated[
        Path, options.folder("--data", "Folder of clips whose groups are actors, laid out as for training.")
    ],
    config: Annotated[
        Path, options.folder("--config", "Folder of recipes: study.yaml, augmentation.yaml, and the model's.")
    ] = Path("recipes/augmentation"),
    out: Annotated[Path, options.folder("--out", "Folder for models, clips, classifiers and study.json.")] = Path(
        "augmentation"
    ),
    setting: Annotated[
        list[str] | None,
        typer.Option(help="Run only this setting. May be repeated. Default: all, the primary one first."),
    ] = None,
    settings: options.Settings = None,
    device: options.Device = None,
) -> None:
    """Generated clips as training data for small numbers of filmed actors: Table 3 for several numbers of actors.

    For each setting the command trains a model on the clips of its actors, generates clips and selects some. Then it
    trains a classifier on real clips, on generated clips and on both, for several random seeds. The clips of all other
    actors test it. This takes hours on a CPU. Finished work is kept: after an interruption, the same command continues.
    stgan report OUT makes a page of the result; docs/augmentation.md has the results.
    """
    from stgan.cli.augment import show
    from stgan.devices import choose_device
    from stgan.studies.actors import STUDY, ActorsStudy
    from stgan.training.recipes import parse_overrides
    from stgan.training.run import one_device

    console = new_console()
    with on_interrupt(_INTERRUPTED), Stages(console) as bars:

        def say(sentence: str) -> None:
            bars.clear()
            console.print(sentence, soft_wrap=True)

        study = ActorsStudy(
            data, config, out, one_device(choose_device(device)), overrides=parse_overrides(settings or []), say=say,
            on_progress=bars.show,
        )  # fmt: skip
        primary = study.recipe.primary
        names = setting or sorted(study.recipe.settings, key=lambda name: name != primary)
        for name in names:  # finds a mistake in the last setting before the first one takes hours
            study.check_setting(name)
        for name in names:
            with locked(out / name):
                show(console, study.run(name))
            bars.clear()
    written = study.write()
    done = f"{out / STUDY} has all results; stgan report {out} makes a page of them"
    console.print(done if written else f"{STUDY} is not written yet: it needs setting {primary}", soft_wrap=True)


def _show_stage(console: Console, record: "StageRecord", bars: Stages) -> None:
    bars.clear()
    console.print(f"{record.stage}: done in {duration(record.seconds)}")


def _show_costs(console: Console, costs: "list[Cost]", device: str) -> None:
    table = new_table(
        "stage", "work", "about", "disk", left=2, title=f"Remaining stages, on {device} (measured on a few clips)"
    )
    for cost in costs:
        table.add_row(cost.stage, cost.work, duration(cost.seconds), f"{cost.bytes / 1e9:.2f} GB" * bool(cost.bytes))
    disk = sum(cost.bytes for cost in costs)
    table.add_row("all", "", duration(sum(cost.seconds for cost in costs)), f"{disk / 1e9:.2f} GB")
    console.print(table)


def _show_results(console: Console, lines: "list[Line]") -> None:
    from stgan.cli.score_tables import shown_interval

    columns = ("", "published", "measured", "95 %", "clips")
    table = new_table(*columns, title="UCF-101, as published and as measured")
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
