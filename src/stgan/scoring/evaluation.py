"""The whole evaluation of a folder of clips, by one network and, if wanted, in comparison with real clips."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from stgan.errors import StganError
from stgan.names import quoted
from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import MIDDLE, Clip, Protocol, by_path, evenly
from stgan.scoring.comparison import compare
from stgan.scoring.copies import CopyScores, copy_scores
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.input_notes import note_on_copies, notes_on_both, notes_on_clips
from stgan.scoring.measurements import BATCH, Measurements, Watch, measure
from stgan.scoring.protocols import PROTOCOLS, ByProtocol, Draws, Rules
from stgan.scoring.real import Real, RealScores, notes_on_distances, score_real, share_to_shuffle, without_skipped
from stgan.scoring.saved import Recording, save_measurements
from stgan.scoring.scores import GENERATED, ScoredWindows, Scores, SetScores, quoted_beside
from stgan.scoring.summaries import (
    by_action,
    clip_scores,
    distances,
    flickering,
    frozen,
    make_row,
    names_of,
    neighbourhood,
    temporal_order,
)

_MOST_TARGETS = 20  # that have a note each
_DISTANCES = ("frechet_video_distance", "kernel_video_distance")
_OF_ROW = {each.name for each in fields(Scores)} & {each.name for each in fields(SetScores)}
"""What the scores of a folder have in common with the row of the same clips."""


def evaluate(
    clips: Sequence[Clip],
    evaluator: Evaluator,
    *,
    features: Evaluator | None = None,
    real: Real | None = None,
    protocol: Protocol = MIDDLE,
    rules: Rules = PROTOCOLS["stgan"],
    inception: bool = False,
    allow_fooled: bool = False,
    keep_going: bool = False,
    cache: ScoreCache | None = None,
    batch_size: int = BATCH,
    workers: int | None = None,
    watch: Watch = lambda results, description, total: results,
    save_features: Path | None = None,
    save_real: Path | None = None,
) -> Scores:
    """Score clips with a network that did not steer them.

    Args:
        clips: of one folder or several; where two have the same name, the scores name both by their paths.
        features: the network whose features distances are measured on; default: the evaluator.
        real: the reference. Its clips of the generated actions are brought to the size of the generated clips.
            Distances are taken to those that the evaluator was trained on (if its card lists them; else to the train
            split; else to all). The others show how far real clips lie from these.
        protocol: sizes, windows and rate of the clips; default: one window of each, at the clip's own size and rate.
        rules: how clips are chosen, cut and compared; default: stgan's own protocol. Clips fall into the parts of the
            Inception Score at random.
        inception: give the Inception Score also if the evaluator knows none of the actions of the clips.
        allow_fooled: also score with a network that steered; the result says so.
        keep_going: leave out clips that cannot be scored; the result lists them.
        cache, batch_size, workers, watch: see `measure`.
        save_features, save_real: files to which the measurements of the generated and of the real clips are written;
            see `load_measurements`.

    Raises:
        StganError: a network steered the clips; a clip cannot be read; an action is unknown; too many splits; the
            network or the number of clips is not that of the protocol.
    """
    rules.check_number(len(clips))
    wanted, splits = rules.wanted(len(clips)), rules.splits
    clips = by_path(clips if wanted is None else evenly(clips, len(clips)))
    real = replace(real, clips=by_path(real.clips)) if real else None
    feature_network = features or evaluator
    judge = evaluator if rules.score == "inception_score" else feature_network
    rules.check_network(judge.kind, judge.name, judge.frames)
    if rules.score in _DISTANCES and real is None:
        raise StganError(f"{rules.name} is a distance to real clips; name them by --real")
    protocol = rules.of_generated(protocol)
    fooled = is_fooled((evaluator, feature_network), clips, allow_fooled)
    known = rules.score == "inception_score" or evaluator.knows_some(clips)
    needed = bool(evaluator.actions) and (known or features is None)  # else the clips may be scored by distances alone
    notes = check_actions(evaluator, clips, keep_going or not needed)
    span = (max(evaluator.frames, feature_network.frames) - 1) * protocol.stride + 1
    if not 1 <= splits <= len(clips):
        raise StganError(f"{len(clips)} clips cannot be scored in {splits} splits; choose 1 to {len(clips)}")
    measuring = partial(
        measure, cache=cache, batch_size=batch_size, workers=workers, keep_going=keep_going, watch=watch
    )
    run, run_real = Recording(measuring), Recording(measuring)
    shuffling = replace(protocol, shuffled=share_to_shuffle((wanted or len(clips)) * protocol.windows))
    generated, skipped = run(clips, evaluator, shuffling, description="scoring", enough=wanted)
    rules.check_number(len(generated))
    if len(generated) < splits:
        raise StganError(f"only {len(generated)} clips could be read, too few for {splits} splits")
    on_features = generated
    if features:
        on_features, unread = run(without_skipped(clips, generated), features, protocol, description="features")
        skipped += unread
    scored = inception or known
    found = score_real(run_real, real, generated, evaluator, feature_network, rules, scored) if real else None
    if found and found.on_features.features.shape[1] != on_features.features.shape[1]:  # those of a file may be any
        raise StganError("the features of real and generated clips are not of one network; save them again")
    for path, parts in ((save_features, run.parts), (save_real, run_real.parts)):
        if path and parts:
            save_measurements(path, parts)
    reference = found.reference if found else None
    apart = _over_draws(on_features, found, rules) if found else (None, None)
    row = make_row(
        GENERATED,
        generated,
        on_features,
        evaluator,
        splits=splits if scored else None,
        distances=(apart[0].mean if apart[0] else None, apart[1].mean if apart[1] else None),
    )
    copies = copy_scores(generated, found.reference, found.others, found.rows[0].name) if found else CopyScores()
    return Scores(
        **{name: getattr(row, name) for name in _OF_ROW},
        **neighbourhood(on_features, reference, rules.neighbours),
        **by_action(generated, evaluator),
        evaluator=evaluator.name,
        evaluator_network=evaluator.kind,
        evaluator_hash=evaluator.hash,
        protocol=evaluator.describe(protocol),
        by=ByProtocol(
            rules=rules,
            changes=tuple(rules.changes()),
            num_videos=min(rules.num or len(on_features), len(on_features)),
            num_real=_as_many(len(on_features), len(reference), rules) if reference else None,
            draws=apart[_DISTANCES.index(rules.score)] if rules.score in _DISTANCES else None,
        ),
        judged=ScoredWindows(
            frames=evaluator.frames,
            feature_frames=feature_network.frames,
            usual=all(each.frames == each.usual_frames for each in (evaluator, feature_network)),
            protocol=replace(protocol, shuffled=0.0),
        ),
        feature_network=feature_network.name,
        feature_hash=feature_network.hash,
        feature_size=on_features.features.shape[1],
        fooled=fooled,
        steered_by=tuple(sorted({name for clip in clips if clip.steering for name in clip.steering.names})),
        actions=evaluator.actions,
        splits=splits,
        frozen_clips=names_of(generated, frozen(generated)),
        flickering_clips=names_of(generated, flickering(generated)),
        temporal_order=temporal_order(generated, evaluator),
        temporal_order_real=found.order if found else None,
        copies=copies.of_training,
        near_duplicates=copies.of_each_other,
        beside_real=compare(generated, on_features, found.measured, found.on_features, copies, rules, scored)
        if found
        else None,
        rows=(row, *(found.rows if found else ())),
        quoted=quoted_beside(evaluator),
        clips=clip_scores(generated, evaluator, copies.clips),
        skipped=(*skipped, *(found.skipped if found else ())),
        notes=(
            *notes,
            *note_on_copies(generated),
            *notes_on_clips(generated, "clips", span, protocol.fps),
            *(notes_on_clips(found.measured, "real clips", span, real.fps) if real and found else ()),
            *(notes_on_both(generated, found.measured, real.fps) if real and found else ()),
            *(() if known else _note_on_inception(evaluator, inception)),
            *copies.notes,
            *(notes_on_distances(on_features, found, feature_network, rules) if found else ()),
        ),
    )


def _as_many(generated: int, real: int, rules: Rules) -> int:
    """The number of real windows of which distances are."""
    return real if rules.published else min(generated, real)


def _over_draws(generated: Measurements, real: RealScores, rules: Rules) -> tuple[Draws | None, Draws | None]:
    """Fréchet and kernel distance over the draws; None for fewer than two clips."""
    pairs = zip(rules.drawn(generated.features), real.references, strict=True)
    apart = [distances(ours, theirs.features, rules) for ours, theirs in pairs]
    return Draws.of([each[0] for each in apart]), Draws.of([each[1] for each in apart])


def is_fooled(networks: Sequence[Evaluator], clips: Sequence[Clip], allowed: bool) -> bool | None:
    """Whether one of the networks is related to one that steered the clips; None if that is not known."""
    relations = [network.relation(clips) for network in networks]
    related = next(filter(None, relations), None)
    if related and not allowed:
        raise StganError(
            f"{related}, so its scores would only show how well it was fooled; use another network, or --allow-fooled "
            "to see that"
        )
    return True if related else None if None in relations else False


def _note_on_inception(evaluator: Evaluator, scored: bool) -> Iterator[str]:
    """A note for an evaluator that knows none of the actions of the clips."""
    if scored:
        yield (
            f"{evaluator.name} knows none of the actions of the clips: its Inception Score says how it sorts them into "
            "classes that they need not show, and is no measure of their quality"
        )
    else:
        yield (
            f"there is no Inception Score, as {evaluator.name} knows none of the actions of the clips; "
            "--inception-score gives it nevertheless"
        )


def check_actions(evaluator: Evaluator, clips: Sequence[Clip], keep_going: bool) -> list[str]:
    """Notes on clips whose action is not known. StganError for an action that the evaluator does not know.

    keep_going: only note that.
    """
    nameless = sum(clip.action is None and clip.unit is None for clip in clips)
    unknown = Counter(clip.action for clip in clips if clip.action is not None and clip.action not in evaluator.actions)
    notes = []
    units: dict[str, list[float]] = {}
    for target, activation in (clip.unit for clip in clips if clip.unit is not None):
        units.setdefault(target, []).append(activation)
    for target, values in list(units.items())[:_MOST_TARGETS]:
        notes.append(
            f"{len(values)} clips show {quoted(target)} and no action; its mean activation under the network that "
            f"steered them is {sum(values) / len(values):.3g}"
        )
    if sum(map(len, units.values())) == len(clips):
        return notes
    if nameless == len(clips):
        notes.append("the actions of the clips are unknown, so there is no accuracy")
    elif nameless:
        notes.append(f"the actions of {nameless} clips are unknown, so accuracy is of the others")
    if unknown:
        known = ", ".join(evaluator.actions) or "none by name"
        first = quoted(min(unknown))
        if not keep_going:
            raise StganError(
                f"{evaluator.name} does not know the action {first}; it knows {known}; name a classifier that does "
                "(--evaluator torchvision:NAME, hf:ORG/NAME or FILE:FUNCTION); --keep-going scores the rest"
            )
        notes.append(f"{evaluator.name} does not know the action {first}: {sum(unknown.values())} clips of "
                     f"{len(unknown)} unknown actions count in everything but accuracy")  # fmt: skip
    return notes
