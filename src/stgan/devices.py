"""Where networks run, and what they compute in."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from stgan.errors import StganError

Precision = Literal["32-true", "bf16-mixed"]
"""What products are computed in, by Lightning's names."""


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device of this name; by default a GPU if there is one. StganError if it is not to be had."""
    device = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=device).tolist()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise StganError(f"device {str(device)!r} is not to be had here; name another or none") from error
    return torch.device(device)


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Within its block networks on this device compute in this precision; "32-true" leaves it as it is."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a computation failed for want of memory; PyTorch has a type of its own for that on GPUs only."""
    said = ("out of memory", "allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    )


def batch_size(device: torch.device, frames: int, side: int) -> int:
    """How many clips of so many square frames to make at a time, 1 to 16.

    Few, as an interrupted run loses the batch it is at; enough that small networks keep the device busy
    (docs/performance.md).
    """
    pixels = 1 << (18 if device.type == "cpu" else 22)
    return min(max(1, pixels // (frames * side**2)), 16)


def machine(device: torch.device) -> dict[str, Any]:
    """What the last bits of a computation depend on beside its input, and the time it takes; for the record."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return {"torch": torch.__version__, "device": name, "threads": torch.get_num_threads()}
