"""The discriminator in the training of a generator: Eq. 4-5 (DeePSiM), with its late begin and its pauses."""

from typing import Any

import torch
from torch import Tensor

from stgan.networks.discriminator import FAKE, REAL, Discriminator
from stgan.networks.map_discriminator import MapDiscriminator
from stgan.training.losses import adversarial_loss, discriminator_loss
from stgan.training.run import TrainingRun, Workspace


class Adversary:
    """A discriminator D(x, z) with a `log_probability` of images and codes, and its optimizer.

    begin:       the step from which on it takes part.
    pause_ratio: it is not updated while its loss is below this fraction of the adversarial loss: the generator's
                 gradient would vanish.
    """

    def __init__(
        self,
        workspace: Workspace,
        discriminator: Discriminator | MapDiscriminator,
        optimizer: torch.optim.Optimizer,
        begin: int,
        pause_ratio: float,
    ) -> None:
        self.discriminator, self.begin, self.pause_ratio = discriminator, begin, pause_ratio
        self._wrapped, self._optimizer, self._log_d = workspace.setup(discriminator, optimizer, "log_probability")
        self._fixed_log_d = workspace.in_precision(discriminator.log_probability)

    @property
    def state(self) -> dict[str, Any]:
        """What a training saves of it."""
        return {"discriminator": self.discriminator, "optimizer_d": self._optimizer}

    def loss(self, run: TrainingRun, generated: Tensor, codes: Tensor) -> Tensor:
        """Eq. 4 of generated images and their codes; 0 before the discriminator takes part."""
        if run.step < self.begin:
            return generated.new_zeros(())
        self.discriminator.requires_grad_(False)  # gradients with respect to D's weights are not needed
        return adversarial_loss(self._fixed_log_d(generated, codes.detach())[:, REAL].float())

    def update(
        self, run: TrainingRun, real: Tensor, generated: Tensor, codes: Tensor, adversarial: Tensor
    ) -> dict[str, Tensor]:
        """A step down Eq. 5, unless it pauses. adversarial: Eq. 4 of these images."""
        if run.step < self.begin:
            return {"discr": adversarial.new_zeros(()), "paused": adversarial.new_ones(())}
        self.discriminator.requires_grad_(True)
        # Real and generated images form one batch, because no layer of D mixes examples.
        log_d = self._log_d(torch.cat([real, generated.detach()]), torch.cat([codes, codes]).detach()).float()
        half = len(log_d) // 2
        loss = discriminator_loss(log_d[:half, REAL], log_d[half:, FAKE])
        balance = run.mean(torch.stack([loss.detach(), adversarial.detach()]))
        paused = balance[0] < self.pause_ratio * balance[1]
        if not paused:
            run.update(loss, self._wrapped, self._optimizer)
        return {"discr": loss, "paused": paused.float()}
