"""Configurations survive the way through JSON."""

import json
from dataclasses import replace

import pytest

from stgan.networks import (
    AlexNetConfig,
    C3DConfig,
    DiscriminatorConfig,
    EfficientNetLiteConfig,
    GeneratorConfig,
    I3DConfig,
    LRCNConfig,
    MapCodecConfig,
    MapDiscriminatorConfig,
    MapEncoderConfig,
    MapGeneratorConfig,
    MapPriorConfig,
    Preprocessing,
    R2Plus1DConfig,
    TCNConfig,
    TemporalStreamConfig,
)
from stgan.networks.adapter import VideoClassifierConfig
from stgan.networks.configuration import Configuration
from stgan.networks.i3d import ScriptedI3DConfig
from stgan.networks.preprocessing import C3D_TGAN
from stgan.records import checked

PIXELS = Preprocessing(size=20, fit="crop", channels="bgr", scale=3.0, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
DEFAULTS = [
    C3DConfig(),
    DiscriminatorConfig(),
    AlexNetConfig(),
    GeneratorConfig(),
    I3DConfig(),
    LRCNConfig(),
    MapCodecConfig(),
    MapDiscriminatorConfig(),
    MapEncoderConfig(),
    MapGeneratorConfig(),
    MapPriorConfig(),
    R2Plus1DConfig(),
    ScriptedI3DConfig(),
    EfficientNetLiteConfig(),
    TCNConfig(),
    TemporalStreamConfig(),
    VideoClassifierConfig("torchvision.models.video.resnet.VideoResNet", 400, 16, "bcthw", "logits", PIXELS),
]
OTHERS = [
    C3DConfig(num_classes=3, stages=((4, 5), (6,)), hidden_sizes=(), frames=8, preprocessing=PIXELS),
    C3DConfig(pad_last_pool=True, preprocessing=C3D_TGAN),
    DiscriminatorConfig(channels=(2,), kernels=(3,), strides=(1,), code_layers=(4, 5), preprocessing=PIXELS),
    AlexNetConfig(channels=(1, 2, 3), batch_norm=True, preprocessing=PIXELS),
    GeneratorConfig(stages=((4, 5), (6,)), slope=0.1, preprocessing=replace(PIXELS, size=None)),
    I3DConfig(stages=(((1, 2, 3, 4, 5, 6),),) * 3, feature_layer="pooled", preprocessing=PIXELS),
    LRCNConfig(frame=AlexNetConfig(code_size=9, groups=(1, 1), preprocessing=PIXELS), lstm_size=4),
    R2Plus1DConfig(widths=(2, 3), preprocessing=PIXELS),
    ScriptedI3DConfig(num_classes=3, preprocessing=PIXELS),
    MapCodecConfig(MapEncoderConfig(channels=5, widths=(2, 3)), MapGeneratorConfig(channels=5, widths=(4, 3))),
    MapDiscriminatorConfig(channels=5, widths=(2, 3), slope=0.1, preprocessing=PIXELS),
    MapEncoderConfig(channels=5, patch=2, widths=(2, 3), depth=1, preprocessing=PIXELS),
    MapGeneratorConfig(channels=5, patch=2, widths=(2, 3), depth=1, preprocessing=PIXELS),
    MapPriorConfig(channels=5, grid=8, num_classes=3, frames=8, widths=(32,), sigma_max=3.0),
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
        again = checked(type(config), json.loads(json.dumps(config.to_dict())))
        assert again == config and hash(again) == hash(config)  # tuples all the way down


def test_unknown_names() -> None:
    for config in DEFAULTS:
        with pytest.raises(ValueError, match="colour: unknown name"):
            checked(type(config), {**config.to_dict(), "colour": 1})


@pytest.mark.parametrize("values", [{"preprocessing": {"colour": 1}}, {"frame": {"colour": 1}}])
def test_unknown_nested_names(values: dict) -> None:
    with pytest.raises(ValueError, match=r"(preprocessing|frame)\.colour: unknown name"):
        checked(LRCNConfig if "frame" in values else AlexNetConfig, values)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (AlexNetConfig, {"channels": [1, "2"]}, r"channels\[1\]: must be a whole number, not '2'"),
        (AlexNetConfig, {"batch_norm": 1}, "batch_norm: must be true or false"),
        (AlexNetConfig, {"preprocessing": {"fit": "squeeze"}}, "preprocessing.fit: must be 'resize', 'crop'"),
        (AlexNetConfig, {"preprocessing": {"std": [1, 1, float("inf")]}}, r"preprocessing.std\[2\]"),
        (DiscriminatorConfig, {"code_layers": [1, 2, 3]}, "code_layers"),
        (EfficientNetLiteConfig, {"stages": 8}, "stages: must be at most 7"),
        (EfficientNetLiteConfig, {"width": 0}, "width: must be above 0"),
        (TCNConfig, {"kernel": 4}, "kernel must be an odd number, not 4"),
        (
            TCNConfig,
            {"frame": {"architecture": "vgg"}},
            "frame: architecture must be one of alexnet, efficientnet_lite",
        ),
        (LRCNConfig, {"frame": {"architecture": "efficientnet_lite", "channels": [1]}}, "frame.channels: unknown name"),
        (I3DConfig, {"feature_layer": "top"}, "feature_layer: must be 'logits' or 'pooled', not 'top'"),
        (C3DConfig, {"pad_last_pool": "before"}, "pad_last_pool"),
    ],
)
def test_values_of_another_type_or_out_of_range(kind: type[Configuration], values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(kind, values)


def test_an_encoder_may_name_its_architecture() -> None:
    plain = LRCNConfig().to_dict()
    assert checked(LRCNConfig, {**plain, "frame": {"architecture": "alexnet", **plain["frame"]}}) == LRCNConfig()
