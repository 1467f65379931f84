"""What a page of scores says first: what it is about, who judges, the main figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from stgan.report.page import fixed
from stgan.report.recorded import Scores, Study
from stgan.report.selection import Shown
from stgan.scoring import SHOWN

_MOST_TILES = 12
_NETWORKS = {"r2plus1d": "R(2+1)D", "temporal_stream": "Temporal stream", "c3d": "C3D", "lrcn": "LRCN", "i3d": "I3D"}

_MOST_ACTIONS = 200

_HONEST = "Not fooled: the evaluator had no part in making these clips."
_FOOLED = (
    "The network that judges these clips also steered them. Its scores say how well it was fooled, "
    "and nothing about the clips."
)
_UNKNOWN = "Nothing says which networks steered these clips, so nobody can tell whether the evaluator was fooled."


def network_name(scores: Scores | None) -> str:
    """The evaluator's architecture as papers write it; nothing if it is none of ours."""
    return _NETWORKS.get(scores["evaluator_network"] or "", "") if scores else ""


def subtitle(clips: Sequence[Shown], actions: Mapping[str, Any], known: Mapping[str, str], study: Study | None) -> str:
    """How many clips of what; `known` is what the manifest says of all of them alike."""
    if study:
        seed = "" if study.seed is None else f", seed {study.seed:.0f}"
        return f"A fooling study: {len(clips)} clips, steered by {' or '.join(study.steered_by)}{seed}"
    words = [f"{len(clips)} clips of {len(actions)} actions"]
    words += [f"{name} {known[name]}" for name in ("model", "preset", "seed") if name in known]
    return ", ".join(words)


def verdict(scores: Scores | None) -> dict[str, str] | None:
    """Whether the evaluator was fooled, in a word and in a sentence, and what steered."""
    if scores is None:
        return None
    word, sentence = {True: ("fooled", _FOOLED), False: ("honest", _HONEST), None: ("unknown", _UNKNOWN)}[
        scores["fooled"]
    ]
    return {"word": word, "sentence": sentence, "steered_by": ", ".join(scores["steered_by"])}


def tiles(scores: Scores | None) -> list[dict[str, Any]]:
    """The figures to see first: value, interval, label; and whether they are those of a network that was fooled."""
    if scores is None:
        return []
    inception, fooled = scores["inception_score"] or {}, bool(scores["fooled"])
    features = scores["feature_network"] or "the evaluator"
    best = f", {len(scores['actions'])} at best" if scores["actions"] else ""
    found = (
        _tile(scores["accuracy"], scores["accuracy_interval"], "of the clips named as asked", fooled),
        _tile(inception.get("mean"), [inception.get("low"), inception.get("high")], f"Inception Score{best}", fooled),
        _tile(scores["frechet_video_distance"], None, f"Fréchet video distance, features of {features}", fooled),
        _tile(scores["motion"], None, "motion: difference of neighbouring frames, 0–255", False),
    )
    return [tile for tile in found if tile]


def beside_real(scores: Scores | None) -> dict[str, Any] | None:
    """The table of values beside those of real clips, that of each action's motion, and what it comes to in words."""
    found = scores["beside_real"] if scores else None
    if not found:
        return None
    values, motion = found["values"] or {}, found["motion"] or {}
    lines = [
        {**values[name], "name": shown, "digits": digits}
        for name, (shown, digits) in SHOWN.items()
        if values.get(name) and values[name]["generated"] is not None and values[name]["real"] is not None
    ]
    every, visible = motion.get("motion") or {}, motion.get("visible_motion") or {}
    actions = [(a, (every[a], visible[a])) for a in list(every)[:_MOST_ACTIONS] if every[a] and visible.get(a)]
    within = (found["actions_within"] or {}).get("visible_motion")
    words = ""
    if actions and within is not None and found["tolerance"] is not None:
        words = (
            f"Visible motion lies within {found['tolerance']:.0%} of real clips' in {within} of {len(every)} actions"
        )
    return {"lines": lines, "motion": actions, "within": words}


def study_tiles(study: Study) -> list[dict[str, Any]]:
    """The same of a fooling study: the accuracy of each set of clips by each judge."""
    found = []
    for row in study.rows[:_MOST_TILES]:
        clips = "real clips" if row["clips"] == "real" else f"clips steered by {row['clips']}"
        label = f"of the {clips} named as asked by {row['evaluator']}"
        found.append(_tile(row["scores"]["accuracy"], row["scores"]["accuracy_interval"], label, bool(row["fooled"])))
    return [tile for tile in found if tile]


def _tile(
    value: float | int | None, interval: Sequence[float | int | None] | None, label: str, fooled: bool
) -> dict[str, Any]:
    if value is None:
        return {}
    between = "–".join(fixed(end) for end in interval) if interval and None not in interval else ""
    label += " (95 % interval)" if between else ""
    return {"value": fixed(value), "interval": between, "label": label, "fooled": fooled}
