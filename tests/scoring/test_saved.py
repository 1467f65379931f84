"""Measurements in a file: the scores are those of the clips, or it is refused with a sentence, whatever it holds."""

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.metrics import FrechetVideoDistance
from stgan.records import as_plain
from stgan.scoring import (
    Clip,
    Evaluator,
    Real,
    Rules,
    SteeredBy,
    evaluate,
    find_evaluator,
    labelled_clips,
    load_measurements,
    measure,
)
from stgan.video import find_clips, write_video


@pytest.fixture(scope="module")
def stream(tiny_model: Path) -> Evaluator:
    return find_evaluator("temporal_stream", find_model(tiny_model))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    root, rng = tmp_path_factory.mktemp("real"), np.random.default_rng(1)
    for number in range(6):
        action = ("grow", "left", "right")[number % 3]
        (root / action).mkdir(exist_ok=True)
        write_video(root / action / f"{number}.mp4", rng.integers(0, 256, (24, 20, 16, 3)).astype(np.uint8))
    return labelled_clips(find_clips(root))


@pytest.fixture(scope="module")
def made(tiny_clips: Path) -> list[Clip]:
    """Clips that were steered, one of which activates a unit instead of an action."""
    by = SteeredBy(("c3d",), frozenset({"a" * 64, "b" * 64}), {"c3d": f"{'a' * 10}:100"})
    clips = [replace(clip, steering=by) for clip in labelled_clips(find_clips(tiny_clips))]
    return [replace(clips[0], action=None, unit=("fc:3", 1.5)), *clips[1:]]


RULES = {
    "stgan": Rules(splits=2),
    "some": Rules(num=5),
    "drawn": replace(Rules(), real="random", real_window="random", num=4, num_real=5, draws=2),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("features", [True, False])
def test_scores_from_features_are_those_from_clips(
    name: str,
    features: bool,
    made: list[Clip],
    real: list[Clip],
    evaluator: Evaluator,
    stream: Evaluator,
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    options: dict[str, Any] = {"features": stream if features else None, "rules": RULES[name]}
    ours, theirs = tmp_path / "made.features.safetensors", tmp_path / "real.features.safetensors"
    scores = evaluate(
        [*made, Clip(broken, broken.name, "left")], evaluator, real=Real(real), keep_going=True,
        save_features=ours, save_real=theirs, **options,
    )  # fmt: skip
    assert scores.near_duplicates and scores.copies and (name != "stgan" or scores.skipped)
    saved = Real(load_measurements(theirs).clips)
    again = tmp_path / "again.features.safetensors"
    for clips, other in ((load_measurements(ours).clips, Real(real)), (load_measurements(ours).clips, saved)):
        found = evaluate(clips, evaluator, real=other, save_features=again, keep_going=True, **options)
        assert as_plain(found) == as_plain(scores)
    assert again.read_bytes() == ours.read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_saved_real_clips_serve_other_clips_and_loops(
    made: list[Clip], real: list[Clip], evaluator: Evaluator, tmp_path: Path
) -> None:
    path = tmp_path / "real.features.safetensors"
    split = [replace(clip, split="train") for clip in real]
    evaluate(made[::2], evaluator, real=Real(split), save_real=path)
    saved = load_measurements(path)
    for some in (made[::2], made[1::2]):
        scores = evaluate(some, evaluator, real=Real(saved.clips))
        assert as_plain(scores) == as_plain(evaluate(some, evaluator, real=Real(split)))
    (part,) = saved.parts
    metric = FrechetVideoDistance(evaluator, real=part.measured.features)
    metric.update(torch.rand(4, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert metric.compute() > 0


def test_another_share_of_shuffled_clips_serves(made: list[Clip], evaluator: Evaluator, tmp_path: Path) -> None:
    """It depends on how many clips are scored."""
    path = tmp_path / "made.features.safetensors"
    evaluate(made, evaluator, save_features=path)
    saved = load_measurements(path)
    protocol = saved.parts[0].protocol
    assert protocol.shuffled == 1
    for share in (0.5, 0.0):
        found, _ = measure(saved.clips, evaluator, replace(protocol, shuffled=share))
        assert torch.equal(found.features, saved.parts[0].measured.features)
    (part,) = saved.parts
    assert not replace(part, protocol=replace(protocol, shuffled=0.0)).serves(protocol)


def test_what_does_not_fit_is_refused(
    made: list[Clip], real: list[Clip], evaluator: Evaluator, stream: Evaluator, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "made.features.safetensors", tmp_path / "real.features.safetensors"
    evaluate(made, evaluator, real=Real(real), save_features=ours, save_real=theirs)
    clips, reference = load_measurements(ours).clips, load_measurements(theirs).clips
    for network in (stream, replace(evaluator, frames=8), replace(evaluator, hash="0" * 64)):
        with pytest.raises(StganError, match="was measured by 'evaluator' on windows of 16 frames, not by this"):
            evaluate(clips, network)
    with pytest.raises(StganError, match=r"another protocol \(size None instead of \(12, 12\)\)"):
        measure(clips, evaluator, replace(load_measurements(ours).parts[0].protocol, size=(12, 12)))
    with pytest.raises(StganError, match=r"\(windows 3 instead of 1\); .* with as many clips \(--num\)"):
        evaluate(made[:3], evaluator, real=Real(reference))
    with pytest.raises(StganError, match=r"fps None instead of 10"):
        evaluate(made, evaluator, real=Real(reference, fps=10.0))
    with pytest.raises(StganError, match="another number of clips"):
        evaluate(clips, evaluator, rules=Rules(num=5))
    with pytest.raises(StganError, match="cannot be scored together with others"):
        evaluate([*clips, *real[:1]], evaluator)


@pytest.fixture(scope="module")
def file(made: list[Clip], evaluator: Evaluator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "made.features.safetensors"
    evaluate(made, evaluator, save_features=path)
    return path


Tensors = dict[str, Tensor]


def at(name: str, value: float) -> Callable[[Tensors, Any], None]:
    def change(tensors: Tensors, index: Any) -> None:
        tensors[name].view(-1)[0] = value

    return change


def without(name: str) -> Callable[[Tensors, Any], None]:
    return lambda tensors, index: (tensors.pop(name), None)[1]


def become(name: str, value: Callable[[Tensor], Tensor]) -> Callable[[Tensors, Any], None]:
    return lambda tensors, index: tensors.update({name: value(tensors[name]).contiguous()})


def said(place: Callable[[Any], Any], name: str | int, value: Any) -> Callable[[Tensors, Any], None]:
    return lambda tensors, index: place(index).__setitem__(name, value)


def part(index: Any) -> Any:
    return index["parts"][0]


WRONG = {
    "NaN": at("features", np.nan),
    "infinite": at("log_probabilities", -np.inf),
    "no probabilities": at("log_probabilities", 3),
    "partly shuffled": at("shuffled", np.nan),
    "beyond 255": at("pixels.motion", 1e300),
    "below 0": at("pixels.held", -1),
    "no height": at("sizes", 0),
    "no stored width": at("stored_sizes", 0),
    "negative rate": at("rates", -1),
    "negative count": at("thumbnail_counts", -5),
    "another count": at("thumbnail_counts", 10**15),
    "missing tensor": without("pixels.flicker"),
    "more tensors": lambda tensors, index: tensors.update({"x": torch.zeros(1)}),
    "another type": become("features", Tensor.double),
    "a row less": become("features", lambda values: values[1:]),
    "no feature": become("features", lambda values: values[:, :0]),
    "a class less shuffled": become("shuffled", lambda values: values[:, 1:]),
    "pictures of another size": become("thumbnails", lambda values: values[:, 1:]),
    "no metadata": lambda tensors, index: index.clear(),
    "another format": said(lambda index: index, "format", 2),
    "unknown names": said(lambda index: index, "code", "print()"),
    "no part": said(lambda index: index, "parts", []),
    "an unknown clip": said(lambda index: part(index)["rows"], 0, 9),
    "no such place": said(lambda index: part(index)["clips"], 0, -1),
    "no hash": said(lambda index: part(index)["contents"], 0, "zz"),
    "two clips of one name": lambda tensors, index: index["clips"][0].update(name=index["clips"][1]["name"]),
    "no fingerprint": lambda tensors, index: index["steering"][0].update(tensors={"c3d": "x y"}),
    "steered by nothing": said(lambda index: index["clips"][0], "steering", 7),
    "another number": said(part, "enough", 1e9),
    "no protocol": lambda tensors, index: part(index)["protocol"].update(windows=0),
}


@pytest.mark.parametrize("name", WRONG)
def test_damaged_and_hostile_files_are_refused(name: str, file: Path, tmp_path: Path) -> None:
    tensors, path = load_file(file), tmp_path / "x.features.safetensors"
    (length,) = struct.unpack("<Q", file.read_bytes()[:8])
    index = json.loads(json.loads(file.read_bytes()[8 : 8 + length])["__metadata__"]["stgan"])
    WRONG[name](tensors, index)
    save_file(tensors, path, {"stgan": json.dumps(index)} if index else None)
    with pytest.raises(StganError, match="cannot take the place of clips") as refused:
        load_measurements(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1500


def write(path: Path, header: bytes, rest: bytes = b"", length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + rest)
    return path


def test_headers_that_lie_are_refused(file: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "x.features.safetensors", file.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, rest = whole[8 : 8 + length], whole[8 + length :]
    twice = header.replace(b'"features":', b'"shuffled":', 1)
    inner = header.replace(rb"\"format\":", rb"\"version\":", 1)
    huge = header.replace(b'"shape":[9,8]', b'"shape":[900000000000,8]')
    for wrong in (twice, inner, huge, b"[" * 100_000, b"{}", b'{"__metadata__":{"stgan":1}}'):
        assert wrong != header
        with pytest.raises(StganError, match="cannot take the place of clips"):
            load_measurements(write(path, wrong, rest))
    for length in (0, 1 << 40, (1 << 64) - 1):
        with pytest.raises(StganError, match="no safetensors file"):
            load_measurements(write(path, header, rest, length))
    with path.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(StganError, match="no safetensors file"):
        load_measurements(path)
    for wrong in (tmp_path / "missing", tmp_path):
        with pytest.raises(StganError, match="there is no such file"):
            load_measurements(wrong)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_one_sentence_or_harmless(data: st.DataObject, file: Path, tmp_path: Path) -> None:
    damaged, path = bytearray(file.read_bytes()), tmp_path / "x.features.safetensors"
    header = 8 + struct.unpack("<Q", damaged[:8])[0]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, header - 1) | st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(len(damaged) // 2, 2 * len(damaged))) :]
    path.write_bytes(damaged)
    try:
        assert load_measurements(path).clips
    except StganError as error:
        assert "\n" not in str(error)


def test_an_unwritable_place_leaves_no_file(made: list[Clip], evaluator: Evaluator, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    shutil.rmtree(folder)
    with pytest.raises((StganError, OSError)):
        evaluate(made, evaluator, save_features=folder / "x.features.safetensors")
    assert not folder.exists()
