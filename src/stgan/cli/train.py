"""`stgan train`: from clips to checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stgan.video import data_root

if TYPE_CHECKING:
    from stgan.training.model import ModelTraining

app = typer.Typer(help="Train a model, or one of its networks, from a folder of clips.", no_args_is_help=True)

Data = Annotated[
    Path | None,
    typer.Option(help="Folder of clips: class folders, a csv file, or UCF-101 lists. Default: $STGAN_DATA/NAME."),
]
Config = Annotated[Path, typer.Option(help="Folder of recipes with a model.yaml.")]
Out = Annotated[Path, typer.Option(help="The model's folder; finished networks in it are kept.")]
Work = Annotated[Path, typer.Option(help="Logs, pictures and states to resume from.")]

WEIZMANN = Path("recipes/weizmann")


def _training(data: Path | None, config: Path, out: Path, work: Path) -> "ModelTraining":
    # Here and not above: Fabric takes seconds to import, which the other commands need not wait for.
    from lightning_fabric import Fabric

    from stgan.training.model import ModelTraining

    clips = data if data else data_root(None) / config.name
    return ModelTraining(clips, config, out, work / config.name, Fabric(accelerator="auto", devices=1))


@app.command("all")
def train_all(out: Out, data: Data = None, config: Config = WEIZMANN, work: Work = Path("runs")) -> None:
    """Train everything a model consists of. Interrupted? The same command goes on where it stopped.

    Example: stgan train all --data clips/weizmann --config recipes/weizmann --out models/weizmann
    """
    training = _training(data, config, out, work)
    print(
        f"{training.recipe.name}: {len(training.data.clips)} clips, {len(training.data.actions)} actions; "
        f"stages: {', '.join(training.stages)}"
    )
    training.train_all()
    print(f"Model written to {out}: stgan generate --model {out}")


@app.command("encoder")
def train_encoder(out: Out, data: Data = None, config: Config = WEIZMANN, work: Work = Path("runs")) -> None:
    """Train the encoder, whose codes the generator inverts."""
    _training(data, config, out, work).train("encoder")


@app.command("code-prior")
def train_code_prior(out: Out, data: Data = None, config: Config = WEIZMANN, work: Work = Path("runs")) -> None:
    """Train the code prior (and the encoder, if the model has none yet)."""
    _training(data, config, out, work).train("code_prior")


@app.command("generator")
def train_generator(out: Out, data: Data = None, config: Config = WEIZMANN, work: Work = Path("runs")) -> None:
    """Train the image generator (and what it needs)."""
    _training(data, config, out, work).train("generator")


@app.command("classifier")
def train_classifier(
    name: Annotated[str, typer.Argument(help="A condition network or evaluator of the recipe, e.g. lrcn.")],
    out: Out,
    data: Data = None,
    config: Config = WEIZMANN,
    work: Work = Path("runs"),
) -> None:
    """Train a condition network or an evaluator, with its leave-groups-out folds."""
    _training(data, config, out, work).train(name)
