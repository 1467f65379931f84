"""The commands of `stgan` and the options of the command itself."""

import typer

from stgan.cli import (
    ablate,
    augment,
    bench,
    data,
    evaluate,
    fooling,
    generate,
    info,
    report,
    reproduce,
    select,
    train,
    weights,
)
from stgan.devices import keep_freed_memory
from stgan.version import __version__

app = typer.Typer(
    name="stgan",
    help="Generate short videos of human actions from a video classifier, and score them honestly.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("generate")(generate.generate)
app.command("evaluate")(evaluate.evaluate)
app.command("select")(select.select)
app.command("augment")(augment.augment)
app.command("report")(report.report)
app.command("fooling")(fooling.fooling)
app.command("info")(info.info)
app.command("ablate")(ablate.ablate)
app.command("train")(train.train)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")
app.add_typer(bench.app, name="bench")
app.add_typer(reproduce.app, name="reproduce")


def _show_version(asked: bool) -> None:
    if asked:
        print(f"stgan {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Options of the command itself."""
    keep_freed_memory()
