"""Check before the first training that a model's recipes are consistent with each other."""

from collections.abc import Callable
from typing import Any

import torch

from stgan.errors import StganError
from stgan.names import is_file_name, one_line, quoted
from stgan.networks import (
    C3DConfig,
    CodePrior,
    Discriminator,
    ImageGenerator,
    SequencePrior,
    TemporalStreamConfig,
)
from stgan.networks.encoder_architectures import build_encoder
from stgan.training.classifier_training import build
from stgan.training.recipes import Recipes


def check_recipes(recipes: Recipes) -> None:
    """Raise StganError unless the networks can be built and match each other and the clips' size and length."""
    model = recipes.model
    bad = [word for word in (model.name, *model.condition, *model.evaluators) if not is_file_name(word)]
    if bad:
        raise StganError(f"model.yaml: {quoted(bad[0])} cannot name a folder; choose another name")
    if not model.condition:
        raise StganError("model.yaml: condition must name at least one classifier that steers")
    names = (*model.condition, *model.evaluators)
    if len(set(names)) < len(names):
        raise StganError("model.yaml: a classifier is named twice; a condition network cannot be an evaluator too")
    sizes = {
        "encoder.network": recipes.encoder.network.code_size,
        "encoder.decoder": recipes.encoder.decoder.code_size,
        "code_prior.network": recipes.code_prior.network.code_size,
        "sequence_prior.network": recipes.sequence_prior.network.code_size,
        "generator.network": recipes.generator.network.code_size,
        "generator.discriminator": recipes.generator.discriminator.code_size,
    }
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{part} {size}" for part, size in sizes.items())
        raise StganError(f"the recipes differ in code_size: {each}")
    drawn = recipes.generator.network.image_size
    if drawn != model.size:
        raise StganError(
            f"generator.network draws frames of {drawn} pixels, but model.yaml's size is {model.size}; "
            "each of its stages and its last layer double base_size"
        )
    prior = recipes.code_prior.network
    if not 1 <= prior.appearance_rank <= prior.rank <= prior.code_size:
        raise StganError("code_prior.yaml: 1 <= appearance_rank <= rank <= code_size does not hold")
    sequences = recipes.sequence_prior.network
    if sequences.frames != model.frames:
        raise StganError(
            f"sequence_prior.yaml: network.frames is {sequences.frames}, but model.yaml's frames is {model.frames}"
        )
    codes = next(iter(sizes.values()))
    images = lambda: torch.zeros(2, 3, model.size, model.size)  # noqa: E731
    videos = lambda side: torch.zeros(2, 3, model.frames, side, side)  # noqa: E731
    trial("encoder.network", lambda: build_encoder(recipes.encoder.network)(images()))
    trial("encoder.decoder", lambda: ImageGenerator(recipes.encoder.decoder)(torch.zeros(2, codes)))
    trial("code_prior.network", lambda: CodePrior(prior).denoise(torch.zeros(2, prior.rank), torch.ones(2, 1)))
    noisy = lambda: torch.zeros(2, sequences.frames, sequences.code_size)  # noqa: E731
    trial("sequence_prior.network", lambda: SequencePrior(sequences).denoise(noisy(), 1.0))
    trial("generator.network", lambda: ImageGenerator(recipes.generator.network)(torch.zeros(2, codes)))
    trial(
        "generator.discriminator",
        lambda: Discriminator(recipes.generator.discriminator)(images(), torch.zeros(2, codes)),
    )
    if model.clip_size > model.size:
        raise StganError(f"model.yaml: clip_size is {model.clip_size}, but the frames have {model.size} pixels")
    for name, recipe in recipes.classifiers.items():
        network = recipe.network
        if isinstance(network, C3DConfig | TemporalStreamConfig) and network.frames != model.frames:
            raise StganError(
                f"{name}.yaml: network.frames is {network.frames}, but model.yaml's frames is {model.frames}"
            )
        for side in {recipe.size or model.size, model.clip_size or model.size}:  # in training, in use
            trial(f"{name}.network", lambda recipe=recipe, side=side: build(recipe.network)(videos(side)))  # type: ignore[misc]


def trial(part: str, run: Callable[[], Any]) -> None:
    """Build and run a network on the meta device, which takes neither memory nor time."""
    try:
        with torch.device("meta"), torch.no_grad():
            run()
    except MemoryError:
        raise
    except Exception as error:  # layers raise many types for sizes that do not match
        raise StganError(f"{part} of the recipes does not work: {one_line(error)}") from error
