"""Configurations survive the way through JSON."""

import json
from dataclasses import replace

import pytest

from stgan.networks import (
    AlexNetConfig,
    C3DConfig,
    CodePriorConfig,
    DiscriminatorConfig,
    EfficientNetLiteConfig,
    GeneratorConfig,
    I3DConfig,
    LRCNConfig,
    Preprocessing,
    R2Plus1DConfig,
    SequencePriorConfig,
    TCNConfig,
    TemporalStreamConfig,
)
from stgan.networks.adapter import VideoClassifierConfig
from stgan.networks.configuration import Configuration
from stgan.networks.i3d import ScriptedI3DConfig
from stgan.networks.preprocessing import C3D_TGAN

PIXELS = Preprocessing(size=20, fit="crop", channels="bgr", scale=3.0, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
DEFAULTS = [
    C3DConfig(),
    CodePriorConfig(),
    DiscriminatorConfig(),
    AlexNetConfig(),
    GeneratorConfig(),
    I3DConfig(),
    LRCNConfig(),
    R2Plus1DConfig(),
    ScriptedI3DConfig(),
    SequencePriorConfig(),
    EfficientNetLiteConfig(),
    TCNConfig(),
    TemporalStreamConfig(),
    VideoClassifierConfig("torchvision.models.video.resnet.VideoResNet", 400, 16, "bcthw", "logits", PIXELS),
]
OTHERS = [
    C3DConfig(num_classes=3, stages=((4, 5), (6,)), hidden_sizes=(), frames=8, preprocessing=PIXELS),
    C3DConfig(pad_last_pool=True, preprocessing=C3D_TGAN),
    CodePriorConfig(rank=5, sigma_min=0.5),
    DiscriminatorConfig(channels=(2,), kernels=(3,), strides=(1,), code_layers=(4, 5), preprocessing=PIXELS),
    AlexNetConfig(channels=(1, 2, 3), batch_norm=True, preprocessing=PIXELS),
    GeneratorConfig(stages=((4, 5), (6,)), slope=0.1, preprocessing=replace(PIXELS, size=None)),
    I3DConfig(stages=(((1, 2, 3, 4, 5, 6),),) * 3, feature_layer="pooled", preprocessing=PIXELS),
    LRCNConfig(frame=AlexNetConfig(code_size=9, groups=(1, 1), preprocessing=PIXELS), lstm_size=4),
    R2Plus1DConfig(widths=(2, 3), preprocessing=PIXELS),
    ScriptedI3DConfig(num_classes=3, preprocessing=PIXELS),
    SequencePriorConfig(rank=5, num_classes=3, frames=8, width=32, sigma_max=3.0),
    EfficientNetLiteConfig(width=1.1, depth=1.2, stages=5, head=False, grid=6, preprocessing=PIXELS),
    LRCNConfig(frame=EfficientNetLiteConfig(code_size=9, preprocessing=PIXELS), lstm_size=4),
    TCNConfig(frame=AlexNetConfig(code_size=9, preprocessing=PIXELS), width=4),
    TemporalStreamConfig(frames=8, widths=(2, 3), preprocessing=PIXELS),
    VideoClassifierConfig("mine.Network", 2, None, "btchw", "probabilities", PIXELS),
]


def test_every_configuration_is_tested_here() -> None:
    for configs in (DEFAULTS, OTHERS):
        assert {type(config) for config in configs} == set(Configuration.__subclasses__())
    names = [config.network for config in DEFAULTS]
    assert len(set(names)) == len(names)


def test_through_json_and_back() -> None:
    for config in DEFAULTS + OTHERS:
        plain = json.loads(json.dumps(config.to_dict()))
        again = type(config).from_dict(plain)
        assert again == config and hash(again) == hash(config)  # tuples all the way down


def test_unknown_names() -> None:
    for config in DEFAULTS:
        with pytest.raises(TypeError, match="colour"):
            type(config).from_dict({**config.to_dict(), "colour": 1})
    for kind, nested in ((AlexNetConfig, "preprocessing"), (LRCNConfig, "frame")):
        with pytest.raises(TypeError, match="colour"):
            kind.from_dict({nested: {"colour": 1}})
