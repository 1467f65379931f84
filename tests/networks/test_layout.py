"""How tensors lie and what is folded away makes networks faster; what they compute stays the same."""

from dataclasses import replace

import torch
from torch import nn

from stgan.networks import C3D, LRCN, AlexNet, AlexNetConfig, C3DConfig, LRCNConfig, Preprocessing
from stgan.networks.layout import InnerProduct, channels_last, fold_batch_norm
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


ENCODER = AlexNetConfig(
    channels=(4, 6, 6, 6, 8), kernels=(3,) * 5, strides=(1,) * 5, paddings=(1,) * 5, groups=(1, 2, 1, 1, 1),
    code_size=5,
    response_norm=False, batch_norm=True, preprocessing=Preprocessing(size=24),
)  # fmt: skip
SMALL_C3D = C3DConfig(
    num_classes=3, stages=((4,), (6, 8)), hidden_sizes=(7,), frames=8, batch_norm=True,
    preprocessing=Preprocessing(size=16),
)  # fmt: skip


def test_batch_norms_are_folded_into_the_layers_before_them() -> None:
    for network, shape in (
        (AlexNet(ENCODER), (2, 3, 24, 24)),
        (LRCN(LRCNConfig(num_classes=3, frame=ENCODER, lstm_size=4)), (2, 3, 5, 24, 24)),
        (C3D(SMALL_C3D), (2, 3, 8, 16, 16)),
    ):
        network = network.double().train()
        for _ in range(3):  # running averages that are not 0 and 1
            network(3 * torch.rand(shape, dtype=torch.float64) - 1)
        network.eval()
        folded, x = fold_batch_norm(network), torch.rand(shape, dtype=torch.float64, requires_grad=True)
        assert not any(
            isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) for module in folded.modules()
        )
        assert any(isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) for module in network.modules())  # it is a copy
        assert not any(parameter.requires_grad for parameter in folded.parameters())
        ours, theirs = folded(x), network(x)
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
        gradients = [torch.autograd.grad(value.square().sum(), x)[0] for value in (ours, theirs)]
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_networks_without_batch_norms_are_not_copied() -> None:
    for network in (C3D(replace(SMALL_C3D, batch_norm=False)), nn.Linear(2, 3)):
        assert fold_batch_norm(network) is network


def test_an_inner_product_is_a_linear_layer() -> None:
    for rows in (1, 5):
        ours, theirs = InnerProduct(6, 4).double(), nn.Linear(6, 4).double()
        theirs.load_state_dict(ours.state_dict())
        x = torch.rand(rows, 6, dtype=torch.float64, requires_grad=True)
        for value, other in zip(
            (ours(x), *torch.autograd.grad(ours(x).square().sum(), [x, *ours.parameters()])),
            (theirs(x), *torch.autograd.grad(theirs(x).square().sum(), [x, *theirs.parameters()])),
            strict=True,
        ):
            torch.testing.assert_close(value, other)
