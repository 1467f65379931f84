"""Train a video classifier: a condition network (LRCN, C3D) or an evaluator."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from stgan.checkpoints.pretrained import check_frozen, freeze, initial_hash, start_from
from stgan.errors import StganError
from stgan.metrics.classification import wilson_interval
from stgan.networks import (
    C3D,
    LRCN,
    TCN,
    C3DConfig,
    LRCNConfig,
    R2Plus1D,
    R2Plus1DConfig,
    TCNConfig,
    TemporalStream,
    TemporalStreamConfig,
)
from stgan.networks.encoder_architectures import ARCHITECTURE
from stgan.networks.layout import channels_last
from stgan.records import OneOf
from stgan.spacing import evenly_spread
from stgan.training.clip_data import Augmentation, ClipData, to_videos
from stgan.training.losses import classification_loss
from stgan.training.parallel import share_batch_norm
from stgan.training.ranges import BatchSize, LabelSmoothing, LearningRate, Pixels, Seed, Steps, WeightDecay
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch

MOST_VALIDATED = 200
"""The largest number of clips that a validation takes."""
TrainableClassifier = LRCN | C3D | R2Plus1D | TemporalStream | TCN
_NETWORKS: dict[type[Any], type[TrainableClassifier]] = {
    LRCNConfig: LRCN, C3DConfig: C3D, R2Plus1DConfig: R2Plus1D, TemporalStreamConfig: TemporalStream, TCNConfig: TCN,
}  # fmt: skip
CLASSIFIERS: dict[str, type[Any]] = {config.network: config for config in _NETWORKS}
ClassifierConfig = Annotated[
    LRCNConfig | C3DConfig | R2Plus1DConfig | TemporalStreamConfig | TCNConfig, OneOf(ARCHITECTURE, CLASSIFIERS)
]


@dataclass(frozen=True)
class ClassifierRecipe:
    """All settings of a classifier's training."""

    network: ClassifierConfig
    augmentation: Augmentation = Augmentation()
    steps: Steps = 500
    batch_size: BatchSize = 16
    learning_rate: LearningRate = 2e-3
    weight_decay: WeightDecay = 1e-3
    label_smoothing: LabelSmoothing = 0.1
    seed: Seed = 0
    size: Pixels = 0
    """Side of the training frames in pixels, before augmentation; 0: the size of the model's frames."""
    initial: str = ""
    """Weights that the frame network starts from, as in `EncoderRecipe`."""
    frozen: bool = False
    """Whether only the code layer of the frame network is trained."""
    folds: tuple[tuple[str, ...], ...] = field(default=())
    """Sets of groups. For each set, one more training leaves it out, to measure the accuracy on unseen actors."""

    def __post_init__(self) -> None:
        check_frozen(self.initial, self.frozen)


def build(config: ClassifierConfig) -> TrainableClassifier:
    """The network of a configuration, with random weights."""
    network: Any = _NETWORKS[type(config)]
    return network(config)


def _begin(recipe: ClassifierRecipe) -> TrainableClassifier:
    """The network before its first step."""
    network = build(recipe.network)
    if recipe.initial:
        frame_network = getattr(network, "frame_network", None)
        if frame_network is None:
            raise StganError(f"a {recipe.network.network} has no frame network to start from {recipe.initial}")
        start_from(frame_network, recipe.initial)
        if recipe.frozen:
            freeze(frame_network)
    return network


def train_classifier(
    recipe: ClassifierRecipe,
    train: ClipData,
    validation: ClipData,
    workspace: Workspace,
    description: str = "classifier",
) -> tuple[TrainableClassifier, TrainingRun]:
    """The trained classifier in eval mode. Its state and logs are in the workspace's folder."""
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    network = channels_last(share_batch_norm(_begin(recipe), fabric.world_size))
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.2)
    wrapped, optimizer = fabric.setup(network, optimizer)
    key = identity(replace(recipe, folds=()), train.digest, *initial_hash(recipe.initial).values())
    state = {"network": network, "optimizer": optimizer, "schedule": schedule}
    run = TrainingRun(workspace, state, recipe.seed, key)

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        network.train()
        logits = wrapped(recipe.augmentation(to_videos(batch[0]), random))
        losses = classification_loss(logits, batch[1], recipe.label_smoothing)
        run.update(losses["loss"], wrapped, optimizer, max_norm=5.0)
        schedule.step()
        return losses

    @torch.no_grad()
    def validate() -> dict[str, float]:
        network.eval()
        loss, right = 0.0, 0
        clips = evenly_spread(len(validation.clips), min(MOST_VALIDATED, len(validation.clips)))
        for clip in clips:
            windows = validation.test_windows(clip, most=3).to(fabric.device)
            with fabric.autocast():
                mean = network.log_probabilities(windows).float().exp().mean(0)
            loss -= float(mean[validation.labels[clip]].log())
            right += int(mean.argmax()) == validation.labels[clip]
        return {"loss": loss / len(clips), "accuracy": right / len(clips)}

    run.loop(
        recipe.steps,
        lambda random: train.windows(recipe.batch_size, random),
        step,
        description=description,
        validate=validate if validation.clips else None,
        validations=5,  # with a large frame network, ten would take longer than the training
    )
    return network.eval(), run


@dataclass(frozen=True)
class Predictions:
    """The true and the predicted actions of clips. A prediction uses the mean probability of up to ten windows."""

    actions: tuple[int, ...]
    predicted: tuple[int, ...]

    def __add__(self, other: "Predictions") -> "Predictions":
        return Predictions(self.actions + other.actions, self.predicted + other.predicted)

    @property
    def correct(self) -> int:
        return sum(a == p for a, p in zip(self.actions, self.predicted, strict=True))

    def summary(self) -> dict[str, float | int | list[float]]:
        """Accuracy (0-1) with Wilson's 95 % interval, and the counts behind it."""
        n = len(self.actions)
        return {
            "accuracy": self.correct / n,
            "interval": list(wilson_interval(self.correct, n)),
            "correct": self.correct,
            "clips": n,
        }


@torch.no_grad()
def test_classifier(network: TrainableClassifier, data: ClipData, most: int | None = None) -> Predictions:
    """The predictions for all clips of `data`, or for `most` of them, evenly spread."""
    device = next(network.parameters()).device
    clips = evenly_spread(len(data.clips), min(most or len(data.clips), len(data.clips)))
    predicted = []
    for clip in clips:
        log_p = network.log_probabilities(data.test_windows(clip).to(device))
        predicted.append(int(log_p.float().exp().mean(0).argmax()))
    return Predictions(tuple(data.labels[clip] for clip in clips), tuple(predicted))


def cross_validate(
    recipe: ClassifierRecipe, data: ClipData, workspace: Workspace, description: str
) -> Predictions | None:
    """Train once for each fold without its groups. Returns the pooled predictions for them, None without folds."""
    pooled = None
    for number, groups in enumerate(recipe.folds):
        rest, unseen = data.split_groups(groups)
        name = f"{description} without {', '.join(groups)}"
        network, _ = train_classifier(recipe, rest, unseen, workspace.subfolder(f"fold_{number}"), name)
        predictions = test_classifier(network, unseen)
        pooled = predictions if pooled is None else pooled + predictions
    return pooled
