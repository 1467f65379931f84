"""Floating point operations, counted at run time from the shapes of products.

`torch.utils.flop_counter` has the formulas. Its own `FlopCounterMode` is not used, because its hooks refuse
`autograd.grad` of a leaf, which activation maximization computes, and because it does not count LSTMs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class OperationCounter(TorchDispatchMode):
    """Counts operations in a block: two for each multiply-add of matrix products, convolutions and LSTMs."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        if operation in flop_registry:
            self.total += flop_registry[operation](*args, **(kwargs or {}), out_val=output)
        elif operation in _ONEDNN_LSTM:
            self.total += lstm_operations(args[0], args[1:3])
        elif operation in _CUDNN_LSTM:
            self.total += lstm_operations(args[0], args[1])
        return output


# Forward, and backward to the gradient of the input.
_ONEDNN_LSTM = {torch.ops.aten.mkldnn_rnn_layer, torch.ops.aten.mkldnn_rnn_layer_backward}
_CUDNN_LSTM = {torch.ops.aten._cudnn_rnn, torch.ops.aten._cudnn_rnn_backward}


def lstm_operations(inputs: Tensor, weights: Sequence[Tensor]) -> int:
    """Operations of an LSTM layer over "time batch code" or "batch time code". Vectors among the weights are biases."""
    steps = inputs.shape[0] * inputs.shape[1]
    return 2 * steps * sum(weight.numel() for weight in weights if weight.ndim == 2)
