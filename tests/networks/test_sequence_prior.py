"""The sequence prior: its preconditioning, its transformer written out by hand, windows, and what it may depend on."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stgan.networks import SequencePrior, SequencePriorConfig
from stgan.networks.sequence_prior import cosine_transform, over_windows
from stgan.training.losses import denoising_loss

RANK, ACTIONS, FRAMES = 5, 3, 8
float64 = torch.float64


def make_prior(depth: int = 2) -> SequencePrior:
    """As training finds it: what comes out of the network is 0."""
    torch.manual_seed(0)
    config = SequencePriorConfig(rank=RANK, num_classes=ACTIONS, frames=FRAMES, width=8, depth=depth, heads=2)
    return SequencePrior(config).double().eval()


@pytest.fixture
def prior() -> SequencePrior:
    """One whose every weight matters."""
    prior = make_prior()
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    prior.spectrum.copy_(torch.rand(FRAMES, RANK) + 0.1)
    return prior


@pytest.fixture
def noisy() -> Tensor:
    return torch.randn(4, FRAMES, RANK, dtype=float64, generator=torch.Generator().manual_seed(1))


def cosines(frames: int) -> np.ndarray:
    """Row f is frequency f of the orthonormal DCT-II."""
    rows = [[math.cos(math.pi * f * (t + 0.5) / frames) for t in range(frames)] for f in range(frames)]
    return np.array([row / np.linalg.norm(row) for row in rows])


def test_the_transform_is_orthonormal() -> None:
    np.testing.assert_allclose(cosine_transform(FRAMES).numpy(), cosines(FRAMES), atol=1e-12)


@pytest.mark.parametrize("sigma", [0.02, 1.0, 20.0])
def test_at_first_it_is_the_best_denoiser_of_white_noise(sigma: float, noisy: Tensor) -> None:
    """For w from N(0, 1), E[w | w + sigma n] = w / (1 + sigma^2), whatever the action."""
    prior = make_prior()
    for actions in (None, torch.tensor([0, 1, 2, 3])):
        torch.testing.assert_close(prior.denoise(noisy, sigma, actions), noisy / (1 + sigma**2))


@pytest.mark.parametrize("sigma", [0.02, 1.0, 20.0])
def test_with_a_spectrum_it_begins_as_wieners_filter(sigma: float, noisy: Tensor) -> None:
    """For w from N(0, C), E[w | w + sigma n] = C (C + sigma^2)^-1 (w + sigma n); each coordinate has its C."""
    prior = make_prior()
    spectrum = np.random.default_rng(0).uniform(0.1, 9, (FRAMES, RANK))
    prior.spectrum.copy_(torch.from_numpy(spectrum))
    found = prior.denoise(noisy, sigma).detach().numpy()
    for coordinate in range(RANK):
        covariance = cosines(FRAMES).T @ np.diag(spectrum[:, coordinate]) @ cosines(FRAMES)
        gain = covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(FRAMES))
        np.testing.assert_allclose(
            found[..., coordinate], noisy[..., coordinate].numpy() @ gain.T, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("sigma", [0.02, 1.0, 20.0])
def test_preconditioning(sigma: float, noisy: Tensor) -> None:
    """Karras et al. 2022, Table 1, for data of unit variance."""
    prior = make_prior()
    seen: list[Tensor] = []
    prior.embed.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    prior.noise.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    torch.nn.init.constant_(prior.out.bias, 2.0)
    total = 1 + sigma**2
    torch.testing.assert_close(prior.denoise(noisy, sigma), noisy / total + 2.0 * sigma / total**0.5)
    torch.testing.assert_close(seen[0], torch.full((4, 1), math.log(sigma) / 4, dtype=float64))
    torch.testing.assert_close(seen[1], noisy / total**0.5)


def restated(prior: SequencePrior, sequence: np.ndarray, sigma: float, action: int) -> np.ndarray:
    """D(w; sigma, action) of one sequence "time rank", in numpy, a head and a frame at a time."""
    w = {name: value.numpy() for name, value in prior.state_dict().items()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def silu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    gelu = np.vectorize(lambda x: x * (1 + math.erf(x / 2**0.5)) / 2)
    given = len(sequence)
    sequence = np.concatenate([sequence, np.repeat(sequence[-1:], FRAMES - given, 0)])
    time, width, heads = len(sequence), prior.config.width, prior.config.heads
    dct, variance = cosines(time), w["spectrum"]
    told = linear("noise.2", silu(linear("noise.0", np.array([math.log(sigma) / 4])))) + w["action.weight"][action]
    x = linear("embed", dct.T @ (dct @ sequence / np.sqrt(variance + sigma**2))) + w["position"]
    for block in range(prior.config.depth):
        name = f"blocks.{block}"
        modulation = linear(f"{name}.modulation", silu(told))
        scale, shift = 1 + modulation[:width], modulation[width:]
        qkv = linear(f"{name}.qkv", norm(f"{name}.norm1", x) * scale + shift)
        attended = np.zeros((time, width))
        for head in range(heads):
            own = slice(head * width // heads, (head + 1) * width // heads)
            q, k, v = (qkv[:, part * width : (part + 1) * width][:, own] for part in range(3))
            for t in range(time):
                likeness = np.exp(k @ q[t] / math.sqrt(width / heads))
                attended[t, own] = likeness @ v / likeness.sum()
        x = x + linear(f"{name}.merge", attended)
        inner = linear(f"{name}.layers.0", norm(f"{name}.norm2", x) * scale + shift)
        x = x + linear(f"{name}.layers.3", gelu(inner))
    out = dct @ linear("out", norm("norm", x))
    share = variance / (variance + sigma**2)
    estimate = dct.T @ (share * (dct @ sequence) + sigma * np.sqrt(share) * out)
    return estimate[:given]


@pytest.mark.parametrize("time", [1, FRAMES - 3, FRAMES])
def test_estimate_equals_a_restatement_in_numpy(prior: SequencePrior, noisy: Tensor, time: int) -> None:
    sigmas, actions = [0.05, 0.7, 3.0, 15.0], [2, 0, 3, 1]
    together = prior.denoise(noisy[:, :time], torch.tensor(sigmas, dtype=float64)[:, None], torch.tensor(actions))
    for row, (sigma, action) in enumerate(zip(sigmas, actions, strict=True)):
        expected = restated(prior, noisy[row, :time].numpy(), sigma, action)
        np.testing.assert_allclose(together[row].detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_a_sequence_depends_on_no_other_of_its_batch(prior: SequencePrior, noisy: Tensor) -> None:
    actions = torch.tensor([0, 1, 2, 0])
    together = prior.denoise(noisy, 0.5, actions)
    torch.testing.assert_close(prior.denoise(noisy[2:3], 0.5, actions[2:3]), together[2:3])
    torch.testing.assert_close(prior.denoise(noisy.flip(0), 0.5, actions.flip(0)).flip(0), together)


def test_every_frame_counts_and_so_does_their_order(prior: SequencePrior, noisy: Tensor) -> None:
    estimate = prior.denoise(noisy, 0.5)
    for t in range(FRAMES):
        changed = noisy.clone()
        changed[:, t] += 1
        others = [s for s in range(FRAMES) if s != t]
        assert ((prior.denoise(changed, 0.5) - estimate)[:, others].abs().amax((0, 2)) > 1e-6).all()
    assert not torch.allclose(prior.denoise(noisy.flip(1), 0.5).flip(1), estimate)


def test_no_action_is_a_number_of_its_own(prior: SequencePrior, noisy: Tensor) -> None:
    assert prior.any_action == ACTIONS
    untold = prior.denoise(noisy, 0.5)
    assert torch.equal(prior.denoise(noisy, 0.5, torch.full((4,), ACTIONS)), untold)
    for action in range(ACTIONS):
        assert not torch.allclose(prior.denoise(noisy, 0.5, torch.full((4,), action)), untold)


def test_it_learns_to_tell_actions_apart(noisy: Tensor) -> None:
    """Sequences of 1 of one action and of -1 of another: at first there is no difference, then the right one."""
    prior = make_prior()
    actions = torch.tensor([0, 1]).repeat(8)
    clean = torch.where(actions == 0, 1.0, -1.0).double().view(-1, 1, 1).expand(-1, FRAMES, RANK).contiguous()
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.02)
    sigma = torch.full((16, 1), 3.0, dtype=float64)
    told = [prior.denoise(noisy, 3.0, torch.full((4,), action)) for action in (0, 1)]
    assert torch.equal(told[0], told[1])
    for _ in range(20):
        optimizer.zero_grad()
        loss = denoising_loss(lambda w, s: prior.denoise(w, s, actions), clean, sigma, torch.randn_like(clean))
        loss.backward()
        optimizer.step()
    told = [prior.denoise(noisy, 3.0, torch.full((4,), action)).mean() for action in (0, 1)]
    assert told[0] > 0.3 and told[1] < -0.3


def test_dropout_is_for_training_alone(prior: SequencePrior, noisy: Tensor) -> None:
    assert torch.equal(prior.denoise(noisy, 0.5), prior.denoise(noisy, 0.5))
    prior.train()
    assert not torch.equal(prior.denoise(noisy, 0.5), prior.denoise(noisy, 0.5))


@settings(max_examples=60, deadline=None)
@given(window=st.integers(1, 20), extra=st.integers(0, 60))
def test_longer_sequences_are_the_mean_over_windows_that_cover_them(window: int, extra: int) -> None:
    """Of each frame the mean of what every window that holds it says, whose places within windows differ."""
    time, starts = window + extra, []
    ramp = torch.arange(window, dtype=float64).view(1, -1, 1)
    x = torch.randn(2, time, 3, dtype=float64)

    def placed(part: Tensor) -> Tensor:
        starts.append(int((x[0, :, 0] == part[0, 0, 0]).nonzero()[0]))
        return part + ramp

    mean = over_windows(placed, x, window)
    assert starts[0] == 0 and starts[-1] == time - window
    assert all(0 < b - a <= max(1, window // 2) for a, b in pairwise(starts))
    for t in range(time):
        places = [t - start for start in starts if start <= t < start + window]
        torch.testing.assert_close(mean[:, t], x[:, t] + sum(places) / len(places))


def test_long_clips_are_denoised_window_by_window(prior: SequencePrior) -> None:
    long = torch.randn(2, 2 * FRAMES + 3, RANK, dtype=float64)
    action = torch.tensor([1, 2])
    windows = {start: prior.denoise(long[:, start : start + FRAMES], 0.7, action) for start in (0, 4, 8, 11)}
    expected = [
        torch.stack([part[:, t - start] for start, part in windows.items() if start <= t < start + FRAMES]).mean(0)
        for t in range(long.shape[1])
    ]
    torch.testing.assert_close(prior.denoise(long, 0.7, action), torch.stack(expected, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *[({"depth": depth}, "depth") for depth in (-1, 101, 10**9)],
        *[({"heads": heads}, "heads") for heads in (0, -2, 3, 8)],
        *[({"width": 12, "heads": 4}, "heads"), ({"width": 7, "heads": 1}, "heads")],
        *[({"frames": frames}, "frames") for frames in (0, -16, 1025)],
    ],
)
def test_what_cannot_be_built_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequencePriorConfig(**{"width": 8, "heads": 2, **change})
