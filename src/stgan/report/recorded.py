"""The records that a page of scores is made from: `scores.json` and a fooling study's `fooling.json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stgan.report.untrusted import Shape, count, fitted, fraction, number, pair_of, read, text, truth
from stgan.scoring import FORMAT, Clip

FOOLING, _FOOLING_FORMAT = "fooling.json", 1


def _name(value: Any) -> bool:
    """Of an action, or its number where an evaluator has no names."""
    return text(value) or count(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_INCEPTION_SCORE = {"mean": number, "std": number, "low": number, "high": number}
_PIXELS = {"motion": number, "flicker": number, "frozen": number, "appearance_drift": number}
_OF_CLIPS = {**_PIXELS, "visible_motion": number, "held": number, "background_drift": number, "colour_drift": number}
_COMPARED = {"generated": number, "real": number, "ratio": number, "real_std": number, "deviations": number}
_FEATURES = {"frechet_video_distance": number, "kernel_video_distance": number, "diversity": number}
_ORDER = {"num_videos": count, "ordered": fraction, "shuffled": fraction, "drop": number}
_SHAPE: dict[str, Shape] = {
    "format": count,
    "num_videos": count,
    "evaluator": text,
    "evaluator_network": text,
    "evaluator_hash": text,
    "protocol": text,
    "feature_network": text,
    "feature_hash": text,
    "feature_size": count,
    "fooled": truth,
    "steered_by": [text],
    "actions": [text],
    "accuracy": fraction,
    "accuracy_interval": pair_of(fraction),
    "per_action": {str: fraction},
    "per_action_interval": {str: pair_of(fraction)},
    "per_action_contribution": {str: number},
    "confusion": [[count]],
    "inception_score": _INCEPTION_SCORE,
    "splits": count,
    **_FEATURES,
    **dict.fromkeys(("precision", "recall", "density", "coverage"), number),
    **_PIXELS,
    "frozen_clips": [text],
    "flickering_clips": [text],
    "temporal_order": _ORDER,
    "temporal_order_real": _ORDER,
    "copying": {"generated": number, "unseen": number, "ratio": number, "nearer_than_any": count, "baseline": text},
    "beside_real": {
        "num_videos": count,
        "values": {str: _COMPARED},
        "motion": {str: {str: _COMPARED}},
        "actions_within": {str: count},
        "tolerance": fraction,
        "splits": count,
        "split_videos": count,
    },
    "rows": [
        {
            "name": text,
            "num_videos": count,
            "inception_score": _INCEPTION_SCORE,
            "accuracy": fraction,
            "accuracy_interval": pair_of(fraction),
            **_FEATURES,
            **_PIXELS,
            "num_frozen": count,
            "num_flickering": count,
        }
    ],
    "quoted": [{"method": text, "inception_score": number, "source": text}],
    "skipped": [{"file": text, "reason": text}],
    "notes": [text],
    "version": text,
}
_CLIPS = [
    {
        "file": text, "sha256": text, "action": text, "named": _name, "probability": fraction, "contribution": number,
        **_OF_CLIPS,
    },
]  # fmt: skip

_ALL: dict[str, Shape] = {**_SHAPE, "clips": _CLIPS}
_REQUIRED = {"format": FORMAT, "num_videos": None}

Scores = dict[str, Any]
"""All that `stgan evaluate` writes: None for what could not be measured; missing lists and tables are empty."""


@dataclass(frozen=True)
class Study:
    """A fooling study: clips steered by one network each, judged by several. rows: `clips`, `evaluator`, `scores`."""

    folder: Path
    model: str | None
    preset: str | None
    seed: int | None
    num: int | None
    steered_by: list[str]
    rows: list[dict[str, Any]]


def read_scores(path: Path) -> Scores:
    """`scores.json`, checked.

    Raises:
        StganError: it cannot be read or is not what `stgan evaluate` writes.
    """
    return _complete(read(path, _ALL, _REQUIRED, "remove it to have the clips scored again"))


def as_scores(value: dict[str, Any]) -> Scores:
    """The same of what would be written. ValueError if that has another shape."""
    return _complete(fitted(value, _ALL, _REQUIRED))


def is_current(scores: Scores, path: Path, clips: Sequence[Clip]) -> bool:
    """Whether the scores in this file are of these clips: of the same contents, or without a manifest of files that
    have not been written since.
    """
    scored = {clip["file"]: clip["sha256"] for clip in scores["clips"]}
    if (
        not scored.keys()
        <= {clip.name for clip in clips}
        <= scored.keys() | {clip["file"] for clip in scores["skipped"]}
    ):
        return False
    written = path.stat().st_mtime_ns
    return all(
        clip.sha256 == scored.get(clip.name, clip.sha256)
        if clip.sha256
        else clip.path.exists() and clip.path.stat().st_mtime_ns <= written
        for clip in clips
    )


def read_study(folder: Path) -> Study:
    """What a fooling study wrote, checked.

    Raises:
        StganError: there is no `fooling.json`, or it is not what `stgan fooling` writes.
    """
    row = {"clips": text, "evaluator": text, "fooled": truth, "scores": _SHAPE}
    settings = {"model": text, "preset": text, "seed": _whole, "num": count}
    shape = {"format": count, **settings, "steered_by": [text], "rows": [row]}
    required = {"format": _FOOLING_FORMAT, "steered_by": None, "rows": None}
    found = read(folder / FOOLING, shape, required, "run stgan fooling again")
    del found["format"]
    found["rows"] = [{**row, "scores": _complete(row["scores"] or dict.fromkeys(_SHAPE))} for row in found["rows"]]
    return Study(folder, **found)


def _complete(scores: Scores) -> Scores:
    """Lists and tables that are missing are empty; a confusion matrix that does not fit its actions is dropped."""
    lists = {name: scores.get(name) or [] for name in ("steered_by", "actions", "rows", "quoted", "skipped", "notes")}
    tables = {name: scores[name] or {} for name in ("per_action", "per_action_interval", "per_action_contribution")}
    tables = {name: {k: v for k, v in table.items() if v is not None} for name, table in tables.items()}
    classes, confusion = len(lists["actions"]), scores["confusion"] or []
    square = len(confusion) == classes and all(len(row) == classes for row in confusion)
    clips = [clip for clip in scores.get("clips") or [] if clip["file"]]
    return {**scores, **lists, **tables, "confusion": confusion if square else [], "clips": clips}
