"""The moving average of weights, against its formula."""

import pytest
import torch
from torch import nn

from stgan.training.averaging import moving_average


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_the_decay_rises_with_the_steps(decay: float) -> None:
    network = nn.BatchNorm1d(2)
    average = moving_average(network, decay, use_buffers=True)
    expected = torch.zeros(2)
    for t in range(30):
        with torch.no_grad():
            network.weight.fill_(t + 5.0)
            network.running_mean.fill_(-t)  # type: ignore[union-attr]
            network.num_batches_tracked.fill_(t)  # type: ignore[union-attr]
        average.update_parameters(network)
        share = min(decay, (1 + t) / (10 + t)) if t else 0.0
        expected = share * expected + (1 - share) * torch.tensor([t + 5.0, -t])
    found = average.module
    assert found.weight.tolist() == pytest.approx([expected[0].item()] * 2, rel=1e-5)
    assert found.running_mean.tolist() == pytest.approx([expected[1].item()] * 2, rel=1e-5)
    assert found.num_batches_tracked.item() == 29
    assert not found.weight.grad_fn


def test_a_short_training_forgets_where_it_began() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = moving_average(network, 0.999)
    for step in range(101):
        nn.init.constant_(network.weight, 1000.0 if step == 0 else 1.0)
        average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(1, abs=0.01)
