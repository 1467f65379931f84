"""`stgan select` as a user starts it."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def clips(stgan: Any, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("select") / "clips"
    result = stgan.run("generate", "--model", tiny_model, "--num", 3, "--iterations", 2, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_clips_are_scored_if_nobody_has_and_chosen(
    stgan: Any, clips: Path, tiny_model: Path, tiny_clips: Path, tmp_path: Path
) -> None:
    folder, out = Path(shutil.copytree(clips, tmp_path / "clips")), tmp_path / "chosen"
    arguments = ["select", folder, "--model", tiny_model, "--any-verdict", "--out", out]
    result = stgan.run(*arguments, "--real", tiny_clips, "--json", tmp_path / "s.json")
    assert result.returncode == 0 and not result.stderr, result.stderr
    record = json.loads((tmp_path / "s.json").read_text())
    assert record == json.loads((out / "selection.json").read_text())
    scores = json.loads((folder / "scores.json").read_text())
    mean = sum(line["contribution"] for line in scores["clips"]) / 9
    above = {line["file"] for line in scores["clips"] if line["contribution"] >= mean}
    assert {row["path"] for row in rows(out / "clips.csv")} == above and record["selected"] == len(above)
    assert record["real"] == {"grow": 3, "left": 3, "right": 3}
    assert "scoring" in result.stdout and f"{len(above)} of 9 clips are in {out}" in result.stdout
    assert (
        f"thin, with fewer than 100 clips: {record['thin'][0]} {record['counts'][record['thin'][0]]}" in result.stdout
    )
    for action in record["without"]:
        assert action in result.stdout.split("without any chosen clip")[1]
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if line[:1] in set("┏┃┡│├└"))

    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    refused = stgan.run(*arguments)
    assert refused.returncode == 1 and refused.is_one_sentence and "--overwrite" in refused.stderr
    again = stgan.run(*arguments, "--overwrite", "--real", tiny_clips)
    assert again.returncode == 0 and "scoring" not in again.stdout
    assert before == {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}

    for command in (["evaluate", out], ["report", out]):
        result = stgan.run(*command, "--model", tiny_model)
        assert result.returncode == 0, result.stderr


def test_other_rules(stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    common = ["select", clips, "--model", tiny_model, "--evaluator", "temporal_stream"]
    sure = stgan.run(*common, "--by", "confidence", "--least", 0, "--any-verdict", "--out", tmp_path / "sure")
    assert sure.returncode == 0 and "seen as another action" in sure.stdout, sure.stderr
    of = {row["file"]: row for row in rows(tmp_path / "sure/candidates.csv")}
    listed = [of[row["path"]] for row in rows(tmp_path / "sure/clips.csv")]
    assert len(listed) == 9
    assert [(row["action"], -float(row["probability"])) for row in listed] == sorted(
        (row["action"], -float(row["probability"])) for row in listed
    )
    arguments = ["--by", "diversity", "--max-per-class", 2, "--out", tmp_path / "far"]
    far = stgan.run(*common, *arguments)
    assert far.returncode == 0 and "features" in far.stdout, far.stderr
    chosen = [row for row in rows(tmp_path / "far/candidates.csv") if row["chosen"] == "yes"]
    assert chosen and all(row["named"] == row["action"] for row in chosen)
    recognised = {row["action"] for row in of.values() if row["named"] == row["action"]}
    counts = json.loads((tmp_path / "far/selection.json").read_text())["counts"]
    assert {*counts} == recognised and max(counts.values()) <= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "has no manifest.jsonl with clips"),
        (("REAL",), "has no manifest.jsonl with clips"),
        (("CLIPS", "--max-per-class", 0), "--max-per-class must be at least 1"),
        (("CLIPS", "--evaluator", "c3d"), "c3d steered these clips"),
        (("CLIPS", "--evaluator", "nobody"), "nobody"),
        (("CLIPS", "--model", "nobody"), "nobody"),
        (("CLIPS", "--model", "weizmann"), "name the model that made them"),
        (("CLIPS", "--out", "CLIPS"), "overlap"),
        (("CLIPS", "--out", "/dev/null"), "is a link or a file"),
        (("CLIPS", "--real", "nowhere"), "'nowhere' is not a folder"),
        (("CLIPS", "--real", "REAL", "--train-groups", "eve"), "no group 'eve'"),
        (("CLIPS", "--train-groups", "eve"), "--train-groups has no effect without --real"),
        (("CLIPS", "--json", "no/such/folder.json"), "no/such"),
        (("CLIPS", "--device", "abacus"), "abacus"),
        (("CLIPS", "--json", "MANIFEST"), "has the name of a manifest"),
        (("CLIPS", "--json", "INSIDE"), "is inside"),
        (("CLIPS", "--least", "nan"), "must be a number that is not negative"),
    ],
)
def test_mistakes(
    stgan: Any, arguments: tuple, message: str, clips: Path, tiny_clips: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folders = {"CLIPS": clips, "REAL": tiny_clips, "MANIFEST": clips / "manifest.jsonl", "INSIDE": clips / "x.json"}
    words = [folders.get(word, word) for word in arguments]
    usual = [
        word
        for option, value in (("--model", tiny_model), ("--out", tmp_path / "set"))
        if option not in words
        for word in (option, value)
    ]
    result = stgan.run("select", *words, *usual, "--any-verdict", cwd=tmp_path)
    assert result.returncode == 1 and result.is_one_sentence and message in result.stderr, result.stderr
    assert not any(tmp_path.iterdir())


def test_clips_that_are_not_what_they_were(stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    clip = folder / "grow/grow_seed0_0000.mp4"
    clip.write_bytes(clip.read_bytes()[:-1])
    arguments = ("select", folder, "--model", tiny_model, "--out", tmp_path / "set")
    changed = stgan.run(*arguments)
    clip.unlink()
    missing = stgan.run(*arguments)
    clip.symlink_to(clips / "grow/grow_seed0_0000.mp4")
    linked = stgan.run(*arguments)
    for result, message in ((changed, "changed or damaged"), (missing, "is missing"), (linked, "is a link")):
        assert result.returncode == 1 and result.is_one_sentence and message in result.stderr, result.stderr
    assert not (tmp_path / "set").exists()


def test_scores_by_another_network_are_not_taken(stgan: Any, clips: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    evaluate = ("evaluate", folder, "--model", tiny_model)
    assert stgan.run(*evaluate, "--evaluator", "temporal_stream").returncode == 0
    select = ("select", folder, "--model", tiny_model, "--any-verdict", "--out", tmp_path / "set")
    result = stgan.run(*select)
    assert result.returncode == 0 and "scoring" in result.stdout
    assert json.loads((folder / "scores.json").read_text())["evaluator"] == "evaluator"
