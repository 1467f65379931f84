"""A folder of clips as a data set."""

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stgan.errors import StganError
from stgan.video import ClipFile, VideoError, data_root, find_clips, read_video, resize_and_crop
from stgan.video.clip_cache import ClipCache
from stgan.video.decoding import decode_clip
from stgan.video.frame_folders import clip_sha256, frame_files


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


def test_ucf_names_in_another_case_and_clips_on_no_list(ucf: Path) -> None:
    """The lists of UCF-101 say HandstandPushups/v_HandStandPushups_g01_c01.avi; copies of the set differ."""
    (ucf / "Biking").rename(ucf / "BiKing")
    folder = find_clips(ucf)
    assert [clip.label for clip in folder.clips] == ["Biking", "Biking", "Swing"]
    (note,) = folder.notes
    assert "1 video file(s) on no list" in note and "v_Swing_g99_c01.avi" in note
    touch(ucf, "HandStand/v_HandStand_g01_c01.avi")
    assert "2 video file(s) on no list" in find_clips(ucf).notes[0]


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


def write_frames(folder: Path, levels: list[int], name: str = "{}.png") -> None:
    folder.mkdir(parents=True)
    for number, level in enumerate(levels, start=1):
        Image.new("RGB", (24, 16), (level, level, level)).save(folder / name.format(number))


def test_folders_of_frames(tmp_path: Path) -> None:
    levels = [20 * number for number in range(12)]
    write_frames(tmp_path / "walk" / "ann", levels, "frame_{}.png")  # 10 comes behind 9
    write_frames(tmp_path / "run" / "bob", levels, "{:05d}.jpg")
    (tmp_path / "run" / "bob" / "notes.txt").touch()
    folder = find_clips(tmp_path)
    assert [(clip.path.name, clip.label) for clip in folder.clips] == [("bob", "run"), ("ann", "walk")]
    for clip in folder.clips:
        video = read_video(clip.path)
        assert video.frames.shape == (12, 16, 24, 3) and video.fps == 25
        assert np.abs(video.frames.mean((1, 2, 3)) - levels).max() < 2
        np.testing.assert_array_equal(read_video(clip.path, part=range(3, 5)).frames, video.frames[3:5])
    write_csv(tmp_path, "path,label\nwalk/ann,walk\nrun/bob,run\n")
    folder = find_clips(tmp_path)
    assert [clip.path.name for clip in folder.clips] == ["ann", "bob"] and folder.notes == ()


def test_folders_of_frames_on_no_list_are_counted(tmp_path: Path) -> None:
    """Also those of UCF-101's clips, whose lists name videos."""
    for name in ("run/v_g01_c01", "run/v_g01_c02"):
        write_frames(tmp_path / name, [10, 20])
    touch(tmp_path, "run/v_g02_c01.avi", "trainlist01.txt", "testlist01.txt")
    (tmp_path / "trainlist01.txt").write_text("run/v_g01_c01.avi 1\nrun/v_g02_c01.avi 1\n")
    (note,) = find_clips(tmp_path).notes
    assert "2 folder(s) of images on no list" in note and "v_g01_c01" in note


def test_the_cache_notices_another_frame(tmp_path: Path) -> None:
    write_frames(tmp_path / "clips" / "walk" / "ann", [10, 20])
    folder = find_clips(tmp_path / "clips")
    cache = ClipCache(tmp_path / "cache", None)
    (before,) = cache.load(folder)
    digest = clip_sha256(folder.clips[0].path)
    Image.new("RGB", (24, 16), (200, 200, 200)).save(folder.clips[0].path / "2.png")
    (after,) = cache.load(folder)
    assert before[1].mean() == 20 and after[1].mean() == 200
    assert clip_sha256(folder.clips[0].path) != digest


def test_frames_that_are_wrong(tmp_path: Path) -> None:
    write_frames(tmp_path / "ann", [10, 20, 30])
    for limits in ({"max_frames": 2}, {"max_pixels": 24 * 16 - 1}, {"max_bytes": 3 * 24 * 16 * 3 - 1}):
        with pytest.raises(VideoError):
            read_video(tmp_path / "ann", **limits)
    Image.new("RGB", (24, 17)).save(tmp_path / "ann" / "2.png")
    with pytest.raises(VideoError, match="frame size"):
        read_video(tmp_path / "ann")
    (tmp_path / "ann" / "2.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"2\.png"):
        read_video(tmp_path / "ann")
    with pytest.raises(VideoError, match="no frame 3"):
        read_video(tmp_path / "ann", part=range(3, 4))


def test_a_frame_that_is_missing_is_noticed(tmp_path: Path) -> None:
    """By the numbers of the others, or by the link that leads nowhere."""
    write_frames(tmp_path / "whole", [10] * 12, "ann_2_{:03d}_rgb.png")
    write_frames(tmp_path / "thinned", [10] * 4, "{}0.png")
    for name in ("whole", "thinned"):
        assert not read_video(tmp_path / name).variable_rate
    (tmp_path / "whole" / "ann_2_007_rgb.png").unlink()
    video = read_video(tmp_path / "whole")
    assert video.variable_rate and np.allclose(video.times * 25, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11])
    (tmp_path / "whole" / "ann_2_007_rgb.png").symlink_to("nothing.png")
    with pytest.raises(VideoError, match=r"007_rgb\.png' is a broken link"):
        read_video(tmp_path / "whole")


@pytest.mark.parametrize("others", ["{}.jpg", "{:03d}.png", "{}_mask.png"])
def test_two_series_of_frames_in_a_folder_are_not_mixed(tmp_path: Path, others: str) -> None:
    write_frames(tmp_path / "ann", [10, 20])
    write_frames(tmp_path / "more", [30, 40], others)
    for file in frame_files(tmp_path / "more"):
        file.rename(tmp_path / "ann" / file.name)
    with pytest.raises(VideoError, match=r"two images of one number, '0*1.*a folder of its own"):
        read_video(tmp_path / "ann")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_frames_as_tiff(tmp_path: Path, compression: str | None) -> None:
    write_frames(tmp_path / "png", [10, 20, 30])
    (tmp_path / "tiff").mkdir()
    for number, file in enumerate(frame_files(tmp_path / "png")):
        Image.open(file).save(tmp_path / "tiff" / f"{number}.tif{'f' * (number % 2)}", compression=compression)
    expected, found = (read_video(tmp_path / name).frames for name in ("png", "tiff"))
    np.testing.assert_allclose(found, expected, atol=2 if compression == "jpeg" else 0)


def test_pictures_that_are_no_frame_of_8_bits_are_refused(tmp_path: Path) -> None:
    """They would turn white, or lose all pages but the first."""
    gray = Image.fromarray(np.full((16, 24), 4000, np.uint16))
    pages = [Image.new("RGB", (24, 16), level) for level in ("red", "blue")]
    for name, image, options, message in (
        ("1.png", gray, {}, "more than 8 bits"),
        ("1.tif", gray, {}, "more than 8 bits"),
        ("1.tiff", Image.fromarray(np.ones((16, 24), np.float32)), {}, "more than 8 bits"),
        ("1.tif", pages[0], {"save_all": True, "append_images": pages[1:]}, "several pictures"),
        ("1.png", pages[0], {"save_all": True, "append_images": pages[1:]}, "several pictures"),
        ("1.tif", pages[0].convert("1"), {"compression": "group4"}, "compressed in a rare way"),
    ):
        folder = tmp_path / message
        folder.mkdir(exist_ok=True)
        image.save(folder / name, **options)
        with pytest.raises(VideoError, match=message):
            read_video(folder)
        (folder / name).unlink()


def test_a_small_tiff_with_a_large_tile_takes_no_memory(tmp_path: Path) -> None:
    """A tile is unpacked as a whole, however little of it the picture shows."""
    side, packed = 5000, zlib.compress(bytes(5000**2))
    values = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(packed))
    (tmp_path / "1.tif").write_bytes(start + packed + struct.pack("<H", len(values)) + entries + bytes(4))
    assert read_video(tmp_path, max_pixels=side**2).frames.shape == (1, 64, 64, 3)
    with pytest.raises(VideoError, match="frames of 5000x5000, more than 16777216 pixels"):
        read_video(tmp_path)


def test_frames_as_cameras_write_them_are_turned_upright(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    image = Image.new("RGB", (24, 16))
    image.paste((255, 255, 255), (0, 0, 24, 4))  # the upper edge of the stored image
    exif = Image.Exif()
    exif[0x0112] = 6  # its upper edge is the right one
    for ending in ("png", "tif"):
        image.save(tmp_path / "ann" / f"1.{ending}", exif=exif)
        facts, frames = decode_clip(tmp_path / "ann")
        assert frames.shape == (1, 24, 16, 3) and facts.turned
        assert frames[0, :, -4:].min() == 255 and frames[0, :, :-4].max() == 0
        (tmp_path / "ann" / f"1.{ending}").unlink()


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
