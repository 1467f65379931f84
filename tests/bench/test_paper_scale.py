"""The paper's networks at any width, with random weights that steer."""

import json
import math
from dataclasses import replace

import pytest
import torch

from stgan.bench import estimate
from stgan.bench.paper_scale import CONDITION, Scale, record
from stgan.errors import StganError
from stgan.networks import AlexNetConfig, C3DConfig, GeneratorConfig, LRCNConfig, inflate
from stgan.sampling import PAPER, Action, sample

TINY = Scale(frames=16, width=0.01)


def test_full_width_is_the_paper_s() -> None:
    full = Scale()
    assert full.generator() == GeneratorConfig() and full.encoder() == AlexNetConfig()
    assert full.lrcn() == LRCNConfig() and full.c3d() == C3DConfig()


def test_other_widths_fit_together() -> None:
    for condition in CONDITION:
        for width in (0.01, 0.3, 1.7):
            networks = Scale(width=width).networks(condition, "meta")
            assert networks.encoder.config.code_size == networks.image_generator.config.code_size
            assert networks.image_generator.config.image_size == 256
            codes = torch.empty(16, networks.image_generator.config.code_size, device="meta")
            images = networks.image_generator(codes)
            assert networks.encoder(images).shape == codes.shape
            videos = images.transpose(0, 1).unsqueeze(0)
            assert networks.condition[0].log_probabilities(videos).shape == (1, 101)


@pytest.mark.parametrize("condition", CONDITION)
def test_random_weights_steer(condition: str) -> None:
    """Neither vanishing nor overflowing: an untrained classifier is undecided, and the codes move."""
    networks = replace(TINY, width=0.05).networks(condition, "cpu")
    samples = sample(networks, Action(networks.condition, 3), [0], replace(PAPER, iterations=3))
    assert 0.01 < float(samples.videos.std()) < 1
    assert float(samples.value) == pytest.approx(math.log(1 / 101), abs=1.5)
    h = torch.rand(1, 16, networks.image_generator.config.code_size, requires_grad=True)
    value = Action(networks.condition, 3)(inflate(networks.image_generator)(h))
    (gradient,) = torch.autograd.grad(value.sum(), h)
    assert float((gradient.abs() > 1e-12).float().mean()) > 0.9 and float(gradient.abs().max()) < 1


def test_weights_hang_on_the_seed() -> None:
    def first(seed: int) -> torch.Tensor:
        return TINY.networks("lrcn", "cpu", seed).image_generator.fc8.weight

    assert torch.equal(first(1), first(1)) and not torch.equal(first(1), first(2))


def test_memory_needed_at_full_size() -> None:
    """GB as `stgan bench paper-scale` measured them for 1, 2 and 4 clips at a time on two CPU cores."""
    for condition, measured in (("lrcn", (1.56, 1.97, 2.88)), ("c3d", (1.34, 1.68, 2.38))):
        needed = [Scale(batch=batch).memory_needed(condition) / 1e9 for batch in (1, 2, 4)]
        assert needed == pytest.approx(measured, rel=0.08)


def test_what_there_is_not() -> None:
    for scale, condition, sentence in (
        ({}, "tea", "unknown condition 'tea'; there are lrcn and c3d"),
        ({"frames": 15}, "c3d", "c3d takes clips of at least 16 frames, not 15"),
        ({"width": 0.001}, "c3d", "the width must be from 0.01 to 4, not 0.001"),
        ({"width": math.nan}, "c3d", "the width must be from 0.01 to 4, not nan"),
    ):
        with pytest.raises(StganError, match=sentence):
            Scale(**scale).networks(condition, "meta")  # type: ignore[arg-type]


def test_the_record() -> None:
    scale = replace(TINY, frames=2, batch=2)
    figures = estimate(scale.networks("lrcn", "cpu"), frames=2, batch=2, iterations=1)
    plain = estimate(scale.networks("lrcn", "cpu"), frames=2, batch=2, iterations=1, conv3d=True)
    written = record({"lrcn": figures}, {"lrcn": plain}, scale, torch.device("cpu"), "float32", 1e9, 500, 1.0)
    assert json.loads(json.dumps(written)) == written
    assert {name: written[name] for name in ("preset", "frames", "batch", "width", "device", "num_videos")} == {
        "preset": "paper", "frames": 2, "batch": 2, "width": 0.01, "device": "cpu", "num_videos": 500,
    }  # fmt: skip
    of = written["conditions"]["lrcn"]
    assert of["flops_per_iteration"] == sum(part["flops"] for part in of["parts"].values()) > 0
    assert of["seconds_at_floor"] == of["flops_per_iteration"] / 1e9
    assert of["flops_per_second"] == of["flops_per_iteration"] / of["seconds_per_iteration"]
    assert of["hours_for_num_videos"] == pytest.approx(500 * of["seconds_per_video"] / 3600)
    assert of["peak_memory_bytes"] > of["weights_bytes"] > 0
    assert plain.parts["generator_forward"].flops > 2 * figures.parts["generator_forward"].flops
    assert plain.parts["reconstruction_generator"].flops == figures.parts["reconstruction_generator"].flops
    without = record({"lrcn": figures}, {}, scale, torch.device("cpu"), "float32", 1e9, 500, 1.0)
    assert of["conv3d"]["speedup"] > 0 and without["conditions"]["lrcn"]["conv3d"] is None


def test_the_largest_batch_needs_what_there_is() -> None:
    scale = replace(TINY, frames=2)
    most = scale.largest_batch("lrcn", 5e7)
    assert (
        replace(scale, batch=most).memory_needed("lrcn") <= 5e7 < replace(scale, batch=most + 2).memory_needed("lrcn")
    )
    assert scale.largest_batch("lrcn", 10.0) == 0
