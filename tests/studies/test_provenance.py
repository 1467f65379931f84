"""What the networks behind clips were trained on: found in a model, kept in a file, and held against splits."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from manifest_lines import read_lines, write_lines

from stgan.checkpoints import find_model
from stgan.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.errors import StganError
from stgan.generation import GenerationJob
from stgan.manifest import MANIFEST
from stgan.pipeline import STGAN
from stgan.scoring import find_evaluator
from stgan.studies.generating import generate_set
from stgan.studies.provenance import (
    NETWORKS,
    Network,
    check_networks,
    content_hashes,
    networks_behind,
    read_networks,
    unknown_networks,
    unseen_groups,
    write_networks,
)
from stgan.training.clip_data import group_of
from stgan.video import ClipFile, VideoError, find_clips, read_video
from stgan.video.decoding import inspect_clip

HASH, CLIP = "0123456789abcdef" * 4, "0123456789abcdef"


@pytest.fixture(scope="module")
def generated(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    stgan = STGAN.from_pretrained(tiny_model)
    job = GenerationJob(stgan, stgan.steering(), stgan.preset("motion", 1), num=1)
    return generate_set(job, tmp_path_factory.mktemp("behind") / "clips")


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """The model of the clips, whose checkpoints now say what they come from."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def say(model: Path, part: str, **provenance: Any) -> None:
    path = model / part / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "provenance": provenance}))


def hash_of(model: Path, part: str) -> str:
    return load_checkpoint(model / part).hash


def test_all_networks_behind_clips_are_found(model: Path, generated: Path) -> None:
    parts = ("encoder", "generator", "map_codec", "frame_prior", "clip_prior", "lrcn", "c3d", "temporal_stream")
    hashes = {part: hash_of(model, part) for part in parts}
    say(model, "generator", seen=[CLIP, "f" * 16], ancestors={"critic": hashes["temporal_stream"], "gone": HASH})
    say(model, "temporal_stream", seen=[CLIP], ancestors={"eye": hashes["encoder"]})
    say(model, "encoder", seen="all")  # no list: it says nothing
    found = {network.hash: network for network in networks_behind(find_model(str(model)), generated)}
    used: set[str] = set()
    for entry in read_lines(generated):
        of = entry["hashes"]
        used |= {
            *of["condition"].values(),
            *(of[part] for part in ("generator", "map_codec", "frame_prior", "clip_prior") if part in of),
        }
    assert used >= {hashes["generator"], hashes["lrcn"], hashes["c3d"]}
    assert found.keys() >= used | {hashes["temporal_stream"], hashes["encoder"]}  # ancestors, and theirs
    assert found.keys() <= {*hashes.values()} and len(found) == len({network.role for network in found.values()})
    assert found[hashes["lrcn"]] == Network("condition network lrcn", hashes["lrcn"], {}, ())
    assert found[hashes["generator"]] == Network(
        "generator", hashes["generator"], {"critic": hashes["temporal_stream"], "gone": HASH}, (CLIP, "f" * 16)
    )
    assert found[hashes["temporal_stream"]].role == "critic" and found[hashes["temporal_stream"]].seen == (CLIP,)
    assert found[hashes["encoder"]].seen == ()


def test_the_network_that_chose_is_one_of_them_and_all_are_kept(model: Path, generated: Path, tmp_path: Path) -> None:
    say(model, "evaluator", seen=[CLIP, "a" * 16], ancestors={"x": "f" * 64, "y": "e" * 64})
    found = find_model(str(model))
    judge = find_evaluator("evaluator", found)
    (tmp_path / "set").mkdir()
    shutil.copy(generated / MANIFEST, tmp_path / "set")
    write_networks(tmp_path / "set", found, generated, judge)
    kept = read_networks(tmp_path / "set")
    assert kept == networks_behind(found, generated, judge)
    assert kept[:-1] == networks_behind(found, generated)
    assert kept[-1].role == "selecting evaluator" and kept[-1].hash == hash_of(model, "evaluator")
    assert sorted(kept[-1].ancestors.values()) == ["e" * 64, "f" * 64] and kept[-1].seen == (CLIP, "a" * 16)
    assert "selecting evaluator" in unknown_networks(kept)  # of what it was made from nothing is known


def test_another_model_is_refused(model: Path, generated: Path, tmp_path: Path) -> None:
    changed = load_checkpoint(model / "c3d")
    with torch.no_grad():
        next(changed.network.parameters()).add_(0.01)
    save_checkpoint(model / "c3d", changed.network, actions=changed.actions, card="# c3d\n")
    with pytest.raises(StganError, match=r"the condition network c3d of the clips in .* is none of tiny's networks"):
        networks_behind(find_model(str(model)), generated)
    with pytest.raises(StganError, match="it is unknown which networks made the clips"):
        networks_behind(find_model(str(model)), tmp_path)
    write_lines(tmp_path, [{"file": "a.mp4", "action": "left", "index": 0, "hashes": {"generator": [3]}}])
    with pytest.raises(StganError, match=r"the generator of the clips in .* is none of"):
        networks_behind(find_model(str(model)), tmp_path)


GOOD = {"role": "generator", "hash": HASH, "ancestors": {"eye": HASH}, "seen": [CLIP]}


def test_a_file_of_networks(tmp_path: Path) -> None:
    assert read_networks(tmp_path) == ()
    (tmp_path / NETWORKS).symlink_to("nowhere")
    with pytest.raises(StganError, match="not a regular file"):
        read_networks(tmp_path)
    (tmp_path / NETWORKS).unlink()
    (tmp_path / NETWORKS).write_text(
        json.dumps({"format": 1, "model": "tiny", "networks": [GOOD, {**GOOD, "seen": []}]})
    )
    of = {"file": "left/a.mp4", "action": "left", "index": 0, "hashes": {"generator": HASH}}
    write_lines(tmp_path, [of])
    assert read_networks(tmp_path) == tuple(Network("generator", HASH, {"eye": HASH}, seen) for seen in ((CLIP,), ()))


@pytest.mark.parametrize(
    ("hashes", "message"),
    [
        ([{"generator": HASH, "condition": {"c3d": "e" * 64}}], "lacks the condition network c3d that made clips"),
        ([{"generator": HASH}, {"generator": "e" * 64}], "lacks the generator that made clips"),
        ([{"generator": HASH}, {}], "does not say which networks"),
        ([], "does not say which networks"),
    ],
)
def test_networks_of_other_clips(hashes: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    (tmp_path / NETWORKS).write_text(json.dumps({"format": 1, "model": "tiny", "networks": [GOOD]}))
    clips = [{"file": f"left/{i}.mp4", "action": "left", "index": i, "hashes": of} for i, of in enumerate(hashes)]
    write_lines(tmp_path, clips)
    with pytest.raises(StganError, match=message):
        read_networks(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hash": HASH[1:]}, {"hash": 3}, {"hash": HASH.upper()}, {"hash": HASH + "\n"}, {"ancestors": ["eye"]},
        {"ancestors": {"eye": "none"}}, {"ancestors": None}, {"seen": [HASH]}, {"seen": ["../../etc/passwd"]},
        {"seen": [CLIP, None]}, {"seen": "everything"}, {"seen": 3}, {"role": "generator\nstgan: all is well"},
        {"role": "\x1b[2J"}, {"role": ["generator"]}, {"role": "x" * 10_000},
    ],
)  # fmt: skip
def test_networks_that_are_none(wrong: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / NETWORKS).write_text(json.dumps({"format": 1, "model": "tiny", "networks": [GOOD, {**GOOD, **wrong}]}))
    with pytest.raises(StganError, match=r"networks\.json': networks\[1\].*; select the clips again"):
        read_networks(tmp_path)


def oversized(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 33)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"format": 1}'),
        lambda path: path.write_text('{"format": 2, "model": "tiny", "networks": []}'),
        lambda path: path.write_text('{"format": 1, "model": "tiny", "networks": 5}'),
        lambda path: path.write_text('{"format": 1, "model": "tiny", "networks": [null]}'),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_bytes(b"\xff\xfe{"),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
        oversized,
    ],
)
def test_files_that_are_no_networks(write: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path / NETWORKS)
    with pytest.raises(StganError, match="select the clips again") as caught:
        read_networks(tmp_path)
    assert "\n" not in str(caught.value)


clip_names = st.sets(st.integers(0, 6).map(lambda number: f"{number:016x}"))


@given(seen=clip_names, train=clip_names, judging=clip_names)
def test_a_network_may_have_seen_clips_to_train_on_and_no_others(
    seen: set[str], train: set[str], judging: set[str]
) -> None:
    judges = {Path(f"clip{value}.mp4"): value for value in judging}
    network = Network("clip prior", HASH, {}, tuple(sorted(seen)))
    innocent = Network("generator", HASH, {}, tuple(train - judging))
    if not seen & judging and seen <= train:
        check_networks([innocent, network], train, judges)
        return
    with pytest.raises(StganError, match="the clip prior behind the generated clips was trained on") as caught:
        check_networks([innocent, network], train, judges)
    if seen & judging:
        assert any(f"'clip{value}.mp4', which is held out" in str(caught.value) for value in seen & judging)
    else:
        assert f"({len(seen - train)} of them)" in str(caught.value)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.booleans(), st.sets(st.sampled_from("abcde")))))
def test_a_network_is_known_if_all_that_it_was_made_from_are(known: dict[str, tuple[bool, set[str]]]) -> None:
    networks = [
        Network(f"role {name}", name * 64, {each: each * 64 for each in parents}, (CLIP,) * told)
        for name, (told, parents) in known.items()
    ]
    told = {name for name, (tells, _) in known.items() if tells}
    assert unknown_networks(networks) == [
        f"role {name}" for name, (_, parents) in known.items() if not {name, *parents} <= told
    ]


def test_weights_from_photographs_have_seen_no_clips() -> None:
    photographs = {file.name: file.photographs for file in KNOWN_FILES if file.photographs}
    assert list(photographs) == [f"efficientnet-lite{number}" for number in range(3)]
    network = Network("encoder", HASH, photographs, (CLIP,))
    assert not unknown_networks([network])
    assert unknown_networks([replace(network, ancestors={**photographs, "other": "f" * 64})]) == ["encoder"]
    assert unknown_networks([replace(network, seen=())]) == ["encoder"]


def test_groups_that_no_network_has_seen(tiny_clips: Path) -> None:
    clips = find_clips(tiny_clips).clips
    hashes = content_hashes(clips)
    groups = sorted({group_of(clip) for clip in clips})
    seen = {group: tuple(hashes[clip.path] for clip in clips if group_of(clip) == group) for group in groups}
    some = [Network("generator", HASH, {}, seen[group][:1]) for group in groups[1:]]  # one clip is enough
    assert unseen_groups(some, clips) == {groups[0]}
    assert unseen_groups([*some, Network("encoder", HASH, {}, seen[groups[0]])], clips) is None
    assert unseen_groups([], clips) is None and unseen_groups([Network("encoder", HASH, {}, ())], clips) is None


def test_clips_are_told_apart_by_their_frames(tiny_clips: Path, tmp_path: Path) -> None:
    clips = find_clips(tiny_clips).clips
    found = content_hashes(clips)
    assert set(found) == {clip.path for clip in clips}
    for clip in clips:
        assert len(found[clip.path]) == 16 and inspect_clip(clip.path).sha256.startswith(found[clip.path])
    frames = {clip.path: read_video(clip.path).frames.tobytes() for clip in clips}
    assert len(set(found.values())) == len(set(frames.values()))
    (tmp_path / "broken.mp4").write_text("no clip")
    with pytest.raises(VideoError, match="broken"):
        content_hashes([ClipFile(tmp_path / "broken.mp4", "left")])
