"""Networks and models on disk.

This package imports no PyTorch, which takes seconds to load. The modules `checkpoint` and `own_classifier` do.
"""

from stgan.checkpoints.description import CheckpointError
from stgan.checkpoints.known_files import FVD_SHA256
from stgan.checkpoints.model_folder import ModelFolder, assemble, bundled_models, find_model

__all__ = ["FVD_SHA256", "CheckpointError", "ModelFolder", "assemble", "bundled_models", "find_model"]
