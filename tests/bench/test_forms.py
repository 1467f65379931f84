"""The two forms of Table 1's generator side by side, at a hundredth of its width."""

import json

import pytest
import torch

from stgan.bench.forms import SamePattern, compare, errors, passes, record, relative
from stgan.bench.paper_scale import Scale
from stgan.networks import GeneratorConfig, ImageGenerator, inflate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def generator() -> ImageGenerator:
    torch.manual_seed(0)
    return ImageGenerator(GeneratorConfig(code_size=8, hidden_size=8, base_channels=4, stages=((4, 6), (4,))))


def test_the_record_says_what_was_compared() -> None:
    scale, rounds = Scale(frames=3, width=0.01), []
    comparison = compare(scale, CPU, rounds=2, on_round=lambda: rounds.append(1))
    assert len(rounds) == comparison.rounds == 2
    assert comparison.conv3d.trunk_flops == 3 * comparison.factorised.trunk_flops
    for form in (comparison.conv3d, comparison.factorised):
        assert 0 < form.trunk_seconds < form.seconds
    written = json.loads(json.dumps(record(comparison, scale, CPU)))
    assert written["speedup"] == written["conv3d_s"] / written["factorised_s"]
    assert written["relative_error"] == max(comparison.output_error, comparison.gradient_error) < 1e-5
    assert written["share_of_matmul"] == pytest.approx(written["factorised_gflops"] / written["matmul_gflops"])
    assert written["frames"] == 3 and written["memory_format"] in ("contiguous", "channels_last_3d")


def test_the_trunk_is_what_lies_between_the_inner_products_and_the_video(generator: ImageGenerator) -> None:
    network, ticks = inflate(generator), iter(range(10))
    assert passes(network, network, torch.rand(1, 3, 8), lambda: next(ticks)) == (3, 1)


def test_a_wrong_form_is_found_out(generator: ImageGenerator) -> None:
    network, wrong = inflate(generator), inflate(generator, (0.2, 0.6, 0.2))
    codes = torch.rand(2, 5, 8, generator=torch.Generator().manual_seed(1))
    found = errors(network.forward_conv3d, network, codes)
    assert 0 < found["output_error"] < 1e-6 and 0 < found["gradient_error"] < 1e-5
    found = errors(network.forward_conv3d, wrong, codes)
    assert min(found.values()) > 1e-3


def test_the_same_units_are_active(generator: ImageGenerator) -> None:
    """At the input of the first block, and for another one at the slopes of the first, whatever its layout."""
    network, codes = inflate(generator), torch.rand(2, 5, 8)
    pattern = SamePattern()
    with pattern:
        first = network(codes)
    assert torch.equal(first, network(codes))
    for form in (network, network.forward_conv3d):
        with pattern:
            doubled = form(codes)
        assert relative(doubled, first) < 1e-6
    with pattern:
        other = network(-codes)
    assert relative(other, network(-codes)) > 1e-3
