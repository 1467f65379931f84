"""The table of metrics: for each its key in records, its name, its unit, and whether higher or lower is better."""

from dataclasses import dataclass

HIGHER, LOWER, LIKE_REAL = "higher", "lower", "as real clips"


@dataclass(frozen=True)
class Metric:
    """A row of the table of metrics.

    key:    its name in records (`stgan evaluate --json`). Keys do not change, because others read them.
    name:   its name in tables and pages.
    unit:   of its values.
    better: `HIGHER`, `LOWER`, or `LIKE_REAL` (best at the value of real clips).
    what:   what it measures, in a few words.
    digits: after the decimal point.
    """

    key: str
    name: str
    unit: str
    better: str
    what: str
    digits: int = 2


_PIXEL = "0-255"
_SHARE = "share, 0 to 1"
_CORRELATION = "1 - correlation, 0 to 2"

METRICS = {
    metric.key: metric
    for metric in (
        Metric("accuracy", "accuracy", _SHARE, HIGHER, "clips whose action the evaluator recognises"),
        Metric(
            "inception_score", "Inception Score", "1 to the number of classes", HIGHER,
            "how certain the evaluator is of each clip, and how evenly the clips share the classes",
        ),
        Metric(
            "frechet_video_distance", "Fréchet", "features squared", LOWER,
            "distance of means and covariances of features from those of real clips",
        ),
        Metric(
            "kernel_video_distance", "kernel", "none", LOWER,
            "maximum mean discrepancy of features from those of real clips", 4,
        ),
        Metric(
            "diversity", "feature diversity", "features", LIKE_REAL,
            "mean distance between the features of two clips of one action",
        ),
        Metric(
            "frame_distance", "to a training frame", _CORRELATION, LIKE_REAL,
            "median distance between a clip and the nearest training frame",
        ),
        Metric(
            "window_distance", "to a training window", _CORRELATION, LIKE_REAL,
            "median distance between a clip and the nearest training window",
        ),
        Metric(
            "near_duplicates", "near-duplicates", _SHARE, LIKE_REAL,
            "clips that nearly equal another one of their action in the run",
        ),
        Metric("precision", "precision", _SHARE, HIGHER, "generated clips in the ball of any real clip"),
        Metric("recall", "recall", _SHARE, HIGHER, "real clips in the ball of any generated clip"),
        Metric("density", "density", "from 0", HIGHER, "balls of real clips that a generated clip lies in, over k"),
        Metric("coverage", "coverage", _SHARE, HIGHER, "real clips that have a generated clip in their ball"),
        Metric("motion", "motion", _PIXEL, LIKE_REAL, "mean absolute difference of neighbouring frames"),
        Metric(
            "visible_motion", "visible motion", _PIXEL, LIKE_REAL,
            "the same of blocks that change visibly, the others counted as 0",
        ),
        Metric("flicker", "flicker", _PIXEL, LOWER, "change that goes to and fro"),
        Metric("frozen", "frozen", _SHARE, LOWER, "steps from frame to frame without visible change"),
        Metric("held", "held", _SHARE, LOWER, "three frames in a row without visible change"),
        Metric(
            "appearance_drift", "appearance change", _PIXEL, LOWER,
            "change of background and colours from frame to frame",
        ),
        Metric(
            "background_drift", "- of the background", _PIXEL, LOWER,
            "change of the middle one of the blocks from frame to frame",
        ),
        Metric(
            "colour_drift", "- of the colours", _PIXEL, LOWER,
            "distance of neighbouring frames' colour distributions",
        ),
        Metric("frozen_clips", "frozen clips", _SHARE, LOWER, "clips that are held for more than a quarter"),
        Metric("flickering_clips", "flickering clips", _SHARE, LOWER, "clips with more flicker than real ones have"),
        Metric(
            "variety", "pixel diversity", _PIXEL, LIKE_REAL,
            "mean difference between the mean pictures of two clips of one action",
        ),
    )
}  # fmt: skip
"""By key."""


def markdown_table() -> str:
    """All metrics as Markdown, for the documentation."""
    rows = [
        ("metric", "key", "what", "unit", "better"),
        ("---",) * 5,
        *((each.name, f"`{each.key}`", each.what, each.unit, each.better) for each in METRICS.values()),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
