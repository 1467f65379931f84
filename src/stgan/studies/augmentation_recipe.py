"""The recipe of an augmentation experiment: the initial network, its training, and the seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stgan.checkpoints.checkpoint import Checkpoint, weights_hash
from stgan.checkpoints.trial import try_out
from stgan.errors import StganError, is_out_of_memory
from stgan.names import one_line
from stgan.records import as_record, merged, read_yaml
from stgan.training.classifier_training import ClassifierConfig, build
from stgan.training.finetuning import FinetuningRecipe
from stgan.training.ranges import Seed
from stgan.training.recipes import with_network

DEFAULT = Path(__file__).with_name("augmentation.yaml")
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Initial:
    """A classifier whose weights are drawn from the seed. In files, it has an `architecture` too."""

    network: ClassifierConfig
    seed: Seed = 0

    def checkpoint(self) -> Checkpoint:
        """The network with weights drawn from the seed. StganError if these settings do not work."""
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                network = build(self.network).eval().requires_grad_(False)
            try_out(network)
        except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            short = is_out_of_memory(error)
            why = "takes more memory than other programs leave" if short else f"does not work ({one_line(error)})"
            raise StganError(
                f"the recipe's initial network, a {self.network.network}, {why}; change initial.network"
            ) from error
        return Checkpoint(network, hash=weights_hash(network.state_dict()))


@dataclass(frozen=True)
class AugmentationRecipe:
    """initial: the network to start from if no checkpoint is given. seeds: of the trainings, each with three arms."""

    initial: Initial
    training: FinetuningRecipe = FinetuningRecipe()
    seeds: tuple[Seed, ...] = (0,)

    def __post_init__(self) -> None:
        if not 0 < len(set(self.seeds)) == len(self.seeds) <= _MOST_SEEDS:
            raise ValueError(f"seeds must be 1 to {_MOST_SEEDS} different numbers")


def load_augmentation_recipe(path: Path = DEFAULT, overrides: Mapping[str, Any] | None = None) -> AugmentationRecipe:
    """Read a recipe from a YAML file, and replace settings.

    Raises:
        StganError: the file or a setting is wrong.
    """
    values = merged({"initial": {"architecture": "c3d"}}, merged(read_yaml(path), overrides or {}))
    values["initial"] = with_network(values["initial"], num_classes=2)  # the last layer is made anew
    return as_record(AugmentationRecipe, values, path)
