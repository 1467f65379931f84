"""PPGN's update on codes and on pixels, and what all samplers have in common."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import MapVideoGenerator, inflate
from stgan.sampling import (
    MOTION,
    PAPER,
    PIXELS,
    PRESETS,
    ROBUST,
    Action,
    ClipPriorSettings,
    ClipRandomness,
    GuidedSettings,
    Init,
    Networks,
    SamplerSettings,
    sample,
)
from stgan.sampling.ppgn import Codes, Pixels, linear_schedule
from stgan.sampling.starts import encode
from stgan.sampling.task import Task


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    parts = {name: checkpoint.network for name, checkpoint in model.checkpoints.items()}
    maps = {role: parts[role] for role in ("map_codec", "frame_prior")}
    return Networks(parts["generator"], parts["encoder"], (parts["lrcn"],), **maps)


@pytest.fixture(scope="module")
def video() -> Tensor:
    return torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def task(networks: Networks) -> Task:
    return Task(networks, Action(networks.condition, 1), ClipRandomness([0, 1]), 16)


def one(model: STGAN, preset: SamplerSettings, **options: object) -> Tensor:
    return model.generate("left", preset=preset, iterations=3, condition="lrcn", **options)


def test_pixels_start_as_faint_noise_on_grey_and_stay_in_range(task: Task) -> None:
    pixels = Pixels(task, PIXELS)
    start = pixels.videos(pixels.start())
    assert start.mean() == pytest.approx(0.5, abs=1e-3) and start.std() == pytest.approx(1 / 255, rel=0.05)
    far = pixels.videos(pixels.clip(100 * torch.randn(2, 3, 16, 16, 16)))
    assert far.min() == 0 and far.max() == 1


def test_learning_rates_fall_linearly_to_the_second_value() -> None:
    assert linear_schedule(1.0, 0.1, 4) == pytest.approx([1.0, 0.7, 0.4, 0.1])
    assert linear_schedule(1.0, 0.1, 1) == [1.0]


def test_pixels_need_no_generator(model: STGAN, networks: Networks) -> None:
    def fail(*arguments: object) -> None:
        pytest.fail("a generator was asked")

    generators = (networks.image_generator, networks.map_codec.generator)
    hooks = [network.register_forward_pre_hook(fail) for network in generators]
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


def test_a_video_to_start_from_is_where_codes_and_pixels_start(task: Task, video: Tensor) -> None:
    task = replace(task, init=Init(video, 0.01))
    assert PAPER.inflation is not None
    torch.testing.assert_close(
        Codes(task, PAPER, PAPER.inflation).start(), encode(task.networks.encoder, video).expand(2, -1, -1)
    )
    pixels = Pixels(task, PIXELS)
    torch.testing.assert_close(pixels.videos(pixels.start()), video.expand(2, -1, -1, -1, -1))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_clip_from_a_video_depends_on_it_and_not_on_the_batch(
    model: STGAN, preset: SamplerSettings, video: Tensor
) -> None:
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


def test_only_actions_have_a_goal(model: STGAN) -> None:
    preset = replace(ROBUST, goal=1e-6, patience=1, iterations=5)
    assert model.sample(model.steering(condition="lrcn"), "left", [0], 0, preset).steps.tolist() == [1]
    target = model.steering(condition="lrcn", target="lstm")
    assert model.sample(target, "lrcn.lstm", [0], 0, preset).steps.tolist() == [5]


@pytest.mark.parametrize("preset", ["robust", "paper", "pixels"])
def test_targets_are_activated(model: STGAN, preset: str) -> None:
    chosen = model.preset(preset, 20)
    for target, condition in (("lstm:3", "lrcn"), ("convolutions.1:0,4,2,2", "c3d")):
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
def test_bfloat16_optimises_and_float32_renders(model: STGAN, preset: SamplerSettings) -> None:
    """The clip in bfloat16 differs by little; its video is what float32 makes of its codes, to the bit."""
    exact = replace(preset, iterations=4, goal=1.0)
    if isinstance(exact, GuidedSettings):
        exact = replace(exact, guided_below=None)
        if isinstance(exact.prior, ClipPriorSettings):
            exact = replace(exact, prior=replace(exact.prior, proposals=1))
    rough = replace(exact, precision="bf16-mixed")
    wanted, samples = (model.sample(model.steering(condition="lrcn"), "left", [0], 0, each) for each in (exact, rough))
    assert samples.videos.dtype == samples.value.dtype == torch.float32
    assert 0 < (samples.videos - wanted.videos).abs().mean() < 0.05
    assert samples.value == pytest.approx(wanted.value, abs=0.02)
    if samples.codes is None:
        return
    networks = model.steering(condition="lrcn").networks
    inflation = preset.inflation  # type: ignore[attr-defined]
    if isinstance(preset, GuidedSettings):
        generator = MapVideoGenerator(networks.map_codec.generator, inflation.kernel, inflation.padding)
    else:
        generator = inflate(networks.image_generator, inflation.kernel, inflation.padding)
    with torch.no_grad():
        assert torch.equal(samples.videos, networks.crop(generator(samples.codes)).clamp(0, 1))


@pytest.mark.parametrize(("precision", "around"), [("32-true", False), ("32-true", True), ("bf16-mixed", False)])
def test_what_computes_in_bfloat16(model: STGAN, precision: str, around: bool) -> None:
    """The frame, proposals, steps and PPGN's reconstruction; not the finished clip.

    Unless the caller wants all of it so.
    """
    seen: dict[str, list[bool]] = {}

    def timer(part: str, function: Callable[..., Tensor], *inputs: Any) -> Tensor:
        seen.setdefault(part, []).append(torch.is_autocast_enabled("cpu"))
        return function(*inputs)

    within, networks = precision == "bf16-mixed" or around, model.steering(condition="lrcn").networks
    prior = ClipPriorSettings(proposals=2)
    motion = replace(MOTION, prior=prior, iterations=4, goal=1.0, guided_below=None, precision=precision)
    paper = replace(PAPER, iterations=2, precision=precision)
    with torch.autocast("cpu", torch.bfloat16, enabled=around):
        sample(networks, Action(networks.condition, 1), [0], motion, timer=timer)
        *during, finished = seen["generator"]
        assert set(during) == {within} and len(during) > 5 and finished == around
        assert set(seen["prior"]) == {within}
        sample(networks, Action(networks.condition, 1), [0], paper, timer=timer)
    assert seen["reconstruction_encoder"] == seen["reconstruction_generator"] == [within] * 2


class Greedy(nn.Module):
    """A condition network that needs more memory than there is for more than so many clips."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.most, self.error = most, error
        self.asked: list[int] = []

    def log_probabilities(self, videos: Tensor) -> Tensor:
        self.asked.append(len(videos))
        if len(videos) > self.most:
            raise self.error
        return videos.mean((1, 2, 3, 4))[:, None]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory."),
    ],
    ids=repr,
)
def test_out_of_memory_names_a_smaller_batch(networks: Networks, error: Exception) -> None:
    settings = replace(ROBUST, iterations=50)
    greedy = Greedy(3, error)
    with pytest.raises(StganError, match=r"memory to make 8 clips of 16 frames at a time; try a batch of 4"):
        sample(networks, Action((greedy,), 0), range(8), settings)
    assert set(greedy.asked) == {8}
    with pytest.raises(StganError, match=r"memory to make 1 clips .* make shorter clips"):
        sample(networks, Action((Greedy(0, error),), 0), range(1), settings)


def test_other_errors_stay_what_they_are(networks: Networks) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        sample(networks, Action((Greedy(0, RuntimeError("shapes differ")),), 0), range(2), ROBUST)
