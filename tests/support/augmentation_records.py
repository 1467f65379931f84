"""Records of augmentation experiments."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any


def experiment(
    accuracies: Sequence[tuple[float, float, float]], half: float | None = 0.05, **changes: Any
) -> dict[str, Any]:
    """What `stgan augment` would write of accuracies that are given for each seed: generated, real and both.

    half: of every interval; None: too few seeds for one. changes: entries of the record.
    """
    names, clips = ("generated", "real", "both"), (40, 18, 58)
    runs = []
    for seed, found in enumerate(accuracies):
        arms = []
        for name, number, test in zip(names, clips, found, strict=True):
            points = [(10, test / 2, 0.25), (20, test, 0.75), (30, min(1.0, test + 0.125), 0.5)]
            curve = [{"iteration": i, "test": t, "validation": v} for i, t, v in points]
            ends = {"interval": [0.0, 1.0], "best_on_test_interval": [0.0, 1.0]}
            arm = {"name": name, "clips": number, "start": "ab" * 32, "curve": curve, "checkpoint": name}
            arms.append({**arm, "chosen": curve[1], "best_on_test": curve[2], **ends})
        runs.append({"seed": seed, "arms": arms})

    def over_seeds(values: Sequence[float]) -> dict[str, Any]:
        mean = fmean(values)
        interval = {"std": None, "low": None, "high": None}
        if half is not None:
            interval = {"std": 0.01, "low": mean - half, "high": mean + half}
        return {"mean": mean, **interval, "values": list(values)}

    arms_of = dict(zip(names, zip(*accuracies, strict=True), strict=True))
    summary: dict[str, Any] = {name: over_seeds(values) for name, values in arms_of.items()}
    gains = [both - real for _, real, both in accuracies]
    best = {name: over_seeds([min(1.0, value + 0.125) for value in values]) for name, values in arms_of.items()}
    summary |= {"best_on_test": best, "gain": over_seeds(gains), "share": 0.71}
    groups = {"train": ["daria", "denis"], "validation": ["lyova"], "test": []}
    network = {"role": "generator", "hash": "cd" * 32, "seen": 18}
    record = {
        "format": 2, "version": "1.2.3", "initial": "ef" * 32, "seeds": [run["seed"] for run in runs],
        "recipe": {"iterations": 600, "stop_on": "validation"},
        "actions": ["left", "right"], "groups": groups, "clips": {"train": 18, "validation": 9, "test": 36},
        "counts": {"real": {"left": 9, "right": 9}, "generated": {"left": 40}}, "networks": [network],
        "proven": True, "runs": runs, "summary": summary,
        "published": {"generated": 0.156, "real": 0.506, "both": 0.522},
    }  # fmt: skip
    return {**record, **changes}
