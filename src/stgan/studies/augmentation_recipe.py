"""The recipe of an augmentation experiment: what recognises, how it is trained, how often."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stgan.checkpoints import Checkpoint
from stgan.checkpoints.checkpoint import weights_hash
from stgan.checkpoints.description import one_line
from stgan.checkpoints.trial import try_out
from stgan.errors import StganError
from stgan.names import quoted
from stgan.training.classifier_training import ClassifierConfig, build
from stgan.training.finetuning import FinetuningRecipe
from stgan.training.recipes import CLASSIFIERS, from_values, merged, read_yaml

DEFAULT = Path(__file__).with_name("augmentation.yaml")
_SECTIONS = ("seeds", "initial", "training")
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Initial:
    """A recogniser with new weights. architecture: as in classifiers' recipes; seed: of its weights."""

    network: ClassifierConfig
    architecture: str = "c3d"
    seed: int = 0

    def checkpoint(self) -> Checkpoint:
        """The network, its weights drawn from the seed. StganError if these settings do not make one that works."""
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                network = build(self.network).eval().requires_grad_(False)
            try_out(network)
        except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            raise StganError(
                f"the recipe's initial network, a {self.network.network}, does not work ({one_line(error)}); "
                "change initial.network"
            ) from error
        return Checkpoint(network, hash=weights_hash(network.state_dict()))


@dataclass(frozen=True)
class AugmentationRecipe:
    """initial: what to start from where no checkpoint is given. seeds: of the trainings, each in three arms."""

    initial: Initial
    training: FinetuningRecipe
    seeds: tuple[int, ...]


def load_augmentation_recipe(path: Path = DEFAULT, overrides: Mapping[str, Any] | None = None) -> AugmentationRecipe:
    """A recipe from a YAML file, with settings replaced.

    Raises:
        StganError: the file or a setting is wrong.
    """
    return augmentation_recipe(merged(read_yaml(path), overrides or {}), path)


def augmentation_recipe(values: Mapping[str, Any], path: Path) -> AugmentationRecipe:
    """A recipe from values that were read from a file. Errors as for `load_augmentation_recipe`."""
    unknown = sorted(str(name) for name in values if name not in _SECTIONS)
    if unknown:
        raise StganError(f"{quoted(path)}: unknown section {quoted(unknown[0])}; known are {', '.join(_SECTIONS)}")
    seeds = values.get("seeds", [0])
    if not isinstance(seeds, list) or not all(type(seed) is int and 0 <= seed < 1 << 63 for seed in seeds):
        raise StganError(f"{quoted(path)}: seeds must be a list of whole numbers of at least 0, as in [0, 1, 2, 3, 4]")
    if not 0 < len(set(seeds)) == len(seeds) <= _MOST_SEEDS:
        raise StganError(f"{quoted(path)}: seeds must be 1 to {_MOST_SEEDS} different numbers")
    sections = {name: values.get(name, {}) for name in ("initial", "training")}
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise StganError(f"{quoted(path)}: {name} must hold names and values")
    architecture = sections["initial"].get("architecture", "c3d")
    if not isinstance(architecture, str) or architecture not in CLASSIFIERS:
        raise StganError(
            f"{quoted(path)}: the architecture is one of {', '.join(CLASSIFIERS)}, not {quoted(str(architecture))}"
        )
    network = sections["initial"].get("network", {})
    if not isinstance(network, dict):
        raise StganError(f"{quoted(path)}: network must hold names and values")
    initial = {**sections["initial"], "network": {**network, "num_classes": 2}}  # the last layer is made anew
    return AugmentationRecipe(
        from_values(Initial, initial, path, {"network": CLASSIFIERS[architecture]}),
        from_values(FinetuningRecipe, sections["training"], path, {}),
        tuple(seeds),
    )
