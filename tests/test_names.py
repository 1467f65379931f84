"""Words for sentences: durations."""

import pytest

from stgan.names import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(1.25, "1.2 s"), (119.0, "119.0 s"), (120.0, "2.0 minutes"), (7200.0, "2.0 hours"), (2.16e6, "25.0 days")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
