from pathlib import Path

import pytest

from stgan.video.ucf101 import CLASSES


def test_there_are_101_different_classes() -> None:
    assert len(set(CLASSES)) == len(CLASSES) == 101


@pytest.mark.real
def test_the_classes_are_those_of_the_official_list(real_data: Path) -> None:
    lines = (real_data / "ucf101_sample/ucfTrainTestlist/classInd.txt").read_text().splitlines()
    assert [line.split() for line in lines if line] == [[str(i), name] for i, name in enumerate(CLASSES, start=1)]
