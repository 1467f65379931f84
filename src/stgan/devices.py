"""Where networks run."""

import torch

from stgan.errors import StganError


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device of this name; by default a GPU if there is one. StganError if it is not to be had."""
    device = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=device).tolist()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise StganError(f"device {str(device)!r} is not to be had here; name another or none") from error
    return torch.device(device)
