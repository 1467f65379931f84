"""Choose generated clips to train on: the paper's Section 5.3.1, and two other rules.

The paper "chose samples ... that contributed to a high score", at most 100 of an action, and gives no details. Here a
clip's contribution is its KL(p(y|x) || p(y)). The Inception Score is the exponential of the mean contribution, so a
clip that contributes more than the mean raises the score. A clip may contribute much and still show another action
than it should, according to the evaluator. Its label would then be wrong. So only clips whose action the evaluator
recognises are chosen, unless `any_verdict` is set: the paper does not exclude the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from statistics import fmean

import numpy as np
from jaxtyping import Float

from stgan.errors import StganError
from stgan.names import quoted
from stgan.records import Count, Number
from stgan.scoring import MIDDLE, Clip, ClipScores, Evaluator, ScoreCache, Scores, measure
from stgan.scoring.measurements import Watch
from stgan.scoring.real import share_to_shuffle

MOST = 100
"""Chosen clips of an action, in the paper."""
LEAST_CONFIDENCE = 0.5


class Criterion(str, Enum):
    """The rule by which clips are chosen.

    INCEPTION:  their contributions to the Inception Score, largest first (the paper's rule).
    CONFIDENCE: the evaluator's probability of the action that they should show, highest first.
    DIVERSITY:  their distances from one another in the evaluator's features (farthest-point selection).
    """

    INCEPTION = "inception"
    CONFIDENCE = "confidence"
    DIVERSITY = "diversity"


@dataclass(frozen=True)
class ClassCounts:
    """Numbers of clips of an action (all, recognised, chosen), and mean contributions in nats."""

    candidates: Count
    recognised: Count
    chosen: Count
    contribution: Number
    contribution_of_chosen: Number | None


@dataclass(frozen=True)
class Selection:
    """Chosen clips, and why others were not chosen.

    clips:      the chosen ones, sorted by action, the best of each action first.
    candidates: all clips that could be chosen.
    by, most, least, any_verdict: the rule, see `select`.
    scores:     of all clips that were scored, by name.
    left_out:   for each candidate that was not chosen the reason, by name.
    """

    clips: tuple[Clip, ...]
    candidates: tuple[Clip, ...]
    by: Criterion
    most: int
    least: float
    any_verdict: bool
    scores: Mapping[str, ClipScores]
    left_out: Mapping[str, str]

    @property
    def classes(self) -> dict[str, ClassCounts]:
        """Counts of each action of the candidates, actions sorted."""
        return {
            action: self._class([clip for clip in self.candidates if clip.action == action])
            for action in sorted({str(clip.action) for clip in self.candidates})
        }

    @property
    def thin(self) -> list[str]:
        """Actions with fewer chosen clips than `most`, but at least one."""
        return [action for action, found in self.classes.items() if 0 < found.chosen < self.most]

    @property
    def without(self) -> list[str]:
        """Actions without a chosen clip."""
        return [action for action, found in self.classes.items() if not found.chosen]

    def _class(self, clips: Sequence[Clip]) -> ClassCounts:
        contributions = {clip.name: self.scores[clip.name].contribution for clip in clips}
        chosen = [value for name, value in contributions.items() if name not in self.left_out]
        return ClassCounts(
            candidates=len(clips),
            recognised=sum(self.scores[clip.name].named == clip.action for clip in clips),
            chosen=len(chosen),
            contribution=fmean(contributions.values()),
            contribution_of_chosen=fmean(chosen) if chosen else None,
        )


def scores_by_clip(scores: Scores) -> dict[str, ClipScores]:
    """The scores of each clip, by its name.

    Raises:
        StganError: the evaluator steered the clips, so it would choose those that fooled it best.
    """
    if scores.fooled:
        raise StganError(
            f"{scores.evaluator} steered these clips, so it would choose those that fooled it best; "
            "score them by another network"
        )
    return {clip.file: clip for clip in scores.clips}


def features_of(
    clips: Sequence[Clip],
    evaluator: Evaluator,
    *,
    cache: ScoreCache | None = None,
    watch: Watch = lambda results, description, total: results,
) -> dict[str, Float[np.ndarray, " d"]]:
    """The features of each clip's middle window, by its name. See `measure` for the options.

    Raises:
        StganError: a clip cannot be read.
    """
    protocol = replace(MIDDLE, shuffled=share_to_shuffle(len(clips)))  # as in `evaluate`, to find its cached results
    measured, _ = measure(clips, evaluator, protocol, cache=cache, watch=watch, description="features")
    return dict(zip((clip.name for clip in measured.clips), measured.features.numpy(), strict=True))


def select(
    clips: Sequence[Clip],
    scores: Mapping[str, ClipScores],
    *,
    by: Criterion = Criterion.INCEPTION,
    most: int = MOST,
    least: float | None = None,
    any_verdict: bool = False,
    features: Mapping[str, Float[np.ndarray, " d"]] | None = None,
) -> Selection:
    """Choose clips of each action to train on.

    Args:
        clips: scored clips, each with the action that it should show.
        scores: of all clips that were scored, by their names (see `scores_by_clip`).
        by: the rule.
        most: the largest number of chosen clips of an action.
        least: the smallest value that is chosen. For INCEPTION, the contribution in nats (default: the mean of all
            scored clips); for CONFIDENCE, the probability (default: 0.5); for DIVERSITY, the distance from every other
            chosen clip must exceed it (default: 0, which leaves one of several clips with equal features).
        any_verdict: also choose clips in which the evaluator sees another action, as the paper may have done.
        features: for DIVERSITY, the features of each clip (see `features_of`).

    Raises:
        StganError: a clip has no action or was not scored, none is left, or `most` or `least` is out of range.
    """
    if most < 1:
        raise StganError(f"the largest number of chosen clips of an action must be at least one, not {most}")
    if least is not None and not 0 <= least < np.inf:
        raise StganError(f"the smallest value to choose must be a number that is not negative, not {least}")
    unknown = next((clip.name for clip in clips if clip.action is None or clip.name not in scores), None)
    if unknown is not None:
        raise StganError(f"{quoted(unknown)} was not scored, or its action is unknown; score these clips")
    if by is Criterion.DIVERSITY and not (features and all(clip.name in features for clip in clips)):
        raise StganError("to choose by diversity, give the features of every clip")
    if least is None:
        least = _default_least(by, [each.contribution for each in scores.values()])
    left_out: dict[str, str] = {}
    of: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: (-scores[clip.name].contribution, clip.name)):
        if reason := _unfit(clip, scores[clip.name], by, least, any_verdict):
            left_out[clip.name] = reason
        else:
            of.setdefault(str(clip.action), []).append(clip)
    chosen: list[Clip] = []
    for action in sorted(of):
        best = _best(of[action], scores, by, most, least, features)
        chosen += best
        why = "others come first" if len(best) == most else f"no farther than {least:.3g} from a chosen clip"
        left_out |= dict.fromkeys({clip.name for clip in of[action]} - {clip.name for clip in best}, why)
    if not chosen:
        named = 0 if any_verdict else sum(scores[clip.name].named != clip.action for clip in clips)
        raise StganError(_nothing(clips, by, least, named))
    return Selection(tuple(chosen), tuple(clips), by, most, least, any_verdict, scores, left_out)


def farthest_first(features: Float[np.ndarray, "n d"], most: int, least: float = 0.0) -> list[int]:
    """The first row, then each time the row that is farthest from all rows before (Gonzalez 1985, for k centres).

    The smallest distance between chosen rows is at least half of the largest possible one for as many rows.

    Args:
        most: the largest number of rows.
        least: the distance of a row from every chosen one must exceed it.
    """
    rows = features.astype(np.float64)
    chosen, nearest = [0], np.full(len(rows), np.inf)
    while len(chosen) < most:
        nearest = np.minimum(nearest, np.sqrt(((rows - rows[chosen[-1]]) ** 2).sum(1)))
        farthest = int(nearest.argmax())
        if not nearest[farthest] > least:
            break
        chosen.append(farthest)
    return chosen


def _default_least(by: Criterion, contributions: Sequence[float]) -> float:
    if by is Criterion.INCEPTION and contributions:
        return min(fmean(contributions), max(contributions))  # the rounded mean of equal values may exceed them
    return LEAST_CONFIDENCE if by is Criterion.CONFIDENCE else 0.0


def _unfit(clip: Clip, found: ClipScores, by: Criterion, least: float, any_verdict: bool) -> str:
    """Why a clip cannot be chosen, regardless of the others; "" if it can."""
    if found.named != clip.action and not any_verdict:
        return f"named {found.named}"
    if by is Criterion.INCEPTION and not found.contribution >= least:
        return f"contributes less than {least:.3g} nats"
    if by is Criterion.CONFIDENCE and not (found.probability or 0.0) >= least:
        return f"probability below {least:.3g}"
    return ""


def _best(
    clips: Sequence[Clip],
    scores: Mapping[str, ClipScores],
    by: Criterion,
    most: int,
    least: float,
    features: Mapping[str, Float[np.ndarray, " d"]] | None,
) -> list[Clip]:
    """At most `most` of one action's clips, which are sorted by their contributions."""
    if by is Criterion.DIVERSITY and features:
        return [clips[i] for i in farthest_first(np.stack([features[clip.name] for clip in clips]), most, least)]
    if by is Criterion.CONFIDENCE:
        clips = sorted(clips, key=lambda clip: (-(scores[clip.name].probability or 0.0), clip.name))
    return list(clips[:most])


def _nothing(clips: Sequence[Clip], by: Criterion, least: float, named: int) -> str:
    """Why no clip is chosen. named: the number of clips in which the evaluator sees another action."""
    if named and named == len(clips):
        return f"the evaluator recognises none of {len(clips)} clips; make better clips, or choose any (--any-verdict)"
    what = f"contributes {least:.3g} nats" if by is Criterion.INCEPTION else f"has a probability of {least:.3g}"
    other = f" ({named} are named otherwise)" if named else ""
    return f"none of {len(clips)} clips{other} {what}; ask for less, or make better clips"
