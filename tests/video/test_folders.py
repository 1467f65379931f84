"""A folder of clips as a data set."""

from pathlib import Path

import numpy as np
import pytest

from stgan.errors import StganError
from stgan.video import ClipFile, data_root, find_clips, resize_and_crop


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_csv(root: Path, text: str, name: str = "clips.csv") -> None:
    (root / name).write_text(text, encoding="utf-8")


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(StganError) as caught:
        find_clips(root, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


def test_resize_and_crop_keeps_the_centre() -> None:
    frames = np.zeros((2, 40, 80, 3), np.uint8)
    frames[:, 10:30, 30:50] = 255  # a square in the middle
    small = resize_and_crop(frames, 20)
    assert small.shape == (2, 20, 20, 3)
    assert (small[:, 6:14, 6:14] == 255).all() and (small[:, :4] == 0).all() and (small[:, :, :4] == 0).all()
    assert np.array_equal(small[:, ::-1, ::-1], small)
    assert resize_and_crop(frames, (40, 80)) is frames
    assert resize_and_crop(frames, (7, 50)).shape == (2, 7, 50, 3)
    assert resize_and_crop(frames, 100).shape == (2, 100, 100, 3)


def test_resize_is_antialiased() -> None:
    lines = np.zeros((1, 64, 64, 3), np.uint8)
    lines[:, :, ::2] = 255
    assert np.abs(resize_and_crop(lines, 8).astype(int) - 127).max() < 10


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
