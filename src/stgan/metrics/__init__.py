"""Scores as functions of tensors, in the modules of this package; and as modules of torchmetrics, loaded on demand."""

from typing import TYPE_CHECKING, Any

__all__ = ["Accuracy", "FrechetVideoDistance", "InceptionScore", "KernelVideoDistance", "PrecisionRecall"]

if TYPE_CHECKING:
    from stgan.metrics.loop import (
        Accuracy,
        FrechetVideoDistance,
        InceptionScore,
        KernelVideoDistance,
        PrecisionRecall,
    )


def __getattr__(name: str) -> Any:
    if name in __all__:  # on demand: the functions need no torchmetrics
        from stgan.metrics import loop

        return getattr(loop, name)
    raise AttributeError(f"module 'stgan.metrics' has no attribute {name!r}")
