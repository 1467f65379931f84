"""Networks and models on disk.

Names that need PyTorch are imported at first use, since PyTorch takes seconds to load.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stgan.checkpoints.description import CheckpointError
from stgan.checkpoints.known_files import FVD_SHA256
from stgan.checkpoints.model_folder import ModelFolder, assemble, bundled_models, find_model

if TYPE_CHECKING:
    from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from stgan.checkpoints.i3d_files import load_i3d
    from stgan.checkpoints.own_classifier import (
        OWN,
        Classifier,
        is_own_classifier,
        load_own_classifier,
        own_checkpoints,
    )

__all__ = [
    "FVD_SHA256",
    "OWN",
    "Checkpoint",
    "CheckpointError",
    "Classifier",
    "ModelFolder",
    "assemble",
    "bundled_models",
    "find_model",
    "is_own_classifier",
    "load_checkpoint",
    "load_i3d",
    "load_own_classifier",
    "own_checkpoints",
    "save_checkpoint",
]

_MODULES = {
    "checkpoint": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    "i3d_files": ("load_i3d",),
    "own_classifier": ("OWN", "Classifier", "is_own_classifier", "load_own_classifier", "own_checkpoints"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
