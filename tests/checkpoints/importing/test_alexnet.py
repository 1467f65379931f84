"""torchvision's AlexNet as an encoder, against its layers one by one in double precision."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from frames import as_videos, grey_levels, relative
from published import random_layer
from safetensors.torch import save_file
from torch import Tensor

from stgan.checkpoints import CheckpointError
from stgan.checkpoints.importing import import_weights

NUMBERS, STRIDES, PADDINGS = (0, 3, 6, 8, 10), (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def state(rng: np.random.Generator) -> dict[str, Tensor]:
    shapes = [(4, 3, 11, 11), (6, 4, 5, 5), (8, 6, 3, 3), (6, 8, 3, 3), (5, 6, 3, 3), (16, 5 * 36), (6, 16), (10, 6)]
    names = [*(f"features.{number}" for number in NUMBERS), "classifier.1", "classifier.4", "classifier.6"]
    layers = [random_layer(rng, name, "", shape) for name, shape in zip(names, shapes, strict=True)]
    arrays = {
        f"{each.name}.{part}": array
        for each in layers
        for part, array in zip(("weight", "bias"), each.arrays, strict=True)
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def fc6(
    state: dict[str, Tensor], image: np.ndarray, mean: tuple = MEAN, std: tuple = STD, order: int = 1
) -> np.ndarray:
    """torchvision/models/alexnet.py up to the first inner product, of the middle 224x224 of RGB bytes."""
    pixels = torch.from_numpy(image[16:240, 16:240, ::order].copy()).double().movedim(2, 0)[None] / 255
    x = (pixels - torch.tensor(mean).double().view(3, 1, 1)) / torch.tensor(std).double().view(3, 1, 1)
    for number, stride, padding in zip(NUMBERS, STRIDES, PADDINGS, strict=True):
        weight, bias = state[f"features.{number}.weight"].double(), state[f"features.{number}.bias"].double()
        x = F.relu(F.conv2d(x, weight, bias, stride, padding))
        if number in (0, 3, 10):
            x = F.max_pool2d(x, 3, 2)
    x = F.adaptive_avg_pool2d(x, 6).flatten(1)
    return F.relu(F.linear(x, state["classifier.1.weight"].double(), state["classifier.1.bias"].double())).numpy()


def test_alexnet(state: dict[str, Tensor], tmp_path: Path, rng: np.random.Generator) -> None:
    for format in ("torch", "safetensors"):
        path = tmp_path / "weights"
        (torch.save if format == "torch" else save_file)(state, path)
        checkpoint = import_weights("encoder", [path])
        assert checkpoint.provenance["imported"]["left out"] == ["classifier.4", "classifier.6"]
        image = grey_levels(rng, 1, 256, 256)[0]
        code = checkpoint.network(as_videos(image[None])[:, :, 0])
        wanted = fc6(state, image)
        assert relative(code, wanted) < 1e-4 and (wanted > 0).sum() > 2
        for changed in ({"order": -1}, {"mean": MEAN[::-1]}, {"std": STD[::-1]}):
            assert relative(code, fc6(state, image, **changed)) > 1e-3


def test_what_is_no_alexnet(state: dict[str, Tensor], tmp_path: Path) -> None:
    del state["classifier.1.bias"]
    torch.save(state, tmp_path / "weights")
    with pytest.raises(CheckpointError, match="'fc6' has 1 arrays, not weights and a bias"):
        import_weights("encoder", [tmp_path / "weights"])
    torch.save({"conv1.weight": torch.ones(3)}, tmp_path / "weights")
    with pytest.raises(CheckpointError, match="it has no layer 'conv2'"):
        import_weights("encoder", [tmp_path / "weights"])
