"""`stgan weights`: published files of weights, checkpoints, and exported weights."""

import json
import os
import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stgan.cli import options, weights_import
from stgan.cli.terminal import check_output, command, new_console, on_interrupt, write_json
from stgan.errors import StganError
from stgan.files import BUNDLED, named, sha256
from stgan.names import is_file_name, quoted
from stgan.progress import download_bar

if TYPE_CHECKING:
    from stgan.checkpoints.checkpoint import Checkpoint
    from stgan.checkpoints.fetching import Fetched
    from stgan.checkpoints.known_files import KnownFile

_LONGEST = 240  # characters of a value that is shown

app = typer.Typer(no_args_is_help=True)


@app.callback()
def weights() -> None:
    """Published weights: find, fetch and import them; look at checkpoints and export them."""


@command(app, "list", "stgan weights list", "stgan weights list caffenet")
def list_(
    name: Annotated[str | None, typer.Argument(help="Show everything that is known about this file.")] = None,
    json_file: options.Json = None,
) -> None:
    """List public files of weights that the paper builds on, or is compared with.

    They are not part of stgan; each has its own licence.
    """
    from stgan.checkpoints.known_files import KNOWN_FILES, known_file

    console = new_console()
    check_output("--json", json_file)
    chosen = KNOWN_FILES if name is None else (known_file(name),)
    if name is None:
        _show_table(console)
    else:
        _show_lines(console, _about(chosen[0]))
    if json_file:
        values = [{**asdict(known), "command": known.import_command()} for known in chosen]
        write_json(json_file, values)


@command(
    app,
    "fetch",
    "stgan weights fetch caffenet",
    "stgan weights fetch deepsim-fc6 c3d-chainer-ucf101 c3d-chainer-mean --out downloads",
    "stgan weights fetch lrcn-rgb --url https://my.mirror/RGB_lstm_model_iter_30000.caffemodel",
)
def fetch_(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names that stgan weights list shows.")],
    out: Annotated[
        Path | None, options.folder("--out", "Folder for the files. Default: ~/.cache/stgan/weights.")
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Fetch it from this address instead. May be repeated.")
    ] = None,
) -> None:
    """Download public files of weights, and show how to import them.

    After an interruption, the same command continues the download. A file is kept only if it is complete and has the
    published checksum, if there is one. NAME.json beside it records its source, the time, and its SHA-256.
    """
    from stgan.checkpoints.fetching import default_folder
    from stgan.checkpoints.known_files import known_file

    console = new_console()
    files = [known_file(name) for name in names]
    if url and len(files) > 1:
        raise StganError("--url is the address of one file; fetch the others without it")
    folder = out or default_folder()
    for known in files:
        with on_interrupt("downloaded data is kept, the same command continues"):
            fetched = _fetch_one(known, folder, url or [], console)
        _show_fetched(console, known, fetched, folder)


@command(app, "info", "stgan weights info weizmann/c3d", "stgan weights info RGB_lstm_model_iter_30000.caffemodel")
def info(
    path: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|FILE", help="A checkpoint folder, weizmann/lrcn, or a file of another program."
        ),
    ],
    json_file: options.Json = None,
) -> None:
    """Show what a checkpoint holds, or the format of a file of weights of another program."""
    from stgan.checkpoints.checkpoint import load_checkpoint

    console = new_console()
    check_output("--json", json_file)
    folder = _checkpoint_folder(path)
    if folder is not None:
        checkpoint = load_checkpoint(folder)
        shown, values = _about_checkpoint(checkpoint, folder)
    else:
        shown = values = _about_file(Path(path))
    _show_lines(console, shown)
    write_json(json_file, values)


@command(
    app,
    "assemble",
    "stgan weights import generator deepsim_fc6_generator.caffemodel --out paper/generator",
    "stgan weights import encoder bvlc_reference_caffenet.caffemodel --out paper/encoder",
    "stgan weights import lrcn RGB_lstm_model_iter_30000.caffemodel --out paper/lrcn",
    "stgan weights assemble paper",
    "stgan generate Billiards --model paper",
)
def assemble_(
    folder: Annotated[Path, options.argument("MODEL", "Folder that holds the checkpoints.")],
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: the folder's.")] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Condition network: a classifier that may steer. May be repeated. Default: all with class names.",
        ),
    ] = None,
    evaluator: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECKPOINT", help="Evaluator: a classifier that never steers. May be repeated."),
    ] = None,
) -> None:
    """Make a model of the checkpoints in a folder: an encoder, an image generator, classifiers, and priors if any."""
    from stgan.checkpoints import assemble
    from stgan.pipeline import STGAN

    console = new_console()
    chosen = name or folder.resolve().name
    if not is_file_name(chosen):
        raise StganError(f"{quoted(chosen)} cannot be the name of a model; choose another with --name")
    made, left = assemble(folder, chosen, condition=condition or (), evaluators=evaluator or ())
    STGAN(made)  # checks that its parts fit together
    console.print(
        f"{made.name}: {len(made.actions)} actions, steered by {', '.join(made.condition)}, "
        f"scored by {', '.join(made.evaluators) or 'no evaluator'}",
        soft_wrap=True,
    )
    if left:
        console.print(f"not part of it: {', '.join(left)}", soft_wrap=True)


@command(
    app,
    "export",
    "stgan weights export weizmann/c3d --out c3d.safetensors",
    "stgan weights export my_model/lrcn --out lrcn.npz --half",
)
def export(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A checkpoint folder, or a name such as weizmann/lrcn.")
    ],
    out: Annotated[Path, options.file("--out", "File to write: .safetensors, .npz or .pt.")],
    half: Annotated[bool, typer.Option("--half", help="Write parameters in float16. Default: float32.")] = False,
) -> None:
    """Write a checkpoint's weights as one file that other programs read, named as in PyTorch's state dict.

    Settings, preprocessing and class names go into the metadata of a .safetensors file, or into a JSON file beside the
    other formats.
    """
    from stgan.checkpoints.checkpoint import load_checkpoint
    from stgan.checkpoints.exporting import export_weights

    console = new_console()
    check_output("--out", out)
    folder = _checkpoint_folder(checkpoint)
    if folder is None:
        raise StganError(f"{quoted(checkpoint)} is not a checkpoint folder; stgan weights info says what it is")
    for file in export_weights(load_checkpoint(folder), out, half=half):
        console.print(f"{file}: {file.stat().st_size:,} bytes", soft_wrap=True)


command(app, "import", *weights_import.EXAMPLES)(weights_import.import_)


def _show_table(console: Console) -> None:
    from stgan.checkpoints.fetching import default_folder
    from stgan.checkpoints.known_files import KNOWN_FILES

    folder = default_folder()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("name", "purpose", "size", "source"):
        table.add_column(column, no_wrap=column == "name")
    for known in KNOWN_FILES:
        here = os.path.isfile(folder / known.file)  # False, no error, in a folder that cannot be read
        size = f"{known.size / 1e6:.0f} MB" if known.size else known.about
        table.add_row(known.name, known.purpose, size, "here" if here else "fetch" if known.urls else "by hand")
    console.print(table)
    console.print("stgan weights list NAME shows the page of a file, its licence, and how to import it.")


def _about(known: "KnownFile") -> dict[str, Any]:
    from stgan.checkpoints.fetching import default_folder

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
        "here": str(there) if os.path.isfile(there) else None,
    }


def _fetch_one(known: "KnownFile", folder: Path, urls: list[str], console: Console) -> "Fetched":
    from stgan.checkpoints.fetching import fetch

    with download_bar(console) as progress:
        show = partial(progress.update, progress.add_task(known.name, total=None, visible=False), visible=True)
        return fetch(known, folder, urls=urls, progress=lambda done, total: show(completed=done, total=total))


def _show_fetched(console: Console, known: "KnownFile", fetched: "Fetched", folder: Path) -> None:
    from stgan.checkpoints.fetching import find_fetched
    from stgan.checkpoints.known_files import known_file

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
    """The folder of a checkpoint, by its path or by a name such as "weizmann/lrcn"; None if there is no such folder."""
    from stgan.checkpoints.description import check_unambiguous
    from stgan.checkpoints.model_folder import MODEL, bundled_models

    folder = named(path)
    model, _, part = path.partition("/")
    if model in bundled_models() and (bundled := BUNDLED / model / part).is_dir():
        check_unambiguous(path, "the name of bundled networks", bundled)
        folder = bundled
    if not folder.is_dir():
        return None
    if (folder / MODEL).is_file():
        parts = ", ".join(sorted(each.parent.name for each in folder.glob("*/config.json")))
        raise StganError(f"{quoted(path)} is a model of several checkpoints; name one of them: {parts}")
    return folder


def _about_checkpoint(checkpoint: "Checkpoint", folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a checkpoint holds: values to print, and values for JSON."""
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
    """A value as one line of limited length."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 30]} ... (the rest: --json)"


def _about_file(path: Path) -> dict[str, Any]:
    from stgan.checkpoints.fetching import is_published
    from stgan.checkpoints.importing import FORMATS, recognise
    from stgan.checkpoints.known_files import KNOWN_FILES

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
    """Print a line for each value: several for a list, none for None."""
    for label, value in values.items():
        for text in value if isinstance(value, list) else [value]:
            if text is not None:
                console.print(f"{label}: {text}", soft_wrap=True)
