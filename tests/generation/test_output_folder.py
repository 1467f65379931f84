"""The folder of a generation: what is kept, what is made again, and what is refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifest_lines import read_lines
from PIL import Image

from stgan.errors import StganError
from stgan.files import LOCK
from stgan.generation import CONTACT_SHEET, PREVIOUS, output_folder
from stgan.generation.output_folder import OutputFolder, first_difference, is_of_another_version, open_output
from stgan.manifest import Entry, Manifest
from stgan.scoring import generated_clips
from stgan.video import read_video, write_gif

SETTINGS: dict[str, Any] = {
    "seed": 3,
    "preset": "robust",
    "settings": {"guidance": 0.25, "temporal_kernel": [0.05, 0.9, 0.05]},
    "hashes": {"generator": "ab12", "condition": {"lrcn": "cd34" * 16}},
    "threads": 1,
}


def frames(level: int) -> np.ndarray:
    return np.full((4, 8, 8, 3), level, np.uint8)


def add(folder: OutputFolder, action: str, index: int, companions: Mapping[str, Callable[[Path], None]] = {}) -> None:
    folder.add((action, index), frames(10 * index + 5), 25.0, {"probability": 0.5}, companions)


def make(path: Path, *keys: tuple[str, int], resume: bool = False, settings: dict[str, Any] = SETTINGS) -> None:
    with open_output(path, settings, resume=resume) as folder:
        for key in keys:
            if not folder.finished(key):
                add(folder, *key)
        folder.finish(keys)


def files(path: Path) -> set[str]:
    return {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()}


def test_a_line_holds_the_clip_and_all_its_settings(tmp_path: Path) -> None:
    make(tmp_path, ("left", 0))
    (entry,) = read_lines(tmp_path)
    assert entry["file"] == "left/left_seed3_0000.mp4" and len(entry["sha256"]) == 64
    assert {name: entry[name] for name in SETTINGS} == SETTINGS
    assert files(tmp_path) == {entry["file"], "manifest.jsonl", CONTACT_SHEET, LOCK}


def test_the_manifest_ends_in_the_order_asked_for_and_keeps_clips_of_other_requests(tmp_path: Path) -> None:
    make(tmp_path, ("left", 0), ("up", 0))
    make(tmp_path, ("up", 1), ("up", 0), ("grow", 0), resume=True)
    assert [(entry["action"], entry["index"]) for entry in read_lines(tmp_path)] == [
        ("up", 1), ("up", 0), ("grow", 0), ("left", 0),
    ]  # fmt: skip


def test_starting_anew_sets_the_manifest_aside_and_removes_what_belonged_to_a_replaced_clip(tmp_path: Path) -> None:
    with open_output(tmp_path, SETTINGS, resume=False) as folder:
        assert not folder.previous
        for index in (0, 1):
            add(folder, "left", index, {".gif": lambda path: write_gif(path, frames(200))})
    former = (tmp_path / "manifest.jsonl").read_text()
    with open_output(tmp_path, SETTINGS | {"preset": "paper"}, resume=False) as folder:
        assert folder.previous and not folder.clips
        assert (tmp_path / PREVIOUS).read_text() == former
        add(folder, "left", 0)
    assert files(tmp_path) == {
        "left/left_seed3_0000.mp4", "left/left_seed3_0001.mp4", "left/left_seed3_0001.gif", "manifest.jsonl", PREVIOUS,
        LOCK,
    }  # fmt: skip
    with open_output(tmp_path, SETTINGS, resume=False):
        pass
    with open_output(tmp_path, SETTINGS, resume=False) as folder:
        assert not folder.previous  # an empty manifest does not replace one that was set aside
    assert json.loads((tmp_path / PREVIOUS).read_text())["preset"] == "paper"


def check_clips(folder: Path) -> int:
    """How many clips the manifest lists; each must be the one of its line."""
    clips = generated_clips(folder)
    for clip in clips:
        clip.check_file()
    return len(clips)


def damage_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [damage_a_byte, Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.rename(path.parent / "x")],
)
def test_a_clip_that_is_not_the_one_of_its_line_is_unfinished(harm: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path, ("left", 0), ("left", 1))
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    harm(tmp_path / "left/left_seed3_0000.mp4")
    with pytest.raises(StganError, match="--resume"):
        check_clips(tmp_path)
    with open_output(tmp_path, SETTINGS, resume=True) as folder:
        assert folder.damaged == 1 and folder.finished(("left", 1)) and not folder.finished(("left", 0))
        assert check_clips(tmp_path) == 1
    make(tmp_path, ("left", 0), ("left", 1), resume=True)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_clip_without_what_is_asked_for_beside_it_is_unfinished_but_stays_listed(tmp_path: Path) -> None:
    make(tmp_path, ("left", 0), ("left", 1))
    before = (tmp_path / "manifest.jsonl").read_bytes()
    with open_output(tmp_path, SETTINGS, resume=True) as folder:
        assert folder.finished(("left", 0)) and not folder.finished(("left", 0), [".gif"])
        add(folder, "left", 0, {".gif": lambda path: write_gif(path, frames(5))})
        assert folder.finished(("left", 0), [".gif"])
        assert (tmp_path / "manifest.jsonl").read_bytes() == before


def test_leftovers_of_killed_runs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path, ("left", 0))
    mine = ["notes.part", "left/scores.tmp", ".hidden", "left/.a.part", "other/deep/.x.mp4.12.part"]
    leftovers = [".manifest.jsonl.12.part", "left/.left_seed3_0001.mp4.345.part", "left/.a.gif.6.part"]
    for name in (*mine, *leftovers):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    with open_output(tmp_path, SETTINGS, resume=True):
        assert not files(tmp_path) & set(leftovers) and files(tmp_path) >= set(mine)


def test_a_folder_in_use_is_refused_until_it_is_free(tmp_path: Path) -> None:
    with open_output(tmp_path, SETTINGS, resume=True) as folder:
        add(folder, "left", 0)
        with pytest.raises(StganError, match="another process"), open_output(tmp_path, SETTINGS, resume=True):
            pass
        assert len(generated_clips(tmp_path)) == 1  # reading is for everybody
    with open_output(tmp_path, SETTINGS, resume=True) as folder:
        assert folder.finished(("left", 0))


def test_a_refused_resume_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path, ("left", 0))
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with (
        pytest.raises(StganError, match=r"was made with seed 3, not 4; .*--resume"),
        open_output(tmp_path, SETTINGS | {"seed": 4}, resume=True),
    ):
        pass
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, "seed 3, not 4"),
        ({"settings": {**SETTINGS["settings"], "guidance": 0.5}}, "settings.guidance 0.25, not 0.5"),
        ({"settings": {"guidance": 0.25}}, "settings.temporal_kernel [0.05, 0.9, 0.05], not none"),
        (
            {"hashes": {**SETTINGS["hashes"], "condition": {"c3d": "cd34"}}},
            "hashes.condition.lrcn 'cd34cd34cd34...4cd34cd34cd34', not none",
        ),
        ({"hashes": {**SETTINGS["hashes"], "generator": "00"}}, "hashes.generator 'ab12', not '00'"),
        ({"version": "9"}, "version none, not '9'"),
        ({}, ""),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], message: str) -> None:
    assert first_difference({"probability": 0.5, **SETTINGS}, SETTINGS | change) == message


@pytest.mark.parametrize(
    ("former", "message"),
    [
        ({"version": "0.0.9", "seed": 4}, "was made by another version of stgan, with version '0.0.9', not '0.1.0'; "),
        ({"version": None}, "was made by another version of stgan, with version none, not '0.1.0'; "),
        ({"settings": {"action_guidance": 3}}, "another version of stgan, with settings.action_guidance 3, not none"),
        ({"preset": "paper", "settings": {"step": 3}}, "in '.*' was made with preset 'paper', not 'robust'; "),
    ],
)
def test_clips_of_another_version_are_said_to_be_that(former: dict[str, Any], message: str, tmp_path: Path) -> None:
    now = {"version": "0.1.0", **SETTINGS}
    make(tmp_path, ("left", 0), settings=now | former)
    with (
        pytest.raises(StganError, match=f"{message}.*choose another --out, or leave --resume away"),
        open_output(tmp_path, now, resume=True),
    ):
        pass


def test_settings_of_settings_tell_the_version_too() -> None:
    former, now = (
        {"preset": "robust", "settings": {"transforms": each}} for each in ({"shift": 4}, {"shift": 4, "zoom": 1})
    )
    assert is_of_another_version(former, now) and not is_of_another_version(now, now)


@pytest.mark.parametrize("value", [{"a": {"b": [1] * 10**5}}, "x" * 10**6, "\x1b[31m\n", [[[[[[[[[[]]]]]]]]]], 10**300])
def test_what_differs_is_shown_briefly(value: Any) -> None:
    for difference in (
        first_difference({**SETTINGS, "preset": value}, SETTINGS),
        first_difference({**SETTINGS, "settings": {"guidance": value}}, SETTINGS),
    ):
        assert len(difference) < 200 and difference.isprintable()


@pytest.mark.parametrize(
    "change",
    [
        {"file": "left/left_seed3_0001.mp4"},
        {"file": "right/left_seed3_0000.mp4"},
        {"index": 7},
        {"action": "right"},
        {"threads": "many"},
        {"threads": 10**9},
    ],
)
def test_resume_refuses_lines_that_name_other_files_or_settings(change: dict[str, Any], tmp_path: Path) -> None:
    make(tmp_path, ("left", 0))
    (entry,) = read_lines(tmp_path)
    (tmp_path / "manifest.jsonl").write_text(json.dumps(entry | change) + "\n")
    with pytest.raises(StganError, match="cannot resume") as caught, open_output(tmp_path, SETTINGS, resume=True):
        pass
    assert "\n" not in str(caught.value)


def test_links_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    make(out, ("left", 0))
    clip = out / "left/left_seed3_0000.mp4"
    clip.rename(outside / "clip.mp4")
    clip.symlink_to(outside / "clip.mp4")
    with pytest.raises(StganError, match="is a link"):
        check_clips(out)
    clip.unlink()
    clip.symlink_to(clip)
    with pytest.raises(StganError, match=r"is missing|cannot be read|is a link"):
        check_clips(out)
    (out / "up").symlink_to(outside)
    with open_output(out, SETTINGS, resume=True) as folder, pytest.raises(StganError, match="link to another folder"):
        add(folder, "up", 0)
    assert {path.name for path in outside.iterdir()} == {"clip.mp4"}


def test_numbers_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    with (
        open_output(tmp_path, SETTINGS, resume=False) as folder,
        pytest.raises(StganError, match="values that are not finite"),
    ):
        folder.add(("left", 0), frames(3), 25.0, {"probability": float("nan")})
    assert files(tmp_path) == {"manifest.jsonl", LOCK}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: out.rename(out.with_name("elsewhere")),
        lambda out: (out / "manifest.jsonl").unlink(),
        lambda out: ((out / "manifest.jsonl").unlink(), (out / "manifest.jsonl").mkdir()),
        lambda out: (out / "up").write_text("a file where a folder should be"),
    ],
    ids=["the folder is taken away", "no manifest", "a folder as manifest", "a file as folder"],
)
def test_a_folder_that_is_spoiled_on_the_way_ends_with_a_sentence(spoil: Callable[[Path], Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_output(out, SETTINGS, resume=False) as folder:
        add(folder, "left", 0)
        spoil(out)
        with pytest.raises(StganError, match="cannot write to") as caught:
            add(folder, "up", 0)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.part")) and (out.exists() or not list(tmp_path.glob("out")))


@pytest.mark.parametrize(("actions", "rows"), [(1, 4), (9, 36), (20, 40), (48, 48), (60, 48)])
def test_the_contact_sheet_has_a_bounded_number_of_rows(actions: int, rows: int, tmp_path: Path) -> None:
    names = [f"action{number:02d}" for number in range(actions)]
    with open_output(tmp_path, SETTINGS, resume=False) as folder:
        add(folder, names[0], 0)
        content = (tmp_path / folder.name((names[0], 0))).read_bytes()
        for name in names:  # as if they had been generated
            for index in range(5):
                path = tmp_path / folder.name((name, index))
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
                folder.clips[name, index] = Entry(folder.name((name, index)).as_posix(), name, index)
        folder.finish([])
    height, width = read_video(path).frames.shape[1:3]
    assert Image.open(tmp_path / CONTACT_SHEET).size == (96 + 4 * width, rows * (height + 4))


def test_a_clip_is_on_the_disk_before_its_line_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    flush, append = output_folder.flush, Manifest.append
    monkeypatch.setattr(output_folder, "flush", lambda path: (flush(path), done.append(path.name)))
    monkeypatch.setattr(Manifest, "append", lambda self, entry: (append(self, entry), done.append("its line")))
    with open_output(tmp_path, SETTINGS, resume=False) as folder:
        add(folder, "left", 0, {".gif": lambda path: write_gif(path, frames(200))})
    assert done == ["left_seed3_0000.gif", "left_seed3_0000.mp4", "left", "its line"]
