"""Plan recipes for a user's own clips, as files that the user can read and change."""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stgan.errors import StganError
from stgan.files import write_text
from stgan.records import read_yaml
from stgan.training.clip_data import group_of
from stgan.training.recipes import CLIP_PRIOR, ENCODER, FRAME_PRIOR, GENERATOR, MAP_CODEC, MODEL, PARTS
from stgan.video import ClipFolder

SIZES = (32, 64, 128, 256)
FRAMES = 16
CONDITION, EVALUATORS = ("lrcn", "c3d"), ("evaluator",)
_DEFAULTS = Path(__file__).with_name("defaults")
LEAST_SHARE = 0.1
"""The least share of the default steps that a plan has. With fewer, networks learn hardly anything."""
_LARGEST_ON_CPU = 64
_MARGIN = 1.1  # of the least time in messages: the next estimate differs a little
_SAMPLES = 24
SAMPLES = "samples"
"""What follows the stages of a plan, and its folder in the model's: clips of each action, and their scores."""
_VALIDATION_SHARE = 0.2

RecipeValues = dict[str, dict[str, Any]]
"""Maps a stage to the values of its YAML file."""


def choose_size(short_sides: list[int], gpu: bool) -> int:
    """The side of the frames: the largest of `SIZES` not above the median short side; on a CPU at most 64."""
    middle = sorted(short_sides)[len(short_sides) // 2]
    possible = [size for size in SIZES if size <= middle and (gpu or size <= _LARGEST_ON_CPU)]
    return max(possible, default=SIZES[0])


def choose_validation(clips: ClipFolder) -> tuple[str, ...]:
    """Groups to hold out for validation: about a fifth of each action's clips.

    There are none if the folder has its own validation split. No action loses more than two fifths of its clips or its
    last group. The choice depends only on the groups' names.
    """
    if any(clip.split == "val" for clip in clips.clips):
        return ()
    total: dict[str, int] = defaultdict(int)
    of_group: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for clip in clips.clips:
        if clip.split in (None, "train"):
            total[clip.label] += 1
            of_group[group_of(clip)][clip.label] += 1
    out: dict[str, int] = defaultdict(int)
    chosen = []
    for group in sorted(of_group, key=lambda name: hashlib.sha256(name.encode()).digest()):
        counts = of_group[group]
        wanted = any(out[label] < round(_VALIDATION_SHARE * total[label]) for label in counts)
        if wanted and all(out[label] + n <= 0.4 * total[label] for label, n in counts.items()):
            chosen.append(group)
            for label, n in counts.items():
                out[label] += n
    return tuple(sorted(chosen))


def samples_of_each(actions: int) -> int:
    """The clips of each action that are generated after the training: about 24 in all, at least two of each."""
    return max(2, math.ceil(_SAMPLES / actions))


def plan_recipes(clips: ClipFolder, *, name: str, size: int) -> RecipeValues:
    """The recipes for clips that are resized to `size` pixels (one of `SIZES`)."""
    stages = (*PARTS, *CONDITION, *EVALUATORS)
    values: RecipeValues = {stage: read_yaml(_DEFAULTS / f"{stage}.yaml") for stage in stages}
    _fit_size(values, size)
    _fit_maps(values, size)
    if any(_names_a_side(label) for label in clips.actions):
        for stage in (*CONDITION, *EVALUATORS):
            values[stage].setdefault("augmentation", {})["mirror"] = 0.0
        values[FRAME_PRIOR]["mirror"] = values[CLIP_PRIOR]["mirror"] = False
    source = clips.root.resolve().name
    values[MODEL] = {
        "name": name,
        "description": f"{len(clips)} clips of {len(clips.actions)} actions from the folder {source}",
        "size": size,
        "frames": FRAMES,
        "condition": list(CONDITION),
        "evaluators": list(EVALUATORS),
        "held_out": list(choose_validation(clips)),
    }
    return values


@dataclass(frozen=True)
class Cost:
    """The expected time of a stage in seconds.

    step:  of a step; with folds, of one step of each training.
    other: of what does not depend on the number of steps, such as maps, validations and tests.
    fed:   see `Pace`.
    """

    step: float
    other: float = 0.0
    fed: float = 1.0

    def seconds(self, steps: int) -> float:
        """The whole time with so many steps."""
        return self.step * steps + self.other


def fit_steps(
    values: RecipeValues, costs: Mapping[str, Cost], minutes: float, *, spent: float = 0.0, kept: Collection[str] = ()
) -> RecipeValues:
    """Multiply the steps of all trainings by one factor, so that everything takes so many minutes.

    Args:
        costs: of the stages, and of what follows them.
        spent: seconds that are over already.
        kept: stages whose steps the user has chosen.

    Raises:
        StganError: the factor would be below `LEAST_SHARE`.
    """
    steps = {stage: values[stage]["steps"] for stage in costs if stage in values}
    flexible = sum(costs[stage].step * number for stage, number in steps.items() if stage not in kept)
    rigid = spent + sum(cost.seconds(steps.get(name, 0)) for name, cost in costs.items()) - flexible
    least = (rigid + LEAST_SHARE * flexible) / 60
    if minutes < least:
        raise StganError(
            f"--minutes {minutes:g} is too short for these clips on this machine at its present load; the least is "
            f"--minutes {math.ceil(_MARGIN * least)}, unless you lower --size or give fewer clips"
        )
    factor = (60 * minutes - rigid) / flexible if flexible else 1.0
    scaled = {stage: {**values[stage], "steps": round(steps[stage] * factor)} for stage in steps if stage not in kept}
    return {**values, **scaled}


def write_recipes(folder: Path, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a YAML file for each stage. model.yaml is last, so if it exists, all of them do."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage, settings in sorted(values.items(), key=lambda item: item[0] == MODEL):
        text = yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)
        write_text(folder / f"{stage}.yaml", text)


def _fit_size(values: RecipeValues, size: int) -> None:
    """Adapt first strides, kernels and numbers of stages from the defaults' 64 pixels to another size."""
    doublings = SIZES.index(size) + 2
    stride, kernel = min(4, size // 32), {32: 5, 64: 5, 128: 7, 256: 11}[size]
    frame = values["lrcn"]["network"]["frame"]
    for network in (values[ENCODER]["network"], frame):
        network["strides"][0], network["kernels"][0], network["paddings"][0] = stride, kernel, kernel // 2
        network["preprocessing"]["size"] = size
    values[ENCODER]["decoder"]["stages"] = [[64], [48], [32], [24], [16]][:doublings]
    values[GENERATOR]["network"]["stages"] = [[128, 192], [96, 96], [48, 48], [32], [24]][:doublings]
    discriminator = values[GENERATOR]["discriminator"]
    discriminator["kernels"][0] = {32: 5, 64: 5, 128: 7, 256: 7}[size]
    discriminator["strides"][0] = max(2, stride)
    discriminator["preprocessing"]["size"] = size
    values["c3d"]["network"]["preprocessing"]["size"] = {32: 32, 64: 40, 128: 56, 256: 112}[size]
    values["evaluator"]["network"]["preprocessing"] = {
        "size": min(size, 112), "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
    }  # fmt: skip


def _fit_maps(values: RecipeValues, size: int) -> None:
    """A place of a map is a square of 8 pixels, as in the defaults, or of 16 of frames that are larger than 64."""
    large = size > 64
    codec, priors = values[MAP_CODEC], (values[FRAME_PRIOR], values[CLIP_PRIOR])
    if large:
        codec["network"]["encoder"] |= {"patch": 4, "widths": [64, 112, 160]}
        codec["network"]["generator"] |= {"patch": 4, "widths": [192, 112, 64]}
        codec["discriminator"]["widths"] = [32, 64, 96, 128]
        codec |= {"crop": size // 2, "batch_size": 16}
    for prior in priors:
        grid = size // (16 if large else 8)
        prior["network"] |= {"grid": grid} | ({"widths": [64, 96, 160], "depth": 1} if grid > 8 else {})
        prior |= {"copies": 2 if large else 4, "shift": max(2, 3 * size // 64)}


def _names_a_side(label: str) -> bool:
    """Whether the action's name says that a mirror image would show another action."""
    return bool(re.search(r"(^|[^a-zA-Z])(left|right|clockwise)([^a-z]|$)|(Left|Right|LEFT|RIGHT)([^a-z]|$)", label))
