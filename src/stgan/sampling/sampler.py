"""From what is asked for and seeds to videos: Eq. 8 in the space that the preset names."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.devices import arithmetic
from stgan.networks.preprocessing import to_unit_range
from stgan.sampling.activation_maximization import Clips, Variable, activation_maximization
from stgan.sampling.disturbance import disturb
from stgan.sampling.objectives import Action, Activation
from stgan.sampling.presets import Preset
from stgan.sampling.randomness import ClipRandomness
from stgan.sampling.spaces import SPACES, Networks, Space
from stgan.sampling.starts import Init

OnIteration = Callable[[int, Tensor, Callable[[], Tensor]], None]
"""Called after each iteration with its number, the objective of each clip, and a function that renders the videos."""


@dataclass(frozen=True)
class Samples:
    """Generated videos, RGB in [0, 1], and what steered thought of them at the end."""

    videos: Float[Tensor, "batch 3 time height width"]
    codes: Float[Tensor, "batch time code"] | None
    """What the generator made them of; None without one, in pixel space."""
    value: Float[Tensor, " batch"]
    """Phi of the videos as they are: the log probability of the action, or the activation of the target."""
    steps: Int[Tensor, " batch"]
    """Steps up the gradient that each clip took: the preset's iterations, or fewer if it was done before."""

    def of(self, place: int) -> "Samples":
        """Of one clip of the batch, as a batch of one."""
        kept = slice(place, place + 1)
        codes = None if self.codes is None else self.codes[kept]
        return Samples(self.videos[kept], codes, self.value[kept], self.steps[kept])


def sample(
    networks: Networks,
    phi: Action | Activation,
    seeds: Sequence[int],
    preset: Preset,
    *,
    frames: int = 16,
    init: Init | None = None,
    on_iteration: OnIteration | None = None,
    on_space: Callable[[Space], None] = lambda space: None,
) -> Samples:
    """One video a seed that maximizes phi. A clip depends on its own seed only.

    Args:
        frames: of a video; an `init` has as many.
        init: start from this video instead of from noise alone.
        on_space: called with the space before anything is computed, by what measures it.
    """
    like = next(networks.image_generator.parameters())
    random = ClipRandomness(seeds, like.device, like.dtype)
    space: Space = SPACES[preset.space](networks, preset, frames, random, init, phi)
    on_space(space)

    def objective(h: Variable, iteration: int, clips: Clips) -> Float[Tensor, " some"]:
        """J of Eq. 8: Phi(G(z)) - lambda |z|."""
        z = space.codes(h, iteration)
        with arithmetic(preset.precision, like.device):
            videos = space.videos(z).to(like.dtype)  # shifts are of single pixels, which bfloat16 does not tell apart
            value = phi(disturb(videos, preset, random.of(clips))).to(like.dtype)
        return value - preset.regularization * z.abs().flatten(1).sum(1) if preset.regularization else value

    def render(h: Variable, iteration: int) -> tuple[Tensor, Tensor]:
        """The codes that h means, and their videos as they are kept."""
        z = space.codes(h, iteration)
        return z, to_unit_range(space.videos(z))

    def on_step(h: Variable, value: Tensor, iteration: int) -> None:
        if on_iteration:
            on_iteration(iteration, value, lambda: render(h, iteration + 1)[1])

    with torch.no_grad():
        start = space.start()
        h, steps = activation_maximization(
            start,
            objective,
            learning_rates=space.learning_rates,
            epsilon1=preset.epsilon1,
            epsilon2=preset.epsilon2,
            epsilon3=preset.epsilon3,
            reconstruct=space.reconstruct,
            noise=lambda clips: random.of(clips).normal(*start.shape[1:]),
            project=space.project,
            norm=space.norm,
            goal=math.log(preset.goal) if preset.goal < 1 and isinstance(phi, Action) else math.inf,
            patience=preset.patience,
            on_step=on_step,
        )
        z, videos = render(h, preset.iterations)
        return Samples(videos, None if preset.space == "pixels" else z, phi(videos), steps)
