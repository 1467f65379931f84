"""Untrained priors of vector codes: everything runs, and what they are told matters."""

import torch

from stgan.networks import CodePrior, CodePriorConfig, SequencePrior, SequencePriorConfig


def code_prior(code_size: int = 12, rank: int = 6) -> CodePrior:
    """Its coordinates are four times those in some orthonormal basis."""
    torch.manual_seed(0)
    prior = CodePrior(CodePriorConfig(code_size=code_size, rank=rank, appearance_rank=3, width=16, depth=1))
    rows = torch.linalg.qr(torch.randn(code_size, rank))[0].T
    prior.mean.fill_(0.5)
    prior.to_whitened.copy_(4 * rows)
    prior.from_whitened.copy_(rows / 4)
    return prior.eval()


def sequence_prior(code_size: int = 12, num_classes: int = 3) -> SequencePrior:
    """Of windows of 16 frames."""
    torch.manual_seed(0)
    config = SequencePriorConfig(code_size=code_size, rank=10, num_classes=num_classes, width=16, depth=1)
    prior = SequencePrior(config)
    prior.basis.data.copy_(torch.linalg.qr(torch.randn(16 * code_size, 10))[0].T)
    prior.variance.copy_(torch.logspace(0.5, -1, 10))
    prior.mean.fill_(0.5)
    prior.unit.fill_(0.3)
    torch.nn.init.normal_(prior.out.weight, std=0.2)
    return prior.eval()
