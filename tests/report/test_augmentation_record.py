"""What an augmentation experiment writes is what its page reads."""

import json
from pathlib import Path

from stgan.report.augmentation_page import write_augmentation_page
from stgan.report.recorded_augmentation import read_augmentation
from stgan.studies.augmentation import ARMS, RECORD, Arm, AugmentationResult, Run
from stgan.training.finetuning import CurvePoint, FinetuningRecipe


def test_what_an_experiment_writes_is_read(tmp_path: Path) -> None:
    points = tuple(CurvePoint(iteration, test, None) for iteration, test in ((10, 0.25), (20, 0.75)))
    arms = tuple(Arm(name, 9, "ab", points, points[1], (0.5, 0.9), points[1], (0.5, 0.9), name) for name in ARMS)
    result = AugmentationResult(
        initial="ab", recipe=FinetuningRecipe(), actions=("left", "right"), groups={"train": ("a",), "test": ()},
        clips={"train": 6, "validation": 0, "test": 4}, counts={"real": {"left": 6}, "generated": {"left": 9}},
        sources={"real": (), "generated": ()},
        networks=({"role": "generator", "hash": "cd", "seen": 0},), proven=False,
        runs=tuple(Run(seed, arms) for seed in (0, 1)),
    )  # fmt: skip
    (tmp_path / RECORD).write_text(json.dumps(result.to_json()))
    setting = read_augmentation(tmp_path).primary
    assert setting.seeds == [0, 1] and setting.result["summary"]["gain"]["low"] == 0
    assert {"iterations", "every", "stop_on"} <= setting.result["recipe"].keys()
    assert write_augmentation_page(tmp_path)[0].exists()
