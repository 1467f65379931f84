"""The three spaces: where they start, what they keep, and what a switched-off departure leaves."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import inflate
from stgan.sampling import MOTION, PAPER, PIXELS, PRESETS, ROBUST, Action, ClipRandomness, Init, Networks, Preset
from stgan.sampling.spaces import CodeSpace, PixelSpace, SequenceSpace, WhitenedSpace, encode


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    parts = {name: checkpoint.network for name, checkpoint in model.checkpoints.items()}
    return Networks(parts["generator"], parts["encoder"], (parts["lrcn"],), parts["code_prior"])


@pytest.fixture(scope="module")
def video() -> Tensor:
    return torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))


def left(networks: Networks) -> Action:
    return Action(networks.condition, 1)


def one(model: STGAN, preset: Preset, **options: object) -> Tensor:
    return model.generate("left", preset=preset, iterations=3, condition="lrcn", **options)


def test_pixels_start_as_faint_noise_on_grey_and_stay_in_range(model: STGAN, networks: Networks) -> None:
    space = PixelSpace(networks, PIXELS, 16, ClipRandomness([0, 1]), None, left(networks))
    start = space.videos(space.start())
    assert start.mean() == pytest.approx(0.5, abs=1e-3) and start.std() == pytest.approx(1 / 255, rel=0.05)
    far = space.videos(space.project(100 * torch.randn(2, 3, 16, 16, 16), 0))
    assert far.min() == 0 and far.max() == 1


def test_pixels_need_no_generator(model: STGAN, networks: Networks) -> None:
    def fail(*arguments: object) -> None:
        pytest.fail("a generator was asked")

    hooks = [network.register_forward_pre_hook(fail) for network in (networks.image_generator, networks.code_prior)]
    try:
        samples = model.sample(model.steering(condition="lrcn"), "left", [0], 0, replace(PIXELS, iterations=3))
    finally:
        for hook in hooks:
            hook.remove()
    assert samples.codes is None
    # Three steps whose mean size is 1, 0.55 and 0.1 grey levels, on noise of about one.
    assert (samples.videos - 0.5).abs().mean() < 3 / 255


def test_lambda_pulls_codes_and_pixels_to_nothing(model: STGAN) -> None:
    for preset in (PAPER, PIXELS):
        loose, tight = (
            model.sample(
                model.steering(condition="lrcn"), "left", [0], 0, replace(preset, iterations=20, regularization=weight)
            )
            for weight in (0.0, 100.0)
        )
        sizes = [s.videos.sub(0.5).abs().sum() if s.codes is None else s.codes.abs().sum() for s in (loose, tight)]
        assert sizes[1] < sizes[0] / 2


def test_a_video_to_start_from_is_where_each_space_starts(networks: Networks, video: Tensor) -> None:
    init, random = Init(video, 0.01), ClipRandomness([0, 1])
    codes = encode(networks.encoder, video)
    torch.testing.assert_close(
        CodeSpace(networks, PAPER, 16, random, init, left(networks)).start(), codes.expand(2, -1, -1)
    )
    pixels = PixelSpace(networks, PIXELS, 16, random, init, left(networks))
    torch.testing.assert_close(pixels.videos(pixels.start()), video.expand(2, -1, -1, -1, -1))
    prior = networks.code_prior
    start = WhitenedSpace(networks, replace(ROBUST, noise_level=(1.0, 1e-6)), 16, random, init, left(networks)).start()
    shared = prior.share_appearance(prior.whiten(codes))
    torch.testing.assert_close(start, shared.expand(2, -1, -1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("strength", "first"), [(1.0, 4.0), (0.5, 2.0), (0.25, 2**0.5)])
def test_strength_is_how_much_of_the_annealing_is_still_to_come(
    networks: Networks, video: Tensor, strength: float, first: float
) -> None:
    preset = replace(ROBUST, noise_level=(4.0, 1.0), iterations=7)
    space = WhitenedSpace(networks, preset, 16, ClipRandomness([0]), Init(video, strength), left(networks))
    assert space.sigmas[0] == pytest.approx(first) and space.sigmas[-1] == 1.0
    assert len(space.sigmas) == 8 and len(space.learning_rates) == 7


def test_what_is_kept_of_the_video_stays_through_every_step(networks: Networks, video: Tensor) -> None:
    space = WhitenedSpace(networks, ROBUST, 16, ClipRandomness([0]), Init(video, 1.0), left(networks))
    known = networks.code_prior.share_appearance(networks.code_prior.whiten(encode(networks.encoder, video)))
    h = space.start()
    for iteration in range(ROBUST.iterations):
        h = space.project(h + torch.randn_like(h), iteration)
        torch.testing.assert_close(h[..., :1], (known + space.sigmas[iteration + 1] * space.noise)[..., :1])


@pytest.mark.parametrize("preset", [ROBUST, PAPER, PIXELS], ids=lambda preset: preset.name)
def test_a_clip_from_a_video_depends_on_it_and_not_on_the_batch(model: STGAN, preset: Preset, video: Tensor) -> None:
    chosen, init = replace(preset, iterations=3), model.init(video)
    batch = model.sample(model.steering(), "left", [1, 0], 0, chosen, init=init)
    alone = model.sample(model.steering(), "left", [0], 0, chosen, init=init)
    torch.testing.assert_close(batch.videos[1:], alone.videos, atol=1e-3, rtol=0)
    assert (one(model, preset, init=video) - one(model, preset)).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(3, 16, 16, 16), (3, 40, 24, 50), (3, 1, 90, 20), (3, 5, 8, 8)])
def test_any_video_is_brought_to_size_and_length(model: STGAN, shape: tuple[int, ...]) -> None:
    init = model.init(torch.rand(*shape), frames=12)
    assert init.video.shape == (3, 12, 16, 16) and init.video.min() >= 0 and init.video.max() <= 1


def test_the_middle_of_a_long_video_is_taken_and_a_short_one_turns_back(model: STGAN) -> None:
    counting = (torch.arange(10) / 10).view(1, 10, 1, 1).expand(3, -1, 16, 16)
    assert (model.init(counting, frames=4).video[0, :, 0, 0] * 10).round().tolist() == [3, 4, 5, 6]
    assert (model.init(counting[:, :3], frames=7).video[0, :, 0, 0] * 10).round().tolist() == [0, 1, 2, 1, 0, 1, 2]


def test_appearance_is_shared_unless_it_is_switched_off(model: STGAN, networks: Networks) -> None:
    appearance = networks.code_prior.config.appearance_rank

    def drift(preset: Preset) -> Tensor:
        space = WhitenedSpace(networks, preset, 16, ClipRandomness([0]), None, left(networks))
        h = space.project(space.start() + torch.randn(1, 16, 6), 0)
        return h[..., :appearance].diff(dim=1).abs().max()

    assert drift(ROBUST) < 1e-6 < 0.1 < drift(replace(ROBUST, share_appearance=False))


@pytest.mark.parametrize(
    "change",
    [
        {"temporal_kernel": (1 / 3, 1 / 3, 1 / 3)},
        {"temporal_padding": "zeros"},
        {"space": "codes"},
        {"noise_level": (0.5, 0.1)},
        {"shift": 0},
        {"video_noise": 0.0},
        {"share_appearance": False},
        {"own_noise_frames": 0.0},
        {"goal": 1.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_departure_of_robust_can_be_switched_off_alone(model: STGAN, change: dict) -> None:
    eager = replace(ROBUST, goal=0.2, patience=2)  # an untrained network is at 1/3 at once, so that goals matter
    assert not torch.equal(one(model, replace(eager, **change)), one(model, eager))


def test_only_actions_have_a_goal(model: STGAN) -> None:
    preset = replace(ROBUST, goal=1e-6, patience=1, iterations=5)
    assert model.sample(model.steering(condition="lrcn"), "left", [0], 0, preset).steps.tolist() == [1]
    target = model.steering(condition="lrcn", target="lstm")
    assert model.sample(target, "lrcn.lstm", [0], 0, preset).steps.tolist() == [5]


@pytest.mark.parametrize("preset", ["robust", "paper", "pixels"])
def test_targets_are_activated(model: STGAN, preset: str) -> None:
    chosen = model.preset(preset, 20)
    for target, condition in (("lstm:3", "lrcn"), ("convolutions.1:5,4,2,2", "c3d")):
        values: list[float] = []
        steering = model.steering(condition=condition, target=target)
        samples = model.sample(
            steering, *steering.objectives, [0], 0, chosen,
            on_iteration=lambda i, value, render, v=values: v.append(float(value[0])),
        )  # fmt: skip
        assert samples.value[0] > values[0]
    with pytest.raises(StganError, match="name which"):
        model.steering(target="lstm:3")


def test_the_last_iteration_shows_what_is_returned(model: STGAN) -> None:
    for preset in ("motion", "robust", "paper", "pixels"):
        shown: list[Tensor] = []
        videos = model.generate(
            "left", preset=preset, iterations=3, on_iteration=lambda i, value, render, s=shown: s.append(render())
        )
        assert len(shown) == 3 and torch.equal(shown[-1], videos) and not torch.equal(shown[0], videos)


def test_sampling_leaves_networks_as_they_were(model: STGAN) -> None:
    for checkpoint in model.checkpoints.values():
        assert isinstance(checkpoint.network, nn.Module)
        assert not checkpoint.network.training
        assert all(parameter.grad is None for parameter in checkpoint.network.parameters())


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_bfloat16_seeks_and_float32_keeps(model: STGAN, preset: Preset) -> None:
    """What is sought in bfloat16 differs by little; what is kept is what float32 makes of its codes, to the bit."""
    exact = replace(preset, iterations=4, goal=1.0, steered_below=math.inf, proposals=1)
    rough = replace(exact, precision="bf16-mixed")
    wanted, samples = (model.sample(model.steering(condition="lrcn"), "left", [0], 0, each) for each in (exact, rough))
    assert samples.videos.dtype == samples.value.dtype == torch.float32
    assert 0 < (samples.videos - wanted.videos).abs().mean() < 0.05
    assert samples.value == pytest.approx(wanted.value, abs=0.02)
    if samples.codes is None:
        return
    networks = model.steering(condition="lrcn").networks
    generator = inflate(networks.image_generator, preset.temporal_kernel, preset.temporal_padding)
    with torch.no_grad():
        assert torch.equal(samples.videos, networks.kept(generator(samples.codes)).clamp(0, 1))


@pytest.mark.parametrize(("precision", "around"), [("32-true", False), ("32-true", True), ("bf16-mixed", False)])
def test_what_computes_in_bfloat16(model: STGAN, precision: str, around: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proposals and steps, and PPGN's reconstruction; not what is kept, unless the caller wants all of it so."""
    seen: list[bool] = []
    monkeypatch.setattr(
        SequenceSpace, "videos",
        lambda self, codes: seen.append(torch.is_autocast_enabled("cpu")) or self.networks.kept(self.generator(codes)),
    )  # fmt: skip
    preset = replace(MOTION, iterations=4, goal=1.0, steered_below=math.inf, precision=precision)
    with torch.autocast("cpu", torch.bfloat16, enabled=around):
        model.sample(model.steering(condition="lrcn"), "left", [0], 0, preset)
        assert seen == [precision == "bf16-mixed" or around] * 5 + [around]
        networks, kinds = model.steering(condition="lrcn").networks, []
        hook = networks.encoder.register_forward_hook(lambda *_: kinds.append(torch.is_autocast_enabled("cpu")))
        preset = replace(PAPER, precision=precision)
        space = CodeSpace(networks, preset, 16, ClipRandomness([0]), None, left(networks))
        codes = torch.rand(1, 16, networks.image_generator.config.code_size)
        assert space.reconstruct(codes, 0).dtype == torch.float32
        hook.remove()
    assert kinds == [precision == "bf16-mixed" or around]
