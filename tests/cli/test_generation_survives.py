"""Generation that is killed, interrupted, or out of disk loses no finished clip, and --resume makes the rest."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from generator_folders import contents

from stgan import STGAN
from stgan.generation import merge
from stgan.manifest import Manifest
from stgan.records import as_record
from stgan.sampling import Settings
from stgan.scoring import generated_clips
from stgan.video import to_uint8, write_video

CLIPS = 9  # three of each action
KILLS = int(os.environ.get("STGAN_KILLS", "5"))  # more of them by hand


def arguments(model: Path, out: Path, *more: str | int, num: int = 3) -> list[str | Path | int]:
    return [
        "generate", "--model", model, "--preset", "robust", "--num", num, "--iterations", 2, "--batch", 2, "--out",
        out, "--gif", "--trace", *more,
    ]  # fmt: skip


def lines(out: Path) -> int:
    """How many clips the parts name."""
    return sum(part.read_bytes().count(b"\n") for part in out.glob("parts/*/[0-9]*.jsonl"))


def clips(out: Path) -> set[tuple[str, int]]:
    return {(entry.action, entry.index) for entry in Manifest(out).read()}


def wait_for(reached: Callable[[], bool], process: Any) -> None:
    """Until it is so, or the process has ended."""
    for _ in range(12_000):
        if reached() or Path(f"/proc/{process.number}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.005)
    pytest.fail("nothing happened for a minute")


def fill(out: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)


@pytest.fixture(scope="module")
def whole(stgan: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run leaves that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    ended = stgan.run(*arguments(tiny_model, out))
    assert ended.returncode == 0, ended.stderr
    files = contents(out)
    assert len(files) == 3 * CLIPS + 6 + 3  # parts, and run.json, manifest.jsonl and contact_sheet.png
    return files


def check_finished_clips(out: Path, whole: dict[str, bytes]) -> int:
    """What the parts claim is there and right; how much that is."""
    if not (out / "run.json").exists():
        return 0
    merge(out)
    entries = list(Manifest(out).read())
    for entry in entries:
        for ending in (".mp4", ".gif", ".trace.png"):
            name = entry.file.removesuffix(".mp4") + ending
            assert (out / name).read_bytes() == whole[name]
    return len(entries)


def test_killed_at_any_moment_and_resumed(
    stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    moments = random.Random(KILLS)
    kills = 0
    while kills < KILLS:
        out = tmp_path / str(kills)
        finished = 0
        while kills < KILLS and finished < CLIPS:
            process = stgan.start(*arguments(tiny_model, out, "--resume"))
            target = finished + moments.randint(0, 3)
            wait_for(lambda target=target, out=out: lines(out) >= target, process)
            time.sleep(moments.uniform(0, 0.1))
            process.send(signal.SIGKILL)
            kills += 1
            assert process.end().returncode in (-signal.SIGKILL, 0)
            now = check_finished_clips(out, whole)
            assert now >= finished
            finished = now
        assert stgan.run(*arguments(tiny_model, out, "--resume")).returncode == 0
        assert contents(out) == whole
        shutil.rmtree(out)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]], ids=str)
def test_interrupted_with_one_sentence(
    signals: list[signal.Signals], stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    process = stgan.start(*arguments(tiny_model, tmp_path, num=3000))
    wait_for(lambda: lines(tmp_path) >= 2, process)
    process.send(*signals)
    ended = process.end()
    assert ended.returncode == 128 + signals[0] and ended.is_one_sentence, ended
    if len(signals) == 1:
        assert "--resume" in ended.stderr and not list(tmp_path.rglob("*.part")) and len(clips(tmp_path)) >= 2
    merge(tmp_path)
    kept = clips(tmp_path)
    assert len(kept) >= 2
    resumed = stgan.run(*arguments(tiny_model, tmp_path, "--resume", num=2))  # one batch of each, as of more clips
    wanted = {(action, index) for action in ("grow", "left", "right") for index in (0, 1)}
    assert resumed.returncode == 0 and clips(tmp_path) == kept | wanted
    assert contents(tmp_path).items() >= {name: whole[name] for name in whole if re.search("_000[01]", name)}.items()
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks for loaded libraries in /proc")
def test_interrupted_while_libraries_are_loading(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stgan.cli.main", "generate", "--out", tmp_path]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    for _ in range(6000):
        if "libtorch_cpu" in Path(f"/proc/{process.pid}/maps").read_text():
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "stgan: interrupted\n")


def test_a_second_process_does_not_start_anew_and_readers_are_not_refused(
    stgan: Any, tiny_model: Path, tmp_path: Path
) -> None:
    first = stgan.start(*arguments(tiny_model, tmp_path, num=3000))
    wait_for(lambda: lines(tmp_path) >= 2, first)
    second = stgan.run(*arguments(tiny_model, tmp_path))
    assert second.returncode == 1 and "another process is generating" in second.stderr and second.is_one_sentence
    assert stgan.run("merge", tmp_path).returncode == 0
    read = stgan.run("evaluate", tmp_path, "--model", tiny_model)
    assert read.returncode == 0, read.stderr
    first.send(signal.SIGKILL)
    assert first.end().returncode == -signal.SIGKILL
    assert len(generated_clips(tmp_path)) >= 2
    third = stgan.run(*arguments(tiny_model, tmp_path, num=1))  # the kernel has freed the lock
    assert third.returncode == 0 and len(generated_clips(tmp_path)) == 3, third.stderr


@pytest.mark.parametrize("largest_file", [1_000, 2_000, 9_000, 8_000])  # run.json, a clip, the manifest, contact sheet
def test_a_full_disk(largest_file: int, stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    num, undisturbed = 3, whole
    run = ["generate", "--model", tiny_model, "--preset", "robust", "--iterations", 2, "--batch", 2, "--num"]
    if largest_file == 8_000:
        num = 1
        assert stgan.run(*run, num, "--out", tmp_path / "undisturbed").returncode == 0
        undisturbed = contents(tmp_path / "undisturbed")
    tmp_path = tmp_path / "out"
    command = [*run, num, "--out", tmp_path]
    ended = stgan.run(*command, largest_file=largest_file)
    assert ended.returncode == 1 and ended.is_one_sentence and "file too large" in ended.stderr, ended
    found = {1_000: (0, 0), 2_000: (0, 0), 9_000: (9, 0), 8_000: (3, 3)}[largest_file]
    assert (lines(tmp_path), len(clips(tmp_path))) == found
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / ".staged").exists()
    assert stgan.run(*command, "--resume").returncode == 0
    written = {name: content for name, content in contents(tmp_path).items() if name.endswith(".mp4")}
    assert len(written) == 3 * num and written.items() <= undisturbed.items()
    assert undisturbed["manifest.jsonl"] == (tmp_path / "manifest.jsonl").read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("place", ["", "left", "parts", "parts/left"])
def test_a_folder_that_is_read_only(
    place: str, stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    fill(tmp_path, whole)
    (tmp_path / "left/left_seed0_0000.mp4").unlink()
    (tmp_path / place).chmod(0o500)
    ended = stgan.run(*arguments(tiny_model, tmp_path, "--resume"))
    (tmp_path / place).chmod(0o700)
    assert ended.returncode == 1 and ended.is_one_sentence and "permission denied" in ended.stderr, ended
    assert stgan.run(*arguments(tiny_model, tmp_path, "--resume")).returncode == 0
    assert contents(tmp_path) == whole


def test_a_folder_that_is_taken_away(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = stgan.start(*arguments(tiny_model, out, num=3000))
    wait_for(lambda: lines(out) >= 1, process)
    out.rename(tmp_path / "elsewhere")
    ended = process.end()
    assert ended.returncode == 1 and ended.is_one_sentence, ended
    assert "cannot write" in ended.stderr or "cannot be written" in ended.stderr, ended


def test_starting_anew_says_where_the_former_manifest_is(
    stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    fill(tmp_path, whole)
    ended = stgan.run("generate", "left", "--model", tiny_model, "--num", 1, "--iterations", 3, "--out", tmp_path)
    assert ended.returncode == 0 and "former manifest is now manifest.previous.jsonl" in ended.stdout
    assert (tmp_path / "manifest.previous.jsonl").read_bytes() == whole["manifest.jsonl"]
    assert lines(tmp_path) == len(clips(tmp_path)) == 1 and not (tmp_path / "left/left_seed0_0000.gif").exists()
    changed = {name for name, content in contents(tmp_path).items() if whole.get(name) != content}
    assert changed == {
        "left/left_seed0_0000.mp4", "parts/left/0000.jsonl", "run.json", "manifest.jsonl", "manifest.previous.jsonl",
        "contact_sheet.png",
    }  # fmt: skip


def test_resume_with_another_model_names_what_differs(
    stgan: Any, tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(tiny_model, model)
    weights = model / "lrcn" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1  # the last bit of a weight
    weights.write_bytes(content)
    fill(out, whole)
    ended = stgan.run(*arguments(model, out, "--resume"))
    assert ended.returncode == 1 and ended.is_one_sentence and "was made with hashes.condition.lrcn '" in ended.stderr
    assert contents(out) == whole


def test_a_line_of_the_manifest_is_enough_to_make_its_clip_again(
    tiny_model: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    line = json.loads(whole["manifest.jsonl"].splitlines()[4])
    model = STGAN.from_pretrained(tiny_model, line["device"])
    assert (line["version"], line["torch"]) == (__import__("stgan").__version__, torch.__version__)
    assert line["hashes"] == model.hashes(model.steering(condition=line["condition"]))
    threads = torch.get_num_threads()
    torch.set_num_threads(line["threads"])
    try:
        videos = model.generate(
            line["action"],
            line["index"] + 1,
            line["seed"],
            preset=as_record(Settings, line["settings"], "the manifest"),
            condition=line["condition"],
            frames=line["frames"],
        )
    finally:
        torch.set_num_threads(threads)
    write_video(tmp_path / "again.mp4", to_uint8(videos[line["index"]]))
    assert (tmp_path / "again.mp4").read_bytes() == whole[line["file"]]
