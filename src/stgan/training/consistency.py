"""Check before the first training that a model's recipes are consistent with each other."""

from collections.abc import Callable
from typing import Any

import torch

from stgan.errors import StganError
from stgan.names import is_file_name, one_line, quoted
from stgan.networks import (
    C3DConfig,
    Discriminator,
    ImageGenerator,
    MapCodec,
    MapDiscriminator,
    MapPrior,
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
    codes = next(iter(sizes.values()))
    images = lambda: torch.zeros(2, 3, model.size, model.size)  # noqa: E731
    videos = lambda side: torch.zeros(2, 3, model.frames, side, side)  # noqa: E731
    trial("encoder.network", lambda: build_encoder(recipes.encoder.network)(images()))
    trial("encoder.decoder", lambda: ImageGenerator(recipes.encoder.decoder)(torch.zeros(2, codes)))
    trial("generator.network", lambda: ImageGenerator(recipes.generator.network)(torch.zeros(2, codes)))
    trial(
        "generator.discriminator",
        lambda: Discriminator(recipes.generator.discriminator)(images(), torch.zeros(2, codes)),
    )
    check_maps(recipes)
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


def check_maps(recipes: Recipes) -> None:
    """Raise StganError unless the map networks can be built and match each other and the frames' size."""
    size = recipes.model.size
    codec, crop = recipes.map_codec.network.encoder, recipes.map_codec.crop or size
    if size % codec.stride or crop % codec.stride or crop > size:
        raise StganError(
            f"map_codec.yaml: frames of {size} pixels and crops of {crop} must be multiples of the network's stride, "
            f"{codec.stride}, and crops no larger than frames"
        )
    grid = size // codec.stride
    images = lambda: torch.zeros(2, 3, size, size)  # noqa: E731
    zeros = lambda *shape: torch.zeros(2, *shape, codec.channels, grid, grid)  # noqa: E731
    trial("map_codec.network", lambda: MapCodec(recipes.map_codec.network)(images()))
    trial("map_codec.discriminator", lambda: MapDiscriminator(recipes.map_codec.discriminator)(images(), zeros()))
    for name, prior in (("frame_prior", recipes.frame_prior.network), ("clip_prior", recipes.clip_prior.network)):
        if (prior.channels, prior.grid) != (codec.channels, grid):
            raise StganError(
                f"{name}.yaml: network is for maps of {prior.channels} channels on {prior.grid}x{prior.grid} places, "
                f"but the map codec makes {codec.channels} on {grid}x{grid}"
            )
        trial(f"{name}.network", lambda prior=prior: MapPrior(prior).denoise(zeros(prior.frames), 1.0))  # type: ignore[misc]


def trial(part: str, run: Callable[[], Any]) -> None:
    """Build and run a network on the meta device, which takes neither memory nor time."""
    try:
        with torch.device("meta"), torch.no_grad():
            run()
    except MemoryError:
        raise
    except Exception as error:  # layers raise many types for sizes that do not match
        raise StganError(f"{part} of the recipes does not work: {one_line(error)}") from error
