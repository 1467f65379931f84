"""What commands print of names from files."""

import io
import math
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console
from rich.text import Text

from stgan import progress
from stgan.cli.terminal import new_console, new_table, print_paragraph
from stgan.defaults import PROTOCOLS

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


@pytest.mark.parametrize(("terminal", "lines"), [(True, 2), (False, 1)])
def test_paragraphs_are_broken_between_words_in_a_terminal_alone(terminal: bool, lines: int) -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=terminal, color_system=None)
    text = " ".join(["word"] * 10)
    print_paragraph(console, text)
    found = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(found) == lines and " ".join(line.strip() for line in found) == text


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_no_choice_is_broken_in_the_help_at_80_columns(name: str) -> None:
    command = [sys.executable, "-m", "stgan.cli.main", name, "--help"]
    text = subprocess.run(command, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True).stdout
    whole = set(re.findall(r"[\w-]+", text))
    assert whole >= {*PROTOCOLS, "bicubic", "lanczos"}, whole
    below = re.search(r"^│ {20,45}\S", text.split("─ Options")[1], re.MULTILINE)  # what began a line above
    assert not below, below
    assert all(len(line) <= 80 for line in text.splitlines())


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
