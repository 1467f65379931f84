"""The published sizes, on torch's meta device: shapes of the full networks, without their memory or time."""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stgan.networks import C3D, LRCN, AlexNet, Discriminator, GeneratorConfig, ImageGenerator, inflate

Sizes = dict[str, tuple[int, ...]]

T = 16
INNER_PRODUCTS = ("fc8", "fc7", "fc6")
TABLE_1 = [  # layer, spatial kernel, spatial stride, width = height, channels; every padding is 1
    ("upconv5", 4, 2, 8, 256),
    ("conv5", 3, 1, 8, 512),
    ("upconv4", 4, 2, 16, 256),
    ("conv4", 3, 1, 16, 256),
    ("upconv3", 4, 2, 32, 128),
    ("conv3", 3, 1, 32, 128),
    ("upconv2", 4, 2, 64, 64),
    ("upconv1", 4, 2, 128, 32),
    ("upconv0", 4, 2, 256, 3),
]


def meta(network: type[nn.Module]) -> Any:
    with torch.device("meta"):
        return network().eval()


def output_sizes(network: nn.Module, *inputs: Tensor) -> Sizes:
    """The output size of every layer with weights, without its batch dimension, in the order they ran."""
    sizes: Sizes = {}

    def record(name: str) -> Any:
        return lambda module, args, output: sizes.__setitem__(name, tuple(output.shape[1:]))

    layers = [(n, m) for n, m in network.named_modules() if isinstance(getattr(m, "weight", None), Tensor)]
    hooks = [layer.register_forward_hook(record(name)) for name, layer in layers]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return sizes


def empty(*size: int) -> Tensor:
    return torch.empty(size, device="meta")


class RecordConvTranspose3d(TorchFunctionMode):
    """Notes kernel, stride, padding and output size of every transposed 3D convolution."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, ...], ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func is torch.conv_transpose3d:
            _, weight, _, stride, padding = args
            self.calls.append((tuple(weight.shape[2:]), tuple(stride), tuple(padding), tuple(output.shape)))
        return output


def test_table_1_of_the_video_generator() -> None:
    generator = inflate(meta(ImageGenerator))
    sizes = output_sizes(generator, empty(1, T, 4096))
    expected = {name: (4096,) for name in INNER_PRODUCTS}
    expected |= {name: (channels, width, width) for name, _, _, width, channels in TABLE_1}
    assert sizes == {f"image_generator.{name}": size for name, size in expected.items()}
    assert list(sizes) == [f"image_generator.{name}" for name in expected]
    assert generator.image_generator.base(empty(T, 4096)).shape == (T, 256, 4, 4)  # the reshape layer
    assert generator(empty(1, T, 4096)).shape == (1, 3, T, 256, 256)


def test_table_1_as_3d_convolutions() -> None:
    generator = inflate(meta(ImageGenerator))
    with RecordConvTranspose3d() as record:
        video = generator.forward_conv3d(empty(1, T, 4096))
    assert video.shape == (1, 3, T, 256, 256)
    assert record.calls == [
        ((3, kernel, kernel), (1, stride, stride), (1, 1, 1), (1, channels, T, width, width))
        for _, kernel, stride, width, channels in TABLE_1
    ]


def test_image_size_follows_from_the_stages() -> None:
    assert GeneratorConfig().image_size == 256
    assert GeneratorConfig(stages=((64,), (32,))).image_size == 32


# The weights as published, in the order of the layers. Transposed convolutions are in x out x height x width.
GENERATOR = [
    *[(4096, 4096)] * 3,
    *[(256, 256, 4, 4), (256, 512, 3, 3), (512, 256, 4, 4), (256, 256, 3, 3), (256, 128, 4, 4), (128, 128, 3, 3)],
    *[(128, 64, 4, 4), (64, 32, 4, 4), (32, 3, 4, 4)],
]
CAFFENET = [(96, 3, 11, 11), (256, 48, 5, 5), (384, 256, 3, 3), (384, 192, 3, 3), (256, 192, 3, 3), (4096, 9216)]
LRCN_2015 = [
    *[(96, 3, 7, 7), (384, 48, 5, 5), (512, 384, 3, 3), (512, 256, 3, 3), (384, 256, 3, 3), (4096, 13824)],
    *[(4 * 256, 4096), (4 * 256, 256), (101, 256)],
]
C3D_2015 = [
    *[(64, 3), (128, 64), (256, 128), (256, 256), (512, 256), (512, 512), (512, 512), (512, 512)],
    *[(4096, 8192), (4096, 4096), (101, 4096)],
]
C3D_2015 = [(*size, 3, 3, 3) if i < 8 else size for i, size in enumerate(C3D_2015)]
DISCRIMINATOR = [
    *[(32, 3, 7, 7), (64, 32, 5, 5), (128, 64, 3, 3), (256, 128, 3, 3), (256, 256, 3, 3)],
    *[(1024, 4096), (512, 1024), (512, 256 + 512), (2, 512)],
]


def test_weights_and_parameter_counts() -> None:
    for network, weights, biases in (
        # 3 inner products; conv and upconv layers
        (ImageGenerator, GENERATOR, 3 * 4096 + 256 + 512 + 256 + 256 + 128 + 128 + 64 + 32 + 3),
        (AlexNet, CAFFENET, 96 + 256 + 384 + 384 + 256 + 4096),
        # PyTorch's LSTM has two biases a gate, Caffe's has one.
        (LRCN, LRCN_2015, 96 + 384 + 512 + 512 + 384 + 4096 + 2 * 4 * 256 + 101),
        (C3D, C3D_2015, 64 + 128 + 2 * 256 + 4 * 512 + 2 * 4096 + 101),
        (Discriminator, DISCRIMINATOR, 32 + 64 + 128 + 256 + 256 + 1024 + 512 + 512 + 2),
    ):
        parameters = list(meta(network).parameters())
        assert [tuple(parameter.shape) for parameter in parameters if parameter.ndim > 1] == weights
        assert sum(parameter.numel() for parameter in parameters) == sum(prod(size) for size in weights) + biases


def test_map_sizes() -> None:
    for network, size, maps in (
        (AlexNet, (1, 3, 256, 256), [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13)]),
        (
            LRCN,
            (1, 3, T, 256, 256),
            [(96, 111, 111), (384, 26, 26), (512, 13, 13), (512, 13, 13), (384, 13, 13)],
        ),
        (
            C3D,
            (1, 3, T, 256, 256),
            [
                *[(64, 16, 112, 112), (128, 16, 56, 56), (256, 8, 28, 28), (256, 8, 28, 28)],
                *[(512, 4, 14, 14), (512, 4, 14, 14), (512, 2, 7, 7), (512, 2, 7, 7)],
            ],
        ),
    ):
        sizes = output_sizes(meta(network), empty(*size))
        assert [size for name, size in sizes.items() if "conv" in name] == maps


def test_map_sizes_of_the_discriminator() -> None:
    sizes = output_sizes(meta(Discriminator), empty(1, 3, 256, 256), empty(1, 4096))
    maps = [size for name, size in sizes.items() if "conv" in name]
    assert maps == [(32, 56, 56), (64, 52, 52), (128, 25, 25), (256, 23, 23), (256, 11, 11)]


def test_pooled_features() -> None:
    assert meta(AlexNet).features(empty(1, 3, 227, 227)).shape == (1, 256, 6, 6)
    assert meta(LRCN).frame_network.features(empty(1, 3, 227, 227)).shape == (1, 384, 6, 6)
    assert meta(LRCN)(empty(2, 3, T, 227, 227)).shape == (2, T, 101)
    assert meta(C3D).flat_size() == 512 * 1 * 4 * 4
    assert meta(C3D).features(empty(2, 3, T, 112, 112)).shape == (2, 4096)
