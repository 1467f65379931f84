"""Records of experiments: what is written is what is read, and what was recorded before."""

from pathlib import Path
from typing import Any

import pytest

from stgan.records import as_plain, as_record, read_json, write_record
from stgan.report.augmentation_page import write_augmentation_page
from stgan.scoring import Scores
from stgan.studies.ablations import AblationStudy
from stgan.studies.actors import read_study
from stgan.studies.augmentation import ARMS, RECORD, Arm, AugmentationResult, NetworkBehind, Run, Summary
from stgan.studies.fooling import FoolingStudy
from stgan.training.finetuning import CurvePoint, FinetuningRecipe

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_what_an_experiment_writes_is_read(tmp_path: Path) -> None:
    points = tuple(CurvePoint(iteration, test, None) for iteration, test in ((10, 0.25), (20, 0.75)))
    arms = tuple(Arm(name, 9, "ab", points, points[1], (0.5, 0.9), points[1], (0.5, 0.9), name) for name in ARMS)
    runs = tuple(Run(seed, arms) for seed in (0, 1))
    result = AugmentationResult(
        initial="ab", recipe=FinetuningRecipe(), actions=("left", "right"), groups={"train": ("a",), "test": ()},
        clips={"train": 6, "validation": 0, "test": 4}, counts={"real": {"left": 6}, "generated": {"left": 9}},
        sources={"real": (), "generated": ()}, networks=(NetworkBehind("generator", "cd", 0),), proven=False,
        runs=runs, seeds=(0, 1), summary=Summary.of(runs),
    )  # fmt: skip
    write_record(tmp_path / RECORD, result)
    setting = read_study(tmp_path / RECORD).primary
    assert setting.result == result and setting.result.summary.gain.low == 0
    assert write_augmentation_page(tmp_path)[0].exists()


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*augmentation.json")), ids=lambda path: path.stem)
def test_recorded_experiments_are_read(path: Path) -> None:
    study = read_study(path)
    assert all(setting.result.summary == Summary.of(setting.result.runs) for setting in study.settings)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [("weizmann_*", Scores), ("jhmdb_motion*", Scores), ("*fooling*", FoolingStudy), ("ablations_*", AblationStudy)],
)
def test_recorded_scores_are_read(pattern: str, kind: type[Any]) -> None:
    paths = sorted(RESULTS.glob(f"{pattern}.json"))
    assert paths
    for path in paths:
        values = read_json(path)
        plain = as_plain(as_record(kind, values, path))
        for name, value in values.items():
            if name == "judged" and value:  # older records state fewer settings
                plain[name]["protocol"] = {key: plain[name]["protocol"][key] for key in value["protocol"]}
            assert name == "rows" or name == "clips" or name == "beside_real" or plain[name] == value, (path, name)
