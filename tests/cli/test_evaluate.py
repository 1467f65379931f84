"""`stgan evaluate` and `stgan fooling` as a user meets them: tables, files, and one sentence for what is wrong."""

import csv
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clip_scores import clip_scores
from manifest_lines import write_lines

from stgan.checkpoints import bundled_models, find_model
from stgan.checkpoints.checkpoint import save_checkpoint
from stgan.cli.evaluate import _as_csv, made_by, score_cache
from stgan.cli.terminal import new_console
from stgan.networks.i3d import I3D, I3DConfig
from stgan.scoring import Clip
from stgan.studies.fooling import real_clips
from stgan.video import read_video, write_video


@pytest.fixture(scope="module")
def generated(stgan: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated")
    result = stgan.run("generate", "--model", tiny_model, "--num", 3, "--iterations", 2, "--out", out)
    assert result.returncode == 0, result.stderr
    return out


def test_scores_beside_real_clips_in_every_form(
    stgan: Any, generated: Path, tiny_model: Path, tiny_clips: Path, tmp_path: Path
) -> None:
    result = stgan.run(
        "evaluate", generated, "--model", tiny_model, "--real", tiny_clips, "--splits", 2,
        "--json", tmp_path / "s.json", "--csv", tmp_path / "s.csv",
    )  # fmt: skip
    assert result.returncode == 0 and not result.stderr, result.stderr
    for word in ("beside real clips", "if every clip were surely recognised", "temporal order", "precision"):
        assert word in result.stdout
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["num_videos"] == 9 and scores["fooled"] is False and scores["steered_by"] == ["c3d", "lrcn"]
    assert scores["frechet_video_distance"] > 0 and scores["kernel_video_distance"] is not None
    for name in ("accuracy", "diversity", "motion", "flicker", "frozen", "appearance_drift", "coverage"):
        assert isinstance(scores[name], float)
    assert json.loads((generated / "scores.json").read_text()) == scores
    with (tmp_path / "s.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["file"] for line in lines] == sorted(
        path.relative_to(generated).as_posix() for path in generated.glob("*/*.mp4")
    )
    assert np.exp(np.mean([float(line["contribution"]) for line in lines])) <= 3


def test_features_take_the_place_of_clips(
    stgan: Any, generated: Path, tiny_model: Path, tiny_clips: Path, tmp_path: Path
) -> None:
    ours, theirs, model = (
        tmp_path / "o.features.safetensors",
        tmp_path / "r.features.safetensors",
        ("--model", tiny_model),
    )
    saving = stgan.run(
        "evaluate", generated, *model, "--real", tiny_clips, "--json", tmp_path / "clips.json",
        "--save-features", ours, "--save-real", theirs,
    )  # fmt: skip
    again = stgan.run("evaluate", ours, *model, "--real", theirs, "--json", tmp_path / "features.json")
    assert saving.returncode == again.returncode == 0, saving.stderr + again.stderr
    assert json.loads((tmp_path / "features.json").read_text()) == json.loads((tmp_path / "clips.json").read_text())
    for arguments, words in (
        ((ours, *model, "--evaluator", "temporal_stream"), "was measured by 'evaluator' on windows of 16 frames"),
        ((generated, *model, "--save-features", tmp_path / "x.npz"), "does not end in .features.safetensors"),
        ((generated, *model, "--save-real", theirs), "--save-real has no effect without --real"),
        ((generated, *model, "--real", tmp_path / "none.features.safetensors"), "there is no such file"),
    ):
        refused = stgan.run("evaluate", *arguments)
        assert refused.returncode == 1 and refused.is_one_sentence and words in refused.stderr, refused.stderr


def test_a_published_protocol(stgan: Any, generated: Path, tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> None:
    shutil.copytree(generated, tmp_path / "clips")
    (tmp_path / "clips" / "scores.json").unlink(missing_ok=True)
    generated = tmp_path / "clips"
    config = I3DConfig(num_classes=4, stem=(2, 2, 4), stages=(((2,) * 6,), ((2,) * 6,), ((2,) * 6,)))
    save_checkpoint(tmp_path / "i3d", I3D(config).eval())
    arguments = (
        "evaluate", generated, "--model", tiny_model, "--real", tiny_clips, "--features", tmp_path / "i3d",
        "--protocol", "digan", "--draws", 3, "--num-real", 9, "--short", "mirror", "--json", tmp_path / "s.json",
    )  # fmt: skip
    refused = stgan.run(*arguments)
    assert refused.returncode == 1 and refused.is_one_sentence and "--num 9" in refused.stderr
    result = stgan.run(*arguments, "--num", 9)
    assert result.returncode == 0, result.stderr
    assert "protocol digan, changed: --num 9, --num-real 9, --short mirror, --draws 3" in result.stdout
    assert "as in sihyun-yu/digan" in result.stdout and "epsilon 1e-05" in result.stdout
    scores = json.loads((tmp_path / "s.json").read_text())
    values = scores["by"]["draws"]["values"]
    assert len(values) == 3 and scores["frechet_video_distance"] == pytest.approx(np.mean(values))
    assert "digan (changed): Fréchet distance" in result.stdout and "over 3 draws, of 9 generated" in result.stdout
    assert scores["by"]["rules"]["name"] == "digan" and not (generated / "scores.json").exists()


def test_the_csv_file_holds_no_formulas() -> None:
    clip = clip_scores(Clip(Path("x"), "=a/b.mp4", "=cmd|'/C calc'!A0"), "@SUM(1)", -0.5, 1.0)
    (line,) = csv.DictReader(_as_csv(SimpleNamespace(clips=[clip])).splitlines())
    assert (line["file"], line["named"], line["contribution"]) == ("'=a/b.mp4", "'@SUM(1)", "-0.5")
    assert line["action"] == "'=cmd|'/C calc'!A0"


def test_a_part_of_the_clips_evenly(stgan: Any, generated: Path, tiny_model: Path, tmp_path: Path) -> None:
    (generated / "scores.json").unlink(missing_ok=True)
    result = stgan.run("evaluate", generated, "--model", tiny_model, "--num", 4, "--json", tmp_path / "s.json")
    assert result.returncode == 0
    files = [clip["file"] for clip in json.loads((tmp_path / "s.json").read_text())["clips"]]
    assert [file.split("/")[0] for file in files] == ["grow", "grow", "left", "right"]
    assert not (generated / "scores.json").exists()  # which is about the whole folder


def test_scores_by_a_network_that_steered_say_so_everywhere(
    stgan: Any, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (generated / "scores.json").unlink(missing_ok=True)
    arguments = ("evaluate", generated, "--model", tiny_model, "--evaluator", "lrcn")
    refused = stgan.run(*arguments)
    assert refused.returncode == 1 and "--allow-fooled" in refused.stderr and refused.is_one_sentence
    listed = tmp_path / "clips"
    shutil.copytree(generated, listed)
    names = [path.relative_to(listed).as_posix() for path in sorted(listed.glob("*/*.mp4"))]
    (listed / "list.csv").write_text("path,label\n" + "".join(f"{name},{Path(name).parent}\n" for name in names))
    for part in ("list.csv", "manifest.jsonl", "left"):  # the manifest above says what steered them
        again = stgan.run("evaluate", listed / part, "--model", tiny_model, "--evaluator", "lrcn")
        assert again.returncode == 1 and "--allow-fooled" in again.stderr and again.is_one_sentence, part
    (listed / "manifest.jsonl").unlink()  # as after kill -9, before the parts were merged
    whole = stgan.run("evaluate", listed, "--model", tiny_model)
    assert whole.returncode == 1 and "stgan merge" in whole.stderr and whole.is_one_sentence
    for part in ("list.csv", "left"):  # the record of the run says so, too
        again = stgan.run("evaluate", listed / part, "--model", tiny_model, "--evaluator", "lrcn")
        assert again.returncode == 1 and "--allow-fooled" in again.stderr and again.is_one_sentence, part
    result = stgan.run(*arguments, "--allow-fooled", "--json", tmp_path / "s.json")
    assert result.returncode == 0 and result.stdout.count("FOOLED") == 2 and "generated, fooled" in result.stdout
    assert json.loads((tmp_path / "s.json").read_text())["fooled"] is True
    assert not (generated / "scores.json").exists()  # nothing may take them for honest ones


def test_any_clips_can_be_scored(stgan: Any, tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> None:
    sorted_by_action = stgan.run("evaluate", tiny_clips, "--model", tiny_model)
    assert sorted_by_action.returncode == 0 and "it is not known what steered these clips" in sorted_by_action.stdout
    assert not (tiny_clips / "scores.json").exists()
    shutil.copytree(tiny_clips / "left", tmp_path / "loose")
    (tmp_path / "loose/clip0.mp4").rename(tmp_path / os.fsdecode(b"loose/no\xffunicode.mp4"))
    loose = stgan.run(
        "evaluate",
        tmp_path / "loose",
        "--model",
        tiny_model,
        "--json",
        tmp_path / "s.json",
        "--csv",
        tmp_path / "s.csv",
    )
    assert "no\\udcffunicode.mp4" in (tmp_path / "s.csv").read_text()
    assert loose.returncode == 0 and "the actions of the clips are unknown" in loose.stdout
    assert json.loads((tmp_path / "s.json").read_text())["accuracy"] is None


def test_tensors_beside_loose_real_clips(stgan: Any, tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> None:
    films = sorted(tiny_clips.glob("*/*.mp4"))
    frames = np.stack([read_video(film).frames for film in films])
    np.save(tmp_path / "clips.npy", frames[:, :3].astype(np.float32))  # of three frames and three channels
    (tmp_path / "real").mkdir()
    for number, film in enumerate(films):
        shutil.copyfile(film, tmp_path / "real" / f"{number}.mp4")
    arguments = ["evaluate", tmp_path / "clips.npy", "--real", tmp_path / "real", "--model", tiny_model]
    for stated, message in (([], "state its --layout"), (["--layout", "BTHWC"], "state their --range")):
        refused = stgan.run(*arguments, *stated)
        assert refused.returncode == 1 and refused.is_one_sentence and message in refused.stderr
    arguments += ["--layout", "BTHWC", "--range", "0-255", "--json", tmp_path / "s.json"]
    result = stgan.run(*arguments)
    assert result.returncode == 0 and "there is no Inception Score" in result.stdout, result.stderr
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["inception_score"] is None and scores["frechet_video_distance"] is not None
    assert scores["clips"][0]["file"] == "clips.npy/000000" and "played back and forth" in result.stdout
    assert stgan.run(*arguments, "--inception-score").returncode == 0
    assert json.loads((tmp_path / "s.json").read_text())["inception_score"]["mean"] >= 1


def test_what_cannot_be_scored_is_a_sentence_and_the_rest_is_scored_if_asked(
    stgan: Any, generated: Path, tiny_model: Path, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    shutil.copytree(generated, clips)
    (clips / "grow/grow_seed0_0000.mp4").write_bytes(b"cut short")
    (clips / "left/left_seed0_0001.mp4").unlink()
    write_video(clips / "right/stranger.mp4", np.zeros((16, 16, 16, 3), np.uint8))
    arguments = ("evaluate", clips, "--model", tiny_model)
    refused = stgan.run(*arguments)
    assert refused.returncode == 1 and refused.is_one_sentence and "grow/grow_seed0_0000.mp4" in refused.stderr
    result = stgan.run(*arguments, "--keep-going", "--json", tmp_path / "s.json")
    assert result.returncode == 0, result.stderr
    assert (
        "grow/grow_seed0_0000.mp4' was changed or damaged" in result.stdout
        and "left/left_seed0_0001.mp4' is missing" in result.stdout
    )
    assert "1 clips in the folder are not in its manifest" in result.stdout
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["num_videos"] == 7 and {line["file"] for line in scores["skipped"]} == {
        "grow/grow_seed0_0000.mp4", "left/left_seed0_0001.mp4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--splits", 0), "splits"),
        (("--splits", 10), "splits"),
        (("--num", 0), "--num must be"),
        (("--protocol", "nobody"), "no protocol 'nobody'; choose one of stgan, stylegan-v"),
        (("--protocol", "stylegan-v"), "2048 generated clips, and there are 9"),
        (("--neighbours", 0), "--neighbours must be"),
        (("--draws", 3), "--draws has no effect without --real"),
        (("--json", "same.x", "--csv", "same.x"), "--json and --csv name the same file"),
        (("--frames", 1), "2 to 1024 frames"),
        (("--evaluator", "nobody"), "nobody"),
        (("--evaluator", "nobody.pt"), "no file 'nobody.pt'"),
        (("--evaluator", "encoder"), "encoder"),
        (("--features", "nobody"), "nobody"),
        (("--real", "nowhere"), "'nowhere' is not a folder"),
        (("--real", "nowhere.npz"), "'nowhere.npz' is missing or no regular file"),
        (("--real-fps", 0), "--real-fps must be"),
        (("--real-fps", 10), "--real-fps has no effect without --real"),
        (("--batch-size", 0), "--batch-size must be"),
        (("--workers", 0), "--workers must be"),
        (("--device", "abacus"), "abacus"),
        (("--model", "nobody"), "nobody"),
        (("--json", "no/such/folder.json"), "no/such"),
        (("--json", "/dev/null"), "not a regular file"),
        (("--csv", "."), "not a regular file"),
        (("--json", "manifest.jsonl"), "has the name of a manifest"),
    ],
)
def test_mistakes(stgan: Any, arguments: tuple, message: str, generated: Path, tiny_model: Path) -> None:
    result = stgan.run("evaluate", generated, "--model", tiny_model, *arguments)
    assert result.returncode == 1 and result.is_one_sentence and message in result.stderr, result.stderr


def test_actions_that_the_evaluator_does_not_know(
    stgan: Any, tiny_clips: Path, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_clips, tmp_path / "clips")
    (tmp_path / "clips/left").rename(tmp_path / "clips/swim")
    refused = stgan.run("evaluate", tmp_path / "clips", "--model", tiny_model)
    assert refused.returncode == 1 and refused.is_one_sentence and "does not know the action 'swim'" in refused.stderr
    result = stgan.run("evaluate", tmp_path / "clips", "--model", tiny_model, "--keep-going")
    assert result.returncode == 0 and "count in everything but accuracy" in result.stdout


@pytest.mark.parametrize("made", bundled_models())
def test_clips_of_bundled_models_are_known_by_their_generator(made: str, tmp_path: Path) -> None:
    """No other name is taken from a folder, nor is a model of the same name that was trained anew."""
    assert made_by(tmp_path) == find_model("weizmann")
    model = find_model(made)
    own = {"generator": model.load(model.generator).hash}
    for name, hashes, wanted in (
        (made, own, made), (made, {"generator": "0" * 64}, "weizmann"), (made, {}, "weizmann"),
        (f"../{made}", own, "weizmann"), ("user/model", own, "weizmann"), ([made], own, "weizmann"),
    ):  # fmt: skip
        clip = {"file": "a/a.mp4", "action": "a", "index": 0, "model": name, "hashes": hashes}
        write_lines(tmp_path, [clip])
        assert made_by(tmp_path) == find_model(wanted)


def test_a_cache_that_cannot_be_used(stgan: Any, generated: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    arguments = ("evaluate", generated, "--model", tiny_model)
    result = stgan.run(*arguments, "--cache", tmp_path / "file")
    assert result.returncode == 1 and result.is_one_sentence and "--no-cache" in result.stderr
    assert stgan.run(*arguments, "--no-cache").returncode == 0


@pytest.mark.parametrize(
    ("splits", "judged"),
    [([None, None, None], "ab"), (["train", "test", "test"], "b"), (["val", "train", "test"], "ab")],
)
def test_real_clips_of_the_fooling_experiment(splits: list[str | None], judged: str) -> None:
    """Of clips with a split, those to test on of the model's actions; all if there are none."""
    clips = [
        Clip(Path(name), name, action, None, split)
        for name, action, split in zip("abc", ("left", "right", "swim"), splits, strict=True)
    ]
    assert "".join(clip.name for clip in real_clips(clips, ["left", "right"])) == judged


def test_the_fooling_experiment(stgan: Any, tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "fooling"
    arguments = (
        "fooling", "--model", tiny_model, "--iterations", 2, "--num", 1, "--real", tiny_clips, "--out", out,
    )  # fmt: skip
    result = stgan.run(*arguments)
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.count("FOOLED") == 2 and "gives the clips it steered an Inception Score" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if line[:1] in set("┏┃┡│├└"))
    study = json.loads((out / "fooling.json").read_text())
    judged = {(row["clips"], row["evaluator"]): row["fooled"] for row in study["rows"]}
    assert judged == {
        (clips, judge): clips == judge
        for clips in ("lrcn", "c3d", "real")
        for judge in ("lrcn", "c3d", "evaluator", "temporal_stream")
    }
    assert {row["scores"]["num_videos"] for row in study["rows"] if row["clips"] != "real"} == {3}
    assert {row["scores"]["num_videos"] for row in study["rows"] if row["clips"] == "real"} == {9}
    for name in ("lrcn", "c3d"):
        line = json.loads((out / name / "manifest.jsonl").read_text().splitlines()[0])
        assert list(line["hashes"]["condition"]) == [name]
    page = stgan.run("report", out, "--model", tiny_model)
    assert page.returncode == 0 and "FOOLED" in (out / "report.html").read_text(), page.stderr
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*.mp4")}
    assert stgan.run(*arguments).returncode == 0  # what is there is kept
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("*/*/*.mp4")} and len(before) == 6
    for wrong, message in ((("--num", 0), "--num"), (("--real", tmp_path / "x"), "not a folder")):
        refused = stgan.run(*arguments, *wrong)
        assert refused.returncode == 1 and refused.is_one_sentence and message in refused.stderr


def test_results_are_kept_of_named_classifiers_and_not_of_those_that_code_makes(tmp_path: Path) -> None:
    for name, kept in ((None, True), ("torchvision:r3d_18", True), ("hf:ORG/NAME", True), ("mine.py:make", False)):
        with score_cache(tmp_path, new_console(), "evaluator", name) as cache:
            assert (cache is not None) == kept
