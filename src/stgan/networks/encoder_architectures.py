"""The networks that can encode: which one is a matter of the configuration."""

from collections.abc import Mapping
from typing import Any

from stgan.networks.alexnet import AlexNet, AlexNetConfig
from stgan.networks.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from stgan.networks.encoder import Encoder

EncoderConfig = AlexNetConfig | EfficientNetLiteConfig
ARCHITECTURE = "architecture"
"""The key that names an encoder's architecture beside its values; without it they are AlexNet's."""

ENCODERS: dict[str, type[AlexNetConfig] | type[EfficientNetLiteConfig]] = {
    "alexnet": AlexNetConfig,
    "efficientnet_lite": EfficientNetLiteConfig,
}


def build_encoder(config: EncoderConfig) -> Encoder:
    """The network of a configuration, with new weights."""
    return AlexNet(config) if isinstance(config, AlexNetConfig) else EfficientNetLite(config)


def encoder_kind(values: Mapping[str, Any]) -> type[AlexNetConfig] | type[EfficientNetLiteConfig]:
    """Which configuration these values are of. ValueError for an architecture that is none."""
    name = values.get(ARCHITECTURE, "alexnet")
    if not isinstance(name, str) or name not in ENCODERS:
        raise ValueError(f"the architecture of an encoder is {' or '.join(ENCODERS)}, not {name!r}")
    return ENCODERS[name]


def encoder_config(values: Mapping[str, Any]) -> EncoderConfig:
    """A configuration from plain values, as `Configuration.from_dict`, and the architecture among them."""
    return encoder_kind(values).from_dict({name: value for name, value in values.items() if name != ARCHITECTURE})


def encoder_values(config: EncoderConfig) -> dict[str, Any]:
    """The plain values that `encoder_config` takes."""
    values = config.to_dict()
    return values if isinstance(config, AlexNetConfig) else {ARCHITECTURE: config.network, **values}
