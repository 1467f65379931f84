"""The commands as a user types them, in processes of their own."""

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stgan.checkpoints import find_model
from stgan.cli.generate import generate
from stgan.cli.info import unseen_accuracy
from stgan.cli.terminal import new_console
from stgan.cli.train import _show_samples
from stgan.scoring import read_scores
from stgan.video import find_clips, read_video


@pytest.fixture(scope="module")
def generated(stgan: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated")
    result = stgan.run(
        "generate", "--model", tiny_model, "--num", 2, "--iterations", 2, "--out", out, "--gif", "--trace"
    )
    assert result.returncode == 0, result.stderr
    assert "s per clip" in result.stdout
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


def test_a_folder_of_a_bundled_name(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    for folder in ("weizmann", "models/weizmann"):
        shutil.copytree(tiny_model, tmp_path / folder)
    for path in ("./weizmann", "weizmann/", "models/weizmann"):
        result = stgan.run("info", path, cwd=tmp_path)
        assert result.returncode == 0 and "tiny: grow, left, right" in result.stdout, path
    bundled = stgan.run("info", cwd=tmp_path).stdout  # what nobody typed is no name that a folder could have
    assert "weizmann: bend" in bundled and "[default: (weizmann)]" in stgan.run("info", "--help").stdout
    for command in (("info",), ("generate", "--model"), ("weights", "info")):
        result = stgan.run(*command, "weizmann", cwd=tmp_path)
        assert result.returncode == 1 and result.is_one_sentence and "'./weizmann'" in result.stderr, command
    result = stgan.run("weights", "info", "weizmann/c3d", cwd=tmp_path)
    assert result.is_one_sentence and "'./weizmann/c3d'" in result.stderr
    assert "network: c3d" in stgan.run("weights", "info", "./weizmann/c3d", cwd=tmp_path).stdout


def test_samples_of_a_trained_model_are_its_own(
    tiny_model: Path, tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "weizmann")  # also the name of a bundled model
    monkeypatch.setattr("stgan.cli.train.generate", partial(generate, iterations=2))
    monkeypatch.setattr("stgan.training.plan._SAMPLES", 6)
    _show_samples(new_console(), find_model(Path("weizmann")), find_clips(tiny_clips))
    samples = tmp_path / "weizmann" / "samples"
    (line, *_) = (samples / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["model"] == "tiny"
    scores = read_scores(samples / "scores.json")
    assert scores.num_videos == 6 and scores.beside_real is not None and scores.beside_real.num_windows == 6


def test_resume_keeps_what_is_there_and_makes_the_rest(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    """One clip a batch, because batches of one and of two clips round differently."""
    base = ("generate", "--model", tiny_model, "--iterations", 2, "--batch", 1, "--out")
    resumed, whole = tmp_path / "resumed", tmp_path / "whole"
    assert stgan.run(*base, resumed, "--num", 1).returncode == 0
    (first,) = resumed.glob("left/*.mp4")
    written = first.stat().st_mtime_ns
    assert stgan.run(*base, resumed, "--num", 2, "--resume").returncode == 0
    assert first.stat().st_mtime_ns == written
    assert stgan.run(*base, whole, "--num", 2).returncode == 0
    for clip in whole.rglob("*.mp4"):
        assert (resumed / clip.relative_to(whole)).read_bytes() == clip.read_bytes()


def test_resume_refuses_clips_of_other_settings(stgan: Any, generated: Path, tiny_model: Path) -> None:
    base = ("generate", "--model", tiny_model, "--iterations", 2, "--out", generated, "--resume")
    for other, named in (
        (("--seed", 1), "seed"),
        (("--condition", "lrcn"), "condition"),
        (("--iterations", 3), "iterations 2, not 3"),
    ):
        result = stgan.run(*base, *other)
        assert result.returncode == 1 and f"was made with {named}" in result.stderr
    assert len((generated / "manifest.jsonl").read_text().splitlines()) == 6


def test_resume_makes_clips_that_are_missing_or_were_cut_from_the_manifest(
    stgan: Any, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(generated, out)
    lines = (out / "manifest.jsonl").read_text().splitlines(keepends=True)
    (out / json.loads(lines[0])["file"]).unlink()
    (out / "manifest.jsonl").write_text("".join(lines)[:-30])
    result = stgan.run("generate", "--model", tiny_model, "--num", 2, "--iterations", 2, "--out", out, "--resume")
    assert result.returncode == 0 and "1 clips of" in result.stdout, result.stderr
    assert sorted((out / "manifest.jsonl").read_text().splitlines(keepends=True)) == sorted(lines)


def test_a_mistake_leaves_the_earlier_run_alone(stgan: Any, generated: Path, tiny_model: Path) -> None:
    before = (generated / "manifest.jsonl").read_bytes()
    for wrong in (("--frames", 0), ("--frames", 10), ("--num", 0), ("--condition", "x"), ("--device", "abacus")):
        assert stgan.run("generate", "--model", tiny_model, "--out", generated, *wrong).returncode == 1
    assert (generated / "manifest.jsonl").read_bytes() == before


def test_evaluate_scores_with_a_network_that_did_not_steer(
    stgan: Any, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    scores = tmp_path / "scores.json"
    result = stgan.run("evaluate", generated, "--model", tiny_model, "--json", scores)
    assert result.returncode == 0, result.stderr
    values = json.loads(scores.read_text())
    assert values["num_videos"] == 6 and values["evaluator"] == "evaluator" and not values["fooled"]
    assert 0 <= values["accuracy"] <= 1 and 1 <= values["inception_score"]["mean"] <= 3
    assert sum(map(sum, values["confusion"])) == 6


def test_evaluate_refuses_a_network_that_steered_unless_told(stgan: Any, generated: Path, tiny_model: Path) -> None:
    refused = stgan.run("evaluate", generated, "--model", tiny_model, "--evaluator", "c3d")
    assert refused.returncode == 1 and "steered" in refused.stderr
    allowed = stgan.run("evaluate", generated, "--model", tiny_model, "--evaluator", "c3d", "--allow-fooled")
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
    stgan: Any, line: dict, message: str, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    entry = json.loads((generated / "manifest.jsonl").read_text().splitlines()[0])
    shutil.copytree(generated / "grow", tmp_path / "grow")
    (tmp_path / "manifest.jsonl").write_text(json.dumps({**entry, **line}) + "\n")
    result = stgan.run("evaluate", tmp_path, "--model", tiny_model)
    assert result.returncode == 1 and message in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "provenance",
    [
        {"figures": 3},
        {"figures": {"unseen_groups": [1]}},
        {"figures": {"unseen_groups": {"accuracy": "high", "correct": None, "clips": {}}}},
        {"figures": {"unseen_groups": {"accuracy": 0.5}}, "ancestors": "none"},
    ],
)
def test_cards_of_strangers_may_hold_nonsense(
    stgan: Any, provenance: dict, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    config = json.loads((model / "evaluator/config.json").read_text())
    (model / "evaluator/config.json").write_text(json.dumps(config | {"provenance": provenance}))
    for command in (("info", model), ("evaluate", generated, "--model", model)):
        result = stgan.run(*command)
        assert result.returncode == 0 and not result.stderr, result


def test_an_evaluator_made_from_a_network_that_steered_is_fooled(
    stgan: Any, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    steered = json.loads((generated / "manifest.jsonl").read_text().splitlines()[0])["hashes"]["condition"]["c3d"]
    shutil.copytree(tiny_model / "evaluator", tmp_path / "evaluator")
    config = json.loads((tmp_path / "evaluator/config.json").read_text())
    config["provenance"] = {"ancestors": {"trained on from": steered}}
    (tmp_path / "evaluator/config.json").write_text(json.dumps(config))
    command = ("evaluate", generated, "--model", tiny_model, "--evaluator", tmp_path / "evaluator")
    refused = stgan.run(*command)
    assert refused.returncode == 1 and "steered these clips" in refused.stderr
    assert "FOOLED" in stgan.run(*command, "--allow-fooled").stdout


def test_info(stgan: Any, tiny_model: Path) -> None:
    result = stgan.run("info", tiny_model)
    assert result.returncode == 0
    assert "never steers" in result.stdout and "r2plus1d" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fly",), "it has grow, left, right|tiny has grow, left, right"),
        (("--model", "nowhere"), "neither a folder nor a bundled model"),
        (("--num", "0"), "at least 1"),
        (("--iterations", "0"), "at least 1"),
        (("--frames", "0"), "from 1 to 1024"),
        (("--num", "1000001"), "at most 1000000"),
        (("--iterations", "100001"), "at most 100000"),
        (("--frames", "100000"), "from 1 to 1024"),
        (("--seed", "1" + "0" * 30), "at most 9223372036854775807"),
        (("--out", "/dev/null"), "cannot write"),
        (("--out", "y" * 5000), "name too long"),
        (("--preset", "best"), "motion, robust, spectral, paper"),
        (("--condition", "i3d"), "lrcn, c3d and both"),
        (("--out", "/proc/nothing"), "cannot write"),
        (("--device", "abacus"), "device 'abacus'"),
    ],
)
def test_mistakes_end_with_one_sentence(
    stgan: Any, arguments: tuple[str, ...], message: str, tiny_model: Path, tmp_path: Path
) -> None:
    given = dict(zip(arguments[::2], arguments[1::2], strict=True)) if arguments[0].startswith("--") else {}
    actions = () if given else arguments
    options = {"--model": tiny_model, "--out": tmp_path, "--iterations": 1, **given}
    result = stgan.run("generate", *actions, *(item for pair in options.items() for item in pair))
    assert result.returncode != 0
    assert any(part in result.stderr for part in message.split("|")), result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    ["-x", "--", "a b/[red]ü\N{GRINNING FACE}\u202e", "new\nline", "~nobody", "http://x/y", os.fsdecode(b"bad\xff")],
)
def test_any_name_may_be_that_of_the_folder(stgan: Any, name: str, tiny_model: Path, tmp_path: Path) -> None:
    result = stgan.run(
        "generate", "left", "--model", tiny_model, "--num", 1, "--iterations", 1, "--gif", f"--out={name}", cwd=tmp_path
    )
    assert result.returncode == 0 and "are in" in result.stdout, result.stderr
    assert len(list((tmp_path / name).rglob("left_seed0_0000.*"))) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_damaged_weights_end_with_one_sentence(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    weights = model / "generator" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    damaged = stgan.run("generate", "--model", model, "--out", tmp_path / "out")
    weights.unlink()
    missing = stgan.run("generate", "--model", model, "--out", tmp_path / "out")
    for result in (damaged, missing):
        assert result.returncode == 1 and "model.safetensors" in result.stderr
        assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_evaluate_of_a_folder_without_clips(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    result = stgan.run("evaluate", tmp_path, "--model", tiny_model)
    assert result.returncode == 1 and "has no clips" in result.stderr and "Traceback" not in result.stderr


def test_the_accuracy_that_is_shown_is_that_of_clips_that_were_not_trained_on() -> None:
    parts = ("training_clips", "validation_clips", "test_clips", "unseen_groups")
    figures = {part: {"accuracy": 0.9 - n / 10, "correct": 9 - n, "clips": 10} for n, part in enumerate(parts)}
    shown = []
    while figures:
        shown.append(unseen_accuracy({"figures": figures}))
        figures.popitem()
    assert shown == ["0.600 (6/10)", "0.700 (7/10)", "0.800 (8/10)", ""]
    assert unseen_accuracy({"figures": {"test_clips": "good"}}) == unseen_accuracy({}) == ""
