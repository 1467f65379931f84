"""The logs of a training: `log.csv`, `validation.csv`, and the same for TensorBoard."""

import csv
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter

from stgan.files import write_text
from stgan.names import csv_cell
from stgan.records import read_text

LOSSES, VALIDATION = "log.csv", "validation.csv"


class Log:
    """The logs of one run, continued after `step`. Rows that a killed run wrote after its last saved state are removed.

    enabled: False in all processes but the first.
    """

    def __init__(self, folder: Path, step: int, *, enabled: bool = True) -> None:
        self.folder, self.step, self.enabled = folder, step, enabled

    def __enter__(self) -> "Log":
        if self.enabled:
            for name in (LOSSES, VALIDATION):
                _cut(self.folder / name, self.step)
            self.board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.step + 1, flush_secs=30)
        return self

    def __exit__(self, *error: object) -> None:
        if self.enabled:
            self.board.close()

    def losses(
        self, step: int, seconds: float, losses: Mapping[str, float], smooth: Mapping[str, float], to_csv: bool
    ) -> None:
        """Log a step's losses to TensorBoard and, if `to_csv`, their moving averages to `log.csv`."""
        if not self.enabled:
            return
        for name, value in losses.items():
            self.board.add_scalar(f"train/{name}", value, step)
        if to_csv:
            self._append(LOSSES, {"step": step, "seconds": round(seconds, 1), **smooth})

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the figures of a validation to TensorBoard and `validation.csv`."""
        for name, value in figures.items():
            self.board.add_scalar(f"validation/{name}", value, step)
        self._append(VALIDATION, {"step": step, **figures})

    def _append(self, name: str, values: Mapping[str, int | float]) -> None:
        path = self.folder / name
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(map(csv_cell, values))
            writer.writerow([value if isinstance(value, int) else f"{value:.6g}" for value in values.values()])


def _cut(path: Path, step: int) -> None:
    """Remove the rows after `step`, and an incomplete row."""
    if not path.exists():
        return
    header, *rows = read_text(path).splitlines(keepends=True) or [""]
    kept = [
        row for row in rows if row.endswith("\n") and row.split(",")[0].isdigit() and int(row.split(",")[0]) <= step
    ]
    if kept:
        write_text(path, "".join([header, *kept]))
    else:
        path.unlink()
