"""Kernels are stored channels last; nothing else about a network changes."""

from dataclasses import replace

import torch

from stgan.networks import C3D, C3DConfig
from stgan.networks.layout import channels_last
from stgan.networks.preprocessing import C3D_TENSORFLOW


def test_a_network_with_a_mean_volume_keeps_it_and_its_answers() -> None:
    torch.manual_seed(0)
    pixels = replace(C3D_TENSORFLOW, size=16)
    config = C3DConfig(num_classes=3, stages=((4,), (8,)), hidden_sizes=(8,), pad_last_pool=False, preprocessing=pixels)
    network, videos = C3D(config).eval(), torch.rand(2, 3, 16, 16, 16)
    before = network.log_probabilities(videos)
    assert channels_last(network) is network
    assert all(
        parameter.is_contiguous(memory_format=torch.channels_last_3d)
        for parameter in network.parameters()
        if parameter.ndim == 5
    )
    torch.testing.assert_close(network.log_probabilities(videos), before, atol=1e-5, rtol=0)
