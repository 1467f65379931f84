"""`stgan report` as a user starts it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from augmentation_records import experiment
from manifest_lines import read_lines, write_lines

from stgan.video import read_video


@pytest.fixture(scope="module")
def clips(stgan: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "clips"
    arguments = ["--model", tiny_model, "--num", 2, "--iterations", 2, "--trace", "--out", folder]
    assert stgan.run("generate", *arguments).returncode == 0
    return folder


def test_clips_are_scored_if_nobody_has_and_the_page_written(
    stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    result = stgan.run("report", folder, "--model", tiny_model)
    assert result.returncode == 0, result.stderr
    assert "scoring" in result.stdout and str(folder / "report.html") in result.stdout
    scores = (folder / "scores.json").read_text()
    page = (folder / "report.html").read_text()
    assert json.loads(scores)["num_videos"] == 6 and "Honest scores" in page and "its trace" in page
    assert {path.name for path in (folder / "report_figures").iterdir()} == {
        "confusion.png", "iterations.png", "method.png", "per_action.png", "strips.png",
    }  # fmt: skip

    again = stgan.run("report", folder, "--model", tiny_model)
    assert again.returncode == 0 and "scoring" not in again.stdout and (folder / "report.html").read_text() == page

    honest = (folder / "report_figures/confusion.png").read_bytes()
    out = tmp_path / "fooled.html"
    fooled = stgan.run("report", folder, "--model", tiny_model, "--evaluator", "c3d", "--out", out)
    assert fooled.returncode == 0 and "FOOLED" in out.read_text() and "Honest scores" not in out.read_text()
    assert (folder / "scores.json").read_text() == scores and (folder / "report.html").read_text() == page
    assert (folder / "report_figures/confusion.png").read_bytes() == honest
    assert (tmp_path / "fooled_figures/confusion.png").exists()

    (folder / "scores.json").write_text('{"format": 1, "num_videos": NaN}')
    refused = stgan.run("report", folder, "--model", tiny_model)
    assert refused.returncode == 1 and refused.is_one_sentence and "remove it" in refused.stderr


def test_scores_of_another_window_are_not_taken(stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    assert stgan.run("evaluate", folder, "--model", tiny_model, "--frames", 8).returncode == 0
    assert json.loads((folder / "scores.json").read_text())["judged"]["frames"] == 8
    result = stgan.run("report", folder, "--model", tiny_model)
    assert result.returncode == 0 and "scoring" in result.stdout, result.stderr
    assert json.loads((folder / "scores.json").read_text())["judged"]["frames"] == 16
    assert "the middle 16 frames" in (folder / "report.html").read_text()


def test_only_clips_of_known_actions_are_scored(
    stgan: Any, clips: Path, tiny_clips: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """A network says nothing about actions that it does not know, and the page says which network could."""
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    lines = read_lines(folder)
    some = [{**line, "action": "swim"} if line["action"] == "left" else line for line in lines]
    write_lines(folder, some)
    assert stgan.run("evaluate", folder, "--model", tiny_model, "--keep-going").returncode == 0
    result = stgan.run("report", folder, "--model", tiny_model)
    page = (folder / "report.html").read_text()
    why = "2 clips are not scored: the evaluator of "
    assert result.returncode == 0 and why in result.stdout and "--evaluator torchvision:NAME" in result.stdout
    assert why in page and "Honest scores" in page and "<dt>clips scored</dt><dd>4</dd>" in page

    write_lines(folder, [{**line, "action": "swim"} for line in lines])
    result = stgan.run("report", folder, "--model", tiny_model, "--real", tiny_clips)
    page = (folder / "report.html").read_text()
    assert result.returncode == 0 and "Measured without an evaluator" in page and "Honest scores" not in page
    refused = stgan.run("report", folder, "--model", tiny_model, "--evaluator", "evaluator")
    assert refused.returncode == 1 and refused.is_one_sentence and "knows none of their actions" in refused.stderr


def test_real_clips_play_beside_generated_ones(
    stgan: Any, clips: Path, tiny_clips: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    assert stgan.run("report", folder, "--model", tiny_model, "--real", tiny_clips).returncode == 0
    page = (folder / "report.html").read_text()
    assert all(page.count(f'aria-label="Real clip of {action}: ') == 1 for action in ("left", "right", "grow"))


def test_clips_in_files_of_tensors(stgan: Any, tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> None:
    """A second time, the figures of the first page are no clips."""
    for path in tiny_clips.glob("*/*.mp4"):
        (tmp_path / "clips" / path.parent.name).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "clips" / path.parent.name / f"{path.stem}.npy", read_video(path).frames)
    for _ in range(2):
        result = stgan.run("report", tmp_path / "clips", "--model", tiny_model, "--real", tmp_path / "clips")
        assert result.returncode == 0, result.stderr
        assert "<dt>clips scored</dt><dd>9</dd>" in (tmp_path / "clips/report.html").read_text()
    saved = tmp_path / "clips.features.safetensors"
    stgan.run("evaluate", tmp_path / "clips", "--model", tiny_model, "--save-features", saved)
    for arguments in ((saved,), (tmp_path / "clips", "--real", saved)):
        refused = stgan.run("report", *arguments, "--model", tiny_model)
        assert refused.is_one_sentence and "holds measurements, which a page cannot show" in refused.stderr


def test_clips_of_another_precision_say_so(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    arguments = ("generate", "left", "--model", tiny_model, "--num", 1, "--iterations", 2, "--out", folder)
    assert stgan.run(*arguments, "--precision", "bf16-mixed").returncode == 0
    (entry,) = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    assert entry["settings"]["precision"] == "bf16-mixed"
    refused = stgan.run(*arguments, "--precision", "32-true", "--resume")
    assert refused.returncode == 1 and "made with settings.precision 'bf16-mixed', not '32-true'" in refused.stderr
    assert stgan.run("report", folder, "--model", tiny_model).returncode == 0
    assert "--iterations 2 --precision bf16-mixed --out" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "is not a folder"),
        (["CLIPS", "--out", "nowhere/page.html"], "is in a folder that does not exist"),
        (["CLIPS", "--out", __file__], "is a file but not a page"),
        (["CLIPS", "--fooling", "nowhere"], "run stgan fooling again"),
        (["CLIPS", "--evaluator", "nobody"], "nobody"),
        (["CLIPS", "--real", "nowhere"], "is not a folder"),
        (["STUDY", "--evaluator", "c3d"], "leave out --evaluator"),
        (["AUGMENTATION", "--real", "CLIPS"], "leave out --real"),
        (["AUGMENTATION"], "run stgan augment again"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "fooling.json").touch()
    augmentation = tmp_path / "augmentation"
    augmentation.mkdir()
    (augmentation / "augmentation.json").touch()
    folders = {"CLIPS": clips, "STUDY": tmp_path, "AUGMENTATION": augmentation}
    result = stgan.run("report", *[folders.get(word, word) for word in arguments], "--model", tiny_model)
    assert result.returncode == 1 and result.is_one_sentence and message in result.stderr


def test_an_experiment_has_a_page_and_needs_no_model(stgan: Any, tmp_path: Path) -> None:
    (tmp_path / "augmentation.json").write_text(json.dumps(experiment([(0.25, 0.5, 0.75)] * 2)))
    result = stgan.run("report", tmp_path, "--out", tmp_path / "page.html", "--model", "nowhere")
    assert result.returncode == 0 and "3 figures" in result.stdout, result.stderr
    assert f"stgan report {tmp_path} --out" in (tmp_path / "page.html").read_text()


def test_explanations_have_a_page(stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    one, two = sorted(clips.glob("*/*.mp4"))[:2]
    options = ["--model", tiny_model, "--no-looks", "--iterations", 1]
    assert stgan.run("explain", one, two, *options, "--out", tmp_path / "out").returncode == 0
    result = stgan.run("report", tmp_path / "out")
    assert result.returncode == 0 and "report.html" in result.stdout and "needs no other file" in result.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "2 explained clips" in page and one.name in page and "figures" not in result.stdout
    refused = stgan.run("report", tmp_path / "out", "--real", clips)
    assert refused.returncode == 1 and "is a folder of explanations" in refused.stderr and refused.is_one_sentence


def test_many_classes_are_an_atlas_and_not_scored_by_a_network_that_knows_none(
    stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    first = read_lines(folder)[0]
    lines = [{**first, "file": f"class{number}/0.mp4", "action": f"class {number}"} for number in range(41)]
    for line in lines:
        (folder / line["file"]).parent.mkdir()
        shutil.copy(folder / first["file"], folder / line["file"])
    write_lines(folder, lines)
    result = stgan.run("report", folder, "--model", tiny_model)
    assert result.returncode == 0, result.stderr
    assert "knows none of their actions" in result.stdout and not (folder / "scores.json").exists()
    assert f"shows the films in {folder / 'report_files'}" in result.stdout and "41/41" in result.stdout
    page = (folder / "report.html").read_text()
    assert page.count('<article class="card"') == 41 and 'id="search"' in page
