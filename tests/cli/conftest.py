"""The `stgan` command in processes of its own, as a user starts it, without loading its libraries each time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit status, or minus the signal that ended it, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def is_one_sentence(self) -> bool:
        return len(self.stderr.strip().splitlines()) == 1 and self.stderr.startswith("stgan: ")


class Stgan:
    """Starts `stgan` processes, which fork from one that has loaded everything."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("forkserver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        )

    def run(self, *arguments: str | Path | int, **options: Any) -> Ended:
        """Run to the end. Options as for `start`."""
        return self.start(*arguments, **options).end()

    def start(self, *arguments: str | Path | int, cwd: Path | None = None, largest_file: int = 0) -> "Process":
        """Start a process, of which at most one may be waited for at a time.

        largest_file: bytes; to write beyond them fails, as on a disk that is full.
        """
        self.count += 1
        output = [self.folder / f"{self.count}.{name}" for name in ("out", "err")]
        for path in output:
            path.touch()
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or self.folder),
            "stdout": str(output[0]),
            "stderr": str(output[1]),
            "largest_file": largest_file,
            "environment": {name: value for name, value in os.environ.items() if name.startswith("RAY_")},
        }
        return Process(self, int(self.ask(json.dumps(request))), output)

    def ask(self, line: str) -> str:
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(line + "\n")
        self.server.stdin.flush()
        return self.server.stdout.readline()


@dataclass(frozen=True)
class Process:
    """A running `stgan`."""

    stgan: Stgan
    number: int
    output: list[Path]

    def send(self, *signals: signal.Signals) -> None:
        for number in signals:
            os.kill(self.number, number)

    def end(self) -> Ended:
        """Wait for its end; of several processes, the one that was started last comes first."""
        status = int(self.stgan.ask(""))
        return Ended(status, *(path.read_text(errors="replace") for path in self.output))


@pytest.fixture(scope="session")
def stgan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stgan]:
    stgan = Stgan(tmp_path_factory.mktemp("commands"))
    yield stgan
    assert stgan.server.stdin
    stgan.server.stdin.close()
    stgan.server.wait(timeout=60)
