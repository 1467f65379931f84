"""The commands of `stgan` and the options of the command itself.

`stgan --help` imports all modules of commands. So these import modules that load PyTorch only inside functions.
"""

import typer

from stgan.cli import (
    ablate,
    augment,
    bench,
    compare,
    data,
    evaluate,
    explain,
    fooling,
    generate,
    info,
    merge,
    report,
    reproduce,
    select,
    status,
    train,
    weights,
)
from stgan.cli import (
    app as page,
)
from stgan.cli.memory import keep_freed_memory
from stgan.cli.terminal import command
from stgan.version import __version__

app = typer.Typer(
    name="stgan",
    help="Generate short videos of human actions from a video classifier, and score them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command(app, "generate", *generate.EXAMPLES)(generate.generate)
command(app, "status", *status.EXAMPLES)(status.status)
command(app, "merge", *merge.EXAMPLES)(merge.merge)
command(app, "evaluate", *evaluate.EXAMPLES)(evaluate.evaluate)
command(app, "compare", *compare.EXAMPLES)(compare.compare)
command(app, "explain", *explain.EXAMPLES)(explain.explain)
command(app, "select", *select.EXAMPLES)(select.select)
command(app, "augment", *augment.EXAMPLES)(augment.augment)
command(app, "app", *page.EXAMPLES)(page.app)
command(app, "report", *report.EXAMPLES)(report.report)
command(app, "fooling", *fooling.EXAMPLES)(fooling.fooling)
command(app, "info", *info.EXAMPLES)(info.info)
command(app, "ablate", *ablate.EXAMPLES)(ablate.ablate)
command(app, "train", *train.EXAMPLES)(train.train)
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
