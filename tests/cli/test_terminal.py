"""What commands print of names from files."""

import io
import math

import pytest
from rich.console import Console
from rich.text import Text

from stgan import progress
from stgan.cli.terminal import new_console, new_table

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
    bars = progress.bars(Console(file=io.StringIO()), hidden=True)
    bars.add_task(HOSTILE, total=1)
    shown = bars.columns[0](bars.tasks[0])
    assert isinstance(shown, Text) and shown.plain == SHOWN


@pytest.mark.parametrize(("pause", "lines"), [(60.0, 2), (-1.0, 4)])
def test_without_a_terminal_progress_is_a_line_now_and_then(
    pause: float, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first step, then after each pause, and at the end."""
    monkeypatch.setattr(progress, "_PAUSE", pause)
    monkeypatch.setattr(progress._Bars, "_shown", -math.inf)
    file = io.StringIO()
    with progress.one_bar(Console(file=file, width=80), "scoring") as show:
        for done in (1, 2, 3):
            show(done, 3)
            assert f"{done}/3" in file.getvalue() or (pause > 0 and done > 1)
    assert file.getvalue().count("scoring") == lines
    assert not set(file.getvalue()) & set("\x1b\r")
