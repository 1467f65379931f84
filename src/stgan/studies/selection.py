"""Which generated clips are worth training on: the paper's Section 5.3.1, and two other rules.

The paper "chose samples ... that contributed to a high score", at most 100 of an action, and says no more. Here a
clip's contribution is its KL(p(y|x) || p(y)), of which the Inception Score is the exponential of the mean: a clip that
contributes more than the mean raises the score. A clip may contribute much and show another action than it should, as
the judge sees it: trained on, it would be a wrong label. So only clips that the judge names as asked are chosen, unless
any verdict will do, as far as the paper says.
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
from stgan.scoring import MIDDLE, Clip, Evaluator, ScoreCache, Scores, measure
from stgan.scoring.measurements import Watch
from stgan.scoring.real import share_to_shuffle

MOST = 100
"""Chosen clips of an action, in the paper."""
LEAST_CONFIDENCE = 0.5


class Criterion(str, Enum):
    """By what clips are chosen.

    INCEPTION:  what they contribute to the Inception Score, most first (the paper's rule).
    CONFIDENCE: the judge's probability of the action asked for, highest first.
    DIVERSITY:  how far they lie from one another in the judge's features (farthest-point selection).
    """

    INCEPTION = "inception"
    CONFIDENCE = "confidence"
    DIVERSITY = "diversity"


@dataclass(frozen=True)
class ClipVerdict:
    """What a network that did not steer says of a clip.

    contribution: to the Inception Score, KL(p(y|x) || p(y)), in nats.
    probability:  of the action asked for, in [0, 1]; None if the network does not know that action.
    named:        the action that it finds most likely.
    """

    contribution: float
    probability: float | None
    named: str


@dataclass(frozen=True)
class ClassCounts:
    """Clips of an action: how many there were, were recognised, were chosen; their mean contributions, in nats."""

    candidates: Count
    recognised: Count
    chosen: Count
    contribution: Number
    contribution_of_chosen: Number | None


@dataclass(frozen=True)
class Selection:
    """Chosen clips, and what became of the others.

    clips:      the chosen ones: action after action in the order of their names, of each the best first.
    candidates: all among which there was a choice.
    by, most, least, any_verdict: the rule, see `select`.
    verdicts:   on all clips that were scored, by name.
    left_out:   why not, of each candidate that was not chosen, by name.
    """

    clips: tuple[Clip, ...]
    candidates: tuple[Clip, ...]
    by: Criterion
    most: int
    least: float
    any_verdict: bool
    verdicts: Mapping[str, ClipVerdict]
    left_out: Mapping[str, str]

    @property
    def classes(self) -> dict[str, ClassCounts]:
        """What there is of each action of the candidates, actions sorted."""
        return {
            action: self._class([clip for clip in self.candidates if clip.action == action])
            for action in sorted({str(clip.action) for clip in self.candidates})
        }

    @property
    def thin(self) -> list[str]:
        """Actions with chosen clips, but fewer than asked for."""
        return [action for action, found in self.classes.items() if 0 < found.chosen < self.most]

    @property
    def without(self) -> list[str]:
        """Actions of which no clip was chosen."""
        return [action for action, found in self.classes.items() if not found.chosen]

    def _class(self, clips: Sequence[Clip]) -> ClassCounts:
        contributions = {clip.name: self.verdicts[clip.name].contribution for clip in clips}
        chosen = [value for name, value in contributions.items() if name not in self.left_out]
        return ClassCounts(
            candidates=len(clips),
            recognised=sum(self.verdicts[clip.name].named == clip.action for clip in clips),
            chosen=len(chosen),
            contribution=fmean(contributions.values()),
            contribution_of_chosen=fmean(chosen) if chosen else None,
        )


def verdicts_of(scores: Scores) -> dict[str, ClipVerdict]:
    """The verdict on each clip, by its name.

    Raises:
        StganError: the network that scored had steered: it would choose the clips that fooled it best.
    """
    if scores.fooled:
        raise StganError(
            f"{scores.evaluator} steered these clips, so it would choose those that fooled it best; "
            "score them by another network"
        )
    return {clip.file: ClipVerdict(clip.contribution, clip.probability, str(clip.named)) for clip in scores.clips}


def features_of(
    clips: Sequence[Clip],
    evaluator: Evaluator,
    *,
    cache: ScoreCache | None = None,
    watch: Watch = lambda results, description, total: results,
) -> dict[str, Float[np.ndarray, " d"]]:
    """The features of each clip's middle window, by its name; from the cache where it was scored. See `measure`.

    Raises:
        StganError: a clip cannot be read.
    """
    protocol = replace(MIDDLE, shuffled=share_to_shuffle(len(clips)))  # as `evaluate`, which may have filled the cache
    measured, _ = measure(clips, evaluator, protocol, cache=cache, watch=watch, description="features")
    return dict(zip((clip.name for clip in measured.clips), measured.features.numpy(), strict=True))


def select(
    clips: Sequence[Clip],
    verdicts: Mapping[str, ClipVerdict],
    *,
    by: Criterion = Criterion.INCEPTION,
    most: int = MOST,
    least: float | None = None,
    any_verdict: bool = False,
    features: Mapping[str, Float[np.ndarray, " d"]] | None = None,
) -> Selection:
    """The clips of each action that are worth training on.

    Args:
        clips: those that were scored, or some of them; each says what it should show.
        verdicts: on all clips that were scored, by their names (see `verdicts_of`).
        by: what makes a clip a good one.
        most: of an action.
        least: by inception, what a clip contributes at least, in nats (default: the mean of all that were scored); by
            confidence, its probability (default: 0.5); by diversity, the distance from every other that is exceeded
            (default: 0, so that of clips with the same features there is one).
        any_verdict: whether a clip may be chosen that the judge names otherwise: the paper does not exclude it.
        features: by diversity, of each clip (see `features_of`).

    Raises:
        StganError: a clip has no action or was not scored, none is left, or `most` or `least` is out of range.
    """
    if most < 1:
        raise StganError(f"at least one clip of an action has to be chosen, not {most}")
    if least is not None and not 0 <= least < np.inf:
        raise StganError(f"what is asked for at least must be a number that is not negative, not {least}")
    unknown = next((clip.name for clip in clips if clip.action is None or clip.name not in verdicts), None)
    if unknown is not None:
        raise StganError(f"{quoted(unknown)} was not scored, or nothing says what it should show; score these clips")
    if by is Criterion.DIVERSITY and not (features and all(clip.name in features for clip in clips)):
        raise StganError("to choose by diversity, give the features of every clip")
    if least is None:
        least = _usual(by, [verdict.contribution for verdict in verdicts.values()])
    left_out: dict[str, str] = {}
    of: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: (-verdicts[clip.name].contribution, clip.name)):
        if reason := _unfit(clip, verdicts[clip.name], by, least, any_verdict):
            left_out[clip.name] = reason
        else:
            of.setdefault(str(clip.action), []).append(clip)
    chosen: list[Clip] = []
    for action in sorted(of):
        best = _best(of[action], verdicts, by, most, least, features)
        chosen += best
        why = "others come first" if len(best) == most else f"no farther than {least:.3g} from a chosen clip"
        left_out |= dict.fromkeys({clip.name for clip in of[action]} - {clip.name for clip in best}, why)
    if not chosen:
        named = 0 if any_verdict else sum(verdicts[clip.name].named != clip.action for clip in clips)
        raise StganError(_nothing(clips, by, least, named))
    return Selection(tuple(chosen), tuple(clips), by, most, least, any_verdict, verdicts, left_out)


def farthest_first(features: Float[np.ndarray, "n d"], most: int, least: float = 0.0) -> list[int]:
    """The first row, then each time the row farthest from all those before (Gonzalez 1985, for k centres).

    The smallest distance between chosen rows is at least half of the largest that any choice of as many could have.

    Args:
        most: rows. least: no row is chosen whose distance from a chosen one is not larger.
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


def _usual(by: Criterion, contributions: Sequence[float]) -> float:
    if by is Criterion.INCEPTION and contributions:
        return min(fmean(contributions), max(contributions))  # rounding may put the mean of equal values above them
    return LEAST_CONFIDENCE if by is Criterion.CONFIDENCE else 0.0


def _unfit(clip: Clip, verdict: ClipVerdict, by: Criterion, least: float, any_verdict: bool) -> str:
    """Why a clip cannot be chosen, whatever the others are; nothing if it can."""
    if verdict.named != clip.action and not any_verdict:
        return f"named {verdict.named}"
    if by is Criterion.INCEPTION and not verdict.contribution >= least:
        return f"contributes less than {least:.3g} nats"
    if by is Criterion.CONFIDENCE and not (verdict.probability or 0.0) >= least:
        return f"probability below {least:.3g}"
    return ""


def _best(
    clips: Sequence[Clip],
    verdicts: Mapping[str, ClipVerdict],
    by: Criterion,
    most: int,
    least: float,
    features: Mapping[str, Float[np.ndarray, " d"]] | None,
) -> list[Clip]:
    """At most `most` of one action's clips, which come in the order of their contributions."""
    if by is Criterion.DIVERSITY and features:
        return [clips[i] for i in farthest_first(np.stack([features[clip.name] for clip in clips]), most, least)]
    if by is Criterion.CONFIDENCE:
        clips = sorted(clips, key=lambda clip: (-(verdicts[clip.name].probability or 0.0), clip.name))
    return list(clips[:most])


def _nothing(clips: Sequence[Clip], by: Criterion, least: float, named: int) -> str:
    """Why there is no clip, of which so many are named as something else and do not count."""
    if named and named == len(clips):
        return (
            f"none of {len(clips)} clips shows what it should, as the evaluator sees it; make better clips, or take "
            "any verdict"
        )
    what = f"contributes {least:.3g} nats" if by is Criterion.INCEPTION else f"has a probability of {least:.3g}"
    other = f" ({named} are named otherwise)" if named else ""
    return f"none of {len(clips)} clips{other} {what}; ask for less, or make better clips"
