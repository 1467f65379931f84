"""The page about generated clips."""

import json
import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifest_lines import read_lines, write_lines
from PIL import Image

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.records import as_plain, as_record
from stgan.report.scores_page import Request, write_scores_page
from stgan.report.shown import shown_clips
from stgan.scoring import (
    QUOTED,
    SCORES,
    Protocol,
    Real,
    Scores,
    Skipped,
    evaluate,
    find_evaluator,
    folder_clips,
    kept_scores,
    labelled_clips,
    read_scores,
    score_pixels,
)
from stgan.studies.fooling import RECORD, read_fooling
from stgan.video import find_clips, write_video

PageOf = Callable[[Path], Any]
Record = dict[str, Any]
Make = Callable[..., Path]
HOSTILE = "<script>alert(1)</script>&\"'{{ 7*7 }}"
FIGURES = ["confusion.png", "iterations.png", "method.png", "per_action.png", "strips.png"]


@pytest.fixture(autouse=True)
def small_films(monkeypatch: pytest.MonkeyPatch) -> None:
    """For speed; tests/report/test_films.py is about films of full size."""
    monkeypatch.setattr("stgan.report.films._SIDE", 32)


@pytest.fixture
def clips(generated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generated, tmp_path / "clips"))


@pytest.fixture
def make(tiny_model: Path) -> Make:
    """Write the page of a folder, with scores as they would be written, or none."""

    def make_(folder: Path, record: Record | None = None, study: Path | None = None) -> Path:
        scores = as_record(Scores, record, "scores") if record else None
        beside = (study, read_fooling(study)) if study else None
        request = Request(folder, find_model(tiny_model), str(tiny_model), scores, beside, ("stgan", "report", "clips"))
        return write_scores_page(request)[0]

    return make_


@pytest.fixture
def study(clips: Path, record: Record, tmp_path: Path) -> Path:
    """A fooling study of two sets, scored by two networks each."""
    folder = tmp_path / "study"
    rows = []
    for steered in ("lrcn", "c3d"):
        shutil.copytree(clips, folder / steered)
        for network in ("c3d", "evaluator"):
            scores = {**record, "evaluator": network, "accuracy": 0.25, "per_action": {"left": 0.125}}
            del scores["clips"]
            rows.append({"clips": steered, "evaluator": network, "fooled": steered == network, "scores": scores})
    values = {"format": 1, "model": "tiny", "preset": "paper", "seed": 3, "num": 2, "steered_by": ["lrcn", "c3d"]}
    (folder / RECORD).write_text(json.dumps({**values, "rows": rows, "version": "1"}))
    return folder


def videos(page: Any) -> int:
    return sum(tag == "video" for tag, _ in page.tags)


def test_everything_is_on_the_page(clips: Path, record: Record, make: Make, page_of: PageOf) -> None:
    record = deepcopy(record) | {"accuracy": 0.625, "accuracy_interval": [0.5, 0.75], "frechet_video_distance": 12.34}
    record["inception_score"] |= {"mean": 1.75, "low": 1.5, "high": 2.25}
    record["notes"] = ["a note on what it depends on"]
    for clip in record["clips"]:  # one that an earlier rule shows is not shown for this again
        clip["held"] = 0.5
    record["frozen_clips"] = [clip["file"] for clip in record["clips"]]
    page = page_of(make(clips, record))
    for word in (
        "6 clips of 3 actions, model tiny, preset robust, seed 0", "Honest scores", "Not fooled", "0.62", "0.50–0.75",
        "1.75", "1.50–2.25", "12.34", "All 6 clips.", "3.00 if every clip were surely recognised",
        "Failures", "Hardly any motion", "the 3 highest", "a note on what it depends on", record["protocol"],
        record["evaluator_hash"][:16], "sampled again from the manifest", "over 1 split", "stgan evaluate",
        "grow left right --num 2 --seed 0 --model tiny --preset robust --iterations 3", *FIGURES,
    ):  # fmt: skip
        assert word in page.text, word
    assert "FOOLED" not in page.text and "quoted" not in page.text and "MoCoGAN" not in page.text
    addresses = [value for _, found in page.tags for name, value in found.items() if name in ("src", "href", "poster")]
    assert addresses and all(value.startswith("data:") for value in addresses)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
    # Six clips, those picked by each of the rules, and the best and worst three.
    assert videos(page) >= 6 + 3 + 6
    for name in FIGURES:
        with Image.open(clips / "report_figures" / name) as figure:
            figure.load()
    again = (clips / "report.html").read_bytes()
    assert make(clips, record).read_bytes() == again


def test_a_fooled_evaluator_cannot_be_overlooked(clips: Path, record: Record, make: Make, page_of: PageOf) -> None:
    make(clips, record)
    honest = (clips / "report_figures" / "confusion.png").read_bytes()
    page = page_of(make(clips, {**record, "fooled": True, "evaluator": "c3d"}))
    assert [found["class"] for _, found in page.tags if "verdict" in (found.get("class") or "")] == ["verdict fooled"]
    assert page.text.count("FOOLED") >= 6 and "Honest" not in page.text and "--allow-fooled" in page.text
    assert "seen as intended, but fooled" in page.text or "seen as intended" not in page.text
    assert (clips / "report_figures" / "confusion.png").read_bytes() != honest

    page = page_of(make(clips, {**record, "fooled": None}))
    assert "Not known whether fooled" in page.text and "Honest" not in page.text and "FOOLED" not in page.text


def test_fooled_clips_stand_beside_honest_ones(
    clips: Path, record: Record, study: Path, make: Make, page_of: PageOf
) -> None:
    page = page_of(make(clips, record, study))
    assert page.text.count("FOOLED") == 1 + 1  # the row of the table, and the one action that has a share
    assert "steered by lrcn" in page.text and "c3d: 0.12" in page.text and "Honest scores" in page.text
    assert (clips / "report_figures" / "fooling.png").exists()

    alone = page_of(make(study, None, study))
    assert videos(alone) == 6 and "A fooling study: 12 clips, steered by lrcn or c3d, seed 3" in alone.text
    assert "stgan fooling --model tiny --preset paper --num 2 --seed 3 --iterations 3 --out" in alone.text
    assert "Honest scores" not in alone.text and alone.text.count("FOOLED") == 1 + 1 + 1  # and the figure at the top


def test_hostile_names_stay_text(clips: Path, record: Record, make: Make, page_of: PageOf) -> None:
    record = deepcopy(record) | {"evaluator": HOSTILE, "protocol": HOSTILE, "notes": [HOSTILE], "version": HOSTILE}
    record |= {"actions": [HOSTILE], "confusion": [[2]], "per_action": {HOSTILE: 0.5}, "steered_by": [HOSTILE]}
    record |= {"quoted": [{"method": HOSTILE, "inception_score": 1e11, "source": HOSTILE}], "rows": []}
    entries = read_lines(clips)
    for number, entry in enumerate(entries):
        folder = "<img src=x onerror=alert(1)>"
        (clips / folder).mkdir(exist_ok=True)
        name = f"{folder}/<b>{number}$x^2$ é.mp4"
        shutil.move(clips / entry["file"], clips / name)
        entry |= {
            "file": name,
            "action": HOSTILE,
            "index": number,
            "model": HOSTILE,
            "preset": HOSTILE,
            "torch": HOSTILE,
        }
    write_lines(clips, entries)
    record["clips"] = [
        {**clip, "file": entry["file"], "named": HOSTILE + "!", "frozen": 0.5}
        for clip, entry in zip(record["clips"], entries, strict=True)
    ]
    page = page_of(make(clips, record))
    assert HOSTILE in page.text and "<b>0$x^2$ é" in page.text
    assert not [tag for tag, found in page.tags if tag in ("script", "b", "img") and "onerror" in found]
    assert "script" not in {tag for tag, _ in page.tags}


def test_a_page_of_very_many_clips_stays_small(
    clips: Path, record: Record, make: Make, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stgan.report.shown.MOST_CLIPS", 12)  # for speed: not 48 and 40
    monkeypatch.setattr("stgan.report.scores_page.MOST_ACTIONS", 10)
    entries = []
    first = read_lines(clips)[0]
    for number in range(10):
        (clips / f"action{number}").mkdir()
        for index in range(5):
            name = f"action{number}/{index}.mp4"
            os.link(clips / first["file"], clips / name)
            entries.append({**first, "file": name, "action": f"action{number}", "index": index, "init": {}})
    write_lines(clips, entries)
    names = [f"action{number}" for number in range(20)]
    many = {**record, "actions": names, "confusion": [[5] + [0] * 19] * 20, "per_action": dict.fromkeys(names, 0.5)}
    many |= {"notes": ["note"] * 60, "rows": record["rows"] * 60}
    page = page_of(make(clips, many))
    assert videos(page) == 10 and "10 of 50 clips, not selected: the first of each action." in page.text
    assert page.text.count("generated") < 60 and page.text.split().count("note") == 50
    assert "Of 20 actions, the 10 that are recognised least." in page.text
    assert (clips / "report.html").stat().st_size < 1_000_000


def test_a_page_of_large_clips_stays_small(clips: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page that readers open is at most 8 MB, whatever its clips hold: here noise, which no codec makes small."""
    monkeypatch.setattr("stgan.report.films._SIDE", 256)
    random = np.random.default_rng(0)
    entries = []
    for number in range(21):
        (clips / f"action{number}").mkdir()
        name = f"action{number}/0.mp4"
        write_video(clips / name, random.integers(0, 256, (2, 256, 256, 3), dtype=np.uint8))
        entries.append({**read_lines(clips)[0], "file": name, "action": f"action{number}", "index": 0, "init": {}})
        del entries[-1]["sha256"]
    write_lines(clips, entries)
    page = make(clips)
    assert page.stat().st_size < 8_000_000 and len(list((clips / "report_files/films").glob("*.mp4"))) == 21


def test_a_folder_of_clips_has_no_more_clips_after_its_page(tiny_clips: Path, tmp_path: Path, make: Make) -> None:
    """Figures are pictures in a folder, as frames of a clip are."""
    folder = Path(shutil.copytree(tiny_clips, tmp_path / "clips"))
    make(folder)
    assert len(find_clips(folder).clips) == 9 and (folder / "report_figures/strips.png").is_file()


def test_two_pages_about_one_folder_do_not_touch_each_other(clips: Path, record: Record, tiny_model: Path) -> None:
    def write(name: str, **changes: Any) -> dict[str, bytes]:
        scores = as_record(Scores, {**record, **changes}, "scores")
        page, figures, _ = write_scores_page(Request(clips, find_model(tiny_model), "tiny", scores), clips / name)
        return {str(path): path.read_bytes() for path in (page, *figures)}

    first = write("one.html")
    second = write("two.html", fooled=True)
    assert len(first) == len(second) == 6 and not first.keys() & second.keys()
    assert all(Path(path).read_bytes() == data for path, data in (first | second).items())


def test_published_scores_stand_beside_those_of_their_protocol(
    clips: Path, record: Record, make: Make, page_of: PageOf
) -> None:
    page = page_of(make(clips, {**record, "quoted": as_plain(QUOTED)}))
    assert "MoCoGAN" in page.text and "66.33" in page.text and "quoted, of other clips" in page.text


def test_a_page_without_an_evaluator_says_so(clips: Path, tiny_clips: Path, tiny_model: Path, page_of: PageOf) -> None:
    evaluator = find_evaluator("evaluator", find_model(tiny_model))
    scores = score_pixels(folder_clips(clips), evaluator, real=folder_clips(tiny_clips), notes=("nobody knows them",))
    page = page_of(write_scores_page(Request(clips, find_model(tiny_model), "tiny", scores))[0])
    for word in ("Measured without an evaluator", "Nobody knows them", "visible motion", "flickering clips"):
        assert word in page.text, word
    for word in ("Honest", "Inception Score", "recognised", "seen as", "FOOLED"):
        assert word not in page.text, word
    assert [found["class"] for _, found in page.tags if "verdict" in (found.get("class") or "")] == ["verdict unjudged"]


def test_what_cannot_be_shown_is_told(clips: Path, record: Record, make: Make, page_of: PageOf) -> None:
    broken, gone = [entry["file"] for entry in read_lines(clips)][:2]
    (clips / broken).write_bytes(b"no video" * 20)
    (clips / gone).unlink()
    skipped = [{"file": gone, "reason": "it is gone"}]
    page = page_of(make(clips, {**record, "skipped": skipped, "accuracy": None, "rows": []}))
    assert page.text.count("Not shown:") == 2 and "Not scored: it is gone" in page.text and "not shown" in page.text


def test_clips_without_manifest_have_a_page(tiny_clips: Path, tmp_path: Path, make: Make, page_of: PageOf) -> None:
    folder = Path(shutil.copytree(tiny_clips, tmp_path / "folders"))
    page = page_of(make(folder))
    assert "9 clips of 3 actions" in page.text and videos(page) == 9 and "Scores" not in page.text
    assert "there is no manifest to make one from" in page.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(StganError, match="has no clips"):
        make(tmp_path / "empty")


def test_no_link_out_of_the_folder_is_followed(
    clips: Path, record: Record, tiny_clips: Path, tmp_path: Path, make: Make, page_of: PageOf
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (clips / "report_figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StganError, match=r"report_figures' is a link to another folder; remove it"):
        make(clips, record)
    assert not list((tmp_path / "elsewhere").iterdir())
    (clips / "report_figures").unlink()
    action = Path(read_lines(clips)[0]["file"]).parent.name
    shutil.move(clips / action, tmp_path / "moved")
    (clips / action).symlink_to(tmp_path / "moved")
    with pytest.raises(StganError, match="is a link; put the clips themselves there"):
        make(clips, record)
    (clips / action).unlink()
    shutil.move(tmp_path / "moved", clips / action)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "set").symlink_to(clips)
    assert shown_clips(clips, None, tmp_path) and not shown_clips(tmp_path / "study" / "set", None, tmp_path / "study")
    folder = Path(shutil.copytree(tiny_clips, tmp_path / "without manifest"))
    (folder / "left" / "clip0.mp4").unlink()
    (folder / "left" / "clip0.mp4").symlink_to(tiny_clips / "left" / "clip0.mp4")
    assert videos(page_of(make(folder))) == 8


def test_scores_are_those_of_the_clips_that_are_there(clips: Path, record: Record) -> None:
    def current(**changes: Any) -> bool:
        (clips / SCORES).write_text(json.dumps({**record, **changes}))
        return kept_scores(clips, folder_clips(clips)) is not None

    assert current() and current(skipped=[{"file": "a real clip", "reason": "cannot be read"}])
    entries = read_lines(clips)
    write_lines(clips, entries[1:])
    assert not current()
    write_lines(clips, entries)
    assert current()
    later = (clips / SCORES).stat().st_mtime_ns + 10**9
    os.utime(clips / entries[0]["file"], ns=(later, later))
    assert current()
    write_lines(clips, [{**entries[0], "sha256": "0" * 64}, *entries[1:]])
    assert not current()
    write_lines(clips, entries)
    (clips / SCORES).unlink()
    assert kept_scores(clips, folder_clips(clips)) is None


def test_scores_of_other_windows_are_not_those_that_are_asked_for(clips: Path, tiny_model: Path) -> None:
    """Of another number of frames, of several windows, or of before anything said which: not to be taken again."""
    model, scored = find_model(tiny_model), folder_clips(clips)
    usual, short = (find_evaluator("evaluator", model, frames=frames) for frames in (None, 8))
    other = find_evaluator("temporal_stream", model)

    def taken(scores: Scores | Record, *judges: Any) -> list[bool]:
        (clips / SCORES).write_text(json.dumps(as_plain(scores)))
        return [kept_scores(clips, scored, judge) is not None for judge in judges]

    assert taken(evaluate(scored, usual), None, usual, other) == [True, True, False]
    assert taken(evaluate(scored, short), None, usual) == [False, False]
    assert taken(evaluate(scored, usual, features=short), None, usual) == [False, False]
    for protocol in (Protocol(windows=2), Protocol(size=(12, 12)), Protocol(fps=12.5)):
        assert taken(evaluate(scored, usual, protocol=protocol), None, usual) == [False, False]
    before = as_plain(evaluate(scored, usual))
    del before["judged"]
    assert taken(before, None, usual) == [False, False]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"format": 99}, "has format 99, not 3"),
        ({"num_videos": None}, "num_videos: "),
        ({"num_videos": True}, "num_videos: "),
        ({"num_videos": 10**400}, "num_videos: "),
        ({"accuracy": 1.5}, "accuracy: "),
        ({"accuracy": float("nan")}, "NaN is not JSON"),
        ({"motion": 1e12}, "motion: "),
        ({"accuracy_interval": [0.9, 0.1]}, "accuracy_interval: the first must not be above the second"),
        ({"inception_score": {"mean": "3"}}, "inception_score.mean: "),
        ({"inception_score": [3]}, "inception_score: "),
        ({"per_action": {"walk": "often"}}, "per_action.walk: "),
        ({"confusion": [[1, -1]]}, "confusion[0][1]: "),
        ({"confusion": [[1, 2], [3, 4]]}, "the confusion matrix does not fit the actions"),
        ({"rows": [None]}, "rows[0]: "),
        ({"clips": [{"file": 5}]}, "clips[0].file: "),
        ({"protocol": "x" * 30_000}, "protocol: "),
        ({"more": 1}, "more: unknown name"),
    ],
)
def test_scores_are_not_trusted(clips: Path, record: Record, change: Record, place: str) -> None:
    (clips / SCORES).write_text(json.dumps({**record, **change}))
    with pytest.raises(StganError) as error:
        read_scores(clips / SCORES)
    assert place in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "[" * 100_000, '{"format": 1, "num_videos": ' + "9" * 5000 + "}", "\ud800"]
)
def test_what_is_no_json_record_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / SCORES).write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(StganError, match="remove it"):
        read_scores(tmp_path / SCORES)


def test_what_is_written_is_read(clips: Path, tiny_clips: Path, tiny_model: Path) -> None:
    evaluator = find_evaluator("evaluator", find_model(tiny_model))
    beside = evaluate(folder_clips(tiny_clips), evaluator, real=Real(folder_clips(tiny_clips)))
    beside = replace(beside, skipped=(Skipped("clip", "why"),))
    (clips / SCORES).write_text(json.dumps(as_plain(beside)))
    assert read_scores(clips / SCORES) == beside and beside.copies and beside.temporal_order_real


def test_the_nearest_training_frame_is_beside_each_clip(
    clips: Path, tiny_clips: Path, tiny_model: Path, page_of: PageOf
) -> None:
    evaluator = find_evaluator("evaluator", find_model(tiny_model))
    scores = evaluate(folder_clips(clips), evaluator, real=Real(labelled_clips(find_clips(tiny_clips))))

    def pictures(scores: Scores, real: Path | None) -> tuple[Any, int]:
        request = Request(clips, find_model(tiny_model), "tiny", scores, command=("stgan", "report"), real=real)
        page, figures, _ = write_scores_page(request)
        assert ((clips / "report_figures" / "nearest.png") in figures) is (real is not None)
        return page_of(page), sum("nearest training" in (found.get("alt") or "") for _, found in page_of(page).tags)

    page, shown = pictures(scores, tiny_clips)
    nearest = [clip.nearest_frame for clip in scores.clips]
    assert shown == len(nearest) == 6 and all(
        each and f"{each.file}, frame {each.frame}" in page.text for each in nearest
    )
    assert pictures(scores, None)[1] == 0
    assert scores.clips[0].nearest_frame
    outside = replace(scores.clips[0], nearest_frame=replace(scores.clips[0].nearest_frame, file="../left/clip0.mp4"))
    assert pictures(replace(scores, clips=(outside, *scores.clips[1:])), tiny_clips)[1] == 5


def test_values_beside_real_clips_are_on_the_page(
    clips: Path, tiny_clips: Path, tiny_model: Path, make: Make, page_of: PageOf
) -> None:
    evaluator = find_evaluator("evaluator", find_model(tiny_model))
    written = as_plain(evaluate(folder_clips(clips), evaluator, real=Real(folder_clips(tiny_clips))))
    written["frozen_clips"] = [HOSTILE]
    text = page_of(make(clips, written)).text
    assert "Beside real clips" in text and "of the background" in text and "frozen clips" in text
    assert f"in {written['beside_real']['actions_within']['visible_motion']} of 3 actions" in text
    written["beside_real"] |= {"values": {}, "motion": {"motion": {}}, "actions_within": {}}
    assert "Beside real clips" in page_of(make(clips, written)).text


def test_a_study_reads_nothing_outside_its_folder(study: Path, make: Make, page_of: PageOf) -> None:
    values = json.loads((study / RECORD).read_text())
    (study / RECORD).write_text(json.dumps({**values, "steered_by": ["..", "../clips", "nowhere", "c3d"]}))
    assert videos(page_of(make(study, None, study))) == 3
    with pytest.raises(StganError, match="run stgan fooling again"):
        read_fooling(study / "c3d")
