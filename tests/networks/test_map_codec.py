"""Map codec: only convolutions, so crops are coded as they are inside frames; its generator inflated over time."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.networks import (
    MapCodec,
    MapCodecConfig,
    MapDiscriminator,
    MapDiscriminatorConfig,
    MapEncoderConfig,
    MapGenerator,
    MapGeneratorConfig,
    MapVideoGenerator,
)
from stgan.networks.discriminator import FAKE, REAL
from stgan.networks.residual import ResidualBlock
from stgan.networks.temporal import UNIFORM_KERNEL, Conv3dReference, TemporalPadding
from stgan.records import checked

EXACT = {"rtol": 0, "atol": 1e-10}
CHANNELS, STRIDE = 3, 4
BORDER = 5  # places that the border of a crop reaches: 3 of each level, one level of places and one of half places


def lively(network: nn.Module) -> nn.Module:
    """Every weight matters, also of the layers that start at 0."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.double().eval()


@pytest.fixture
def codec() -> MapCodec:
    torch.manual_seed(0)
    encoder = MapEncoderConfig(channels=CHANNELS, patch=2, widths=(4, 6), depth=1)
    generator = MapGeneratorConfig(channels=CHANNELS, widths=(6, 4), depth=1, patch=2)
    return lively(MapCodec(MapCodecConfig(encoder, generator)))  # type: ignore[return-value]


@pytest.fixture
def codes() -> Tensor:
    return torch.randn(2, 5, CHANNELS, 4, 3, dtype=torch.float64)


def test_it_starts_from_the_best_linear_codes_of_squares() -> None:
    encoder = MapEncoderConfig(channels=CHANNELS, patch=2, widths=(4, 6), depth=1)
    codec = MapCodec(MapCodecConfig(encoder, MapGeneratorConfig(channels=CHANNELS, widths=(6, 4), depth=1, patch=2)))
    frames = torch.rand(40, 3, 8, 12)
    codec.start_from_principal_components(frames.split(16))
    drawn, codes = codec.eval()(frames)
    squares = frames.unflatten(3, (-1, STRIDE)).unflatten(2, (-1, STRIDE)).permute(0, 2, 4, 1, 3, 5).reshape(-1, 48)
    mean, deviations = squares.mean(0), squares - squares.mean(0)
    axes = torch.linalg.svd(deviations, full_matrices=False)[2][:CHANNELS]
    best = (deviations @ axes.T @ axes + mean).view(40, 2, 3, 3, STRIDE, STRIDE).permute(0, 3, 1, 4, 2, 5)
    torch.testing.assert_close(drawn, best.reshape(frames.shape), atol=1e-4, rtol=0)
    assert codes.mean().item() == pytest.approx(0, abs=1e-4)
    assert codes.square().mean().item() == pytest.approx(1, abs=1e-3)
    spread = codes.square().mean((0, 2, 3))
    assert torch.equal(spread.sort(descending=True).values, spread)  # not each to variance 1


def test_frames_of_one_colour_make_no_infinite_codes() -> None:
    codec = MapCodec()
    codec.start_from_principal_components([torch.full((2, 3, 32, 32), 0.5)])
    assert codec.eval()(torch.full((1, 3, 32, 32), 0.6))[1].isfinite().all()


def test_sizes(codec: MapCodec) -> None:
    assert codec.config.encoder.stride == codec.config.generator.stride == STRIDE
    images = torch.rand(2, 3, 12, 20, dtype=torch.float64)
    drawn, codes = codec(images)
    assert codes.shape == (2, CHANNELS, 3, 5) and drawn.shape == images.shape
    assert torch.equal(codes, codec.encoder(images)) and torch.equal(drawn, codec.generator(codes))
    drawn, noisy = codec(images, lambda codes: 2 * codes)
    torch.testing.assert_close(noisy, 3 * codes)
    assert torch.equal(drawn, codec.generator(noisy))


def test_a_crop_is_coded_as_it_is_inside_its_frame(codec: MapCodec) -> None:
    images = torch.rand(1, 3, 24 * STRIDE, 24 * STRIDE, dtype=torch.float64)
    top, left, side = 3, 5, 16
    whole = codec.encoder(images)[..., top : top + side, left : left + side]
    pixels = images[..., top * STRIDE : (top + side) * STRIDE, left * STRIDE : (left + side) * STRIDE]
    alone = codec.encoder(pixels)
    inside = slice(BORDER, -BORDER)
    torch.testing.assert_close(alone[..., inside, inside], whole[..., inside, inside], **EXACT)
    assert not torch.allclose(alone[..., 0], whole[..., 0])


def test_a_crop_of_codes_is_drawn_as_it_is_inside_its_frame(codec: MapCodec) -> None:
    codes = torch.randn(1, CHANNELS, 24, 24, dtype=torch.float64)
    top, left, side = 3, 5, 16
    whole = codec.generator(codes)
    whole = whole[..., top * STRIDE : (top + side) * STRIDE, left * STRIDE : (left + side) * STRIDE]
    alone = codec.generator(codes[..., top : top + side, left : left + side])
    inside = slice(BORDER * STRIDE, -BORDER * STRIDE)
    torch.testing.assert_close(alone[..., inside, inside], whole[..., inside, inside], **EXACT)
    assert not torch.allclose(alone[..., 0], whole[..., 0])


def test_codes_of_a_batch_in_training_have_mean_0_and_variance_1(codec: MapCodec) -> None:
    codes = codec.encoder.train()(torch.rand(6, 3, 16, 16, dtype=torch.float64))
    assert codes.mean().item() == pytest.approx(0, abs=1e-6)
    assert codes.var(correction=0).item() == pytest.approx(1, abs=1e-3)


def as_conv3d(generator: MapGenerator, codes: Tensor, kernel: Sequence[float], padding: TemporalPadding) -> Tensor:
    """The inflated generator layer by layer: each 1x1 and 3x3 layer a Conv3d, each 2x2 layer on every frame."""

    def inflated(layer: nn.Conv2d, x: Tensor) -> Tensor:
        assert layer.kernel_size in [(1, 1), (3, 3)]
        return Conv3dReference(layer, kernel, padding)(x)

    def pixels(x: Tensor, side: int) -> Tensor:
        """Of squares, each of them the channels of one place."""
        x = x.unflatten(1, (3, side, side)).permute(0, 1, 4, 5, 2, 6, 3)
        return x.flatten(5, 6).flatten(3, 4)

    linear = pixels(inflated(generator.linear, codes.transpose(1, 2)), STRIDE)
    x = inflated(generator.stem, codes.transpose(1, 2))
    for layer in generator.layers:
        if isinstance(layer, ResidualBlock):
            branch = inflated(layer.conv1, F.leaky_relu(x, 0.2))
            x = x + inflated(layer.conv2, F.leaky_relu(branch, 0.2))
        else:
            assert isinstance(layer, nn.ConvTranspose2d) and layer.kernel_size == (2, 2)
            x = F.conv_transpose3d(x, layer.weight.unsqueeze(2), layer.bias, (1, 2, 2))
    x = inflated(generator.out, F.leaky_relu(x, 0.2))
    return 0.25 * (linear + pixels(x, generator.config.patch)) + 0.5


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("kernel", [UNIFORM_KERNEL, (0.05, 0.1, 0.5, 0.2, 0.15)])
def test_both_forms_of_the_inflated_generator_agree(
    codec: MapCodec, codes: Tensor, kernel: tuple[float, ...], padding: TemporalPadding
) -> None:
    """Values, gradients to the codes and gradients to every weight."""
    codes.requires_grad_(True)
    parameters = list(codec.generator.parameters())
    weighting = torch.randn(2, 3, 5, 16, 12, dtype=torch.float64)

    def value_and_gradients(video: Tensor) -> list[Tensor]:
        return [video, *torch.autograd.grad((video * weighting).sum(), [codes, *parameters])]

    fast = value_and_gradients(MapVideoGenerator(codec.generator, kernel, padding)(codes))
    plain = value_and_gradients(as_conv3d(codec.generator, codes, kernel, padding))
    for ours, theirs in zip(fast, plain, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_equal_frames_stay_equal(codec: MapCodec, codes: Tensor) -> None:
    """With zeros beyond the ends they do not: each of the six layers darkens one frame more at each end."""
    still, image = codes[:, :1].expand(-1, 14, -1, -1, -1), codec.generator(codes[:, 0])
    video = MapVideoGenerator(codec.generator, UNIFORM_KERNEL, "replicate")(still)
    torch.testing.assert_close(video, image.unsqueeze(2).expand_as(video), **EXACT)
    faded = MapVideoGenerator(codec.generator, UNIFORM_KERNEL, "zeros")(still)
    changed = [not torch.allclose(frame, image, **EXACT) for frame in faded.unbind(2)]
    assert changed == [True] * 6 + [False] * 2 + [True] * 6


@pytest.mark.parametrize("kernel", [(1.0,), (0.0, 1.0, 0.0)])
def test_without_neighbours_it_draws_frame_by_frame(codec: MapCodec, codes: Tensor, kernel: tuple[float, ...]) -> None:
    video = MapVideoGenerator(codec.generator, kernel, "zeros")(codes)
    frames = torch.stack([codec.generator(codes[:, time]) for time in range(5)], 2)
    torch.testing.assert_close(video, frames, **EXACT)


def test_one_frame_is_a_video_too(codec: MapCodec, codes: Tensor) -> None:
    video = MapVideoGenerator(codec.generator, UNIFORM_KERNEL, "replicate")(codes[:, :1])
    torch.testing.assert_close(video[:, :, 0], codec.generator(codes[:, 0]), **EXACT)


def test_a_new_block_passes_on_what_comes_in() -> None:
    x = torch.randn(2, 4, 5, 5)
    block = ResidualBlock(4)
    torch.testing.assert_close(block(x), x + block.conv2.bias.view(-1, 1, 1))


def test_maps_that_do_not_fit_are_refused() -> None:
    for generator in ({"channels": 15}, {"patch": 2}, {"widths": [8, 4]}):
        with pytest.raises(ValueError, match=r"the encoder's maps have 16 channels and stride 16, the generator's 1"):
            checked(MapCodecConfig, {"generator": generator})
    for change in ({"depth": -1}, {"depth": 101}, {"patch": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(change))}: must be at "):
            checked(MapEncoderConfig, change)


def test_the_discriminator_judges_every_place_by_its_surroundings_and_its_code(codes: Tensor) -> None:
    torch.manual_seed(0)
    config = MapDiscriminatorConfig(channels=CHANNELS, widths=(4, 6))
    discriminator = lively(MapDiscriminator(config))
    images, codes = torch.rand(2, 3, 48, 64, dtype=torch.float64), torch.randn(2, CHANNELS, 12, 16).double()
    logits = discriminator(images, codes)
    assert logits.shape == (2, 2, 12, 16)
    log_d = discriminator.log_probability(images, codes)  # type: ignore[operator]
    assert log_d.shape == (2 * 12 * 16, 2)
    expected = logits - logits.exp().sum(1, keepdim=True).log()
    for place, (n, y, x) in {0: (0, 0, 0), 17: (0, 1, 1), 12 * 16 + 1: (1, 0, 1)}.items():
        assert torch.allclose(log_d[place], torch.stack([expected[n, REAL, y, x], expected[n, FAKE, y, x]]))
    far_images, far_codes = images.clone(), codes.clone()
    far_images[..., 40:], far_codes[..., 10:] = 0, 0
    torch.testing.assert_close(discriminator(far_images, far_codes)[..., :6], logits[..., :6], **EXACT)
    for changed in ((far_images, codes), (images, far_codes)):
        assert not torch.allclose(discriminator(*changed)[..., 12:], logits[..., 12:])
