"""Every stage for a few steps, on as many processes as asked, with their logs (training/test_parallel.py).

On more processes than one it is run as a script, which each of them starts anew:

python shared_batches.py CLIPS RECIPES FOLDER PROCESSES
"""

import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric

from stgan.networks import AlexNet, MapCodec
from stgan.training.classifier_training import train_classifier
from stgan.training.clip_data import ClipData
from stgan.training.encoder_training import train_encoder
from stgan.training.generator_training import train_generator
from stgan.training.map_codec_training import train_map_codec
from stgan.training.map_prior_training import train_map_prior
from stgan.training.recipes import load_recipes
from stgan.training.run import Workspace
from stgan.video import ClipCache, find_clips


def main(clips: Path, recipes_folder: Path, folder: Path, processes: int) -> None:
    fabric = Fabric(accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto")
    fabric.launch()
    train = ClipData.load(find_clips(clips), ClipCache(folder / "cache", 16))
    nothing = train.select([False] * len(train.clips))
    recipes = load_recipes(recipes_folder, len(train.actions))
    workspace = Workspace(fabric, folder)
    # The networks that later stages stand on are untrained ones, so that each stage's losses are its own.
    torch.manual_seed(0)
    encoder = AlexNet(recipes.encoder.network).eval()
    codec = MapCodec(recipes.map_codec.network)
    codec.start_from_principal_components(images for images, _ in train.frame_batches(most=180))
    train_encoder(recipes.encoder, train, nothing, workspace.subfolder("encoder"))
    train_generator(recipes.generator, encoder, train, nothing, workspace.subfolder("generator"))
    train_map_codec(recipes.map_codec, encoder, train, nothing, workspace.subfolder("map_codec"))
    train_map_prior(recipes.frame_prior, codec, train, nothing, workspace.subfolder("frame_prior"))
    train_map_prior(recipes.clip_prior, codec, train, nothing, workspace.subfolder("clip_prior"))
    for name, recipe in recipes.classifiers.items():
        train_classifier(recipe, train, nothing, workspace.subfolder(name))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
