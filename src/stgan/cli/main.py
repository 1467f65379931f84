"""The `stgan` command: parse, call, print."""

import sys

import typer
from rich.console import Console

from stgan.cli import evaluate, generate, info, train
from stgan.errors import StganError
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
app.command("info")(info.info)
app.add_typer(train.app, name="train")


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


def main() -> None:
    """Run the command; errors of the user's making are one sentence on standard error and exit status 1."""
    try:
        app()
    except StganError as error:
        _complain(str(error))
    except OSError as error:  # a full disk, a folder without permission
        where = f" {error.filename}" if error.filename else ""
        _complain(f"cannot read or write{where}: {error.strerror or error}")


def _complain(sentence: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"stgan: {sentence}", style="red", markup=False)
    sys.exit(1)


if __name__ == "__main__":
    main()
