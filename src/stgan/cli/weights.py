"""`stgan weights`: files of weights, from elsewhere and for elsewhere."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from stgan.checkpoints import Checkpoint, CheckpointError, assemble, load_checkpoint
from stgan.checkpoints.checkpoint import check_unambiguous
from stgan.checkpoints.exporting import export_weights
from stgan.checkpoints.fetching import Fetched, default_folder, fetch, find_fetched, is_published
from stgan.checkpoints.importing import FORMATS, recognise
from stgan.checkpoints.known_files import KNOWN_FILES, KnownFile, known_file
from stgan.checkpoints.model_folder import MODEL, bundled_models
from stgan.cli.evaluate import check_output
from stgan.cli.weights_import import import_
from stgan.errors import Interrupted, StganError
from stgan.files import BUNDLED, sha256, write_text
from stgan.names import is_file_name, quoted
from stgan.pipeline import STGAN

_LONGEST = 240  # characters of a value that is shown

app = typer.Typer(no_args_is_help=True)


@app.callback()
def weights() -> None:
    """Published weights: find, fetch and import them; look at checkpoints and export them."""


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="Show everything that is known of this one.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all that is known of all of them.")] = None,
) -> None:
    """List public files of weights that the paper builds on, or is compared with.

    None of them is part of stgan; each has its own licence. What is not known is called unknown.

    Examples:

      stgan weights list

      stgan weights list caffenet
    """
    console = Console(markup=False, highlight=False)
    if json_file:
        check_output("--json", json_file)
    chosen = KNOWN_FILES if name is None else (known_file(name),)
    if name is None:
        _show_table(console)
    else:
        _show_lines(console, _about(chosen[0]))
    if json_file:
        values = [{**asdict(known), "command": known.import_command()} for known in chosen]
        write_text(json_file, json.dumps(values, indent=2) + "\n")


@app.command("fetch")
def fetch_(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="As stgan weights list shows them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to put them; default: ~/.cache/stgan/weights.")
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Get it from here instead; may be repeated.")
    ] = None,
) -> None:
    """Fetch public files of weights, and say what to do with them.

    An interrupted download goes on where it stopped. What is kept is whole and has the checksum that is published, if
    one is; NAME.json beside it says whence it came, when, and its SHA-256.

    Examples:

      stgan weights fetch caffenet

      stgan weights fetch deepsim-fc6 c3d-chainer-ucf101 c3d-chainer-mean --out downloads

      stgan weights fetch lrcn-rgb --url https://my.mirror/RGB_lstm_model_iter_30000.caffemodel
    """
    console = Console(markup=False, highlight=False)
    known = [known_file(name) for name in names]
    if url and len(known) > 1:
        raise StganError("--url is the address of one file; fetch the others without it")
    folder = out or default_folder()
    for one in known:
        try:
            fetched = _fetch_one(one, folder, url or [], console)
        except KeyboardInterrupt:
            raise Interrupted("what came so far is kept, the same command goes on") from None
        _show_fetched(console, one, fetched, folder)


@app.command("info")
def info(
    path: Annotated[
        str, typer.Argument(metavar="CHECKPOINT|FILE", help="A folder, weizmann/lrcn, or a file of another program.")
    ],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it here too.")] = None,
) -> None:
    """Show what a checkpoint holds, or in which format another program's file of weights is.

    Examples:

      stgan weights info weizmann/c3d

      stgan weights info RGB_lstm_model_iter_30000.caffemodel
    """
    console = Console(markup=False, highlight=False)
    if json_file:
        check_output("--json", json_file)
    folder = _checkpoint_folder(path)
    if folder is not None:
        checkpoint = load_checkpoint(folder)
        shown, values = _about_checkpoint(checkpoint, folder)
    else:
        shown = values = _about_file(Path(path))
    _show_lines(console, shown)
    if json_file:
        write_text(json_file, json.dumps(values, indent=2) + "\n")


@app.command("assemble")
def assemble_(
    folder: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder that holds the checkpoints.")],
    name: Annotated[str | None, typer.Option(help="The model's name; default: the folder's.")] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECKPOINT", help="May steer; may be repeated. Default: all that name their classes."),
    ] = None,
    evaluator: Annotated[
        list[str] | None, typer.Option(metavar="CHECKPOINT", help="Never steers; may be repeated.")
    ] = None,
) -> None:
    """Make a model of the checkpoints in a folder: an encoder, an image generator, classifiers, perhaps priors.

    Examples:

      stgan weights import generator deepsim_fc6_generator.caffemodel --out paper/generator

      stgan weights import encoder bvlc_reference_caffenet.caffemodel --out paper/encoder

      stgan weights import lrcn RGB_lstm_model_iter_30000.caffemodel --out paper/lrcn

      stgan weights assemble paper

      stgan generate Billiards --model paper
    """
    console = Console(markup=False, highlight=False)
    chosen = name or folder.resolve().name
    if not is_file_name(chosen):
        raise StganError(f"{quoted(chosen)} cannot be the name of a model; choose another with --name")
    made, left = assemble(folder, chosen, condition=condition or (), evaluators=evaluator or ())
    STGAN(made)  # do its parts fit each other?
    console.print(
        f"{made.name}: {len(made.actions)} actions, steered by {', '.join(made.condition)}, "
        f"judged by {', '.join(made.evaluators) or 'none that never steers'}",
        soft_wrap=True,
    )
    if left:
        console.print(f"no part of it: {', '.join(left)}", soft_wrap=True)


@app.command("export")
def export(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A folder, or one such as weizmann/lrcn.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="What to write: .safetensors, .npz or .pt.")],
    half: Annotated[bool, typer.Option("--half", help="Parameters in float16; default: float32.")] = False,
) -> None:
    """Write a checkpoint's weights as one file that other programs read, by their names in the state dict.

    Settings, preprocessing and class names go into the metadata of a .safetensors file, beside the others as JSON.

    Examples:

      stgan weights export weizmann/c3d --out c3d.safetensors

      stgan weights export my_model/lrcn --out lrcn.npz --half
    """
    console = Console(markup=False, highlight=False)
    check_output("--out", out)
    folder = _checkpoint_folder(checkpoint)
    if folder is None:
        raise CheckpointError(f"{quoted(checkpoint)} is no checkpoint folder; stgan weights info says what it is")
    for file in export_weights(load_checkpoint(folder), out, half=half):
        console.print(f"{file}: {file.stat().st_size:,} bytes", soft_wrap=True)


app.command("import")(import_)


def _show_table(console: Console) -> None:
    folder = default_folder()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("name", "what for", "size", "get it"):
        table.add_column(column, no_wrap=column == "name")
    for known in KNOWN_FILES:
        here = (folder / known.file).is_file()
        table.add_row(known.name, known.purpose, _size(known), "here" if here else "fetch" if known.urls else "by hand")
    console.print(table)
    console.print("stgan weights list NAME says whose it is, its licence, and how to import it.")


def _size(known: KnownFile) -> str:
    return f"{known.size / 1e6:.0f} MB" if known.size else known.about


def _about(known: KnownFile) -> dict[str, Any]:
    there = default_folder() / known.file
    return {
        "name": known.name,
        "what for": known.purpose,
        "file": known.file + (f" (.../{known.member} of an archive)" if known.member else ""),
        "size": f"{known.size:,} bytes" if known.size else known.about,
        "checksum": known.checksum or "none is published",
        "licence": known.licence,
        "page": known.page,
        "addresses": list(known.urls) or "none for programs: open the page in a browser",
        "import": known.import_command() or None,
        "note": known.note or None,
        "known from": list(known.evidence),
        "here": str(there) if there.is_file() else None,
    }


def _fetch_one(known: KnownFile, folder: Path, urls: list[str], console: Console) -> Fetched:
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(known.name, total=None, visible=False)
        return fetch(
            known,
            folder,
            urls=urls,
            progress=lambda done, total: progress.update(task, completed=done, total=total, visible=True),
        )


def _show_fetched(console: Console, known: KnownFile, fetched: Fetched, folder: Path) -> None:
    paths, missing = {known.name: shlex.quote(str(fetched.path))}, []
    for name in set(known.needs) - {known.name}:
        if there := find_fetched(known_file(name), folder):
            paths[name] = shlex.quote(str(there.path))
        else:
            missing.append(name)
    _show_lines(
        console,
        {
            known.name: str(fetched.path) + ("" if fetched.new else " (was there already)"),
            "size": f"{fetched.size:,} bytes",
            "SHA-256": fetched.sha256,
            "verified": "it has the published checksum" if fetched.verified else "no: no checksum is published",
            "licence": known.licence,
            "note": known.note or None,
            "needed too": f"stgan weights fetch {' '.join(missing)}" if missing else None,
            "next": known.import_command(paths) or None,
        },
    )


def _checkpoint_folder(path: str) -> Path | None:
    """The folder of a checkpoint, also of a bundled model's by "weizmann/lrcn"; None if there is no such folder."""
    folder = Path(path)
    model, _, part = path.partition("/")
    if model in bundled_models() and (bundled := BUNDLED / model / part).is_dir():
        check_unambiguous(path, "the name of bundled networks", bundled)
        folder = bundled
    if not folder.is_dir():
        return None
    if (folder / MODEL).is_file():
        parts = ", ".join(sorted(each.parent.name for each in folder.glob("*/config.json")))
        raise CheckpointError(f"{quoted(path)} is a model of several checkpoints; name one of them: {parts}")
    return folder


def _about_checkpoint(checkpoint: Checkpoint, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a checkpoint, for people and for programs."""
    config: Any = checkpoint.network.config
    preprocessing = getattr(getattr(config, "frame", config), "preprocessing", None)
    parameters = sum(parameter.numel() for parameter in checkpoint.network.parameters())
    values = {
        "checkpoint": str(folder),
        "network": config.network,
        "parameters": parameters,
        "config": config.to_dict(),
        "pixels": preprocessing.in_words() if preprocessing else None,
        "classes": list(checkpoint.actions),
        "hash": checkpoint.hash,
        "ancestors": checkpoint.ancestors,
        "provenance": checkpoint.provenance,
    }
    settings = {name: value for name, value in config.to_dict().items() if name != "preprocessing"}
    shown = {
        **values,
        "parameters": f"{parameters:,}",
        "config": _brief(settings),
        "classes": f"{len(checkpoint.actions)}: {', '.join(checkpoint.actions)}" if checkpoint.actions else "no names",
        "ancestors": [f"{label} {digest}" for label, digest in checkpoint.ancestors.items()] or "none",
        "provenance": None,
        **{
            f"provenance, {name}": _brief(value) for name, value in checkpoint.provenance.items() if name != "ancestors"
        },
    }
    return shown, values


def _brief(value: Any) -> str:
    """On one line, and not a long one."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 30]} ... (the rest: --json)"


def _about_file(path: Path) -> dict[str, Any]:
    format = recognise(path)
    values: dict[str, Any] = {"file": str(path), "format": FORMATS[format]}
    if path.is_file():
        values |= {"bytes": path.stat().st_size, "SHA-256": sha256(path)}
        for known in KNOWN_FILES:
            if is_published(known, path):
                values |= {"known as": f"{known.name}: it has the published checksum"}
            elif known.file == path.name and not known.checksum:
                values |= {"known as": f"{known.name}, by its name alone: no checksum is published"}
            else:
                continue
            values |= {"what for": known.purpose, "licence": known.licence}
            values |= {"import": known.import_command({known.name: shlex.quote(str(path))}) or None}
    return values


def _show_lines(console: Console, values: dict[str, Any]) -> None:
    """A line for each value; several for a list, none for None."""
    for label, value in values.items():
        for text in value if isinstance(value, list) else [value]:
            if text is not None:
                console.print(f"{label}: {text}", soft_wrap=True)
