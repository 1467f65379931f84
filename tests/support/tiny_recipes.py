"""Recipes of a model of the 16x16 clips that the tests make: stage to the values of its YAML file."""

from typing import Any

PIXELS = {"size": 16, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
UNITS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
FRAME = {
    "channels": [6, 6, 6, 6, 6],
    "kernels": [3] * 5,
    "strides": [1] * 5,
    "paddings": [1] * 5,
    "groups": [1] * 5,
    "code_size": 24,
    "response_norm": False,
    "batch_norm": True,
    "preprocessing": PIXELS,
}
GENERATOR = {"code_size": 24, "hidden_size": 32, "base_channels": 16, "stages": [[16, 8]], "preprocessing": UNITS}
RECIPES: dict[str, dict[str, Any]] = {
    "model": {
        "name": "squares",
        "description": "moving squares",
        "citation": "made here",
        "size": 16,
        "held_out": ["grow/clip2"],
        "frames": 16,
        "condition": ["c3d"],
        "evaluators": ["evaluator", "temporal_stream"],
    },
    "encoder": {"network": FRAME, "decoder": GENERATOR, "steps": 30, "batch_size": 16},
    "generator": {
        "network": GENERATOR,
        "discriminator": {
            "channels": [4, 4],
            "kernels": [3, 3],
            "strides": [2, 1],
            "code_size": 24,
            "code_layers": [8, 8],
            "hidden_size": 8,
            "preprocessing": PIXELS,
        },
        "steps": 40,
        "batch_size": 12,
    },
    "map_codec": {
        "network": {
            "encoder": {"channels": 3, "patch": 2, "widths": [4, 8], "depth": 1},
            "generator": {"channels": 3, "widths": [8, 4], "depth": 1, "patch": 2},
        },
        "discriminator": {"channels": 3, "widths": [4, 8]},
        "steps": 20,
        "batch_size": 12,
    },
    "frame_prior": {
        "network": {"channels": 3, "grid": 4, "widths": [8], "depth": 1, "embedding": 16},
        "steps": 20,
        "batch_size": 16,
        "copies": 2,
        "shift": 1,
        "mirror": False,
    },
    "clip_prior": {
        "network": {"channels": 3, "grid": 4, "widths": [8], "depth": 1, "embedding": 16},
        "steps": 20,
        "batch_size": 12,
        "copies": 2,
        "shift": 1,
        "mirror": False,
    },
    "c3d": {
        "architecture": "c3d",
        "network": {
            "stages": [[6], [12]],
            "hidden_sizes": [16],
            "pad_last_pool": False,
            "batch_norm": True,
            "dropout": 0.1,
            "preprocessing": PIXELS,
        },
        "augmentation": {"mirror": 0.0, "shift": 1, "blur": 0.3},
        "steps": 20,
        "batch_size": 9,
        "learning_rate": 0.01,
        "folds": [["grow/clip0", "left/clip0", "right/clip0"]],
    },
    "evaluator": {
        "architecture": "r2plus1d",
        "network": {"stem": 4, "widths": [4, 8], "preprocessing": PIXELS},
        "augmentation": {"mirror": 0.0},
        "steps": 20,
        "batch_size": 6,
    },
    "temporal_stream": {
        "architecture": "temporal_stream",
        "network": {"stem": 4, "widths": [4, 8], "preprocessing": PIXELS},
        "augmentation": {"mirror": 0.0, "shift": 1, "blur": 0.3},
        "steps": 20,
        "batch_size": 6,
    },
}
