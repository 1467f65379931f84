"""Folders, csv files and lists of clips that nobody should have made: refused in one bounded sentence."""

import os
import shutil
import time
from pathlib import Path

import pytest
from clip_folders import refusal, touch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stgan.errors import StganError
from stgan.names import is_file_name, printable, quoted
from stgan.video import data_root, find_clips

BAD_LABELS = ("a/b", "..", ".hidden", "a\\b", "C:", "x" * 101, "\u00e9" * 51, "\x1b[31m", "a\u202eb", "two\nlines")


def from_csv(root: Path, text: str, name: str = "clips.csv") -> str:
    """How a csv file of this content is refused, in a folder that has a.mp4."""
    touch(root, "a.mp4")
    (root / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    return refusal(root)


def test_labels_that_cannot_name_a_folder(tmp_path: Path) -> None:
    for number, label in enumerate(BAD_LABELS):
        folder = tmp_path / str(number)
        assert not is_file_name(label)
        assert "cannot name a folder" in from_csv(folder, f'path,label\na.mp4,"{label}"\n')
        if not set(label) & set("/\0") and not label.startswith("."):
            touch(folder / "folders", f"{label}/a.mp4")
            assert "cannot name a folder" in refusal(folder / "folders")


def test_labels_that_can(tmp_path: Path) -> None:
    labels = ("two words", "-rf", "caf\u00e9", "\U0001f483", "\u0634\u062e\u0635", "a.b", "x" * 100)
    touch(tmp_path, *(f"{label}/a.mp4" for label in labels))
    assert set(find_clips(tmp_path).actions) == set(labels)
    rows = "".join(f"{label}/a.mp4,{label}\n" for label in labels)
    (tmp_path / "clips.csv").write_text("path,label\n" + rows, encoding="utf-8")
    assert set(find_clips(tmp_path).actions) == set(labels)


def test_labels_that_look_alike(tmp_path: Path) -> None:
    for one, other in (("walk", "Walk"), ("caf\u00e9", "cafe\u0301"), ("\u00c9", "e\u0301")):
        touch(tmp_path, "b.mp4")
        assert "one spelling" in from_csv(tmp_path, f"path,label\na.mp4,{one}\nb.mp4,{other}\n")


def test_columns_of_splits_with_odd_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    for name in ("\ufeffSet", "s" + " " * 1000 + "et\u202e"):
        (tmp_path / "clips.csv").write_text(f"path,label,{name}\na.mp4,x,train\nb.mp4,x,none\n", encoding="utf-8")
        (note,) = find_clips(tmp_path).notes
        assert note.isprintable() and len(note) < 300 and "neither train, val nor test" in note


def test_a_clip_twice(tmp_path: Path) -> None:
    assert "entry 2" in from_csv(tmp_path, "path,label\na.mp4,x\n./a.mp4,y\n")
    assert "entry 3" in from_csv(tmp_path, "path,label,split\na.mp4,x,\na.mp4,x,train\na.mp4,x,test\n")


def test_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    touch(tmp_path, "a, b.mp4", 'say "hi".mp4', "c.mp4")
    text = '\ufeffpath,label\r\n"a, b.mp4",walk\r\n"say ""hi"".mp4","walk"\r\nc.mp4 , run ,extra,cells\r\n'
    (tmp_path / "Clips.CSV").write_bytes(text.encode())
    found = [(clip.path.name, clip.label) for clip in find_clips(tmp_path).clips]
    assert found == [("a, b.mp4", "walk"), ('say "hi".mp4', "walk"), ("c.mp4", "run")]


def test_csv_that_is_wrong(tmp_path: Path) -> None:
    for text in (
        *("path,label\n", "path,label\na.mp4,\n", "path,label\n,x\n", "path,label\n\n\n", "path;label\nb.mp4;x\n", ""),
        *('path,label\n"a.mp4,x\n', "path,label\na\0.mp4,x\n", "path,label\n" + "x" * 400 + ".mp4,x\n"),
        *("path,label\n" + "x" * 5_000_000 + ",x\n", "path,label\n" + "x," * 80_000 + "\n", "path\nlabel\n"),
        *("path,label\na.mp4/b.mp4,x\n", "path,label\n.,x\n", "path,label\n~/a.mp4,x\n", "path,label\n\ud800.mp4,x\n"),
    ):
        from_csv(tmp_path, text)


def test_other_tables_beside_the_clips_do_not_matter(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.mp4", "folder.csv/notes.txt")
    (tmp_path / "latin.csv").write_bytes("größe,name\n1,ü\n".encode("latin-1"))
    (tmp_path / "long.csv").write_bytes(b"x" * 1_000_000)
    (tmp_path / "twice.csv").write_text("path,label\n" + "x" * 100_001 + ",x\n")
    assert "list of clips (more than" in refusal(tmp_path, csv="twice.csv")
    (tmp_path / "twice.csv").unlink()
    (tmp_path / "wide.csv").write_text('path,label,"' + "x" * 200_000 + '"\n')
    (tmp_path / "._clips.csv").write_text("path,label\nhidden.mp4,x\n")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.csv")
        assert "there is no file" in refusal(tmp_path, csv="pipe.csv")
    assert find_clips(tmp_path).actions == ("walk",)
    assert "list of clips (more than" in refusal(tmp_path, csv="long.csv") and "UTF-8" in refusal(
        tmp_path, csv="latin.csv"
    )


def test_lines_without_end(tmp_path: Path) -> None:
    assert "more than 1000000 lines" in from_csv(tmp_path, "path,label\n" + "\n" * 1_000_000)


def test_json_lines_that_are_wrong(tmp_path: Path) -> None:
    sound = '{"path": "a.mp4", "label": "x"}\n'
    for text, message in (
        (sound + "[]\n", "no JSON object"),
        (sound + '{"path": NaN}\n', "NaN"),
        (sound + '{"path": "b.mp4", "label": null}\n', "entry 2"),
        (sound + "{" + ", ".join(f'"{number}": 0' for number in range(1001)) + "}\n", "1000 names"),
        (sound + sound, "entry 2"),
        (sound + "{" * 50_000, "JSON lines"),
    ):
        assert message.replace("JSON lines", "list of clips") in from_csv(tmp_path, text, "clips.jsonl")


def test_10_000_clips_on_a_list(tmp_path: Path) -> None:
    """In a time that does not grow with the square of their number."""
    touch(tmp_path, "a.mp4")
    rows = "".join(f"walk/v_{number:05d}.mp4,walk,g{number % 25}\n" for number in range(10_000))
    started = time.process_time()
    assert "10000 clip(s)" in from_csv(tmp_path, "path,label,group\na.mp4,walk,g1\n" + rows)
    assert time.process_time() - started < 20


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.mp4", "run/a.mp4")
    (tmp_path / "run").chmod(0)
    assert "permissions" in refusal(tmp_path)
    (tmp_path / "run").chmod(0o700)


def test_odd_lines_in_ucf_lists(tmp_path: Path) -> None:
    touch(tmp_path, "run/v_g01_c01.avi", "ucfTrainTestlist/testlist01.txt")
    for line in (
        "walk",
        "walk/a.avi/b",
        "/walk/a.avi",
        "walk/../../a.avi",
        "C:\\a.avi 1",
        "..",
        "x" * 200_000,
        "walk/a.avi 1\x00",
    ):
        (tmp_path / "ucfTrainTestlist" / "trainlist01.txt").write_text(f"{line}\n")
        refusal(tmp_path)


def test_what_ucf_lists_may_hold(tmp_path: Path) -> None:
    touch(tmp_path, "run/v_g01_c01.avi", "run/v_no_group.avi")
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text("\ufeff\r\n\n  run/v_g01_c01.avi   1 \r\nrun/absent.avi 1\n", "utf-8")
    (lists / "testlist01.txt").write_text("run/v_no_group.avi\n" + "run/" + "x" * 300 + ".avi\n")
    found = [(clip.path.name, clip.group, clip.split) for clip in find_clips(tmp_path).clips]
    assert found == [("v_g01_c01.avi", "run_g01", "train"), ("v_no_group.avi", None, "test")]
    (lists / "testlist01.txt").write_text("run/v_g01_c01.avi\n")
    assert "twice" in refusal(tmp_path)


def test_folders_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x" * 300, "a\0b", "two\nlines", "\x1b[31m"):
        assert "is not a folder" in refusal(tmp_path / name)
        with pytest.raises(StganError, match="does not exist"):
            data_root(tmp_path / name)
    monkeypatch.setenv("STGAN_DATA", "~nobody_of_this_name/data")
    with pytest.raises(StganError, match="STGAN_DATA"):
        data_root(None)


cells = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [*BAD_LABELS, "a.mp4", "walk/a.mp4"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(cells, cells), max_size=4), st.booleans(), st.sampled_from(["path,label\n", "a.mp4,x\n"]))
def test_any_list_is_read_or_refused(tmp_path: Path, rows: list[tuple[str, str]], ucf: bool, first: str) -> None:
    """Nothing but clips in the folder, whose labels can name folders; or one sentence."""
    shutil.rmtree(tmp_path)
    touch(tmp_path, "a.mp4", "walk/a.mp4")
    if ucf:
        (tmp_path / "ucfTrainTestlist").mkdir()
        for name in ("trainlist01.txt", "testlist01.txt"):
            text = "".join(f"{path} {label}\n" for path, label in rows)
            (tmp_path / "ucfTrainTestlist" / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    else:
        text = first + "".join(f"{path},{label}\n" for path, label in rows)
        (tmp_path / "clips.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = find_clips(tmp_path)
    except StganError as error:
        assert str(error).isprintable() and len(str(error)) < 1200
    else:
        assert {clip.path for clip in found.clips} <= {tmp_path / "a.mp4", tmp_path / "walk/a.mp4"}
        assert all(is_file_name(action) for action in found.actions)


@given(st.text(st.characters(exclude_categories=()), max_size=1000))
def test_quoted_is_one_short_line(name: str) -> None:
    assert quoted(name).isprintable() and len(quoted(name)) <= 300
    assert quoted(name) == repr(name) or len(repr(name)) > 300


@given(st.text(), st.integers(4, 12))
def test_printable_is_the_name_where_it_can_be_shown(name: str, most: int) -> None:
    assert printable(name).isprintable() and (printable(name) == name) == name.isprintable()
    cut = printable(name, most)
    assert len(cut) <= most and (cut == printable(name) or cut.endswith("..."))
