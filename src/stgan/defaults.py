"""Names and default values that the library and its command line share.

Nothing here loads PyTorch, so that `stgan --help` need not.
"""

PRESETS = ("motion", "robust", "spectral", "paper", "pixels")
"""Names of the presets; `stgan.sampling.presets` has their settings."""

PROTOCOLS = ("stgan", "stylegan-v", "stylegan-v-is", "tgan2", "tats", "digan", "cd-fvd", "videogpt", "jedi")
"""Names of the protocols of scores; `stgan.scoring.protocols` has their rules."""

FRAMES = 16
"""Frames of a clip."""
MOST_FRAMES = 1024
"""The largest number of frames of a clip."""
LARGEST_SEED = 2**63 - 1
BOTH = "both"
"""Stands for all condition networks of a model."""
STRENGTH = 0.9
"""How much of a video to start from may change."""
EVALUATOR = "evaluator"
"""The name of a model's evaluator."""
