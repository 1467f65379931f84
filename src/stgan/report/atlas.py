"""An atlas: a card for every class, with its clips and what the networks say of them, to search and to sort."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stgan.report.shown import Shown

MOST_CLIPS = 4000
"""In an atlas."""


@dataclass(frozen=True)
class Card:
    """A class in an atlas.

    clips:   that are shown.
    steered: the mean probability of the class under the networks that steered its clips, over all of them; None if the
             manifest does not say it.
    judged:  the same under the evaluator; None if no clip was scored.
    seen_as: what the evaluator sees in the shown clips instead, without repetition.
    """

    name: str
    clips: Sequence[Shown]
    steered: float | None
    judged: float | None
    seen_as: Sequence[str]


@dataclass(frozen=True)
class Atlas:
    """The cards in the order of their names."""

    cards: Sequence[Card]

    @property
    def known(self) -> dict[str, bool]:
        """Which of the probabilities are known of any class."""
        return {name: any(getattr(card, name) is not None for card in self.cards) for name in ("steered", "judged")}


def make_atlas(actions: Mapping[str, Sequence[Shown]], chosen: Mapping[str, Sequence[Shown]]) -> Atlas:
    """The atlas of these classes. chosen: the clips of each class that are shown; of other classes there is no card."""
    cards = [
        Card(
            name=action,
            clips=shown,
            steered=_mean(clip.steered_to for clip in actions[action]),
            judged=_mean(clip.measured("probability") for clip in actions[action]),
            seen_as=list(
                dict.fromkeys(str(clip.scores.named) for clip in shown if clip.scores and not clip.recognised)
            ),
        )
        for action, shown in chosen.items()
    ]
    return Atlas(sorted(cards, key=lambda card: (card.name.casefold(), card.name)))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
