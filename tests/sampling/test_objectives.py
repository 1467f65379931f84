"""What is maximized: windows of long videos, and targets inside a network, checked by what the networks compute."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.networks import C3D, LRCN, AlexNetConfig, C3DConfig, LRCNConfig, Preprocessing
from stgan.sampling import Action, Activation, Target, layers
from stgan.sampling.objectives import over_windows
from stgan.sampling.targets import as_layer

PIXELS = Preprocessing(size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
FRAME = AlexNetConfig(
    channels=(4, 4, 4, 4, 4),
    kernels=(3, 3, 3, 3, 3),
    strides=(1, 1, 1, 1, 1),
    paddings=(1, 1, 1, 1, 1),
    groups=(1, 1, 1, 1, 1),
    code_size=12,
    response_norm=False,
    batch_norm=True,
    preprocessing=PIXELS,
)


@pytest.fixture(scope="module")
def lrcn() -> LRCN:
    torch.manual_seed(1)
    return LRCN(LRCNConfig(num_classes=3, frame=FRAME, lstm_size=8)).eval()


@pytest.fixture(scope="module")
def c3d() -> C3D:
    torch.manual_seed(2)
    config = C3DConfig(
        num_classes=3, stages=((4,), (8,)), hidden_sizes=(6,), frames=8, pad_last_pool=False, preprocessing=PIXELS
    )
    return C3D(config).eval()


@pytest.fixture(scope="module")
def videos() -> Tensor:
    return torch.rand(2, 3, 8, 16, 16, generator=torch.Generator().manual_seed(3))


@settings(max_examples=60, deadline=None)
@given(window=st.integers(1, 20), extra=st.integers(0, 60))
def test_windows_overlap_by_half_cover_every_frame_and_end_with_the_video(window: int, extra: int) -> None:
    time = window + extra
    seen: list[Tensor] = []

    def first_frame(windows: Tensor) -> Tensor:
        seen.append(windows)
        return windows[:, 0, 0, 0, 0]

    video = torch.arange(time, dtype=torch.float32).view(1, 1, time, 1, 1).expand(2, 3, -1, 1, 1)
    mean = over_windows(first_frame, video, window)
    starts = seen[0][::2, 0, 0, 0, 0]
    assert seen[0].shape[2] == window and torch.equal(seen[0][1::2, 0, 0, 0, 0], starts)
    assert starts[0] == 0 and starts[-1] == time - window
    assert set(seen[0][:, 0, :, 0, 0].flatten().tolist()) == set(range(time))
    assert (starts.diff() > 0).all() and (starts.diff() <= max(1, window // 2)).all()
    assert len(starts) <= math.ceil(extra / max(1, window // 2)) + 1
    torch.testing.assert_close(mean, starts.mean().expand(2))


def test_log_probability_of_a_long_video_is_the_mean_over_its_windows(c3d: C3D, lrcn: LRCN) -> None:
    long = torch.rand(2, 3, 18, 16, 16, generator=torch.Generator().manual_seed(4))
    windows = [c3d.log_probabilities(long[:, :, start : start + 8])[:, 2] for start in (0, 4, 8, 10)]
    by_c3d = torch.stack(windows).mean(0)
    torch.testing.assert_close(Action((c3d,), 2)(long), by_c3d)
    by_lrcn = lrcn.log_probabilities(long)[:, 2]  # it takes any number of frames
    torch.testing.assert_close(Action((lrcn, c3d), 2)(long), (by_lrcn + by_c3d) / 2)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("lstm", Target("lstm")),
        ("convolutions.2:17", Target("convolutions.2", 17)),
        ("convolutions.2:17,3,4,5", Target("convolutions.2", 17, (3, 4, 5))),
        ("lstm:0,3", Target("lstm", 0, (3,))),
    ],
)
def test_targets_are_read_as_written(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize("text", ["", ":3", "a:", "a:b", "a:1,", "a:-1", "a:1,2,3,4,5", "a:1.5", "a:b:1", "x" * 300])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(StganError, match="a target is LAYER"):
        Target.parse(text)


@settings(max_examples=40, deadline=None)
@given(layer=st.text(min_size=1, max_size=20), channel=st.none() | st.integers(0, 9), network=st.text(max_size=9))
def test_the_name_of_a_target_can_name_a_folder(layer: str, channel: int | None, network: str) -> None:
    slug = Target(layer, channel).slug(network)
    assert slug.isascii() and not set(slug) & set("/\\: ") and not slug.startswith(".")


def test_name_of_a_target() -> None:
    assert Target("convolutions.2", 17).slug("c3d") == "c3d.convolutions.2_17"
    assert Target("convolutions.2", 17, (3, 4, 5)).slug("c3d") == "c3d.convolutions.2_17_3_4_5"
    assert Target("lstm").slug("lrcn") == "lrcn.lstm"


def test_layers_and_their_sizes(c3d: C3D, lrcn: LRCN, videos: Tensor) -> None:
    found = {name: (layer.channels, *layer.size) for name, layer in layers(c3d, videos).items()}
    assert found["convolutions.0"] == (4, 8, 16, 16) and found["convolutions.1"] == (8, 8, 8, 8)
    assert found["hidden.0"] == (6,) and found["fc8"] == (3,)
    assert "convolutions" not in found  # a list of layers, which computes nothing itself
    found = {name: (layer.channels, *layer.size) for name, layer in layers(lrcn, videos).items()}
    assert found["frame_network.conv1"] == (4, 8, 16, 16) and found["frame_network.fc6"] == (12, 8)
    assert found["lstm"] == (8, 8) and found["fc8"] == (3, 8) and found["frame_network"] == (12, 8)


def test_targets_of_c3d_are_what_it_computes(c3d: C3D, videos: Tensor) -> None:
    first = c3d.convolutions[0](PIXELS.video(videos))
    logits = c3d(videos)
    for text, expected in (
        ("convolutions.0", (first**2).mean((1, 2, 3, 4))),
        ("convolutions.0:3", first[:, 3].mean((1, 2, 3))),
        ("convolutions.0:3,1,5,7", first[:, 3, 1, 5, 7]),
        ("fc8:2", logits[:, 2]),
        ("fc8", (logits**2).mean(1)),
    ):
        torch.testing.assert_close(Activation(c3d, Target.parse(text))(videos), expected)


def test_targets_of_lrcn_are_of_a_clip_though_its_layers_see_frames(lrcn: LRCN, videos: Tensor) -> None:
    clips = []
    for video in videos:
        frames = PIXELS(video.transpose(0, 1))
        clips.append((lrcn.frame_network.conv1(frames), lrcn.frame_network(video.transpose(0, 1))))
    conv, codes = (torch.stack(values) for values in zip(*clips, strict=True))  # clip, time, channel, ...
    states = lrcn.states(videos)
    for text, expected in (
        ("frame_network.conv1:2", conv[:, :, 2].mean((1, 2, 3))),
        ("frame_network.conv1:2,6,3,4", conv[:, 6, 2, 3, 4]),
        ("frame_network.conv1:2,3,4", conv[:, :, 2, 3, 4].mean(1)),
        ("frame_network.conv1", (conv**2).mean((1, 2, 3, 4))),
        ("frame_network:9", codes[:, :, 9].mean(1)),
        ("frame_network:9,5", codes[:, 5, 9]),
        ("lstm:7,2", states[:, 2, 7]),
        ("lstm:7", states[:, :, 7].mean(1)),
    ):
        torch.testing.assert_close(Activation(lrcn, Target.parse(text))(videos), expected)


def test_a_target_in_a_long_video_is_the_mean_over_windows(c3d: C3D) -> None:
    long = torch.rand(1, 3, 12, 16, 16)
    value = Activation(c3d, Target("fc8", 1))(long)
    torch.testing.assert_close(value, (c3d(long[:, :, :8]) + c3d(long[:, :, 4:]))[:, 1] / 2)


def test_hooks_are_removed_whatever_happens(c3d: C3D, videos: Tensor) -> None:
    def hooks(network: nn.Module) -> int:
        return sum(len(module._forward_hooks) for module in network.modules())

    Activation(c3d, Target("convolutions.1"))(videos)
    layers(c3d, videos)
    assert hooks(c3d) == 0
    with pytest.raises(ValueError, match="takes clips of 8 frames"):
        layers(c3d, videos[:, :, :5])
    assert hooks(c3d) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("convolutions.7", "unknown layer 'convolutions.7' of c3d; it has convolutions.0, norms.0"),
        ("convolutions", "unknown layer"),
        ("convolutions.0:4", "no channel 4; its channels are 0 to 3"),
        ("convolutions.0:1,2", "named by CHANNEL,T,Y,X, not 1,2"),
        ("convolutions.0:1,2,3", "named by CHANNEL,T,Y,X, not 1,2,3"),
        ("convolutions.0:1,8,0,0", "no T 8; its T is from 0 to 7"),
        ("convolutions.0:1,7,0,16", "no X 16; its X is from 0 to 15"),
        ("fc8:1,0", "named by CHANNEL, not 1,0"),
    ],
)
def test_targets_that_are_not_there(c3d: C3D, videos: Tensor, text: str, message: str) -> None:
    with pytest.raises(StganError, match=message) as caught:
        Target.parse(text).check("c3d", layers(c3d, videos))
    assert "\n" not in str(caught.value)


def test_per_frame_targets_name_the_frame_or_none(lrcn: LRCN, videos: Tensor) -> None:
    found = layers(lrcn, videos)
    for text in ("frame_network.conv1:0,15,15", "frame_network.conv1:0,7,15,15", "frame_network.fc6:3,7", "lstm:7,7"):
        Target.parse(text).check("lrcn", found)
    for text in ("frame_network.conv1:0,16,0", "frame_network.conv1:0,8,0,0", "frame_network.fc6:3,8", "lstm:7,0,0"):
        with pytest.raises(StganError):
            Target.parse(text).check("lrcn", found)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 4), (2, 4)),
        ((2, 9, 4), (2, 4, 9)),  # "clip time channel"
        ((6, 4), (2, 4, 3)),  # three frames of each clip
        ((6, 4, 5, 5), (2, 4, 3, 5, 5)),
        ((2, 4, 3, 5, 5), (2, 4, 3, 5, 5)),
        ((6, 9, 4), None),  # attention over the patches of each frame, or over the frames of each patch
        ((6, 4, 3, 5, 5), None),
        ((5, 4), None),
        ((4,), None),
        ((), None),
    ],
)
def test_values_are_laid_out_by_clip_or_are_no_layer(shape: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    layer = as_layer((torch.rand(shape), None), 2)
    assert (layer and tuple(layer.values.shape)) == expected
    assert as_layer((), 2) is None
