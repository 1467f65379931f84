"""Lists of clips, as people and programs write them."""

import shutil
from pathlib import Path

import pytest
from clip_folders import refusal, touch, write_csv, write_frames

from stgan.video import ClipFile, find_clips


def test_csv(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.mp4", "walk/b.mp4", "run/c.mp4", "run/unlisted.mp4")
    write_csv(
        tmp_path,
        "\ufeffpath,label,actor,num_frames\nwalk/a.mp4,walk,ann,5\nwalk/b.mp4, walk ,bob,5\nrun/c.mp4,run,ann,5\n",
    )
    folder = find_clips(str(tmp_path))
    assert len(folder) == 3
    assert folder.clips[1] == ClipFile(tmp_path / "walk/b.mp4", "walk", "bob", None)
    assert folder.groups == ("ann", "bob")


def test_the_split_comes_from_the_column_asked_for(tmp_path: Path) -> None:
    for column, expected in (("split", "train test train"), ("strict", "train test")):
        touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
        write_csv(
            tmp_path,
            "path,label,group,split,strict\na.mp4,x,g,train,train\nb.mp4,x,h,test,test\n"
            "c.mp4,x,h,train,drop\nd.mp4,x,i,,\n",
        )
        folder = find_clips(tmp_path, split_column=column)
        assert [clip.split for clip in folder.clips] == expected.split()


def test_which_csv(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    write_csv(tmp_path, "path,label\na.mp4,one\n", "one.csv")
    write_csv(tmp_path, "action,score\nx,1\n", "scores.csv")
    assert find_clips(tmp_path).actions == ("one",)
    write_csv(tmp_path, "path,label\na.mp4,two\n", "two.csv")
    assert "one.csv, two.csv" in refusal(tmp_path)
    assert find_clips(tmp_path, csv="two.csv").actions == ("two",)
    assert "three.csv" in refusal(tmp_path, csv="three.csv")
    assert "no column 'path'" in refusal(tmp_path, csv="scores.csv")
    assert "no column 'strict'" in refusal(tmp_path, csv="one.csv", split_column="strict")


def test_a_list_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    for name in ("../a.mp4", "x/../../a.mp4", "/a.mp4", "..\\a.mp4", "C:\\a.mp4", "C:a.mp4"):
        touch(tmp_path, "a.mp4", "data/b.mp4")
        write_csv(tmp_path / "data", f"path,label\nb.mp4,x\n{name},x\n")
        assert "outside the folder" in refusal(tmp_path / "data")


def test_missing_files_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    write_csv(tmp_path, "path,label\na.mp4,x\ngone.mp4,x\ngone2.mp4,x\n")
    assert "2 clip(s)" in refusal(tmp_path) and "gone.mp4" in refusal(tmp_path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "header",
    [
        ("path", "label", "group", "split"),
        ("file_name", "label", "actor", "split"),
        ("video_path", "Class", "subject", "Set"),
        ("clip_path", "action", "person", "subset"),
        ("File Name", "class_name", "Group", "partition"),
        ("Video Path", "Class Name", "Subject ID", "Subset"),
        ("VideoPath", "class-name", "subject_id", "SPLIT"),
    ],
)
def test_how_csv_files_are_written(tmp_path: Path, separator: str, header: tuple[str, ...]) -> None:
    touch(tmp_path, "walk/a.mp4", "run/b.mp4", "run/c.mp4")
    rows = (header, ("walk\\a.mp4", "walk", "ann", "Train"), ("run/b.mp4", "run", "bob", "validation"))
    write_csv(tmp_path, "\n".join(separator.join(row) for row in rows))
    folder = find_clips(tmp_path)
    assert folder.clips == (
        ClipFile(tmp_path / "walk/a.mp4", "walk", "ann", "train"),
        ClipFile(tmp_path / "run/b.mp4", "run", "bob", "val"),
    )
    assert "1 video file(s) on no list" in folder.notes[0] and "c.mp4" in folder.notes[0]


TABLE = "path{0}label{0}actor_id{0}split\nwalk/a.mp4{0}walk{0}ann{0}train\nrun/\u00fc.mp4{0}run{0}bob{0}test\n"
ROWS = (
    '{"file_name": "walk/a.mp4", "label": "walk", "subject": "ann", "fps": 25, "split": "train"}',
    '{"file_name": "run/\u00fc.mp4", "label": "run", "subject": "bob", "split": "test", "tags": [1]}',
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("clips.tsv", TABLE.format("\t").encode()),
        ("clips.txt", TABLE.format(",").encode()),
        ("clips.csv", b"sep=;\r\n" + TABLE.format(";").encode()),
        ("clips.csv", TABLE.format(";").encode("utf-16")),
        ("clips.csv", b"\xfe\xff" + f"sep=\t\n{TABLE.format(chr(9))}".encode("utf-16-be")),
        ("metadata.jsonl", "\n\n".join(ROWS).encode()),
        ("metadata.jsonl", "\r\n".join(ROWS).encode("utf-8-sig")),
    ],
)
def test_lists_of_other_forms(tmp_path: Path, name: str, data: bytes) -> None:
    touch(tmp_path, "walk/a.mp4", "run/\u00fc.mp4")
    (tmp_path / name).write_bytes(data)
    folder = find_clips(tmp_path)
    assert folder.clips == (
        ClipFile(tmp_path / "walk/a.mp4", "walk", "ann", "train"),
        ClipFile(tmp_path / "run/\u00fc.mp4", "run", "bob", "test"),
    )
    assert folder.notes == () and name in folder.layout


def test_lists_that_are_not_read_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "README.txt", "classInd.txt")
    write_frames(tmp_path / "videos/b", [10])
    (tmp_path / "README.txt").write_text("Clips of people, as .mp4 and pictures, and/or sound.")
    for name, text in {
        "train.txt": "videos/a.mp4 0\n",
        "frames.txt": "videos/b 1 0\n",
        "all.json": '{\n  "videos/a.mp4": {"label": "walk"}\n}',
        "clips.xlsx": "PK",
        "clips.jsonl": '{"id": 7}\n',
    }.items():
        (tmp_path / name).write_text(text)
        (note,) = find_clips(tmp_path).notes
        assert name in note and "is not read" in note
        (tmp_path / name).unlink()
    (tmp_path / "manifest.jsonl").write_text('{"file": "videos/a.mp4"}\n')  # of `stgan generate`
    assert find_clips(tmp_path).notes == ()
    (tmp_path / "train.txt").write_text("videos/none.mp4 0\n")
    shutil.rmtree(tmp_path / "videos")
    assert "The file 'train.txt' is not read" in refusal(tmp_path)


def test_columns_that_may_be_groups_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    write_csv(tmp_path, "path,label,patient\na.mp4,x,7\n")
    (note,) = find_clips(tmp_path).notes
    assert "no column of groups" in note and "patient" in note


def test_a_list_for_each_split(tmp_path: Path) -> None:
    """As in copies of UCF-101 on Kaggle, whose paths start with a slash."""
    touch(tmp_path, "train/Swing/a.avi", "val/Swing/b.avi", "test/Swing/c.avi")
    for split, clip in (("train", "a"), ("val", "b"), ("test", "c")):
        write_csv(tmp_path, f"clip_name,clip_path,label\n{clip},/{split}/Swing/{clip}.avi,Swing\n", f"{split}.csv")
    folder = find_clips(tmp_path)
    assert {(clip.path.stem, clip.split) for clip in folder.clips} == {("a", "train"), ("b", "val"), ("c", "test")}
    assert folder.notes == ()


def test_entries_in_no_split_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write_csv(tmp_path, "path,label,strict\na.mp4,x,train\nb.mp4,x,drop\nc.mp4,x,drop\n")
    (note,) = find_clips(tmp_path, split_column="strict").notes
    assert "2 clip(s)" in note and "drop (2)" in note
