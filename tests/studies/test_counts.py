"""The paper's Figure 6."""

from pathlib import Path

from PIL import Image

from stgan.studies.counts import draw_counts


def test_it_is_as_wide_as_there_are_actions(tmp_path: Path) -> None:
    path = tmp_path / "counts.png"
    draw_counts(path, {"run": 7, "walk": 9}, {"run": 3, "a_very_long_name_$_that_is_cut_somewhere": 1})
    small = Image.open(path).size
    draw_counts(path, {f"action{i}": 100 for i in range(101)}, {"action0": 100})
    assert Image.open(path).size[0] > 2 * small[0]
