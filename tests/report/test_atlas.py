"""An atlas of many classes, and the films beside it."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.files import sha256
from stgan.manifest import Entry, Manifest
from stgan.records import as_record
from stgan.report import film_files, films
from stgan.report.atlas import make_atlas
from stgan.report.film_files import FilmFolder
from stgan.report.scores_page import Request, write_scores_page
from stgan.report.shown import Shown
from stgan.scoring import Clip, Scores, folder_clips, unlisted
from stgan.video import write_video

PageOf = Callable[[Path], Any]
Write = Callable[..., Path]
CLASSES = 45
HOSTILE = "<script>alert(1)</script>&\"'{{ 7*7 }}"
SCRIPT = Path(films.__file__).parent / "templates" / "browse.js"


@pytest.fixture(autouse=True)
def small_films(monkeypatch: pytest.MonkeyPatch) -> None:
    """For speed; tests/report/test_films.py is about films of full size."""
    monkeypatch.setattr("stgan.report.films._SIDE", 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips of 45 classes, as `stgan generate` writes them; each of its own, of 2 frames."""
    out, entries = tmp_path / "clips", []
    hashes = {"condition": {"own": "a" * 64}}
    for number in range(CLASSES):
        name = f"class {number:02}/0.mp4"
        (out / name).parent.mkdir(parents=True)
        write_video(out / name, np.full((2, 16, 16, 3), 5 * number, np.uint8))
        details = {"probability": number / CLASSES, "hashes": hashes, "sha256": sha256(out / name)}
        entries.append(Entry(name, f"class {number:02}", 0, details))
    Manifest(out).write(entries)
    return out


@pytest.fixture
def write(tiny_model: Path) -> Write:
    def write_(folder: Path, scores: Scores | None = None, out: Path | None = None) -> Path:
        return write_scores_page(Request(folder, find_model(tiny_model), "tiny", scores), out)[0]

    return write_


def cards(page: Any) -> list[dict[str, str | None]]:
    return [found for _, found in page.tags if found.get("class") == "card"]


def scored(folder: Path, record: dict[str, Any], **changes: Any) -> Scores:
    """Scores of these clips: the even ones are seen as what they should be, with a probability of 0.9."""
    names = [entry.action for entry in Manifest(folder).read()]
    clips = [
        {**record["clips"][0], "file": entry.file, "action": entry.action, "sha256": None,
         "named": entry.action if number % 2 == 0 else "another <b>", "probability": (0.1, 0.9)[number % 2 == 0]}
        for number, entry in enumerate(Manifest(folder).read())
    ]  # fmt: skip
    shares = dict.fromkeys(names, 0.5)
    actions = {"actions": names, "confusion": [], "per_action": shares, "per_action_contribution": {}}
    return as_record(Scores, {**record, **actions, "clips": clips, "per_action_interval": {}, **changes}, "scores")


def test_every_class_has_a_card_to_search_and_to_sort(
    folder: Path, record: dict[str, Any], write: Write, page_of: PageOf
) -> None:
    page = page_of(write(folder, scored(folder, record)))
    found = cards(page)
    assert [card["data-name"] for card in found] == [f"class {number:02}" for number in range(CLASSES)]
    assert float(found[9]["data-steered"] or "") == pytest.approx(9 / CLASSES, abs=1e-6)
    assert [float(card["data-judged"] or "") for card in found[:2]] == [0.9, 0.1]
    assert "steered 0.20, evaluator 0.10" in page.text and "seen as another <b>" in page.text
    tags = [found for tag, found in page.tags if tag in ("input", "select", "option")]
    assert tags[0]["id"] == "search" and [tag.get("value") for tag in tags[2:]] == [
        "", "steered -1", "steered 1", "judged -1", "judged 1",
    ]  # fmt: skip
    assert "All 45 clips." in page.text and "Failures" in page.text and "Frame by frame" not in page.text
    unscored = page_of(write(folder))
    assert "evaluator" not in unscored.text.partition("How a clip is made")[0] and "steered 0.20" in unscored.text
    assert not any("data-judged" in card for card in cards(unscored))


def test_films_are_files_that_are_loaded_when_they_are_seen(folder: Path, write: Write, page_of: PageOf) -> None:
    path = write(folder)
    page = page_of(path)
    links = [found for tag, found in page.tags if tag == "a" and found.get("class") == "film"]
    posters = [found for tag, found in page.tags if tag == "img" and found.get("loading") == "lazy"]
    assert len(links) == len(posters) == CLASSES and not [tag for tag, _ in page.tags if tag in ("video", "source")]
    for link, poster in zip(links, posters, strict=True):
        assert b"ftyp" in (folder / str(link["href"])).read_bytes()[:12]
        assert (folder / str(link["data-webm"])).read_bytes().startswith(b"\x1a\x45\xdf\xa3")
        with Image.open(folder / str(poster["src"])) as image:
            assert image.format == "JPEG" and [str(side) for side in image.size] == [poster["width"], poster["height"]]
    assert len(list((folder / "report_files/films").iterdir())) == 3 * CLASSES
    assert path.stat().st_size < 100_000


def test_the_page_runs_one_script_and_loads_nothing_from_elsewhere(folder: Path, write: Write, page_of: PageOf) -> None:
    path = write(folder)
    page, text = page_of(path), path.read_text()
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    assert script == SCRIPT.read_text()
    policy = next(found["content"] for _, found in page.tags if "http-equiv" in found)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data: 'self' file:; media-src data: 'self' file:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    for _, found in page.tags:
        assert not [name for name in found if name.startswith("on")]
        for name in ("src", "href", "data-webm"):
            assert (found.get(name) or "data:").startswith(("data:", "#below", "./report_files/films/"))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_script_searches_and_sorts() -> None:
    """In place of a browser: the few parts of one that the script uses."""
    browser = """
    const every = [['Wave_hand', 0.2], ['waltz é', 0.9], ['Chess']].map(([name, steered]) =>
      ({ hidden: false, dataset: steered === undefined ? { name } : { name, steered: String(steered) } }));
    const parts = {};
    const part = (id) => (parts[id] ??= { value: '', on: {}, textContent: '', hidden: true, shown: [],
      addEventListener(kind, run) { this.on[kind] = run }, dispatchEvent(event) { this.on[event.type]() },
      append(...shown) { this.shown = shown } });
    globalThis.document = { querySelectorAll: (what) => (what === '.card' ? every : []), getElementById: part };
    globalThis.matchMedia = () => ({ matches: false });
    globalThis.IntersectionObserver = class { observe() {} };
    """
    use = """
    const seen = (query) => { parts.search.value = query; parts.search.on.input();
      return every.filter((card) => !card.hidden).map((card) => card.dataset.name) };
    const sorted = (choice) => { parts.order.value = choice; parts.order.on.change();
      return parts.cards.shown.map((card) => card.dataset.name) };
    console.log(JSON.stringify([seen(''), seen('WA'), seen('hand wave'), seen('E'), parts.found.textContent, seen('x'),
      sorted('steered -1'), sorted('steered 1'), sorted(''), parts.tools.hidden]));
    """
    done = subprocess.run(
        ["node", "-e", browser + SCRIPT.read_text().removeprefix('"use strict";') + use],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    wave, waltz, chess = "Wave_hand", "waltz é", "Chess"
    assert json.loads(done.stdout) == [
        [wave, waltz, chess], [wave, waltz], [wave], [wave, waltz, chess], "3 of 3", [],
        [waltz, wave, chess], [wave, waltz, chess], [wave, waltz, chess], False,
    ]  # fmt: skip


def test_an_interrupted_run_continues(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    most = 10

    def counted(path: Path, wide: bool) -> Any:
        if len(made) == most:
            raise KeyboardInterrupt
        made.append(path)
        return films.encode_film(path, wide)

    monkeypatch.setattr(film_files, "encode_film", counted)
    with pytest.raises(KeyboardInterrupt):
        write(folder)
    assert not (folder / "report.html").exists()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "report_files/films").iterdir()}
    assert len(kept) == 3 * most
    most = CLASSES + 1
    page = write(folder).read_bytes()
    assert len(made) == CLASSES == len(set(made))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert write(folder).read_bytes() == page and len(made) == CLASSES


def test_one_clip_at_a_time_is_in_memory(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    read, most = films.read_clip, 0
    decoded: list[weakref.ref[Any]] = []

    def watched(*given: Any) -> Any:
        nonlocal most
        clip = read(*given)
        decoded.append(weakref.ref(clip))
        most = max(most, sum(each() is not None for each in decoded))
        return clip

    monkeypatch.setattr(films, "read_clip", watched)
    write(folder)
    assert len(decoded) == CLASSES and most == 1


def test_only_films_of_the_page_stay(folder: Path, write: Write) -> None:
    write(folder)
    beside = folder / "report_files/films"
    before = set(beside.iterdir())
    (beside / "notes.txt").touch()
    (beside / f".{'0' * 32}.mp4.123.part").touch()  # of a killed process
    write_video(folder / "class 00/0.mp4", np.full((2, 16, 16, 3), 250, np.uint8))
    first, *others = Manifest(folder).read()
    details = first.details | {"sha256": sha256(folder / first.file)}
    Manifest(folder).write([Entry(first.file, first.action, 0, details), *others])
    write(folder)
    after = set(beside.iterdir())
    assert len(before - after) == 3 and len(after - before) == 3 + 1 and beside / "notes.txt" in after


def test_no_link_is_followed(folder: Path, write: Write, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "report_files").symlink_to(elsewhere)
    with pytest.raises(StganError, match=r"report_files' is a link to another folder; remove it"):
        write(folder)
    (folder / "report_files").unlink()
    (folder / "report_files").touch()
    with pytest.raises(StganError, match="is a file where the page needs a folder"):
        write(folder)
    (folder / "report_files").unlink()
    (folder / "report_files").mkdir()
    (folder / "report_files/films").symlink_to(elsewhere)
    with pytest.raises(StganError, match=r"films' is a link to another folder; remove it"):
        write(folder)
    (folder / "report_files/films").unlink()
    assert not list(elsewhere.iterdir())

    write(folder)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    film = sorted((folder / "report_files/films").glob("*.mp4"))[0]
    for path in (film, film.with_suffix(".jpg")):
        path.unlink()
        path.symlink_to(secret)
        write(folder)
        assert not path.is_symlink() and path.stat().st_size > 6 and secret.read_text() == "secret"
    film.with_suffix(".jpg").write_text("no picture")
    write(folder)
    with Image.open(film.with_suffix(".jpg")) as image:
        image.load()


def test_hostile_names_stay_text(folder: Path, record: dict[str, Any], write: Write, page_of: PageOf) -> None:
    first, *others = Manifest(folder).read()
    Manifest(folder).write([Entry(first.file, HOSTILE, 0, first.details), *others])
    out = folder / "<b>'\"&#?%.html"
    page = page_of(write(folder, scored(folder, record, evaluator=HOSTILE), out))
    assert next(card["data-name"] for card in cards(page)) == HOSTILE and HOSTILE in page.text
    assert [tag for tag, _ in page.tags].count("script") == 1 and "b" not in {
        tag for tag, found in page.tags if "onerror" in found
    }
    link = next(found["href"] for tag, found in page.tags if found.get("class") == "film")
    assert str(link).startswith("./%3Cb%3E%27%22%26%23%3F%25_files/films/")
    assert len(list((folder / "<b>'\"&#?%_files/films").iterdir())) == 3 * CLASSES


def test_damaged_and_changed_clips_are_not_shown(folder: Path, write: Write, page_of: PageOf) -> None:
    (folder / "class 00/0.mp4").write_bytes(b"no video")
    (folder / "class 01/0.mp4").unlink()
    page = page_of(write(folder))
    missing = [found for _, found in page.tags if found.get("class") == "missing"]
    assert page.text.count("Not shown:") == len(missing) == 2 and len(cards(page)) == CLASSES


def test_films_that_no_longer_fit_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(folder.glob("*/0.mp4"))[:3]
    monkeypatch.setattr(film_files, "_WHOLE_FOLDER", 1)
    beside = FilmFolder.of(folder / "page.html")
    beside.write([Clip(path, path.name) for path in paths])
    assert beside.left_out == 2 and len(list((folder / "page_files/films").iterdir())) == 3


def test_films_are_not_taken_for_clips(folder: Path, write: Write, page_of: PageOf) -> None:
    """Neither beside a manifest nor without one, when the page is written again."""
    write(folder)
    assert unlisted(folder, folder_clips(folder)) == []
    Manifest(folder).path.unlink()
    for _ in range(2):
        assert "45 clips of 45 actions" in page_of(write(folder)).text


def test_few_classes_stay_one_file(folder: Path, write: Write, page_of: PageOf) -> None:
    Manifest(folder).write(list(Manifest(folder).read())[:40])
    page = page_of(write(folder))
    assert not (folder / "report_files").exists() and "script" not in {tag for tag, _ in page.tags}
    assert not cards(page) and sum(tag == "video" for tag, _ in page.tags) == 40


NAMES = st.dictionaries(st.text(max_size=5), st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=4), max_size=8)


@given(NAMES)
def test_cards_are_sorted_and_probabilities_are_means(classes: dict[str, list[float | None]]) -> None:
    def shown(name: str, values: list[float | None]) -> Iterator[Shown]:
        for value in values:
            yield Shown(Clip(Path(name), name), name, {} if value is None else {"probability": value}, None)

    actions = {name: list(shown(name, values)) for name, values in classes.items()}
    atlas = make_atlas(actions, {name: clips[:1] for name, clips in actions.items()})
    assert sorted(classes) == sorted(card.name for card in atlas.cards)
    assert [card.name.casefold() for card in atlas.cards] == sorted(name.casefold() for name in classes)
    for card in atlas.cards:
        known = [value for value in classes[card.name] if value is not None]
        assert card.judged is None and (card.steered is None) == (not known)
        assert card.steered is None or min(known) - 1e-9 <= card.steered <= max(known) + 1e-9
    assert atlas.known["steered"] == any(value is not None for values in classes.values() for value in values)
