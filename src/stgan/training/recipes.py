"""Recipes: YAML files with all settings of a network's training except the data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from annotated_types import Interval

from stgan.errors import StganError
from stgan.names import quoted
from stgan.networks.encoder_architectures import ARCHITECTURE
from stgan.records import as_record, merged, parse_yaml, read_yaml
from stgan.training.classifier_training import ClassifierRecipe
from stgan.training.encoder_training import EncoderRecipe
from stgan.training.generator_training import GeneratorRecipe
from stgan.training.map_codec_training import MapCodecRecipe
from stgan.training.map_prior_training import MapPriorRecipe
from stgan.training.ranges import Pixels

MODEL, ENCODER, GENERATOR = "model", "encoder", "generator"
MAP_CODEC, FRAME_PRIOR, CLIP_PRIOR = "map_codec", "frame_prior", "clip_prior"
PARTS = (ENCODER, GENERATOR, MAP_CODEC, FRAME_PRIOR, CLIP_PRIOR)
"""The stages that every model has, in the order of training. Its classifiers follow."""

R = TypeVar("R")

Overrides = Mapping[str, Mapping[str, Any]]
"""Maps a stage to settings (nested as in its file) that replace those of the recipe."""


@dataclass(frozen=True)
class ModelRecipe:
    """`model.yaml`: the parts of a model. Each classifier's name is a recipe file beside it and a folder in the model.

    size: side of the frames in pixels. condition: classifiers that can steer. evaluators: classifiers that only score.
    held_out: groups (actors, source videos) for validation; no network of the model is trained on them.
    encoder: checkpoint folder of an encoder to use instead of training one.
    description, citation, licence: of the clips, for the model cards.
    frame_guidance: of the preset `motion` with this model; 0: the preset's.
    clip_size: side of the centre square of the frames that generated clips keep; 0: the part that the condition
        networks see.
    csv, split_column, ucf_split: how to read the folder of clips, see `stgan.video.find_clips`.
    minutes: planned time of everything, from reading the clips to the samples; 0: no such plan.
    """

    name: str
    size: Annotated[int, Interval(ge=8, le=1024)]
    frames: Annotated[int, Interval(ge=1, le=1024)]
    condition: tuple[str, ...]
    evaluators: tuple[str, ...]
    description: str = ""
    citation: str = ""
    licence: str = "The clips are for research; so is what was trained on them."
    held_out: tuple[str, ...] = ()
    encoder: str = ""
    clip_size: Pixels = 0
    frame_guidance: Annotated[float, Interval(ge=0, le=100)] = 0.0
    csv: str = ""
    split_column: str = "split"
    ucf_split: Annotated[int, Interval(ge=1, le=3)] = 1
    minutes: Annotated[float, Interval(ge=0, le=100_000)] = 0.0


@dataclass(frozen=True)
class Recipes:
    """All recipes of a model."""

    model: ModelRecipe
    encoder: EncoderRecipe
    generator: GeneratorRecipe
    map_codec: MapCodecRecipe
    frame_prior: MapPriorRecipe
    clip_prior: MapPriorRecipe
    classifiers: dict[str, ClassifierRecipe] = field(default_factory=dict)

    @property
    def stages(self) -> dict[str, Any]:
        """Each stage's recipe by name, in the order of training."""
        return {**{stage: getattr(self, stage) for stage in PARTS}, **self.classifiers}


def load_model_recipe(folder: Path, overrides: Overrides | None = None) -> ModelRecipe:
    """Read `model.yaml` of a folder of recipes. StganError if it is invalid."""
    return load_recipe(ModelRecipe, folder / f"{MODEL}.yaml", (overrides or {}).get(MODEL, {}))


def load_recipes(folder: Path, num_classes: int, overrides: Overrides | None = None) -> Recipes:
    """Read all recipes of a folder.

    Raises:
        StganError: a file is missing or invalid, or an override is for a stage that the model does not have.
    """
    overrides = overrides or {}
    model = load_model_recipe(folder, overrides)
    names = (*model.condition, *model.evaluators)
    check_stages(overrides, (MODEL, *PARTS, *names))

    def load(kind: type[R], stage: str, **given: Any) -> R:
        return load_recipe(kind, folder / f"{stage}.yaml", overrides.get(stage, {}), **given)

    return Recipes(
        model=model,
        encoder=load(EncoderRecipe, ENCODER),
        generator=load(GeneratorRecipe, GENERATOR),
        map_codec=load(MapCodecRecipe, MAP_CODEC),
        frame_prior=load(MapPriorRecipe, FRAME_PRIOR, frames=1, num_classes=num_classes),
        clip_prior=load(MapPriorRecipe, CLIP_PRIOR, frames=model.frames, num_classes=num_classes),
        classifiers={name: load(ClassifierRecipe, name, num_classes=num_classes) for name in names},
    )


def check_stages(overrides: Overrides, stages: Collection[str]) -> None:
    """StganError if there are overrides of anything but these stages."""
    if unknown := sorted(overrides.keys() - set(stages)):
        raise StganError(f"there is no stage {quoted(unknown[0])} to change; there are {', '.join(stages)}")


def load_recipe(kind: type[R], path: Path, overrides: Mapping[str, Any], **given: Any) -> R:
    """Read one recipe. given: values of its network that the file does not contain. StganError if it is invalid."""
    return as_record(kind, with_network(merged(read_yaml(path), overrides), **given), path)


def with_network(values: Any, **given: Any) -> Any:
    """Move `architecture`, which files have beside `network`, into the values of the network.

    given: further values of the network that the file must not contain.
    """
    if not isinstance(values, dict) or not isinstance(values.get("network"), dict | None):
        return values
    beside = {name: values[name] for name in (ARCHITECTURE,) if name in values} | given
    rest = {name: value for name, value in values.items() if name != ARCHITECTURE}
    network = values.get("network") or {}
    for name in network.keys() & ({ARCHITECTURE} | given.keys()):
        place = f"{ARCHITECTURE} stands beside network" if name == ARCHITECTURE else "the clips decide it"
        raise StganError(f"a recipe cannot set network.{name}: {place}; leave it away")
    return {**rest, "network": {**network, **beside}} if beside else values


def parse_overrides(settings: Sequence[str], plain: Collection[str] = ()) -> dict[str, Any]:
    """Parse settings such as `generator.steps=500`, with values in YAML. StganError if one is invalid.

    plain: names of settings that belong to no section.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        *sections, key = name.strip().split(".")
        if not equals or not all([*sections, key]) or not (sections or key in plain):
            also = "".join(f" or {each}=VALUE" for each in plain)
            raise StganError(f"{quoted(setting)} is not SECTION.NAME=VALUE{also}, as in generator.steps=500")
        try:
            value = parse_yaml(text)
        except (yaml.YAMLError, ValueError) as error:
            raise StganError(f"the value of {quoted(name)} is not valid YAML: {quoted(text)}") from error
        place = overrides
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise StganError(f"{quoted(setting)} sets a part of a value that another setting replaces")
        place[key] = value
    return overrides
