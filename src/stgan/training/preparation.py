"""From a folder and a few wishes to a `ModelTraining`: look at the clips, plan or read the recipes, decode once."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stgan.checkpoints import load_checkpoint
from stgan.checkpoints.checkpoint import write_text
from stgan.errors import StganError
from stgan.networks import Encoder
from stgan.training.model import ModelTraining
from stgan.training.plan import (
    SIZES,
    RecipeValues,
    choose_size,
    plan_recipes,
    scale_steps,
    write_recipes,
)
from stgan.training.recipes import (
    CODE_PRIOR,
    ENCODER,
    GENERATOR,
    MODEL,
    ModelRecipe,
    Overrides,
    load_model_recipe,
    load_recipes,
    read_yaml,
)
from stgan.training.run import Workshop
from stgan.video import ClipFolder, VideoError, find_clips
from stgan.video.cache import ClipCache
from stgan.video.decoding import inspect_clip
from stgan.video.survey import Survey, survey_clips

SURVEY = "survey.json"
"""What was seen of the clips (`Survey.summary`), in the folder to work in."""
RECIPES = "recipes"
"""Where in a model's folder the recipes are kept that it was trained by."""


@dataclass(frozen=True)
class Wishes:
    """What somebody wants of a training; what is None is left to the plan or to the recipes.

    config: folder of recipes. size: side of the frames in pixels. minutes: how long all of it may take.
    encoder: checkpoint folder to take the encoder from. overrides: settings that replace those of the recipes.
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
    """A training that can begin, and what was seen on the way."""

    training: ModelTraining
    survey: Survey


def prepare(
    data: Path,
    out: Path,
    workshop: Workshop,
    wishes: Wishes,
    *,
    say: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Check the clips, decode them into a cache, and settle the recipes, which are then in `out`/recipes.

    The recipes are those of `wishes.config`; else those that `out` was begun with; else a new plan. With several
    processes the first one decides and the others read what it wrote.

    Raises:
        StganError: clips or recipes are wrong, or a wish contradicts the plan that `out` was begun with.
    """
    fabric, recipes_folder = workshop.fabric, out / RECIPES
    source = wishes.config or (recipes_folder if (recipes_folder / "model.yaml").is_file() else None)
    if source and not wishes.config:
        say(f"going on with the recipes in {recipes_folder}")
    model = load_model_recipe(source, wishes.overrides) if source else None
    _check_wishes(wishes, model, out)
    options = _reading(wishes, model)
    clips = find_clips(data, csv=options["csv"] or None, **{k: v for k, v in options.items() if k != "csv"})
    size = model.size if model else wishes.size or choose_size(_short_sides(clips), fabric.device.type != "cpu")
    if size not in SIZES and not model:
        raise StganError(f"--size must be one of {', '.join(map(str, SIZES))}, not {size}")
    cache = ClipCache(workshop.folder / "cache", size)
    survey = survey_clips(clips, cache=cache, progress=progress)
    if fabric.is_global_zero:
        write_text(workshop.folder / SURVEY, json.dumps(survey.summary(), indent=2) + "\n")
    for warning in survey.warnings():
        say(f"note: {warning}")
    if survey.problems():
        raise StganError(survey.problems()[0])
    frames = cache.load(survey.readable)
    values = _recipe_values(source, survey.readable, sum(map(len, frames)), out.name, size, wishes, options)

    def training() -> ModelTraining:
        recipes = load_recipes(recipes_folder, len(survey.readable.actions), wishes.overrides)
        return ModelTraining(recipes, survey.readable, frames, out, workshop)

    if fabric.is_global_zero:
        write_recipes(recipes_folder, values)
    fabric.barrier()
    if wishes.minutes and not source:
        seconds = sum(training().seconds_of_steps().values())
        if fabric.is_global_zero:
            write_recipes(recipes_folder, scale_steps(values, 60 * wishes.minutes / seconds))
        fabric.barrier()
    return Prepared(training(), survey)


def _short_sides(clips: ClipFolder, most: int = 9) -> list[int]:
    """Height or width, whichever is less, of a few clips spread over the folder; [0] if none of them can be read."""
    sides = []
    for clip in clips.clips[:: -(-len(clips) // most)]:
        with suppress(VideoError):
            facts = inspect_clip(clip.path)
            sides.append(min(facts.height, facts.width))
    return sides or [0]


def _check_wishes(wishes: Wishes, model: ModelRecipe | None, out: Path) -> None:
    if wishes.minutes is not None and not 0 < wishes.minutes <= 100_000:
        raise StganError(f"--minutes must be above 0 and at most 100000, not {wishes.minutes:g}")
    if not model:
        return
    if wishes.minutes:
        raise StganError(
            "--minutes is for a new plan, and these recipes say how many steps to take; "
            "leave it away, or change steps with --set, or choose another --out"
        )
    if wishes.size and wishes.size != model.size:
        raise StganError(
            f"--size {wishes.size} contradicts the recipes, which are for frames of {model.size} pixels; "
            f"leave it away, or choose another --out than {out}"
        )
    if wishes.encoder:
        raise StganError(
            "--encoder is for a new plan; in recipes it is `encoder` in model.yaml (--set model.encoder=...)"
        )


def _reading(wishes: Wishes, model: ModelRecipe | None) -> dict[str, Any]:
    """How to read the folder of clips: as wished, else as in the recipes."""
    defaults = model or ModelRecipe(name="", size=0, frames=0, condition=(), evaluators=())
    return {
        "csv": wishes.csv if wishes.csv is not None else defaults.csv,
        "split_column": wishes.split_column if wishes.split_column is not None else defaults.split_column,
        "ucf_split": wishes.ucf_split if wishes.ucf_split is not None else defaults.ucf_split,
    }


def _recipe_values(
    source: Path | None,
    clips: ClipFolder,
    num_frames: int,
    name: str,
    size: int,
    wishes: Wishes,
    options: dict[str, Any],
) -> RecipeValues:
    """What the YAML files in the model's folder will hold."""
    if source:
        model = load_model_recipe(source, wishes.overrides)
        stages = (MODEL, ENCODER, CODE_PRIOR, GENERATOR, *model.condition, *model.evaluators)
        values = {stage: read_yaml(source / f"{stage}.yaml") for stage in stages}
        values[MODEL].update({key: value for key, value in options.items() if value != _reading(Wishes(), None)[key]})
        return values
    values = plan_recipes(clips, num_frames, name=name, size=size)
    values[MODEL].update(options)
    if wishes.encoder:
        _take_encoder(values, wishes.encoder)
    return values


def _take_encoder(values: RecipeValues, folder: Path) -> None:
    """Fit the plan to an encoder that is there already."""
    network = load_checkpoint(folder).network
    if not isinstance(network, Encoder):
        raise StganError(f"{folder} holds a {type(network).__name__}, which is no encoder")
    values[MODEL]["encoder"] = str(folder.resolve())
    values[ENCODER]["network"] = yaml.safe_load(yaml.safe_dump(_plain(network.config.to_dict())))
    code_size = network.config.code_size
    for settings, part in (
        (values[ENCODER], "decoder"), (values[CODE_PRIOR], "network"),
        (values[GENERATOR], "network"), (values[GENERATOR], "discriminator"),
    ):  # fmt: skip
        settings[part]["code_size"] = code_size


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value
