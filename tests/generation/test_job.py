"""Jobs: which clips are made together, what is kept of them, and what a folder says of how its clips were computed."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan import STGAN
from stgan.errors import StganError
from stgan.generation import MOST_TOGETHER, GenerationJob
from stgan.generation.job import as_begun
from stgan.generation.units import Unit
from stgan.parts import Run
from stgan.sampling import Samples, clip_seed

BATCH = 2
CLIPS = {"grow": 3, "left": 5}
BATCHES = [("grow", 2), ("left", 2), ("grow", 1), ("left", 2), ("left", 1)]
"""Actions by turns, and no clip that was not asked for."""


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, "cpu")


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """The seeds of each batch that is made. How bright a clip is says which others were made with it."""
    batches: list[tuple[int, ...]] = []

    def sample(networks: Any, phi: Any, seeds: list[int], preset: Any, frames: int, **options: Any) -> Samples:
        batches.append(tuple(seeds))
        own = torch.tensor([(seed % 97 + 3 * (sum(seeds) % 31)) / 255 for seed in seeds])
        videos = own.view(-1, 1, 1, 1, 1).expand(-1, 3, frames, 16, 16)
        return Samples(videos, None, -own, torch.ones(len(seeds), dtype=torch.long))

    monkeypatch.setattr("stgan.pipeline.sample", sample)
    yield batches


def job(model: STGAN, num: int | dict[str, int] = CLIPS) -> GenerationJob:
    return GenerationJob(model, model.steering(["grow", "left"]), model.preset("robust"), num, seed=3, batch=BATCH)


def make(job: GenerationJob, out: Path, until: int | None = None) -> dict[str, bytes]:
    """All clips, or so many units before it is interrupted; what is in the folder then."""
    with job.open(out, resume=True) as run:
        for done, _ in enumerate(run.make_all(), 1):
            if done == until:
                break
    return {path.name: path.read_bytes() for path in out.rglob("*") if path.suffix in (".mp4", ".jsonl")}


def seeds_of(action: str, first: int, num: int) -> tuple[int, ...]:
    return tuple(clip_seed(3, action, index) for index in range(first, first + num))


def test_no_clip_is_made_that_was_not_asked_for(model: STGAN, sampled: list[tuple[int, ...]], tmp_path: Path) -> None:
    make(job(model), tmp_path)
    first = dict.fromkeys(CLIPS, 0)
    for made, (action, num) in zip(sampled, BATCHES, strict=True):
        assert made == seeds_of(action, first[action], num)
        first[action] += num
    assert first == CLIPS and len(list(tmp_path.rglob("*.mp4"))) == 8
    sampled.clear()
    model.generate("left", 3)
    assert [len(made) for made in sampled] == [3]
    sampled.clear()
    model.generate("left")
    assert [len(made) for made in sampled] == [1]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"num": num} for num in (0, -1, 1.5, {}, {"grow": 0}, {"grow": 1, "left": -3}, {"nope": 1})),
        *({"batch": batch} for batch in (0, -1, 2.5, MOST_TOGETHER + 1)),
        *({"seed": seed} for seed in (None, 1.5, "x")),
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchecked")
def test_a_job_of_nonsense_is_refused_before_it_touches_a_folder(model: STGAN, wrong: dict[str, Any]) -> None:
    with pytest.raises(StganError):
        replace(job(model), **wrong)


@pytest.mark.parametrize("until", range(1, 5))
def test_resumed_clips_have_the_neighbours_of_an_undisturbed_run(
    model: STGAN, sampled: list[tuple[int, ...]], until: int, tmp_path: Path
) -> None:
    whole = make(job(model), tmp_path / "whole")
    undisturbed = list(sampled)
    make(job(model), tmp_path / "out", until)
    finished = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("out/*/*.mp4")}
    assert len(finished) == sum(num for _, num in BATCHES[:until])
    sampled.clear()
    assert make(job(model), tmp_path / "out") == whole
    assert sampled == undisturbed[-len(sampled) :]  # nothing but batches that lack a clip
    for path in tmp_path.glob("out/*/*.mp4"):
        assert path.stat().st_mtime_ns == finished.get(path.name, path.stat().st_mtime_ns)


def test_a_clip_that_was_taken_away_comes_back_as_it_was(
    model: STGAN, sampled: list[tuple[int, ...]], tmp_path: Path
) -> None:
    whole = make(job(model), tmp_path)
    (tmp_path / "left/left_seed3_0003.mp4").unlink()
    sampled.clear()
    assert make(job(model), tmp_path) == whole
    assert sampled == [seeds_of("left", 2, 2)]


def test_a_folder_can_be_resumed_for_more_clips_and_for_fewer(
    model: STGAN, sampled: list[tuple[int, ...]], tmp_path: Path
) -> None:
    more, one = make(job(model, 4), tmp_path / "more"), make(job(model, 1), tmp_path / "one")
    names = {name for name in more if name.endswith(".mp4")}
    found = make(job(model, 4), tmp_path / "one")
    assert {name for name in names if found[name] == more[name]} == {name for name in names if "_0000" not in name}
    assert {name for name in names if found[name] == one.get(name)} == {name for name in names if "_0000" in name}
    sampled.clear()
    assert make(job(model, 1), tmp_path / "one") == found and sampled == []


def test_a_resumed_folder_sets_its_batch_unless_another_is_asked_for(
    model: STGAN, sampled: list[tuple[int, ...]], tmp_path: Path
) -> None:
    whole = make(job(model), tmp_path)
    (tmp_path / "left/left_seed3_0000.mp4").unlink()
    assert make(replace(job(model), batch=None), tmp_path) == whole
    with pytest.raises(StganError, match="was made with batch 2, not 3"):
        make(replace(job(model), batch=3), tmp_path)


def test_what_is_said_of_the_clips_of_a_unit(model: STGAN, sampled: list[tuple[int, ...]]) -> None:
    clips = job(model, {"left": 2}).make(Unit("left", range(2)))
    assert [clip.key for clip in clips] == [("left", 0), ("left", 1)] and [clip.place for clip in clips] == [0, 1]
    assert all(clip.details.keys() == {"probability", "steps"} and clip.frames.dtype == "uint8" for clip in clips)
    target = replace(job(model, 1), steering=model.steering(condition="lrcn", target="lstm:3"))
    (clip,) = target.make(*target.plan())
    assert clip.key == ("lrcn.lstm_3", 0) and clip.details.keys() == {"activation", "steps"}


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["grow", "left", "right"]), st.integers(1, 40), min_size=1), st.integers(1, 9))
def test_a_plan_has_each_clip_once_and_shards_share_it(model: STGAN, counts: dict[str, int], batch: int) -> None:
    planned = list(replace(job(model), steering=model.steering(), num=counts, batch=batch).plan())
    keys = [(unit.action, number) for unit in planned for number in unit.clips]
    assert len(keys) == len(set(keys)) and set(keys) == {(a, i) for a, of in counts.items() for i in range(of)}
    assert all(unit.clips.start % batch == 0 and len(unit.clips) <= batch for unit in planned)
    assert [unit.clips.start for unit in planned] == sorted(unit.clips.start for unit in planned)


def test_shards_in_any_order_make_what_one_process_makes(
    model: STGAN, sampled: list[tuple[int, ...]], tmp_path: Path
) -> None:
    whole, batches = make(job(model), tmp_path / "whole"), sorted(sampled)
    sampled.clear()
    for number in (2, 4, 1, 3):
        with job(model).open(tmp_path / "out", resume=True, shard=(number, 4)) as run:
            made = [unit for unit, _ in run.make_all()]
            assert made == list(run.units()) and run.is_complete() == (number == 3)
        assert bool(list(tmp_path.glob("out/contact_sheet.png"))) == (number == 3)
    assert sorted(sampled) == batches  # nothing twice
    assert make(job(model), tmp_path / "out") == whole


@pytest.mark.parametrize("shard", [(0, 1), (2, 1), (-1, 3)])
def test_a_shard_that_there_cannot_be_is_refused(shard: tuple[int, int], model: STGAN, tmp_path: Path) -> None:
    with pytest.raises(StganError, match="no shard"), job(model).open(tmp_path / "out", resume=True, shard=shard):
        pass
    assert not (tmp_path / "out").exists()


def test_a_folder_is_resumed_with_other_threads_and_its_lines_tell(
    model: STGAN, sampled: list[tuple[int, ...]], tmp_path: Path
) -> None:
    make(job(model), tmp_path, until=2)
    run = json.loads((tmp_path / "run.json").read_text())
    run["begun"] |= {"threads": 10**6, "device": "abacus", "torch": "0.4", "version": "0.0.9"}
    (tmp_path / "run.json").write_text(json.dumps(run))
    for part in tmp_path.glob("parts/*/*.jsonl"):
        part.write_text(part.read_text().replace('"device": "cpu"', '"device": "abacus"'))
    make(job(model), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert {(line["action"], line["index"] < 2, line["device"]) for line in lines} == {
        (action, first, "abacus" if first else "cpu") for action in CLIPS for first in (True, False)
    }


def run_of(**fields: Any) -> Run:
    fields = {"batch": 4} | fields
    return Run(
        counts={"a": 1}, settings={"seed": 0, "batch": fields["batch"]}, begun={"threads": fields.get("threads")}
    )


def test_threads_and_batch_are_those_of_the_folder_within_the_block() -> None:
    before, other = torch.get_num_threads(), os.cpu_count() or 1
    with as_begun(run_of(batch=3, threads=other), 16) as batch:
        assert (batch, torch.get_num_threads()) == (3, other)
    assert torch.get_num_threads() == before


def test_a_record_cannot_ask_for_more_than_a_device_gives() -> None:
    before = torch.get_num_threads()
    with as_begun(run_of(batch=17, threads=max(os.cpu_count() or 1, before) + 1), 4) as batch:
        assert (batch, torch.get_num_threads()) == (4, before)
    with as_begun(run_of(batch=17), 32) as batch:  # the user asks for 32
        assert batch == 17


@pytest.mark.parametrize("value", [True, 0, -1, 2.0, "4", None, [], 10**400], ids=lambda value: repr(value)[:9])
def test_what_is_no_number_of_threads_stands_for_nothing(value: Any) -> None:
    before = torch.get_num_threads()
    with as_begun(run_of(threads=value), 16):
        assert torch.get_num_threads() == before
