"""`stgan bench`, on networks of a hundredth of their width."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stgan.bench import PARTS
from stgan.cli import bench
from stgan.errors import Interrupted, StganError


def run_bench(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    monkeypatch.setattr("stgan.bench.matmul_rate", lambda device: 1e11)
    settings = {"condition": "lrcn", "iterations": 1, "frames": 1, "batch": 1, "num_videos": 10, "width": 0.01}
    settings |= {"precision": "float32", "conv3d": False, "memory": 12.0}
    bench.paper_scale(**{**settings, "threads": None, "device": "cpu", "json_file": None, **options})


def test_both_in_turn(stgan: Any, tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    ended = stgan.run("bench", "paper-scale", "--width", 0.01, "--iterations", 1, "--device", "cpu", "--json", written)
    assert ended.returncode == 0 and not ended.stderr
    tables = [line for line in ended.stdout.splitlines() if line[:1] in "┏┃┡│├└" and line]
    assert len(tables) == 2 * 14 and max(map(len, tables)) <= 80
    for shown in (
        "steered by lrcn",
        "c3d, backward",
        "floor: as a matrix product",
        "100 iterations",
        "10,000 videos: ",
    ):
        assert shown in ended.stdout
    figures = json.loads(written.read_text())
    assert figures["matmul_flops_per_second"] > 0 and figures["threads"] == 1 and figures["num_videos"] == 10_000
    assert list(figures["conditions"]) == ["lrcn", "c3d"]
    for of in figures["conditions"].values():
        assert list(of["parts"]) == list(PARTS) and of["iterations"] == 100
        for key in (
            "seconds_per_iteration", "peak_memory_bytes", "flops_per_iteration", "flops_per_second", "seconds_at_floor",
            "seconds_per_video", "hours_for_num_videos",
        ):  # fmt: skip
            assert of[key] > 0


def test_another_precision_and_the_published_form_of_the_generator(stgan: Any, tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    options = [
        "--condition",
        "lrcn",
        "--width",
        0.01,
        "--iterations",
        1,
        "--device",
        "cpu",
        "--frames",
        2,
        "--memory",
        1,
    ]
    ended = stgan.run("bench", "paper-scale", *options, "--precision", "bf16", "--conv3d", "--json", written)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    assert "times as long" in ended.stdout and "largest batch in 1 GB: " in ended.stdout
    figures = json.loads(written.read_text())
    lrcn = figures["conditions"]["lrcn"]
    assert figures["precision"] == "bf16" and lrcn["largest_batch"] > 1
    assert lrcn["conv3d"]["speedup"] == lrcn["conv3d"]["seconds_per_iteration"] / lrcn["seconds_per_iteration"]
    assert lrcn["clips_per_second"] == 1 / lrcn["seconds_per_video"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--condition", "tea"], "unknown condition 'tea'"),
        (["--frames", 8], "c3d takes clips of at least 16 frames, not 8"),
        (["--batch", 0], "--batch must be at least 1"),
        (["--iterations", 0], "--iterations must be at least 1"),
        (["--width", "nan"], "the width must be from 0.01 to 4, not nan"),
        (["--threads", 0], "--threads must be at least 1"),
        (["--num-videos", -1], "--num-videos must be at least 1"),
        (["--precision", "tf32", "--device", "cpu"], "--precision tf32 needs an NVIDIA GPU"),
        (["--json", "no/such/folder.json"], "--json 'no/such/folder.json' is in a folder that does not exist"),
        (["--memory", 0], "--memory must be at least 0.1"),
        (["--device", "toaster"], "device 'toaster' is not available here"),
    ],
)
def test_bad_options_are_one_sentence(stgan: Any, options: list[Any], sentence: str) -> None:
    ended = stgan.run("bench", "paper-scale", "--width", 0.01, *options)
    assert ended.returncode == 1 and ended.is_one_sentence and sentence in ended.stderr and not ended.stdout


def test_too_little_memory_is_said_before(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("stgan.bench.available_memory", lambda device: 10_000_000)
    monkeypatch.setattr("stgan.bench.estimate", lambda *args, **options: pytest.fail("too late"))
    with pytest.raises(pytest.fail.Exception, match="too late"):
        run_bench(monkeypatch, batch=64)
    assert re.search(r"warning: this needs about 0\.[1-9] GB, but cpu has 0\.0 GB free", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("raised", "expected", "sentence"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate"), StganError, "cpu has too little memory"),
        (MemoryError(), StganError, "too little memory"),
        (RuntimeError("the memory format is wrong"), RuntimeError, "memory format"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), StganError, "use a smaller --batch"),
        (RuntimeError("something else"), RuntimeError, "something else"),
        (KeyboardInterrupt(), Interrupted, "nothing was written"),
    ],
)
def test_what_may_stop_it(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, expected: type[Exception], sentence: str
) -> None:
    def stop(*args: Any, **options: Any) -> None:
        raise raised

    monkeypatch.setattr("stgan.bench.estimate", stop)
    with pytest.raises(expected, match=sentence):
        run_bench(monkeypatch)


def test_the_generator_in_its_two_forms(stgan: Any, tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    ended = stgan.run("bench", "generator", "--width", 0.01, "--rounds", 1, "--frames", 4, "--json", written)
    assert ended.returncode == 0 and not ended.stderr
    assert "times as fast" in ended.stdout and max(map(len, ended.stdout.splitlines()[1:7])) <= 80
    figures = json.loads(written.read_text())
    for key in ("conv3d_s", "factorised_s", "speedup", "relative_error", "matmul_gflops", "factorised_gflops"):
        assert figures[key] > 0
    assert figures["relative_error"] < 1e-5 and figures["threads"] == 1


@pytest.mark.parametrize(
    ("options", "sentence"), [(["--rounds", 0], "--rounds"), (["--frames", 0], "--frames"), (["--json", "."], "--json")]
)
def test_bad_options_of_the_generator(stgan: Any, options: list[Any], sentence: str) -> None:
    ended = stgan.run("bench", "generator", "--width", 0.01, *options)
    assert ended.returncode == 1 and ended.is_one_sentence and sentence in ended.stderr


def test_the_whole_loop(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    ended = stgan.run(
        "bench", "generate", "--model", tiny_model, "--preset", "robust", "--iterations", 2, "--batch", 1, "--batch", 2,
        "--curve", "1,2", "--num", 1, "--action", "left", "--action", "grow", "--json", written,
    )  # fmt: skip
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    assert "the evaluator's scores of 2 clips" in ended.stdout
    tables = [line for line in ended.stdout.splitlines() if line[:1] in "┏┃┡│├└" and line]
    assert max(map(len, tables)) <= 80
    figures = json.loads(written.read_text())
    assert list(figures["batches"]) == ["1", "2"] and [of["iterations"] for of in figures["curve"]] == [1, 2]
    for of in figures["batches"].values():
        assert 0 < of["seconds_per_clip"] == 2 * of["seconds_per_iteration"] and 0 < of["outside_networks"] < 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--batch", 0], "--batch must be at least 1"),
        (["--iterations", 0], "--iterations must be at least 1"),
        (["--num", 0], "--num must be at least 1"),
        (["--curve", "5,tea"], "--curve is a list of numbers"),
        (["--curve", "0"], "--curve is a list of numbers"),
        (["--curve", "1", "--evaluator", "c3d"], "a network that steers"),
        (["--action", "tea"], "unknown action 'tea'"),
        (["--json", "no/such/folder.json"], "--json"),
        (["--preset", "tea"], "unknown preset 'tea'"),
    ],
)
def test_bad_options_of_the_loop(stgan: Any, tiny_model: Path, options: list[Any], sentence: str) -> None:
    ended = stgan.run("bench", "generate", "--model", tiny_model, "--batch", 1, *options)
    assert ended.returncode == 1 and ended.is_one_sentence and sentence in ended.stderr
