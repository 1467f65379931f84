"""The expected time of a training on this machine, from a few steps of each stage and a few clips."""

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stgan.checkpoints.checkpoint import save_checkpoint
from stgan.pipeline import STGAN
from stgan.spacing import evenly_spread
from stgan.training.classifier_training import MOST_VALIDATED, test_classifier, train_classifier
from stgan.training.clip_data import ClipData
from stgan.training.generator_training import reconstruction_error
from stgan.training.map_codec_training import codec_error
from stgan.training.map_prior_training import MapPriorRecipe, map_sequences
from stgan.training.model import MOST_MEASURED, MOST_TESTED, NEEDED, TRAININGS, ModelTraining
from stgan.training.plan import SAMPLES, Cost, samples_of_each
from stgan.training.recipes import CLIP_PRIOR, ENCODER, FRAME_PRIOR, GENERATOR, MAP_CODEC
from stgan.training.run import seconds_of

_STEPS, _CLIPS, _FRAMES = 5, 32, 64
_TESTED = 4  # clips

Networks = dict[str, Any]


def estimate(training: ModelTraining) -> dict[str, Cost]:
    """The costs of all stages, by name, and of the samples that follow. Nothing is kept of these short trainings."""
    networks, costs = Networks(), dict[str, Cost]()
    roles, probe = training.roles, replace(training.workspace, probe=_STEPS)
    train, validation = _few(roles.train), _few(roles.validation)
    for stage, recipe in training.recipes.stages.items():
        if stage in TRAININGS:
            needed = [networks[NEEDED[stage]]] if stage in NEEDED else []
            started = time.monotonic()
            networks[stage], run = TRAININGS[stage](recipe, *needed, train, validation, probe)
            begin = time.monotonic() - started - run.seconds
            after = _maps(training, stage, networks) + _measuring(training, stage, networks)
            costs[stage] = Cost(run.pace.seconds, begin + run.pace.between + after, run.pace.fed)
    for stage in training.recipes.classifiers:
        networks[stage], costs[stage] = _of_classifier(training, stage)
    if training.recipe.encoder:
        costs[ENCODER] = Cost(0.0)
    costs[SAMPLES] = Cost(0.0, _sampling(training, networks))
    return costs


def _of_classifier(training: ModelTraining, stage: str) -> tuple[Any, Cost]:
    recipe = training.recipes.classifiers[stage]
    roles = training.sized_roles[recipe.size]
    few, fewer = _few(roles.train), _few(roles.train, _TESTED)
    started = time.monotonic()
    network, run = train_classifier(recipe, few, few, replace(training.workspace, probe=_STEPS))
    begin = time.monotonic() - started - run.seconds
    try_out = training.workspace.in_precision(test_classifier)
    test = seconds_of(lambda: try_out(network, fewer)) / len(fewer.clips)
    unseen = [sum(group in groups for group in roles.train.groups) for groups in recipe.folds]
    tested = [min(len(clips.clips), MOST_TESTED.get(part, len(clips.clips))) for part, clips in roles.parts.items()]
    validated = [min(MOST_VALIDATED, clips) for clips in (len(roles.validation.clips), *unseen)]
    trainings = 1 + len(recipe.folds)
    between = run.pace.between * sum(validated) / len(few.clips)
    other = trainings * begin + between + test * sum(tested + unseen)
    return network, Cost(trainings * run.pace.seconds, other, run.pace.fed)


def _maps(training: ModelTraining, stage: str, networks: Networks) -> float:
    """The time to encode the maps of all clips, which the second prior finds if it is of the same ones."""
    recipes, roles = training.recipes, training.roles
    same = _versions(recipes.frame_prior) == _versions(recipes.clip_prior)
    if stage not in (FRAME_PRIOR, CLIP_PRIOR) or (stage == CLIP_PRIOR and same):
        return 0.0
    recipe: MapPriorRecipe = recipes.stages[stage]
    fewer, encode = _few(roles.train, _TESTED), training.workspace.in_precision(map_sequences)
    once = replace(recipe, copies=1, mirror=False)
    a_frame = seconds_of(lambda: encode(networks[MAP_CODEC], fewer, once, None)) / _frames(fewer)
    return a_frame * (1 + recipe.mirror) * (recipe.copies * _frames(roles.train) + _frames(roles.validation))


def _versions(recipe: MapPriorRecipe) -> tuple[int, int, bool, int]:
    return recipe.copies, recipe.shift, recipe.mirror, recipe.seed


def _measuring(training: ModelTraining, stage: str, networks: Networks) -> float:
    """The time to reconstruct frames after the training."""
    train = training.roles.train
    if stage == GENERATOR:
        seconds = seconds_of(lambda: reconstruction_error(networks[stage], networks[ENCODER], train, _FRAMES))
    elif stage == MAP_CODEC:
        seconds = seconds_of(lambda: codec_error(networks[stage], train, _FRAMES))
    else:
        return 0.0
    return seconds / _FRAMES * sum(min(MOST_MEASURED, _frames(clips)) for clips in training.roles.parts.values())


def _sampling(training: ModelTraining, networks: Networks) -> float:
    """The time to generate the samples, and to score them and as many real clips."""
    root, actions = training.workspace.folder, training.data.actions
    with TemporaryDirectory(dir=root) as folder:
        model = training.model_folder(Path(folder))
        for stage, network in networks.items():
            save_checkpoint(model.path / stage, network, actions=training.actions_of(stage))
        model.save()
        stgan = STGAN.from_pretrained(model.path)
    each = samples_of_each(len(actions))
    num = min(each, stgan.batch_size())
    sample = seconds_of(lambda: stgan.generate(actions[0], num).cpu()) / num
    evaluator, fewer = list(networks.values())[-1], _few(training.roles.train, _TESTED)
    score = seconds_of(lambda: test_classifier(evaluator, fewer)) / len(fewer.clips)
    return each * len(actions) * (sample + 2 * score)


def _few(data: ClipData, most: int = _CLIPS) -> ClipData:
    """Up to `most` clips, evenly spread."""
    chosen = evenly_spread(len(data.clips), most)
    return data.select([i in chosen for i in range(len(data.clips))])


def _frames(data: ClipData) -> int:
    return sum(len(clip) for clip in data.clips)
