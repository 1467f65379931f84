"""LRCN, C3D, R(2+1)D, the temporal stream and the temporal convolutional network: probabilities, time, dropout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stgan.networks import (
    C3D,
    LRCN,
    TCN,
    AlexNetConfig,
    C3DConfig,
    LRCNConfig,
    Preprocessing,
    R2Plus1D,
    R2Plus1DConfig,
    TCNConfig,
    TemporalStream,
    TemporalStreamConfig,
)
from stgan.networks.layout import channels_last
from stgan.records import checked

PIXELS = Preprocessing(size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
FRAME_NETWORK = AlexNetConfig(
    channels=(4,) * 5,
    kernels=(3,) * 5,
    strides=(1,) * 5,
    paddings=(1,) * 5,
    groups=(1,) * 5,
    code_size=12,
    preprocessing=PIXELS,
)


def lrcn() -> LRCN:
    torch.manual_seed(0)
    network = LRCN(LRCNConfig(num_classes=5, frame=FRAME_NETWORK, lstm_size=7)).double().eval()
    nn.init.normal_(network.fc8.weight)
    return network


def c3d(pad_last_pool: bool | str = True, size: int = 16) -> C3D:
    torch.manual_seed(0)
    config = C3DConfig(
        num_classes=5,
        stages=((4,), (6, 6)),
        hidden_sizes=(8, 8),
        frames=4,
        pad_last_pool=pad_last_pool,
        preprocessing=replace(PIXELS, size=size),
    )
    return C3D(config).double().eval()


def r2plus1d() -> R2Plus1D:
    torch.manual_seed(0)
    return R2Plus1D(R2Plus1DConfig(num_classes=5, stem=4, widths=(4, 6, 8), preprocessing=PIXELS)).double().eval()


def temporal_stream() -> TemporalStream:
    torch.manual_seed(0)
    config = TemporalStreamConfig(num_classes=5, frames=4, stem=4, widths=(4, 6, 8), preprocessing=PIXELS)
    return TemporalStream(config).double().eval()


def tcn() -> TCN:
    torch.manual_seed(0)
    return TCN(TCNConfig(num_classes=5, frame=FRAME_NETWORK, width=6)).double().eval()


def random_videos(time: int = 4, size: int = 16) -> torch.Tensor:
    return torch.rand(2, 3, time, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


NETWORKS = [lrcn, c3d, r2plus1d, temporal_stream, tcn]


@pytest.mark.parametrize("make", NETWORKS)
def test_features_and_log_probabilities_come_from_one_pass(make: type) -> None:
    network, videos, passes = make(), random_videos(), []
    layer = next(module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Conv3d))
    layer.register_forward_hook(lambda *_: passes.append(layer))
    features, log_p = network.features_and_log_probabilities(videos)
    assert len(passes) == 1
    assert torch.equal(features, network.features(videos)) and torch.equal(log_p, network.log_probabilities(videos))
    logits = network(videos)
    wanted = F.softmax(logits, -1) if logits.ndim == 2 else F.softmax(logits, -1).mean(1)
    torch.testing.assert_close(log_p, wanted.log())
    assert log_p.shape == (2, 5) and log_p.std() > 1e-3


def test_dropout_only_in_training() -> None:
    for make in NETWORKS:
        network = make()
        videos = random_videos()
        assert torch.equal(network(videos), network(videos))
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.eval()
        assert not torch.equal(network(videos), network(videos))


def test_frames_of_another_size_are_fitted() -> None:
    for make in NETWORKS:
        network, videos = make(), random_videos(size=24)
        fitted = torch.stack([PIXELS.resize(frame) for frame in videos.unbind(2)], 2)
        assert fitted.shape[-2:] == (16, 16)
        torch.testing.assert_close(network(videos), network(fitted))


def test_channels_last_does_not_change_values() -> None:
    for make, layout in (
        (c3d, torch.channels_last_3d),
        (r2plus1d, torch.channels_last_3d),
        (temporal_stream, torch.channels_last),
    ):
        network = make()
        before = network(random_videos())
        channels_last(network)
        assert all(p.is_contiguous(memory_format=layout) for p in network.parameters() if p.ndim >= 4)
        torch.testing.assert_close(network(random_videos()), before, rtol=0, atol=1e-12)


def test_lrcn_averages_the_softmax_of_the_frames() -> None:
    """Against an LSTM cell run frame by frame, and the mean of probabilities (not of logits)."""
    network = lrcn()
    cell = nn.LSTMCell(12, 7).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in network.lstm.state_dict().items()})
    videos = random_videos(6)
    state, states, probabilities = None, [], []
    for t in range(6):
        state = cell(network.frame_network(videos[:, :, t]), state)
        states.append(state[0])
        probabilities.append(F.softmax(network.fc8(state[0]), 1))
    torch.testing.assert_close(network.log_probabilities(videos), torch.stack(probabilities).mean(0).log())
    torch.testing.assert_close(network.features(videos), torch.stack(states).mean(0))


def test_lrcn_can_steer_on_a_gpu() -> None:
    """cuDNN refuses gradients of an LSTM in eval mode; there is no dropout in it for which the mode would matter."""
    network = lrcn()
    assert not network.training and not network.frame_network.training
    assert network.lstm.training and network.lstm.dropout == 0
    video = torch.rand(1, 3, 4, 16, 16, dtype=torch.float64)
    values = network.log_probabilities(video)
    network.lstm.eval()
    assert torch.equal(network.log_probabilities(video), values)


def test_c3d_and_the_temporal_stream_take_one_number_of_frames() -> None:
    for make in (c3d, temporal_stream):
        for time in (3, 5):
            with pytest.raises(ValueError, match=f"clips of 4 frames, not {time}"):
                make()(random_videos(time))


@pytest.mark.parametrize(
    ("pad_last_pool", "size", "side", "cells"),
    [
        (True, 16, 5, [(0, 1), (1, 3), (3, 5), (5, 7), (7, 8)]),
        (False, 14, 3, [(0, 2), (2, 4), (4, 6)]),
        ("after", 14, 4, [(0, 2), (2, 4), (4, 6), (6, 7)]),
    ],
)
def test_c3d_pooling(pad_last_pool: bool | str, size: int, side: int, cells: list[tuple[int, int]]) -> None:
    """The first pooling is over space only; of the 8 or 7 rows that the last one meets, what becomes of the edges."""
    network, seen = c3d(pad_last_pool, size), []
    assert network.hidden[0].in_features == 6 * 2 * side * side
    network.convolutions[-1].register_forward_hook(lambda layer, inputs, output: seen.append(output.relu()))
    network.hidden[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    assert network.features(random_videos(size=size)).shape == (2, 8)
    maps, flat = seen
    wanted = [
        maps[:, :, t : t + 2, top:bottom, left:right].amax((2, 3, 4))
        for t in (0, 2)
        for top, bottom in cells
        for left, right in cells
    ]
    assert torch.equal(flat, torch.stack(wanted, 2).flatten(1))


def test_unknown_paddings() -> None:
    for pad_last_pool in ("before", None, 2):
        with pytest.raises(ValueError, match="pad_last_pool"):
            checked(C3DConfig, {"pad_last_pool": pad_last_pool})


def test_c3d_needs_a_fixed_input_size() -> None:
    with pytest.raises(ValueError, match=r"preprocessing\.size"):
        C3D(C3DConfig(preprocessing=Preprocessing()))


def test_r2plus1d_takes_any_number_of_frames() -> None:
    for time in (1, 2, 17):
        network, videos = r2plus1d(), random_videos(time)
        logits = network(videos)
        assert logits.shape == (2, 5) and logits.isfinite().all()
        torch.testing.assert_close(logits, network.fc(network.features(videos)))


def test_r2plus1d_pools_in_twos_and_rounds_up() -> None:
    """The shortcut of a halving block: means of 2x2x2 cells, of what there is of them at the ends."""
    for size in ((1, 7, 9), (2, 8, 8), (5, 1, 2)):
        pool = r2plus1d().stages[1].shortcut[0]
        x = torch.rand(1, 2, *size, dtype=torch.float64)
        cells = [range(0, extent, 2) for extent in size]
        wanted = [
            x[:, :, t : t + 2, i : i + 2, j : j + 2].mean((2, 3, 4))
            for t in cells[0]
            for i in cells[1]
            for j in cells[2]
        ]
        torch.testing.assert_close(pool(x).flatten(2), torch.stack(wanted, 2))


def test_r2plus1d_knows_the_order_of_frames() -> None:
    network, videos = r2plus1d(), random_videos(5)
    assert (network(videos) - network(videos[:, :, [0, 3, 1, 4, 2]])).abs().max() > 1e-6


def test_the_temporal_stream_sees_differences_of_grey_in_order() -> None:
    """Restated in numpy: frame by frame, colour by colour, in the order of time."""
    network, videos = temporal_stream(), random_videos()
    grey = sum((videos[:, colour].numpy() - 0.5) / 0.25 for colour in range(3)) / 3
    steps = np.stack([grey[:, t + 1] - grey[:, t] for t in range(3)], 1)
    np.testing.assert_allclose(network.differences(videos).numpy(), steps, rtol=0, atol=1e-12)
    maps = network.stages(network.stem(torch.from_numpy(steps)))
    assert maps.shape == (2, 8, 1, 1)
    torch.testing.assert_close(network.features(videos), maps.flatten(1))
    assert (network(videos) - network(videos[:, :, [0, 2, 1, 3]])).abs().max() > 1e-6


def test_to_the_temporal_stream_what_stands_still_is_nothing() -> None:
    """A pose that is held, whatever it is, is zeros; and any still picture can be laid over a clip."""
    network, videos = temporal_stream(), random_videos()
    held = videos[:, :, :1].expand_as(videos)
    assert not network.differences(held).any()
    assert torch.equal(network(held)[0], network(held)[1])
    torch.testing.assert_close(network(0.5 * videos), network(0.5 * videos + 0.5 * held))


def test_the_temporal_stream_halves_and_rounds_up() -> None:
    for size in ((7, 9), (1, 2), (8, 8)):
        maps = torch.rand(1, 4, *size, dtype=torch.float64)
        assert temporal_stream().stages[1](maps).shape == (1, 6, -(-size[0] // 2), -(-size[1] // 2))
