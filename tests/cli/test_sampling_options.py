"""`generate --target`, `--init`, `--intermediate`, `info --layers` and `ablate`, in this process on the tiny model."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import jaxtyping
import pytest
import torch
from typer.testing import CliRunner

from stgan.cli.commands import app
from stgan.devices import suited_precision
from stgan.errors import StganError
from stgan.sampling import PRESETS
from stgan.studies.ablations import VARIANTS
from stgan.video import read_video


@pytest.fixture(autouse=True)
def unchecked() -> Iterator[None]:
    """Typer gives an option that was not named None, whatever its type: no checks of types, as for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if result.exception:
        raise result.exception
    return result.output


def entries(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture
def options(tiny_model: Path, tmp_path: Path) -> tuple:
    return ("--model", tiny_model, "--out", tmp_path / "out", "--num", 1, "--iterations", 3)


def test_a_target_is_generated_under_its_own_name(options: tuple, tmp_path: Path) -> None:
    run("generate", *options, "--target", "convolutions.1:5,4,2,2", "--condition", "c3d")
    (entry,) = entries(tmp_path / "out")
    assert entry["action"] == "c3d.convolutions.1_5_4_2_2" and entry["target"] == "convolutions.1:5,4,2,2"
    assert "probability" not in entry and isinstance(entry["activation"], float)
    assert entry["file"] == "c3d.convolutions.1_5_4_2_2/c3d.convolutions.1_5_4_2_2_seed0_0000.mp4"
    before = (tmp_path / "out" / entry["file"]).stat().st_mtime_ns
    run("generate", *options, "--target", "convolutions.1:5,4,2,2", "--condition", "c3d", "--resume")
    assert (tmp_path / "out" / entry["file"]).stat().st_mtime_ns == before
    with pytest.raises(StganError, match="target"):
        run("generate", *options, "--target", "convolutions.1:5", "--condition", "c3d", "--resume")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_recorded_as_it_was(options: tuple, tmp_path: Path, preset: str) -> None:
    run("generate", "left", *options, "--preset", preset)
    (entry,) = entries(tmp_path / "out")
    named = PRESETS[preset]
    precision = suited_precision(torch.device("cpu")) if named.needs else named.precision
    expected = asdict(replace(named, iterations=3, precision=precision))
    assert entry["preset"] == preset and entry["settings"] == json.loads(json.dumps(expected, allow_nan=False))


def test_the_preset_is_the_models_own_unless_it_is_named(options: tuple, tmp_path: Path, tiny_model: Path) -> None:
    run("generate", "left", *options)
    (entry,) = entries(tmp_path / "out")
    assert entry["preset"] == "motion" and len(entry["hashes"]["clip_prior"]) == 64
    former = shutil.copytree(tiny_model, tmp_path / "former")
    values = json.loads((former / "model.json").read_text())
    del values["clip_prior"]
    (former / "model.json").write_text(json.dumps(values))
    run("generate", "left", *options, "--model", former)
    (entry,) = entries(tmp_path / "out")
    assert entry["preset"] == "robust" and "clip_prior" not in entry["hashes"]
    with pytest.raises(StganError, match="needs a clip prior") as caught:
        run("generate", "left", *options[2:4], "--model", former, "--out", tmp_path / "none", "--preset", "motion")
    assert "\n" not in str(caught.value) and not (tmp_path / "none").exists()


def test_motion_takes_targets_and_any_length(options: tuple, tmp_path: Path) -> None:
    motion = (*options, "--preset", "motion", "--condition", "lrcn")
    run("generate", "left", *motion, "--frames", 9)
    run("generate", *motion, "--out", tmp_path / "unit", "--target", "lstm:3", "--frames", 20)
    for folder, frames in (("out", 9), ("unit", 20)):
        (entry,) = entries(tmp_path / folder)
        assert len(read_video(tmp_path / folder / entry["file"]).frames) == frames


@pytest.mark.parametrize("preset", ["motion", "robust"])
def test_a_clip_to_start_from_is_recorded(options: tuple, tmp_path: Path, tiny_clips: Path, preset: str) -> None:
    clip, options = tiny_clips / "grow" / "clip0.mp4", (*options, "--preset", preset)
    run("generate", "left", *options, "--init", clip, "--strength", 0.5)
    (entry,) = entries(tmp_path / "out")
    assert entry["preset"] == preset and entry["init"]["source"] == "clip0.mp4" and entry["init"]["strength"] == 0.5
    assert len(entry["init"]["sha256"]) == 64
    with pytest.raises(StganError, match="init"):
        run("generate", "left", *options, "--resume")


def test_intermediate_clips_lie_beside_the_clip_and_the_last_is_like_it(options: tuple, tmp_path: Path) -> None:
    run("generate", "left", *options, "--intermediate", 1)
    (entry,) = entries(tmp_path / "out")
    clip = tmp_path / "out" / entry["file"]
    stages = sorted(clip.with_suffix(".iterations").iterdir())
    assert [stage.name for stage in stages] == ["0001.mp4", "0002.mp4", "0003.mp4"]
    assert stages[-1].read_bytes() == clip.read_bytes() != stages[0].read_bytes()
    assert read_video(stages[0]).frames.shape == (16, 16, 16, 3)
    run("generate", "left", *options, "--intermediate", 2)  # anew: the former folder goes
    assert [stage.name for stage in clip.with_suffix(".iterations").iterdir()] == ["0002.mp4"]
    run("generate", "left", *options)
    assert not clip.with_suffix(".iterations").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("left", "--target", "lstm", "--condition", "lrcn"), "not both"),
        (("--target", "lstm"), "name which"),
        (("--target", "lstm:99", "--condition", "lrcn"), "no channel 99"),
        (("--init", "/nowhere/clip.mp4"), "does not exist"),
        (("--strength", "0.5"), "--strength has no effect without --init; give --init too, or leave --strength away"),
        (("--intermediate", "0"), "--intermediate must be at least 1"),
        (("--frames", "2000"), "from 1 to 1024"),
        (("--frames", "9"), "at least 16 frames, not 9"),
    ],
)
def test_mistakes(options: tuple, arguments: tuple, message: str, tmp_path: Path) -> None:
    with pytest.raises(StganError, match=message) as caught:
        run("generate", *options, *arguments)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_layers_are_listed_with_their_sizes(tiny_model: Path) -> None:
    output = run("info", tiny_model, "--layers")
    assert "frame_network.conv1:3,15,15,15" in output and "convolutions.1:7,15,7,7" in output and "lstm:7,15" in output


def test_a_study_is_resumed_and_scored(tiny_model: Path, tmp_path: Path) -> None:
    out, scores = tmp_path / "out", tmp_path / "study.json"
    arguments = ("--model", tiny_model, "--out", out, "--iterations", 2, "--json", scores, "--num")
    run("ablate", "robust", *arguments, 1)
    first = next((out / "robust").glob("*/*.mp4"))
    before = first.stat().st_mtime_ns
    table = run("ablate", "robust", "pixels", "lrcn-alone", *arguments, 2)
    assert first.stat().st_mtime_ns == before and (out / "ablations.png").is_file()
    study = json.loads(scores.read_text())
    assert [row["variant"] for row in study["rows"]] == ["robust", "pixels", "lrcn-alone"]
    for row in study["rows"]:
        assert row["num_videos"] == 6 and 0 <= row["interval"][0] <= row["accuracy"] <= row["interval"][1] <= 1
        assert row["variant"] in table and 0 <= row["probability"] <= 1 and row["steps"] <= 2
    assert set(entries(out / "lrcn-alone")[0]["hashes"]["condition"]) == {"lrcn"}
    run("ablate", "robust", *arguments, 1)  # fewer clips than there are: the first ones are scored
    assert json.loads(scores.read_text())["rows"][0]["num_videos"] == 3


def test_variants_differ_in_one_thing_each(tiny_model: Path) -> None:
    presets = [(variant.preset, variant.condition) for variant in VARIANTS.values()]
    assert len(set(presets)) == len(presets)
    for arguments, message in ((("fly",), "there are motion, unsteered"), (("robust", "--num", 0), "at least 1")):
        with pytest.raises(StganError, match=message):
            run("ablate", *arguments, "--model", tiny_model)
