"""stgan: short videos of human actions from a video classifier (Ainetter & Pinz)."""

from typing import TYPE_CHECKING, Any

from stgan.version import __version__

__all__ = ["STGAN", "__version__"]

if TYPE_CHECKING:
    from stgan.pipeline import STGAN


def __getattr__(name: str) -> Any:
    if name == "STGAN":  # on demand: importing a metric should not load the whole pipeline
        from stgan.pipeline import STGAN

        return STGAN
    raise AttributeError(f"module 'stgan' has no attribute {name!r}")
