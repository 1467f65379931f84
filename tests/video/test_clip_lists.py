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
        "three.txt": "videos/a.mp4 16 0\n",
        "names.csv": "videos/a.mp4,a.mp4,walk\n",
        "scores.csv": "videos/a.mp4,0.93\n",
        "without.csv": "videos/a.mp4,walk\nvideos/a.mp4\n",
        "empty.txt": "videos/a.mp4 0\nvideos/c.mp4,\n",
        "many.csv": "videos/a.mp4,walk\nvideos/c.mp4,walk,fast\n",
        "elsewhere.txt": "../videos/a.mp4 0\n",
        "absent.txt": "videos/c.mp4 0\nvideos/a.mp4 0\n",
        "headed.txt": "Clip Label\nvideos/a.mp4 0\n",
        "odd.csv": b"videos/a.mp4,walk\nvideos/a.mp4,\xff\n",
        "frames.txt": "videos/b 1 0\n",
        "all.json": '{\n  "videos/a.mp4": {"label": "walk"}\n}',
        "clips.xlsx": "PK",
        "clips.jsonl": '{"id": 7}\n',
    }.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        (note,) = find_clips(tmp_path).notes
        assert f"{name}' is not read" in note, note
        (tmp_path / name).unlink()
    (tmp_path / "manifest.jsonl").write_text('{"file": "videos/a.mp4"}\n')  # of `stgan generate`
    assert find_clips(tmp_path).notes == ()
    (tmp_path / "train.txt").write_text("videos/none.mp4 0\n")
    shutil.rmtree(tmp_path / "videos")
    assert "The file 'train.txt' is not read" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "form", "labels"),
    [
        ("list.txt", "{} {}", ("walk", "run")),
        ("list.txt", "{}   {} ", ("0", "1")),
        ("list.csv", "{},{}", ("walk fast", "run; slowly")),
        ("list.csv", '"{}","{}"', ("walk, fast", "run")),
        ("list.csv", "./{};{}", ("Walking something somewhere", "Running past something")),
        ("list.tsv", "{}\t{}", ("walk", "a|b")),
        ("list.tsv", "{} \t {}", ("walk", "run")),
        ("list.txt", "{} | {}", ("walk", "run")),
    ],
)
def test_lists_without_a_header_line(tmp_path: Path, name: str, form: str, labels: tuple[str, str]) -> None:
    """As of Kinetics in mmaction, of Something-Something, of people."""
    touch(tmp_path, "videos/a b.mp4", "videos/c.mp4")
    write_frames(tmp_path / "frames", [10])
    listed = ("videos/a b.mp4", labels[0]), ("videos\\c.mp4", labels[1]), ("frames", labels[0])
    write_csv(tmp_path, "\r\n\n".join(form.format(*each) for each in listed), name)
    folder = find_clips(tmp_path)
    assert [(clip.path.relative_to(tmp_path).as_posix(), clip.label) for clip in folder.clips] == [
        ("videos/a b.mp4", labels[0]), ("videos/c.mp4", labels[1]), ("frames", labels[0]),
    ]  # fmt: skip
    assert folder.layout == f"'{name}', without a header line" and folder.notes == ()


@pytest.mark.parametrize(
    ("file", "text", "first"),
    [
        ("classes.txt", "golf\ntwo words\n", 0),
        ("labels.txt", "0 golf\n1 two words\n", 0),
        ("classInd.txt", "5 none\n1  two words\n0\tgolf\n", 0),
        ("classes.txt", "3 strikes\n3 points\n", None),
    ],
)
def test_classes_by_number(tmp_path: Path, file: str, text: str, first: int | None) -> None:
    """The numbers of a list mean the classes of the file beside it."""
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write_csv(tmp_path, "a.mp4 0\nb.mp4 1\n", "train.txt")
    write_csv(tmp_path, "c.mp4 00\n", "val.txt")
    write_csv(tmp_path, text, file)
    folder = find_clips(tmp_path)
    names = ["golf", "two words"] if first is not None else text.splitlines()
    assert [(clip.label, clip.split) for clip in folder.clips] == [
        (names[0], "train"), (names[1], "train"), (names[0], "val"),
    ]  # fmt: skip
    assert folder.layout == (
        f"'train.txt, val.txt', without a header line, with the names of classes in '{file}' (the first is 0)"
    )
    write_csv(tmp_path, "c.mp4 7\n", "val.txt")
    assert f"class 7, which has no name in '{file}'" in refusal(tmp_path)
    write_csv(tmp_path, "c.mp4 zero\n", "val.txt")
    assert find_clips(tmp_path).actions == (*sorted(names), "zero")


def test_a_list_that_can_be_read_in_two_ways_is_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "a.mp4,b")
    write_csv(tmp_path, "a.mp4,b 0\n")
    assert "The file 'clips.csv' is not read" in refusal(tmp_path)
    (tmp_path / "a.mp4,b").unlink()
    assert find_clips(tmp_path).actions == ("b 0",)


def test_lists_without_a_header_line_obey_the_same_rules(tmp_path: Path) -> None:
    for text, message in (
        ("a.mp4 0\nb.mp4 0\nc.mp4 0\n", "2 clip(s) that do not exist, the first being"),
        ("a.mp4 0\n../a.mp4 0\n", "outside the folder"),
        ("a.mp4 0\n./a.mp4 1\n", "entry 2"),
        ("a.mp4 x/y\n", "cannot name a folder"),
    ):
        touch(tmp_path, "a.mp4")
        write_csv(tmp_path, text, "list.txt")
        assert message in refusal(tmp_path)
        assert message in refusal(tmp_path, csv="list.txt")
    write_csv(tmp_path, "a.mp4 0\n", "list.txt")
    write_csv(tmp_path, "a.mp4 1\n", "other.txt")
    assert "several lists" in refusal(tmp_path)
    assert find_clips(tmp_path, csv="other.txt").actions == ("1",)
    write_csv(tmp_path, "path,label\na.mp4,x\n")
    assert find_clips(tmp_path).actions == ("x",)  # a list that names its columns comes first
    write_csv(tmp_path, "c" * 100_001 + "\n", "classes.txt")
    assert "cannot be read as names of classes" in refusal(tmp_path, csv="other.txt")


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
