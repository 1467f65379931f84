"""The networks that can encode: which one is a matter of the configuration."""

from typing import Annotated, Any

from stgan.networks.alexnet import AlexNet, AlexNetConfig
from stgan.networks.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from stgan.networks.encoder import Encoder
from stgan.records import OneOf

ARCHITECTURE = "architecture"
"""The name beside a network's values that tells which network they are of; an encoder's without it are AlexNet's."""

ENCODERS: dict[str, type[AlexNetConfig] | type[EfficientNetLiteConfig]] = {
    "alexnet": AlexNetConfig,
    "efficientnet_lite": EfficientNetLiteConfig,
}
EncoderConfig = Annotated[AlexNetConfig | EfficientNetLiteConfig, OneOf(ARCHITECTURE, ENCODERS, default="alexnet")]


def build_encoder(config: EncoderConfig) -> Encoder:
    """The network of a configuration, with new weights."""
    return AlexNet(config) if isinstance(config, AlexNetConfig) else EfficientNetLite(config)


def encoder_values(config: EncoderConfig) -> dict[str, Any]:
    """The plain values of an `EncoderConfig`."""
    values = config.to_dict()
    return values if isinstance(config, AlexNetConfig) else {ARCHITECTURE: config.network, **values}
