"""Words for sentences: durations."""

import pytest

from stgan.names import duration, escaped


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(1.25, "1.2 s"), (119.0, "119.0 s"), (120.0, "2.0 minutes"), (7200.0, "2.0 hours"), (2.16e6, "25.0 days")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_terminal_gets_no_commands() -> None:
    assert escaped("walk\nén 走 \U0001f483") == "walk\nén 走 \U0001f483"
    assert escaped("\x1b[2J\x07\r\x9b1m\u202egnp\t\udcff\x7f") == r"\x1b[2J\x07\r\x9b1m\u202egnp\t\udcff\x7f"
