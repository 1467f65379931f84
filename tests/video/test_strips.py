"""Pictures of videos: which frames, and never larger than a screen can use."""

from pathlib import Path

import numpy as np
from PIL import Image

from stgan.video.strips import Strip, save_strips, thumbnails


def test_frames_are_spread_evenly_and_small_ones_kept_as_they_are() -> None:
    video = np.arange(31, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    assert thumbnails(video)[:, 0, 0, 0].tolist() == list(range(0, 31, 2))
    np.testing.assert_array_equal(thumbnails(video[:16]), video[:16])
    assert thumbnails(video[:3], columns=5)[:, 0, 0, 0].tolist() == [0, 0, 1, 2, 2]


def test_pictures_stay_of_a_sane_size(tmp_path: Path) -> None:
    for rows, height, width in ((1, 900, 700), (3, 40, 5000), (48, 400, 20), (200, 64, 64)):
        strips = [Strip(str(row), np.full((16, height, width, 3), 255, np.uint8)) for row in range(rows)]
        save_strips(tmp_path / "sheet.png", strips)
        picture = Image.open(tmp_path / "sheet.png")
        assert picture.width <= 4096 and picture.height <= 8192
        assert picture.width > 3500 or picture.height > 7000  # no smaller than needed
        assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_a_title_stands_above_and_minus_signs_can_be_seen(tmp_path: Path) -> None:
    black = np.zeros((2, 20, 20, 3), np.uint8)
    save_strips(tmp_path / "sheet.png", [Strip("−", black)], title="a title that is wider than the frames")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape[0] == 24 + 24 and sheet.shape[1] > 200 and (sheet[:24] < 128).any()
    assert (sheet[24:44, 96:136] == 0).all() and (sheet[:, -6:] == 255).all()  # nothing is cut off
    (rows,) = {tuple(np.flatnonzero((sheet[24:, :96] < 128).any(1)))}
    assert 1 <= len(rows) <= 2  # a bar; a font without this sign has a box instead


def test_a_label_is_written_where_it_changes(tmp_path: Path) -> None:
    black = np.zeros((2, 20, 20, 3), np.uint8)
    save_strips(tmp_path / "sheet.png", [Strip("a", black), Strip("a", black), Strip("b", black)])
    labels = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))[:, :96]
    assert [bool((labels[top : top + 20] < 128).any()) for top in (0, 24, 48)] == [True, False, True]
