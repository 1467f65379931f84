"""One folder and many processes: shards, terminals that resume at once, and workers that are killed."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generator_folders import contents

from stgan.manifest import Manifest

ACTIONS, NUM = ("grow", "left", "right"), 4
KILLS = int(os.environ.get("STGAN_KILLS", "5"))  # more of them by hand


def arguments(model: Path, out: Path, *more: str | int) -> list[str | Path | int]:
    return [
        "generate", "--model", model, "--preset", "robust", "--num", NUM, "--iterations", 2, "--batch", 2, "--out",
        out, "--gif", "--trace", "--intermediate", 1, *more,
    ]  # fmt: skip


def running(process: Any) -> bool:
    return Path(f"/proc/{process.number}/stat").read_text().split()[2] != "Z"


@pytest.fixture(scope="module")
def whole(stgan: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    ended = stgan.run(*arguments(tiny_model, out))
    assert ended.returncode == 0, ended.stderr
    return contents(out)


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 2, 1, 3)])
def test_four_shards_in_any_order_make_what_one_process_makes(
    order: tuple[int, ...], stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    for done, number in enumerate(order, 1):
        ended = stgan.run(*arguments(tiny_model, tmp_path, "--shard", f"{number}/4"))
        assert ended.returncode == 0, ended.stderr
        assert ("Clips, manifest.jsonl" in ended.stdout) == (done == 4)
        assert (contents(tmp_path) == whole) == (done == 4)
    assert stgan.run(*arguments(tiny_model, tmp_path, "--shard", "1/4")).returncode == 0
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("sharing", [("--shard", "1/3"), ("--shard", "2/2"), ("--resume",)], ids=" ".join)
def test_two_processes_at_once_on_one_folder(
    sharing: tuple[str, ...], stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """Whether they share the work or do the same, each clip is there once; what is left, the next one makes."""
    processes = [stgan.start(*arguments(tiny_model, tmp_path, *sharing)) for _ in range(2)]
    for process in reversed(processes):
        ended = process.end()
        assert ended.returncode == 0, ended
    if sharing != ("--resume",):
        assert stgan.run(*arguments(tiny_model, tmp_path, "--resume")).returncode == 0
    assert contents(tmp_path) == whole


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_one_of_two_is_killed_at_any_moment_and_started_again(
    stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    moments, kills = random.Random(KILLS), 0
    while kills < KILLS:
        out = tmp_path / str(kills)
        survivor = stgan.start(*arguments(tiny_model, out, "--shard", "1/2"))
        while kills < KILLS:
            victim = stgan.start(*arguments(tiny_model, out, *moments.choice([("--shard", "2/2"), ("--resume",)])))
            latest = time.monotonic() + moments.uniform(0.2, 1.5)
            while time.monotonic() < latest and running(victim):
                time.sleep(0.005)
            victim.send(signal.SIGKILL)
            kills += 1
            if victim.end().returncode == 0 and not running(survivor):
                break
        assert survivor.end().returncode == 0
        ended = stgan.run(*arguments(tiny_model, out, "--resume"))
        assert ended.returncode == 0, ended.stderr
        assert contents(out) == whole
        lines = [entry.file for entry in Manifest(out).read()]
        assert len(lines) == len(set(lines)) == NUM * len(ACTIONS)


def test_a_folder_that_is_merged_and_asked_on_the_way(
    stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert stgan.run(*arguments(tiny_model, out, "--shard", "1/2")).returncode == 0
    asked = stgan.run("status", out, "--json", tmp_path / "status.json")
    assert asked.returncode == 0 and "6 of 12 clips" in asked.stdout and "on cpu with 1 threads" in asked.stdout
    record = json.loads((tmp_path / "status.json").read_text())
    assert (record["done"], record["planned"], record["workers"][0]["clips"]) == (6, 12, 6)
    assert record["actions"] == {action: {"done": 2, "planned": 4} for action in ACTIONS}
    before = contents(out)
    merged = stgan.run("merge", out)
    assert merged.returncode == 0 and "6 clips" in merged.stdout
    assert len(list(Manifest(out).read())) == 6 and before.items() - contents(out).items() == {("manifest.jsonl", b"")}
    assert stgan.run(*arguments(tiny_model, out, "--shard", "2/2")).returncode == 0
    assert contents(out) == whole


def harm_part(out: Path) -> None:
    part = out / "parts/left/0000.jsonl"
    part.write_bytes(part.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("harm", "more", "message"),
    [
        (harm_part, [], "'.*0000.jsonl' line|is cut off"),
        (lambda out: (out / "run.json").write_text("{}"), [], "run.json"),
        (lambda out: (out / "run.json").unlink(), [], "no run.json, so an earlier version"),
        (lambda out: None, ["--seed", 1], "was made with seed 0, not 1"),
    ],
)
def test_a_record_that_is_wrong_is_refused_in_one_sentence(
    harm: Callable[[Path], Any], more: list, message: str, stgan: Any, tiny_model: Path, whole: dict[str, bytes],
    tmp_path: Path,
) -> None:  # fmt: skip
    for name, content in whole.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    harm(tmp_path)
    before = contents(tmp_path)
    commands = [arguments(tiny_model, tmp_path, *more, *join) for join in (["--resume"], ["--shard", "1/1"])]
    for command in (*commands, *([] if more else [["merge", tmp_path]])):
        ended = stgan.run(*command)
        assert ended.returncode == 1 and ended.is_one_sentence, ended
    assert {name: content for name, content in contents(tmp_path).items() if name in before} == before


@pytest.mark.parametrize(
    "shard", ["0/2", "3/2", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1/0", "1/9999999", "١/٢", " 1/2"]
)
def test_a_shard_that_there_cannot_be_is_refused(shard: str, stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    ended = stgan.run("generate", "--model", tiny_model, "--out", tmp_path / "out", f"--shard={shard}")
    assert ended.returncode == 1 and ended.is_one_sentence and "--shard is I/N" in ended.stderr, ended
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["merge", "status"])
def test_a_folder_of_something_else_is_refused(command: str, stgan: Any, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none", tmp_path / "x.mp4"):
        ended = stgan.run(command, folder)
        assert ended.returncode == 1 and ended.is_one_sentence and "has no run.json" in ended.stderr
    assert os.listdir(tmp_path) == []
