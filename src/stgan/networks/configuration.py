"""Network configurations as plain data: what `config.json` of a checkpoint holds."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

Dropout = Annotated[float, Interval(ge=0, le=1)]
Depth = Annotated[int, Interval(ge=0, le=100)]
"""Number of equal blocks one after the other."""


@dataclass(frozen=True)
class Configuration:
    """A frozen dataclass of numbers, strings and (nested) tuples, which `stgan.records` reads from JSON and YAML."""

    network: ClassVar[str]
    """Name of the architecture, written beside the values so that a checkpoint says what it is."""

    def to_dict(self) -> dict[str, Any]:
        """The plain values of which `stgan.records` makes an equal configuration."""
        return asdict(self)
