"""Recipes: YAML files that hold everything that decides a network's weights but the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from stgan.errors import StganError
from stgan.names import quoted
from stgan.networks import (
    C3DConfig,
    CodePriorConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LRCNConfig,
    R2Plus1DConfig,
    SequencePriorConfig,
    TCNConfig,
    TemporalStreamConfig,
)
from stgan.networks.configuration import Configuration
from stgan.networks.encoder_architectures import ARCHITECTURE, encoder_kind
from stgan.training.classifier_training import ClassifierConfig, ClassifierRecipe
from stgan.training.clip_data import Augmentation
from stgan.training.code_prior_training import CodePriorRecipe
from stgan.training.encoder_training import EncoderRecipe
from stgan.training.generator_training import GeneratorRecipe
from stgan.training.sequence_prior_training import SequencePriorRecipe

MODEL, ENCODER, CODE_PRIOR, SEQUENCE_PRIOR, GENERATOR = "model", "encoder", "code_prior", "sequence_prior", "generator"

_MOST_VALUES, _DEEPEST = 10_000, 20  # of a YAML file; its aliases could stand for any number of values
_FEWEST_STEPS = 20  # for a learning rate that rises and falls again
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("steps", "small_steps"), (_FEWEST_STEPS, 1_000_000_000)),
    "seed": (0, (1 << 63) - 1),
    **dict.fromkeys(("learning_rate", "head_learning_rate"), (1e-12, 10.0)),
    **dict.fromkeys(("batch_size", "small_batch_size", "windows"), (1, 100_000)),
    "weight_decay": (0.0, 10.0),
    "label_smoothing": (0.0, 0.99),
    "ema": (0.0, 1.0),
    "pause_ratio": (0.0, 1e6),
    "code_noise": (0.0, 100.0),
    "taken_rate": (0.0, 1.0),
    "adversarial_from": (0.0, 1.0),
    "foreground": (0.0, 1000.0),
    "noise_mean": (-10.0, 10.0),
    "noise_std": (0.0, 10.0),
    "untold": (0.0, 1.0),
    "copies": (1, 1000),
    **dict.fromkeys(("lambda_img", "lambda_feat", "lambda_adv"), (0.0, 1e6)),
    **dict.fromkeys(("weight_action", "weight_clip", "weight_image"), (0.0, 1e6)),
    **dict.fromkeys(("mirror", "zoom", "brightness", "contrast", "colour", "noise"), (0.0, 1.0)),
    "shift": (0, 1024),
    **dict.fromkeys(("size", "clip_size"), (0, 1024)),
    "blur": (0.0, 100.0),
}
"""Least and most of the numbers in recipes and their augmentation; outside, a layer fails or means nothing."""

CLASSIFIERS: dict[str, type[ClassifierConfig]] = {
    "lrcn": LRCNConfig,
    "c3d": C3DConfig,
    "r2plus1d": R2Plus1DConfig,
    "temporal_stream": TemporalStreamConfig,
    "tcn": TCNConfig,
}

Overrides = Mapping[str, Mapping[str, Any]]
"""Stage to settings (nested as in its file) that replace those of the recipe."""


@dataclass(frozen=True)
class ModelRecipe:
    """`model.yaml`: what a model consists of. Each name is a recipe file beside it and a folder in the model.

    size: side of the frames in pixels. condition: classifiers that may steer. evaluators: those that never do.
    held_out: groups (actors, source videos) that no network of the model is trained on; they validate.
    encoder: a checkpoint folder to take the encoder from instead of training one.
    description, citation, licence: of the clips, for the cards.
    clip_size: side of the square in the middle of the frames that clips keep; 0: as much as what steers sees.
    csv, split_column, ucf_split: how to read the folder of clips, see `stgan.video.find_clips`.
    minutes: how long the trainings were planned to take; 0 for no such plan.
    """

    name: str
    size: int
    frames: int
    condition: tuple[str, ...]
    evaluators: tuple[str, ...]
    description: str = ""
    citation: str = ""
    licence: str = "The clips are for research; so is what was trained on them."
    held_out: tuple[str, ...] = ()
    encoder: str = ""
    clip_size: int = 0
    csv: str = ""
    split_column: str = "split"
    ucf_split: int = 1
    minutes: float = 0.0


@dataclass(frozen=True)
class Recipes:
    """All recipes of a model."""

    model: ModelRecipe
    encoder: EncoderRecipe
    code_prior: CodePriorRecipe
    sequence_prior: SequencePriorRecipe
    generator: GeneratorRecipe
    classifiers: dict[str, ClassifierRecipe] = field(default_factory=dict)

    @property
    def stages(
        self,
    ) -> dict[str, EncoderRecipe | CodePriorRecipe | SequencePriorRecipe | GeneratorRecipe | ClassifierRecipe]:
        """Each stage's recipe by its name, in the order of training."""
        return {
            ENCODER: self.encoder, CODE_PRIOR: self.code_prior, SEQUENCE_PRIOR: self.sequence_prior,
            GENERATOR: self.generator, **self.classifiers,
        }  # fmt: skip


def load_model_recipe(folder: Path, overrides: Overrides | None = None) -> ModelRecipe:
    path = folder / "model.yaml"
    return from_values(ModelRecipe, _read(path, (overrides or {}).get(MODEL, {})), path, {})


def load_recipes(folder: Path, num_classes: int, overrides: Overrides | None = None) -> Recipes:
    """All recipes of a folder.

    Raises:
        StganError: a file is missing or wrong, or an override is for a stage that the model does not have.
    """
    overrides = overrides or {}
    model = load_model_recipe(folder, overrides)
    names = (*model.condition, *model.evaluators)
    stages = (MODEL, ENCODER, CODE_PRIOR, SEQUENCE_PRIOR, GENERATOR, *names)
    unknown = sorted(overrides.keys() - set(stages))
    if unknown:
        raise StganError(f"there is no stage {quoted(unknown[0])} to set anything of; there are {', '.join(stages)}")

    def build_encoder_recipe() -> Any:
        path = folder / f"{ENCODER}.yaml"
        values = _read(path, overrides.get(ENCODER, {}))
        try:
            network = encoder_kind(values)
        except ValueError as error:
            raise StganError(f"{quoted(path)}: {error}") from error
        values.pop(ARCHITECTURE, None)
        return from_values(EncoderRecipe, values, path, {"network": network, "decoder": GeneratorConfig})

    def build(kind: type[Any], stage: str, parts: Mapping[str, type[Configuration]], classes: int | None = None) -> Any:
        path = folder / f"{stage}.yaml"
        values = _read(path, overrides.get(stage, {}))
        if classes is not None:
            values["network"] = {**_mapping(values.get("network") or {}, path, "network"), "num_classes": classes}
        return from_values(kind, values, path, parts)

    return Recipes(
        model=model,
        encoder=build_encoder_recipe(),
        code_prior=build(CodePriorRecipe, CODE_PRIOR, {"network": CodePriorConfig}),
        sequence_prior=build(SequencePriorRecipe, SEQUENCE_PRIOR, {"network": SequencePriorConfig}, num_classes),
        generator=build(GeneratorRecipe, GENERATOR, {"network": GeneratorConfig, "discriminator": DiscriminatorConfig}),
        classifiers={
            name: load_classifier_recipe(folder / f"{name}.yaml", num_classes, overrides.get(name)) for name in names
        },
    )


def load_classifier_recipe(
    path: Path, num_classes: int, overrides: Mapping[str, Any] | None = None
) -> ClassifierRecipe:
    values = _read(path, overrides or {})
    architecture = values.pop("architecture", None)
    if not isinstance(architecture, str) or architecture not in CLASSIFIERS:
        raise StganError(
            f"{quoted(path)} needs an architecture, one of {', '.join(CLASSIFIERS)}, not {quoted(str(architecture))}"
        )
    values["network"] = {**_mapping(values.get("network") or {}, path, "network"), "num_classes": num_classes}
    return from_values(ClassifierRecipe, values, path, {"network": CLASSIFIERS[architecture]})


def parse_overrides(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`generator.steps=500` and the like, values in YAML, as `Overrides`."""
    overrides: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        stage, *keys = name.strip().split(".")
        if not equals or not keys or not all([stage, *keys]):
            raise StganError(f"{quoted(setting)} is not STAGE.NAME=VALUE, as in generator.steps=500")
        try:
            value = _parse(text)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise StganError(f"the value of {quoted(name)} is not valid YAML: {quoted(text)}") from error
        place = overrides.setdefault(stage, {})
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise StganError(f"{quoted(setting)} sets a part of something that another setting sets as a whole")
        place[keys[-1]] = value
    return overrides


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of names and values, or StganError."""
    try:
        with path.open("rb") as file:  # a device has no size, and no end
            text = file.read((1 << 16) + 1)
        if len(text) > 1 << 16:  # ours are 2 kB; PyYAML takes long over nested lists
            raise StganError(f"{quoted(path)} is too large to be a recipe (more than {1 << 16} bytes)")
        values = _parse(text.decode())
    except OSError as error:
        raise StganError(f"cannot read the recipe {quoted(path)}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise StganError(f"{quoted(path)} is not valid YAML: {_reason(error)}") from error
    return _mapping(values, path, "it")


def _parse(text: str) -> Any:
    """Plain data of bounded size from YAML. Raises YAMLError, RecursionError or ValueError."""
    values = yaml.safe_load(text)
    left, count = [(values, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise ValueError("it holds too many values, or they are nested too deep")
        if isinstance(value, int) and abs(value) >= 1 << 63:
            raise ValueError("it holds a number of insane size")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left += [(item, depth + 1) for item in inner]
    return values


def _reason(error: Exception) -> str:
    return quoted(" ".join(str(error).split()) or type(error).__name__)


def _read(path: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    return merged(read_yaml(path), overrides)


def merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `overrides` in their place, nested mappings likewise."""
    result = dict(values)
    for name, value in overrides.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _mapping(values: Any, path: Path, what: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise StganError(f"{quoted(path)}: {what} must hold names and values")
    return values


def from_values(kind: type[Any], values: dict[str, Any], path: Path, parts: Mapping[str, type[Configuration]]) -> Any:
    """A dataclass from YAML values; StganError for a name that it does not have, or a value of another type.

    path: where the values are from. parts: names of values that are configurations of networks, and their types.
    """
    _check_values(kind, values, path)
    arguments = {name: _tuples(value) for name, value in values.items()}
    try:
        for name, config in parts.items():
            network = _mapping(values[name], path, name)
            for part, value in network.items():
                _check_type(path, f"{name}.{part}", value, _types(config).get(part))
            arguments[name] = config.from_dict(network)
        if "augmentation" in arguments:
            augmentation = _mapping(values["augmentation"], path, "augmentation")
            _check_values(Augmentation, augmentation, path)
            arguments["augmentation"] = Augmentation(**augmentation)
        return kind(**arguments)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise StganError(f"{quoted(path)} does not describe a {kind.__name__}: {_reason(error)}") from error


def _check_values(kind: type[Any], values: Mapping[str, Any], path: Path) -> None:
    """StganError unless these are settings of a dataclass, of its types and in their ranges."""
    known = _types(kind)
    unknown = sorted(str(name) for name in values.keys() - known.keys())
    if unknown:
        raise StganError(f"{quoted(path)}: unknown setting {quoted(unknown[0])}; known are {', '.join(sorted(known))}")
    for name, value in values.items():
        _check_type(path, name, value, known[name])
        if name in _RANGES and not _RANGES[name][0] <= value <= _RANGES[name][1]:
            least, most = _RANGES[name]
            raise StganError(f"{quoted(path)}: {name} must be from {least:g} to {most:g}, not {value}")


def _types(kind: type[Any]) -> dict[str, Any]:
    return {item.name: item.type for item in fields(kind)}


def _check_type(path: Path, name: str, value: Any, kind: Any) -> None:
    if kind in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
        # YAML 1.1 reads 1e-3, without a dot, as a word.
        raise StganError(
            f"{quoted(path)}: {name} must be a number, not {quoted(str(value))} (1e-3 has to be written 1.0e-3)"
        )
    if kind is bool and not isinstance(value, bool):
        raise StganError(f"{quoted(path)}: {name} must be true or false, not {quoted(str(value))}")
    if kind is int and not isinstance(value, int):
        raise StganError(f"{quoted(path)}: {name} must be a whole number, not {quoted(str(value))}")
    if kind is float and not abs(value) < 1e9:
        raise StganError(f"{quoted(path)}: {name} must be a number of sane size, not {quoted(str(value))}")
    if kind is str and not isinstance(value, str):
        raise StganError(f"{quoted(path)}: {name} must be a word, not {quoted(str(value))}")
    if "tuple" in str(kind):
        lists = value if str(kind).startswith("tuple[tuple") else [value]
        item, what = (str, "words") if "str" in str(kind) else (int | float, "numbers")
        if not isinstance(lists, list) or not all(_all_are(item, items) for items in lists):
            raise StganError(f"{quoted(path)}: {name} must be a list of {what}, not {quoted(str(value))}")


def _all_are(kind: Any, values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
