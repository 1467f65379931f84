"""Options that several commands have: each is declared here once, with its help.

Nothing here loads PyTorch, which takes seconds that `--help` need not take.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from stgan.errors import StganError
from stgan.files import DEFAULT_MODEL

# Defaults and names of the library, whose modules load PyTorch; tests/cli/test_start.py holds them equal.
FRAMES = 16
BOTH = "both"
STRENGTH = 0.9
PRESETS = ("motion", "robust", "paper", "pixels")
EVALUATOR = "evaluator"

MODEL = str(DEFAULT_MODEL)
"""The default of `--model`: a path, which no folder of the user can be mistaken for."""


def _path(name: str) -> Callable[[str], Path]:
    def path(text: str) -> Path:
        if text == "":
            raise StganError(f"{name} is empty; name a file or a folder")
        return Path(text)

    return path


def folder_option(name: str, help: str, metavar: str = "FOLDER") -> Any:
    """An option whose value is a folder, or another path."""
    return typer.Option(name, metavar=metavar, parser=_path(name), help=help)


def file_option(name: str, help: str) -> Any:
    """An option whose value is a file."""
    return folder_option(name, help, "FILE")


def path_argument(name: str, help: str) -> Any:
    """An argument that is a path."""
    return typer.Argument(metavar=name, parser=_path(name), help=help)


_WHICH_MODEL = "The model: a bundled name, a folder, or a Hugging Face hub id."
ModelOption = Annotated[str, typer.Option(help=_WHICH_MODEL, show_default=DEFAULT_MODEL.name)]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=_WHICH_MODEL, show_default=DEFAULT_MODEL.name)]
ModelOfClipsOption = Annotated[
    str | None,
    typer.Option(help="The model that made the clips. Default: the bundled model that made them, else weizmann."),
]
NumOption = Annotated[int, typer.Option(help="Number of clips of each action.")]
SeedOption = Annotated[int, typer.Option(help="Random seed; the same seed gives the same clips.")]
PresetOption = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(PRESETS),
        help="How clips are made. motion: with a prior trained on clips. robust: with a prior trained on frames. "
        "paper: as published. pixels: without a generator. Default: motion if the model has its prior, else robust.",
    ),
]
IterationsOption = Annotated[
    int | None, typer.Option(help="Number of iterations of activation maximization. Default: the preset's.")
]
FramesOption = Annotated[int, typer.Option(help="Frames of a clip; fewer than 16 only with --condition lrcn.")]
PrecisionOption = Annotated[
    Literal["32-true", "bf16-mixed"],
    typer.Option(
        help="Number format to compute in. bf16-mixed is faster on hardware that supports it, and gives other clips."
    ),
]
EvaluatorOption = Annotated[
    str | None,
    typer.Option(
        show_default=EVALUATOR,
        metavar="NAME|PATH|MODULE:FUNCTION",
        help="The network that scores the clips: the name of one of the model's (evaluator, c3d, lrcn), a checkpoint "
        "folder, an I3D file, or your own classifier, which a function of a module or of FILE.py returns (its code is "
        "run).",
    ),
]

_REAL = folder_option("--real", "Folder of real clips, laid out as for training.")
RealOption = Annotated[Path | None, _REAL]
RequiredRealOption = Annotated[Path, _REAL]
_WHICH_CSV = "Name of the csv file in the folder of clips, if there are several."
RealCsvOption = Annotated[str | None, typer.Option("--real-csv", metavar="NAME", help=_WHICH_CSV)]
CsvOption = Annotated[str | None, typer.Option("--csv", metavar="NAME", help=_WHICH_CSV)]
_SPLIT_COLUMN: Any = typer.Option(help="Column of that csv file that holds the split: train, val or test.")
SplitColumnOption = Annotated[str, _SPLIT_COLUMN]
SplitColumnOptionOrNone = Annotated[str | None, _SPLIT_COLUMN]
_UCF_SPLIT: Any = typer.Option(help="Number of the official split of UCF-101.", min=1, max=3)
UcfSplitOption = Annotated[int, _UCF_SPLIT]
UcfSplitOptionOrNone = Annotated[int | None, _UCF_SPLIT]
ClipsArgument = Annotated[
    Path, path_argument("FOLDER", "Clips: a folder for each class, a csv file, or the lists of UCF-101.")
]

SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.NAME=VALUE", help="Use this value instead of the recipe's. May be repeated."
    ),
]
SaveEveryOption = Annotated[float, typer.Option(help="Seconds between two saved states to resume from.", min=0.0)]
CacheOption = Annotated[
    Path | None, folder_option("--cache", "Folder for what networks computed from clips. Default: ~/.cache/stgan.")
]
JsonOption = Annotated[Path | None, file_option("--json", "Write the results to this JSON file, too.")]
DeviceOption = Annotated[
    str | None, typer.Option(help="Device to compute on: cpu, cuda, cuda:1, ... Default: a GPU if there is one.")
]
ThreadsOption = Annotated[int | None, typer.Option(help="Number of CPU threads. Default: the number of cores.")]
