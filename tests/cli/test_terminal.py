"""What commands print of names from files."""

import io

from rich.console import Console
from rich.text import Text

from stgan.cli.terminal import new_console, new_table
from stgan.progress import bars

HOSTILE = "[red]\x1b[2J\x1b]0;title\x07\x9b1m:bomb:\u202e[/x]"
SHOWN = r"[red]\x1b[2J\x1b]0;title\x07\x9b1m:bomb:\u202e[/x]"


def test_names_from_files_are_no_commands_to_the_terminal_and_no_markup() -> None:
    console = new_console(soft_wrap=True)
    console.width = 300
    console.file = file = io.StringIO()
    console.print(HOSTILE)
    table = new_table("file", title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE, "a")
    console.print(table)
    console.print(HOSTILE, style="red")
    assert file.getvalue().count(SHOWN) == 5 and not set(file.getvalue()) & set("\x1b\x07\x9b\u202e")


def test_neither_are_those_of_progress_bars() -> None:
    progress = bars(Console(file=io.StringIO()), hidden=True)
    progress.add_task(HOSTILE, total=1)
    shown = progress.columns[0](progress.tasks[0])
    assert isinstance(shown, Text) and shown.plain == SHOWN
