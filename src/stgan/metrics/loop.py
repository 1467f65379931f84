"""Scores for a training loop: modules of torchmetrics that collect clips and score them as `stgan evaluate` does.

Each shows the middle window of a clip to a network and keeps what the network says, not the clip. So the modules of a
`MetricCollection` that have the same network and reference share one network call a batch. Clips are ordered by a hash
before they are split or left out, so that a score does not depend on batches, processes or their order, except for the
network's own rounding. The modules cannot know which network steered the clips, so they never say "fooled".
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from stgan.errors import StganError
from stgan.metrics.classification import inception_score
from stgan.metrics.distances import frechet_distance, kernel_distance
from stgan.metrics.neighbours import precision_recall_density_coverage
from stgan.names import quoted
from stgan.video.windows import center_window

Network = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps videos to "batch features" and the log probabilities "batch classes", as `stgan.scoring.Evaluator` does."""


class _ClipMetric(Metric):
    """Clips as a network sees them. A row for each clip; a collection keeps it once for modules of one `source`.

    Args:
        network: on the device of the videos; an `Evaluator` moves them to its own. Where it has `frames`, it is shown
            as many of the middle of a clip, else the whole clip. Where it has `actions`, clips may be labelled by name.
        real: features of real clips, in the order in which they are taken; they take the place of real clips in
            `update`, on every process.
        options: of `torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    features: list[Tensor]
    log_probabilities: list[Tensor]
    actions: list[Tensor]
    real: list[Tensor]
    order: list[Tensor]
    source: Tensor

    def __init__(self, network: Network, *, real: Float[Tensor, "n d"] | None = None, **options: Any) -> None:
        # torchmetrics keeps a computed value even when other clips are merged in.
        super().__init__(**{"dist_sync_fn": _gathered, "compute_with_cache": False, **options})
        self.network = network
        self.reference = real
        for name in ("features", "log_probabilities", "actions", "real", "order"):
            self.add_state(name, [], dist_reduce_fx="cat")
        # Where states are merged, the module's own is the last.
        self.add_state("source", torch.zeros(16, dtype=torch.uint8), dist_reduce_fx=itemgetter(-1))

    def update(
        self,
        videos: Float[Tensor, "batch 3 time height width"],
        *,
        real: bool = False,
        actions: Int[Tensor, " batch"] | Sequence[str | None] | None = None,
    ) -> None:
        """Add clips: RGB in [0, 1], of any precision; none if the batch is empty.

        Args:
            real: they are real ones, to which generated ones are compared.
            actions: what they should show, as names or numbers of the network's classes; None or -1: unknown.

        Raises:
            StganError: these are no videos, or the network cannot score them or does not know an action.
        """
        if videos.ndim != 5 or videos.shape[1] != 3 or videos.shape[2] < 2:
            raise StganError(
                f"videos have the shape (batch, 3, time, height, width), of two frames or more, not "
                f"{tuple(videos.shape)}; give such ones"
            )
        # A collection merges modules whose states are equal after its first update, also if that adds no row. As bytes,
        # because it takes numbers for equal that differ by 1e-5 of their size.
        identity = struct.pack("2Q", id(self.network), id(self.reference))
        self.source = torch.tensor(list(identity), dtype=torch.uint8, device=self.device)
        if not videos.numel() or (real and self.reference is not None):
            return
        window = center_window(videos.shape[2], getattr(self.network, "frames", videos.shape[2]))
        shown = videos[:, :, torch.from_numpy(window)].float()
        # As `measure` computes them: without TF32, and in the network's own precision.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with exact, torch.autocast(videos.device.type, enabled=False):
            features, log_probabilities = self.network(shown)
        rows = {
            "features": features.float(),
            "log_probabilities": log_probabilities.double(),
            "actions": self._numbers(actions, *log_probabilities.shape),
            "real": torch.full((len(videos),), real),
            "order": torch.tensor([list(_order(video, int(window[0]))) for video in videos], dtype=torch.uint8),
        }
        for name, values in rows.items():
            getattr(self, name).append(values.to(self.device))

    def set_dtype(self, dst_type: str | torch.dtype) -> "_ClipMetric":
        """Nothing happens: scores are computed in float64 of what the network says."""
        return self

    def _numbers(
        self, actions: Int[Tensor, " batch"] | Sequence[str | None] | None, batch: int, classes: int
    ) -> Int[Tensor, " batch"]:
        """Class numbers; -1 where unknown."""
        if actions is None:
            return torch.full((batch,), -1)
        if not isinstance(actions, Tensor):
            number = {None: -1, **{name: i for i, name in enumerate(getattr(self.network, "actions", ()))}}
            if unknown := [name for name in actions if name not in number]:
                raise StganError(f"the network does not know the action {quoted(str(unknown[0]))}; give its number")
            actions = torch.tensor([number[name] for name in actions])
        if actions.shape != (batch,) or int(actions.max()) >= classes:
            raise StganError(f"{batch} clips need {batch} actions, each below {classes}; give such ones")
        return actions

    def _rows(self, name: str, *, real: bool = False) -> Tensor:
        """A state of the real clips, or of the generated ones, in the order of their hashes."""
        if not len(self.real):
            raise StganError("there are no clips to score; call update before compute")
        order = dim_zero_cat(self.order).tolist()
        chosen = [i for i, each in enumerate(dim_zero_cat(self.real).tolist()) if each == real]
        return dim_zero_cat(getattr(self, name))[sorted(chosen, key=order.__getitem__)]

    def _both(self, least: int) -> tuple[Tensor, Tensor]:
        """Features of equally many real and generated clips: the first ones, whose order is as good as random."""
        generated = self._rows("features")
        real = self._rows("features", real=True) if self.reference is None else self.reference.to(generated)
        n = min(len(real), len(generated))
        if n < least:
            raise StganError(
                f"this score needs {least} real and {least} generated clips or more, and has {len(real)} and "
                f"{len(generated)}; call update with more of them"
            )
        return real[:n], generated[:n]


class InceptionScore(_ClipMetric):
    """`inception_score` of the generated clips: its mean over `splits` parts, into which clips fall at random.

    compute() raises StganError for fewer clips than splits.
    """

    higher_is_better = True

    def __init__(self, network: Network, *, splits: int = 1, **options: Any) -> None:
        super().__init__(network, **options)
        self.splits = splits

    def compute(self) -> Float[Tensor, ""]:
        log_probabilities = self._rows("log_probabilities")
        if not 1 <= self.splits <= len(log_probabilities):
            raise StganError(
                f"{len(log_probabilities)} clips cannot be scored in {self.splits} splits; "
                "take fewer, or call update with more clips"
            )
        return inception_score(log_probabilities, self.splits)[0]


class FrechetVideoDistance(_ClipMetric):
    """`frechet_distance` of equally many generated and real clips. compute() raises StganError for fewer than two."""

    higher_is_better = False

    def __init__(self, network: Network, *, correction: int = 1, **options: Any) -> None:
        super().__init__(network, **options)
        self.correction = correction

    def compute(self) -> Float[Tensor, ""]:
        return frechet_distance(*self._both(2), self.correction)


class KernelVideoDistance(_ClipMetric):
    """`kernel_distance` of equally many generated and real clips. compute() raises StganError for fewer than two."""

    higher_is_better = False

    def __init__(
        self, network: Network, *, degree: int = 3, constant: float = 1.0, unbiased: bool = True, **options: Any
    ) -> None:
        super().__init__(network, **options)
        self.kernel: tuple[Any, ...] = (degree, constant, unbiased)

    def compute(self) -> Float[Tensor, ""]:
        return kernel_distance(*self._both(2), *self.kernel)


class PrecisionRecall(_ClipMetric):
    """`precision_recall_density_coverage` of equally many generated and real clips, by its four names.

    Every row is a clip of its own. compute() raises StganError for fewer than three of either kind.
    """

    higher_is_better = True

    def __init__(self, network: Network, *, k: int = 5, **options: Any) -> None:
        super().__init__(network, **options)
        self.k = k

    def compute(self) -> dict[str, Float[Tensor, ""]]:
        found = precision_recall_density_coverage(*self._both(3), self.k)
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in found._asdict().items()}


class Accuracy(_ClipMetric):
    """Share, from 0 to 1, of the generated clips whose action is the most probable one, among those of known action.

    compute() raises StganError if there is none.
    """

    higher_is_better = True

    def compute(self) -> Float[Tensor, ""]:
        actions = self._rows("actions")
        known = actions >= 0
        if not known.any():
            raise StganError("the action of no clip is known; call update with actions")
        return (self._rows("log_probabilities").argmax(1) == actions)[known].double().mean()


def _order(video: Float[Tensor, "3 time height width"], start: int) -> bytes:
    """A hash of a clip's pixels and of where its window starts, by which `measure` orders clips of files, too."""
    pixels = (255 * video.float()).round().to("cpu", torch.uint8).permute(1, 2, 3, 0).contiguous()
    content = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
    return hashlib.sha256(f"{content} {start}".encode()).digest()


def _gathered(rows: Tensor, group: Any = None) -> list[Tensor]:
    """The rows of all processes. torchmetrics' own function fails where one of them has none."""
    found: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(found, rows.cpu(), group)
    return [each.to(rows.device) for each in found if len(each)] or [rows]
