"""`run.json` and the parts of a folder: whole and of one run only, and nothing believed that stgan would not write."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_lines import HOSTILE

from stgan.errors import StganError
from stgan.manifest import Entry
from stgan.parts import Run, first_difference, listed, part_path, read_part, read_run, status
from stgan.records import as_plain, write_record

SETTINGS: dict[str, Any] = {
    "seed": 3,
    "batch": 2,
    "preset": "robust",
    "settings": {"guidance": 0.25, "temporal_kernel": [0.05, 0.9, 0.05]},
    "hashes": {"generator": "ab12", "condition": {"lrcn": "cd34" * 16}},
}
RUN = Run(counts={"left": 5, "up": 2}, settings=SETTINGS, begun={"threads": 1})
MADE = {"sha256": "ab" * 32, **SETTINGS, "device": "cpu", "threads": 1}


def line(index: int = 0, action: str = "left", **changes: Any) -> dict[str, Any]:
    return {"file": RUN.file(action, index), "action": action, "index": index, **MADE, **changes}


def put(folder: Path, *lines: dict[str, Any] | bytes, first: int = 0, action: str = "left") -> Path:
    path = part_path(folder, action, first)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines)
    path.write_bytes(b"".join(each + b"\n" for each in encoded))
    return path


def refused(folder: Path) -> str:
    """The sentence with which the part of the first clip is refused."""
    with pytest.raises(StganError) as caught:
        read_part(folder, RUN, "left", 0)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    return str(caught.value)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_record(tmp_path / "run.json", RUN)
    assert read_run(tmp_path) == RUN and read_part(tmp_path, RUN, "left", 0) is None and listed(tmp_path) == {}
    path = put(tmp_path, line(2), line(3), first=2)
    part = read_part(tmp_path, RUN, "left", 2)
    assert part and part.path == path and part.content == path.read_bytes()
    assert part.entries == tuple(Entry.from_line(json.dumps(line(number))) for number in (2, 3))
    (tmp_path / "parts/left/.0004.jsonl.12.part").touch()
    (tmp_path / "parts/.hidden").mkdir()
    assert {action: [first for first, _ in parts] for action, parts in listed(tmp_path).items()} == {"left": [2]}


@pytest.mark.parametrize("harm", HOSTILE.values(), ids=HOSTILE)
def test_a_part_with_a_line_that_stgan_would_not_write_is_refused(harm: bytes, tmp_path: Path) -> None:
    put(tmp_path, line(0), harm)
    assert "line 2" in refused(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "cut off or empty"),
        ([line(), b'{"file": "left/left_seed3_0001'], "line 2"),
        ([line(), line()], "a second time"),
        ([line(1)], "names 'left/left_seed3_0001.mp4' where 'left/left_seed3_0000.mp4' should be"),
        ([line(), line(2)], "where 'left/left_seed3_0001.mp4' should be"),
        ([line(action="up")], "names 'up/up_seed3_0000.mp4' where"),
        ([line(file="left/left_seed4_0000.mp4")], "names 'left/left_seed4_0000.mp4' where"),
        ([line(file="left/other.mp4")], "names 'left/other.mp4' where"),
        ([line(seed=4)], "is of another run: it was made with seed 4, not 3"),
        ([line(preset="x" * 10**5)], "is of another run: it was made with preset 'xxx"),
        ([line(settings={"guidance": 0.5})], "made with settings.guidance 0.5, not 0.25"),
        ([line(sha256="../../x")], "has no hash"),
        ([line(sha256=None)], "has no hash"),
        ([line(sha256="AB" * 32)], "has no hash"),
    ],
)
def test_a_part_of_other_clips_or_of_another_run_is_refused(lines: list, message: str, tmp_path: Path) -> None:
    put(tmp_path, *lines)
    assert message in refused(tmp_path)


def test_a_part_that_is_cut_off_huge_or_no_file_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, line(0), line(1))
    path.write_bytes(path.read_bytes()[:-1])
    assert "cut off" in refused(tmp_path)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # without blocks on the disk
    assert "too large" in refused(tmp_path)
    path.unlink()
    os.mkfifo(path)  # to open it would wait for ever
    assert "not a regular file" in refused(tmp_path)


@settings(max_examples=100)
@given(st.integers(0, 10**9), st.integers(0, 255), st.booleans())
def test_a_part_with_a_flipped_or_missing_byte_is_read_right_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    path = put(folder, line(0), line(1))
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place : place + 1] = b"" if cut else bytes([byte])
    path.write_bytes(content)
    try:
        part = read_part(folder, RUN, "left", 0)
    except StganError as error:
        assert "\n" not in str(error)
        return
    assert part
    for index, entry in enumerate(part.entries):
        assert entry.file == f"left/left_seed3_{index:04d}.mp4" and not first_difference(entry.details, SETTINGS)


BAD_RUNS: list[tuple[Any, str]] = [
    ([], "must hold names and values"),
    ({"format": 2}, "format"),
    ({"counts": {"../x": 1}}, "cannot be the name of a folder"),
    ({"counts": {"": 1}}, "cannot be the name of a folder"),
    ({"counts": {".hidden": 1}}, "cannot be the name of a folder"),
    ({"counts": {"left": 0}}, "counts"),
    ({"counts": {"left": 10**12}}, "counts"),
    ({"counts": {"left": True}}, "counts"),
    ({"settings": {}}, "settings.seed"),
    ({"settings": {"seed": "3/../../x", "batch": 1}}, "settings.seed"),
    ({"settings": {"seed": 3, "batch": 0}}, "settings.batch"),
    ({"settings": {"seed": 3, "batch": 1.5}}, "settings.batch"),
    ({"begun": None}, "begun"),
    ({"more": 1}, "unknown name"),
]


@pytest.mark.parametrize(("change", "message"), BAD_RUNS)
def test_a_record_that_stgan_would_not_write_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    values = as_plain(RUN) | change if isinstance(change, dict) else change
    (tmp_path / "run.json").write_text(json.dumps(values))
    with pytest.raises(StganError, match=message) as caught:
        read_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_record_is_none_of_stgan_generate(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(StganError, match=r"has no run\.json"):
            status(folder)


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


@pytest.mark.parametrize("value", [{"a": {"b": [1] * 10**5}}, "x" * 10**6, "\x1b[31m\n", [[[[[[[[[[]]]]]]]]]], 10**300])
def test_what_differs_is_shown_briefly(value: Any) -> None:
    for difference in (
        first_difference({**SETTINGS, "preset": value}, SETTINGS),
        first_difference({**SETTINGS, "settings": {"guidance": value}}, SETTINGS),
    ):
        assert len(difference) < 200 and difference.isprintable()


def test_status_of_a_folder_that_nobody_has_begun(tmp_path: Path) -> None:
    write_record(tmp_path / "run.json", RUN)
    found = status(tmp_path)
    assert (found.done, found.planned, found.rate, found.left, found.idle, found.workers) == (
        0,
        7,
        None,
        None,
        None,
        (),
    )
    assert {action: each.planned for action, each in found.actions.items()} == {"left": 5, "up": 2}


def test_status_counts_planned_clips_and_tells_the_rate_and_who_works(tmp_path: Path) -> None:
    write_record(tmp_path / "run.json", RUN)
    made = [("left", 0, "cpu", 1), ("up", 0, "cpu", 1), ("left", 2, "a GPU", 8), ("left", 4, "cpu", 2)]
    for second, (action, first, device, threads) in enumerate(made):
        numbers = range(first, min(first + 2, RUN.counts[action]))
        lines = [line(number, action, device=device, threads=threads) for number in numbers]
        os.utime(put(tmp_path, *lines, first=first, action=action), (0, 10**9 + 4 * second))
    put(tmp_path, line(0, "jump"), action="jump")  # asked for by nobody now
    os.utime(part_path(tmp_path, "jump", 0), (0, 10**9))
    found = status(tmp_path)
    assert (found.done, found.planned, found.left) == (7, 7, 0) and found.idle and found.idle > 10**6
    assert found.rate == pytest.approx((1 + 2 + 2 + 2) / 12)  # all but the oldest, since the first second of it
    assert [(each.device, each.threads, each.clips) for each in found.workers] == [
        ("cpu", 1, 5), ("a GPU", 8, 2), ("cpu", 2, 1),
    ]  # fmt: skip
    part_path(tmp_path, "left", 2).unlink()
    found = status(tmp_path)
    assert (found.done, found.actions["left"].done) == (5, 3) and found.rate
    assert found.left is None  # the latest batch is of the year 2001
    os.utime(part_path(tmp_path, "left", 4))
    found = status(tmp_path)
    assert found.rate and found.left == 2 / found.rate


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 40), min_size=1), st.integers(1, 7), st.data())
def test_status_agrees_with_a_count_of_the_clips(
    tmp_path_factory: pytest.TempPathFactory, counts: dict[str, int], batch: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("status")
    run = Run(counts=counts, settings={"seed": 0, "batch": batch}, begun={})
    write_record(folder / "run.json", run)
    clips = dict.fromkeys(counts, 0)
    for action, of in counts.items():
        for first in data.draw(st.sets(st.sampled_from(range(0, of, batch)))):
            numbers = range(first, min(first + batch, of))
            lines = [
                {**MADE, "file": run.file(action, number), "action": action, "index": number, **run.settings}
                for number in numbers
            ]
            put(folder, *lines, first=first, action=action)
            clips[action] += len(numbers)
    found = status(folder)
    assert {action: each.done for action, each in found.actions.items()} == clips and found.done == sum(clips.values())
