"""`stgan app`: a page on which a person generates clips and looks at what a classifier has learned."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from stgan.cli import options
from stgan.cli.terminal import check_range, new_console, on_interrupt, print_note
from stgan.errors import StganError
from stgan.files import typed
from stgan.names import quoted

_MOST_PORT = 65535

EXAMPLES = (
    "stgan app",
    "stgan app --folder runs --port 8000",
    "stgan app --condition torchvision:r3d_18 --read weizmann   (a further network, and clips to compare with)",
)


def app(
    folder: Annotated[Path, options.folder("--folder", "Folder of the runs.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen at; another machine reaches 0.0.0.0.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port to listen at.", show_default="the first free one from 7860")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="A further model to choose: a folder, or a hub id.")] = None,
    condition: Annotated[
        list[str] | None, options.classifier("A further network to choose, besides those in the caches here:")
    ] = None,
    read: Annotated[
        list[Path] | None, options.folder("--read", "A folder of clips that the page may read, besides the runs.")
    ] = None,
    share: Annotated[
        bool,
        typer.Option(
            "--share", help="Also open a public address, by a server of Gradio. Whoever knows it can use the page."
        ),
    ] = False,
    device: options.Device = None,
) -> None:
    """Open a page in the browser: generate clips, see them arise, look at runs, explain and judge clips.

    The page is shown on this machine alone. Every clip is written into a folder in --folder, so that nothing is lost
    if the browser is closed. Ctrl-C ends the page.
    """
    try:
        from stgan.app.page import serving
    except ImportError as error:
        raise StganError(f"the page needs Gradio ({error}); pip install 'stgan[app]'") from error
    from stgan.app.desk import Desk
    from stgan.checkpoints import bundled_models, find_model
    from stgan.checkpoints.named_classifiers import classifiers_here
    from stgan.devices import choose_device

    console = new_console()
    check_range("--port", port, 1, _MOST_PORT)
    if folder.exists() and not folder.is_dir():
        raise StganError(f"--folder {quoted(folder)} is a file; name a folder")
    for path in read or ():
        if not path.is_dir():
            raise StganError(f"--read {quoted(path)} is not a folder; name one")
    folder.mkdir(parents=True, exist_ok=True)
    models: dict[str, str | Path] = {
        name: name for name in sorted(bundled_models(), key=lambda name: name != "weizmann")
    }
    models |= {find_model(typed(name)).name: typed(name) for name in model or ()}
    if share:
        print_note(console, "whoever knows the public address can use this machine by the page")
    with TemporaryDirectory(prefix="stgan-app-") as temporary:
        desk = Desk(
            folder, Path(temporary), models, tuple(dict.fromkeys([*(condition or ()), *classifiers_here()])),
            {path.resolve().name: path.resolve() for path in read or ()}, choose_device(device),
        )  # fmt: skip
        try:
            with (
                on_interrupt("finished clips are kept; the screen Runs resumes the rest"),
                serving(desk, host, port, share) as address,
            ):
                console.print(f"The page is at {address} (Ctrl-C ends it); runs are in {folder}", soft_wrap=True)
                threading.Event().wait()
        except OSError as error:
            raise StganError(
                f"the page cannot be shown at {host}:{port or ''} ({error}); choose another --port"
            ) from error
