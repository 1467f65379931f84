"""Networks and models on disk."""

from stgan.checkpoints.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from stgan.checkpoints.i3d_files import FVD_SHA256, load_i3d
from stgan.checkpoints.model_folder import ModelFolder, assemble, bundled_models, find_model
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
