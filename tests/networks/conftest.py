"""Networks small enough to run in a moment, in float64 so that equal means equal."""

import pytest
import torch

from stgan.networks import GeneratorConfig, ImageGenerator


@pytest.fixture
def image_generator() -> ImageGenerator:
    """Table 1 in small: 6-d codes to 16x16 images in four spatial layers, with biases that are not zero."""
    torch.manual_seed(0)
    config = GeneratorConfig(code_size=6, hidden_size=8, base_channels=4, base_size=2, stages=((5, 4), (3,)))
    network = ImageGenerator(config).double()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return network
