"""Networks of other libraries as condition networks: they see what their libraries show them, and can steer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import VideoClassifier, adapt
from stgan.networks.preprocessing import flatten_time, unflatten_time
from stgan.sampling import PAPER

NAMES = ("one", "two", "three")
TORCHVISION = "torchvision is not installed: pip install 'stgan[torchvision]'"
TRANSFORMERS = "transformers is not installed: pip install 'stgan[transformers]'"


def videoresnet(classes: int = 3) -> nn.Module:
    """As r3d_18, with a block a stage."""
    resnet = pytest.importorskip("torchvision.models.video.resnet", reason=TORCHVISION)
    convolutions = [resnet.Conv3DSimple] * 4
    return resnet.VideoResNet(resnet.BasicBlock, convolutions, [1, 1, 1, 1], resnet.BasicStem, num_classes=classes)


def swin() -> nn.Module:
    swin = pytest.importorskip("torchvision.models.video.swin_transformer", reason=TORCHVISION)
    return swin.SwinTransformer3d([2, 4, 4], 12, [2], [2], [2, 4, 4], num_classes=3)


def mvit() -> nn.Module:
    mvit = pytest.importorskip("torchvision.models.video.mvit", reason=TORCHVISION)
    blocks = [mvit.MSBlockConfig(1, 12, 12, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 2, 2]) for _ in range(2)]
    return mvit.MViT((32, 32), 16, blocks, False, False, False, False, num_classes=3)


def of_transformers(name: str, **changes: Any) -> nn.Module:
    """A network with settings that are small, its classes named as above."""
    transformers = pytest.importorskip("transformers", reason=TRANSFORMERS)
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = getattr(transformers, f"{name}Config")(
        **small, image_size=32, id2label=dict(enumerate(NAMES)), initializer_range=0.2, **changes
    )
    return getattr(transformers, f"{name}ForVideoClassification")(config)


class Slices(nn.Module):
    """As networks of pytorchvideo are: blocks in a list, videos "batch 3 time height width"."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv3d(3, 6, 3, 2, 1), nn.Conv3d(6, 6, 3, 2, 1)])
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = torch.tanh(block(x))
        return self.head(x.mean((2, 3, 4)))


class Pathways(nn.Module):
    """As SlowFast: a list of a slow and a fast pathway."""

    def __init__(self) -> None:
        super().__init__()
        self.slow, self.fast = nn.Conv3d(3, 8, (1, 3, 3)), nn.Conv3d(3, 4, 3)
        self.head = nn.Linear(12, 3)

    def forward(self, x: list[Tensor]) -> Tensor:
        assert x[0].shape[2] * 4 == x[1].shape[2]
        slow, fast = torch.tanh(self.slow(x[0])).mean((2, 3, 4)), torch.tanh(self.fast(x[1])).mean((2, 3, 4))
        return self.head(torch.cat([slow, fast], 1))


class Answers(nn.Module):
    """Logits by a convolution, put as the function says."""

    def __init__(self, how: Callable[[Tensor], Any] = lambda logits: logits) -> None:
        super().__init__()
        self.layer, self.how = nn.Conv3d(3, 3, 3), how

    def forward(self, x: Tensor) -> Any:
        return self.how(self.layer(x).mean((2, 3, 4)))


PIXELS: dict[str, Any] = {"size": 32, "frames": 16, "mean": 0.45, "std": 0.225}
KINETICS = {"mean": (0.43216, 0.394666, 0.37645), "std": (0.22803, 0.22145, 0.216989)}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

LIBRARIES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], dict[str, Any]]] = {
    # the network, what `adapt` is told, and what it has to find out
    "torchvision": (videoresnet, {"size": 32}, {**KINETICS, "frames": 16, "layout": "bcthw"}),
    "swin3d": (swin, {"size": 32}, {**IMAGENET, "frames": 16, "layout": "bcthw"}),
    "mvit": (mvit, {"size": 32}, {"mean": 0.45, "std": 0.225, "frames": 16, "layout": "bcthw"}),
    "videomae": (
        lambda: of_transformers("VideoMAE", num_frames=16),
        {},
        {**IMAGENET, "frames": 16, "layout": "btchw"},
    ),
    "timesformer": (
        lambda: of_transformers("Timesformer", num_frames=8),
        {},
        {"mean": 0.45, "std": 0.225, "frames": 8, "layout": "btchw"},
    ),
    "vivit": (
        lambda: of_transformers("Vivit", num_frames=8),
        {},
        {"mean": 0.5, "std": 0.5, "frames": 8, "layout": "btchw"},
    ),
    "pytorchvideo": (Slices, PIXELS, {**PIXELS, "layout": "bcthw"}),
    "slowfast": (Pathways, {**PIXELS, "layout": "slowfast"}, {**PIXELS, "layout": "slowfast"}),
}


@pytest.fixture(params=LIBRARIES, scope="module")
def library(request: pytest.FixtureRequest) -> tuple[nn.Module, VideoClassifier, dict[str, Any]]:
    """A network of a library, the same adapted, and what it wants of its pixels."""
    make, told, expected = LIBRARIES[request.param]
    torch.manual_seed(0)
    network = make()
    return network, adapt(network, NAMES, **told), {"size": 32, **expected}


def by_hand(network: nn.Module, videos: Tensor, wants: dict[str, Any]) -> Tensor:
    """What a library's own instructions say: resize, normalize, order the axes, call, log softmax."""
    frames = F.interpolate(flatten_time(videos), (wants["size"],) * 2, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(wants[name]).expand(3).view(1, 3, 1, 1) for name in ("mean", "std"))
    pixels: Any = unflatten_time((frames - mean) / std, len(videos))
    if wants["layout"] == "btchw":
        pixels = pixels.permute(0, 2, 1, 3, 4)
    if wants["layout"] == "slowfast":
        pixels = [pixels[:, :, [0, 5, 10, 15]], pixels]
    output = network(pixels)
    return F.log_softmax(getattr(output, "logits", output), 1)


@torch.no_grad()
def test_it_is_shown_what_its_library_would_show_it(library: tuple) -> None:
    network, classifier, wants = library
    videos = torch.rand(2, 3, wants["frames"], 20, 20)
    expected = by_hand(network, videos, wants)
    torch.testing.assert_close(classifier.log_probabilities(videos), expected, atol=1e-5, rtol=0)
    features, log_probabilities = classifier.features_and_log_probabilities(videos)
    torch.testing.assert_close(F.log_softmax(features, 1), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(log_probabilities.exp().sum(1), torch.ones(2))
    assert classifier.config.frames == wants["frames"] and (expected[0] - expected[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["swin3d", "videomae", "slowfast"])  # a network of each layout
def test_its_gradient_reaches_the_codes_and_its_layers_are_targets(name: str, tiny_model: Path) -> None:
    torch.manual_seed(0)
    make, told, _ = LIBRARIES[name]
    model = STGAN.from_pretrained(tiny_model, "cpu", adapt(make(), NAMES, **told))
    assert model.actions == NAMES
    values: list[float] = []
    small_steps = replace(PAPER, iterations=4, learning_rate=(0.05, 0.05), epsilon1=0.0, epsilon3=0.0)
    video = model.generate(
        "two", preset=small_steps, on_iteration=lambda iteration, value, render: values.append(float(value[0]))
    )
    assert video.shape == (1, 3, 16, 16, 16)
    assert values[1] < values[2] < values[3]  # before, codes below 0 were clipped, which is no step of its gradient
    first = next(name for name, layer in model.layers("both").items() if layer.channels > 1)
    assert first.startswith("module.")
    assert model.generate(target=f"{first}:1", preset="paper", iterations=1).isfinite().all()


def test_names_come_with_the_network(unchecked: None) -> None:
    assert adapt(of_transformers("VideoMAE", num_frames=16)).actions == NAMES
    kinetics = adapt(videoresnet(400), size=32)
    assert len(kinetics.actions) == 400 and kinetics.actions[0] == "abseiling"
    with pytest.raises(StganError, match=r"returns 3 numbers for a clip, but has 400 class names; name its 3"):
        adapt(videoresnet(3), size=32)
    assert adapt(kinetics) is kinetics
    with pytest.raises(StganError, match="already"):
        adapt(kinetics, size=16)


@pytest.mark.parametrize("name", ["VideoMAEImageProcessor", "VivitImageProcessor"])
def test_a_processor_says_what_becomes_of_pixels(name: str) -> None:
    transformers = pytest.importorskip("transformers", reason=TRANSFORMERS)
    changes = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "do_resize": False, "do_center_crop": False}
    processor = getattr(transformers, name)(**changes)
    classifier = adapt(of_transformers("VideoMAE", num_frames=16), processor=processor)
    frames = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    shown = processor([frame.permute(1, 2, 0).numpy() for frame in frames], return_tensors="pt").pixel_values
    mine = classifier.config.preprocessing.video(frames.transpose(0, 1)[None] / 255)
    torch.testing.assert_close(mine.transpose(1, 2), shown, atol=1e-5, rtol=0)
    with pytest.raises(StganError, match="the settings of a object cannot be read; set"):
        adapt(of_transformers("VideoMAE", num_frames=16), processor=object())


def test_logits_are_found_in_what_a_network_gives() -> None:
    for how in (
        lambda logits: (logits, "more"),
        lambda logits: [logits],
        lambda logits: {"logits": logits, "loss": None},
        lambda logits: type("Output", (), {"logits": logits})(),
        lambda logits: logits.half(),
    ):
        torch.manual_seed(0)
        plain, network = Answers(), Answers(how)
        network.load_state_dict(plain.state_dict())
        videos = torch.rand(2, 3, 16, 16, 16)
        expected = adapt(plain, NAMES, **PIXELS).log_probabilities(videos)
        torch.testing.assert_close(
            adapt(network, NAMES, **PIXELS).log_probabilities(videos), expected, atol=1e-2, rtol=0
        )


def test_probabilities_and_log_probabilities_are_understood() -> None:
    torch.manual_seed(0)
    plain = Answers()
    videos = torch.rand(2, 3, 16, 16, 16)
    expected = adapt(plain, NAMES, **PIXELS).log_probabilities(videos)
    for how, output in ((lambda x: x.softmax(1), "probabilities"), (lambda x: x.log_softmax(1), "logits")):
        network = Answers(how)
        network.load_state_dict(plain.state_dict())
        torch.testing.assert_close(adapt(network, NAMES, output=output, **PIXELS).log_probabilities(videos), expected)


def test_probabilities_of_each_class_alone_are_divided_by_their_sum() -> None:
    torch.manual_seed(0)
    network = Answers(torch.sigmoid)
    classifier = adapt(network, NAMES, output="sigmoid", **PIXELS)
    videos = torch.rand(2, 3, 16, 32, 32)
    p = network((videos - PIXELS["mean"]) / PIXELS["std"])
    torch.testing.assert_close(classifier.features(videos), p.log())
    torch.testing.assert_close(classifier.log_probabilities(videos).exp(), p / p.sum(1, keepdim=True))


class Luma(nn.Module):
    """A network that takes one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).mean((2, 3, 4))


@pytest.mark.parametrize("layout", ["bcthw", "btchw"])
def test_a_gray_network_is_shown_the_luma(layout: Any) -> None:
    network = Luma()
    shown: list[Tensor] = []
    network.register_forward_pre_hook(lambda module, args: shown.append(args[0].detach()))
    made = nn.Sequential(Swapped(), network) if layout == "btchw" else network
    classifier = adapt(made, NAMES, channels="gray", layout=layout, size=16, frames=8, mean=0.4, std=(0.2,), scale=2.0)
    videos = torch.rand(2, 3, 8, 16, 16)
    assert classifier.log_probabilities(videos).shape == (2, 3)
    luma = 0.299 * videos[:, :1] + 0.587 * videos[:, 1:2] + 0.114 * videos[:, 2:]
    torch.testing.assert_close(shown[-1], (2 * luma - 0.4) / 0.2, atol=1e-5, rtol=1e-5)


class Swapped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


@pytest.mark.parametrize("how", ["trace", "script", "file"])
def test_torchscript_steers(how: str, tmp_path: Path) -> None:
    plain = nn.Sequential(nn.Conv3d(3, 3, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    script: Any = torch.jit.script(plain) if how == "script" else torch.jit.trace(plain, torch.rand(1, 3, 16, 32, 32))
    if how == "file":
        script.save(tmp_path / "traced.pt")
        script = torch.jit.load(tmp_path / "traced.pt")
    classifier, videos = adapt(script, NAMES, **PIXELS), torch.rand(2, 3, 16, 32, 32, requires_grad=True)
    expected = adapt(plain, NAMES, **PIXELS).log_probabilities(videos)
    for _ in range(3):  # TorchScript optimizes itself after its first runs
        answered = classifier.log_probabilities(videos)
        torch.testing.assert_close(answered, expected)
        (gradient,) = torch.autograd.grad(answered[:, 0].sum(), videos)
        assert gradient.any() and not any(each.requires_grad for each in classifier.parameters())


def test_a_program_of_torch_export_steers() -> None:
    """It refuses train() and eval()."""
    plain = nn.Sequential(nn.Conv3d(3, 3, 3), nn.Dropout(), nn.AdaptiveAvgPool3d(1), nn.Flatten()).eval()
    any_batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(plain, (torch.rand(2, 3, 16, 32, 32),), dynamic_shapes=any_batch)
    classifier = adapt(program.module(), NAMES, **PIXELS).train().eval()
    for batch in (1, 3):
        videos = torch.rand(batch, 3, 16, 32, 32)
        expected = adapt(plain, NAMES, **PIXELS).log_probabilities(videos)
        torch.testing.assert_close(classifier.log_probabilities(videos), expected)


def test_what_stands_beside_a_program_is_set_to_eval_mode() -> None:
    """Programs refuse it, wherever they are in a network."""
    plain = nn.Sequential(nn.Conv3d(3, 3, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten()).eval()
    any_batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(plain, (torch.rand(2, 3, 16, 32, 32),), dynamic_shapes=any_batch).module()
    classifier = adapt(nn.Sequential(program, nn.Dropout()), NAMES, **PIXELS)
    assert not any(each.training for each in classifier.module.modules())


def test_a_program_for_batches_of_one_is_refused() -> None:
    """Several clips are generated and scored together."""
    plain = nn.Sequential(nn.Conv3d(3, 3, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten()).eval()
    program = torch.export.export(plain, (torch.rand(1, 3, 16, 32, 32),)).module()
    assert program(torch.rand(1, 3, 16, 32, 32)).shape == (1, 3)
    with pytest.raises(StganError, match="takes one clip, but not two; export or trace it with a batch of any size"):
        adapt(program, NAMES, **PIXELS)


def test_a_network_of_any_precision_sees_its_own() -> None:
    network = Answers().double()
    assert adapt(network, NAMES, **PIXELS).log_probabilities(torch.rand(1, 3, 16, 8, 8)).dtype is torch.float32


class Averaged(nn.Module):
    """Linear in the mean colour: what it answers can be computed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.mean((2, 3, 4)))


@settings(max_examples=25, deadline=None)
@given(
    mean=st.tuples(*[st.floats(-1, 1)] * 3),
    std=st.tuples(*[st.floats(0.1, 2)] * 3),
    scale=st.sampled_from([1.0, 2.0, 255.0]),
    channels=st.sampled_from(["rgb", "bgr"]),
    side=st.integers(4, 20),
    frames=st.integers(1, 5),
)
def test_pixels_come_in_the_units_that_are_named(
    mean: tuple, std: tuple, scale: float, channels: Any, side: int, frames: int
) -> None:
    network = Averaged()
    with torch.no_grad():
        network.head.bias += 5.0  # its answers could be probabilities by chance, and would be refused
    classifier = VideoClassifier(
        network, NAMES, size=None, frames=frames, mean=mean, std=std, scale=scale, channels=channels
    )
    videos = torch.rand(2, 3, frames, side, side)
    colour = videos.mean((2, 3, 4)) if channels == "rgb" else videos.mean((2, 3, 4)).flip(1)
    expected = network.head((scale * colour - torch.tensor(mean)) / torch.tensor(std))
    torch.testing.assert_close(classifier(videos), expected, atol=1e-3, rtol=1e-4)


class NoGradient(Answers):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


class Rounds(Answers):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x * 255).round())


class Raises(Answers):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("no such\nlayer.")


class Overwrites(Answers):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x).exp()
        squares = logits.square()
        logits.add_(1)
        return squares


def not_finite() -> nn.Module:
    network = Answers()
    nn.init.constant_(network.layer.weight, torch.nan)
    return network


def test_what_cannot_steer_is_one_sentence(unchecked: None) -> None:
    for make, changes, message in (
        (NoGradient, {}, "no gradient reaches the video from the output of NoGradient"),
        (lambda: Answers(lambda x: x.detach()), {}, "no gradient reaches the video"),
        (Rounds, {}, "no gradient reaches the video"),
        (not_finite, {}, "not finite"),
        (Raises, {}, r"cannot process clips of 1x3x16x32x32 as bcthw \('no such\\nlayer.'\); set"),
        (Answers, {"layout": "btchw"}, "cannot process clips of 1x3x16x32x32 as btchw"),
        (Overwrites, {}, "has no gradient .*inplace"),
        (Answers, {"layout": "bthwc"}, "layout of a classifier is one of bcthw, btchw, slowfast, not 'bthwc'"),
        (Answers, {"output": "scores"}, "output of a classifier is one of logits, probabilities"),
        (Answers, {"output": "probabilities"}, "are not probabilities that sum to one; set output='logits'"),
        (lambda: Answers(lambda x: 5 + x**2), {"output": "sigmoid"}, r"are not in \[0, 1\]; set output='logits'"),
        (lambda: Answers(torch.sigmoid), {}, "are those of a sigmoid; set output='sigmoid'"),
        (lambda: Answers(lambda x: x.sigmoid()[:, None].mean(1)), {}, "are those of a sigmoid; set output='sigmoid'"),
        (lambda: Answers(torch.sigmoid), {"output": "probabilities"}, "sum to one; set output='sigmoid', for"),
        (lambda: nn.Sequential(Luma(), Answers()), {"channels": "gray"}, "set frames, size, fit, channels and layout"),
        (Luma, {"channels": "gray", "mean": (0.5, 0.4, 0.3)}, "mean and std of a gray network are one number each"),
        (Answers, {"channels": "grey"}, "channels of a classifier is one of rgb, bgr, gray, not 'grey'"),
        (lambda: Answers(lambda x: x.softmax(1)), {}, "are probabilities; set output='probabilities'"),
        (lambda: Answers(lambda x: x[:, :2]), {}, "returns 2 numbers for a clip, but has 3 class names"),
        (lambda: Answers(lambda x: x[0]), {}, "returns a tensor of 3 instead of logits of 1x3"),
        (
            lambda: Answers(lambda x: x.argmax(1)),
            {},
            "returns a tensor of torch.int64 instead of logits of 1x3; put it",
        ),
        (lambda: Answers(lambda x: ()), {}, "returns a tuple without logits instead of logits of 1x3; put it into a"),
        (lambda: Answers(lambda x: {"y": x}), {}, "returns a dictionary of 'y' without 'logits' instead of .*; put it"),
        (lambda: Answers(lambda x: (x[:, :, None], x)), {}, "returns a tensor of 1x3x1 instead of logits of 1x3; put"),
        (lambda: torch.jit.script(Luma()), {}, "cannot process .*; set frames, size, fit, channels and layout"),
        (lambda: "resnet", {}, "torch.nn.Module, not a str"),
        (Answers, {"actions": ("one", "one", "two")}, "each named once"),
        (Answers, {"actions": ("one", "two", "a/b")}, "can name a folder"),
        (Answers, {"actions": "abc"}, "class names"),
        (Answers, {"actions": ("one",)}, "at least two"),
        (Answers, {"size": 0}, "at least 1, not 0"),
        (Answers, {"frames": 0}, "at least 1, not 32 and 0"),
        (Answers, {"mean": (0.5, 0.5)}, "one number per channel"),
        (Answers, {"mean": "imagenet"}, "wrong: "),
        (Answers, {"fit": "squeeze"}, "fit is one of"),
        (Answers, {"crop": 3}, "no setting 'crop'"),
    ):
        torch.manual_seed(0)  # few outputs of random weights can look like probabilities
        with pytest.raises(StganError, match=message) as caught:
            adapt(make(), **{"actions": NAMES, **PIXELS, **changes}).check_steering()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_what_nobody_says_is_asked_for() -> None:
    with pytest.raises(StganError, match="size, std of a Answers are unknown; set them"):
        adapt(Answers(), NAMES, frames=16, mean=0.5)
    with pytest.raises(StganError, match="the class names of a Answers are unknown"):
        adapt(Answers(), **PIXELS).check_steering()


@pytest.mark.parametrize(
    "network", [NoGradient, Rounds, lambda: Answers(torch.sigmoid), lambda: Answers(lambda x: x[:, :1])]
)
def test_a_network_of_features_needs_neither_names_nor_a_gradient(network: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = network()
    classifier, videos = adapt(module, **PIXELS), torch.rand(2, 3, 16, 32, 32)
    features = classifier.features(videos)
    torch.testing.assert_close(features, module((videos - PIXELS["mean"]) / PIXELS["std"]))
    assert classifier.actions == () and classifier.config.num_classes == features.shape[1]


def test_clips_that_are_too_short_and_batches_that_come_out_otherwise() -> None:
    classifier = adapt(Answers(), NAMES, **PIXELS)
    with pytest.raises(StganError, match="takes clips of 16 frames, not 15"):
        classifier.log_probabilities(torch.rand(1, 3, 15, 8, 8))
    two = adapt(Answers(lambda x: x[:2]), NAMES, **PIXELS)
    with pytest.raises(StganError, match="a tensor of 2x3 instead of logits of 3x3"):
        two.log_probabilities(torch.rand(3, 3, 16, 8, 8))
    with pytest.raises(StganError, match="takes one clip, but not two"):
        adapt(Answers(lambda x: x[:1]), NAMES, **PIXELS)
    cropping = adapt(Answers(), NAMES, fit="crop", **PIXELS)
    with pytest.raises(StganError, match="smaller than the 32-pixel crop of the network"):
        cropping.log_probabilities(torch.rand(1, 3, 16, 8, 8))
    anything = adapt(Answers(), NAMES, **{**PIXELS, "frames": None, "size": None})
    assert anything.log_probabilities(torch.rand(2, 3, 5, 9, 7)).shape == (2, 3)


def test_it_neither_trains_nor_draws_random_numbers() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Answers(), nn.Dropout(0.5))
    before = torch.get_rng_state()
    classifier = adapt(network, NAMES, **PIXELS)
    videos = torch.full((1, 3, 16, 8, 8), 0.3)
    assert torch.equal(classifier(videos), classifier(videos)) and torch.equal(before, torch.get_rng_state())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_torchvisions_own_preparation_of_clips_can_be_asked_for() -> None:
    """But for one pixel: of 171 - 112 columns to cut away it leaves the odd one out on the other side."""
    resnet = pytest.importorskip("torchvision.models.video.resnet", reason=TORCHVISION)
    prepare = resnet.R3D_18_Weights.DEFAULT.transforms()
    videos = torch.rand(2, 3, 4, 120, 160)
    mine = adapt(videoresnet(), NAMES, fit="c3d-caffe").config.preprocessing.video(videos)
    theirs = prepare(videos.transpose(1, 2).contiguous())
    torch.testing.assert_close(mine[..., 1:], theirs[..., :-1], atol=1e-5, rtol=0)
