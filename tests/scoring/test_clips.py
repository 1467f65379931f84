"""What a manifest has to say of a clip before it is scored."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stgan.errors import StganError
from stgan.files import sha256
from stgan.scoring import folder_clips

_HASH = "0123456789abcdef" * 4


@pytest.fixture
def clips(tiny_clips: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_clips, tmp_path / "clips")
    return tmp_path / "clips"


def write_manifest(folder: Path, **changes: Any) -> None:
    file = "left/clip0.mp4"
    entry = {"file": file, "action": "left", "index": 0, "sha256": sha256(folder / file),
             "hashes": {"condition": {"c3d": _HASH}}}  # fmt: skip
    (folder / "manifest.jsonl").write_text(json.dumps({**entry, **changes}) + "\n")


def test_a_clip_and_what_steered_it(clips: Path) -> None:
    write_manifest(clips, hashes={"condition": {"c3d": _HASH}, "condition_ancestors": {"backbone": "f" * 64}})
    (clip,) = folder_clips(clips)
    assert clip.steering and clip.steering.names == ("c3d",) and clip.steering.hashes == {_HASH, "f" * 64}
    clip.check_file()
    shutil.copyfile(clips / "left/clip1.mp4", clip.path)
    with pytest.raises(StganError, match="was changed or damaged"):
        clip.check_file()


def test_a_clip_of_a_target_shows_no_action(clips: Path) -> None:
    write_manifest(clips, target="lstm:3", activation=1.5)
    (clip,) = folder_clips(clips)
    assert clip.action is None and clip.unit == ("lstm:3", 1.5)
    write_manifest(clips, target=None)
    assert folder_clips(clips)[0].action == "left" and folder_clips(clips)[0].unit is None


@pytest.mark.parametrize("wrong", ["", _HASH.upper(), _HASH[:16], 5, None])
def test_what_is_no_hash_proves_nothing(clips: Path, wrong: Any) -> None:
    write_manifest(clips, sha256=wrong)
    with pytest.raises(StganError, match="is no hash"):
        folder_clips(clips)
    for hashes in ({"condition": {"c3d": wrong}}, {"condition": {"c3d": _HASH}, "condition_ancestors": {"a": wrong}}):
        write_manifest(clips, hashes=hashes)
        with pytest.raises(StganError, match="does not say which networks steered"):
            folder_clips(clips)


@pytest.mark.parametrize("wrong", [None, "", {"c3d": "x"}, {"c3d": ["0123456789:8"]}, {"lrcn": "0123456789:8"}])
def test_wrong_fingerprints_are_refused(clips: Path, wrong: Any) -> None:
    write_manifest(clips, hashes={"condition": {"c3d": _HASH}, "condition_tensors": {"c3d": "0123456789:8"}})
    (clip,) = folder_clips(clips)
    assert clip.steering and clip.steering.tensors == {"c3d": "0123456789:8"}
    write_manifest(clips, hashes={"condition": {"c3d": _HASH}, "condition_tensors": wrong})
    with pytest.raises(StganError, match=r"has fingerprints of the networks .* that cannot be read"):
        folder_clips(clips)


def test_a_manifest_by_another_hand_may_leave_the_hash_of_a_clip_out(clips: Path) -> None:
    write_manifest(clips)
    entry = json.loads((clips / "manifest.jsonl").read_text())
    del entry["sha256"]
    (clips / "manifest.jsonl").write_text(json.dumps(entry) + "\n")
    (clip,) = folder_clips(clips)
    clip.check_file()
    assert clip.sha256 is None and clip.steering and clip.steering.hashes == {_HASH}


def test_folders_behind_links_are_refused(clips: Path, tmp_path: Path) -> None:
    write_manifest(clips)
    (clips / "left").rename(tmp_path / "elsewhere")
    (clips / "left").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StganError, match="is a link"):
        folder_clips(clips)
