"""Scores as functions of tensors, in the modules of this package; and as modules of torchmetrics, loaded on demand."""

from typing import TYPE_CHECKING, Any

from stgan.errors import StganError
from stgan.names import one_line

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
    if name not in __all__:
        raise AttributeError(f"module 'stgan.metrics' has no attribute {name!r}")
    try:
        from stgan.metrics import loop  # on demand: the functions need no torchmetrics
    except (ImportError, RuntimeError) as error:  # RuntimeError: it loads torchvision, which may not fit torch
        raise StganError(
            "scores in a training loop are modules of torchmetrics, which is missing or cannot be loaded "
            f'({one_line(error)}): pip install "stgan[metrics]"'
        ) from error
    return getattr(loop, name)
