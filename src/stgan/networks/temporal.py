"""Inflation of 2D layers to 3D (Eq. 6-7): a fast form, and plain Conv3d for reference.

Eq. 6-7 copy a spatial kernel to every time step and divide by the temporal depth, `w3D(t) = w2D / T'`. Such a
kernel is separable, `w3D(t) = k(t) w2D`, and convolution with it is exactly the spatial layer applied to a
weighted mean of neighbouring frames: `conv3d(x, w3D) = conv2d(mix(x, k), w2D)`. The same holds for transposed
layers, because the temporal stride is 1. This needs T' times fewer multiplications and allows any weights `k`.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

TemporalPadding = Literal["zeros", "replicate"]

UNIFORM_KERNEL = (1 / 3, 1 / 3, 1 / 3)
"""Eq. 7 with T' = 3."""


def check_kernel(kernel: Sequence[float]) -> tuple[float, ...]:
    """The kernel as a tuple. Raises ValueError unless it has an odd length and sums to one."""
    if len(kernel) % 2 == 0 or not abs(sum(kernel) - 1) <= 1e-6:  # `not` also refuses NaN
        raise ValueError(f"a temporal kernel has an odd number of weights that sum to 1, not {tuple(kernel)}")
    return tuple(float(weight) for weight in kernel)


def mixing_matrix(time: int, kernel: Sequence[float], padding: TemporalPadding) -> Float[Tensor, "time time"]:
    """The banded matrix M (float64) with `mix(x)[t] = sum_s M[t, s] x[s]`.

    Row t holds the kernel around frame t. Padding "zeros" is the paper's, which darkens the first and last frame.
    "replicate" repeats the edge frames, so that every row sums to one.
    """
    reach = len(kernel) // 2
    matrix = torch.zeros(time, time, dtype=torch.float64)
    for offset, weight in enumerate(kernel, start=-reach):
        for t in range(time):
            source = t + offset
            if padding == "replicate":
                source = min(max(source, 0), time - 1)
            if 0 <= source < time:
                matrix[t, source] += weight
    return matrix


def mix(frames: Float[Tensor, "batch time ..."], matrix: Float[Tensor, "time time"]) -> Tensor:
    """Weighted mean of neighbouring frames: the temporal half of an inflated layer."""
    mixed = torch.matmul(matrix.to(frames), frames.flatten(2))
    return mixed.view(frames.shape)


def inflate_weight(weight: Float[Tensor, "a b height width"], kernel: Sequence[float]) -> Tensor:
    """Eq. 6-7: inflate a spatial weight to "a b time height width". A uniform `kernel` is Eq. 7."""
    k = weight.new_tensor(kernel).view(1, 1, -1, 1, 1)
    return weight.unsqueeze(2) * k


class Conv3dReference(nn.Module):
    """An inflated layer as Conv3d / ConvTranspose3d, to verify the fast form. It needs three times the work.

    weight, bias: replace the layer's own.
    """

    def __init__(
        self,
        layer: nn.Conv2d | nn.ConvTranspose2d,
        kernel: Sequence[float],
        padding: TemporalPadding,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        super().__init__()
        kernel = check_kernel(kernel)
        self.layer, self.padding, self.reach = layer, padding, len(kernel) // 2
        self.transposed = isinstance(layer, nn.ConvTranspose2d)
        # A transposed convolution applies the kernel in reversed time order, hence the flip.
        spatial = layer.weight if weight is None else weight
        self.weight = inflate_weight(spatial, kernel[::-1] if self.transposed else kernel)
        self.bias = layer.bias if bias is None else bias

    def forward(self, x: Float[Tensor, "batch channels time height width"]) -> Tensor:
        reach = self.reach
        if self.padding == "replicate":
            x = F.pad(x, (0, 0, 0, 0, reach, reach), mode="replicate")
        stride, spatial = (1, *self.layer.stride), self.layer.padding
        if self.transposed:  # here padding removes frames
            cut = reach if self.padding == "zeros" else 2 * reach
            return F.conv_transpose3d(x, self.weight, self.bias, stride, (cut, *spatial))
        add = reach if self.padding == "zeros" else 0
        return F.conv3d(x, self.weight, self.bias, stride, (add, *spatial))
