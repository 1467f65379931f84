"""Network configurations as plain data: what `config.json` of a checkpoint holds."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

C = TypeVar("C", bound="Configuration")


@dataclass(frozen=True)
class Configuration:
    """A frozen dataclass of numbers, strings and (nested) tuples that survives a round trip through JSON."""

    network: ClassVar[str]
    """Name of the architecture, written beside the values so that a checkpoint says what it is."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls: type[C], values: dict[str, Any]) -> C:
        """Rebuild from `to_dict` or from parsed JSON/YAML. Raises TypeError for an unknown or missing name."""
        fields = {name: _from_plain(value) for name, value in values.items()}
        if "preprocessing" in fields and isinstance(fields["preprocessing"], dict):
            from stgan.networks.preprocessing import Preprocessing

            fields["preprocessing"] = Preprocessing(**fields["preprocessing"])
        if "frame" in fields and isinstance(fields["frame"], dict):
            from stgan.networks.encoder_architectures import encoder_config

            fields["frame"] = encoder_config(fields["frame"])
        return cls(**fields)


def _from_plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_from_plain(item) for item in value)
    if isinstance(value, dict):
        return {name: _from_plain(item) for name, item in value.items()}
    return value
