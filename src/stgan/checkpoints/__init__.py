"""Networks and models on disk."""

from stgan.checkpoints.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from stgan.checkpoints.i3d import FVD_SHA256, load_i3d
from stgan.checkpoints.model_folder import ModelFolder, assemble, bundled_models, find_model

__all__ = [
    "FVD_SHA256",
    "Checkpoint",
    "CheckpointError",
    "ModelFolder",
    "assemble",
    "bundled_models",
    "find_model",
    "load_checkpoint",
    "load_i3d",
    "save_checkpoint",
]
