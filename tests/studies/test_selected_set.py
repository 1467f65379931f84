"""Selected clips as a data set: what is in it, who can read it, and that there is a whole one or none."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from clip_scores import clip_scores
from manifest_lines import read_lines, write_lines

from stgan.checkpoints import ModelFolder, find_model
from stgan.errors import StganError
from stgan.files import sha256
from stgan.scoring import Evaluator, evaluate, find_evaluator, folder_clips
from stgan.studies import selected_set
from stgan.studies.provenance import NETWORKS
from stgan.studies.selected_set import check_place, count_real, write_set
from stgan.studies.selection import Selection, select
from stgan.video import ClipFile, ClipFolder, find_clips


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> ModelFolder:
    return find_model(tiny_model)


@pytest.fixture(scope="module")
def judge(model: ModelFolder) -> Evaluator:
    return find_evaluator("evaluator", model)


@pytest.fixture(scope="module")
def source(tiny_clips: Path, model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with a manifest, as `stgan generate` writes it."""
    folder = tmp_path_factory.mktemp("generated") / "clips"
    shutil.copytree(tiny_clips, folder)
    hashes = {"generator": model.load("generator").hash, "condition": {"lrcn": model.load("lrcn").hash}}
    write_lines(
        folder,
        [
            {
                "file": path.relative_to(folder).as_posix(),
                "action": path.parent.name,
                "index": i,
                "sha256": sha256(path),
                "hashes": hashes,
            }
            for i, path in enumerate(sorted(folder.glob("*/*.mp4")))
        ],
    )
    return folder


@pytest.fixture(scope="module")
def selection(source: Path) -> Selection:
    """Two of "left", one of "right", none of "grow"."""
    clips = folder_clips(source)
    values = {"grow": 0.1, "left": 1.0, "right": 2.0}
    scores = {
        clip.name: clip_scores(clip, str(clip.action), values[str(clip.action)] + i / 100, i / 10)
        for i, clip in enumerate(clips)
    }
    scores["right/clip1.mp4"] = replace(scores["right/clip1.mp4"], named="left")
    scores["right/clip2.mp4"] = replace(scores["right/clip2.mp4"], contribution=0.5, probability=None)
    return select(clips, scores, most=2)


@pytest.fixture(scope="module")
def chosen(
    selection: Selection, source: Path, model: ModelFolder, judge: Evaluator, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("sets") / "chosen"
    write_set(out, selection, source, model, judge, real={"left": 4, "wave": 2})
    return out


NAMES = ["left/clip2.mp4", "left/clip1.mp4", "right/clip0.mp4"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_clips_are_copied_and_listed(chosen: Path, source: Path) -> None:
    assert {path.relative_to(chosen).as_posix() for path in chosen.glob("*/*")} == {*NAMES}
    assert all((chosen / name).read_bytes() == (source / name).read_bytes() for name in NAMES)
    listed = rows(chosen / "clips.csv")
    assert [row["path"] for row in listed] == NAMES and {row["split"] for row in listed} == {"train"}
    assert len({row["group"] for row in listed}) == len(NAMES)
    assert [row["file_name"] for row in rows(chosen / "metadata.csv")] == NAMES
    assert (chosen / "classInd.txt").read_text() == "1 left\n2 right\n"
    assert (chosen / "trainlist01.txt").read_text() == "left/clip2.mp4 1\nleft/clip1.mp4 1\nright/clip0.mp4 2\n"
    assert (chosen / "testlist01.txt").read_text() == ""
    assert (chosen / "counts.png").stat().st_size > 1000 and (chosen / NETWORKS).is_file()


def test_what_became_of_every_candidate(chosen: Path, source: Path) -> None:
    found = {row["file"]: row for row in rows(chosen / "candidates.csv")}
    assert [*found] == sorted(clip.name for clip in folder_clips(source))
    assert {name for name, row in found.items() if row["chosen"] == "yes"} == {*NAMES}
    assert all(bool(row["reason"]) == (row["chosen"] == "no") for row in found.values())
    assert found["right/clip1.mp4"]["reason"] == "named left" and found["right/clip2.mp4"]["probability"] == ""


def test_the_record_and_the_card(chosen: Path, source: Path, judge: Evaluator) -> None:
    text = (chosen / "selection.json").read_text()
    record = json.loads(text)
    assert record["counts"] == {"left": 2, "right": 1} and record["real"] == {"left": 4, "wave": 2}
    assert record["thin"] == ["right"] and record["without"] == ["grow"] and record["evaluator_hash"] == judge.hash
    assert (record["candidates"], record["selected"], record["source"]) == (9, 3, "clips")
    card = (chosen / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["task_categories"] == ["video-classification"] and "| right | 3 | 2 | 1 |" in card
    for written in chosen.rglob("*.*"):
        if written.suffix in (".json", ".jsonl", ".csv", ".md", ".txt"):
            assert str(chosen.parent) not in written.read_text() and str(source.parent) not in written.read_text()


def test_it_is_read_as_generated_clips_and_as_a_folder_of_clips(chosen: Path, judge: Evaluator, tmp_path: Path) -> None:
    clips = folder_clips(chosen)
    assert [clip.name for clip in clips] == NAMES and all(clip.steering and clip.sha256 for clip in clips)
    assert evaluate(clips, judge).fooled is False
    by_csv = find_clips(chosen)
    assert {(clip.label, clip.split) for clip in by_csv.clips} == {("left", "train"), ("right", "train")}
    assert len(by_csv.groups) == 3
    shutil.copytree(chosen, tmp_path / "chosen")
    (tmp_path / "chosen/clips.csv").unlink()
    by_lists = find_clips(tmp_path / "chosen")
    assert [(clip.path.name, clip.label, clip.split) for clip in by_lists.clips] == [
        (clip.path.name, clip.label, clip.split) for clip in by_csv.clips
    ]


def test_torchvision_reads_it(chosen: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    folder = datasets.DatasetFolder(str(chosen), loader=Path, extensions=("mp4",))
    assert folder.classes == ["left", "right"] and folder.targets == [0, 0, 1]
    videos = [path for path, _ in folder.samples]
    ucf = datasets.UCF101.__new__(datasets.UCF101)  # itself it takes .avi alone; this is how it reads the lists
    ucf.root = str(chosen)
    assert ucf._select_fold(videos, str(chosen), 1, True) == [0, 1, 2]
    assert ucf._select_fold(videos, str(chosen), 1, False) == []


def test_pytorchvideo_reads_it(chosen: Path) -> None:
    paths = pytest.importorskip("pytorchvideo.data.labeled_video_paths").LabeledVideoPaths
    by_folders = paths.from_path(str(chosen))
    assert [by_folders[i][1]["label"] for i in range(len(by_folders))] == [0, 0, 1]
    by_list = paths.from_path(str(chosen / "trainlist01.txt"))
    by_list.path_prefix = str(chosen)
    assert [by_list[i] for i in range(3)] == [
        (str(chosen / name), {"label": 1 + (name[:5] == "right")}) for name in NAMES
    ]


@pytest.mark.parametrize("folder_action", ["left", "test"])
def test_hugging_face_reads_it(
    folder_action: str, chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    place = Path(shutil.copytree(chosen, tmp_path / "chosen"))
    if folder_action != "left":  # an action's name is not taken for that of a split
        (place / "left").rename(place / folder_action)
        for path in place.glob("*.csv"):
            path.write_text(path.read_text().replace("left", folder_action))
    found = datasets.load_dataset(str(place), cache_dir=str(tmp_path / "cache"))
    assert {*found} == {"train"}
    table = found["train"].cast_column("video", datasets.Video(decode=False))
    assert {(Path(row["video"]["path"]).parent.name, row["label"]) for row in table} == {
        (folder_action, folder_action), ("right", "right"),
    }  # fmt: skip
    if folder_action == "left":
        plain = datasets.load_dataset("videofolder", data_dir=str(place), cache_dir=str(tmp_path / "cache"))
        assert plain["train"].num_rows == 3 and sorted(plain["train"]["label"]) == ["left", "left", "right"]


def test_a_former_selection_is_replaced_if_asked(
    selection: Selection, source: Path, model: ModelFolder, judge: Evaluator, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "set"
    write_set(out, selection, source, model, judge)
    with pytest.raises(StganError, match="holds a selection already; replace it by --overwrite"):
        write_set(out, selection, source, model, judge)
    (out / "left/clip0.mp4").write_bytes(b"of a former selection")
    write_set(out, selection, source, model, judge, overwrite=True)
    assert not (out / "left/clip0.mp4").exists() and json.loads((out / "selection.json").read_text())["real"] is None
    assert [path.name for path in out.parent.iterdir()] == ["set"]


def as_file(out: Path, source: Path) -> Path:
    out.write_text("")
    return out


def as_link(out: Path, source: Path) -> Path:
    out.symlink_to(source, target_is_directory=True)
    return out


def with_something_in_it(out: Path, source: Path) -> Path:
    out.mkdir()
    (out / "letter.txt").write_text("mine")
    return out


def in_a_selection(out: Path, source: Path) -> Path:
    with_something_in_it(out, source)
    (out / "selection.json").write_text("{}")
    return out / "left" / "set"


def through_a_link(out: Path, source: Path) -> Path:
    return as_link(out, source) / "set"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (as_file, "is a link or a file"),
        (as_link, "is a link or a file"),
        (with_something_in_it, "is not empty and no selection"),
        (in_a_selection, "lies in the selection"),
        (lambda out, source: Path(), "is the current folder or one around it"),
        (lambda out, source: Path(".."), "is the current folder or one around it"),
        (through_a_link, "overlap"),
        (lambda out, source: source, "overlap"),
        (lambda out, source: source / "set", "overlap"),
        (lambda out, source: source.parent, "overlap"),
    ],
)
def test_places_where_no_set_can_be(
    place: Callable[[Path, Path], Path], message: str, source: Path, tmp_path: Path
) -> None:
    out = place(tmp_path / "set", source)
    with pytest.raises(StganError, match=message):
        check_place(out, source, overwrite=True)


def test_a_clip_that_is_not_what_it_was_leaves_nothing_behind(
    selection: Selection, source: Path, model: ModelFolder, judge: Evaluator, tmp_path: Path
) -> None:
    def attempt(message: str) -> None:
        clips = [replace(clip, path=folder / clip.name) for clip in selection.clips]
        with pytest.raises(StganError, match=message):
            write_set(tmp_path / "set", replace(selection, clips=tuple(clips)), folder, model, judge)
        assert [path.name for path in tmp_path.iterdir()] == ["clips"]

    folder = Path(shutil.copytree(source, tmp_path / "clips"))
    clip = folder / "right/clip0.mp4"
    whole = clip.read_bytes()
    clip.write_bytes(whole[:-1])
    attempt("changed or damaged")
    clip.unlink()
    attempt("is missing")
    clip.symlink_to(source / "right/clip0.mp4")
    attempt("is a link")
    clip.unlink()
    clip.write_bytes(whole)
    entries = read_lines(folder)
    write_lines(folder, (entry for entry in entries if entry["file"] != "right/clip0.mp4"))
    attempt("not in the manifest .* any more")
    write_lines(folder, [{**entry, "hashes": {"generator": "0" * 64}} for entry in entries])
    attempt("name the model that made them")


@pytest.mark.parametrize("name", ["clip.mp4", "a/left/clip.mp4", "right/clip.mp4", "left/.clip.mp4", "left/clip.avi"])
def test_clips_that_lie_elsewhere_than_generated_ones(
    name: str, selection: Selection, source: Path, model: ModelFolder, judge: Evaluator, tmp_path: Path
) -> None:
    strange = replace(selection.clips[0], name=name)
    with pytest.raises(StganError, match=r"not ACTION/NAME\.mp4"):
        write_set(tmp_path / "set", replace(selection, clips=(strange,)), source, model, judge)


def test_a_full_disk_or_an_interruption_leaves_the_former_set(
    selection: Selection,
    source: Path,
    model: ModelFolder,
    judge: Evaluator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "set"
    write_set(out, selection, source, model, judge)
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    for problem, raised, message in (
        (OSError(28, "No space left on device"), StganError, r"cannot write to .*\(no space left on device\)"),
        (KeyboardInterrupt("interrupted"), KeyboardInterrupt, "interrupted"),
    ):

        def fail(*arguments: object, problem: BaseException = problem) -> None:
            raise problem

        monkeypatch.setattr(selected_set, "draw_counts", fail)
        with pytest.raises(raised, match=message):
            write_set(out, selection, source, model, judge, overwrite=True)
        assert before == {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
        assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_real_clips_to_train_on() -> None:
    def clip(label: str, group: str, split: str | None = None) -> ClipFile:
        return ClipFile(Path(f"{label}/{group}.mp4"), label, group, split)

    plain = ClipFolder(Path("real"), (clip("run", "ann"), clip("run", "bob"), clip("walk", "ann")))
    assert count_real(plain) == {"run": 2, "walk": 1} and count_real(plain, ["ann"]) == {"run": 1, "walk": 1}
    split = ClipFolder(Path("real"), (clip("run", "ann", "train"), clip("run", "bob", "test")))
    assert count_real(split) == {"run": 1} and count_real(split, ["bob"]) == {"run": 1}
    with pytest.raises(StganError, match="no group 'eve'"):
        count_real(plain, ["eve"])


def test_lists_hold_no_formulas(tmp_path: Path) -> None:
    selected_set._write_csv(tmp_path / "a.csv", ("path", "contribution"), [("=a/b.mp4", "-0.5")])
    assert (tmp_path / "a.csv").read_text() == "path,contribution\n'=a/b.mp4,-0.5\n"
