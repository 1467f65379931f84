"""Damaged and odd inputs by the thousand: each must be read or be refused in one sentence, and nothing else may happen.

Every case runs in a worker process, so that a decoder that crashes or hangs is seen, and counted as a failure.
A case follows from (seed, kind, number): --only KIND:NUMBER repeats one.
"""

import argparse
import ctypes
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

sys.path.append(str(Path(__file__).parents[1] / "support"))

import cases
import torch

from stgan.errors import StganError

SECONDS = 20.0  # for one case
MEMORY = 1 << 30  # bytes that a case may take over what the process had before
_ROOM = 4 << 30  # of address space, as a net under MEMORY, which is measured in resident memory
_FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "ctypes.dlopen",
)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
_CHANGES = ("os.remove", "os.rename", "os.mkdir")
_CONNECTS = ("socket.connect", "socket.getaddrinfo")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

READ, REFUSED = "read", "refused"


# Workers are forks of this process, which has imported everything (that takes seconds) and computes nothing itself.
CONTEXT = get_context("fork")


@dataclass(frozen=True)
class Result:
    """What became of a case: `READ`, `REFUSED`, or a failure by name, with what it said."""

    outcome: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome not in (READ, REFUSED)


def work(connection: Connection, kind: str, seed: int, model: str, folder: Path) -> None:
    """Run the cases whose numbers come through the connection, until there are no more."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    forbidden: list[str] = []
    watching = False
    inputs = cases.KINDS[kind](folder, model)
    out = getattr(inputs, "out", None)

    def watch(event: str, arguments: tuple) -> None:
        if watching and _is_forbidden(event, arguments, out):
            forbidden.append(f"{event} {arguments!r}"[:300])

    sys.addaudithook(watch)
    connection.send("ready")
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + _ROOM,) * 2)
    while (number := connection.recv()) is not None:
        path = inputs.damage(Random(f"{seed} {kind} {number}"))
        connection.send(path)
        before = _forget_peak()
        watching = True
        result = _attempt(inputs.attempt, path)
        watching = False
        grown = _status("VmHWM") - before
        if forbidden:
            result = Result("forbidden", "; ".join(forbidden))
            forbidden.clear()
        elif (folder / "executed").exists():
            result = Result("executed", "it ran code")
        elif not result.failed and grown > MEMORY:
            result = Result("memory", f"{grown >> 20} MiB")
        connection.send(result)


def _is_forbidden(event: str, arguments: tuple, out: Path | None) -> bool:
    """Whether an audited event harms. out: where the kind may write; if it has one, it may also ask this machine."""
    if event in _CONNECTS:
        host = arguments[1][0] if event == "socket.connect" else arguments[0]
        return out is None or host != "127.0.0.1"
    if event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES):
        paths = arguments[: 2 if event == "os.rename" else 1]
        return out is None or not all(os.path.abspath(path).startswith(str(out)) for path in paths)
    return event in _FORBIDDEN


def _attempt(function, path: Path) -> Result:
    try:
        function(path)
    except StganError as error:
        sentence = str(error)
        if not sentence.strip() or len(sentence.splitlines()) > 1 or not sentence.isprintable():
            return Result("bad sentence", repr(sentence))
        return Result("long sentence", sentence[:300]) if len(sentence) > 2000 else Result(REFUSED, sentence)
    except AssertionError as error:
        return Result("wrong", str(error) or traceback.format_exc(limit=-2))
    except BaseException:
        return Result("traceback", traceback.format_exc(limit=-4))
    return Result(READ)


def _status(name: str) -> int:
    """Bytes, of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise LookupError(name)


def _forget_peak() -> int:
    """Start to measure the peak of resident memory anew, from what it is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


class Worker:
    """A process that runs cases of one kind; replaced when a case kills it or it has to be killed."""

    def __init__(self, kind: str, seed: int, model: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=work, args=(theirs, kind, seed, model, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        if not self.connection.poll(120) or self.connection.recv() != "ready":
            raise SystemExit(f"the {kind} cases cannot be set up")

    def case(self, number: int) -> tuple[Result, Path | None]:
        """What became of case `number`, and its input."""
        path = None
        try:
            self.connection.send(number)
            path = self.connection.recv()
            if not self.connection.poll(SECONDS):
                return Result("hang", f"over {SECONDS:g} s"), path
            return self.connection.recv(), path
        except (EOFError, OSError):
            self.process.join(10)
            code = self.process.exitcode
            name = signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
            return Result("crash", name), path

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def run_kind(kind: str, numbers: range, seed: int, model: str, keep: Path | None) -> tuple[Counter[str], float]:
    """Outcomes of the cases of one kind and the seconds of the slowest; failures are printed, and kept in `keep`."""
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    worker = Worker(kind, seed, model)
    try:
        for number in numbers:
            started = time.monotonic()
            result, path = worker.case(number)
            outcomes[result.outcome] += 1
            slowest = max(slowest, time.monotonic() - started)
            if result.failed:
                print(f"{kind}:{number} {result.outcome}: {result.detail}", flush=True)
                if keep and path and path.is_file():
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / f"{kind}-{seed}-{number}-{path.name}")
                worker.stop()
                worker = Worker(kind, seed, model)
            elif len(numbers) == 1:
                print(f"{kind}:{number} {result.outcome}: {result.detail}")
    finally:
        worker.stop()
    return outcomes, slowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="cases of each kind (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=list(cases.KINDS), choices=cases.KINDS)
    parser.add_argument("--model", default="weizmann", help="the model to damage (default: the bundled one)")
    parser.add_argument("--keep", type=Path, help="copy inputs that fail into this folder")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="repeat one case")
    options = parser.parse_args()
    kinds, numbers = options.kinds, range(options.count)
    if options.only:
        kinds, number = [options.only.split(":")[0]], int(options.only.split(":")[1])
        numbers = range(number, number + 1)
    failures = 0
    for kind in kinds:
        outcomes, slowest = run_kind(kind, numbers, options.seed, options.model, options.keep)
        failed = sum(count for outcome, count in outcomes.items() if outcome not in (READ, REFUSED))
        failures += failed
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{kind}: {outcomes.total()} cases, {failed} failures ({counts}); slowest {slowest:.1f} s", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
