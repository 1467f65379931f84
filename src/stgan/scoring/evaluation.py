"""The whole evaluation of a folder of clips: which clips are judged by which network, beside which real ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from stgan.errors import StganError
from stgan.names import quoted
from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import MIDDLE, Clip, Protocol
from stgan.scoring.comparison import compare
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import BATCH, Measurements, Watch, measure
from stgan.scoring.real import Real, compare_with_real, share_to_shuffle, without_skipped
from stgan.scoring.scores import (
    GENERATED,
    QUOTED,
    JudgedWindows,
    Scores,
    by_action,
    clip_scores,
    copying,
    distances,
    flickering,
    frozen,
    make_row,
    names_of,
    neighbourhood,
    temporal_order,
)


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
    shuffling = replace(protocol, shuffled=share_to_shuffle(len(clips) * protocol.windows))
    generated, skipped = run(clips, evaluator, shuffling, description="scoring")
    if len(generated) < splits:
        raise StganError(f"only {len(generated)} clips could be read, too few for {splits} splits")
    looked = generated
    if features:
        looked, unseen = run(without_skipped(clips, generated), features, protocol, description="features")
        skipped += unseen
    beside = compare_with_real(run, real, generated, looked, judges, splits) if real else None
    reference = beside.reference if beside else None
    row = make_row(
        GENERATED,
        generated,
        looked,
        evaluator,
        splits=splits,
        distances=distances(looked.features, reference.features) if reference else (None, None),
    )
    actions = by_action(generated, evaluator)
    copied = copying(looked, beside.reference, beside.others) if beside else None
    return Scores(
        num_videos=row.num_videos,
        evaluator=evaluator.name,
        evaluator_network=evaluator.kind,
        evaluator_hash=evaluator.hash,
        protocol=evaluator.describe(protocol),
        judged=JudgedWindows(
            frames=evaluator.frames,
            feature_frames=judges[-1].frames,
            usual=all(judge.frames == judge.usual_frames for judge in judges),
            protocol=replace(protocol, shuffled=0.0),
        ),
        feature_network=judges[-1].name,
        feature_hash=judges[-1].hash,
        feature_size=looked.features.shape[1],
        fooled=fooled,
        steered_by=tuple(sorted({name for clip in clips if clip.steering for name in clip.steering.names})),
        actions=evaluator.actions,
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
        **neighbourhood(looked, reference),
        diversity=row.diversity,
        motion=row.motion,
        flicker=row.flicker,
        frozen=row.frozen,
        appearance_drift=row.appearance_drift,
        frozen_clips=names_of(generated, frozen(generated)),
        flickering_clips=names_of(generated, flickering(generated)),
        temporal_order=temporal_order(generated, evaluator),
        temporal_order_real=beside.order if beside else None,
        copying=copied,
        beside_real=compare(generated, looked, beside.judged, beside.looked, copied) if beside else None,
        rows=(row, *(beside.rows if beside else ())),
        quoted=QUOTED,
        clips=clip_scores(generated, evaluator),
        skipped=(*skipped, *(beside.skipped if beside else ())),
        notes=(*notes, *_note_on_copies(generated), *(beside.notes if beside else ())),
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


def _note_on_copies(measured: Measurements) -> list[str]:
    contents = {clip.name: content for clip, content in zip(measured.clips, measured.contents, strict=True)}
    copies = len(contents) - len(set(contents.values()))
    return [f"{copies} clips are copies of others: the intervals count them, and are too narrow"] if copies else []
