"""The networks, one file each. They are functions of tensors only."""

from stgan.networks.adapter import VideoClassifier, VideoClassifierConfig
from stgan.networks.alexnet import AlexNet, AlexNetConfig
from stgan.networks.c3d import C3D, C3DConfig
from stgan.networks.discriminator import Discriminator, DiscriminatorConfig
from stgan.networks.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from stgan.networks.encoder import Encoder
from stgan.networks.generator import GeneratorConfig, ImageGenerator, VideoGenerator, inflate
from stgan.networks.i3d import I3D, I3DConfig
from stgan.networks.library_classifiers import adapt
from stgan.networks.lrcn import LRCN, LRCNConfig
from stgan.networks.map_codec import MapCodec, MapCodecConfig
from stgan.networks.map_discriminator import MapDiscriminator, MapDiscriminatorConfig
from stgan.networks.map_encoder import MapEncoder, MapEncoderConfig
from stgan.networks.map_generator import MapGenerator, MapGeneratorConfig, MapVideoGenerator
from stgan.networks.map_prior import Given, MapPrior, MapPriorConfig
from stgan.networks.preprocessing import Preprocessing
from stgan.networks.r2plus1d import R2Plus1D, R2Plus1DConfig
from stgan.networks.tcn import TCN, TCNConfig
from stgan.networks.temporal_stream import TemporalStream, TemporalStreamConfig

__all__ = [
    "C3D",
    "I3D",
    "LRCN",
    "TCN",
    "AlexNet",
    "AlexNetConfig",
    "C3DConfig",
    "Discriminator",
    "DiscriminatorConfig",
    "EfficientNetLite",
    "EfficientNetLiteConfig",
    "Encoder",
    "GeneratorConfig",
    "Given",
    "I3DConfig",
    "ImageGenerator",
    "LRCNConfig",
    "MapCodec",
    "MapCodecConfig",
    "MapDiscriminator",
    "MapDiscriminatorConfig",
    "MapEncoder",
    "MapEncoderConfig",
    "MapGenerator",
    "MapGeneratorConfig",
    "MapPrior",
    "MapPriorConfig",
    "MapVideoGenerator",
    "Preprocessing",
    "R2Plus1D",
    "R2Plus1DConfig",
    "TCNConfig",
    "TemporalStream",
    "TemporalStreamConfig",
    "VideoClassifier",
    "VideoClassifierConfig",
    "VideoGenerator",
    "adapt",
    "inflate",
]
