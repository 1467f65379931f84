"""From clips to a model: every stage in order, each skipped if its checkpoint is already there."""

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
from stgan.networks import CodePrior, Encoder
from stgan.records import RecordError, as_plain, checked, completed
from stgan.spacing import evenly_spread
from stgan.training.cards import model_card
from stgan.training.classifier_training import ClassifierRecipe, cross_validate, test_classifier, train_classifier
from stgan.training.clip_data import ClipData
from stgan.training.code_prior_training import train_code_prior
from stgan.training.consistency import check_recipes
from stgan.training.encoder_training import EncoderRecipe, train_encoder
from stgan.training.generator_training import reconstruction_error, train_generator
from stgan.training.recipes import CODE_PRIOR, ENCODER, GENERATOR, SEQUENCE_PRIOR, Recipes
from stgan.training.run import Pace, TrainingRun, Workspace
from stgan.training.sequence_prior_training import train_sequence_prior
from stgan.version import __version__

_PROBE_STEPS, _PROBE_CLIPS = 4, 32
EMPTY: Mapping[int, ClipData] = {}
_MOST_TESTED = {"training": 200}  # clips; of those that were seen a sample says enough, of the others all count
_MOST_SEEN = 20_000  # clips that a card lists: 26 bytes each

_RENAMED = {"untold": "unconditional"}  # settings of recipes, since models were trained by them

Made = tuple[nn.Module, TrainingRun | None, dict[str, Any]]


@dataclass(frozen=True)
class _MadeFrom:
    """What of a checkpoint's provenance decided its weights."""

    data: dict[str, Any]
    recipe: dict[str, Any]
    ancestors: dict[str, str | None]


@dataclass(frozen=True)
class Roles:
    """Which clips train, which choose nothing but are watched during training, which are asked once at the end."""

    train: ClipData
    validation: ClipData
    test: ClipData

    @classmethod
    def of(cls, data: ClipData, held_out: tuple[str, ...]) -> "Roles":
        """By the clips' split where they have one (train, val, test); held-out groups of the rest validate."""
        held = [group in held_out for group in data.groups]
        train = [split in (None, "train") and not out for split, out in zip(data.splits, held, strict=True)]
        validation = [split == "val" or (split != "test" and out) for split, out in zip(data.splits, held, strict=True)]
        test = [split == "test" for split in data.splits]
        return cls(data.select(train), data.select(validation), data.select(test))

    @property
    def parts(self) -> dict[str, ClipData]:
        """Those that have clips, by name."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        return {name: clips for name, clips in parts.items() if clips.clips}


class ModelTraining:
    """Trains the stages of one model.

    data:     the clips, of the recipes' size.
    smaller:  the same clips in the other sizes that recipes of classifiers ask for.
    out:      the model's folder.
    workspace: devices, and the folder for logs, pictures and states to resume from.

    Raises:
        StganError: the recipes do not fit each other or these clips.
    """

    def __init__(
        self, recipes: Recipes, data: ClipData, out: Path, workspace: Workspace, smaller: Mapping[int, ClipData] = EMPTY
    ) -> None:
        self.recipes, self.recipe, self.data = recipes, recipes.model, data
        self.out, self.workspace = out, workspace
        self.roles = Roles.of(data, self.recipe.held_out)
        self.sized_roles = {size: Roles.of(clips, self.recipe.held_out) for size, clips in smaller.items()}
        check_recipes(recipes)
        self._check_clips()

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.recipes.stages)

    def train(self, stage: str) -> Checkpoint:
        """Train one stage, or load it if the model already has it from the same recipe and clips."""
        if stage not in self.stages:
            raise StganError(f"{self.recipe.name} has no stage {stage!r}; it has {', '.join(self.stages)}")
        making = {
            ENCODER: self._encoder, CODE_PRIOR: self._code_prior, SEQUENCE_PRIOR: self._sequence_prior,
            GENERATOR: self._generator,
        }  # fmt: skip
        return making[stage]() if stage in making else self._classifier(stage)

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
            sequence_prior=SEQUENCE_PRIOR,
            condition={name: name for name in self.recipe.condition},
            evaluators={name: name for name in self.recipe.evaluators},
            clip_size=self.recipe.clip_size or None,
        )
        if self.workspace.fabric.is_global_zero:
            model.save()
        self.workspace.fabric.barrier()
        return model

    def paces(self) -> dict[str, Pace]:
        """How fast each stage trains on this machine: a few steps of each, timed."""
        probe = replace(self.workspace, probe=_PROBE_STEPS)
        few = evenly_spread(len(self.roles.train.clips), _PROBE_CLIPS)
        train = self.roles.train.select([i in few for i in range(len(self.roles.train.clips))])
        nothing = train.select([False] * len(train.clips))
        recipes, runs = self.recipes, dict[str, TrainingRun]()
        encoder, runs[ENCODER] = train_encoder(recipes.encoder, train, nothing, probe)
        prior, runs[CODE_PRIOR] = train_code_prior(recipes.code_prior, encoder, train, nothing, probe)
        _, runs[SEQUENCE_PRIOR] = train_sequence_prior(recipes.sequence_prior, encoder, train, nothing, probe)
        _, runs[GENERATOR] = train_generator(recipes.generator, encoder, prior, train, nothing, probe)
        for name, recipe in recipes.classifiers.items():
            own = self.roles_of(recipe).train
            few_own = own.select([i in few for i in range(len(own.clips))])
            _, runs[name] = train_classifier(recipe, few_own, nothing, probe)
        return {stage: run.pace for stage, run in runs.items()}

    def seconds_of_steps(self, paces: Mapping[str, Pace]) -> dict[str, float]:
        """How long each stage's steps should take, in seconds."""
        return {
            stage: paces[stage].seconds * recipe.steps * (1 + len(getattr(recipe, "folds", ())))
            for stage, recipe in self.recipes.stages.items()
        }

    def _encoder(self) -> Checkpoint:
        if self.recipe.encoder:
            return self._pretrained_encoder(Path(self.recipe.encoder))

        def make() -> Made:
            return *train_encoder(self.recipes.encoder, *self._clips, self.workspace.subfolder(ENCODER)), {}

        return self._stage(ENCODER, self.recipes.encoder, _initial(self.recipes.encoder), make, actions=())

    def _pretrained_encoder(self, folder: Path) -> Checkpoint:
        """An encoder that somebody else trained, as it is."""
        given = load_checkpoint(folder)
        network = _as(Encoder, given)
        if network.config.code_size != self.recipes.generator.network.code_size:
            raise StganError(
                f"the encoder in {folder} has codes of {network.config.code_size} numbers, but the generator's recipe "
                f"takes {self.recipes.generator.network.code_size}: set code_size in the recipes to the encoder's"
            )
        ancestors = {**given.provenance.get("ancestors", {}), "taken from": given.hash}
        return self._stage(ENCODER, self.recipes.encoder, ancestors, lambda: (network, None, {}), actions=())

    def _code_prior(self) -> Checkpoint:
        encoder = self.train(ENCODER)

        def make() -> Made:
            workspace = self.workspace.subfolder(CODE_PRIOR)
            network = _as(Encoder, encoder).to(self.workspace.fabric.device)
            return *train_code_prior(self.recipes.code_prior, network, *self._clips, workspace), {}

        return self._stage(CODE_PRIOR, self.recipes.code_prior, {ENCODER: encoder.hash}, make, actions=())

    def _sequence_prior(self) -> Checkpoint:
        encoder = self.train(ENCODER)

        def make() -> Made:
            workspace, network = self.workspace.subfolder(SEQUENCE_PRIOR), _as(Encoder, encoder)
            return *train_sequence_prior(self.recipes.sequence_prior, network, *self._clips, workspace), {}

        ancestors = {ENCODER: encoder.hash}
        return self._stage(SEQUENCE_PRIOR, self.recipes.sequence_prior, ancestors, make, actions=self.data.actions)

    def _generator(self) -> Checkpoint:
        encoder, prior = self.train(ENCODER), self.train(CODE_PRIOR)

        def make() -> Made:
            network, run = train_generator(
                self.recipes.generator,
                _as(Encoder, encoder),
                _as(CodePrior, prior),
                *self._clips,
                self.workspace.subfolder(GENERATOR),
            )
            figures = {
                f"psnr_{name}_frames": reconstruction_error(network, _as(Encoder, encoder), clips, most=2000)
                for name, clips in self.roles.parts.items()
            }
            return network, run, figures

        ancestors = {ENCODER: encoder.hash, CODE_PRIOR: prior.hash}
        return self._stage(GENERATOR, self.recipes.generator, ancestors, make, actions=())

    def _classifier(self, name: str) -> Checkpoint:
        recipe = self.recipes.classifiers[name]
        roles = self.roles_of(recipe)

        def make() -> Made:
            workspace = self.workspace.subfolder(name)
            network, run = train_classifier(recipe, roles.train, roles.validation, workspace, name)
            with self.workspace.fabric.autocast():
                figures = {
                    f"{part}_clips": test_classifier(network, clips, _MOST_TESTED.get(part)).summary()
                    for part, clips in roles.parts.items()
                }
            pooled = cross_validate(recipe, roles.train, workspace, name)
            if pooled:
                figures["unseen_groups"] = pooled.summary()
            return network, run, figures

        return self._stage(name, recipe, _initial(recipe), make, actions=self.data.actions)

    def roles_of(self, recipe: ClassifierRecipe) -> Roles:
        """The clips of the size that a classifier is trained on."""
        return self.sized_roles[recipe.size] if recipe.size else self.roles

    def _card(self, name: str, network: nn.Module, provenance: dict[str, Any]) -> str:
        return model_card(name, network, provenance, self.recipe, self.data)

    @property
    def _clips(self) -> tuple[ClipData, ClipData]:
        return self.roles.train, self.roles.validation

    def _check_clips(self) -> None:
        """The recipes' groups must be there, and every action must have a clip to learn from."""
        if len(self.data.actions) < 2:
            raise StganError("these clips show one action only; a classifier needs at least two")
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
                f"after test clips and {len(self.recipe.held_out)} held-out groups; hold out fewer, or add clips"
            )

    def _seen(self) -> list[str]:
        """The clips trained on, by the first 16 digits of their content hashes, so that scores on them can say so."""
        sources = self.roles.train.sources
        return sorted(source[:16] for source in sources) if len(sources) <= _MOST_SEEN else []

    def _stage(
        self,
        name: str,
        recipe: Any,
        ancestors: Mapping[str, str | None],
        make: Callable[[], Made],
        actions: tuple[str, ...],
    ) -> Checkpoint:
        """Load the stage if it is there and was made the same way; else make it, save it, and load what was saved."""
        fabric, folder = self.workspace.fabric, self.out / name
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
            former = {_RENAMED.get(setting, setting): value for setting, value in known.recipe.items()}
            if as_plain(replace(known, recipe=completed(former, recipe))) == made_from:
                fabric.barrier()
                if fabric.is_global_zero:  # cards are words, not weights: they follow the template of today
                    write_text(folder / CARD, self._card(name, present.network, present.provenance))
                return present
        except (CheckpointError, RecordError):
            pass
        fabric.barrier()
        started = time.monotonic()
        network, run, figures = make()
        provenance = {
            **made_from,
            "seen": self._seen(),
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
            save_checkpoint(folder, network, actions=actions, provenance=provenance, card=card)
        fabric.barrier()
        return load_checkpoint(folder)


def _initial(recipe: EncoderRecipe | ClassifierRecipe) -> dict[str, str | None]:
    """Hash of the weights that a training starts from, by their name; None where they are no longer there."""
    try:
        return {**initial_hash(recipe.initial)}
    except CheckpointError:
        return {recipe.initial: None}


def _as(kind: type[Any], checkpoint: Checkpoint) -> Any:
    if not isinstance(checkpoint.network, kind):
        raise StganError(f"expected a {kind.__name__}, found a {type(checkpoint.network).__name__}")
    return checkpoint.network
