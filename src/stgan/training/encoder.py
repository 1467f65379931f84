"""Train the encoder E on single frames, where no pretrained AlexNet is at hand.

The paper's encoder comes from ImageNet. On a few thousand frames of a few actors a classifier alone learns too
little for its fc6 to say where the limbs are, so three tasks share it: name the action, name the clip (each clip
is a class of its own: exemplar learning, Dosovitskiy et al. 2014), and describe the frame well enough that a
small decoder can redraw it from a noisy code (which also keeps codes of similar frames close to each other).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from stgan.networks import Encoder, EncoderConfig, GeneratorConfig, ImageGenerator
from stgan.training.data import ClipData
from stgan.training.pictures import save_image_grid
from stgan.training.run import Losses, TrainingRun, identity


@dataclass(frozen=True)
class EncoderRecipe:
    """Everything that decides the encoder's weights but the data."""

    network: EncoderConfig
    decoder: GeneratorConfig
    steps: int = 2500
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_action: float = 0.2
    weight_clip: float = 0.2
    weight_image: float = 1.0
    code_noise: float = 0.2
    """Standard deviation of the noise on a code before it is decoded, in standard deviations of the codes."""
    seed: int = 0
    held_out: tuple[str, ...] = field(default=())


def train_encoder(recipe: EncoderRecipe, data: ClipData, out: Path, fabric: Fabric) -> tuple[Encoder, TrainingRun]:
    """The trained encoder (in eval mode). `out` receives the state, the log and pictures."""
    torch.manual_seed(recipe.seed)
    train, _ = data.split_groups(recipe.held_out)
    encoder = Encoder(recipe.network)
    heads = nn.ModuleDict(
        {
            "action": nn.Linear(recipe.network.code_size, len(train.actions)),
            "clip": nn.Linear(recipe.network.code_size, len(train.clips)),
            "decoder": ImageGenerator(recipe.decoder),
        }
    )
    optimizer = torch.optim.AdamW(_parameters(encoder, heads), lr=recipe.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1)
    run = TrainingRun(
        fabric,
        out,
        {"encoder": encoder, "heads": heads, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, data.digest),
    )
    device = fabric.device
    encoder.to(device), heads.to(device)

    def step(number: int, rng: np.random.Generator) -> Losses:
        encoder.train()
        images, actions, clips = (part.to(device) for part in train.frames(recipe.batch_size, rng))
        codes = encoder(_jitter(images))
        noisy = codes + recipe.code_noise * codes.detach().std() * torch.randn_like(codes)
        redrawn = heads["decoder"](noisy)
        losses = {
            "action": F.cross_entropy(heads["action"](codes), actions),
            "clip": F.cross_entropy(heads["clip"](codes), clips),
            "image": (redrawn - images).square().sum((1, 2, 3)).mean() / 10,
        }
        weights = {"action": recipe.weight_action, "clip": recipe.weight_clip, "image": recipe.weight_image}
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(list(_parameters(encoder, heads)), 10.0)
        optimizer.step()
        schedule.step()
        active = (codes > 0).float().mean()
        return {**{name: loss.item() for name, loss in losses.items()}, "active": active.item()}

    @torch.no_grad()
    def picture(path: Path) -> None:
        encoder.eval()
        images, _, _ = train.frames(16, np.random.default_rng(0))
        save_image_grid(path, [images, heads["decoder"](encoder(images.to(device))).cpu()])

    run.loop(recipe.steps, step, description="encoder", picture=picture)
    return encoder.eval(), run


def _parameters(*modules: nn.Module) -> Iterator[nn.Parameter]:
    return chain.from_iterable(module.parameters() for module in modules)


def _jitter(images: Tensor) -> Tensor:
    """A little brightness and noise, so that codes do not hang on exact pixel values."""
    brightness = 0.05 * torch.randn(len(images), 1, 1, 1, device=images.device)
    return (images + brightness + 0.02 * torch.randn_like(images)).clamp(0, 1)
