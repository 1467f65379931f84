"""Recipes: YAML files that hold everything that decides a network's weights but the data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from stgan.errors import StganError
from stgan.networks import (
    C3DConfig,
    CodePriorConfig,
    DiscriminatorConfig,
    EncoderConfig,
    GeneratorConfig,
    LRCNConfig,
    R2Plus1DConfig,
)
from stgan.networks.configuration import Configuration
from stgan.training.classifier import ClassifierRecipe
from stgan.training.code_prior import CodePriorRecipe
from stgan.training.data import Augmentation
from stgan.training.encoder import EncoderRecipe
from stgan.training.generator import GeneratorRecipe

R = TypeVar("R", EncoderRecipe, CodePriorRecipe, GeneratorRecipe, ClassifierRecipe)

_FEWEST_STEPS = 20  # for a learning rate that rises and falls again

CLASSIFIERS: dict[str, type[LRCNConfig] | type[C3DConfig] | type[R2Plus1DConfig]] = {
    "lrcn": LRCNConfig,
    "c3d": C3DConfig,
    "r2plus1d": R2Plus1DConfig,
}


@dataclass(frozen=True)
class ModelRecipe:
    """`model.yaml`: what a model consists of. Each name is a recipe file beside it and a folder in the model.

    size: side of the frames in pixels. condition: classifiers that may steer. evaluators: those that never do.
    held_out: groups (actors, source videos) that no network of the model is trained on.
    """

    name: str
    description: str
    citation: str
    size: int
    frames: int
    condition: tuple[str, ...]
    evaluators: tuple[str, ...]
    held_out: tuple[str, ...] = ()


def load_model_recipe(folder: Path) -> ModelRecipe:
    return _build(ModelRecipe, _read(folder / "model.yaml"), folder / "model.yaml", {})


def load_encoder_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> EncoderRecipe:
    parts = {"network": EncoderConfig, "decoder": GeneratorConfig}
    return _build(EncoderRecipe, {**_read(path), **(overrides or {})}, path, parts)


def load_code_prior_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> CodePriorRecipe:
    return _build(CodePriorRecipe, {**_read(path), **(overrides or {})}, path, {"network": CodePriorConfig})


def load_generator_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> GeneratorRecipe:
    parts = {"network": GeneratorConfig, "discriminator": DiscriminatorConfig}
    return _build(GeneratorRecipe, {**_read(path), **(overrides or {})}, path, parts)


def load_classifier_recipe(
    path: Path, num_classes: int, overrides: Mapping[str, Any] | None = None
) -> ClassifierRecipe:
    values = {**_read(path), **(overrides or {})}
    architecture = values.pop("architecture", None)
    if architecture not in CLASSIFIERS:
        raise StganError(f"{path} needs an architecture, one of {', '.join(CLASSIFIERS)}, not {architecture!r}")
    values["network"] = {**(values.get("network") or {}), "num_classes": num_classes}
    return _build(ClassifierRecipe, values, path, {"network": CLASSIFIERS[architecture]})


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StganError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StganError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise StganError(f"{path} must hold names and values")
    return values


def _build(kind: type[Any], values: dict[str, Any], path: Path, parts: Mapping[str, type[Configuration]]) -> Any:
    """A dataclass from YAML values; one sentence for a name that it does not have."""
    known = {item.name: item.type for item in fields(kind)}
    unknown = sorted(str(name) for name in values.keys() - known.keys())
    if unknown:
        raise StganError(f"{path}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    for name, value in values.items():
        if known[name] in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            # YAML 1.1 reads 1e-3, without a dot, as a word.
            raise StganError(f"{path}: {name} must be a number, not {value!r} (1e-3 has to be written 1.0e-3)")
        if "tuple" in str(known[name]) and not isinstance(value, list | tuple):
            raise StganError(f"{path}: {name} must be a list, not {value!r}")
    if values.get("steps", _FEWEST_STEPS) < _FEWEST_STEPS:
        raise StganError(f"{path}: steps must be at least {_FEWEST_STEPS}, not {values['steps']}")
    arguments = {name: _tuples(value) for name, value in values.items()}
    try:
        for name, config in parts.items():
            arguments[name] = config.from_dict(values[name])
        if "augmentation" in arguments:
            arguments["augmentation"] = Augmentation(**values["augmentation"])
        return kind(**arguments)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise StganError(f"{path} does not describe a {kind.__name__}: {' '.join(str(error).split())}") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
