"""Words for sentences: durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stgan.names import csv_cell, duration, escaped, from_csv_cell


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(1.25, "1.2 s"), (119.0, "119.0 s"), (120.0, "2.0 minutes"), (7200.0, "2.0 hours"), (2.16e6, "25.0 days")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_terminal_gets_no_commands() -> None:
    assert escaped("walk\nén 走 \U0001f483") == "walk\nén 走 \U0001f483"
    assert escaped("\x1b[2J\x07\r\x9b1m\u202egnp\t\udcff\x7f") == r"\x1b[2J\x07\r\x9b1m\u202egnp\t\udcff\x7f"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd", "@SUM(A1)", "\tx", "\rx", "\nx", "-1+1", "'=1", "''-x"])
def test_a_csv_cell_is_no_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


def test_other_cells_stay_what_they_are() -> None:
    for value in ("walk", "", "a=b", "-0.5", "+1e-3", -0.5, 3, None, "'quoted'"):
        assert csv_cell(value) is value or csv_cell(value) == value


@given(st.text(alphabet="'=+-@a1. ") | st.text())
def test_a_csv_cell_can_be_read_back(text: str) -> None:
    cell = csv_cell(text)
    assert from_csv_cell(cell) in (text, text.strip()) and cell[:1] not in ("=", "@", "\t", "\r", "\n")
