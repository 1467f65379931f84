"""Options that several commands share. Each is declared here once, with its help.

This module does not load PyTorch, so that `--help` is fast.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from stgan.defaults import EVALUATOR, PROTOCOLS
from stgan.files import DEFAULT_MODEL

MODEL = str(DEFAULT_MODEL)
"""The default of `--model`: the full path, so that a user's folder of the same name does not matter."""


def folder(name: str, help: str, metavar: str = "FOLDER") -> Any:
    """An option whose value is a folder, or another path."""
    return typer.Option(name, metavar=metavar, parser=Path, help=help)


def file(name: str, help: str) -> Any:
    """An option whose value is a file."""
    return folder(name, help, "FILE")


def argument(name: str, help: str) -> Any:
    """An argument that is a path."""
    return typer.Argument(metavar=name, parser=Path, help=help)


def classifier(which: str, **more: Any) -> Any:
    """An option whose value names a video classifier: one that the beginning of the help names, or of elsewhere."""
    elsewhere = (
        "torchvision:NAME, hf:ORG/NAME (of the Hugging Face hub), or your own as MODULE:FUNCTION or FILE.py:FUNCTION, "
        "which returns it (its code is run)."
    )
    return typer.Option(metavar="NETWORK", help=f"{which} {elsewhere}", **more)


def frames(help: str) -> Any:
    """An option whose value is the number of frames of a clip; None suits the classifier."""
    return typer.Option(help=help, show_default="16, or more if the classifier takes more")


_WHICH_MODEL = "The model: a bundled name, a folder, or a Hugging Face hub id."
Model = Annotated[str, typer.Option(help=_WHICH_MODEL, show_default=DEFAULT_MODEL.name)]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=_WHICH_MODEL, show_default=DEFAULT_MODEL.name)]
ModelOfClips = Annotated[
    str | None,
    typer.Option(help="The model that made the clips. Default: the bundled model that made them, else weizmann."),
]
Num = Annotated[int, typer.Option(help="Number of clips of each action.")]
Seed = Annotated[int, typer.Option(help="Random seed; the same seed gives the same clips.")]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How clips are made. motion: with a prior trained on clips. robust: with a prior trained on frames. "
        "spectral: without a generator, for any classifier. paper: as published. pixels: the paper's without a "
        "generator. Default: motion if the model has its prior, else robust; spectral for actions that the model's "
        "generator has never seen.",
    ),
]
Iterations = Annotated[
    int | None, typer.Option(help="Number of iterations of activation maximization. Default: the preset's.")
]
_FRAMES = "Frames of a clip; fewer than 16 only with --condition lrcn."
Frames = Annotated[int, typer.Option(help=_FRAMES)]
FramesOrNone = Annotated[int | None, frames(_FRAMES)]
Precision = Annotated[
    Literal["auto", "32-true", "bf16-mixed"],
    typer.Option(
        help="Number format to compute in, which changes the clips. auto: bf16-mixed with the presets motion and "
        "robust on hardware with bfloat16, else 32-true."
    ),
]
_EVALUATORS = "the name of one of the model's (evaluator, c3d, lrcn), a checkpoint folder, an I3D file,"
Evaluator = Annotated[
    str | None,
    classifier(f"The network that scores the clips: {_EVALUATORS}", show_default=EVALUATOR),
]
SecondEvaluator = Annotated[
    str | None,
    classifier(f"A second network, which says what it sees in the clip and in the counterfactual: {_EVALUATORS}"),
]

Protocol = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What a published number depends on besides clips and networks (docs/metrics.md): "
        f"{', '.join(PROTOCOLS)}. The options below change single parts of it, and the scores say so.",
    ),
]
NumReal = Annotated[
    int | None, typer.Option(help="Windows of real clips. Default: the protocol's; stgan: as many as generated clips.")
]
_WINDOW = "windows is scored. Default: the protocol's; stgan: the middle one."
Window = Annotated[
    Literal["first", "middle", "random"] | None, typer.Option(help=f"Which of a generated clip's {_WINDOW}")
]
RealWindow = Annotated[
    Literal["first", "middle", "random"] | None, typer.Option(help=f"Which of a real clip's {_WINDOW}")
]
ScoringSeed = Annotated[
    int | None, typer.Option("--seed", help="Seed of random windows and of the choice of real clips.")
]
Stride = Annotated[int | None, typer.Option(help="Every so many frames of a clip are the frames of a window.")]
Short = Annotated[
    Literal["mirror", "skip"] | None,
    typer.Option(help="Play clips of fewer frames than a window back and forth, or leave them out."),
]
Resize = Annotated[
    Literal["bicubic", "bilinear", "lanczos", "aliased"] | None,
    typer.Option(
        metavar="FILTER",
        help="Filter by which real clips are brought to the size of the generated ones: bicubic, bilinear, lanczos, or "
        "aliased (bilinear without antialiasing).",
    ),
]
Covariance = Annotated[Literal["n-1", "n"] | None, typer.Option(help="Divisor of the Fréchet distance's covariances.")]
Epsilon = Annotated[
    float | None, typer.Option(help="Epsilon of the batch normalization of an I3D that is given as weights.")
]
Neighbours = Annotated[int | None, typer.Option(help="Neighbours of precision, recall, density and coverage.")]
Draws = Annotated[int | None, typer.Option(help="How often distances are computed, on different clips.")]

_REAL = folder(
    "--real",
    "Real clips: a folder laid out as for training; stgan evaluate, compare and report also take other forms of clips "
    "(docs/metrics.md).",
)
Real = Annotated[Path | None, _REAL]
RequiredReal = Annotated[Path, _REAL]
_WHICH_CSV = "Name of the list (csv, tsv, txt, jsonl) in the folder of clips, if there are several."
RealCsv = Annotated[str | None, typer.Option("--real-csv", metavar="NAME", help=_WHICH_CSV)]
Csv = Annotated[str | None, typer.Option("--csv", metavar="NAME", help=_WHICH_CSV)]
_SPLIT_COLUMN: Any = typer.Option(help="Column of that list that holds the split: train, val or test.")
SplitColumn = Annotated[str, _SPLIT_COLUMN]
SplitColumnOrNone = Annotated[str | None, _SPLIT_COLUMN]
_UCF_SPLIT: Any = typer.Option(help="Number of the official split of UCF-101.", min=1, max=3)
UcfSplit = Annotated[int, _UCF_SPLIT]
UcfSplitOrNone = Annotated[int | None, _UCF_SPLIT]
Clips = Annotated[Path, argument("FOLDER", "Clips: a folder for each class, a csv file, or the lists of UCF-101.")]

Layout = Annotated[
    Literal["THWC", "TCHW", "CTHW", "BTHWC", "BTCHW", "BCTHW"] | None,
    typer.Option(
        metavar="THWC|TCHW|CTHW|B...",
        help="Axes of clips in files of tensors: time, height, width, channels; B: several clips. Default: by the axis "
        "of length 3.",
    ),
]
Values = Annotated[
    Literal["0-255", "0-1", "-1-1"] | None,
    typer.Option(
        "--range",
        metavar="0-255|0-1|-1-1",
        help="Values of floating-point clips in files of tensors. Default: 0-1 or -1-1, if all values fit only one.",
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH",
        help="Compute distances between clips on the features of this network. Default: the evaluator's.",
    ),
]
Splits = Annotated[
    int | None,
    typer.Option(help="Number of parts over which the Inception Score is averaged. Default: the protocol's; stgan: 1."),
]
WindowFrames = Annotated[
    int | None,
    typer.Option(help="Frames of a window. Default: the protocol's; stgan: as many as the evaluator was trained on."),
]
RealFps = Annotated[
    float | None, typer.Option(help="Read real clips at this many frames a second, by time stamps. Default: all.")
]
AllowFooled = Annotated[
    bool, typer.Option("--allow-fooled", help="Also score with a network that steered the clips, and say so.")
]
TrustTorchscript = Annotated[
    bool,
    typer.Option(
        "--trust-torchscript",
        help="Also load TorchScript that is not the published I3D. Such a file can run any code.",
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Compute everything again and keep nothing.")]
BatchSize = Annotated[int, typer.Option(help="Clips that a worker scores at the same time.")]
Workers = Annotated[
    int | None, typer.Option(help="Threads that decode and score. Default: one for each core, at most 8.")
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.NAME=VALUE", help="Use this value instead of the recipe's. May be repeated."
    ),
]
SaveEvery = Annotated[float, typer.Option(help="Seconds between two saved states to resume from.", min=0.0)]
Cache = Annotated[
    Path | None, folder("--cache", "Folder for results of networks for each clip. Default: ~/.cache/stgan.")
]
Json = Annotated[Path | None, file("--json", "Also write the results to this JSON file.")]
Device = Annotated[
    str | None, typer.Option(help="Device to compute on: cpu, cuda, cuda:1, ... Default: a GPU if there is one.")
]
Threads = Annotated[int | None, typer.Option(help="Number of CPU threads. Default: the number of cores.")]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The options of commands that score clips by a protocol, in the order of their help."""

    real: Real = None
    model: ModelOfClips = None
    evaluator: Evaluator = None
    features: Features = None
    protocol: Protocol = "stgan"
    num: Annotated[
        int | None,
        typer.Option(
            help="Score only this many clips of a folder, equally many of each action. Default: the protocol's; stgan: "
            "all, or as many as each folder has."
        ),
    ] = None
    num_real: NumReal = None
    splits: Splits = None
    frames: WindowFrames = None
    window: Window = None
    real_window: RealWindow = None
    seed: ScoringSeed = None
    stride: Stride = None
    short: Short = None
    resize: Resize = None
    covariance: Covariance = None
    epsilon: Epsilon = None
    neighbours: Neighbours = None
    csv_list: RealCsv = None
    split_column: SplitColumn = "split"
    ucf_split: UcfSplit = 1
    real_fps: RealFps = None
    layout: Layout = None
    values: Values = None
    allow_fooled: AllowFooled = False
    trust_torchscript: TrustTorchscript = False
    cache: Cache = None
    no_cache: NoCache = False
    batch_size: BatchSize = 4
    workers: Workers = None
    device: Device = None
