"""Clips inside a page."""

import base64
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stgan.files import sha256
from stgan.report.film_files import FilmFolder, films_of
from stgan.report.films import LONGEST, Film, Films, alike, enlargement, even_sides, make_film, read_clip, strip
from stgan.scoring import Clip as ScoredClip
from stgan.video import VideoError, write_video

Clip = Callable[..., Path]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """Write a clip of smooth noise, coloured and moving."""

    def clip_(name: str = "clip.mp4", time: int = 6, height: int = 24, width: int = 32, fps: float = 25.0) -> Path:
        small = np.random.default_rng(0).integers(0, 256, (time, 3, 4, 3), dtype=np.uint8)
        frames = np.stack([np.asarray(Image.fromarray(frame).resize((width, height))) for frame in small])
        write_video(tmp_path / name, frames, fps)
        return tmp_path / name

    return clip_


def scored(path: Path, recorded: str | None = None) -> ScoredClip:
    return ScoredClip(path, path.name, sha256=recorded)


def decoded(address: str) -> tuple[np.ndarray, str, str, float]:
    """The frames of a film, its codec and profile, its pixel format, its rate."""
    with av.open(io.BytesIO(base64.b64decode(address.partition(";base64,")[2]))) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        codec = f"{stream.codec_context.name} {stream.codec_context.profile}"
        return frames, codec, str(stream.codec_context.pix_fmt), float(stream.average_rate or 0)


def test_a_film_shows_the_clip_in_formats_that_every_browser_plays(clip: Clip) -> None:
    path = clip(fps=30.0)
    film = make_film(path)
    factor = enlargement((24, 32))
    assert (film.width, film.height) == (32 * factor, 24 * factor) and factor == 2
    original = read_clip(path).frames.astype(int)
    for address, kind, name in (
        (film.mp4, "video/mp4", "h264 Constrained Baseline"),
        (film.webm, "video/webm", "vp8 None"),
    ):
        frames, codec, pixels, rate = decoded(address)
        assert address.startswith(f"data:{kind};base64,") and codec.startswith(name) and pixels == "yuv420p"
        assert rate == pytest.approx(15, abs=0.1)  # shorter than a second: at half its speed
        middles = frames[:, factor // 2 :: factor, factor // 2 :: factor]
        assert middles.shape == original.shape
        assert np.abs(middles - original).mean() < 3  # of 255: enlarged, halved colour takes nothing away
    assert b"ftyp" in base64.b64decode(film.mp4.partition(",")[2])[:12]
    mp4 = base64.b64decode(film.mp4.partition(",")[2])
    assert mp4.index(b"moov") < mp4.index(b"mdat")  # plays before the rest is there
    assert make_film(path) == film


@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 2), (300, 227), (90, 801)])
def test_films_of_any_size_have_even_sides_and_are_small(clip: Clip, height: int, width: int) -> None:
    film = make_film(clip(time=2, height=height, width=width))
    frames, *_ = decoded(film.webm)
    assert frames.shape == (2, film.height, film.width, 3)
    assert film.width % 2 == 0 and film.height % 2 == 0 and max(film.width, film.height) <= 320
    assert film.width / film.height == pytest.approx(width / height, rel=0.05) or min(height, width) == 1


def test_long_clips_are_cut(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stgan.report.films._SIDE", 8)  # for speed
    film = make_film(clip(time=LONGEST + 20, height=4, width=4))
    frames, _, _, rate = decoded(film.mp4)
    assert len(frames) == LONGEST and rate == 25


def test_a_page_is_filled_only_so_far(clip: Clip) -> None:
    first, second = scored(clip("a.mp4")), scored(clip("b.mp4"))
    size = make_film(first.path).size
    films = Films(budget=int(1.5 * size))
    assert isinstance(films.get(first), Film) and films.get(second) is None and films.left_out == 1
    assert films.get(first) is None and films.left_out == 2
    films = Films()
    assert films.get(first) == films.get(first) and films.budget == Films().budget - 2 * size


def test_films_that_do_not_fit_into_the_page_are_beside_it(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, so that a page does not depend on which were encoded first. One that is there twice counts twice."""
    monkeypatch.setattr("stgan.report.films._SIDE", 64)  # for speed
    clips = [scored(clip(f"{number}.mp4", time=3 + number)) for number in range(3)]
    size = sum(make_film(each.path).size for each in clips)

    def found(budget: int, times: int = 1) -> Films | FilmFolder:
        monkeypatch.setattr("stgan.report.film_files.Films", lambda: Films(budget=budget))
        places = [(each, False) for each in clips] * times
        return films_of(tmp_path / "page.html", places, lambda films, what, total: films)

    inside = found(size)
    assert isinstance(inside, Films) and all(inside.get(each) for each in clips)
    assert inside.budget == inside.left_out == 0 and not (tmp_path / "page_files").exists()
    for beside in (found(size - 1), found(size, 2)):
        assert isinstance(beside, FilmFolder) and all(beside.get(each) for each in clips)
    assert len(list((tmp_path / "page_files/films").iterdir())) == 3 * 3


def test_only_the_clips_of_the_manifest_are_shown(clip: Clip, tmp_path: Path) -> None:
    whole, films = clip("a.mp4"), Films()
    for folder in ("no video", "another", "link"):
        (tmp_path / folder).mkdir()
    (tmp_path / "no video" / "a.mp4").write_bytes(b"no video" * 20)
    shutil.copy(clip("other.mp4", time=3), tmp_path / "another" / "a.mp4")
    (tmp_path / "link" / "a.mp4").symlink_to(whole)
    for folder in ("no video", "another", "link"):
        assert films.get(scored(tmp_path / folder / "a.mp4", sha256(whole))) is None
    assert films.get(scored(tmp_path / "no video" / "a.mp4")) is None
    assert len(films.refused) == 3 and films.left_out == 0
    assert films.get(scored(whole, sha256(whole))) == make_film(whole)


def test_too_long_clips_are_refused(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stgan.report.films._MOST_FRAMES", 5)
    with pytest.raises(VideoError, match="more than 5 frames"):
        make_film(clip())


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_small_clips_are_enlarged(height: int, width: int) -> None:
    factor = enlargement((height, width))
    assert factor == (2 if max(height, width) <= 160 else 1)


def test_strips_and_sizes() -> None:
    frames = np.arange(3 * 5 * 7 * 3, dtype=np.uint8).reshape(3, 5, 7, 3)
    even = even_sides(frames)
    assert even.shape == (3, 6, 8, 3) and (even[:, :5, :7] == frames).all() and (even[:, 5, :7] == frames[:, 4]).all()
    with Image.open(io.BytesIO(base64.b64decode(strip(frames, columns=2).partition(",")[2]))) as picture:
        assert picture.size == (14, 5)
        assert (np.asarray(picture) == np.concatenate([frames[0], frames[2]], axis=1)).all()
    first, second = alike([frames, np.zeros((2, 50, 20, 3), np.uint8)])
    assert (first == frames).all() and second.shape == (2, 5, 7, 3)
