"""The recipe of the paper's evaluation on UCF-101: files of weights, numbers of videos, scoring and training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from stgan.checkpoints.checkpoint import save_checkpoint
from stgan.checkpoints.importing import import_card, import_weights
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.names import is_file_name, quoted
from stgan.records import as_record, merged, read_yaml
from stgan.sampling import PRESETS
from stgan.studies.selection import MOST
from stgan.training.finetuning import FinetuningRecipe
from stgan.training.ranges import Seed
from stgan.training.recipes import Overrides

DEFAULT = Path(__file__).with_name("ucf101.yaml")
"""The recipe with the paper's values, as far as it gives them."""


@dataclass(frozen=True)
class Source:
    """Published files, and how they become a checkpoint.

    kind, protocol, pool5: as for `import_weights`; "" is its default.
    files: the weights, and the mean if it has a file: names of `stgan weights list`, or of files.
    """

    kind: str
    files: tuple[str, ...]
    protocol: str = ""
    pool5: str = ""

    def paths(self, folder: Path) -> list[Path]:
        """The paths of its files in a folder of weights."""
        known = {each.name: each.file for each in KNOWN_FILES}
        return [folder / known.get(file, file) for file in self.files]

    def convert(self, paths: Sequence[Path], out: Path) -> str:
        """Write the checkpoint; returns its hash. StganError if the files are wrong."""
        made = import_weights(self.kind, paths, protocol=self.protocol or None, pool5=self.pool5 or None)
        save_checkpoint(
            out,
            made.network,
            actions=made.actions,
            provenance=made.provenance,
            card=import_card(out.name, made),
            half=False,
        )
        return made.hash


@dataclass(frozen=True)
class DataRecipe:
    """split: number of the official split that trains and tests C3D. incomplete: accept that files are missing."""

    split: Literal[1, 2, 3] = 1
    incomplete: bool = False


@dataclass(frozen=True)
class SetRecipe:
    """Videos whose classes are drawn uniformly. condition: name of the checkpoint that steers them."""

    condition: str
    num_videos: Annotated[int, Ge(1)] = 10_000
    preset: str = "paper"
    iterations: Annotated[int, Ge(1)] = 100
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset is one of {', '.join(PRESETS)}, not {quoted(self.preset)}")


@dataclass(frozen=True)
class ScoreRecipe:
    """evaluator: the checkpoint that scores. splits: of the Inception Score; the paper does not give the number."""

    evaluator: str = "c3d"
    splits: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True)
class SelectRecipe:
    """most: largest number of generated training clips of a class. least: see `select`; None for the mean."""

    most: Annotated[int, Ge(1)] = MOST
    least: float | None = None


@dataclass(frozen=True)
class Recipe:
    """All settings of the evaluation. The defaults are the paper's, as far as it gives them.

    weights: the checkpoints of the model, by name.
    initial: the checkpoint that the augmentation experiment starts from.
    """

    weights: dict[str, Source]
    data: DataRecipe = DataRecipe()
    generate: SetRecipe = SetRecipe("lrcn")
    fooled: SetRecipe = SetRecipe("c3d")
    score: ScoreRecipe = ScoreRecipe()
    initial: str = "c3d_sports1m"
    select: SelectRecipe = SelectRecipe()
    augment: FinetuningRecipe = FinetuningRecipe()

    def __post_init__(self) -> None:
        for name in self.weights:
            if not is_file_name(name):
                raise ValueError(f"weights: {quoted(name)} cannot name a folder")
        for role, name in (
            ("generate.condition", self.generate.condition),
            ("fooled.condition", self.fooled.condition),
            ("score.evaluator", self.score.evaluator),
            ("initial", self.initial),
        ):
            if name not in self.weights:
                raise ValueError(f"{role} is {quoted(name)}, which is not among the weights")


def load_recipe(path: Path = DEFAULT, overrides: Overrides | None = None) -> Recipe:
    """Read a recipe from a YAML file, and replace settings of its sections.

    Raises:
        StganError: the file or a setting is wrong.
    """
    return as_record(Recipe, merged(read_yaml(path), overrides or {}), path)
