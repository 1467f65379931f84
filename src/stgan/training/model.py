"""Train all stages of a model in order. A stage whose checkpoint exists is skipped."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stgan.checkpoints import CheckpointError, ModelFolder
from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from stgan.checkpoints.description import CARD
from stgan.checkpoints.pretrained import initial_hash
from stgan.errors import StganError
from stgan.files import write_text
from stgan.networks import Encoder
from stgan.records import RecordError, as_plain, checked, completed
from stgan.training.cards import model_card
from stgan.training.classifier_training import cross_validate, test_classifier, train_classifier
from stgan.training.clip_data import ClipData
from stgan.training.consistency import check_recipes
from stgan.training.encoder_training import train_encoder
from stgan.training.generator_training import reconstruction_error, train_generator
from stgan.training.map_codec_training import codec_error, train_map_codec
from stgan.training.map_prior_training import train_map_prior
from stgan.training.recipes import CLIP_PRIOR, ENCODER, FRAME_PRIOR, GENERATOR, MAP_CODEC, PARTS, Recipes
from stgan.training.run import TrainingRun, Workspace
from stgan.version import __version__

MOST_MEASURED = 500  # frames of each part that are redrawn to measure a codec
MOST_TESTED = {"training": 200}  # a sample of the training clips is enough; all others are tested
_MOST_SEEN = 20_000  # clips listed in a checkpoint, 26 bytes each

TRAININGS: dict[str, Callable[..., tuple[Any, TrainingRun]]] = {
    ENCODER: train_encoder, GENERATOR: train_generator, MAP_CODEC: train_map_codec,
    FRAME_PRIOR: train_map_prior, CLIP_PRIOR: train_map_prior,
}  # fmt: skip
"""Each takes a recipe, the network of the stage that it needs (if any), training and validation clips, a workspace."""
NEEDED = {GENERATOR: ENCODER, MAP_CODEC: ENCODER, FRAME_PRIOR: MAP_CODEC, CLIP_PRIOR: MAP_CODEC}
"""The stage whose network a training takes."""

Made = tuple[nn.Module, TrainingRun | None, dict[str, Any]]
"""A stage's network, its training (None if it was copied) and its figures."""


@dataclass(frozen=True)
class _MadeFrom:
    """The parts of a checkpoint's provenance that determine its weights."""

    data: dict[str, Any]
    recipe: dict[str, Any]
    ancestors: dict[str, str | None]


@dataclass(frozen=True)
class Roles:
    """The clips for training, for validation during training, and for the test at the end."""

    train: ClipData
    validation: ClipData
    test: ClipData

    @classmethod
    def of(cls, data: ClipData, held_out: tuple[str, ...]) -> "Roles":
        """Divide clips by their split (train, val, test), if any. Held-out groups of the others are for validation."""
        held = [group in held_out for group in data.groups]
        train = [split in (None, "train") and not out for split, out in zip(data.splits, held, strict=True)]
        validation = [split == "val" or (split != "test" and out) for split, out in zip(data.splits, held, strict=True)]
        test = [split == "test" for split in data.splits]
        return cls(data.select(train), data.select(validation), data.select(test))

    @property
    def parts(self) -> dict[str, ClipData]:
        """The roles that have clips, by name."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        return {name: clips for name, clips in parts.items() if clips.clips}


class ModelTraining:
    """Trains the stages of one model.

    data:      the clips in the model's size.
    smaller:   the same clips in the other sizes in the classifiers' recipes.
    out:       the model's folder.
    workspace: devices, and the folder for logs, pictures and saved states.

    Raises:
        StganError: the recipes are not consistent with each other or with these clips.
    """

    def __init__(
        self,
        recipes: Recipes,
        data: ClipData,
        out: Path,
        workspace: Workspace,
        smaller: Mapping[int, ClipData] | None = None,
    ) -> None:
        self.recipes, self.recipe, self.data = recipes, recipes.model, data
        self.out, self.workspace = out, workspace
        sized = {0: data, **(smaller or {})}
        self.sized_roles = {size: Roles.of(clips, self.recipe.held_out) for size, clips in sized.items()}
        """By the `size` in classifiers' recipes; 0: the model's size."""
        self.roles = self.sized_roles[0]
        check_recipes(recipes)
        self._check_clips()

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.recipes.stages)

    def train(self, stage: str) -> Checkpoint:
        """Train one stage, or load it if it was already trained with the same recipe and clips."""
        if stage not in self.stages:
            raise StganError(f"{self.recipe.name} has no stage {stage!r}; it has {', '.join(self.stages)}")
        if stage == ENCODER and self.recipe.encoder:
            return self._pretrained_encoder(Path(self.recipe.encoder))
        needed = {NEEDED[stage]: self.train(NEEDED[stage])} if stage in NEEDED else {}
        initial = _initial(getattr(self.recipes.stages[stage], "initial", ""))
        ancestors = {name: checkpoint.hash for name, checkpoint in needed.items()} | initial
        networks = [checkpoint.network for checkpoint in needed.values()]
        return self._stage(stage, ancestors, lambda: self._make(stage, networks))

    def train_all(self) -> ModelFolder:
        """Train all stages and write `model.json`."""
        for stage in self.stages:
            self.train(stage)
        model = self.model_folder(self.out)
        if self.workspace.fabric.is_global_zero:
            model.save()
        self.workspace.fabric.barrier()
        return model

    def model_folder(self, path: Path) -> ModelFolder:
        """The model with its checkpoints in the folder `path`, named as the stages."""
        return ModelFolder(
            path=path,
            name=self.recipe.name,
            actions=self.data.actions,
            **{part: part for part in PARTS},
            condition={name: name for name in self.recipe.condition},
            evaluators={name: name for name in self.recipe.evaluators},
            clip_size=self.recipe.clip_size or None,
            frame_guidance=self.recipe.frame_guidance or None,
        )

    def actions_of(self, stage: str) -> tuple[str, ...]:
        """The actions that the network of a stage knows."""
        return () if stage in (ENCODER, GENERATOR, MAP_CODEC) else self.data.actions

    def _pretrained_encoder(self, folder: Path) -> Checkpoint:
        """Copy an encoder that was trained elsewhere."""
        given = load_checkpoint(folder)
        network = given.network
        if not isinstance(network, Encoder):
            raise StganError(f"{folder} holds a {type(network).__name__}, which is no encoder")
        if network.config.code_size != self.recipes.generator.network.code_size:
            raise StganError(
                f"the encoder in {folder} has code_size {network.config.code_size}, but the generator's recipe has "
                f"{self.recipes.generator.network.code_size}: set code_size in the recipes to the encoder's"
            )
        ancestors = {**given.provenance.get("ancestors", {}), "taken from": given.hash}
        return self._stage(ENCODER, ancestors, lambda: (network, None, {}))

    def _make(self, stage: str, networks: list[Any]) -> Made:
        """Train a stage from the networks that it needs. Returns its figures too."""
        if stage in self.recipes.classifiers:
            return self._make_classifier(stage)
        recipe, roles = self.recipes.stages[stage], self.roles
        workspace = self.workspace.subfolder(stage)
        network, run = TRAININGS[stage](recipe, *networks, roles.train, roles.validation, workspace)
        figures: dict[str, Any] = {}
        if stage == GENERATOR:
            figures = {
                f"psnr_{name}_frames": reconstruction_error(network, networks[0], clips, most=MOST_MEASURED)
                for name, clips in roles.parts.items()
            }
        if stage == MAP_CODEC:
            figures = {
                f"psnr_{name}_frames": codec_error(network, clips, most=MOST_MEASURED)
                for name, clips in roles.parts.items()
            }
        return network, run, figures

    def _make_classifier(self, name: str) -> Made:
        recipe, workspace = self.recipes.classifiers[name], self.workspace.subfolder(name)
        roles = self.sized_roles[recipe.size]
        network, run = train_classifier(recipe, roles.train, roles.validation, workspace, name)
        with self.workspace.fabric.autocast():
            figures = {
                f"{part}_clips": test_classifier(network, clips, MOST_TESTED.get(part)).summary()
                for part, clips in roles.parts.items()
            }
        pooled = cross_validate(recipe, roles.train, workspace, name)
        if pooled:
            figures["unseen_groups"] = pooled.summary()
        return network, run, figures

    def _card(self, name: str, network: nn.Module, provenance: dict[str, Any]) -> str:
        return model_card(name, network, provenance, self.recipe, self.data)

    def _check_clips(self) -> None:
        """Raise StganError unless the recipes' groups exist and every action has a training clip."""
        if len(self.data.actions) < 2:
            raise StganError("these clips show only one action; a classifier needs at least two")
        folds = {name: recipe.folds for name, recipe in self.recipes.classifiers.items()}
        named = {"model.yaml: held_out": self.recipe.held_out}
        named |= {f"{name}.yaml: folds": tuple(chain.from_iterable(fold)) for name, fold in folds.items()}
        for file, groups in named.items():
            unknown = set(groups) - set(self.data.groups)
            if unknown:
                raise StganError(f"{file} names {sorted(unknown)[0]!r}, which is no group of these clips")
        for name, lists in folds.items():
            for left_out in lists:
                if not 0 < sum(group in left_out for group in self.roles.train.groups) < len(self.roles.train.clips):
                    raise StganError(
                        f"{name}.yaml: folds: leaving out {', '.join(left_out) or 'no group'} must take away some of "
                        "the clips to train on, and not all of them"
                    )
        missing = sorted(set(range(len(self.data.actions))) - set(self.roles.train.labels))
        if missing:
            raise StganError(
                f"no clip of {self.data.actions[missing[0]]!r} is left to train on, "
                f"without the test clips and {len(self.recipe.held_out)} held-out groups; hold out fewer, or add clips"
            )

    def _stage(self, name: str, ancestors: Mapping[str, str | None], make: Callable[[], Made]) -> Checkpoint:
        """Load the stage if it exists and was made in the same way. Otherwise make it, save it and load it again."""
        fabric, folder, recipe = self.workspace.fabric, self.out / name, self.recipes.stages[name]
        made_from = {
            "data": {
                "clips": len(self.data.clips),
                "sha256": self.data.digest,
                "size": self.recipe.size,
                "frames": self.recipe.frames,
                "train_clips": len(self.roles.train.clips),
                "validation_clips": len(self.roles.validation.clips),
                "test_clips": len(self.roles.test.clips),
                "held_out": list(self.recipe.held_out),
            },
            "recipe": as_plain(recipe),
            "ancestors": ancestors,
        }
        fabric.barrier()  # all processes look before the first one writes
        try:
            present = load_checkpoint(folder)
            known = checked(_MadeFrom, {key: present.provenance.get(key, {}) for key in made_from})
            gone = {name: known.ancestors.get(name) for name, value in ancestors.items() if value is None}
            made_from["ancestors"] = {**ancestors, **gone}
            if as_plain(replace(known, recipe=completed(known.recipe, recipe))) == made_from:
                fabric.barrier()
                if fabric.is_global_zero:  # an old card is replaced by one from the current template
                    write_text(folder / CARD, self._card(name, present.network, present.provenance))
                return present
        except (CheckpointError, RecordError):
            pass
        fabric.barrier()
        started = time.monotonic()
        network, run, figures = make()
        sources = self.roles.train.sources
        provenance = {
            **made_from,
            # The training clips by the first 16 digits of their hashes, so that scoring can recognize them.
            "seen": sorted(source[:16] for source in sources) if len(sources) <= _MOST_SEEN else [],
            "figures": figures,
            "steps": run.step if run else 0,
            "seconds": round(run.seconds if run else time.monotonic() - started),
            "device": str(fabric.device),
            "versions": {
                "stgan": __version__,
                "torch": torch.__version__.split("+")[0],
                "python": platform.python_version(),
            },
        }
        if fabric.is_global_zero:
            card = self._card(name, network, provenance)
            save_checkpoint(folder, network, actions=self.actions_of(name), provenance=provenance, card=card)
        fabric.barrier()
        return load_checkpoint(folder)


def _initial(name: str) -> dict[str, str | None]:
    """The hash of the weights that a training starts from, by their name; None if they no longer exist."""
    try:
        return {**initial_hash(name)}
    except CheckpointError:
        return {name: None}
