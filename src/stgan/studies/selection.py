"""Which generated clips are worth training on (the paper's Section 5.3.1), and how many of each action (its Figure 6).

The paper "chose samples ... that contributed to a high score", at most 100 of an action, and says no more. Here a
clip's contribution is its KL(p(y|x) || p(y)), of which the Inception Score is the exponential of the mean: a clip that
contributes more than the mean raises the score.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from stgan.errors import StganError
from stgan.files import replacing
from stgan.names import printable, quoted
from stgan.scoring import Clip, Scores

MOST = 100
"""Chosen clips of an action, in the paper."""
_REAL, _GENERATED, _INK, _SOFT = "#8fb4dd", "#e3a276", "#1d2430", "#5d6877"
_LONGEST = 25  # letters of a name


@dataclass(frozen=True)
class Selection:
    """Chosen clips: action after action in the order of their names, of each those that contribute most first.

    contributions: of the chosen clips, in nats. least: every one contributes at least so much. candidates: of how many.
    """

    clips: tuple[Clip, ...]
    contributions: tuple[float, ...]
    least: float
    candidates: int

    @property
    def counts(self) -> dict[str, int]:
        """Chosen clips by action; actions without any are not in it."""
        return dict(Counter(clip.action for clip in self.clips if clip.action is not None))


def contributions_of(scores: Scores) -> dict[str, float]:
    """What each clip contributed to the Inception Score, in nats, by its name.

    Raises:
        StganError: the network that scored had steered: it would choose the clips that fooled it best.
    """
    if scores.fooled:
        raise StganError(
            f"{scores.evaluator} steered these clips, so it would choose those that fooled it best; "
            "score them by another network"
        )
    return {str(line["file"]): float(line["contribution"]) for line in scores.clips}


def select(
    clips: Sequence[Clip], contributions: Mapping[str, float], *, most: int = MOST, least: float | None = None
) -> Selection:
    """The clips that contributed most to an Inception Score.

    Args:
        clips: those that were scored, or some of them; each says what it should show.
        contributions: of all clips that were scored, in nats, by their names (see `contributions_of`).
        most: of an action.
        least: what a clip has to contribute, in nats; default: the mean of all that were scored.

    Raises:
        StganError: a clip has no action or was not scored, or none is left.
    """
    if most < 1:
        raise StganError(f"at least one clip of an action has to be chosen, not {most}")
    unknown = next((clip.name for clip in clips if clip.action is None or clip.name not in contributions), None)
    if unknown is not None:
        raise StganError(f"{quoted(unknown)} was not scored, or nothing says what it should show; score these clips")
    if least is None:
        values = list(contributions.values()) or [0.0]
        least = min(fmean(values), max(values))  # rounding may put the mean of equal values above them
    of: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: (-contributions[clip.name], clip.name)):
        if contributions[clip.name] >= least:
            of.setdefault(str(clip.action), []).append(clip)
    chosen = tuple(clip for action in sorted(of) for clip in of[action][:most])
    if not chosen:
        raise StganError(f"none of {len(clips)} clips contributes {least:.3g} nats; ask for less, or make better clips")
    return Selection(chosen, tuple(contributions[clip.name] for clip in chosen), least, len(clips))


def draw_counts(path: Path, real: Mapping[str, int], generated: Mapping[str, int]) -> None:
    """The paper's Figure 6 as a PNG: real clips to train on and chosen generated ones, of each action."""
    actions = sorted({*real, *generated})
    places = np.arange(len(actions))
    figure = Figure(figsize=(max(4.0, 0.17 * len(actions) + 1.2), 3.6), layout="constrained")
    axes = figure.subplots()
    for counts, offset, colour, name in (
        (real, -0.21, _REAL, "real, to train on"),
        (generated, 0.21, _GENERATED, "generated, chosen"),
    ):
        axes.bar(places + offset, [counts.get(action, 0) for action in actions], 0.42, color=colour, label=name)
    names = [printable(action, _LONGEST) for action in actions]
    axes.set_xticks(places, names, rotation=90, fontsize=7, parse_math=False)
    axes.set_xlim(-0.8, len(actions) - 0.2)
    axes.set_ylabel("clips", color=_SOFT)
    axes.tick_params(length=0, colors=_INK)
    axes.grid(axis="y", color="#e6e9ee", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(1, 1.12), ncols=2)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160)
