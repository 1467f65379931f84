"""`stgan generate --on ray`: workers of a cluster, which are killed, and drivers, which are killed."""

import json
import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from generator_folders import contents

from stgan.cli.generate import parse_engine
from stgan.errors import StganError

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

ACTIONS, NUM = ("grow", "left", "right"), 6
KILLS = 3  # fewer than make a unit or a start fail


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a cluster of two cores, which asks for a token of its own."""
    if not find_spec("ray"):
        pytest.skip('needs Ray: pip install "stgan[cluster]"')
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        import ray  # reads the variables

        ray.init("local", num_cpus=2, num_gpus=0, object_store_memory=10**8, include_dashboard=False)
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


def arguments(model: Path, out: Path, *more: str | int) -> list[str | Path | int]:
    return [
        "generate", "--model", model, "--preset", "robust", "--num", NUM, "--iterations", 2, "--batch", 2, "--out",
        out, "--gif", "--trace", "--intermediate", 1, "--device", "cpu", *more,
    ]  # fmt: skip


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def workers() -> list[int]:
    """The processes of workers in the cluster of these tests."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_Worker") and parent(parent(int(path.parent.name))) == os.getpid():
                found.append(int(path.parent.name))
        except (OSError, ValueError, IndexError):  # it has ended
            continue
    return found


@pytest.fixture(scope="module")
def whole(stgan: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    ended = stgan.run(*arguments(tiny_model, out))
    assert ended.returncode == 0, ended.stderr
    return contents(out)


def test_two_workers_make_what_one_process_makes(
    address: str, stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    ended = stgan.run(*arguments(tiny_model, tmp_path, "--on", f"ray:{address}"))
    assert ended.returncode == 0 and not ended.stderr, ended
    assert contents(tmp_path) == whole


def test_workers_are_killed_at_any_moment(
    address: str, stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    process = stgan.start(*arguments(tiny_model, tmp_path, "--on", f"ray:{address}"))
    moments, killed = random.Random(0), 0
    latest = time.monotonic() + 60
    while killed < KILLS and time.monotonic() < latest and "Clips, " not in process.output[0].read_text():
        time.sleep(moments.uniform(0.05, 0.5))
        if found := workers():
            os.kill(moments.choice(found), signal.SIGKILL)
            killed += 1
    ended = process.end()
    assert killed and ended.returncode == 0, ended
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_is_ended_is_continued_without_ray(
    number: signal.Signals, address: str, stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    process = stgan.start(*arguments(tiny_model, tmp_path, "--on", f"ray:{address}"))
    latest = time.monotonic() + 60
    while not list(tmp_path.glob("parts/*/*")) and time.monotonic() < latest:
        time.sleep(0.005)
    process.send(number)
    ended = process.end()
    assert ended.returncode in ((-9,) if number == signal.SIGKILL else (130, 0)), ended
    if ended.returncode == 130:
        assert ended.is_one_sentence and "finished clips are kept" in ended.stderr, ended
    while workers() and time.monotonic() < latest:
        time.sleep(0.05)
    ended = stgan.run(*arguments(tiny_model, tmp_path, "--resume"))
    assert ended.returncode == 0, ended
    assert contents(tmp_path) == whole


def test_what_fails_is_listed_and_the_rest_is_made(
    address: str, stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    (out / "left").symlink_to(other)
    ended = stgan.run(*arguments(tiny_model, out, "--on", f"ray:{address}"))
    assert ended.returncode == 1 and ended.is_one_sentence and "3 batches were not made" in ended.stderr, ended
    failures = [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]
    assert sorted((each["action"], each["first"], each["clips"]) for each in failures) == [
        ("left", first, 2) for first in (0, 2, 4)
    ]
    assert all("is a link to another folder" in each["reason"] for each in failures)
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 2 * NUM and not list(other.iterdir())
    (out / "left").unlink()
    assert stgan.run(*arguments(tiny_model, out, "--resume")).returncode == 0
    assert contents(out) == whole


def test_a_cluster_that_cannot_do_it_is_said_in_one_sentence(
    address: str, stgan: Any, tiny_model: Path, tmp_path: Path
) -> None:
    ended = stgan.run(*arguments(tiny_model, tmp_path, "--on", f"ray:{address}", "--threads", 3))
    assert ended.returncode == 1 and ended.is_one_sentence and "has 3 CPU" in ended.stderr, ended


@pytest.mark.parametrize("text", ["", "Ray", "ray:", "ray:host", "ray:host:", "ray:a b:1", "ray://h:1", "dask"])
def test_an_engine_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(StganError, match="--on is ray"):
        parse_engine(text)
