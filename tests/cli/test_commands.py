"""The commands as a user types them, in processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stgan.video import read_video


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stgan.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, timeout=240)


@pytest.fixture(scope="module")
def generated(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated")
    result = run("generate", "--model", tiny_model, "--num", 2, "--iterations", 2, "--out", out, "--gif", "--trace")
    assert result.returncode == 0, result.stderr
    assert "s a clip" in result.stdout
    return out


def test_generate_leaves_clips_manifest_and_contact_sheet(generated: Path) -> None:
    lines = [json.loads(line) for line in (generated / "manifest.jsonl").read_text().splitlines()]
    assert [(line["action"], line["index"]) for line in lines] == [
        (action, index) for index in range(2) for action in ("grow", "left", "right")
    ]
    for line in lines:
        clip = read_video(generated / line["file"])
        assert clip.frames.shape == (16, 16, 16, 3) and clip.fps == 25.0
        assert (generated / line["file"]).with_suffix(".gif").is_file()
        assert (generated / line["file"]).with_suffix(".trace.png").is_file()
        assert set(line["hashes"]["condition"]) == {"lrcn", "c3d"} and 0 <= line["probability"] <= 1
    assert (generated / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    assert not list(generated.rglob("*.tmp"))


def test_resume_keeps_what_is_there_and_makes_the_rest(generated: Path, tiny_model: Path, tmp_path: Path) -> None:
    base = ("generate", "--model", tiny_model, "--iterations", 2, "--out", tmp_path)
    assert run(*base, "--num", 1).returncode == 0
    (first,) = tmp_path.glob("left/*.mp4")
    written = first.stat().st_mtime_ns
    assert run(*base, "--num", 2, "--resume").returncode == 0
    assert first.stat().st_mtime_ns == written
    for clip in generated.rglob("*.mp4"):
        assert (tmp_path / clip.relative_to(generated)).read_bytes() == clip.read_bytes()


def test_resume_refuses_clips_of_other_settings(generated: Path, tiny_model: Path) -> None:
    base = ("generate", "--model", tiny_model, "--iterations", 2, "--out", generated, "--resume")
    for other, named in ((("--seed", 1), "seed"), (("--condition", "lrcn"), "condition"), (("--iterations", 3), "iterations 2, not 3")):
        result = run(*base, *other)
        assert result.returncode == 1 and f"was made with {named}" in result.stderr
    assert len((generated / "manifest.jsonl").read_text().splitlines()) == 6


def test_resume_makes_clips_that_are_missing_or_were_cut_from_the_manifest(
    generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(generated, out)
    lines = (out / "manifest.jsonl").read_text().splitlines(keepends=True)
    (out / json.loads(lines[0])["file"]).unlink()
    (out / "manifest.jsonl").write_text("".join(lines)[:-30])
    result = run("generate", "--model", tiny_model, "--num", 2, "--iterations", 2, "--out", out, "--resume")
    assert result.returncode == 0 and "2 clips" in result.stdout, result.stderr
    assert sorted((out / "manifest.jsonl").read_text().splitlines(keepends=True)) == sorted(lines)


def test_an_interrupted_run_keeps_its_clips(tiny_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stgan.cli.main", "generate", "--model", tiny_model, "--num", "50"]
    process = subprocess.Popen([*command, "--out", tmp_path, "--iterations", "20"], stderr=subprocess.PIPE, text=True)
    manifest = tmp_path / "manifest.jsonl"
    for _ in range(600):
        if manifest.is_file() and manifest.read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in error and "Traceback" not in error
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert 2 <= len(entries) < 150
    for entry in entries:
        assert read_video(tmp_path / entry["file"]).frames.shape == (16, 16, 16, 3)


def test_a_mistake_leaves_the_earlier_run_alone(generated: Path, tiny_model: Path) -> None:
    before = (generated / "manifest.jsonl").read_bytes()
    for wrong in (("--frames", 0), ("--frames", 10), ("--num", 0), ("--condition", "x"), ("--device", "abacus")):
        assert run("generate", "--model", tiny_model, "--out", generated, *wrong).returncode == 1
    assert (generated / "manifest.jsonl").read_bytes() == before


def test_evaluate_scores_with_a_network_that_did_not_steer(generated: Path, tiny_model: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    result = run("evaluate", generated, "--model", tiny_model, "--json", scores)
    assert result.returncode == 0, result.stderr
    values = json.loads(scores.read_text())
    assert values["num_videos"] == 6 and values["evaluator"] == "evaluator" and not values["fooled"]
    assert 0 <= values["accuracy"] <= 1 and 1 <= values["inception_score"]["mean"] <= 3
    assert sum(map(sum, values["confusion"])) == 6


def test_evaluate_refuses_a_network_that_steered_unless_told(generated: Path, tiny_model: Path) -> None:
    refused = run("evaluate", generated, "--model", tiny_model, "--evaluator", "c3d")
    assert refused.returncode == 1 and "steered" in refused.stderr
    allowed = run("evaluate", generated, "--model", tiny_model, "--evaluator", "c3d", "--allow-fooled")
    assert allowed.returncode == 0 and "FOOLED" in allowed.stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"hashes": {}}, "which networks steered"),
        ({"hashes": []}, "line 1"),
        ({"file": "../x.mp4"}, "outside"),
        ({"file": "a\0b"}, "line 1"),
        ({"action": "fly"}, "does not know"),
    ],
)
def test_evaluate_of_a_manifest_that_was_tampered_with(
    line: dict, message: str, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    entry = json.loads((generated / "manifest.jsonl").read_text().splitlines()[0])
    (tmp_path / "manifest.jsonl").write_text(json.dumps({**entry, **line}) + "\n")
    result = run("evaluate", tmp_path, "--model", tiny_model)
    assert result.returncode == 1 and message in result.stderr and "Traceback" not in result.stderr


def test_info(tiny_model: Path) -> None:
    result = run("info", tiny_model)
    assert result.returncode == 0
    assert "never steers" in result.stdout and "R2Plus1D" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fly",), "it has grow, left, right|tiny has grow, left, right"),
        (("--model", "nowhere"), "neither a folder nor a bundled model"),
        (("--num", "0"), "at least 1"),
        (("--iterations", "0"), "at least 1"),
        (("--frames", "0"), "at least 1"),
        (("--preset", "best"), "robust, paper"),
        (("--condition", "i3d"), "lrcn, c3d and both"),
        (("--out", "/proc/nothing"), "cannot write"),
        (("--device", "abacus"), "device 'abacus'"),
    ],
)
def test_mistakes_end_with_one_sentence(
    arguments: tuple[str, ...], message: str, tiny_model: Path, tmp_path: Path
) -> None:
    given = dict(zip(arguments[::2], arguments[1::2], strict=True)) if arguments[0].startswith("--") else {}
    actions = () if given else arguments
    options = {"--model": tiny_model, "--out": tmp_path, "--iterations": 1, **given}
    result = run("generate", *actions, *(item for pair in options.items() for item in pair))
    assert result.returncode != 0
    assert any(part in result.stderr for part in message.split("|")), result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_damaged_weights_end_with_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    subprocess.run(["cp", "-r", tiny_model, model], check=True)
    weights = model / "generator" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    damaged = run("generate", "--model", model, "--out", tmp_path / "out")
    weights.unlink()
    missing = run("generate", "--model", model, "--out", tmp_path / "out")
    for result in (damaged, missing):
        assert result.returncode == 1 and "model.safetensors" in result.stderr
        assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_evaluate_of_a_folder_without_clips(tiny_model: Path, tmp_path: Path) -> None:
    result = run("evaluate", tmp_path, "--model", tiny_model)
    assert result.returncode == 1 and "no manifest" in result.stderr and "Traceback" not in result.stderr
