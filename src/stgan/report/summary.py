"""The beginning of a page of scores: what it is about, whether the evaluator was fooled, the main figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from stgan.metrics.table import METRICS
from stgan.report.page import fixed
from stgan.report.shown import Shown
from stgan.scoring import PixelScores, Scores
from stgan.studies.fooling import REAL, FoolingStudy

_MOST_TILES = 12
_NETWORKS = {"r2plus1d": "R(2+1)D", "temporal_stream": "Temporal stream", "c3d": "C3D", "lrcn": "LRCN", "i3d": "I3D"}

_MOST_ACTIONS = 200

_VERDICTS = {
    False: ("honest", "Not fooled: the evaluator had no part in making these clips."),
    True: (
        "fooled",
        "The network that scores these clips also steered them. Its scores say how well it was fooled, and nothing "
        "about the clips.",
    ),
    None: (
        "unknown",
        "It is not known which networks steered these clips, so it is not known whether the evaluator was fooled.",
    ),
}


def network_name(scores: Scores | None) -> str:
    """The evaluator's architecture as papers write it; empty for other architectures."""
    return _NETWORKS.get(scores.evaluator_network, "") if scores else ""


def subtitle(
    clips: Sequence[Shown], actions: Mapping[str, Any], known: Mapping[str, str], study: FoolingStudy | None
) -> str:
    """The number of clips and how they were made; `known` are the settings that all of them share."""
    if study:
        return f"A fooling study: {len(clips)} clips, steered by {' or '.join(study.steered_by)}, seed {study.seed}"
    words = [f"{len(clips)} clips of {len(actions)} actions"]
    words += [f"{name} {known[name]}" for name in ("model", "preset", "seed") if name in known]
    return ", ".join(words)


def verdict(scores: Scores | PixelScores | None) -> dict[str, str] | None:
    """Whether the evaluator was fooled, in a word and in a sentence, and the networks that steered."""
    if scores is None:
        return None
    if isinstance(scores, PixelScores):
        notes = " ".join(scores.notes)
        return {"word": "unjudged", "sentence": notes[:1].upper() + notes[1:], "steered_by": ""}
    word, sentence = _VERDICTS[scores.fooled]
    return {"word": word, "sentence": sentence, "steered_by": ", ".join(scores.steered_by)}


def tiles(scores: Scores | None) -> list[dict[str, Any]]:
    """The main figures: value, interval, label, and whether they come from a network that was fooled."""
    if scores is None:
        return []
    inception, fooled, motion = scores.inception_score, bool(scores.fooled), METRICS["motion"]
    sure = scores.sure_inception_score
    marks = [f"{sure:.2f} if every clip were surely recognised"] if sure is not None else []
    real = scores.beside_real.values.get("inception_score") if scores.beside_real else None
    marks += [f"{real.real:.2f} for as many real clips"] if real and real.real is not None else []
    features = f"Fréchet video distance, features of {scores.feature_network}"
    found = (
        _tile(scores.accuracy, scores.accuracy_interval, "of the clips recognised", fooled),
        _tile(inception.mean, (inception.low, inception.high), "; ".join(("Inception Score", *marks)), fooled)
        if inception
        else {},
        _tile(scores.frechet_video_distance, None, features, fooled),
        _tile(scores.motion, None, f"{motion.name}: {motion.what}, {motion.unit}", False),
    )
    return [tile for tile in found if tile]


def unjudged(scores: PixelScores) -> dict[str, Any]:
    """The values of clips that no evaluator judges, beside those of real clips where these are known."""
    lines = [(METRICS[name], value) for name, value in scores.values.items()]
    return {"lines": lines, "num_videos": scores.num_videos, "real": any(value.real is not None for _, value in lines)}


def beside_real(scores: Scores | None) -> dict[str, Any] | None:
    """Values beside those of real clips, the motion of each action, and a sentence about it."""
    found = scores.beside_real if scores else None
    if not found:
        return None
    lines = [(METRICS[name], value) for name, value in found.shown.items()]
    every, visible = found.motion.get("motion", {}), found.motion.get("visible_motion", {})
    actions = [(a, (every[a], visible[a])) for a in list(every)[:_MOST_ACTIONS] if a in visible]
    within = found.actions_within.get("visible_motion")
    words = ""
    if actions and within is not None:
        words = f"Visible motion lies within {found.tolerance:.0%} of real clips' in {within} of {len(every)} actions"
    return {"lines": lines, "motion": actions, "within": words}


def study_tiles(study: FoolingStudy) -> list[dict[str, Any]]:
    """The main figures of a fooling study: the accuracy of each set of clips by each evaluator."""
    found = []
    for row in study.rows[:_MOST_TILES]:
        clips = "real clips" if row.clips == REAL else f"clips steered by {row.clips}"
        label = f"of the {clips} recognised by {row.evaluator}"
        found.append(_tile(row.scores.accuracy, row.scores.accuracy_interval, label, row.fooled))
    return [tile for tile in found if tile]


def _tile(value: float | None, interval: tuple[float, float] | None, label: str, fooled: bool) -> dict[str, Any]:
    if value is None:
        return {}
    between = "–".join(map(fixed, interval)) if interval else ""
    label += " (95 % interval)" if between else ""
    return {"value": fixed(value), "interval": between, "label": label, "fooled": fooled}
