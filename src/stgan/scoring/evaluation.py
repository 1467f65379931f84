"""The whole evaluation of a folder of clips: which clips are judged by which network, beside which real ones."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from stgan.checkpoints import FVD_SHA256
from stgan.errors import StganError
from stgan.names import quoted
from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import Clip
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import BATCH, MIDDLE, Measurements, Protocol, Skipped, Watch, measure
from stgan.scoring.scores import (
    GENERATED,
    QUOTED,
    Row,
    Scores,
    by_action,
    clip_lines,
    copying,
    distances,
    make_row,
    manifold,
    temporal_order,
)

_MOST_WINDOWS = 10
"""Windows taken of a real clip."""
_MOST_SHUFFLED = 256
"""Clips, about, that are judged with shuffled frames too: enough for the drop, and cheap beside thousands."""


@dataclass(frozen=True)
class Real:
    """Real clips to set beside the generated ones, and the frame rate to read them at (None: their own)."""

    clips: Sequence[Clip]
    fps: float | None = None


Measure = Callable[..., tuple[Measurements, list[Skipped]]]
"""`measure` with its settings."""


@dataclass(frozen=True)
class _Split:
    """Real clips: those that distances are taken to, and others of the same kind."""

    name: str
    reference: Measurements
    other_name: str
    others: Measurements | None


@dataclass(frozen=True)
class _Beside:
    """What real clips are to the generated ones, on the feature network's features: reference clips, and others."""

    reference: Measurements
    others: Measurements | None
    rows: list[Row]
    order: dict[str, int | float] | None
    skipped: list[Skipped]
    notes: list[str]


def evaluate(
    clips: Sequence[Clip],
    evaluator: Evaluator,
    *,
    features: Evaluator | None = None,
    real: Real | None = None,
    protocol: Protocol = MIDDLE,
    splits: int = 1,
    allow_fooled: bool = False,
    keep_going: bool = False,
    cache: ScoreCache | None = None,
    batch_size: int = BATCH,
    workers: int | None = None,
    watch: Watch = lambda results, description, total: results,
) -> Scores:
    """Score clips with a network that did not steer them.

    Args:
        features: the network on whose features distances are taken; default: the evaluator.
        real: of its clips, those of the actions that were generated are brought to the size of the generated clips.
            Distances are taken to those that the evaluator was trained on (if its card says so; else to the train
            split; else to all), and the others show how far real clips lie from them.
        protocol: what of the clips is judged; default: the middle window, at their own size.
        splits: parts over which the Inception Score is averaged; clips fall into them at random.
        allow_fooled: score with a network that steered, and say so.
        keep_going: score what can be scored, and say what cannot.
        cache, batch_size, workers, watch: see `measure`.

    Raises:
        StganError: a network steered the clips; a clip cannot be read; an action is unknown; too many splits.
    """
    judges = [evaluator] if features is None else [evaluator, features]
    fooled = _fooled(judges, clips, allow_fooled)
    notes = _check_actions(evaluator, clips, keep_going)
    if not 1 <= splits <= len(clips):
        raise StganError(f"{len(clips)} clips cannot be scored in {splits} splits; choose 1 to {len(clips)}")
    run = partial(measure, cache=cache, batch_size=batch_size, workers=workers, keep_going=keep_going, watch=watch)
    shuffling = replace(protocol, shuffled=_share(len(clips)))
    generated, skipped = run(clips, evaluator, shuffling, description="scoring")
    if len(generated) < splits:
        raise StganError(f"only {len(generated)} clips could be read, too few for {splits} splits")
    looked = generated
    if features:
        looked, _ = run(_kept(clips, generated), features, protocol, description="features")
    beside = _beside(run, real, generated, looked, judges, splits) if real else None
    reference = beside.reference if beside else None
    row = make_row(
        GENERATED,
        generated,
        looked,
        evaluator,
        splits=splits,
        distances=distances(looked.features, reference.features) if reference else (None, None),
    )
    shape = manifold(looked.features, reference.features) if reference else {}
    actions = by_action(generated, evaluator)
    return Scores(
        num_videos=len(generated),
        evaluator=evaluator.name,
        evaluator_network=evaluator.kind,
        evaluator_hash=evaluator.hash,
        protocol=evaluator.protocol,
        feature_network=judges[-1].name,
        feature_size=looked.features.shape[1],
        fooled=fooled,
        steered_by=sorted({name for clip in clips if clip.steering for name in clip.steering.names}),
        actions=list(evaluator.actions),
        accuracy=row.accuracy,
        accuracy_interval=row.accuracy_interval,
        per_action=actions.accuracy,
        per_action_interval=actions.interval,
        per_action_contribution=actions.contribution,
        confusion=actions.confusion,
        inception_score=row.inception_score,
        splits=splits,
        frechet_video_distance=row.frechet_video_distance,
        kernel_video_distance=row.kernel_video_distance,
        precision=shape.get("precision"),
        recall=shape.get("recall"),
        density=shape.get("density"),
        coverage=shape.get("coverage"),
        diversity=row.diversity,
        motion=row.motion,
        flicker=row.flicker,
        frozen=row.frozen,
        appearance_drift=row.appearance_drift,
        temporal_order=temporal_order(generated, evaluator),
        temporal_order_real=beside.order if beside else None,
        copying=copying(looked, beside.reference, beside.others) if beside else None,
        rows=[row, *(beside.rows if beside else ())],
        quoted=list(QUOTED),
        clips=clip_lines(generated, evaluator),
        skipped=[*skipped, *(beside.skipped if beside else ())],
        notes=[*notes, *(beside.notes if beside else ())],
    )


def _fooled(judges: Sequence[Evaluator], clips: Sequence[Clip], allowed: bool) -> bool | None:
    verdicts = {judge.name: judge.steered(clips) for judge in judges}
    for name, verdict in verdicts.items():
        if verdict and not allowed:
            raise StganError(
                f"{name} steered these clips, or shares an ancestor with a network that did, so its scores would only "
                "show how well it was fooled; use another network, or --allow-fooled to see that"
            )
    return True if True in verdicts.values() else None if None in verdicts.values() else False


def _check_actions(evaluator: Evaluator, clips: Sequence[Clip], keep_going: bool) -> list[str]:
    """Notes on clips without a verdict, or StganError."""
    nameless = sum(clip.action is None for clip in clips)
    unknown = Counter(clip.action for clip in clips if clip.action is not None and clip.action not in evaluator.actions)
    notes = []
    if nameless == len(clips):
        notes.append("nothing says what the clips should show: there is no accuracy")
    elif nameless:
        notes.append(f"nothing says what {nameless} of the clips should show: accuracy is of the others")
    if unknown:
        known = ", ".join(evaluator.actions) or "none by name"
        first = quoted(min(unknown))
        if not keep_going:
            raise StganError(
                f"{evaluator.name} does not know the action {first}; it knows {known}; --keep-going scores the rest"
            )
        notes.append(f"{evaluator.name} does not know the action {first}: {sum(unknown.values())} clips of "
                     f"{len(unknown)} unknown actions count in everything but accuracy")  # fmt: skip
    return notes


def _kept(clips: Sequence[Clip], measured: Measurements) -> list[Clip]:
    """Without those that could not be read a first time."""
    names = {clip.name for clip in measured.clips}
    return [clip for clip in clips if clip.name in names]


def _beside(
    run: Measure,
    real: Real,
    generated: Measurements,
    looked: Measurements,
    judges: Sequence[Evaluator],
    splits: int,
) -> _Beside:
    evaluator, space = judges[0], judges[-1]
    clips, protocol = _real_protocol(real, generated)
    shuffling = replace(protocol, shuffled=_share(len(clips) * protocol.windows))
    measured, skipped = run(clips, evaluator, shuffling, description="real clips")
    judged = compared = _split(measured, evaluator)
    if space is not evaluator:
        compared = _split(run(_kept(clips, measured), space, protocol, description="their features")[0], evaluator)
    rows = _real_rows(judged, compared, evaluator, splits, len(generated))
    return _Beside(
        compared.reference,
        compared.others,
        rows,
        temporal_order(measured, evaluator),
        skipped,
        _notes_on_sizes(looked, compared, space, rows),
    )


def _share(num: int) -> float:
    """Of so many windows, that of those that are judged with shuffled frames, too."""
    return min(1.0, _MOST_SHUFFLED / num)


def _real_protocol(real: Real, generated: Measurements) -> tuple[list[Clip], Protocol]:
    """Real clips of the actions that were generated, at the size of the generated clips, and as many windows.

    Where no split is known, twice as many, so that one half can be set against the other.
    """
    actions = {clip.action for clip in generated.clips}
    chosen = [clip for clip in real.clips if None in actions or clip.action in actions]
    if not chosen:
        raise StganError(
            f"the real clips show none of the generated actions ({', '.join(sorted(a for a in actions if a))}); "
            "choose another --real"
        )
    wanted = len(generated) * (1 if any(clip.split for clip in chosen) else 2)
    size = Counter(generated.sizes).most_common(1)[0][0]
    windows = min(_MOST_WINDOWS, math.ceil(wanted / len(chosen)))
    return chosen, Protocol(size=size, windows=windows, fps=real.fps)


def _split(measured: Measurements, evaluator: Evaluator) -> _Split:
    """By the evaluator's card; if that does not list its clips, by the split; if there is none, all are reference."""
    trained = [content[:16] in evaluator.seen for content in measured.contents]
    names = ("real, seen in training", "real, unseen")
    if not any(trained):
        trained = [clip.split == "train" for clip in measured.clips]
        names = ("real, train split", "real, other splits")
    if not any(trained):
        return _Split("real", measured, "", None)
    others = [i for i, seen in enumerate(trained) if not seen]
    return _Split(
        names[0],
        measured.select([i for i, seen in enumerate(trained) if seen]),
        names[1],
        measured.select(others) if others else None,
    )


def _real_rows(judged: _Split, looked: _Split, evaluator: Evaluator, splits: int, most: int) -> list[Row]:
    """The reference clips, and others or one half of the reference against the other half.

    judged: by the evaluator. looked: the same clips on the feature network's features. Of each at most as many clips
    as were generated, because scores of more clips are higher and distances lower.
    """

    def line(name: str, judgement: Measurements, look: Measurements, to: Measurements | None) -> Row:
        part, look = _at_most(judgement, most), _at_most(look, most)
        apart = distances(look.features, _at_most(to, most).features) if to else (None, None)
        return make_row(name, part, look, evaluator, splits=min(splits, len(part)), distances=apart)

    rows = [line(judged.name, judged.reference, looked.reference, None)]
    if judged.others is not None and looked.others is not None:
        return [*rows, line(judged.other_name, judged.others, looked.others, looked.reference)]
    first, second = _halves(looked.reference)
    if first and second:
        others = looked.reference.select(second)
        half = _halves(judged.reference)[0]
        rows.append(
            line("real, half against half", judged.reference.select(half), looked.reference.select(first), others)
        )
    return rows


def _at_most(measured: Measurements, most: int) -> Measurements:
    """The first ones, which are as good as random."""
    return measured.select(range(min(len(measured), most)))


def _halves(measured: Measurements) -> tuple[list[int], list[int]]:
    """Rows of two halves of about equal size that share no group (actor, source video); the smaller one first."""
    of: dict[str, list[int]] = {}
    for i, clip in enumerate(measured.clips):
        of.setdefault(clip.group or clip.name, []).append(i)
    first: list[int] = []
    second: list[int] = []
    for group in sorted(of, key=lambda group: (-len(of[group]), group)):  # the largest first
        (first if len(first) <= len(second) else second).extend(of[group])
    first, second = sorted((first, second), key=len)
    return sorted(first), sorted(second)


def _notes_on_sizes(ours: Measurements, compared: _Split, space: Evaluator, rows: Sequence[Row]) -> list[str]:
    k, size = min(len(ours), len(compared.reference)), ours.features.shape[1]
    if k < 2:
        return ["distances need two clips or more on both sides"]
    notes = [f"distances are of {k} clips to {k} of '{compared.name}'; they compare only at equal numbers of clips"]
    if k <= size:
        notes.append(
            f"{k} clips are not more than the {size} features of {space.name}: the Fréchet distance is far from its "
            "value for many clips; go by the kernel distance"
        )
    if space.kind.startswith("i3d"):
        known = "is an FVD" if space.file == FVD_SHA256 else "is an FVD only if these are the weights of the FVD papers"
        notes.append(f"the Fréchet distance {known} (docs/metrics.md)")
    for row in rows:
        if row.frechet_video_distance is not None and row.num_videos < k:
            notes.append(f"the distances of '{row.name}' are of only {row.num_videos} clips")
    return notes
