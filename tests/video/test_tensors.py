"""Clips in files of tensors: the same frames in every format, layout and range, and one sentence for what is none."""

import os
import pickle
import time
import zipfile
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from stgan.errors import StganError
from stgan.video import TensorClip, VideoError, read_video, tensors
from stgan.video.decoding import decode_clip, in_order
from stgan.video.frame_folders import clip_sha256
from stgan.video.tensors import LAYOUTS, RANGES, Range, find_tensors

ORDERS = {"THWC": (0, 1, 2, 3), "TCHW": (0, 3, 1, 2), "CTHW": (3, 0, 1, 2)}
SAVERS: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "npy": np.save,
    "npz": lambda path, x: np.savez(path, clips=x),
    "npz of a folder": lambda path, x: np.savez(path, **{"a/clips": x, "b": np.zeros(3)}),
    "npz compressed": lambda path, x: np.savez_compressed(path, clips=x),
    "pt": lambda path, x: torch.save(torch.from_numpy(x), path),
    "pth": lambda path, x: torch.save({"clips": torch.from_numpy(x), "step": 3}, path),
    "pt of a list": lambda path, x: torch.save([torch.from_numpy(x)], path),
    "safetensors": lambda path, x: save_file({"clips": torch.from_numpy(x)}, path),
}


def some_frames(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def refused(path: Path, **stated: Any) -> str:
    with pytest.raises(VideoError) as caught:
        for clip, _ in find_tensors([path], **stated):
            read_video(clip)
    text = str(caught.value)
    assert text.isprintable() and path.name in text and len(text) < 600
    return text


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_frames_in_every_format_and_layout(name: str, layout: str, tmp_path: Path) -> None:
    frames, order = some_frames(2, 5, 6, 4), ORDERS[layout.removeprefix("B")]
    array = frames.transpose(0, *(axis + 1 for axis in order)) if layout[0] == "B" else frames[0].transpose(order)
    path = tmp_path / f"x.{name.split()[0]}"
    SAVERS[name](path, np.ascontiguousarray(array))
    for stated in (None, layout):
        found = [clip for clip, action in find_tensors([path], layout=stated) if action is None]
        assert len(found) == (2 if layout[0] == "B" else 1)
        for clip, wanted in zip(found, frames, strict=False):
            video, (facts, _) = read_video(clip), decode_clip(clip)
            np.testing.assert_array_equal(video.frames, wanted)
            assert (facts.frames, facts.height, facts.width) == (5, 6, 4)
            assert not facts.variable_rate
            np.testing.assert_array_equal(read_video(clip, part=range(1, 3)).frames, wanted[1:3])
    other = "BCTHW" if layout != "BCTHW" else "BTCHW"
    assert "correct --layout" in refused(path, layout=other)


@given(
    values=st.sampled_from(list(RANGES)),
    kind=st.sampled_from(["f2", "f4", "f8", ">f4", "i2", "i8", "u2"]),
    fortran=st.booleans(),
    seed=st.integers(0, 9),
)
def test_levels_survive_every_type_and_range(
    values: Range, kind: str, fortran: bool, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Multiples of 1/255, as a program has them that reads a film, are the same levels again."""
    path, frames = tmp_path_factory.mktemp("x") / "x.npy", some_frames(2, 2, 4, 5, seed=seed)
    black, white = RANGES[values] if "f" in kind else RANGES["0-255"]
    array = (frames / 255 * (white - black) + black).round(9).astype(kind)
    np.save(path, np.asfortranarray(array) if fortran else array)
    stated = None if "f" not in kind or (values == "-1-1" and array.min() < -0.1) else values
    found = [read_video(clip).frames for clip, _ in find_tensors([path], values=stated)]
    np.testing.assert_array_equal(np.stack(found), frames)


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.0, 1.0, "0-1"), (-0.0005, 1.0005, "0-1"), (0.2, 0.3, "0-1"), (-1.0, 1.0, "-1-1"), (-0.2, 0.0, "-1-1"),
        (-0.05, 1.0, "no value below -0.05: state their --range"), (0.0, 1.1, "from 0 to 1.1: state their --range"),
        (-1.1, 1.0, "from -1.1 to"), (0.0, 255.0, "from 0 to 255"), (0.0, np.nan, "no finite numbers"),
        (0.0, np.inf, "from 0 to inf"),
    ],
)  # fmt: skip
def test_a_range_is_taken_only_where_it_is_certain(low: float, high: float, found: str, tmp_path: Path) -> None:
    """All files together decide: a clip alone may be dark."""
    bright = np.full((2, 4, 4, 3), 0.5, np.float32)
    np.save(tmp_path / "a.npy", bright)
    bright[0, 0, 0, :2] = low, high
    np.save(tmp_path / "b.npy", bright)
    files = sorted(tmp_path.iterdir())
    if found in RANGES:
        assert [clip.values for clip, _ in find_tensors(files)] == [found, found]
    else:
        with pytest.raises(VideoError, match=found):
            find_tensors(files)


def test_values_outside_the_stated_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.full((2, 4, 4, 3), 1.5, np.float32))
    assert "values from 1.5 to 1.5, where its range is 0-1" in refused(path, values="0-1")
    assert read_video(find_tensors([path], values="0-255")[0][0]).frames.max() == 2
    np.save(path, np.full((2, 4, 4, 3), 256))
    assert "where its range is 0-255" in refused(path)


@pytest.mark.parametrize("shape", [(3, 5, 6, 3), (2, 3, 3, 6, 7), (5, 3, 4, 3)])
def test_an_ambiguous_layout_has_to_be_stated(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(shape, np.uint8))
    assert "state its --layout" in refused(path)


@pytest.mark.parametrize("key", ["labels", "actions"])
def test_actions_are_named_by_texts_or_by_numbers(key: str, tmp_path: Path) -> None:
    clips = some_frames(2, 2, 4, 5)
    np.savez(tmp_path / "a.npz", **{"x": clips, key: np.array(["walk", "run"])})
    torch.save({"x": torch.from_numpy(clips), key: ["walk", "run"]}, tmp_path / "b.pt")
    save_file({"x": torch.from_numpy(clips), key: torch.tensor([1, 0])}, tmp_path / "c.safetensors")
    files = sorted(tmp_path.iterdir())
    assert [action for _, action in find_tensors(files)] == ["walk", "run", "walk", "run", "1", "0"]
    (tmp_path / "classes.txt").write_text("run\nwalk\n")
    assert [action for _, action in find_tensors(files[2:])] == ["walk", "run"]
    for wrong in (["walk"], [["a"], ["b"]], [0.5, 1.5], ["a/b", "c"], ["\x1b[31m", "c"]):
        np.savez(tmp_path / "a.npz", **{"x": clips, key: np.array(wrong)})
        assert "label" in refused(tmp_path / "a.npz")
    torch.save({"x": torch.from_numpy(clips), key: [2.5, "a"]}, tmp_path / "b.pt")
    assert "labels are not all texts or whole numbers" in refused(tmp_path / "b.pt")


def hostile(folder: Path, name: str) -> Path:
    """A file that must be refused."""
    frames = some_frames(2, 4, 8, 9)
    path = folder / f"x.{name.split()[0]}"
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 10**3, 10**3, 3)}
    match name:
        case "npy of objects":
            np.save(path, np.array([frames, None], object), allow_pickle=True)
        case "npz of objects":
            np.savez(path, x=np.array([frames, None], object))
        case "npy of a huge shape" | "npz of a huge shape":
            with (folder / "huge.npy").open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
            path = folder / "huge.npy"
            if name.startswith("npz"):
                path = folder / "x.npz"
                with zipfile.ZipFile(path, "w") as archive:
                    archive.write(folder / "huge.npy", "x.npy")
        case "npy of texts":
            np.save(path, np.full((2, 3, 8, 9, 3), "a"))
        case "npy of complex numbers":
            np.save(path, frames.astype(np.complex64))
        case "npy of no clips":
            np.save(path, frames[:0])
        case "npy of no frames":
            np.save(path, frames[:, :0])
        case "npy of grey frames":
            np.save(path, frames[..., :1])
        case "npy of features" | "npz of features":
            (np.save if "npy" in name else np.savez)(path, np.zeros((7, 9)))
        case "npy of a pipe":
            os.mkfifo(path)
        case "npy of a link":
            path.symlink_to("x.npy")
        case "npy of a broken link":
            path.symlink_to("nowhere.npy")
        case "npy of large frames":
            np.save(path, np.zeros((1, 4097, 4096, 3), np.uint8))
        case "npy of a film":
            np.save(path, np.zeros((3001, 1, 1, 3), np.uint8))
        case "pt of code":
            torch.save({"x": torch.from_numpy(frames), "y": os.getcwd}, path)
        case "pt of a pickle":
            path.write_bytes(pickle.dumps(frames))
        case "pt of an old format":
            torch.save(torch.from_numpy(frames), path, _use_new_zipfile_serialization=False)
        case "pt of a stretched tensor":
            torch.save(torch.zeros(1, 3, 1, 1, 3).expand(10**9, 3, 1, 1, 3), path)
        case "pt of bfloat16":
            torch.save(torch.zeros(2, 3, 4, 4, 4, dtype=torch.bfloat16), path)
        case "safetensors of bfloat16":
            save_file({"x": torch.zeros(2, 3, 4, 4, 4, dtype=torch.bfloat16)}, path)
        case "safetensors of a long table":
            path.write_bytes((1 << 40).to_bytes(8, "little") + bytes(100))
        case cut:
            SAVERS[cut.removesuffix(" cut")](path, frames)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("npy of objects", "npz of objects", "npy of a huge shape", "npz of a huge shape", "npy of texts"),
        *("npy of complex numbers", "npy of no clips", "npy of no frames", "npy of grey frames", "npy of features"),
        *("npz of features", "npy of a pipe", "npy of a link", "npy of a broken link", "npy of large frames"),
        *("npy of a film", "pt of code", "pt of a pickle", "pt of an old format", "pt of a stretched tensor"),
        *("pt of bfloat16", "safetensors of bfloat16", "safetensors of a long table"),
        *("npy cut", "npz cut", "npz compressed cut", "pt cut", "safetensors cut"),
    ],
)
def test_what_is_no_file_of_clips_is_one_sentence(name: str, tmp_path: Path) -> None:
    refused(hostile(tmp_path, name))


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, some_frames(3, 2, 4, 5))
    *_, (clip, _) = find_tensors([path])
    assert clip == TensorClip(path, index=2) and str(clip) == f"{path}/000002"
    np.save(path, some_frames(2, 2, 4, 5))
    with pytest.raises(StganError, match="is no longer there"):
        read_video(clip)


def sparse(path: Path, kind: str, *shape: int) -> Path:
    """A .npy file of zeros that takes no space."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + prod(shape) * np.dtype(kind).itemsize)
    return path


def test_a_hash_is_of_the_frames_and_their_shape(tmp_path: Path) -> None:
    frames, found = some_frames(4, 6, 8), {}
    shapes = {"a": frames, "b": frames.reshape(4, 8, 6, 3), "c": frames.reshape(8, 6, 4, 3)}
    for name, array in {**shapes, "same": frames.transpose(3, 0, 1, 2) / np.float32(255)}.items():
        np.save(tmp_path / f"{name}.npy", array)
        ((clip, _),) = find_tensors([tmp_path / f"{name}.npy"])
        found[name] = clip_sha256(clip)
    assert found["same"] == found["a"] and len(set(found.values())) == 3


def test_a_hash_keeps_the_limits_of_decoding_and_ends_with_it(tmp_path: Path) -> None:
    ((long, _),) = find_tensors([sparse(tmp_path / "x.npy", "|u1", 300_000_000, 16, 16, 3)])
    texts = []
    for function in (clip_sha256, read_video):
        with pytest.raises(VideoError) as caught:
            function(long)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    ((clip, _),) = find_tensors([sparse(tmp_path / "y.npy", "|u1", 3000, 400, 400, 3)])
    running = in_order(lambda each: clip_sha256(each) if isinstance(each, TensorClip) else "", ["", clip, clip], 2)
    next(running)
    begin = time.monotonic()
    running.close()
    assert time.monotonic() - begin < 0.5  # a hash takes over a second


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1000, 3000, 64, 64, 3), "leave their range open: state their --range"),
        ((400_000_000, 1, 1, 3), "more than 3000 frames"),
        ((2, 10**5, 10**5, 3), "more than 16777216 pixels"),
    ],
)
def test_the_range_is_sought_in_a_bounded_part(
    shape: tuple[int, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "_MOST_SCANNED", 1 << 26)
    path = sparse(tmp_path / "x.npy", "<f4", *shape)
    assert words in refused(path)
    assert find_tensors([path], values="0-1")[0][0].values == "0-1"
    np.save(tmp_path / "a.npy", np.full((2, 4, 4, 3), -0.5, np.float32))
    assert {clip.values for clip, _ in find_tensors([tmp_path / "a.npy", path])} == {"-1-1"}


@pytest.mark.parametrize("values", ["0-1", "-1-1"])
def test_whole_numbers_are_not_read_as_black(values: Range, tmp_path: Path) -> None:
    for kind in ("u1", "i8"):
        np.save(tmp_path / "x.npy", (some_frames(2, 2, 4, 5) > 128).astype(kind))
        assert f"whole numbers within {values}" in refused(tmp_path / "x.npy", values=values)
    np.save(tmp_path / "y.npy", some_frames(2, 4, 5))  # the other side of a comparison may be bytes
    found = find_tensors(sorted(tmp_path.iterdir()), values=values)
    assert {clip.values for clip, _ in found} == {"0-255"}


def test_all_unpacked_members_have_one_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = some_frames(2, 4, 8, 9)
    monkeypatch.setattr(tensors, "_unpacked", WeakKeyDictionary())
    monkeypatch.setattr(tensors, "_MOST_UNPACKED", 3 * frames.nbytes)
    paths = [tmp_path / f"{name}.npz" for name in "abc"]
    for path in paths:
        np.savez_compressed(path, x=frames, y=np.zeros(0))
    kept = [clip.stored() for clip, _ in find_tensors(paths[:2])]
    assert "GiB unpacked; save them with numpy.savez" in refused(paths[2])
    tensors._mapped.cache_clear()
    assert "GiB unpacked" in refused(paths[2])
    np.testing.assert_array_equal(np.stack(kept[:2]), frames)
    del kept
    ((clip, _), _) = find_tensors(paths[2:])
    np.testing.assert_array_equal(read_video(clip).frames, frames[0])


@pytest.mark.parametrize("kind", [torch.bool, torch.bfloat16])
def test_other_tensors_may_be_of_any_type(kind: torch.dtype, tmp_path: Path) -> None:
    frames = some_frames(2, 4, 8, 9)
    beside = {"x": torch.from_numpy(frames), "mask": torch.ones(4, dtype=kind)}
    save_file(beside, tmp_path / "x.safetensors")
    torch.save(beside, tmp_path / "x.pt")
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal([read_video(clip).frames for clip, _ in find_tensors([path])], frames)
    save_file({**beside, "labels": torch.ones(2, dtype=kind)}, tmp_path / "x.safetensors")
    assert "is of type B" in refused(tmp_path / "x.safetensors")


@pytest.mark.parametrize("change", ["shorter", "rewritten", "gone"])
def test_a_file_that_changes_while_it_is_read_is_refused(change: str, tmp_path: Path) -> None:
    """Its map would end the process where the file has become shorter."""
    path = tmp_path / "x.npy"
    np.save(path, some_frames(40, 64, 64))
    ((clip, _),) = find_tensors([path])
    frames = clip.frames(range(40))
    next(frames)
    if change == "shorter":
        os.truncate(path, 200)
    elif change == "rewritten":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
    with pytest.raises(VideoError, match="was changed while it was read"):
        next(frames)


def test_clips_beyond_the_limits_are_not_searched_for_their_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused when they are read, and only they."""
    monkeypatch.setattr(tensors, "_MOST_SCANNED", 1 << 20)
    path = sparse(tmp_path / "x.npy", "<f4", 3001, 64, 64, 3)
    np.save(tmp_path / "a.npy", np.full((2, 4, 4, 3), -0.5, np.float32))
    assert [clip.values for clip, _ in find_tensors([path])] == ["0-1"]
    (small, _), (large, _) = find_tensors([tmp_path / "a.npy", path])
    assert small.values == "-1-1" and len(read_video(small).frames) == 2
    with pytest.raises(VideoError, match="has more than 3000 frames"):
        read_video(large)
