"""A folder of clips as a data set: its layout, its clips, and what is left out."""

from pathlib import Path

import pytest
from clip_folders import refusal, touch, write_csv

from stgan.errors import StganError
from stgan.video import data_root, find_clips


def test_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "walk/b.MP4", "walk/a.avi", "run/a.webm", "run/notes.txt", "run/._a.mp4", ".trash/a.mp4")
    folder = find_clips(tmp_path)
    assert [(clip.path.name, clip.label) for clip in folder.clips] == [
        ("a.webm", "run"),
        ("a.avi", "walk"),
        ("b.MP4", "walk"),
    ]
    assert folder.actions == ("run", "walk")
    assert folder.groups == ()


UCF_CLIPS = ("Biking/v_Biking_g01_c01.avi", "Biking/v_Biking_g08_c02.avi", "Swing/v_Swing_g01_c01.avi")


@pytest.fixture(params=["beside", "inside"])
def ucf(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The UCF-101 folder, with its lists beside it or inside it."""
    videos = tmp_path / "UCF-101"
    touch(videos, *UCF_CLIPS, "Swing/v_Swing_g99_c01.avi")
    lists = (tmp_path if request.param == "beside" else videos) / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Biking\n2 Swing\n")
    for number in ("01", "02"):
        train, test = (UCF_CLIPS[1:2], UCF_CLIPS[::2]) if number == "01" else (UCF_CLIPS[::2], UCF_CLIPS[1:2])
        (lists / f"trainlist{number}.txt").write_text("".join(f"{clip} 1\r\n" for clip in train))
        absent = "Biking/v_Biking_g02_c01.avi\n"
        (lists / f"testlist{number}.txt").write_text("".join(f"{clip}\n" for clip in test) + absent + "\n")
    return videos


def test_ucf(ucf: Path) -> None:
    for root in (ucf, ucf.parent):
        folder = find_clips(root)
        assert [(clip.path.name, clip.label, clip.group, clip.split) for clip in folder.clips] == [
            ("v_Biking_g08_c02.avi", "Biking", "Biking_g08", "train"),
            ("v_Biking_g01_c01.avi", "Biking", "Biking_g01", "test"),
            ("v_Swing_g01_c01.avi", "Swing", "Swing_g01", "test"),
        ]
    assert [clip.split for clip in find_clips(ucf, ucf_split=2).clips] == ["train", "train", "test"]
    assert "trainlist03.txt" in refusal(ucf, ucf_split=3)


def test_ucf_names_in_another_case_and_clips_on_no_list(ucf: Path) -> None:
    """The lists of UCF-101 say HandstandPushups/v_HandStandPushups_g01_c01.avi; copies of the set differ."""
    (ucf / "Biking").rename(ucf / "BiKing")
    folder = find_clips(ucf)
    assert [clip.label for clip in folder.clips] == ["Biking", "Biking", "Swing"]
    (note,) = folder.notes
    assert "1 video file(s) on no list" in note and "v_Swing_g99_c01.avi" in note
    touch(ucf, "HandStand/v_HandStand_g01_c01.avi")
    assert "2 video file(s) on no list" in find_clips(ucf).notes[0]


def test_the_lists_of_ucf_come_before_others_without_a_header_line(ucf: Path) -> None:
    (ucf / "train.txt").write_text(f"{UCF_CLIPS[0]} 0\n")
    folder = find_clips(ucf)
    assert len(folder) == 3 and "'train.txt' is not read" in folder.notes[-1]


def test_backslashes_in_ucf_lists(ucf: Path) -> None:
    for listing in ucf.parent.rglob("*list0?.txt"):
        listing.write_text(listing.read_text().replace("/", "\\"))
    assert len(find_clips(ucf)) == 3


def test_folders_of_splits(tmp_path: Path) -> None:
    names = ("train/walk/a.mp4", "train/run/b.mp4", "validation/walk/c.mp4", "Test/run/d.mp4")
    touch(tmp_path, *names, "README.md", "notes/about.txt")
    folder = find_clips(tmp_path)
    assert {(clip.path.relative_to(tmp_path).as_posix(), clip.label, clip.split) for clip in folder.clips} == {
        (names[0], "walk", "train"),
        (names[1], "run", "train"),
        (names[2], "walk", "val"),
        (names[3], "run", "test"),
    }
    assert "splits" in folder.layout
    assert len(folder.select(split="val")) == 1


def test_actions_may_have_the_names_of_splits(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.mp4", "test/b.mp4", "walk/c.mp4")
    assert [(clip.label, clip.split) for clip in find_clips(tmp_path).clips] == [
        ("test", None),
        ("train", None),
        ("walk", None),
    ]
    touch(tmp_path / "two", "train/a.mp4", "test/b.mp4")
    assert find_clips(tmp_path / "two").actions == ("test", "train")


def test_folders_of_splits_with_lists(tmp_path: Path) -> None:
    """The layout of a video folder on the Hugging Face hub."""
    touch(tmp_path, "train/0.mp4", "train/1.mp4", "test/0.mp4")
    write_csv(tmp_path / "train", "file_name,label\n0.mp4,walk\n1.mp4,run\n", "metadata.csv")
    write_csv(tmp_path / "test", "file_name,label\n0.mp4,walk\n", "metadata.csv")
    folder = find_clips(tmp_path)
    assert [(clip.path.parent.name, clip.path.name, clip.label, clip.split) for clip in folder.clips] == [
        ("test", "0.mp4", "walk", "test"),
        ("train", "0.mp4", "walk", "train"),
        ("train", "1.mp4", "run", "train"),
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.mp4", "walk/1.jpg", "walk/2.jpg", "run/b.wmv", "run/c.xyz", "run/deep/d.mp4", "loose.mkv")
    write_csv(tmp_path, "when,where\n1,2\n", "notes.csv")
    folder = find_clips(tmp_path)
    assert [clip.path.name for clip in folder.clips] == ["b.wmv", "a.mp4"]
    videos, others, table = folder.notes
    assert "2 video file(s) not in a folder of an action" in videos
    assert ".jpg (2)" in others and ".xyz (1)" in others and "folder of its own" in others
    assert "notes.csv" in table and "when, where" in table


def test_a_folder_without_clips_says_what_it_has(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.docx", "walk/b.docx")
    assert ".docx (2)" in refusal(tmp_path)


def test_no_clips(tmp_path: Path) -> None:
    (tmp_path / "walk").mkdir()
    assert "one folder of clips per action" in refusal(tmp_path)
    assert "is not a folder" in refusal(tmp_path / "missing")


def test_select(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write_csv(tmp_path, "path,label,group,split\na.mp4,x,ann,train\nb.mp4,y,bob,test\nc.mp4,y,ann,train\n")
    folder = find_clips(tmp_path)

    def names(**conditions: object) -> str:
        return "".join(clip.path.stem for clip in folder.select(**conditions).clips)  # type: ignore[arg-type]

    assert names() == "abc"
    assert names(groups=["ann"]) == "ac"
    assert names(groups={"ann", "bob"}, split="test") == "b"
    assert folder.select(split="test").actions == ("y",)
    for conditions in ({"groups": ["eve"]}, {"split": "val"}):
        with pytest.raises(StganError, match="choose from"):
            names(**conditions)
    with pytest.raises(StganError, match="no clip"):
        names(groups=["bob"], split="train")


def test_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STGAN_DATA", raising=False)
    with pytest.raises(StganError, match="--data or set"):
        data_root(None)
    monkeypatch.setenv("STGAN_DATA", str(tmp_path))
    assert data_root(None) == tmp_path
    (tmp_path / "other").mkdir()
    assert data_root(tmp_path / "other") == tmp_path / "other"
    with pytest.raises(StganError, match="correct --data"):
        data_root(str(tmp_path / "missing"))
    monkeypatch.setenv("STGAN_DATA", str(tmp_path / "missing"))
    with pytest.raises(StganError, match="correct STGAN_DATA"):
        data_root(None)


@pytest.mark.real
def test_real_folders(real_data: Path) -> None:
    weizmann = find_clips(real_data / "weizmann")
    assert len(weizmann) == 65 and len(weizmann.actions) == 9 and len(weizmann.groups) == 7
    jhmdb = find_clips(real_data / "jhmdb")
    strict = find_clips(real_data / "jhmdb", split_column="strict")
    assert len(jhmdb) == 850 and len(strict) == 803
    assert not set(strict.select(split="train").groups) & set(strict.select(split="test").groups)
    ucf = find_clips(real_data / "ucf101_sample")
    assert len(ucf) == 27 and {clip.split for clip in ucf.clips} == {"test"}
