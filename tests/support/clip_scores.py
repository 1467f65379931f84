"""Scores of clips that no network has seen."""

from stgan.scoring import Clip, ClipScores


def clip_scores(clip: Clip, named: str, contribution: float, probability: float) -> ClipScores:
    return ClipScores(
        file=clip.name, sha256=clip.sha256, action=clip.action, named=named, probability=probability,
        contribution=contribution, motion=0.0, flicker=0.0, frozen=0.0, appearance_drift=0.0,
    )  # fmt: skip
