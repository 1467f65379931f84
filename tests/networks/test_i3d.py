"""I3D against a restatement that has weights by their names in the port to PyTorch, and pads by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.networks import I3D, I3DConfig, Preprocessing
from stgan.networks.i3d import ScriptedI3D, ScriptedI3DConfig
from stgan.records import checked

PIXELS = Preprocessing(size=40, fit="stretch", scale=2.0, mean=(1.0, 1.0, 1.0))
SMALL = {
    "num_classes": 5,
    "stem": (4, 3, 6),
    "stages": (((2, 3, 4, 1, 2, 3), (3, 2, 2, 2, 1, 1)), ((2, 2, 3, 1, 1, 2),), ((1, 2, 3, 2, 2, 1),)),
    "preprocessing": PIXELS,
}
NAMES = (("Mixed_3b", "Mixed_3c"), ("Mixed_4b",), ("Mixed_5b",))


def small_i3d(**values: object) -> I3D:
    torch.manual_seed(0)
    network = I3D(I3DConfig(**{**SMALL, **values}))
    for name, value in network.state_dict().items():
        if "num_batches" not in name:
            value.copy_(torch.rand_like(value) + 0.5 if name.endswith("running_var") else torch.randn_like(value) * 0.3)
    return network.double().eval().requires_grad_(False)


def random_videos(time: int = 11, size: tuple[int, int] = (33, 37)) -> Tensor:
    return torch.rand(2, 3, time, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def padded(x: Tensor, window: tuple[int, int, int], stride: tuple[int, int, int], value: float) -> Tensor:
    """TensorFlow's documentation of SAME, an axis at a time: the pad depends on the remainder of size by stride."""
    for axis, (k, s) in enumerate(zip(window, stride, strict=True), 2):
        rest = x.shape[axis] % s
        total = max(k - (rest or s), 0)
        before = list(x.shape)
        after = list(x.shape)
        before[axis], after[axis] = total // 2, total - total // 2
        x = torch.cat([x.new_full(before, value), x, x.new_full(after, value)], axis)
    return x


def restated(weights: dict[str, Tensor], pixels: Tensor, names: tuple[tuple[str, ...], ...] = NAMES) -> Tensor:
    """Logits of videos in [-1, 1]: averages of pairs of frames, classified each, then averaged."""

    def unit(x: Tensor, name: str, stride: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
        kernel = weights[f"{name}.conv3d.weight"]
        x = F.conv3d(padded(x, kernel.shape[2:], stride, 0.0), kernel, stride=stride)
        mean, var, gain, shift = (
            weights[f"{name}.bn.{part}"].view(1, -1, 1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return torch.clamp((x - mean) / torch.sqrt(var + 1e-3) * gain + shift, min=0)

    def pool(x: Tensor, window: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
        x = padded(x, window, stride, -np.inf)
        for axis, (k, s) in enumerate(zip(window, stride, strict=True), 2):
            x = x.unfold(axis, k, s).amax(-1)
        return x

    x = unit(pixels, "Conv3d_1a_7x7", (2, 2, 2))
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
    before = [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))]
    for stage, (window, stride) in zip(names, before, strict=True):
        x = pool(x, window, stride)
        for name in stage:
            x = torch.cat(
                [
                    unit(x, f"{name}.b0"),
                    unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
                    unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
                    unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"),
                ],
                1,
            )
    per_frame = x.mean((3, 4))
    pairs = (per_frame[:, :, 1:] + per_frame[:, :, :-1]) / 2
    classifier = weights["logits.conv3d.weight"].flatten(1)
    logits = torch.einsum("kc,bct->bkt", classifier, pairs) + weights["logits.conv3d.bias"].view(1, -1, 1)
    return logits.mean(2)


def test_i3d_against_its_restatement() -> None:
    for time, size in ((9, 53), (11, 40), (16, 32), (17, 53)):
        network = small_i3d(preprocessing=Preprocessing(size=size, fit="stretch", scale=2.0, mean=(1.0, 1.0, 1.0)))
        videos = random_videos(time, (size, size))
        wanted = restated(network.state_dict(), videos * 2 - 1)
        assert wanted.std() > 0.1
        torch.testing.assert_close(network(videos), wanted, rtol=1e-10, atol=1e-10)
        features, log_p = network.features_and_log_probabilities(videos)
        torch.testing.assert_close(features, wanted, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(log_p, F.log_softmax(wanted, 1), rtol=1e-10, atol=1e-10)


def test_pooled_features_are_what_the_logits_are_made_of() -> None:
    network = small_i3d(feature_layer="pooled")
    videos = random_videos()
    features, log_p = network.features_and_log_probabilities(videos)
    assert features.shape == (2, 3 + 1 + 2 + 1) and torch.equal(features, network.features(videos))
    weight, bias = network.logits["conv3d"].weight.flatten(1), network.logits["conv3d"].bias
    torch.testing.assert_close(F.log_softmax(features @ weight.T + bias, 1), log_p)
    assert torch.equal(log_p, small_i3d().log_probabilities(videos))


def test_the_published_size() -> None:
    """12.7 million parameters (table 1 of the paper: 12 M); a clip of 224x224 has maps of 7x7 at the end."""
    with torch.device("meta"):
        network = I3D().eval()
        assert sum(parameter.numel() for parameter in network.parameters()) == 12_697_264
        seen = []
        network.get_submodule("Mixed_5c").register_forward_hook(lambda layer, inputs, output: seen.append(output.shape))
        features, log_p = network.features_and_log_probabilities(torch.empty(2, 3, 16, 240, 320))
    assert seen == [(2, 1024, 2, 7, 7)] and features.shape == log_p.shape == (2, 400)
    names = {name.split(".")[0] for name in network.state_dict()}
    mixed = {f"Mixed_{name}" for name in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")}
    assert names == mixed | {"Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "logits"}


def test_too_few_frames() -> None:
    for network in (small_i3d(), ScriptedI3D(lambda x, **_: x.mean((2, 3, 4)))):
        least = network.config.min_frames
        with pytest.raises(ValueError, match=f"at least {least} frames, not {least - 1}"):
            network.log_probabilities(random_videos(least - 1))


def test_what_steers_with_i3d_gets_a_gradient() -> None:
    network, videos = small_i3d(), random_videos(9).requires_grad_()
    gradient = torch.autograd.grad(network.log_probabilities(videos)[:, 1].sum(), videos)[0]
    assert gradient.isfinite().all() and gradient.abs().amax((1, 3, 4)).min() > 0  # at every frame


def test_a_script_gets_what_i3d_gets() -> None:
    calls = []

    def script(pixels: Tensor, **options: bool) -> Tensor:
        calls.append((pixels, options))
        return pixels.mean((2, 3, 4))

    network = ScriptedI3D(script, ScriptedI3DConfig(num_classes=3))
    features, log_p = network.features_and_log_probabilities(torch.full((1, 3, 10, 20, 30), 0.75))
    (pixels, options) = calls[0]
    assert pixels.shape == (1, 3, 10, 224, 224) and options == {
        "rescale": False, "resize": False, "return_features": True
    }  # fmt: skip
    torch.testing.assert_close(features, torch.full((1, 3), 0.5))
    torch.testing.assert_close(log_p.exp(), torch.full((1, 3), 1 / 3))


def test_scripts_that_give_something_else() -> None:
    for answer in (None, torch.zeros(2, 3), torch.zeros(1, 4), torch.zeros(1, 3, 1), torch.ones(1, 3).int()):
        network = ScriptedI3D(lambda *_, given=answer, **__: given, ScriptedI3DConfig(num_classes=3))
        with pytest.raises(ValueError, match="no 3 logits for each video"):
            network.features(torch.zeros(1, 3, 10, 8, 8))


def test_unknown_settings() -> None:
    for values in ({"stages": SMALL["stages"][:2]}, {"feature_layer": "fc7"}):
        with pytest.raises(ValueError):
            checked(I3DConfig, values)
