"""Several generators compared: the same number of clips of each, scored alike, and their differences."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from stgan.errors import StganError
from stgan.names import quoted
from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import Clip, by_path
from stgan.scoring.evaluation import check_actions, is_fooled
from stgan.scoring.generator_draws import (
    Judging,
    differences,
    draw_positions,
    estimates,
    generator_draws,
    real_draws,
    scored,
    scored_real,
    strata,
    times_of,
)
from stgan.scoring.generator_scores import GeneratorComparison, GeneratorScores
from stgan.scoring.measurements import BATCH, measure
from stgan.scoring.real import notes_on_distances, score_real, share_to_shuffle
from stgan.scoring.saved import find_given

Watch = Callable[[Iterable[Any], str, int], Iterable[Any]]
RESAMPLES = 1000
"""Draws of the bootstrap."""
FEWEST_CLIPS = 10
"""Clips of each generator without which no difference is stated: a bootstrap of fewer says too little."""
MOST_GENERATORS = 20
_MOST_CLIPS = 25_000  # of each generator: the draws of so many take 200 MB


@dataclass(frozen=True)
class Generator:
    """The clips of one generator."""

    name: str
    clips: Sequence[Clip]


def find_generators(
    folders: Sequence[Path], say: Callable[[str], None] = lambda sentence: None, **reading: Any
) -> list[Generator]:
    """The clips of each folder, under the folder's name, or under its path where folders have equal names.

    A folder may also be a file of clips or of measurements.

    say, reading: see `folder_clips`.

    Raises:
        StganError: fewer than two folders, one of them twice, or one without clips.
    """
    if not 2 <= len(folders) <= MOST_GENERATORS:
        raise StganError(f"2 to {MOST_GENERATORS} folders can be compared, not {len(folders)}; name one per generator")
    places = [Path(os.path.realpath(folder)) for folder in folders]  # of links in a circle, too
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise StganError(f"{quoted(folder)} is given twice; name a different folder for each generator")
    names = [place.name for place in places]
    return [
        Generator(
            place.name if names.count(place.name) == 1 else str(place),
            find_given(folder, say, **reading),
        )
        for folder, place in zip(folders, places, strict=True)
    ]


def compare_generators(
    generators: Sequence[Generator],
    judging: Judging,
    *,
    cache: ScoreCache | None = None,
    batch_size: int = BATCH,
    workers: int | None = None,
    watch: Watch = lambda results, description, total: results,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> GeneratorComparison:
    """Score equally many clips of each generator alike, and say which differences are more than chance.

    Of each action that all generators show, as many clips count as the one with the fewest has; without known actions,
    as many clips. The real clips, and which of them distances are taken to, are the same for all.

    The uncertainty is that of a bootstrap over clips. A draw takes as many clips of each action as there are, with
    repetition, and all windows of a clip together. (If an action has a single clip, it takes as many clips of all.)
    Generators whose clips have the same actions, seeds and numbers are *paired*: a draw takes the same ones of them.
    Others are drawn independently. The real clips are drawn once for all. See `placed` and `simultaneous_intervals` for
    what follows.

    Args:
        cache, batch_size, workers, watch: see `measure`.
        resamples, seed: of the bootstrap.

    Raises:
        StganError: no action in common; too many clips; or as `evaluate`.
    """
    chosen, notes = _matched(generators, judging.rules.num)
    evaluator, network, rules = judging.evaluator, judging.feature_network, judging.rules
    judge = evaluator if rules.score == "inception_score" else network
    rules.check_network(judge.kind, judge.name, judge.frames)
    protocol = rules.of_generated(judging.protocol)
    size = len(chosen[0])
    rules.check_number(size)
    if not 1 <= rules.splits <= size:
        raise StganError(f"{size} clips cannot be scored in {rules.splits} splits; choose 1 to {size}")
    actions = Counter(clip.action for clip in chosen[0] if clip.action is not None)
    if unknown := sorted(actions.keys() - set(evaluator.actions)):
        raise StganError(
            f"{evaluator.name} does not know the action {quoted(unknown[0])}; name an --evaluator that does"
        )
    fooled = []
    for generator, clips in zip(generators, chosen, strict=True):
        try:
            fooled.append(is_fooled((evaluator, network), clips, judging.allow_fooled))
        except StganError as error:
            raise StganError(f"{quoted(generator.name)}: {error}") from error
        notes += [f"{generator.name}: {note}" for note in check_actions(evaluator, clips, keep_going=True)]
    run = partial(measure, cache=cache, batch_size=batch_size, workers=workers, watch=watch)
    shuffling = replace(protocol, shuffled=share_to_shuffle(size * protocol.windows))  # as in the cache of `evaluate`
    measured = []
    for generator, clips in zip(generators, chosen, strict=True):
        first, short = run(clips, evaluator, shuffling, description=f"scoring {generator.name}")
        second, too = run(clips, network, protocol, description="features") if judging.features else (first, [])
        if short or too:
            raise StganError(
                f"{generator.name}: {(short or too)[0].reason}; remove such clips, so that equally many count"
            )
        measured.append((first, second))
    found = None
    if judging.real:
        real = replace(judging.real, clips=by_path(judging.real.clips))
        found = score_real(run, real, measured[0][0], evaluator, network, rules)
        notes += notes_on_distances(measured[0][1], found, network, rules)
        if missing := sorted(actions.keys() - {clip.action for clip in found.measured.clips}):
            notes.append(f"scores of real clips are of other actions: there is no real clip of {', '.join(missing)}")
    if len({size for first, _ in measured for size in first.sizes}) > 1:
        notes.append(f"the clips differ in size: each is scored at its own, real clips at that of {generators[0].name}")
    sets = [scored(*each, judging, found) for each in measured]
    beside = scored_real(measured[0][0], found, judging) if found else None
    paired = _paired(chosen)
    among = strata(chosen[0])
    real_clips = list({clip.name: clip for clip in found.measured.clips}.values()) if found else []
    real_among = strata(real_clips) if real_clips else among
    times_real = times_of(real_clips, draw_positions(real_among, resamples, seed + 1)) if real_clips else {}
    reference = found.reference if found else None
    if reference and not rules.published:
        reference = reference.select(range(min(len(reference), *(len(second) for _, second in measured))))
    clips_there = list({clip.name: clip for clip in reference.clips}.values()) if reference else []
    among_there = strata(clips_there) if clips_there else among
    times_there = times_of(clips_there, draw_positions(among_there, resamples, seed + 1)) if clips_there else {}
    least = max(2, min(int(each.bincount()[each].min()) for each in (among, real_among, among_there)))
    drawing = (
        generator_draws(
            own, clips, draw_positions(among, resamples, seed + 2 + stream), judging, reference, times_there, least
        )
        for own, clips, stream in zip(sets, chosen, paired, strict=True)
    )
    draws = list(watch(drawing, "drawing clips", len(sets)))
    draws_real = real_draws(beside, times_real, least) if beside else {}
    names = [generator.name for generator in generators]
    if size < FEWEST_CLIPS:
        notes.append(f"{size} clips of each generator are too few to state differences; {FEWEST_CLIPS} are needed")
    return GeneratorComparison(
        generators=tuple(
            GeneratorScores(
                name=generator.name,
                fooled=fooled[i],
                steered_by=tuple(sorted({name for clip in chosen[i] if clip.steering for name in clip.steering.names})),
                drawn_with=names[paired[i]],
                clips=tuple(clip.name for clip in chosen[i]),
                values=estimates(sets[i], draws[i]),
            )
            for i, generator in enumerate(generators)
        ),
        num_videos=size,
        actions=dict(sorted(actions.items())),
        real=estimates(beside, draws_real) if beside else {},
        num_real=(len(found.reference) if rules.published else min(size, len(found.reference))) if found else 0,
        real_name=found.rows[0].name if found else "",
        differences=differences(names, sets, draws, fooled, beside, draws_real) if size >= FEWEST_CLIPS else (),
        evaluator=evaluator.name,
        evaluator_network=evaluator.kind,
        evaluator_hash=evaluator.hash,
        protocol=evaluator.describe(protocol),
        feature_network=network.name,
        feature_hash=network.hash,
        feature_size=measured[0][1].features.shape[1],
        splits=rules.splits,
        rules=rules,
        resamples=resamples,
        notes=tuple(notes),
    )


def _matched(generators: Sequence[Generator], num: int | None) -> tuple[list[list[Clip]], list[str]]:
    """The clips that count of each generator, of one action at each position, and notes on what is left out.

    Of too many clips of an action, those count whose seed and number most generators have.
    """
    notes = []
    sides = [list(generator.clips) for generator in generators]
    every = [clip.action for clips in sides for clip in clips]
    if None in every:
        if any(every):
            notes.append("the actions of some clips are unknown, so no action counts")
        sides = [[replace(clip, action=None) for clip in clips] for clips in sides]
    keys = [
        {clip.name: (str(clip.action), *clip.number) for clip in clips if clip.number is not None} for clips in sides
    ]
    having = Counter(key for own in keys for key in own.values())
    ordered: list[dict[str | None, list[Clip]]] = [{} for _ in sides]
    for own, clips, of in zip(keys, sides, ordered, strict=True):
        ranks = {name: (-having[key], key) for name, key in own.items()}
        order = sorted((ranks.get(clip.name, (0, ())), clip.name, place) for place, clip in enumerate(clips))
        for *_, place in order:
            of.setdefault(clips[place].action, []).append(clips[place])
    shared = [action for action in sorted(ordered[0], key=str) if all(action in of for of in ordered)]
    if not shared:
        raise StganError("the folders have no action in common; compare clips of the same actions")
    slots = sorted(
        (rank, place) for place, action in enumerate(shared) for rank in range(min(len(of[action]) for of in ordered))
    )[:num]
    if len(slots) < 2:
        raise StganError("a comparison needs two clips or more of each generator; generate more of the same actions")
    if len(slots) > _MOST_CLIPS:
        raise StganError(f"at most {_MOST_CLIPS} clips of each generator can be compared; choose fewer by --num")
    for generator, clips in zip(generators, sides, strict=True):
        if len(clips) > len(slots):
            notes.append(f"{generator.name}: {len(slots)} of {len(clips)} clips count")
    return [[of[shared[place]][rank] for rank, place in slots] for of in ordered], notes


def _paired(chosen: Sequence[Sequence[Clip]]) -> list[int]:
    """For each generator, the first one whose clips have the same seeds and numbers; itself if there is none."""
    keys = [[clip.number for clip in clips] for clips in chosen]
    return [i if None in own else keys.index(own) for i, own in enumerate(keys)]
