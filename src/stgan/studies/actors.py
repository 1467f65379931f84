"""The augmentation experiment for several numbers of actors: do generated clips help if few people were filmed?

Each setting names some actors. A whole model is trained on their clips alone. It generates clips, its evaluator selects
some, and a classifier is trained on real clips, on generated ones, and on both. The clips of validation actors decide
where these trainings stop; the clips of all other actors are for testing.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge
from lightning_fabric import Fabric

from stgan.checkpoints import ModelFolder
from stgan.errors import StganError
from stgan.generation import GenerationJob
from stgan.names import is_file_name, quoted
from stgan.pipeline import STGAN
from stgan.records import Count, Text, as_record, merged, read_json, read_record, read_yaml, write_record
from stgan.sampling import PRESETS
from stgan.scoring import Clip, ScoreCache, evaluate, evaluator_of
from stgan.studies.augmentation import AugmentationResult, run_augmentation
from stgan.studies.augmentation_recipe import AugmentationRecipe, load_augmentation_recipe
from stgan.studies.generating import first_clips, generate_set
from stgan.studies.provenance import read_networks
from stgan.studies.selected_set import write_set
from stgan.studies.selection import MOST, Criterion, features_of, scores_by_clip, select
from stgan.studies.splits import split_by_groups
from stgan.training.preparation import TrainingOptions, prepare
from stgan.training.ranges import Seed
from stgan.training.recipes import Overrides, load_model_recipe
from stgan.training.run import Workspace
from stgan.version import __version__
from stgan.video import ClipFolder, find_clips

STUDY, SETTING = "study.json", "setting.json"
RECIPE, AUGMENTATION = "study.yaml", "augmentation.yaml"
_RUNS, _CACHE = "runs", "cache"  # folders that all settings share
_MODEL, _GENERATED, _SELECTED, _EXPERIMENT = "model", "generated", "selected", "augmentation"

_MOST_SETTINGS = 100

OnProgress = Callable[[str, int, int], None]
"""(what, done, total)"""


@dataclass(frozen=True, kw_only=True)
class SettingResult:
    """One experiment of a study, and what `setting.json` holds.

    actors: number of people in the real training clips. training_seconds: of the model.
    generated: number of generated clips, of which some were chosen. All three are None outside of a study.
    primary: whether this setting decides.
    """

    name: Text
    actors: Count | None = None
    primary: bool
    training_seconds: Count | None = None
    generated: Count | None = None
    result: AugmentationResult


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What `study.json` holds: the settings, one of which is primary and decides."""

    format: Literal[1] = 1
    version: Text = __version__
    settings: tuple[SettingResult, ...]

    def __post_init__(self) -> None:
        if len(self.settings) > _MOST_SETTINGS or sum(setting.primary for setting in self.settings) != 1:
            raise ValueError("exactly one of the settings must be primary")

    @property
    def primary(self) -> SettingResult:
        """The setting that decides."""
        return next(setting for setting in self.settings if setting.primary)


def read_study(path: Path) -> StudyResult:
    """Read `study.json`; or `augmentation.json`, as a study of one setting without a name.

    Raises:
        StganError: the file cannot be read, or is not what `stgan augment` or a study writes.
    """
    remedy = "run the study again" if path.name == STUDY else "run stgan augment again"
    values = read_json(path, remedy=remedy)
    if isinstance(values, dict) and "settings" in values:
        return as_record(StudyResult, values, path, remedy)
    result = as_record(AugmentationResult, values, path, remedy)
    return StudyResult(settings=(SettingResult(name="", primary=True, result=result),))


@dataclass(frozen=True)
class ActorsRecipe:
    """What `study.yaml` holds. Its folder also has the recipes of the model and `augmentation.yaml`.

    settings:   for each setting, by name, the groups (actors) whose clips are trained on.
    primary:    the setting that decides, named before anything is trained.
    validation: groups whose clips decide where trainings of the classifier stop.
    num, seed, preset: number of generated clips of each action, and how they are generated.
    by, most:   how clips are selected (see `stgan.studies.selection`).
    evaluator:  the network of the model that selects.
    """

    settings: dict[str, tuple[str, ...]]
    primary: str
    validation: tuple[str, ...]
    num: Annotated[int, Ge(1)] = 30
    seed: Seed = 0
    preset: str = "motion"
    by: Criterion = Criterion.INCEPTION
    most: Annotated[int, Ge(1)] = MOST
    evaluator: str = "evaluator"

    def __post_init__(self) -> None:
        for name, groups in self.settings.items():
            if not is_file_name(name) or name in (_RUNS, _CACHE):
                raise ValueError(f"{name!r} cannot name a folder")
            if not groups:
                raise ValueError(f"the setting {name!r} must be a list of groups (actors)")
        if self.primary not in self.settings:
            raise ValueError(f"the primary setting, {self.primary!r}, is not among the settings")
        if self.preset not in PRESETS:
            raise ValueError(f"preset is one of {', '.join(PRESETS)}, not {self.preset!r}")


def load_actors_recipe(folder: Path, overrides: Overrides | None = None) -> ActorsRecipe:
    """Read `study.yaml` of a folder of recipes. StganError if it is wrong."""
    path = folder / RECIPE
    return as_record(ActorsRecipe, merged(read_yaml(path), (overrides or {}).get("study", {})), path)


class ActorsStudy:
    """A study in a folder. Finished stages are kept, and interrupted ones continue.

    data:    folder of real clips whose groups are actors.
    recipes: the folder with the recipes.
    overrides: values that replace those of the recipes: of `study`, `augmentation`, or a stage of the model.
    """

    def __init__(
        self,
        data: Path,
        recipes: Path,
        out: Path,
        fabric: Fabric,
        *,
        overrides: Overrides | None = None,
        say: Callable[[str], None] = print,
        on_progress: OnProgress = lambda what, done, total: None,
    ) -> None:
        overrides = overrides or {}
        self.data, self.recipes, self.out, self.fabric = data, recipes, out, fabric
        self.recipe = load_actors_recipe(recipes, overrides)
        self.augmentation: AugmentationRecipe = load_augmentation_recipe(
            recipes / AUGMENTATION, overrides.get("augmentation", {})
        )
        self.of_model = {stage: values for stage, values in overrides.items() if stage not in ("study", "augmentation")}
        self.say, self.on_progress = say, on_progress
        self.clips: ClipFolder = find_clips(data)
        for note in self.clips.notes:
            say(f"note: {note}")
        self._check()

    def _check(self) -> None:
        """Raise StganError for problems that would otherwise appear after hours of training."""
        if self.data.resolve() in (self.out.resolve(), *self.out.resolve().parents):
            raise StganError(f"{quoted(self.out)} lies in {quoted(self.data)}; choose a folder apart from the clips")
        for groups in self.recipe.settings.values():
            split_by_groups(self.clips.clips, groups, self.recipe.validation)
        if not self.recipe.validation and self.augmentation.training.stop_on == "validation":
            raise StganError(
                f"{quoted(self.recipes / RECIPE)}: validation must name groups, whose clips decide where to stop"
            )
        evaluators = load_model_recipe(self.recipes, self.of_model).evaluators
        if self.recipe.evaluator not in evaluators:
            raise StganError(
                f"{quoted(self.recipes / RECIPE)}: the evaluator is one of the model's, "
                f"{', '.join(evaluators) or 'none'}, not {quoted(self.recipe.evaluator)}"
            )
        self.augmentation.initial.checkpoint()

    def check_setting(self, name: str) -> None:
        """StganError unless there is such a setting."""
        if name not in self.recipe.settings:
            raise StganError(f"there is no setting {quoted(name)}; there are {', '.join(self.recipe.settings)}")

    def run(self, name: str) -> AugmentationResult:
        """Run one setting, and update `study.json`.

        Raises:
            StganError: there is no such setting, or a stage of it fails.
        """
        self.check_setting(name)
        folder, groups = self.out / name, self.recipe.settings[name]
        self.say(f"{name}: model")
        model = self._train(name, groups, folder)
        self.say(f"{name}: generate")
        self._generate(model, folder)
        self.say(f"{name}: select")
        chosen = self._select(model, folder)
        self.say(f"{name}: augment")
        result = run_augmentation(
            self.augmentation.initial.checkpoint(),
            split_by_groups(self.clips.clips, groups, self.recipe.validation),
            chosen,
            self.augmentation.training,
            folder / _EXPERIMENT,
            self.fabric,
            seeds=self.augmentation.seeds,
            networks=read_networks(folder / _SELECTED),
        )
        done = SettingResult(
            name=name,
            actors=len(groups),
            primary=name == self.recipe.primary,
            training_seconds=sum(int(model.load(part).provenance["seconds"]) for part in model.parts),
            generated=self.recipe.num * len(model.actions),
            result=replace(result, sources={}),  # these are paths of this machine
        )
        write_record(folder / SETTING, done)
        self.write()
        return result

    def write(self) -> StudyResult | None:
        """Write `study.json` with the finished settings; None if the primary one is not finished."""
        done = [
            replace(found, primary=found.name == self.recipe.primary)  # the recipe may have changed since
            for name in self.recipe.settings
            if (found := _read(self.out / name / SETTING))
        ]
        if not any(setting.primary for setting in done):
            return None
        study = StudyResult(settings=tuple(done))
        write_record(self.out / STUDY, study)
        return study

    def _train(self, name: str, groups: Sequence[str], folder: Path) -> ModelFolder:
        """A model that is trained on the clips of these groups alone; all others are held out."""
        others = sorted(set(self.clips.groups) - set(groups))
        named = {"name": f"{self.data.resolve().name}_{name}", "held_out": others}
        wishes = TrainingOptions(config=self.recipes, overrides=merged(self.of_model, {"model": named}))
        workspace = Workspace(self.fabric, self.out / _RUNS / name)
        return prepare(self.data, folder / _MODEL, workspace, wishes).training.train_all()

    def _generate(self, model: ModelFolder, folder: Path) -> None:
        stgan = STGAN.from_pretrained(model.path, str(self.fabric.device))
        total, done = self.recipe.num * len(stgan.actions), count(1)
        preset = stgan.preset(self.recipe.preset)
        job = GenerationJob(stgan, stgan.steering(preset=preset), preset, self.recipe.num, self.recipe.seed)
        generate_set(job, folder / _GENERATED, on_clip=lambda: self.on_progress("generate", next(done), total))

    def _select(self, model: ModelFolder, folder: Path) -> list[Clip]:
        """The selected clips, in a folder of their own."""
        clips = first_clips(folder / _GENERATED, self.recipe.num)
        evaluator = evaluator_of(model, self.recipe.evaluator, device=self.fabric.device)
        by = self.recipe.by
        with closing(ScoreCache(self.out / _CACHE)) as cache:
            scores = scores_by_clip(evaluate(clips, evaluator, cache=cache))
            features = features_of(clips, evaluator, cache=cache) if by is Criterion.DIVERSITY else None
        selection = select(clips, scores, by=by, most=self.recipe.most, features=features)
        write_set(folder / _SELECTED, selection, folder / _GENERATED, model, evaluator, overwrite=True)
        return first_clips(folder / _SELECTED, self.recipe.num)


def _read(path: Path) -> SettingResult | None:
    try:
        return read_record(path, SettingResult)
    except StganError:
        return None
