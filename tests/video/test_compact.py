"""Clips as small files: what is kept of them, and how small."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stgan.errors import StganError
from stgan.video import find_clips, read_video, write_video
from stgan.video.compact import QUALITIES, compact_clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of noise on ramps, wider than high, by a csv file; one of them is in no split."""
    root = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    rows = ["path,label,group,strict"]
    for number in range(6):
        label, split = ("run", "sit")[number % 2], ("train", "train", "test", "train", "test", "drop")[number]
        frames = np.linspace(60, 180, 48).round() + rng.integers(-20, 21, (12, 32, 48, 1)).repeat(3, 3)[..., 0]
        path = root / label / f"clip{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_video(path, frames[..., None].repeat(3, 3).astype(np.uint8), 30.0)
        rows.append(f"{label}/{path.name},{label},film{number // 2},{split}")
    (root / "split1.csv").write_text("\n".join(rows) + "\n")
    return root


def test_what_is_kept(folder: Path, tmp_path: Path) -> None:
    clips, done = find_clips(folder, split_column="strict"), []
    quality, total = compact_clips(
        clips, tmp_path / "small", size=32, most_bytes=10**6, table="split1.csv", split_column="strict",
        progress=lambda *counts: done.append(counts),
    )  # fmt: skip
    assert quality == QUALITIES[0] and done[-1] == (len(clips), len(clips))
    small = find_clips(tmp_path / "small", split_column="strict")
    assert [(c.label, c.group, c.split) for c in small.clips] == [(c.label, c.group, c.split) for c in clips.clips]
    assert total == sum(clip.path.stat().st_size for clip in small.clips)
    for ours, theirs in zip(small.clips, clips.clips, strict=True):
        video, original = read_video(ours.path), read_video(theirs.path).frames[:, :, 8:40]
        assert video.frames.shape == (12, 32, 32, 3) and video.fps == 30
        assert np.abs(video.frames.astype(float) - original).mean() < 8


def test_smaller_where_there_is_less_room(folder: Path, tmp_path: Path) -> None:
    clips = find_clips(folder, split_column="strict")
    _, best = compact_clips(clips, tmp_path / "best", size=32, most_bytes=10**6)
    quality, total = compact_clips(clips, tmp_path / "small", size=32, most_bytes=round(0.7 * best))
    assert quality > QUALITIES[0] and total <= 0.7 * best
    assert find_clips(tmp_path / "small").clips[0].split == clips.clips[0].split
    with pytest.raises(StganError, match="do not fit into 1000 bytes; allow more, or choose a smaller size"):
        compact_clips(clips, tmp_path / "none", size=32, most_bytes=1000)
    with pytest.raises(StganError, match="is not empty"):
        compact_clips(clips, tmp_path / "best", size=32, most_bytes=10**6)
    assert {path.name for path in tmp_path.iterdir()} == {"best", "small"}  # what did not fit left nothing


def test_class_folders_without_a_list(folder: Path, tmp_path: Path) -> None:
    for clip in find_clips(folder, split_column="strict").clips:
        (tmp_path / "plain" / clip.label).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip.path, tmp_path / "plain" / clip.label)
    clips = find_clips(tmp_path / "plain")
    compact_clips(clips, tmp_path / "small", size=32, most_bytes=10**6)
    small = find_clips(tmp_path / "small")
    assert [(c.label, c.group, c.split) for c in small.clips] == [(c.label, None, None) for c in clips.clips]


def test_a_list_holds_no_formulas_and_is_read_as_it_was(folder: Path, tmp_path: Path) -> None:
    first = find_clips(folder, split_column="strict").clips[0].path
    for label in ("=run", "-sit", "walk"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        shutil.copy(first, tmp_path / "clips" / label / "x.mp4")
    clips = find_clips(tmp_path / "clips")
    compact_clips(clips, tmp_path / "small", size=32, most_bytes=10**6)
    (table,) = (tmp_path / "small").glob("*.csv")
    assert not [cell for line in table.read_text().splitlines() for cell in line.split(",") if cell[0] in "=-+@"]
    found = find_clips(tmp_path / "small").clips
    assert sorted(clip.label for clip in found) == ["-sit", "=run", "walk"] == sorted(c.label for c in clips.clips)


def test_clips_of_one_name_stay_two(folder: Path, tmp_path: Path) -> None:
    first = find_clips(folder, split_column="strict").clips[0].path
    names = ["a/x.mp4", "b/x.mp4"]
    for name in names:
        (tmp_path / "clips" / name).parent.mkdir(parents=True)
        shutil.copy(first, tmp_path / "clips" / name)
    table = tmp_path / "clips" / "list.csv"
    table.write_text("path,label\n" + "".join(f"{name},run\n" for name in names))
    compact_clips(find_clips(tmp_path / "clips"), tmp_path / "small", size=32, most_bytes=10**6)
    assert [str(clip.path.relative_to(tmp_path / "small")) for clip in find_clips(tmp_path / "small").clips] == names
    shutil.copy(first, tmp_path / "clips" / "a" / "x.mkv")
    table.write_text(table.read_text() + "a/x.mkv,run\n")
    with pytest.raises(StganError, match=r"two clips would both become 'a/x\.mp4'; rename one of them"):
        compact_clips(find_clips(tmp_path / "clips"), tmp_path / "other", size=32, most_bytes=10**6)


def test_a_broken_clip_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "clips")
    clips = find_clips(tmp_path / "clips", split_column="strict")
    clips.clips[-1].path.write_bytes(b"no video")
    with pytest.raises(StganError):
        compact_clips(clips, tmp_path / "small", size=32, most_bytes=10**6)
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]
