"""`stgan merge`: the manifest and the contact sheet of a folder that several processes fill."""

from pathlib import Path
from typing import Annotated

from stgan.cli import options
from stgan.cli.terminal import new_console, on_interrupt

EXAMPLES = ("stgan merge clips",)


def merge(
    folder: Annotated[Path, options.argument("FOLDER", "Folder that stgan generate writes, finished or not.")],
) -> None:
    """Write FOLDER/manifest.jsonl and FOLDER/contact_sheet.png, from the parts that are finished.

    stgan generate does so at its end. After kill -9, or while shards are running, this makes the finished clips known
    to stgan evaluate, stgan report and others.
    """
    from stgan.generation import CONTACT_SHEET
    from stgan.generation import merge as merged
    from stgan.manifest import MANIFEST

    with on_interrupt("nothing is lost; the same command starts again"):
        count = merged(folder)
    new_console().print(f"{count} clips; {MANIFEST} and {CONTACT_SHEET} are in {folder}", soft_wrap=True)
