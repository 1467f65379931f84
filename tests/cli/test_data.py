"""`stgan data check`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from stgan.cli.data import check, prepare
from stgan.cli.terminal import new_console, read_clips


def run_check(folder: Path, json_file: Path | None = None) -> int:
    try:
        check(folder, csv=None, split_column="split", ucf_split=1, json_file=json_file)
    except typer.Exit as end:
        return end.exit_code
    return 0


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_good_clips(tiny_clips: Path, tmp_path: Path, wide: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(tiny_clips, tmp_path / "survey.json") == 0
    shown = capsys.readouterr().out
    assert "9 clips, 3 actions" in shown and "frame sizes: 16x16 (9)" in shown and "frames a second: 25 (9)" in shown
    assert "20-20 (20)" in shown and "problem" not in shown
    assert "fewer than 5 clips to train on show grow (3), left (3), right (3)" in shown
    found = json.loads((tmp_path / "survey.json").read_text())
    assert found["clips"] == found["readable"] == 9 and found["problems"] == [] and len(found["warnings"]) == 1


def test_splits_groups_and_leaks(
    tiny_clips: Path, tmp_path: Path, wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_clips, tmp_path, dirs_exist_ok=True)
    rows = [
        f"{action}/clip{number}.mp4,{action},actor{number // 2},{'test' if number == 1 else 'train'}"
        for action in ("grow", "left", "right")
        for number in range(3)
    ]
    (tmp_path / "clips.csv").write_text("path,label,actor,split\n" + "\n".join(rows))
    assert run_check(tmp_path) == 0
    shown = capsys.readouterr().out
    assert "splits: 6 train, 3 test" in shown and "groups in several splits: 1" in shown
    assert "the splits share 1 group (actor0), 3 clips to train on" in shown


def test_clips_that_cannot_be_trained_on(
    tiny_clips: Path, tmp_path: Path, wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_clips / "left", tmp_path / "left")
    for number in range(12):
        (tmp_path / "left" / f"broken{number}.mp4").write_text("no video")
    assert run_check(tmp_path) == 1
    shown = capsys.readouterr().out
    assert "problem: 12 of 15 clips cannot be read, more than a third" in shown
    assert "problem: there is only one action, 'left'" in shown
    assert shown.count("unreadable: ") == 11 and "2 more; --json lists all" in shown


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stgan.cli.main", "data", "check", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1 and result.stderr.startswith("stgan: ") and "has no clips" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_prepare_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = tmp_path / "data" / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    for side, first in (("train", 8), ("test", 1)):
        names = [f"Biking/v_Biking_g{group:02d}_c01.avi" for group in range(first, first + 8)]
        (lists / f"{side}list01.txt").write_text("\n".join(names) + "\n")
    with pytest.raises(typer.Exit) as end:
        prepare("ucf101", tmp_path / "data", 1, False, tmp_path / "out", tmp_path / "found.json")
    shown = capsys.readouterr().out
    assert end.value.exit_code == 1
    assert shown.count("missing: Biking/v_Biking_g") == 10 and "missing: 5 more" in shown
    assert "problem: the list classInd.txt is missing." in shown
    assert "incomplete: https://www.crcv.ucf.edu/data/UCF101.php" in shown
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["missing"]) == 15 and not found["complete"] and (tmp_path / "out" / "index.json").is_file()


def test_how_a_folder_was_read_and_what_was_left_out(
    tiny_clips: Path, tmp_path: Path, wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_clips, tmp_path, dirs_exist_ok=True)
    rows = [f"{action}\\clip{number}.mp4;{action}" for action in ("grow", "left") for number in range(3)]
    (tmp_path / "all.csv").write_text("Clip Path;Class\n" + "\n".join(rows))
    assert run_check(tmp_path) == 0
    shown = capsys.readouterr().out
    assert "read as: 'all.csv'" in shown and "turned upright: 0" in shown
    assert "warning: the folder has 3 video file(s) on no list" in shown and "right/clip0.mp4" in shown
    read_clips(new_console(), tmp_path)  # as all commands that take --real
    assert "note: the folder has 3 video file(s) on no list" in capsys.readouterr().out
