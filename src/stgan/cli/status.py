"""`stgan status`: how far a folder is that one or several processes fill."""

from pathlib import Path
from typing import Annotated

from stgan.cli import options
from stgan.cli.terminal import check_outputs, new_console, new_table, write_json
from stgan.names import duration

EXAMPLES = ("stgan status clips", "watch stgan status clips")


def status(
    folder: Annotated[Path, options.argument("FOLDER", "Folder that stgan generate writes, finished or not.")],
    json_file: options.Json = None,
) -> None:
    """How many clips of a folder are finished, how fast it goes and who makes them, on any machine that sees it.

    It looks at FOLDER/parts alone: no model is loaded, and no clip is read.
    """
    from stgan.parts import status as status_of

    check_outputs({"--json": json_file})
    found = status_of(folder)
    write_json(json_file, found)
    console = new_console()
    table = new_table("action", "clips", "planned")
    for action, progress in found.actions.items():
        table.add_row(action, str(progress.done), str(progress.planned))
    console.print(table)
    line = f"{found.done} of {found.planned} clips"
    unfinished = found.done < found.planned
    if found.rate is not None and found.left is not None and unfinished:
        line += f", {60 * found.rate:.3g} a minute, about {duration(found.left)} left"
    if found.idle is not None:
        line += f"; the last batch {duration(found.idle)} ago"
    if found.rate is not None and found.left is None and unfinished:
        line += ": nobody seems to make clips; stgan generate --resume makes the rest"
    console.print(line, soft_wrap=True)
    if found.workers:
        made = (f"{each.clips} on {each.device} with {each.threads} threads" for each in found.workers)
        console.print(f"latest clips: {', '.join(made)}", soft_wrap=True)
