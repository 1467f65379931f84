"""The picture of a folder's clips."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stgan.generation.contact_sheet import CLIPS, CONTACT_SHEET, write_contact_sheet
from stgan.video import read_video, write_video


@pytest.mark.parametrize(("actions", "rows"), [(1, 4), (9, 36), (20, 40), (48, 48), (60, 48)])
def test_the_contact_sheet_has_a_bounded_number_of_rows(actions: int, rows: int, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", np.full((4, 8, 8, 3), 5, np.uint8))
    clips = [(f"{number:02d}", index, Path("a.mp4")) for number in range(actions) for index in range(CLIPS)]
    write_contact_sheet(tmp_path, clips)
    height, width = read_video(tmp_path / "a.mp4").frames.shape[1:3]
    assert Image.open(tmp_path / CONTACT_SHEET).size == (96 + 4 * width, rows * (height + 4))
