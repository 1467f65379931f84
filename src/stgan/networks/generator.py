"""The image generator G (DeePSiM; Table 1 without time) and the video generator inflated from it (Table 1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from stgan.networks.configuration import Configuration
from stgan.networks.layout import InnerProduct
from stgan.networks.preprocessing import IMAGENET_MEAN_BGR, Preprocessing, unflatten_time
from stgan.networks.temporal import UNIFORM_KERNEL, Conv3dReference, TemporalPadding, check_kernel, mix, mixing_matrix


@dataclass(frozen=True)
class GeneratorConfig(Configuration):
    """The defaults are Table 1, which is the DeePSiM fc6 generator (Dosovitskiy & Brox 2016).

    stages: for each doubling of the resolution, the channels of its upconvolution and, optionally, of the
            convolution after it. The last layer is one more upconvolution to 3 channels, so the output is
            `base_size * 2 ** (len(stages) + 1)` pixels wide.
    preprocessing: the units of the last layer's output. DeePSiM's are BGR, 0-255, minus the ImageNet mean.
    """

    network: ClassVar[str] = "image_generator"
    code_size: int = 4096
    hidden_size: int = 4096
    base_channels: int = 256
    base_size: int = 4
    stages: tuple[tuple[int, ...], ...] = ((256, 512), (256, 256), (128, 128), (64,), (32,))
    slope: float = 0.3
    preprocessing: Preprocessing = Preprocessing(channels="bgr", scale=255.0, mean=IMAGENET_MEAN_BGR)

    @property
    def image_size(self) -> int:
        return self.base_size * 2 ** (len(self.stages) + 1)


class ImageGenerator(nn.Module):
    """G: a code to an image. The layers have Table 1's names: fc8, fc7, fc6, upconv5, conv5, ..., upconv0.

    The `conv*` layers are transposed convolutions too, as in the published model.
    """

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config or GeneratorConfig()
        c = self.config
        self.fc8 = InnerProduct(c.code_size, c.hidden_size)
        self.fc7 = InnerProduct(c.hidden_size, c.hidden_size)
        self.fc6 = InnerProduct(c.hidden_size, c.base_channels * c.base_size**2)
        incoming = c.base_channels
        self.spatial_names: list[str] = []
        for level, stage in zip(range(len(c.stages), 0, -1), c.stages, strict=True):
            self._add(f"upconv{level}", nn.ConvTranspose2d(incoming, stage[0], 4, 2, 1))
            incoming = stage[0]
            if len(stage) > 1:
                self._add(f"conv{level}", nn.ConvTranspose2d(incoming, stage[1], 3, 1, 1))
                incoming = stage[1]
        self.upconv0 = nn.ConvTranspose2d(incoming, 3, 4, 2, 1)
        self.apply(self._initialize)

    def _add(self, name: str, layer: nn.ConvTranspose2d) -> None:
        self.add_module(name, layer)
        self.spatial_names.append(name)

    def _initialize(self, module: nn.Module) -> None:
        if next(self.parameters()).is_meta:  # weights will be loaded; drawing on meta takes torch seconds
            return
        # He et al. 2015 with the leaky slope. In a transposed layer of stride s, kernel^2 / s^2 taps reach a pixel.
        gain = 2 / (1 + self.config.slope**2)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=(gain / module.in_features) ** 0.5)
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.ConvTranspose2d) and module.bias is not None:
            taps = module.kernel_size[0] ** 2 / module.stride[0] ** 2
            nn.init.normal_(module.weight, std=(gain / (taps * module.in_channels)) ** 0.5)
            nn.init.zeros_(module.bias)

    def base(self, codes: Float[Tensor, "batch code"]) -> Float[Tensor, "batch channels height width"]:
        """The three inner products and the reshape."""
        x = codes
        for layer in (self.fc8, self.fc7, self.fc6):
            x = F.leaky_relu(layer(x), self.config.slope)
        return x.unflatten(1, (self.config.base_channels, self.config.base_size, self.config.base_size))

    def render(
        self, base: Tensor, mix: Callable[[Tensor], Tensor] | None = None
    ) -> Float[Tensor, "batch 3 height width"]:
        """The spatial layers. `mix` is the temporal half of each inflated layer.

        `mix` acts on the input of each layer, but on the output of the last one, whose 3 channels hold fewer numbers
        than its input.
        """
        x = base
        for name in self.spatial_names:
            x = self.get_submodule(name)(mix(x) if mix else x)
            x = F.leaky_relu_(x, self.config.slope)
        weight, bias = self.pixel_weights()
        images = functional_call(self.upconv0, {"weight": weight, "bias": torch.zeros_like(bias)}, x)
        return (mix(images) if mix else images) + bias.view(3, 1, 1)

    def pixel_weights(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of upconv0, changed so that its output is RGB in [0, 1] instead of `config.preprocessing`."""
        return self.config.preprocessing.inverting(*self.upconv0.parameters())

    def forward(self, codes: Float[Tensor, "batch code"]) -> Float[Tensor, "batch 3 height width"]:
        """Images in RGB, nominally [0, 1]. They are not clamped, so gradients do not vanish."""
        return self.render(self.base(codes))


class VideoGenerator(nn.Module):
    """Table 1: the image generator inflated over time, one code per frame. Made by `inflate`.

    It uses the image generator's weights and has no parameters of its own, so it is not trained on videos. An inflated
    layer mixes neighbouring frames and then applies the spatial layer (see `stgan.networks.temporal`).
    """

    def __init__(
        self, image_generator: ImageGenerator, temporal_kernel: Sequence[float], temporal_padding: TemporalPadding
    ) -> None:
        super().__init__()
        if temporal_padding not in ("zeros", "replicate"):
            raise ValueError(f"temporal_padding is 'zeros' or 'replicate', not {temporal_padding!r}")
        self.image_generator = image_generator
        self.temporal_kernel = check_kernel(temporal_kernel)
        self.temporal_padding: TemporalPadding = temporal_padding

    def forward(self, codes: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch 3 time height width"]:
        """Videos in RGB, nominally [0, 1] (not clamped); any number of frames."""
        batch, time = codes.shape[:2]
        base = self.image_generator.base(codes.flatten(0, 1))
        matrix = mixing_matrix(time, self.temporal_kernel, self.temporal_padding).to(base)

        def mix_frames(x: Tensor) -> Tensor:
            # Frames are stored channels last, so neither the matrix product nor the next layer needs a copy.
            pixels = x.permute(0, 2, 3, 1).unflatten(0, (batch, time))
            return mix(pixels, matrix).flatten(0, 1).permute(0, 3, 1, 2)

        mixes = self.temporal_kernel != (1.0,)
        return unflatten_time(self.image_generator.render(base, mix_frames if mixes else None), batch)

    def forward_conv3d(
        self, codes: Float[Tensor, "batch time code"], layers: Sequence[Conv3dReference] | None = None
    ) -> Float[Tensor, "batch 3 time height width"]:
        """The same function with every layer as a plain 3D convolution, as Eq. 6-7 are written. For reference.

        layers: the result of `conv3d_layers`, to use it more than once.
        """
        generator, (batch, time) = self.image_generator, codes.shape[:2]
        x = generator.base(codes.flatten(0, 1)).unflatten(0, (batch, time)).transpose(1, 2)
        *hidden, last = layers or self.conv3d_layers()
        for layer in hidden:
            x = F.leaky_relu_(layer(x), generator.config.slope)
        return last(x)

    def conv3d_layers(self) -> list[Conv3dReference]:
        """Every spatial layer as its inflated 3D convolution. The last one returns RGB in [0, 1]."""
        generator, how = self.image_generator, (self.temporal_kernel, self.temporal_padding)
        hidden = map(generator.get_submodule, generator.spatial_names)
        return [
            *(Conv3dReference(layer, *how) for layer in hidden if isinstance(layer, nn.ConvTranspose2d)),
            Conv3dReference(generator.upconv0, *how, *generator.pixel_weights()),
        ]


def inflate(
    image_generator: ImageGenerator,
    temporal_kernel: Sequence[float] = UNIFORM_KERNEL,
    temporal_padding: TemporalPadding = "zeros",
) -> VideoGenerator:
    """Inflate an image generator to a video generator (Eq. 6-7). The defaults are the paper's."""
    return VideoGenerator(image_generator, temporal_kernel, temporal_padding)
