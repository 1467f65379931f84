"""`manifest.jsonl`: whole lines only, and nothing believed that could not have been written by stgan."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_lines import HOSTILE, LINE

from stgan.errors import StganError
from stgan.manifest import Entry, Manifest

ENTRY = Entry("left/a.mp4", "left", 0)
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=9)
ENTRIES = st.lists(
    st.builds(
        lambda name, action, index, more: Entry(f"{name}.mp4", action, index, {"more": more}),
        WORDS,
        WORDS,
        st.integers(0, 10**6),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists
        ),
    ),
    max_size=4,
    unique_by=lambda entry: entry.file,
)


@settings(max_examples=25, deadline=None)  # each writes to the disk
@given(ENTRIES, st.integers(0, 10**6))
def test_what_was_written_is_read_and_a_cut_line_costs_itself_only(
    tmp_path_factory: pytest.TempPathFactory, written: list, cut: int
) -> None:
    manifest = Manifest(tmp_path_factory.mktemp("manifest"))
    manifest.write(written)
    assert list(manifest.read()) == written
    content = manifest.path.read_bytes()
    content = content[: cut % (len(content) + 1)]
    manifest.path.write_bytes(content)
    assert list(manifest.read()) == written[: content.count(b"\n")]


def test_no_manifest_is_no_entries(tmp_path: Path) -> None:
    assert list(Manifest(tmp_path).read()) == []


def test_a_line_that_is_no_json_leaves_the_manifest_as_it_was(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.write([ENTRY])
    before = manifest.path.read_bytes()
    for bad in (float("nan"), {1, 2}):
        with pytest.raises((ValueError, TypeError)):
            manifest.write([ENTRY, Entry("b.mp4", "left", 0, {"probability": bad})])
        assert manifest.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_a_line_that_stgan_would_not_write_is_refused_by_its_number(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(json.dumps({**LINE, "file": "b.mp4"}).encode() + b"\n" + line + b"\n")
    with pytest.raises(StganError, match="line 2") as caught:
        list(Manifest(tmp_path).read())
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_clip_that_comes_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(2 * (json.dumps(LINE) + "\n"))
    with pytest.raises(StganError, match=r"line 2 is not a manifest entry \(it names 'left/a\.mp4' a second time"):
        list(Manifest(tmp_path).read())


def test_memory_is_bounded_by_a_line(tmp_path: Path) -> None:
    with (tmp_path / "manifest.jsonl").open("wb") as file:
        file.truncate(1 << 40)  # without blocks on the disk, and without a line's end
    with pytest.raises(StganError, match=r"line 1 is not a manifest entry \(it is too long"):
        list(Manifest(tmp_path).read())


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.jsonl")  # to open it would wait for ever
    with pytest.raises(StganError, match="not a regular file"):
        list(Manifest(tmp_path).read())
