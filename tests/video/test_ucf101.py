"""UCF-101 on disk: a tiny set with its names, whole and damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stgan.errors import StganError
from stgan.video import ucf101_index as index_module
from stgan.video import write_video
from stgan.video.ucf101_index import Index, load_index, prepare_ucf101
from stgan.video.ucf101_names import CLASSES, UCF101, Published, parse_name

TINY = Published(("Biking", "HandstandPushups"), 3, {1: (8, 4), 2: (8, 4), 3: (8, 4)})
SPELLED = {"Biking": "Biking", "HandstandPushups": "HandStandPushups"}
NAMES = [
    f"{label}/v_{SPELLED[label]}_g{group:02d}_c{number:02d}.avi"
    for label in TINY.classes
    for group in (1, 2, 3)
    for number in (1, 2)
]


def write_lists(root: Path, names: list[str] = NAMES) -> None:
    """Split n tests on group n."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "classInd.txt").write_text("".join(f"{i} {label}\n" for i, label in enumerate(TINY.classes, start=1)))
    for split in (1, 2, 3):
        test = [name for name in names if f"_g{split:02d}_" in name]
        train = [f"{name} {1 + TINY.classes.index(name.split('/')[0])}" for name in names if name not in test]
        (lists / f"testlist{split:02d}.txt").write_text("\n".join(test) + "\n")
        (lists / f"trainlist{split:02d}.txt").write_text("\n".join(train) + "\n")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of the published size and rate. A decoder goes by what a file is, not by its ending."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 256, (6, 12, 16, 3), np.uint8).repeat(20, 1).repeat(20, 2))
    return path.read_bytes()


@pytest.fixture
def root(tmp_path: Path, clip: bytes) -> Path:
    folder = tmp_path / "data"
    write_lists(folder)
    for name in NAMES:
        path = folder / "UCF-101" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip)
    return folder


@pytest.fixture
def prepare(root: Path, tmp_path: Path) -> Callable[..., Index]:
    return lambda **options: prepare_ucf101(root, tmp_path / "out" / "index.json", published=TINY, **options)


def test_there_are_101_different_classes() -> None:
    assert len(set(CLASSES)) == len(CLASSES) == 101
    assert {train + test for train, test in UCF101.splits.values()} == {UCF101.clips} == {13320}


def test_names_of_clips() -> None:
    name = parse_name("HandstandPushups/v_HandStandPushups_g07_c02.avi")
    assert name is not None and (name.label, name.group, name.number) == ("HandstandPushups", 7, 2)
    for other in (
        "Biking/v_Diving_g01_c01.avi",
        "Biking/v_Biking_g1_c01.avi",
        "Biking/clip.avi",
        "../v_.._g01_c01.avi",
    ):
        assert parse_name(other) is None


def test_a_whole_set(prepare: Callable[..., Index], tmp_path: Path) -> None:
    seen = []
    index = prepare(progress=lambda done, total: seen.append((done, total)))
    assert index.problems() == index.warnings() == [] and seen[0] == (0, 12) and seen[-1] == (12, 12)
    assert all(each.frames == 6 and (each.height, each.width, each.fps) == (240, 320, 25) for each in index.clips)
    clips = index.clip_files(2)
    assert {clip.path.parent.name for clip in clips} == {clip.label for clip in clips} == set(TINY.classes)
    assert {clip.group for clip in clips if clip.split == "test"} == {"Biking_g02", "HandstandPushups_g02"}
    assert [clip.split for clip in clips].count("train") == 8 and all(clip.path.is_file() for clip in clips)
    assert load_index(tmp_path / "out" / "index.json") == index
    assert json.loads((tmp_path / "out" / "index.json").read_text())["complete"]


def test_the_beginning_of_each_clip(prepare: Callable[..., Index]) -> None:
    index = prepare(quick=True, splits=(1,))
    assert index.problems() == [] and {each.frames for each in index.clips} == {None}
    assert {(each.height, each.width, each.fps) for each in index.clips} == {(240, 320, 25)}
    with pytest.raises(StganError, match="no split 2"):
        index.clip_files(2)


def test_unchanged_files_are_not_decoded_again(
    prepare: Callable[..., Index], root: Path, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    inspect = index_module.inspect_clip
    monkeypatch.setattr(index_module, "inspect_clip", lambda path: decoded.append(path.name) or inspect(path))
    prepare(quick=True)
    assert not decoded
    whole = prepare()
    assert len(decoded) == 12
    assert prepare(quick=True) == prepare() == whole and len(decoded) == 12
    (root / "UCF-101" / NAMES[3]).write_bytes(clip + b"\0")
    assert prepare().problems() == [] and decoded[12:] == [Path(NAMES[3]).name]


def test_an_interrupted_run_goes_on(prepare: Callable[..., Index], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(progress=stop)
    kept = load_index(tmp_path / "out" / "index.json")
    assert len(kept.readable) == 5 and len(kept.clip_files(1)) == 5
    assert kept.problems() == ["7 of 12 clips have not been checked: run the same command again."]
    seen: list[int] = []
    assert prepare(progress=lambda done, total: seen.append(done)).problems() == [] and seen[0] == 5


def test_damage(prepare: Callable[..., Index], root: Path, clip: bytes) -> None:
    videos = root / "UCF-101"
    (videos / NAMES[0]).unlink()
    (videos / NAMES[1]).write_bytes(clip[: len(clip) // 2])
    (videos / NAMES[2]).write_bytes(b"")
    small = videos / "small.mp4"
    write_video(small, np.zeros((6, 32, 32, 3), np.uint8), fps=30.0)
    shutil.move(small, videos / NAMES[4])
    shutil.copy(videos / NAMES[3], videos / "Biking" / "v_Biking_g09_c01.avi")
    index = prepare()
    assert index.missing == (NAMES[0],) and index.extra == ("Biking/v_Biking_g09_c01.avi",)
    assert set(index.unreadable) == {NAMES[1], NAMES[2]} and "empty file" in index.unreadable[NAMES[2]]
    assert all(str(root) not in reason for reason in index.unreadable.values())
    assert index.unusual == {NAMES[4]: "32x32 at 30 frames per second"}
    problems, warnings = " ".join(index.problems()), " ".join(index.warnings())
    assert f"1 of 12 clips are listed but missing, first '{NAMES[0]}'." in problems
    assert "2 of 12 clips cannot be read" in problems and len(index.problems()) == 2
    assert "1 clips are not listed" in warnings and "32x32 at 30" in warnings
    assert len(index.clip_files(1)) == 9
    assert sum(index.counts(1).values()) == 9
    summary = index.summary()
    assert (
        not summary["complete"] and summary["missing"] == [NAMES[0]] and set(summary["unreadable"]) == set(NAMES[1:3])
    )


def test_files_in_another_spelling(prepare: Callable[..., Index], root: Path) -> None:
    for path in (root / "UCF-101" / "HandstandPushups").iterdir():
        path.rename(path.with_name(path.name.replace("HandStand", "Handstand")))
    assert any("6 clips have another spelling" in problem for problem in prepare().problems())


def test_lists_that_are_not_the_official_ones(prepare: Callable[..., Index], root: Path) -> None:
    lists = root / "ucfTrainTestlist"

    def faults() -> str:
        found = " ".join(prepare(quick=True, splits=(1, 2)).faults)
        write_lists(root)
        return found

    (lists / "trainlist02.txt").unlink()
    assert faults() == "the list trainlist02.txt is missing."
    (lists / "classInd.txt").write_text("1 HandstandPushups\n2 Biking\n")
    assert faults() == "the list classInd.txt is not the official one of 2 classes."
    (lists / "classInd.txt").unlink()
    assert faults() == "the list classInd.txt is missing."
    write_lists(root, NAMES[:-1])
    found = faults()
    assert "trainlist01.txt names 7 clips, the official one 8" in found and "11 different clips, 12 were" in found
    train = (lists / "trainlist01.txt").read_text()
    (lists / "trainlist01.txt").write_text(train.replace(" 2", " 1"))
    assert "there are 4 clips to which the list trainlist01.txt gives the number of another class" in faults()
    (lists / "testlist01.txt").write_text((lists / "testlist01.txt").read_text() + train.split()[0] + "\n")
    found = faults()
    assert "1 clips that split 1 names twice" in found and "divides 1 groups, first group 2 of Biking" in found
    (lists / "trainlist01.txt").write_text(train.replace("v_Biking_g02_c01", "v_Biking_g04_c01"))
    found = faults()
    assert "4 groups of Biking, not 3" in found and "13 different clips" in found
    (lists / "trainlist01.txt").write_text(train + "Biking/other.avi 1\n")
    assert "1 clips on the lists whose names no clip of UCF-101 has, first 'Biking/other.avi'" in faults()
    assert faults() == ""


def test_lists_that_cannot_be_understood(prepare: Callable[..., Index], root: Path) -> None:
    for line in ("../x/y.avi 1", "a/b/c.avi 1"):
        (root / "ucfTrainTestlist" / "trainlist01.txt").write_text(line + "\n")
        with pytest.raises(StganError, match=r"trainlist01\.txt"):
            prepare()


def test_no_set_at_all(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StganError, match=r"no folder ucfTrainTestlist.*crcv\.ucf\.edu"):
            prepare_ucf101(folder, tmp_path / "index.json")
    with pytest.raises(StganError, match="no split 4"):
        prepare_ucf101(tmp_path, tmp_path / "index.json", splits=(1, 4))


def test_an_index_that_is_none(prepare: Callable[..., Index], tmp_path: Path) -> None:
    path = tmp_path / "out" / "index.json"
    with pytest.raises(StganError, match="there is no"):
        load_index(path)
    good = prepare()
    text = path.read_text()
    values = json.loads(text)
    for change in (
        {"format": 9}, {"videos": 3}, {"clips": None}, {"splits": {"one": {}}},
        {"clips": [{**values["clips"][0], "file": "../../secret.avi"}]},
        {"clips": [{**values["clips"][0], "fps": "fast"}]},
        {"clips": [{**values["clips"][0], "frames": float("inf")}]},
        {"clips": [{**values["clips"][0], "splits": {"1": "both"}}]},
    ):  # fmt: skip
        path.write_text(json.dumps({**values, **change}))
        with pytest.raises(StganError, match="make it anew with stgan data prepare ucf101"):
            load_index(path)
    for damaged in ("", text[: len(text) // 2], "[]"):
        path.write_text(damaged)
        with pytest.raises(StganError, match="make it anew with stgan data prepare ucf101"):
            load_index(path)
    assert prepare() == good


@pytest.mark.real
def test_the_classes_are_those_of_the_official_list(real_data: Path) -> None:
    lines = (real_data / "ucf101_sample/ucfTrainTestlist/classInd.txt").read_text().splitlines()
    assert [line.split() for line in lines if line] == [[str(i), name] for i, name in enumerate(CLASSES, start=1)]


@pytest.mark.real
def test_a_part_of_the_real_set(real_data: Path, tmp_path: Path) -> None:
    index = prepare_ucf101(real_data / "ucf101_sample", tmp_path / "index.json", splits=(1,), quick=True)
    assert index.counts(1) == {"train": 0, "test": 27} and index.faults == () and index.unusual == {}
    assert len(index.problems()) == 1 and len(index.missing) == 13320 - 27 and index.extra == ()
