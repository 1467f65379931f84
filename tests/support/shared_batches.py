"""Every stage for a few steps, on as many processes as asked, with their logs (training/test_parallel.py).

On more processes than one it is run as a script, which each of them starts anew:

python shared_batches.py CLIPS RECIPES FOLDER PROCESSES
"""

import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric

from stgan.networks import AlexNet, CodePrior
from stgan.training.classifier_training import train_classifier
from stgan.training.clip_data import ClipData
from stgan.training.code_prior_training import fit_whitening, frame_codes, train_code_prior
from stgan.training.encoder_training import train_encoder
from stgan.training.generator_training import train_generator
from stgan.training.recipes import load_recipes
from stgan.training.run import Workspace
from stgan.training.sequence_prior_training import train_sequence_prior
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
    prior = CodePrior(recipes.code_prior.network)
    fit_whitening(prior, *frame_codes(encoder, train))
    train_encoder(recipes.encoder, train, nothing, workspace.subfolder("encoder"))
    train_code_prior(recipes.code_prior, encoder, train, nothing, workspace.subfolder("code_prior"))
    own = workspace.subfolder("sequence_prior")
    train_sequence_prior(recipes.sequence_prior, encoder, train, nothing, own)
    train_generator(recipes.generator, encoder, prior, train, nothing, workspace.subfolder("generator"))
    for name, recipe in recipes.classifiers.items():
        train_classifier(recipe, train, nothing, workspace.subfolder(name))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
