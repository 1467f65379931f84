"""A verdict on a trained model in words: whether its clips are good enough to use, or what to do next."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from stgan.checkpoints import find_model
from stgan.checkpoints.description import CONFIG, read_config
from stgan.defaults import EVALUATOR
from stgan.errors import StganError
from stgan.names import as_path
from stgan.report.page import known, known_number, sane_number
from stgan.scoring import SCORES, Compared, read_scores
from stgan.training.plan import SAMPLES

JUDGE = 1.5
"""An evaluator that names fewer than so many times as many real clips as by chance is not usable."""
LEAST_DECIBELS = 24.0
"""The least PSNR of frames that the map codec reconstructs."""
LEAST_NAMED = 0.5
"""The share of named samples must lie so far, at least, between chance and the share of unseen real clips."""
LEAST_MOTION = 0.5
"""Samples must move so many times as much as real clips, at least."""
MOST_FAULTY = 0.25
"""The share of frozen samples, and that of flickering ones, may exceed that of real clips by so much."""

_CLIPS = ("unseen_groups", "test_clips", "validation_clips")
_FRAMES = ("validation", "test", "training")
_BESIDE = {"motion": "motion", "frozen": "frozen_clips", "flickering": "flickering_clips"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a verdict rests on. Shares are from 0 to 1. None is what was not measured.

    actions:    number of the model's actions.
    named:      share of the samples that the evaluator names as asked.
    named_real: its share of real clips that it has not seen, and the ends of the 95 % interval.
    decibels:   PSNR of frames that the map codec reconstructs: of validation frames, if there are any.
    motion, frozen, flickering: of the samples beside real clips; the last two are shares of clips.
    steps:      of the trainings, by stage.
    """

    actions: int
    named: float
    named_real: tuple[float, float, float] | None
    decibels: float | None
    motion: Compared
    frozen: Compared
    flickering: Compared
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """good: whether the clips are good enough. words: why, and what to do. command: what does it.

    figures: what the verdict rests on, each as its name, its value, and what it is compared with.
    """

    good: bool
    words: str
    command: str
    figures: tuple[tuple[str, str, str], ...]


def verdict_on(model: Path, data: str, again: str) -> Verdict | None:
    """The verdict on the model in a folder; None without scores of its samples, beside real clips, by its evaluator.

    data:  the folder of clips, as written in a command.
    again: the command that trains the model.
    """
    found = _measured(model)
    return judge(found, shlex.quote(as_path(model)), data, again) if found else None


def judge(found: Measured, model: str, data: str, again: str) -> Verdict:
    """The verdict by the rules in docs/own_clips.md. model: its folder, as written in a command."""
    fault = _fault(found, data, again)
    return Verdict(
        fault is None,
        *fault
        or (
            f"Good enough to generate from: the evaluator names {found.named:.2f} of the samples as asked. Look at "
            "them, too, because no figure says whether a person looks right.",
            f"stgan generate --model {model} --num 8 --gif --out clips",
        ),
        figures=_figures(found),
    )


def _fault(found: Measured, data: str, again: str) -> tuple[str, str] | None:
    """What is wrong by the first rule that applies, in words, and the command that may mend it."""
    chance, check = 1 / found.actions, f"stgan data check {data}"

    def more(*stages: str) -> str:
        return again + "".join(f" --set {each}.steps={2 * found.steps[each]}" for each in stages if each in found.steps)

    if found.named_real is None:
        return (
            "Nothing shows whether the evaluator recognises clips that it has not seen, because no real clips were "
            "held out. Add clips of other people, check them, and train with another --out.",
            check,
        )
    real, low, _ = found.named_real
    if real < JUDGE * chance or low <= chance:
        return (
            f"The evaluator is not usable: it names {real:.2f} of the real clips that it has not seen, and "
            f"{chance:.2f} would be chance. Add clips of more people, or leave out actions that look alike. Check the "
            "clips, and train with another --out.",
            check,
        )
    if found.decibels is not None and found.decibels < LEAST_DECIBELS:
        return (
            f"The map codec reconstructs frames with {found.decibels:.1f} dB, which is less than {LEAST_DECIBELS:g}. "
            "Give it more minutes: twice as many steps.",
            more("map_codec"),
        )
    if found.named < chance + LEAST_NAMED * (real - chance):
        return (
            f"The evaluator names {found.named:.2f} of the samples as asked, and {real:.2f} of unseen real clips. Give "
            "both priors more minutes: twice as many steps. If that does not help, train on fewer actions, or on "
            "actions that differ more.",
            more("frame_prior", "clip_prior"),
        )
    if found.motion.ratio is not None and found.motion.ratio < LEAST_MOTION:
        return (
            f"The samples move {found.motion.ratio:.2f} times as much as real clips, which is less than "
            f"{LEAST_MOTION:g}. Give the clip prior more minutes: twice as many steps.",
            more("clip_prior"),
        )
    for words, share in (("are frozen", found.frozen), ("flicker", found.flickering)):
        if (share.generated or 0) - (share.real or 0) > MOST_FAULTY:
            return (
                f"{share.generated:.0%} of the samples {words}, and {share.real or 0:.0%} of real clips. Give the clip "
                "prior more minutes: twice as many steps.",
                more("clip_prior"),
            )
    return None


def _figures(found: Measured) -> tuple[tuple[str, str, str], ...]:
    real = "no unseen real clips"
    if found.named_real:
        real = "unseen real clips {:.2f} ({:.2f}–{:.2f})".format(*found.named_real)
    return (
        ("named as asked by the evaluator", f"{found.named:.2f}", f"{real}, chance {1 / found.actions:.2f}"),
        (
            "frames reconstructed by the map codec",
            "" if found.decibels is None else f"{found.decibels:.1f} dB",
            f"at least {LEAST_DECIBELS:g} dB",
        ),
        *(
            (name, f"{value.generated or 0:.2f}", f"real clips {value.real or 0:.2f}")
            for name, value in (
                ("motion (0-255)", found.motion),
                ("share of frozen clips", found.frozen),
                ("share of flickering clips", found.flickering),
            )
        ),
    )


def _measured(folder: Path) -> Measured | None:
    try:
        model = find_model(folder)
        scores = read_scores(folder / SAMPLES / SCORES)
        evaluator = model.describe(model.evaluators[EVALUATOR])
        priors = {stage: read_config(folder / part / CONFIG).provenance for stage, part in model.priors.items()}
        values = scores.beside_real.values if scores.beside_real else {}
        beside = {name: values[key] for name, key in _BESIDE.items()}
    except (StganError, KeyError):  # the second: the model has no evaluator, or the scores have no real clips
        return None
    if scores.accuracy is None or scores.evaluator_hash != evaluator.hash:
        return None
    decibels = (known_number(priors.get("map_codec"), "figures", f"psnr_{part}_frames") for part in _FRAMES)
    steps = {stage: known_number(provenance, "steps") for stage, provenance in priors.items()}
    return Measured(
        actions=len(model.actions),
        named=scores.accuracy,
        named_real=_named(evaluator.provenance),
        decibels=next((value for value in decibels if value is not None), None),
        **beside,
        steps={stage: int(number) for stage, number in steps.items() if number},
    )


def _named(provenance: dict[str, Any]) -> tuple[float, float, float] | None:
    """The evaluator's accuracy on unseen clips, with the ends of its interval. The record may be damaged."""
    for part in _CLIPS:
        ends = known(provenance, "figures", part, "interval")
        accuracy = known(provenance, "figures", part, "accuracy")
        numbers = [sane_number(value) for value in (accuracy, *(ends if isinstance(ends, list) else ()))]
        if len(numbers) == 3 and None not in numbers:
            return cast(tuple[float, float, float], tuple(numbers))
    return None
