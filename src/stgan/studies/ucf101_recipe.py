"""The recipe of the paper's evaluation on UCF-101: which files, how many videos, how they are scored and trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stgan.checkpoints import save_checkpoint
from stgan.checkpoints.importing import import_card, import_weights
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.errors import StganError
from stgan.names import is_file_name, quoted
from stgan.studies.selection import MOST
from stgan.training.finetuning import FinetuningRecipe
from stgan.training.recipes import Overrides, from_values, merged, read_yaml

DEFAULT = Path(__file__).with_name("ucf101.yaml")
"""The recipe with the paper's values, as far as it gives them."""


@dataclass(frozen=True)
class Source:
    """Published files, and the checkpoint that is made of them.

    kind, protocol, pool5: as of `import_weights`; "" leaves the choice to it.
    files: the weights, and the mean where there is a file of it: names of `stgan weights list`, or of files.
    """

    kind: str
    files: tuple[str, ...]
    protocol: str = ""
    pool5: str = ""

    def paths(self, folder: Path) -> list[Path]:
        """Where its files are in a folder of weights."""
        known = {each.name: each.file for each in KNOWN_FILES}
        return [folder / known.get(file, file) for file in self.files]

    def convert(self, paths: Sequence[Path], out: Path) -> str:
        """Write the checkpoint; returns its hash. StganError if the files are not what they should be."""
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
    """split: the official one that trains and tests C3D. incomplete: go on although files are missing."""

    split: int = 1
    incomplete: bool = False


@dataclass(frozen=True)
class SetRecipe:
    """Videos of classes that are drawn uniformly. condition: the network that steers them, by its checkpoint."""

    condition: str
    num_videos: int = 10_000
    preset: str = "paper"
    iterations: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_videos < 1 or self.iterations < 1:
            raise ValueError("num_videos and iterations must be at least 1")


@dataclass(frozen=True)
class ScoreRecipe:
    """evaluator: the checkpoint that scores. splits: of the Inception Score; the paper does not say how many."""

    evaluator: str = "c3d"
    splits: int = 1


@dataclass(frozen=True)
class SelectRecipe:
    """most: generated clips of a class that are trained on. least: see `select`; None for the mean."""

    most: int = MOST
    least: float | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the figures but the files; the defaults are the paper's, as far as it says.

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


_SECTIONS: dict[str, type[Any]] = {
    "data": DataRecipe,
    "generate": SetRecipe,
    "fooled": SetRecipe,
    "score": ScoreRecipe,
    "select": SelectRecipe,
    "augment": FinetuningRecipe,
}


def load_recipe(path: Path = DEFAULT, overrides: Overrides | None = None) -> Recipe:
    """A recipe from a YAML file, with settings of its sections replaced.

    Raises:
        StganError: the file or a setting is wrong.
    """
    values = merged(read_yaml(path), overrides or {})
    known = ("weights", "initial", *_SECTIONS)
    for name in values:
        if name not in known:
            raise StganError(f"{quoted(path)}: unknown section {quoted(str(name))}; known are {', '.join(known)}")
    for name in ("weights", *_SECTIONS):
        if not isinstance(values.get(name, {}), dict):
            raise StganError(f"{quoted(path)}: {name} must hold names and values")
    sources = {}
    for name, source in values.get("weights", {}).items():
        if not isinstance(name, str) or not is_file_name(name) or not isinstance(source, dict):
            raise StganError(f"{quoted(path)}: {quoted(str(name))} of the weights is no name with its settings")
        sources[name] = from_values(Source, source, path, {})
    sections = {name: from_values(kind, values[name], path, {}) for name, kind in _SECTIONS.items() if name in values}
    recipe = Recipe(sources, **sections, **{key: values[key] for key in ("initial",) if key in values})
    for role, name in (
        ("generate.condition", recipe.generate.condition),
        ("fooled.condition", recipe.fooled.condition),
        ("score.evaluator", recipe.score.evaluator),
        ("initial", recipe.initial),
    ):
        if name not in sources:
            raise StganError(f"{quoted(path)}: {role} is {quoted(str(name))}, which is not among the weights")
    return recipe
