"""Prepare a `ModelTraining` from a folder of clips and options: survey and decode the clips, plan or read recipes."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from stgan.checkpoints.checkpoint import load_checkpoint
from stgan.errors import StganError
from stgan.networks import Encoder
from stgan.networks.encoder_architectures import ARCHITECTURE, encoder_values
from stgan.records import as_plain, merged, read_yaml, write_record
from stgan.spacing import evenly_spread
from stgan.training.clip_data import ClipData, group_of
from stgan.training.estimate import estimate
from stgan.training.model import ModelTraining
from stgan.training.plan import SIZES, Cost, RecipeValues, choose_size, fit_steps, plan_recipes, write_recipes
from stgan.training.recipes import (
    ENCODER,
    GENERATOR,
    MODEL,
    ModelRecipe,
    Overrides,
    check_stages,
    load_model_recipe,
    load_recipes,
)
from stgan.training.run import Workspace
from stgan.video import ClipFolder, VideoError, find_clips
from stgan.video.clip_cache import ClipCache
from stgan.video.decoding import inspect_clip
from stgan.video.survey import SURVEY, Survey, survey_clips

RECIPES = "recipes"
"""Folder of the training's recipes, inside the model's folder."""


@dataclass(frozen=True)
class TrainingOptions:
    """The user's options of a training. For an option that is None, the plan or the recipes decide.

    config: folder of recipes. size: side of the frames in pixels. minutes: time for everything.
    encoder: checkpoint folder of an encoder to use. overrides: settings that replace those of the recipes.
    csv, split_column, ucf_split: see `stgan.video.find_clips`.
    """

    config: Path | None = None
    size: int | None = None
    minutes: float | None = None
    encoder: Path | None = None
    overrides: Overrides = field(default_factory=dict)
    csv: str | None = None
    split_column: str | None = None
    ucf_split: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A training that can start, the survey of its clips, and its costs if they were estimated to plan it."""

    training: ModelTraining
    survey: Survey
    costs: dict[str, Cost] | None = None

    @property
    def unseen(self) -> ClipFolder:
        """The clips that no network is trained on; all clips if there are none."""
        clips, held_out = self.survey.readable, self.training.recipe.held_out
        unseen = tuple(clip for clip in clips.clips if clip.split in ("val", "test") or group_of(clip) in held_out)
        return replace(clips, clips=unseen or clips.clips)


def prepare(
    data: Path,
    out: Path,
    workspace: Workspace,
    options: TrainingOptions,
    *,
    say: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Check the clips, decode them into a cache, and read or plan the recipes.

    The recipes are those in `options.config`, otherwise those in `out`/recipes from an earlier call, otherwise a new
    plan, which is written there. Overrides become part of a plan. With several processes, the first one plans and the
    others read its files.

    say: receives messages for the user. progress: receives the numbers of surveyed clips and of all clips.

    Raises:
        StganError: clips or recipes are invalid, or an option contradicts the earlier plan in `out`.
    """
    started, fabric, planned = time.monotonic(), workspace.fabric, out / RECIPES
    out.mkdir(parents=True, exist_ok=True)  # fail now, not after an hour, if it cannot be written
    source = options.config or (planned if (planned / "model.yaml").is_file() else None)
    fabric.barrier()  # all processes look before the first one writes
    if source == planned:
        say(f"using the recipes in {planned}")
    model = load_model_recipe(source, options.overrides) if source else None
    _check_options(options, model, out)
    reading = _reading(options, model)
    clips = find_clips(data, **(reading | {"csv": reading["csv"] or None}))
    size = model.size if model else options.size or choose_size(_short_sides(clips), fabric.device.type != "cpu")
    cache = ClipCache(workspace.folder / "cache", size)
    survey = survey_clips(clips, cache=cache, progress=progress)
    if fabric.is_global_zero:
        write_record(workspace.folder / SURVEY, survey.summary())
    for warning in survey.warnings():
        say(f"note: {warning}")
    if survey.problems():
        raise StganError(survey.problems()[0])

    def training(recipes_folder: Path) -> ModelTraining:
        recipes = load_recipes(recipes_folder, len(survey.readable.actions), options.overrides)
        frames = recipes.model.frames
        smaller = {
            size: ClipData.load(survey.readable, ClipCache(cache.folder, size), frames)
            for size in {recipe.size for recipe in recipes.classifiers.values()} - {0}
        }
        return ModelTraining(recipes, ClipData.load(survey.readable, cache, frames), out, workspace, smaller)

    if source:
        prepared = Prepared(training(source), survey)
        if source == planned and fabric.is_global_zero:
            changed = {
                stage: merged(read_yaml(planned / f"{stage}.yaml"), options.overrides[stage])
                for stage in options.overrides
            }
            write_recipes(planned, changed)
        return prepared
    values = plan_recipes(survey.readable, name=out.resolve().name, size=size)
    values[MODEL] |= reading
    if options.encoder:
        _take_encoder(values, options.encoder)
    check_stages(options.overrides, values)  # each becomes the name of a file
    values = merged(values, options.overrides)
    trial = workspace.folder / "trial_recipes"
    _write_for_all(fabric, trial, values)
    tried = training(trial)  # before the plan is saved: the next call would use a plan that cannot work
    costs = None
    if options.minutes:
        values[MODEL]["minutes"] = options.minutes
        costs = estimate(tried)
        costs, spent = fabric.broadcast((costs, time.monotonic() - started))  # all processes refuse, or none
        kept = [stage for stage, settings in options.overrides.items() if "steps" in settings]
        values = fit_steps(values, costs, options.minutes, spent=spent, kept=kept)
    _write_for_all(fabric, planned, values)
    return Prepared(training(planned), survey, costs)


def _write_for_all(fabric: Fabric, folder: Path, values: RecipeValues) -> None:
    """Write recipes in the first process, before any process continues."""
    if fabric.is_global_zero:
        write_recipes(folder, values)
    fabric.barrier()


def _short_sides(clips: ClipFolder, most: int = 9) -> list[int]:
    """The smaller of height and width of a few clips, evenly spread; [0] if none of them can be read."""
    sides = []
    for number in evenly_spread(len(clips), min(most, len(clips))):
        with suppress(VideoError):
            facts = inspect_clip(clips.clips[number].path)
            sides.append(min(facts.height, facts.width))
    return sides or [0]


def _check_options(options: TrainingOptions, model: ModelRecipe | None, out: Path) -> None:
    if options.minutes is not None and not 0 < options.minutes <= 100_000:
        raise StganError(f"--minutes must be above 0 and at most 100000, not {options.minutes:g}")
    if not model:
        if options.size is not None and options.size not in SIZES:
            raise StganError(f"--size must be one of {', '.join(map(str, SIZES))}, not {options.size}")
        return
    if options.minutes and options.minutes != model.minutes:
        raise StganError(
            f"--minutes {options.minutes:g} is for a new plan, but these recipes already set the number of steps; "
            "omit it, change steps with --set, or choose another --out"
        )
    if options.size and options.size != model.size:
        raise StganError(
            f"--size {options.size} contradicts the recipes, which are for frames of {model.size} pixels; "
            f"omit it, delete {out / RECIPES} for a new plan, or choose another --out"
        )
    if options.encoder and str(options.encoder.resolve()) != model.encoder:
        raise StganError(
            "--encoder is for a new plan; for existing recipes, set `encoder` in model.yaml (--set model.encoder=...)"
        )


def _reading(options: TrainingOptions, model: ModelRecipe | None) -> dict[str, Any]:
    """How to read the folder of clips: the options, otherwise the recipe, otherwise the recipe's defaults."""
    values = {name: getattr(model or ModelRecipe, name) for name in ("csv", "split_column", "ucf_split")}
    return {name: value if getattr(options, name) is None else getattr(options, name) for name, value in values.items()}


def _take_encoder(values: RecipeValues, folder: Path) -> None:
    """Adapt the plan to an existing encoder."""
    network = load_checkpoint(folder).network
    if not isinstance(network, Encoder):
        raise StganError(f"{folder} holds a {type(network).__name__}, which is no encoder")
    values[MODEL]["encoder"] = str(folder.resolve())
    config = as_plain(encoder_values(network.config))
    values[ENCODER][ARCHITECTURE] = config.pop(ARCHITECTURE, "alexnet")
    values[ENCODER]["network"] = config
    for stage, part in ((ENCODER, "decoder"), (GENERATOR, "network"), (GENERATOR, "discriminator")):
        values[stage][part]["code_size"] = network.config.code_size
