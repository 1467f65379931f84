"""`stgan weights import`: convert published weights of other programs into a checkpoint."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from stgan.cli import options
from stgan.cli.terminal import new_console
from stgan.errors import StganError
from stgan.names import escaped, quoted
from stgan.records import read_text

if TYPE_CHECKING:
    from stgan.checkpoints.checkpoint import Checkpoint

_LARGEST_LIST = 1 << 20  # bytes of a file of names
_NUMBERED = re.compile(r"(\d{1,6})\s+(\S.*)")  # a line of UCF-101's classInd.txt
_SHOWN = 3  # classes, at each end
EXAMPLES = (
    "stgan weights import generator generator.caffemodel --out generator",
    "stgan weights import encoder bvlc_reference_caffenet.caffemodel --out encoder",
    "stgan weights import c3d conv3d_deepnetA_ucf.npz mean2.npz --protocol tgan2 --out c3d",
    "stgan weights import c3d sports1m_finetuning_ucf101.model crop_mean.npy --out c3d",
)

# Repeated from stgan.checkpoints.importing, which loads PyTorch; tests/cli/test_start.py checks that they are equal.
KINDS = ("generator", "encoder", "lrcn", "c3d")
PROTOCOLS = ("caffe", "tensorflow", "tgan", "tgan2", "jfzhang95", "mmaction")
POOL5 = ("channels-first", "channels-last")


def import_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"Network that the weights are for: {', '.join(KINDS)}.")],
    files: Annotated[
        list[Path],
        options.argument("FILE", "Files of weights (for TensorFlow their prefix); some C3Ds also need their mean."),
    ],
    out: Annotated[Path, options.folder("--out", "New folder for the checkpoint.", "CHECKPOINT")],
    classes: Annotated[
        Path | None,
        options.file(
            "--classes", "Text file with a class name on each line. Default: UCF-101's classes, if there are 101."
        ),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help=f"How frames are prepared for a C3D: {', '.join(PROTOCOLS)}.")
    ] = None,
    pool5: Annotated[
        str | None, typer.Option(help=f"Order in which fc6 of a TensorFlow C3D reads pool5: {', '.join(POOL5)}.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store numbers in float16: half the size.")] = False,
) -> None:
    """Make a checkpoint of published weights of Caffe, Chainer, TensorFlow or PyTorch.

    The content of a file says its format. The command prints how pixels are prepared and everything else that was
    chosen, and writes it to the checkpoint's README.md. docs/weights.md describes the files and their protocols.
    """
    from stgan.checkpoints.checkpoint import save_checkpoint
    from stgan.checkpoints.importing import import_card, import_weights

    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StganError(f"{quoted(out)} exists already; remove it or name another folder")
    names = read_classes(classes) if classes else None
    console = new_console()
    with console.status("") as status:

        def show(step: str) -> None:
            status.update(Text(escaped(f"{step} ...")))

        checkpoint = import_weights(kind, files, actions=names, protocol=protocol, pool5=pool5, watch=show)
        show(f"writing {out}")
        card = import_card(out.name, checkpoint)
        save_checkpoint(
            out, checkpoint.network, actions=checkpoint.actions, provenance=checkpoint.provenance, card=card, half=half
        )
    _show(console, checkpoint, out)


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names: one on each line, or numbered from 0 or 1 on as in UCF-101's classInd.txt.

    Raises:
        StganError: the file is missing, too large, not text, empty, or numbered with a gap.
    """
    try:
        lines = [line.strip() for line in read_text(path, _LARGEST_LIST).splitlines() if line.strip()]
    except StganError as error:
        raise StganError(f"cannot read the names of classes: {error}") from error
    if not lines:
        raise StganError(f"{quoted(path)} names no classes; write one name on each line")
    numbered = [match for line in lines if (match := _NUMBERED.fullmatch(line))]
    if len(numbered) < len(lines):
        return tuple(lines)
    first = int(numbered[0][1])
    if first > 1 or [int(match[1]) for match in numbered] != list(range(first, first + len(lines))):
        raise StganError(f"the classes in {quoted(path)} are not numbered one after the other, from 0 or 1 on")
    return tuple(match[2] for match in numbered)


def _show(console: Console, checkpoint: "Checkpoint", out: Path) -> None:
    notes, names = checkpoint.provenance["imported"], checkpoint.actions
    parameters = sum(parameter.numel() for parameter in checkpoint.network.parameters())
    shown = names if len(names) <= 2 * _SHOWN else (*names[:_SHOWN], "...", *names[-_SHOWN:])
    rows = [
        *(
            (file["name"], f"{file['format']}; {file['bytes']:,} bytes; SHA-256 {file['sha256']}")
            for file in notes["files"]
        ),
        ("layers", f"{len(notes['layers'])}: {', '.join(notes['layers'])}"),
        *([("left out", ", ".join(notes["left out"]))] if notes.get("left out") else []),
        ("network", f"{type(checkpoint.network).__name__}, {parameters:,} parameters"),
        *((name, notes[name]) for name in ("protocol", "pool5") if name in notes),
        ("pixels", notes["preprocessing"]),
        ("classes", f"{len(names)}: {', '.join(shown)}" if names else "no names"),
        ("hash", checkpoint.hash),
        ("written", str(out)),
    ]
    for label, text in rows:
        console.print(f"{label}: {text}", soft_wrap=True)
