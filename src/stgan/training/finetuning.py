"""Fine-tune a classifier with a new last layer, on clips that are read from their files.

The defaults are those of hx173149/C3D-tensorflow (`train_c3d_ucf101.py`), from which the paper's Section 5.3 takes its
"other training parameters": Adam; learning rate 1e-4, and 1e-3 for the last layer (Xavier initialization, biases 0);
5e-4 times half the sum of squares of all kernels added to the loss; batches of 10; 5000 steps; the network's own
dropout. There are three differences. That program keeps a moving average of the weights, but saves and tests the
weights themselves; here is no average. It trains on extracted frames, by default 5 a second; here on every frame of
the file. It draws each batch independently; here an epoch uses each clip once.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from stgan.checkpoints.checkpoint import Checkpoint, save_checkpoint, weights_hash
from stgan.devices import Precision, arithmetic
from stgan.errors import StganError
from stgan.metrics.classification import wilson_interval
from stgan.networks import C3D, LRCN, TCN, LRCNConfig, Preprocessing, R2Plus1D, TCNConfig, TemporalStream
from stgan.networks.layout import channels_last
from stgan.records import Count, Fraction, read_text
from stgan.training.classifier_training import ClassifierConfig, TrainableClassifier, build
from stgan.training.clip_data import Augmentation
from stgan.training.logs import VALIDATION
from stgan.training.losses import classification_loss
from stgan.training.parallel import share_batch_norm
from stgan.training.ranges import LabelSmoothing, LearningRate, PositiveCount, Seed, WeightDecay
from stgan.training.reading import WindowReader, fitted, in_epochs
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch
from stgan.version import __version__
from stgan.video import ClipFile
from stgan.video.decoding import in_order

CHECKPOINT = "checkpoint"
"""Folder of the chosen weights."""
_FRAMES = 16  # frames of a window, for networks that take any number
_TEST_BATCH = 16

ORDINARY = Augmentation(mirror=0.5, shift=0, zoom=0.0, brightness=0.1, contrast=0.2, colour=0.1, blur=0.0, noise=0.0)
"""Flips and colours. Random cropping happens when clips are read."""


@dataclass(frozen=True)
class FinetuningRecipe:
    """All settings of a fine-tuning.

    every: iterations between two evaluations; `iterations` is a multiple of it.
    learning_rate, head_learning_rate: Adam's rates for all layers except the last one, and for the last one.
    weight_decay: this times half the sum of squares of all kernels (not of biases and normalizations) is added to the
        loss.
    schedule: "constant" (the TensorFlow port), or "one_cycle": both rates rise over the first fifth and then fall to
        almost 0 (Smith and Topin 2018), as for our other classifiers.
    max_norm: longer gradients are clipped to this norm; 0: no clipping. label_smoothing: of the cross-entropy.
    crop: frames are cropped at random to a part that is smaller by this factor (8/7: 112 of 128 rows, as in C3D's
        Caffe, which also flips). The TensorFlow port does neither: crop 1, mirror 0.
    augmentation: further changes of the training clips, at the network's size.
    real_share: share of real clips in each batch, if clips are both real and generated; 0: all of them are shuffled
        together (the paper).
    in_view: whether to train and test only on windows with somebody in view (the paper: any window).
    precision: of the training: "32-true", or "bf16-mixed", which is faster on hardware with bfloat16.
    windows: random windows of each test or validation clip, each classified separately (the paper: one).
    stop_on: the clips whose accuracy chooses the iteration to keep: "validation" (other groups than those trained on)
        or "test" (as in the paper; this overestimates the test accuracy).
    validation_share: share of each action's clips to hold out by groups for validation, if none are set apart.
    """

    iterations: Annotated[int, Ge(1)] = 5000
    every: Annotated[int, Ge(1)] = 200
    batch_size: PositiveCount = 10
    learning_rate: LearningRate = 1e-4
    head_learning_rate: LearningRate = 1e-3
    weight_decay: WeightDecay = 5e-4
    schedule: Literal["constant", "one_cycle"] = "constant"
    max_norm: Annotated[float, Interval(ge=0, le=1e9)] = 0.0
    label_smoothing: LabelSmoothing = 0.0
    crop: Annotated[float, Interval(ge=1, le=16)] = 8 / 7
    augmentation: Augmentation = ORDINARY
    real_share: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    in_view: bool = False
    precision: Precision = "32-true"
    windows: PositiveCount = 1
    stop_on: Literal["validation", "test"] = "validation"
    validation_share: Annotated[float, Interval(gt=0, lt=1)] = 0.1
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.iterations % self.every:
            raise ValueError(f"iterations ({self.iterations}) must be a multiple of every ({self.every})")
        if self.real_share and not 0 < round(self.real_share * self.batch_size) < self.batch_size:
            raise ValueError(f"a batch of {self.batch_size} has no clips of one kind with real_share {self.real_share}")


@dataclass(frozen=True)
class FinetuningClips:
    """The clips of a fine-tuning: real and generated ones to train on, real ones for validation and test.

    actions: the classes, in the order of the network's outputs.
    """

    actions: tuple[str, ...]
    real: tuple[ClipFile, ...]
    generated: tuple[ClipFile, ...]
    validation: tuple[ClipFile, ...]
    test: tuple[ClipFile, ...]

    @property
    def train(self) -> tuple[ClipFile, ...]:
        """All clips to train on."""
        return self.real + self.generated

    @property
    def digest(self) -> str:
        """Identifies the clips by names and sizes of files, because reading 7 GB at every start would take minutes."""
        parts = (self.real, self.generated, self.validation, self.test)
        seen = [[(clip.label, clip.path.name, clip.path.stat().st_size) for clip in clips] for clips in parts]
        return repr((self.actions, seen))


@dataclass(frozen=True)
class CurvePoint:
    """Random-clip accuracies in [0, 1] after `iteration` iterations. validation: None without such clips."""

    iteration: Count
    test: Fraction
    validation: Fraction | None


@dataclass(frozen=True)
class Finetuned:
    """The result of a fine-tuning. start: the hash of the initial weights; test_clips: the number of test clips."""

    start: str
    curve: tuple[CurvePoint, ...]
    stop_on: str
    test_clips: int

    @property
    def chosen(self) -> CurvePoint:
        """The evaluation whose weights are kept: the last of the best ones on the clips that `stop_on` names."""
        return max(reversed(self.curve), key=lambda point: _mark(point, self.stop_on))

    @property
    def best_on_test(self) -> CurvePoint:
        """The paper's choice: the best on the test clips themselves."""
        return max(self.curve, key=lambda point: point.test)

    def interval(self, point: CurvePoint) -> tuple[float, float]:
        """Wilson's 95 % interval of the test accuracy. It counts clips: windows of a clip are not independent."""
        return wilson_interval(round(point.test * self.test_clips), self.test_clips)


def finetune(
    initial: Checkpoint,
    clips: FinetuningClips,
    recipe: FinetuningRecipe,
    workspace: Workspace,
    description: str = "fine-tuning",
) -> Finetuned:
    """Fine-tune a classifier. An interrupted run resumes and ends with the same weights.

    The workspace's folder receives the state, `log.csv`, `validation.csv` (the curve) and the chosen weights.

    Raises:
        StganError: the network is not a classifier with a fixed input size, a clip cannot be read, or a loss is not
            finite.
    """
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    if not (clips.train and clips.test) or (recipe.stop_on == "validation" and not clips.validation):
        raise StganError(f"{description} needs clips to train on, to test on, and to stop on ({recipe.stop_on} clips)")
    config = with_classes(initial, len(clips.actions))
    preprocessing = _preprocessing(config)
    reader = WindowReader(getattr(config, "frames", _FRAMES), recipe.in_view)
    network = channels_last(share_batch_norm(with_new_head(initial, config, recipe.seed), fabric.world_size))
    start = weights_hash(network.state_dict())
    head = {id(parameter) for parameter in _head(network).parameters()}
    groups = [
        {
            "params": [p for p in network.parameters() if (id(p) in head) == is_head and (p.ndim > 1) == is_kernel],
            "lr": recipe.head_learning_rate if is_head else recipe.learning_rate,
            "weight_decay": recipe.weight_decay if is_kernel else 0.0,
        }
        for is_head in (False, True)
        for is_kernel in (True, False)
    ]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]])
    schedule = _schedule(optimizer, recipe)
    wrapped, optimizer = fabric.setup(network, optimizer)
    run = TrainingRun(
        workspace,
        {"network": network, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, start, repr(config), clips.digest),
    )
    labels = {action: number for number, action in enumerate(clips.actions)}

    def draw(random: StepRandomness) -> Batch:
        chosen = np.array(_drawn(clips, random.step, recipe))
        seeds = random.rng.integers(2**63, size=recipe.batch_size)
        mine = random.share(chosen)
        wanted = [
            (clips.train[clip], seed) for clip, seed in zip(chosen[mine].tolist(), seeds[mine].tolist(), strict=True)
        ]
        least = (preprocessing.size or 1) if preprocessing.fit == "crop" else 1

        def read(item: tuple[ClipFile, int]) -> np.ndarray:
            return reader.window(item[0].path, np.random.default_rng(item[1]), crop=recipe.crop, least=least)

        windows = in_order(read, wanted)
        return (*map(torch.from_numpy, windows), torch.tensor([labels[clip.label] for clip, _ in wanted]))

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        network.train()
        *windows, actions = batch
        videos = recipe.augmentation(fitted(windows, preprocessing), random)
        with arithmetic(recipe.precision, fabric.device):
            logits = wrapped(videos).float()
        losses = classification_loss(logits, actions, recipe.label_smoothing)
        run.update(losses["loss"], wrapped, optimizer, recipe.max_norm or math.inf)
        schedule.step()
        return losses

    def accuracy(some: Sequence[ClipFile]) -> float:
        windows = reader.fixed_windows(some, recipe.seed, recipe.windows)
        actions = [labels[clip.label] for clip in some for _ in range(recipe.windows)]
        predicted = _predictions(network, windows, preprocessing, fabric.device)
        return sum(p == action for p, action in zip(predicted, actions, strict=True)) / len(actions)

    def evaluate() -> dict[str, float]:
        network.eval()
        figures = {"test": accuracy(clips.test)}
        if clips.validation:
            figures["validation"] = accuracy(clips.validation)
        point = CurvePoint(run.step, figures["test"], figures.get("validation"))
        before = [_mark(each, recipe.stop_on) for each in read_curve(workspace.folder, clips, recipe.windows)]
        if _mark(point, recipe.stop_on) >= max(before, default=-1.0):
            _keep(workspace.folder / CHECKPOINT, network, config, initial, clips, recipe, point, reader.length)
        return figures

    run.loop(
        recipe.iterations,
        draw,
        step,
        description=description,
        validate=evaluate,
        validations=recipe.iterations // recipe.every,
    )
    return Finetuned(start, read_curve(workspace.folder, clips, recipe.windows), recipe.stop_on, len(clips.test))


def _schedule(optimizer: torch.optim.Optimizer, recipe: FinetuningRecipe) -> torch.optim.lr_scheduler.LRScheduler:
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    rates = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, recipe.iterations, pct_start=0.2)


def _drawn(clips: FinetuningClips, step: int, recipe: FinetuningRecipe) -> list[int]:
    """The numbers of the training clips in a step."""
    real = round(recipe.real_share * recipe.batch_size)
    if not real or not clips.real or not clips.generated:
        return in_epochs(len(clips.train), step, recipe.batch_size, recipe.seed)
    generated = in_epochs(len(clips.generated), step, recipe.batch_size - real, recipe.seed)
    return in_epochs(len(clips.real), step, real, recipe.seed) + [len(clips.real) + clip for clip in generated]


def with_classes(initial: Checkpoint, num_classes: int) -> ClassifierConfig:
    """The configuration of a checkpoint's classifier with another number of classes. StganError if it is none."""
    network = initial.network
    if not isinstance(network, C3D | LRCN | R2Plus1D | TemporalStream | TCN):
        raise StganError(f"{type(network).__name__} is no classifier that can be fine-tuned; use a C3D")
    config = replace(network.config, num_classes=num_classes)
    if _preprocessing(config).size is None:
        raise StganError(
            f"this {type(network).__name__} has no fixed input size, so it cannot take clips of several sizes"
        )
    return config


def with_new_head(initial: Checkpoint, config: ClassifierConfig, seed: int) -> TrainableClassifier:
    """The checkpoint's network, for clips of its size, with a random last layer drawn from the seed."""
    network = build(_for_fitted_clips(config))
    head = _head(network)
    former, own = initial.network.state_dict(), network.state_dict()
    new = f"{_HEADS[type(network)]}."
    network.load_state_dict({key: own[key] if key.startswith(new) else former[key] for key in own})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        bound = math.sqrt(6 / (head.in_features + head.out_features))  # Xavier's
        head.weight.uniform_(-bound, bound, generator=generator)
        head.bias.zero_()
    return network


def read_curve(folder: Path, clips: FinetuningClips, windows: int) -> tuple[CurvePoint, ...]:
    """The evaluations in a fine-tuning's log. windows: of each clip, to restore the exact accuracies."""
    path = folder / VALIDATION
    if not path.exists():
        return ()

    def exact(row: dict[str, str], name: str, some: Sequence[ClipFile]) -> float:
        count = len(some) * windows
        return round(float(row[name]) * count) / count  # the file has six digits

    return tuple(
        CurvePoint(
            int(row["step"]),
            exact(row, "test", clips.test),
            exact(row, "validation", clips.validation) if clips.validation else None,
        )
        for row in csv.DictReader(read_text(path).splitlines())
    )


_HEADS: dict[type[nn.Module], str] = {C3D: "fc8", LRCN: "fc8", R2Plus1D: "fc", TemporalStream: "fc", TCN: "fc"}


def _head(network: TrainableClassifier) -> nn.Linear:
    """The layer whose outputs are the classes."""
    head = getattr(network, _HEADS[type(network)])
    assert isinstance(head, nn.Linear)
    return head


def _preprocessing(config: ClassifierConfig) -> Preprocessing:
    return config.frame.preprocessing if isinstance(config, LRCNConfig | TCNConfig) else config.preprocessing


def _for_fitted_clips(config: ClassifierConfig) -> ClassifierConfig:
    """The same network for clips that `fitted` has already resized: its crop then changes nothing.

    Clips of several sizes must be resized before they form a batch.
    """
    preprocessing = replace(_preprocessing(config), fit="crop")
    if isinstance(config, LRCNConfig | TCNConfig):
        return replace(config, frame=replace(config.frame, preprocessing=preprocessing))
    return replace(config, preprocessing=preprocessing)


def _mark(point: CurvePoint, stop_on: str) -> float:
    """The accuracy that chooses a point."""
    return point.validation if stop_on == "validation" and point.validation is not None else point.test


@torch.no_grad()
def _predictions(
    network: TrainableClassifier, windows: Iterator[np.ndarray], preprocessing: Preprocessing, device: torch.device
) -> list[int]:
    """The predicted class of each window."""
    predicted: list[int] = []
    while some := list(islice(windows, _TEST_BATCH)):
        videos = fitted([torch.from_numpy(window).to(device) for window in some], preprocessing)
        predicted += network.log_probabilities(videos).argmax(1).tolist()
    return predicted


def _keep(
    folder: Path,
    network: TrainableClassifier,
    config: ClassifierConfig,
    initial: Checkpoint,
    clips: FinetuningClips,
    recipe: FinetuningRecipe,
    point: CurvePoint,
    length: int,
) -> None:
    """Save the weights as a checkpoint that does its own preprocessing again."""
    with torch.device("meta"):
        whole = build(config)
    whole.load_state_dict(network.state_dict(), assign=True)
    provenance = {
        "data": {
            "train_clips": len(clips.train),
            "validation_clips": len(clips.validation),
            "test_clips": len(clips.test),
            "frames": length,
        },
        "recipe": asdict(recipe),
        "ancestors": {**initial.ancestors, "fine-tuned from": initial.hash},
        "figures": asdict(point),
        "versions": {"stgan": __version__, "torch": torch.__version__.split("+")[0]},
    }
    card = (
        f"# {config.network}, fine-tuned\n\nFrom weights {initial.hash[:16]}, on {len(clips.train)} clips of "
        f"{len(clips.actions)} actions, {point.iteration} iterations, chosen by accuracy on {recipe.stop_on} clips. "
        f"Random-clip accuracy on {len(clips.test)} test clips: {point.test:.3f}.\n"
    )
    save_checkpoint(folder, whole, actions=clips.actions, provenance=provenance, card=card)
