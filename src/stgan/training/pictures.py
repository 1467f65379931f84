"""Pictures that a training saves for inspection."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def save_image_grid(path: Path, rows: list[Float[Tensor, "n 3 height width"]]) -> None:
    """Save batches of images in [0, 1] as the rows of one picture."""
    grid = np.concatenate([np.concatenate(list(row.clamp(0, 1).permute(0, 2, 3, 1).numpy()), 1) for row in rows])
    Image.fromarray((grid * 255).round().astype(np.uint8)).save(path)
