"""Which clips a page shows. Rules choose them, and the page states the rules."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stgan.manifest import Manifest
from stgan.report.page import sane_number
from stgan.scoring import Clip, ClipScores, PixelScores, Scores, folder_clips

MOST_CLIPS = 48
"""In the main part of a page."""
_EACH_ACTION = 4
_EACH_RULE = 3
_BEST = 4
_NO_ACTION = "?"


@dataclass(frozen=True)
class Shown:
    """A clip that a page may show.

    clip:   its file, and what the manifest says that file is.
    action: the intended action; "?" if it is not known.
    entry:  its line of the manifest; empty without one.
    scores: its scores by the evaluator; None if it was not scored.
    pixels: what is measured on its pixels, if no evaluator scored it: by the keys of `stgan.metrics.table`.
    """

    clip: Clip
    action: str
    entry: Mapping[str, Any]
    scores: ClipScores | None
    pixels: Mapping[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.clip.path

    @property
    def name(self) -> str:
        """The path within the folder."""
        return self.clip.name

    @property
    def recognised(self) -> bool | None:
        """Whether the evaluator sees the intended action; None if the clip was not scored."""
        return None if self.scores is None else self.scores.named == self.action

    @property
    def steered_to(self) -> float | None:
        """The final probability of the action under the networks that steered."""
        return sane_number(self.entry.get("probability"))

    def measured(self, name: str) -> float | None:
        """One of the numbers of its scores, or None."""
        return getattr(self.scores, name, self.pixels.get(name))


@dataclass(frozen=True)
class Case:
    """Clips that one rule chooses, each with the value that it was chosen for."""

    title: str
    rule: str
    clips: list[tuple[Shown, str]]


def shown_clips(folder: Path, scores: Scores | PixelScores | None, root: Path | None = None) -> list[Shown]:
    """All clips of a folder with their lines of the manifest and their scores. StganError if there are none.

    A page may be given away, so it must not bring in the target of a link: clips that are not really inside `root`
    (default: the folder) are left out, and so are links, if there is a manifest.
    """
    inside = (root or folder).resolve()
    entries = {entry.file: entry.values() for entry in Manifest(folder).read()}
    known = {clip.file: clip for clip in scores.clips} if isinstance(scores, Scores) else {}
    pixels = scores.clips if isinstance(scores, PixelScores) else {}
    return [
        Shown(clip, _shown_as(clip), entries.get(clip.name, {}), known.get(clip.name), pixels.get(clip.name, {}))
        for clip in folder_clips(folder)
        if clip.path.resolve().is_relative_to(inside) and (clip.steering is None or not clip.path.is_symlink())
    ]


def _shown_as(clip: Clip) -> str:
    return clip.action or (clip.unit[0] if clip.unit else _NO_ACTION)


def by_action(clips: Sequence[Shown], order: Sequence[str] = ()) -> dict[str, list[Shown]]:
    """The clips of each action: first the actions in this order, then the others in the order of the clips."""
    found: dict[str, list[Shown]] = {action: [] for action in order}
    for clip in clips:
        found.setdefault(clip.action, []).append(clip)
    return {action: of_action for action, of_action in found.items() if of_action}


def first_of_each(
    actions: Mapping[str, Sequence[Shown]], most: int | None = None
) -> tuple[dict[str, list[Shown]], str]:
    """The first clips of every action, at most 4 of each and `most` (default: 48) in all, and that rule in words."""
    most = most or MOST_CLIPS
    each = max(1, min(_EACH_ACTION, most // max(1, len(actions))))
    chosen = {action: list(clips[:each]) for action, clips in list(actions.items())[:most]}
    total, shown = sum(map(len, actions.values())), sum(map(len, chosen.values()))
    if shown == total:
        return chosen, f"All {total} clips."
    which = f"the first {each}" if each > 1 else "the first"
    places = f" of the first {len(chosen)} of {len(actions)} actions" if len(chosen) < len(actions) else ""
    return chosen, f"{shown} of {total} clips, not selected: {which} of each action{places}."


def failures(clips: Sequence[Shown], scores: Scores | PixelScores | None) -> list[Case]:
    """The worst clips by several rules. A clip is shown for the first rule that chooses it.

    A clip that moves, flickers or changes as real clips do is none, even if all others do so less.
    """
    used: set[str] = set()
    missed = [clip for clip in clips if clip.recognised is False]
    compared = scores.beside_real if isinstance(scores, Scores) else scores
    high = compared.high if compared else {}
    frozen, flickering = (scores.frozen_clips or (), scores.flickering_clips or ()) if scores else ((), ())
    above = "above the threshold in docs/metrics.md" + " and above 95 % of real clips" * bool(high)

    def far(key: str, names: Collection[str]) -> list[Shown]:
        """The clips of these names whose value is above that of 95 % of real clips, if that is known."""
        return [clip for clip in clips if clip.name in names and (clip.measured(key) or 0) > high.get(key, 0)]

    def beside(word: str, key: str) -> str:
        return f"{word}, 95 % of real clips up to {high[key]:.2f}" if key in high else word

    def worst(
        title: str, rule: str, among: Sequence[Shown], value: Callable[[Shown], float | None], word: str, sign: int = 1
    ) -> Case:
        """The clips with the largest values, or with the sign -1 the smallest."""
        found = [(sign * measured, clip) for clip in among if (measured := value(clip)) is not None]
        found.sort(key=lambda item: (-item[0], item[1].name))
        picked = [(clip, word.format(sign * value)) for value, clip in found if clip.name not in used][:_EACH_RULE]
        used.update(clip.name for clip, _ in picked)
        return Case(title, rule, picked)

    cases = [
        worst(
            "Recognised as another action", "the lowest probability of the intended action, of clips not recognised",
            missed, lambda clip: clip.measured("probability"), "p = {:.3f}", -1,
        ),
        worst(
            "The networks that steered are sure, the evaluator disagrees",
            "the highest probability under the networks that steered, of clips not recognised",
            missed, lambda clip: clip.steered_to, "steered to {:.3f}",
        ),
        worst(
            "Hardly any motion", f"the largest share of the time in which nothing changes visibly, {above}",
            far("held", frozen), lambda clip: clip.measured("held"), beside("held {:.2f}", "held"),
        ),
        worst(
            "Flicker", f"the largest change of colours back and forth, {above}",
            far("flicker", flickering), lambda clip: clip.measured("flicker"), beside("flicker {:.2f}", "flicker"),
        ),
        worst(
            "Changing appearance",
            "the largest change of background and colours from frame to frame, above 95 % of real clips",
            far("appearance_drift", {clip.name for clip in clips} if high else ()),
            lambda clip: clip.measured("appearance_drift"),
            beside("change {:.2f}", "appearance_drift"),
        ),
    ]  # fmt: skip
    return [case for case in cases if case.clips]


def extremes(clips: Sequence[Shown]) -> list[Case]:
    """The clips that contribute most and least to the Inception Score."""
    found = [(value, clip) for clip in clips if (value := clip.measured("contribution")) is not None]
    found.sort(key=lambda item: (-item[0], item[1].name))
    if len(found) < 2:
        return []
    most = min(_BEST, len(found) // 2)
    return [
        Case(title, rule, [(clip, f"{value:.2f} nats") for value, clip in picked])
        for title, rule, picked in (
            ("Most", f"the {most} highest", found[:most]),
            ("Least", f"the {most} lowest", found[: -most - 1 : -1]),
        )
    ]
