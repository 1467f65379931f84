"""The encoder architectures. The configuration chooses one of them."""

from typing import Annotated, Any

from stgan.networks.alexnet import AlexNet, AlexNetConfig
from stgan.networks.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from stgan.networks.encoder import Encoder
from stgan.records import OneOf

ARCHITECTURE = "architecture"
"""The key beside a network's values that names its architecture. An encoder without it is an AlexNet."""

ENCODERS: dict[str, type[AlexNetConfig] | type[EfficientNetLiteConfig]] = {
    "alexnet": AlexNetConfig,
    "efficientnet_lite": EfficientNetLiteConfig,
}
EncoderConfig = Annotated[AlexNetConfig | EfficientNetLiteConfig, OneOf(ARCHITECTURE, ENCODERS, default="alexnet")]


def build_encoder(config: EncoderConfig) -> Encoder:
    """The network of a configuration, with random weights."""
    return AlexNet(config) if isinstance(config, AlexNetConfig) else EfficientNetLite(config)


def encoder_values(config: EncoderConfig) -> dict[str, Any]:
    """The plain values of an `EncoderConfig`."""
    values = config.to_dict()
    return values if isinstance(config, AlexNetConfig) else {ARCHITECTURE: config.network, **values}
