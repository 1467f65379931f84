"""What an iteration costs: the operations against counts by hand, the seconds against a clock that the test turns."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from stgan.bench import PARTS, Estimate, TimedPart, estimate
from stgan.bench.estimating import inflate_as_conv3d
from stgan.bench.operations import OperationCounter
from stgan.bench.paper_scale import Scale
from stgan.bench.parts import REST, PartTimer
from stgan.errors import StganError
from stgan.networks import C3D, LRCN, AlexNet, ImageGenerator, inflate
from stgan.sampling import PAPER, ROBUST, Action, Networks, sample

T = 16
FIRST_STATE = 4
"""Gates of an LSTM: where it is computed step by step, nobody asks for the gradient of the state before the first."""
TINY = Scale(frames=2, width=0.01)


def by_hand_generator(frames: int = T) -> int:
    """Multiply-adds of Table 1's layers, of as many frames, without their mixing in time.

    An inner product has inputs x outputs of them. A transposed convolution puts its kernel down at each pixel of its
    input, so it has (side of its input)^2 x kernel^2 x channels in x channels out.
    """
    inner_products = 3 * 4096 * 4096  # fc8, fc7, fc6: 50.3 M
    layers = [
        4**2 * 4**2 * 256 * 256,  # upconv5: 16.8 M
        8**2 * 3**2 * 256 * 512,  # conv5: 75.5 M
        8**2 * 4**2 * 512 * 256,  # upconv4: 134.2 M
        16**2 * 3**2 * 256 * 256,  # conv4: 151.0 M
        16**2 * 4**2 * 256 * 128,  # upconv3: 134.2 M
        32**2 * 3**2 * 128 * 128,  # conv3: 151.0 M
        32**2 * 4**2 * 128 * 64,  # upconv2: 134.2 M
        64**2 * 4**2 * 64 * 32,  # upconv1: 134.2 M
        128**2 * 4**2 * 32 * 3,  # upconv0: 25.2 M
    ]
    return frames * (inner_products + sum(layers))  # a frame: 1006.6 M


def by_hand_mixing() -> int:
    """Multiply-adds of the mixing of frames: a 16 x 16 matrix times the inputs of layers, of the last its output."""
    mixed = [
        256 * 4**2, 256 * 8**2, 512 * 8**2, 256 * 16**2, 256 * 16**2, 128 * 32**2, 128 * 32**2, 64 * 64**2, 3 * 256**2,
    ]  # fmt: skip
    return T * T * sum(mixed)  # 0.231 G


def by_hand_c3d() -> int:
    """Multiply-adds of C3D: of a 3x3x3 convolution 27 x pixels x frames x channels in x channels out."""
    convolutions = [
        112**2 * 16 * 3 * 64,
        56**2 * 16 * 64 * 128,
        28**2 * 8 * (128 * 256 + 256 * 256),
        14**2 * 4 * (256 * 512 + 512 * 512),
        7**2 * 2 * (512 * 512 + 512 * 512),
    ]
    return 27 * sum(convolutions) + 8192 * 4096 + 4096 * 4096 + 4096 * 101


def by_hand_caffenet() -> int:
    """Multiply-adds of CaffeNet to fc6, of a frame: pixels x kernel^2 x channels in, of a group, x channels out."""
    convolutions = [
        55**2 * 11**2 * 3 * 96,
        27**2 * 5**2 * 48 * 256,
        13**2 * 3**2 * 256 * 384,
        13**2 * 3**2 * 192 * 384,
        13**2 * 3**2 * 192 * 256,
    ]
    normalisations = [27**2 * 96**2, 13**2 * 256**2]
    return sum(convolutions) + sum(normalisations) + 9216 * 4096


def by_hand_lrcn() -> int:
    """Multiply-adds of LRCN: of each frame the hybrid network, the LSTM's four gates of 256 units, and fc8."""
    convolutions = [
        111**2 * 7**2 * 3 * 96,
        26**2 * 5**2 * 48 * 384,
        13**2 * 3**2 * 384 * 512,
        13**2 * 3**2 * 256 * 512,
        13**2 * 3**2 * 256 * 384,
    ]
    convolutions += [55**2 * 96**2, 13**2 * 384**2]  # of the normalisations: sums over channels
    return T * (sum(convolutions) + 13824 * 4096 + 4 * 256 * (4096 + 256) + 256 * 101)


def meta(network: type[nn.Module]) -> Any:
    with torch.device("meta"):
        return network().eval().requires_grad_(False)


def operations(function: Any, *sizes: tuple[int, ...]) -> list[int]:
    """Of a function of tensors of these sizes, and of its gradient with respect to them."""
    inputs = [torch.empty(size, device="meta", requires_grad=True) for size in sizes]
    with OperationCounter() as counter:
        output = function(*inputs)
        forward = counter.total
        torch.autograd.grad(output.sum(), inputs)
    return [forward, counter.total - forward]


def test_operations_of_table_1() -> None:
    expected = 2 * (by_hand_generator() + by_hand_mixing())
    assert expected == 32_675_725_312
    assert operations(inflate(meta(ImageGenerator)), (1, T, 4096)) == [expected, expected]
    assert operations(meta(ImageGenerator), (T, 4096)) == [2 * by_hand_generator()] * 2


def test_three_frames_of_each_layer_cost_three_times_as_much_as_plain_3d_convolutions() -> None:
    counted, _ = operations(inflate(meta(ImageGenerator)).forward_conv3d, (1, T, 4096))
    inner = T * 3 * 4096**2
    assert counted == 2 * (inner + 3 * (by_hand_generator() - inner))


@pytest.mark.parametrize(
    ("network", "size", "forward", "less_backward"),
    [
        (C3D, (1, 3, T, 256, 256), by_hand_c3d(), 0),
        (LRCN, (1, 3, T, 256, 256), by_hand_lrcn(), FIRST_STATE * 256 * 256),
        (AlexNet, (1, 3, 256, 256), by_hand_caffenet(), 0),
    ],
)
def test_operations_of_the_other_networks(
    network: type[nn.Module], size: tuple[int, ...], forward: int, less_backward: int
) -> None:
    built = meta(network)
    counted = operations(getattr(built, "log_probabilities", built), size)
    assert counted == [2 * forward, 2 * (forward - less_backward)]


def test_an_lstm_counts_alike_however_it_is_computed() -> None:
    """On the CPU it is one operation, on the meta device many."""
    lstm, x = nn.LSTM(12, 5, batch_first=True).requires_grad_(False), torch.rand(2, 7, 12, requires_grad=True)
    with OperationCounter() as counter:
        torch.autograd.grad(lstm(x)[0].sum(), x)
    assert counter.total == 2 * (2 * (2 * 7) * 4 * 5 * (12 + 5))
    with torch.device("meta"):
        same = nn.LSTM(12, 5, batch_first=True).requires_grad_(False)
    assert sum(operations(lambda x: same(x)[0], (2, 7, 12))) == counter.total - 2 * 2 * FIRST_STATE * 5 * 5


@pytest.mark.parametrize(("condition", "frames"), [("lrcn", 2), ("c3d", 16)])
def test_an_iteration_is_what_its_parts_are(condition: str, frames: int) -> None:
    scale = replace(TINY, frames=frames)
    networks = scale.networks(condition, "cpu")
    iterations = []
    figures = estimate(networks, frames=frames, iterations=2, on_iteration=lambda: iterations.append(1))
    assert len(iterations) == 3 and figures.iterations == 100 and figures.iterations_timed == 2
    assert tuple(figures.parts) == PARTS
    without = scale.networks(condition, "meta")
    code, size = without.image_generator.config.code_size, without.image_generator.config.image_size
    counted = {
        "generator": operations(inflate(without.image_generator), (1, frames, code)),
        "condition": operations(without.condition[0].log_probabilities, (1, 3, frames, size, size)),
    }
    flops = {name: part.flops for name, part in figures.parts.items()}
    assert [flops["generator_forward"], flops["generator_backward"]] == counted["generator"]
    assert flops["condition_forward"] == flops["condition_backward"] == counted["condition"][0]
    assert flops["reconstruction_generator"] == operations(without.image_generator, (frames, code))[0]
    assert flops["reconstruction_encoder"] == operations(without.encoder, (frames, 3, size, size))[0]
    assert flops["update"] == 0
    assert all(part.seconds > 0 for part in figures.parts.values()) and figures.seconds_at_end > 0
    assert figures.seconds_range[0] <= figures.seconds_per_iteration <= figures.seconds_range[1]
    assert figures.weights_bytes < figures.peak_memory_bytes


class Clock:
    """A clock that goes only where a test lets it go."""

    now = 100.0

    def tick(self, seconds: float) -> None:
        self.now += seconds

    def ticking(self, forward: float, backward: float) -> Any:
        """A module hook: so many seconds as it runs, and so many as the gradient passes."""

        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.tick(forward)
            if output.requires_grad:
                output.register_hook(lambda gradient: self.tick(backward))

        return hook


def test_seconds_belong_to_the_part_that_took_them(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, networks = Clock(), TINY.networks("lrcn", "cpu")
    generator, encoder, (condition,) = networks.image_generator, networks.encoder, networks.condition
    assert isinstance(condition, LRCN)
    monkeypatch.setattr("stgan.bench.estimating.time", SimpleNamespace(perf_counter=lambda: clock.now))
    generator.fc6.register_forward_hook(clock.ticking(1, 2))
    encoder.register_forward_hook(clock.ticking(4, 0))
    condition.frame_network.register_forward_hook(clock.ticking(8, 16))
    figures = estimate(networks, frames=2, iterations=3)
    assert {name: part.seconds for name, part in figures.parts.items()} == {
        "generator_forward": 1,
        "condition_forward": 8,
        "condition_backward": 16,
        "generator_backward": 2,
        "reconstruction_generator": 1,
        "reconstruction_encoder": 4,
        "update": 0,
    }
    assert figures.seconds_per_iteration == 32 and figures.seconds_range == (32, 32)
    assert figures.seconds_at_end == 1 + 8  # rendered and judged once more
    assert figures.seconds_per_video == 100 * 32 + 9


def test_the_iteration_that_is_shown_is_the_middle_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, networks = Clock(), TINY.networks("lrcn", "cpu")
    monkeypatch.setattr("stgan.bench.estimating.time", SimpleNamespace(perf_counter=lambda: clock.now))
    durations = iter([50.0, 3.0, 9.0, 5.0, 4.0])  # the first is not timed
    networks.encoder.register_forward_hook(lambda *_: clock.tick(next(durations)))
    figures = estimate(networks, frames=2, iterations=4)
    assert figures.seconds_per_iteration == figures.parts["reconstruction_encoder"].seconds == 4
    assert figures.seconds_range == (3, 9)


def test_the_published_form_is_what_is_timed_and_makes_the_same_videos() -> None:
    networks, preset = TINY.networks("lrcn", "cpu"), replace(PAPER, iterations=2)
    published = replace(networks, inflate=inflate_as_conv3d)
    one, other = (
        sample(each, Action(each.condition, 0), [5], preset, frames=2).videos for each in (networks, published)
    )
    torch.testing.assert_close(one, other, atol=1e-3, rtol=0)
    plain, conv3d = (estimate(networks, frames=2, iterations=1, conv3d=form) for form in (False, True))
    assert conv3d.parts["generator_forward"].flops > 1.5 * plain.parts["generator_forward"].flops


@given(st.lists(st.tuples(st.sampled_from(("prior", "generator", REST, "lap")), st.integers(0, 1000))))
def test_nothing_is_lost_between_parts(events: list[tuple[str, int]]) -> None:
    """In whichever order parts run, all laps together are all that was read."""
    clock = Clock()
    started, timer = clock.now, PartTimer(lambda: clock.now)
    for part, seconds in events:
        clock.tick(seconds)
        if part == "lap":
            timer.lap()
        else:
            timer.enter((part, "forward"))
    clock.tick(1)
    timer.lap()
    assert sum(sum(lap.values()) for lap in timer.laps) == clock.now - started
    assert len(timer.laps) == 1 + sum(part == "lap" for part, _ in events)


def test_times_of_many_videos() -> None:
    parts = {name: TimedPart(0.5, 10**9) for name in PARTS}
    figures = Estimate(
        parts,
        seconds_range=(3.0, 4.0),
        seconds_at_end=10.0,
        iterations=100,
        iterations_timed=3,
        frames=16,
        batch=4,
        weights_bytes=1,
        peak_memory_bytes=2,
    )
    assert figures.seconds_per_iteration == 3.5 and figures.flops_per_iteration == 7 * 10**9
    assert figures.seconds_per_video == (100 * 3.5 + 10) / 4 == 90
    assert figures.hours(10_000) == 10_000 * 90 / 3600 == 250


def test_a_model_s_networks_can_be_estimated(tiny_model: Any) -> None:
    from stgan import STGAN

    model = STGAN.from_pretrained(tiny_model)
    figures = estimate(model.steering().networks, model.preset("paper", iterations=7), frames=17, batch=2, iterations=1)
    assert figures.iterations == 7 and figures.batch == 2 and figures.hours(1) > 0
    assert figures.parts["generator_backward"].flops == figures.parts["generator_forward"].flops > 0


@pytest.mark.parametrize(
    ("preset", "settings", "sentence"),
    [
        (ROBUST, {}, "only presets that optimise codes can be estimated, which robust does not"),
        (PAPER, {"frames": 0}, "the number of frames must be at least 1, not 0"),
        (PAPER, {"batch": 0}, "the number of clips in a batch must be at least 1, not 0"),
        (PAPER, {"iterations": 0}, "the number of iterations must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_estimated(preset: Any, settings: dict[str, int], sentence: str) -> None:
    networks: Networks = TINY.networks("lrcn", "cpu")
    with pytest.raises(StganError, match=sentence):
        estimate(networks, preset, **{"frames": 2, **settings})
