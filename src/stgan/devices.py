"""Devices and precisions of computations."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from stgan.errors import StganError, is_out_of_memory

Precision = Literal["32-true", "bf16-mixed"]
"""Number format of matrix products, by Lightning's names."""


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device of this name; by default a GPU if there is one. StganError if it is not available."""
    device = ("cuda" if torch.cuda.is_available() else "cpu") if name is None else name
    try:
        torch.empty(1, device=device).tolist()
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise StganError(f"device {str(device)!r} is not available here; name another one, or none") from error
    return torch.device(device)


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """A context in which networks on this device compute in this precision; "32-true" changes nothing."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Whether it multiplies matrices of bfloat16 by itself, and so faster than others: not every processor does."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    units = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # PyTorch 2.4 does not know all
    return device.type == "cpu" and any(getattr(torch.cpu, unit, lambda: False)() for unit in units)


def suited_precision(device: torch.device) -> Precision:
    """The fastest precision there: bf16-mixed if it has units for bfloat16."""
    return "bf16-mixed" if has_bfloat16(device) else "32-true"


def batch_size(device: torch.device, frames: int, side: int) -> int:
    """How many clips of `frames` square frames of `side` pixels to generate at a time, 1 to 16.

    An interrupted run loses its current batch, so batches are small, but large enough to keep the device busy
    (docs/performance.md).
    """
    pixels = 1 << (18 if device.type == "cpu" else 22)
    return min(max(1, pixels // (frames * side**2)), 16)


def machine(device: torch.device) -> dict[str, Any]:
    """The circumstances that change the last bits and the time of a computation: versions, device and threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return {"torch": torch.__version__, "device": name, "threads": torch.get_num_threads()}
