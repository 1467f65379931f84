"""From a folder of clips to a model: every stage in order, each skipped if its checkpoint is already there."""

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from stgan.checkpoints import Checkpoint, CheckpointError, ModelFolder, load_checkpoint, save_checkpoint
from stgan.checkpoints.checkpoint import CARD, write_text
from stgan.errors import StganError
from stgan.networks import CodePrior, Encoder
from stgan.training.cards import model_card
from stgan.training.classifier import cross_validate, test_classifier, train_classifier
from stgan.training.code_prior import train_code_prior
from stgan.training.data import ClipData
from stgan.training.encoder import train_encoder
from stgan.training.generator import reconstruction_error, train_generator
from stgan.training.recipes import (
    ModelRecipe,
    load_classifier_recipe,
    load_code_prior_recipe,
    load_encoder_recipe,
    load_generator_recipe,
    load_model_recipe,
)
from stgan.training.run import TrainingRun
from stgan.version import __version__
from stgan.video import find_clips

ENCODER, CODE_PRIOR, GENERATOR = "encoder", "code_prior", "generator"


class ModelTraining:
    """Trains the stages of one model.

    clips:   folder of clips. recipes: folder of YAML recipes with a `model.yaml`.
    out:     the model's folder. work: logs, pictures and states to resume from.
    """

    def __init__(self, clips: Path, recipes: Path, out: Path, work: Path, fabric: Fabric) -> None:
        self.recipes, self.out, self.work, self.fabric = recipes, out, work, fabric
        self.recipe: ModelRecipe = load_model_recipe(recipes)
        self.data = ClipData.load(find_clips(clips), self.recipe.size, self.recipe.frames)
        if len(self.data.actions) < 2:
            raise StganError(f"{clips} holds clips of one action only; a classifier needs at least two")
        unknown = set(self.recipe.held_out) - set(self.data.groups)
        if unknown:
            raise StganError(f"held_out names {sorted(unknown)[0]!r}, which is no group of {clips}")

    @property
    def classifiers(self) -> tuple[str, ...]:
        return (*self.recipe.condition, *self.recipe.evaluators)

    @property
    def stages(self) -> tuple[str, ...]:
        return (ENCODER, CODE_PRIOR, GENERATOR, *self.classifiers)

    def train(self, stage: str) -> Checkpoint:
        """Train one stage, or load it if the model already has it from the same recipe and clips."""
        if stage == ENCODER:
            return self._encoder()
        if stage == CODE_PRIOR:
            return self._code_prior()
        if stage == GENERATOR:
            return self._generator()
        if stage in self.classifiers:
            return self._classifier(stage)
        raise StganError(f"{self.recipe.name} has no stage {stage!r}; it has {', '.join(self.stages)}")

    def train_all(self) -> ModelFolder:
        """All stages and `model.json`."""
        for stage in self.stages:
            self.train(stage)
        return self.write_model()

    def write_model(self) -> ModelFolder:
        """Write `model.json` once all stages are there."""
        model = ModelFolder(
            path=self.out,
            name=self.recipe.name,
            actions=self.data.actions,
            encoder=ENCODER,
            generator=GENERATOR,
            code_prior=CODE_PRIOR,
            condition={name: name for name in self.recipe.condition},
            evaluators={name: name for name in self.recipe.evaluators},
        )
        model.save()
        return model

    def _encoder(self) -> Checkpoint:
        recipe = load_encoder_recipe(self._path(ENCODER), self._held_out)

        def make() -> tuple[nn.Module, TrainingRun, dict[str, Any]]:
            network, run = train_encoder(recipe, self.data, self.work / ENCODER, self.fabric)
            return network, run, {}

        return self._stage(ENCODER, recipe, {}, make, actions=())

    def _code_prior(self) -> Checkpoint:
        recipe = load_code_prior_recipe(self._path(CODE_PRIOR), self._held_out)
        encoder = self.train(ENCODER)

        def make() -> tuple[nn.Module, TrainingRun, dict[str, Any]]:
            network, run = train_code_prior(
                recipe, _as(Encoder, encoder), self.data, self.work / CODE_PRIOR, self.fabric
            )
            return network, run, {}

        return self._stage(CODE_PRIOR, recipe, {ENCODER: encoder.hash}, make, actions=())

    def _generator(self) -> Checkpoint:
        recipe = load_generator_recipe(self._path(GENERATOR), self._held_out)
        encoder, prior = self.train(ENCODER), self.train(CODE_PRIOR)

        def make() -> tuple[nn.Module, TrainingRun, dict[str, Any]]:
            network, run = train_generator(
                recipe,
                _as(Encoder, encoder),
                _as(CodePrior, prior),
                self.data,
                self.work / GENERATOR,
                self.fabric,
            )
            train, unseen = self.data.split_groups(self.recipe.held_out)
            figures = {"psnr_training_frames": reconstruction_error(network, _as(Encoder, encoder), train)}
            if unseen.clips:
                figures["psnr_unseen_groups"] = reconstruction_error(network, _as(Encoder, encoder), unseen)
            return network, run, figures

        ancestors = {ENCODER: encoder.hash, CODE_PRIOR: prior.hash}
        return self._stage(GENERATOR, recipe, ancestors, make, actions=())

    def _classifier(self, name: str) -> Checkpoint:
        recipe = load_classifier_recipe(self._path(name), len(self.data.actions), self._held_out)

        def make() -> tuple[nn.Module, TrainingRun, dict[str, Any]]:
            figures: dict[str, Any] = {}
            network, run = train_classifier(recipe, self.data, self.work / name / "final", self.fabric, name)
            train, unseen = self.data.split_groups(self.recipe.held_out)
            figures["training_clips"] = test_classifier(network, train).summary()
            if unseen.clips:
                figures["held_out_groups"] = test_classifier(network, unseen).summary()
            folds = replace(recipe, held_out=())
            pooled = cross_validate(folds, train, self.work / name, self.fabric, name)
            if pooled:
                figures["unseen_groups"] = pooled.summary()
            return network, run, figures

        return self._stage(name, recipe, {}, make, actions=self.data.actions)

    @property
    def _held_out(self) -> dict[str, Any]:
        return {"held_out": self.recipe.held_out}

    def _path(self, stage: str) -> Path:
        return self.recipes / f"{stage}.yaml"

    def _stage(
        self,
        name: str,
        recipe: Any,
        ancestors: dict[str, str],
        make: Callable[[], tuple[nn.Module, TrainingRun, dict[str, Any]]],
        actions: tuple[str, ...],
    ) -> Checkpoint:
        """Load the stage if it is there and was made the same way; else make it, save it, and load what was saved."""
        made_from = {
            "data": {
                "clips": len(self.data.clips),
                "sha256": self.data.digest,
                "size": self.recipe.size,
                "frames": self.recipe.frames,
            },
            "recipe": json.loads(json.dumps(asdict(recipe))),  # tuples as lists, as they are read again
            "ancestors": ancestors,
        }
        folder = self.out / name
        try:
            present = load_checkpoint(folder)
            if all(present.provenance.get(key) == value for key, value in made_from.items()):
                # Cards are words, not weights: they follow the template of today.
                card = model_card(name, present.network, present.provenance, self.recipe, self.data)
                write_text(folder / CARD, card)
                return present
        except CheckpointError:
            pass
        network, run, figures = make()
        provenance = {
            **made_from,
            "figures": figures,
            "steps": run.step,
            "seconds": round(run.seconds),
            "device": str(self.fabric.device),
            "versions": {
                "stgan": __version__,
                "torch": torch.__version__.split("+")[0],
                "python": platform.python_version(),
            },
        }
        card = model_card(name, network, provenance, self.recipe, self.data)
        save_checkpoint(folder, network, actions=actions, provenance=provenance, card=card)
        return load_checkpoint(folder)


def _as(kind: type[Any], checkpoint: Checkpoint) -> Any:
    if not isinstance(checkpoint.network, kind):
        raise StganError(f"expected a {kind.__name__}, found a {type(checkpoint.network).__name__}")
    return checkpoint.network
