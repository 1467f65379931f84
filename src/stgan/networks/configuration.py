"""Network configurations as plain data, as stored in the `config.json` of a checkpoint."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

Dropout = Annotated[float, Interval(ge=0, le=1)]
Depth = Annotated[int, Interval(ge=0, le=100)]
"""Number of equal blocks in a row."""


@dataclass(frozen=True)
class Configuration:
    """A frozen dataclass of numbers, strings and (nested) tuples. `stgan.records` reads it from JSON and YAML."""

    network: ClassVar[str]
    """Name of the architecture, which checkpoints store beside the values."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `stgan.records` makes an equal configuration."""
        return asdict(self)
