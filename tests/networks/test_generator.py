"""The image generator, and the video generator over any number of frames."""

import torch
from torch import nn

from stgan.networks import GeneratorConfig, ImageGenerator, inflate
from stgan.networks.layout import channels_last


def test_it_is_the_published_network(image_generator: ImageGenerator) -> None:
    """Against a plain stack of torch's layers: leaky ReLU of slope 0.3 after all but the last, BGR out."""
    layers: list[nn.Module] = []
    for layer in (image_generator.fc8, image_generator.fc7, image_generator.fc6):
        layers += [layer, nn.LeakyReLU(0.3)]
    layers.append(nn.Unflatten(1, (4, 2, 2)))
    for name, stride, padding in [("upconv2", 2, 1), ("conv2", 1, 1), ("upconv1", 2, 1), ("upconv0", 2, 1)]:
        spatial = image_generator.get_submodule(name)
        assert (spatial.stride, spatial.padding) == ((stride, stride), (padding, padding))
        layers += [spatial, nn.LeakyReLU(0.3)]
    codes = torch.randn(3, 6, dtype=torch.float64)
    bgr = nn.Sequential(*layers[:-1])(codes)
    rgb = (bgr[:, [2, 1, 0]] + torch.tensor([123.0, 117.0, 104.0]).view(3, 1, 1)) / 255
    torch.testing.assert_close(image_generator(codes), rgb)


def test_initial_weights_keep_the_signal_alive() -> None:
    """He's initialisation: from layer to layer the activations neither vanish nor explode."""
    torch.manual_seed(0)
    network = ImageGenerator(GeneratorConfig(code_size=64, hidden_size=64, base_channels=32, stages=((32, 32), (32,))))
    scales = []
    for _, layer in network.named_children():
        layer.register_forward_hook(lambda module, args, output: scales.append(output.square().mean().item() ** 0.5))
    images = network(torch.randn(64, 64))
    scales[-1] = network.config.preprocessing.normalize(images).square().mean().item() ** 0.5  # in upconv0's own units
    assert len(scales) == 7
    assert min(scales) > 0.5 and max(scales) < 3


def test_clips_of_a_batch_do_not_mix(image_generator: ImageGenerator) -> None:
    generator = inflate(image_generator)
    codes = torch.randn(3, 5, 6, dtype=torch.float64)
    alone = torch.cat([generator(clip[None]) for clip in codes])
    torch.testing.assert_close(generator(codes), alone, rtol=0, atol=1e-12)


def test_a_frame_sees_the_codes_within_reach(image_generator: ImageGenerator) -> None:
    """Each of the four inflated layers looks one frame back and one ahead."""
    codes = torch.randn(1, 13, 6, dtype=torch.float64, requires_grad=True)
    video = inflate(image_generator)(codes)
    (gradient,) = torch.autograd.grad((video[:, :, 6] * torch.randn_like(video[:, :, 6])).sum(), codes)
    reached = gradient[0].abs().amax(1) > 0
    assert reached.tolist() == [abs(frame - 6) <= 4 for frame in range(13)]


def test_a_kernel_of_one_frame_makes_independent_images(image_generator: ImageGenerator) -> None:
    codes = torch.randn(2, 4, 6, dtype=torch.float64)
    video = inflate(image_generator, (1.0,))(codes)
    torch.testing.assert_close(video.transpose(1, 2), torch.stack([image_generator(clip) for clip in codes]))


def test_the_video_generator_shares_the_weights(image_generator: ImageGenerator) -> None:
    shared = {id(parameter) for parameter in image_generator.parameters()}
    assert {id(parameter) for parameter in inflate(image_generator).parameters()} == shared


def test_channels_last_does_not_change_values(image_generator: ImageGenerator) -> None:
    for padding in ("zeros", "replicate"):
        codes = torch.randn(2, 5, 6, dtype=torch.float64)
        before = inflate(image_generator, temporal_padding=padding)(codes)
        channels_last(image_generator)
        assert image_generator.conv2.weight.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(
            inflate(image_generator, temporal_padding=padding)(codes), before, rtol=0, atol=1e-12
        )
