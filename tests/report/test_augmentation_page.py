"""The page and the tables about an augmentation experiment."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from augmentation_records import experiment
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stgan.errors import StganError
from stgan.metrics.means import Mean
from stgan.records import as_record
from stgan.report.augmentation_page import write_augmentation_page
from stgan.report.augmentation_tables import between, markdown_tables, percent, points, verdict
from stgan.studies.actors import STUDY, StudyResult, read_study
from stgan.studies.augmentation import RECORD, AugmentationResult

PageOf = Callable[[Path], Any]
Record = dict[str, Any]
HOSTILE = "<script>alert(1)</script>&\"'{{ 7*7 }}"
SEEDS = [(0.25, 0.5, 0.5625), (0.25, 0.5, 0.625), (0.3125, 0.4375, 0.5625)]  # both - real: 0.0625, 0.125, 0.125


def write(folder: Path, name: str, record: Record) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(record))
    return folder


def a_study(*settings: tuple[str, int | None, Record], primary: int = 0) -> Record:
    listed = [
        {"name": name, "actors": actors, "primary": i == primary, "result": result}
        for i, (name, actors, result) in enumerate(settings)
    ]
    return {"format": 1, "version": "1.2.3", "settings": listed}


def cells(markdown: str) -> list[list[str]]:
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows]


def test_everything_is_on_the_page(tmp_path: Path, page_of: PageOf) -> None:
    folder = write(tmp_path / "augmentation", RECORD, experiment(SEEDS))
    path, figures = write_augmentation_page(folder, command="stgan report augmentation")
    page = page_of(path)
    for word in (
        "augmentation", "2 actions; 3 seeds", "Generated clips raise the accuracy by 10.4 points",
        "(95 % interval 5.4–15.4, over 3 seeds)", "0.71", "quoted, not comparable", "15.6\xa0%", "+1.6", "+12.5",
        "seed 2", "18 real clips, of daria, denis", "9 real clips, of lyova", "36 real clips",
        "one test clip is 2.8 points",
        "600", "ef" * 8, "cd" * 8, "None of them saw a clip other", "stgan 1.2.3", "stgan report augmentation",
    ):  # fmt: skip
        assert word in page.text, word
    assert "too high" in page.text and "Not every network" not in page.text and "mirror" not in page.text
    assert [path.name for path in figures] == ["gain.png", "accuracies.png", "counts.png"]
    assert [kind for kind, _ in page.pictures] == ["data:image/png"] * 3
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "a")]
    for figure in figures:
        with Image.open(figure) as image:
            image.load()
    again = path.read_bytes(), [figure.read_bytes() for figure in figures]
    write_augmentation_page(folder, command="stgan report augmentation")
    assert (path.read_bytes(), [figure.read_bytes() for figure in figures]) == again


def test_what_makes_the_figures_too_good_is_said(tmp_path: Path, page_of: PageOf) -> None:
    record = experiment(SEEDS, proven=False)
    record["recipe"]["stop_on"] = "test"
    text = page_of(write_augmentation_page(write(tmp_path / "one", RECORD, record))[0]).text
    assert "Not every network" in text and "The test clips decided" in text and "None of them" not in text


def test_what_is_not_known_is_left_out(tmp_path: Path, page_of: PageOf) -> None:
    nothing = {"groups": {}, "clips": {}, "counts": {}, "networks": []}
    folder = write(tmp_path / "one", RECORD, experiment(SEEDS[:1], None, **nothing))
    path, figures = write_augmentation_page(folder, tmp_path / "page.html")
    text = page_of(path).text
    assert [figure.relative_to(tmp_path).as_posix() for figure in figures] == [
        "page_figures/gain.png",
        "page_figures/accuracies.png",
    ]
    assert "One seed" in text and "this may be chance" in text and "Figure 6" not in text


def test_a_study_shows_all_settings_and_the_primary_one_closely(tmp_path: Path, page_of: PageOf) -> None:
    settings = [(f"{n} actors", n, experiment(SEEDS[:n], 0.2 if n == 3 else 0.01)) for n in (2, 3)]
    folder = write(tmp_path / "study", STUDY, a_study(*settings, primary=1))
    path, figures = write_augmentation_page(folder)
    text = page_of(path).text
    assert (
        "2 settings, of which “3 actors” is the primary one" in text
        and "3 actors (primary)" in text
        and "seed 2" in text
    )
    assert "do not measurably change the accuracy: +10.4 points (95 % interval −9.6 to 30.4, over 3 seeds)" in text
    assert "by_actors.png" in [figure.name for figure in figures]

    write(folder, STUDY, a_study(("a", 2, settings[0][2]), ("b", 2, settings[1][2]), ("c", None, settings[1][2])))
    path, figures = write_augmentation_page(folder)
    assert "by_actors.png" not in [figure.name for figure in figures] and "number of actors" not in page_of(path).text


@pytest.mark.parametrize(
    ("gain", "half", "word", "says"),
    [
        (0.1, 0.05, "raised", "raise the accuracy by 10.0 points (95 % interval 5.0–15.0, over 2 seeds)"),
        (-0.1, 0.05, "lowered", "lower the accuracy by 10.0 points (95 % interval −15.0 to −5.0, over 2 seeds)"),
        (0.125, 0.125, "unchanged", "change the accuracy: +12.5 points (95 % interval 0.0–25.0, over 2 seeds)"),
        (0.1, None, "unknown", "With 2 seeds, both minus real is +10.0 points"),
    ],
)
def test_the_verdict_follows_from_the_interval(gain: float, half: float | None, word: str, says: str) -> None:
    found = verdict(as_record(AugmentationResult, experiment([(0.25, 0.5, 0.5 + gain)] * 2, half), "record"))
    assert found[0] == word and says in found[1]


@given(st.floats(-1, 1))
def test_differences_are_points_with_one_decimal_and_their_sign(difference: float) -> None:
    words = points(difference)
    value = float(words.replace("−", "-"))
    assert abs(value - 100 * difference) <= 0.05 + 1e-9
    assert words[0] == ("+" if value > 0 else "−" if value < 0 else "0")
    assert percent(abs(difference)) == f"{abs(value):.1f} %"


def test_tables_as_markdown(tmp_path: Path) -> None:
    study = a_study(("one | two", 1, experiment(SEEDS[:1], None)), ("all", 3, experiment(SEEDS)), primary=1)
    text = markdown_tables(as_record(StudyResult, study, "study"))
    assert "\nall, by seed:\n" in text and text.endswith("|\n")
    rows = cells(text)
    settings, by_seed = rows[2:4], rows[6:]
    assert settings == [
        ["one \\| two", "18 + 40", "1", "25.0 %", "50.0 %", "56.2 %", "+6.2"],
        [
            "all (primary)", "18 + 40", "3",
            "27.1 % (22.1–32.1)", "47.9 % (42.9–52.9)", "58.3 % (53.3–63.3)", "+10.4 (5.4–15.4)",
        ],
    ]  # fmt: skip
    for i, (generated, real, both) in enumerate(SEEDS):
        shown = [float(cell.rstrip(" %")) for cell in by_seed[1 + i][1:]]
        wanted = [100 * value for value in (generated, real, both, both - real)]
        assert by_seed[1 + i][0] == f"seed {i}" and shown == pytest.approx(wanted, abs=0.0501)
    assert by_seed[-1] == ["the paper, UCF-101: quoted, not comparable", "15.6 %", "50.6 %", "52.2 %", "+1.6"]
    assert {len(row) for row in settings} == {7} and {len(row) for row in by_seed} == {5}
    alone = read_study(write(tmp_path, RECORD, experiment(SEEDS)) / RECORD)
    assert markdown_tables(alone) == text.partition("by seed:\n\n")[2]


def test_an_interval_has_no_dash_beside_a_minus() -> None:
    def interval(low: float | None, high: float | None) -> str:
        return between(Mean(0.0 if low is None else low, None, low, high, ()))

    assert interval(-0.1, -0.05) == "−10.0 to −5.0" and interval(0.0, 0.05) == "0.0–5.0" and interval(None, None) == ""


def test_real_and_generated_clips_stand_side_by_side(tmp_path: Path, tiny_clips: Path, page_of: PageOf) -> None:
    folder = tmp_path / "one"
    left = sorted((tiny_clips / "left").iterdir())
    for place in ("left", "grow", "right"):
        (folder / place).mkdir(parents=True)
    shutil.copy(left[0], folder / "left" / "own.mp4")
    (folder / "left" / "link.mp4").symlink_to(left[1])
    (folder / "grow" / "broken.mp4").write_bytes(b"no video")
    strange = [
        "left/link.mp4",
        "grow/broken.mp4",
        "right",
        "right/nowhere.mp4",
        "right/\0.mp4",
        "/dev/zero",
        "x" * 9999,
    ]
    sources = {"real": [str(path) for path in left], "generated": [*strange, "left/own.mp4"]}
    write(folder, RECORD, experiment(SEEDS, sources=sources))
    path, figures = write_augmentation_page(folder)
    page = page_of(path)
    strips = [found["alt"] for tag, found in page.tags if tag == "img" and ", " in found["alt"]]
    assert strips[-3:] == ["left, real", "left, real", "left, generated"] and "before you share this page" in page.text
    assert figures[-1].name == "strips.png" and sum(alt.endswith("generated") for alt in strips) == 1


def test_hostile_names_stay_text(tmp_path: Path, page_of: PageOf) -> None:
    result = experiment(SEEDS, initial=HOSTILE, version=HOSTILE, actions=[HOSTILE])
    result |= {"groups": {"train": [HOSTILE]}, "counts": {"real": {HOSTILE + "$^$": 3}}}
    result |= {"networks": [{"role": HOSTILE, "hash": HOSTILE, "seen": 1}]}
    folder = write(tmp_path / "study", STUDY, a_study((HOSTILE, 1, result), (HOSTILE + "\n", 2, result)))
    page = page_of(write_augmentation_page(folder, command=HOSTILE)[0])
    assert page.text.count(HOSTILE) >= 7 and "script" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"format": 1}, "format: "),
        ({"runs": []}, "the seeds are not those of the runs"),
        ({"seeds": [0, 1, 3]}, "the seeds are not those of the runs"),
        ({"runs": [{"seed": 0, "arms": []}]}, "runs[0]: the arms must be generated, real, both"),
        ({"runs": [{"seed": 0, "arms": [{"curve": [{"test": 2}]}]}]}, "runs[0].arms[0]."),
        ({"runs": [{"seed": 0.5}]}, "runs[0].seed: "),
        ({"runs": [{"arms": None}]}, "runs[0].seed is missing"),
        ({"summary": {}}, "summary.generated is missing"),
        ({"summary": {"real": {"mean": float("nan")}}}, "NaN is not JSON"),
        ({"clips": {"test": -1}}, "clips.test: "),
        ({"counts": {"fake": {}}}, "figures are those of real and of generated clips"),
        ({"proven": "yes"}, "proven: "),
        ({"networks": [7]}, "networks[0]: "),
        ({"sources": {"real": [7]}}, "sources.real[0]: "),
        ({"published": {"real": 0.5}}, "figures are those of real and of generated clips"),
    ],
)
def test_records_are_not_trusted(tmp_path: Path, change: Record, place: str) -> None:
    write(tmp_path, RECORD, {**experiment(SEEDS), **change})
    with pytest.raises(StganError) as error:
        write_augmentation_page(tmp_path)
    assert place in str(error.value).replace(": is missing", " is missing") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("gain", "values"), [0.1], ": the summary is not that of the runs"),
        (("gain", "low"), 0.5, ".summary.gain: an interval holds its mean"),
        (("real", "high"), None, ".summary.real: an interval has two ends"),
        (("both", "mean"), None, ".summary.both.mean: "),
        (("best_on_test", "both"), None, ".summary.best_on_test.both: "),
    ],
)
def test_a_summary_that_contradicts_itself_is_refused(
    tmp_path: Path, path: tuple[str, str], value: Any, place: str
) -> None:
    record = experiment(SEEDS)
    record["summary"][path[0]][path[1]] = value
    write(tmp_path, STUDY, a_study(("only", 1, record)))
    with pytest.raises(StganError, match=re.escape(f"settings[0].result{place}")):
        write_augmentation_page(tmp_path)


def test_a_study_has_one_primary_setting(tmp_path: Path) -> None:
    record = experiment(SEEDS)
    for study in (a_study(), a_study(("a", 1, record), primary=1), a_study(("a", 1, record)) | {"format": 2}):
        write(tmp_path, STUDY, study)
        with pytest.raises(StganError, match="run the study again"):
            write_augmentation_page(tmp_path)
    with pytest.raises(StganError, match="run stgan augment again"):
        write_augmentation_page(tmp_path / "nowhere")
