"""The `paper` preset against Eq. 6-8 and PPGN's update written out by hand, on small networks in float64."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.networks import (
    C3D,
    LRCN,
    AlexNet,
    AlexNetConfig,
    C3DConfig,
    GeneratorConfig,
    ImageGenerator,
    LRCNConfig,
    Preprocessing,
)
from stgan.sampling import PAPER, Action, Networks, sample

Weights = dict[str, Tensor]
T, CODE, MEAN_BGR, MEAN_RGB = 16, 10, (104.0, 117.0, 123.0), (101.4, 97.7, 90.2)
FRAME = AlexNetConfig(
    channels=(4, 6, 6, 6, 4),
    kernels=(3, 3, 3, 3, 3),
    strides=(1, 1, 1, 1, 1),
    paddings=(1, 1, 1, 1, 1),
    groups=(1, 2, 1, 2, 2),
    code_size=CODE,
    response_norm=False,
    preprocessing=Preprocessing(size=14, fit="crop", channels="bgr", scale=255.0, mean=MEAN_BGR),
)


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    generator = GeneratorConfig(code_size=CODE, hidden_size=12, base_channels=6, base_size=4, stages=((6, 5),))
    c3d = C3DConfig(
        num_classes=3,
        stages=((4,), (6, 6)),
        hidden_sizes=(8,),
        pad_last_pool=True,
        preprocessing=Preprocessing(size=16, scale=255.0, mean=MEAN_RGB),
    )
    parts = (
        ImageGenerator(generator),
        AlexNet(FRAME),
        LRCN(LRCNConfig(num_classes=3, frame=FRAME, lstm_size=7)),
        C3D(c3d),
    )
    image_generator, encoder, lrcn, c3d_network = (part.double().eval() for part in parts)
    with torch.no_grad():  # untrained networks are about 0 everywhere; pixels should be of an image's size
        for name in ("weight", "bias"):
            getattr(image_generator.upconv0, name).mul_(60).add_(torch.randn(()) if name == "bias" else 0)
        for network in (encoder, lrcn.frame_network, c3d_network):
            next(network.parameters()).mul_(0.05)
    return Networks(image_generator, encoder, (lrcn, c3d_network))


def generate(w: Weights, z: Tensor) -> Tensor:
    """G(z): codes (16, code) to video (3, 16, height, width); every spatial layer a 3D one with Eq. 6-7's weights."""
    x = z
    for name in ("fc8", "fc7", "fc6"):
        x = F.leaky_relu(x @ w[f"{name}.weight"].T + w[f"{name}.bias"], 0.3)
    x = x.reshape(T, 6, 4, 4).permute(1, 0, 2, 3)[None]
    for name, stride in (("upconv1", 2), ("conv1", 1), ("upconv0", 2)):
        w3d = torch.stack([w[f"{name}.weight"]] * 3, 2) / 3
        x = F.conv_transpose3d(x, w3d, w[f"{name}.bias"], stride=(1, stride, stride), padding=1)
        if name != "upconv0":
            x = torch.where(x > 0, x, 0.3 * x)
    blue, green, red = ((x[0, channel] + MEAN_BGR[channel]) / 255 for channel in range(3))
    return torch.stack([red, green, blue])


def image(w: Weights, code: Tensor) -> Tensor:
    """The 2D generator: one code to (3, height, width)."""
    x = code
    for name in ("fc8", "fc7", "fc6"):
        x = F.leaky_relu(x @ w[f"{name}.weight"].T + w[f"{name}.bias"], 0.3)
    x = x.reshape(1, 6, 4, 4)
    for name, stride in (("upconv1", 2), ("conv1", 1), ("upconv0", 2)):
        x = F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=stride, padding=1)
        if name != "upconv0":
            x = F.leaky_relu(x, 0.3)
    return torch.stack([(x[0, channel] + MEAN_BGR[channel]) / 255 for channel in (2, 1, 0)])


def encode(w: Weights, frame: Tensor, prefix: str = "") -> Tensor:
    """E: one frame (3, 16, 16) to its code, by way of the centre crop of 14."""
    red, green, blue = frame[:, 1:15, 1:15]
    x = torch.stack([255 * channel - mean for channel, mean in zip((blue, green, red), MEAN_BGR, strict=True)])[None]
    for layer, groups in zip((1, 2, 3, 4, 5), FRAME.groups, strict=True):
        conv = f"{prefix}conv{layer}"
        x = F.conv2d(x, w[f"{conv}.weight"], w[f"{conv}.bias"], padding=1, groups=groups).relu()
        if layer in (1, 2, 5):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    return (w[f"{prefix}fc6.weight"] @ x.flatten() + w[f"{prefix}fc6.bias"]).relu()


def lrcn(w: Weights, video: Tensor) -> Tensor:
    """log of the softmax averaged over frames, with the LSTM's gates written out."""
    h, c, total = torch.zeros(7).double(), torch.zeros(7).double(), torch.zeros(3).double()
    for t in range(T):
        code = encode(w, video[:, t], "frame_network.")
        gates = w["lstm.weight_ih_l0"] @ code + w["lstm.bias_ih_l0"] + w["lstm.weight_hh_l0"] @ h + w["lstm.bias_hh_l0"]
        i, f, g, o = gates.split(7)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        logits = w["fc8.weight"] @ h + w["fc8.bias"]
        total = total + logits.exp() / logits.exp().sum()
    return (total / T).log()


def c3d(w: Weights, video: Tensor) -> Tensor:
    """log softmax of C3D with three convolutions; the first pool over space only, the last one padded."""
    x = (255 * video - torch.tensor(MEAN_RGB, dtype=torch.float64).view(3, 1, 1, 1))[None]
    for layer in range(3):
        x = F.conv3d(x, w[f"convolutions.{layer}.weight"], w[f"convolutions.{layer}.bias"], padding=1).relu()
        if layer == 0:
            x = F.max_pool3d(x, (1, 2, 2))
    x = F.max_pool3d(x, 2, padding=(0, 1, 1)).flatten()
    x = (w["hidden.0.weight"] @ x + w["hidden.0.bias"]).relu()
    logits = w["fc8.weight"] @ x + w["fc8.bias"]
    return logits - logits.exp().sum().log()


@pytest.mark.parametrize(
    ("which", "action", "epsilon1", "epsilon3", "regularization"),
    [((0,), 1, 1e-5, 1e-17, 0.0), ((1,), 2, 1e-2, 1e-3, 0.003), ((0, 1), 0, 1e-2, 0.0, 0.0)],
    ids=["lrcn", "c3d", "both"],
)
def test_paper_preset_equals_a_plain_restatement(
    networks: Networks, which: tuple[int, ...], action: int, epsilon1: float, epsilon3: float, regularization: float
) -> None:
    steering = tuple(networks.condition[number] for number in which)
    preset = replace(PAPER, iterations=3, regularization=regularization, epsilon1=epsilon1, epsilon3=epsilon3)
    result = sample(replace(networks, condition=steering), Action(steering, action), [7], preset)

    g, e = networks.image_generator.state_dict(), networks.encoder.state_dict()
    phis = [(lrcn, c3d)[number] for number in which]
    weights = [network.state_dict() for network in steering]
    random = torch.Generator().manual_seed(7)
    z = torch.randn(T, CODE, generator=random).double()
    for lr in (1.0, 0.55, 0.1):
        z.requires_grad_(True)
        log_p = sum(phi(w, generate(g, z))[action] for phi, w in zip(phis, weights, strict=True)) / len(phis)
        (gradient,) = torch.autograd.grad(log_p - regularization * z.abs().sum(), z)
        z = z.detach()
        assert gradient.abs().max() > 0
        reconstruction = torch.stack([encode(e, image(g, code)) for code in z])
        noise = torch.randn(T, CODE, generator=random).double()
        d = epsilon1 * (reconstruction - z) + 1.0 * gradient + epsilon3 * noise
        z = (z + lr * d / d.abs().mean()).clip(0, 30)

    assert result.codes is not None and result.codes.dtype == torch.float64
    torch.testing.assert_close(result.codes[0], z, rtol=0, atol=1e-11)
    torch.testing.assert_close(result.videos[0], generate(g, z).clip(0, 1), rtol=0, atol=1e-11)
    assert 0 < (z > 0).double().mean() < 1 and result.videos.std() > 0.01
    final = sum(phi(w, generate(g, z).clip(0, 1))[action] for phi, w in zip(phis, weights, strict=True)) / len(phis)
    torch.testing.assert_close(result.value[0], final, rtol=0, atol=1e-11)
