"""A page about a trained model: its clips, its networks with their figures, and its losses."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stgan.checkpoints import CheckpointError, ModelFolder, find_model
from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint
from stgan.checkpoints.description import CONFIG
from stgan.errors import StganError
from stgan.names import as_path, duration
from stgan.records import read_record
from stgan.report.curves import draw_curves, read_curves
from stgan.report.model_verdict import Verdict
from stgan.report.page import PAGE, data_uri, known, picture_uri, sane_number, write_page
from stgan.training.plan import SAMPLES
from stgan.video.survey import SURVEY, SurveySummary

CONTACT_SHEET = Path(SAMPLES, "contact_sheet.png")

_ORDER = ("encoder", "generator", "map_codec", "frame_prior", "clip_prior")
_ROLES = {
    "AlexNet": "defines the codes",
    "EfficientNetLite": "defines the codes",
    "ImageGenerator": "makes a frame of a code; inflated over time to the video generator of the preset paper",
    "MapCodec": "makes a map of a frame and a frame of a map; inflated over time to the video generator",
    "MapPrior": "distribution of the maps of real frames, or of windows of real clips",
}
_CAPTIONS = {
    "encoder": "pairs of rows: real frames, and their reconstruction from the codes by a small decoder",
    "generator": "pairs of rows: real frames, and their reconstruction by the generator",
    "map_codec": "pairs of rows: real frames, and their reconstruction by the map codec",
}


@dataclass(frozen=True)
class Part:
    """A network of the model: its checkpoint, or the reason why it cannot be loaded."""

    name: str
    role: str
    checkpoint: Checkpoint | None
    damage: str = ""

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.checkpoint.network.parameters()) if self.checkpoint else 0

    def known(self, *path: str) -> Any:
        """An entry of the provenance, or None. It comes from an untrusted file and may have any type."""
        return known(self.checkpoint.provenance if self.checkpoint else None, *path)

    def number(self, *path: str) -> float | None:
        """An entry of the provenance, if it is a number of plausible size; else None."""
        return sane_number(self.known(*path))


def write_training_page(
    model_folder: Path, work: Path, *, title: str | None = None, verdict: Verdict | None = None
) -> Path:
    """Write ``report.html`` into the model's folder: one file that needs no other file and no network.

    An unfinished model has a page too, without what is missing. The page contains the last pictures of the training,
    which show real frames.

    Args:
        model_folder: the model: `model.json` and a checkpoint folder for each network.
        work: the work folder of the training. It has survey.json (`Survey.summary`), and for each network NAME the
            files NAME/log.csv, NAME/validation.csv and NAME/step_*.png, and the same in NAME/fold_*.
        title: default: the model's name.
        verdict: what `verdict_on` says about the model. The page begins with it.

    Returns:
        The page.

    Raises:
        StganError: `model_folder` is not a folder.
    """
    if not model_folder.is_dir():
        raise StganError(f"{str(model_folder)!r} is not a folder: give the folder of a trained model.")
    model = _model(model_folder)
    parts = _parts(model_folder, model)
    name = title or (model.name if model else model_folder.resolve().name)
    actions = next((part.checkpoint.actions for part in parts if part.checkpoint and part.checkpoint.actions), ())
    actions = model.actions if model else actions
    size = next((side for part in parts if isinstance(side := part.known("data", "size"), int)), None)
    folder = as_path(model_folder)
    page = {
        "title": name,
        "subtitle": _subtitle(actions, size),
        "verdict": verdict,
        "tiles": _tiles(parts),
        "contact_sheet": picture_uri(model_folder / CONTACT_SHEET),
        "actions": actions,
        **_data(parts, _survey(work / SURVEY)),
        "networks": [_network(part) for part in parts],
        "stages": [stage for part in parts if (stage := _stage(part.name, work / part.name))],
        "complete": model is not None and all(part.checkpoint for part in parts),
        "folder": shlex.quote(folder),
        "python_folder": repr(folder),
        "example": shlex.quote(actions[0]) if actions else "",
        "python_example": repr(actions[0]) if actions else "",
    }
    return write_page(model_folder / PAGE, "training.html", page=page)


def _model(folder: Path) -> ModelFolder | None:
    try:
        return find_model(folder)
    except CheckpointError:
        return None


def _parts(folder: Path, model: ModelFolder | None) -> list[Part]:
    there = {path.parent.name for path in folder.glob(f"*/{CONFIG}")} | set(model.parts if model else ())
    order = list(dict.fromkeys([*_ORDER, *(model.parts if model else ()), *sorted(there)]))
    roles: dict[str, str] = {}
    if model:
        roles |= {part: "condition network: it steers" for part in model.condition.values()}
        roles |= {part: "evaluator: it never steers" for part in model.evaluators.values()}
    parts = []
    for name in order:
        if name in there:
            try:
                checkpoint = load_checkpoint(folder / name)
                kind = type(checkpoint.network).__name__
                parts.append(Part(name, roles.get(name, _ROLES.get(kind, "classifier")), checkpoint))
            except CheckpointError as error:
                parts.append(Part(name, roles.get(name, ""), None, str(error)))
    return parts


def _subtitle(actions: Sequence[str], size: int | None) -> str:
    frames = f", frames of {size}x{size}" if size else ""
    return f"A model of {len(actions)} actions{frames}, trained with stgan"


def _tiles(parts: list[Part]) -> list[dict[str, str]]:
    """The main figures, each with a label."""
    tiles = []
    for part in parts:
        if part.role.startswith("evaluator"):
            names = ("unseen_groups", "test_clips", "validation_clips")
            measured = {name.replace("_", " "): part.number("figures", name, "accuracy") for name in names}
            tiles += _first(measured, "{:.3f}", f"{part.name}: accuracy on {{}}")
    for part in parts:
        names = ("test", "validation", "training")
        measured = {name: part.number("figures", f"psnr_{name}_frames") for name in names}
        tiles += _first(measured, "{:.1f} dB", f"{part.name}: PSNR of {{}} frames")
    seconds = [value for part in parts if (value := part.number("seconds")) is not None]
    if seconds:
        tiles.append({"value": duration(sum(seconds)), "label": "training time of all networks, without folds"})
    if parts:
        total = sum(part.parameters for part in parts)
        tiles.append({"value": f"{total / 1e6:.1f} M", "label": f"parameters in {len(parts)} networks"})
    return tiles


def _first(measured: Mapping[str, float | None], value: str, label: str) -> list[dict[str, str]]:
    """A tile of the first figure that is not None, if there is one."""
    known = [(name, figure) for name, figure in measured.items() if figure is not None]
    return [{"value": value.format(figure), "label": label.format(name)} for name, figure in known[:1]]


def _data(parts: list[Part], survey: SurveySummary | None) -> dict[str, Any]:
    """The numbers of clips, from the survey and from the networks' provenance."""
    words = []
    keys = {"clips": "clips", "train_clips": "to train on", "validation_clips": "to validate", "test_clips": "to test"}
    for key, word in keys.items():
        counts = (n for part in parts if isinstance(n := part.known("data", key), int))
        words += [f"{count} {word}" for count in islice(counts, 1)]
    held = next((h for part in parts if isinstance(h := part.known("data", "held_out"), list) and h), [])
    if held:
        words.append(f"held out for validation: {', '.join(map(str, held))}")
    splits, rows = list(survey.splits) if survey else [], []
    for action, found in survey.actions.items() if survey else ():
        frames = f"{found.frames.min}-{found.frames.max} ({found.frames.median})" if found.frames else ""
        rows.append([action, found.clips, found.groups or "", *(found.splits.get(s, 0) for s in splits), frames])
    return {
        "data": "; ".join(words),
        "splits": splits,
        "clips_of_actions": rows,
        "warnings": survey.warnings if survey else (),
    }


def _network(part: Part) -> dict[str, Any]:
    if part.checkpoint is None:
        return {"name": part.name, "role": part.role, "damage": part.damage}
    steps, seconds, device = part.number("steps"), part.number("seconds"), part.known("device")
    taken = part.known("ancestors", "taken from")
    return {
        "name": part.name,
        "role": f"{part.role}; used as it is, not trained here" if taken else part.role,
        "damage": "",
        "architecture": type(part.checkpoint.network).__name__,
        "parameters": f"{part.parameters:,}",
        "steps": "" if steps is None else f"{steps:,.0f}",
        "time": ("" if seconds is None else duration(seconds)) + (f" ({device})" if device else ""),
        "figures": [line for item in _table(part.known("figures")).items() if (line := _figure(*item))],
        "hash": part.checkpoint.hash[:12],
    }


def _figure(name: str, value: Any) -> str:
    """A figure as one line; empty if it is neither an accuracy with its interval nor a number."""
    words = name.removeprefix("psnr_").replace("_", " ")
    found = _table(value)
    accuracy, ends = sane_number(found.get("accuracy")), found.get("interval")
    if accuracy is not None:
        low, high = map(sane_number, ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
        between = "" if low is None or high is None else f" ({low:.3f}–{high:.3f}, n = {found.get('clips')})"
        return f"{words}: {accuracy:.3f}{between}"
    number = sane_number(value)
    if number is None:
        return ""
    return f"{words}: {number:.1f} dB PSNR" if name.startswith("psnr_") else f"{words}: {number:.4g}"


def _stage(name: str, folder: Path) -> dict[str, str | None] | None:
    """The curves and the last picture of a stage; None if it has neither."""
    folds = [curves for path in sorted(folder.glob("fold_*/log.csv")) if (curves := read_curves(path))]
    svg = draw_curves(read_curves(folder / "log.csv"), folds, read_curves(folder / "validation.csv"))
    last = max(folder.glob("step_*.png"), key=lambda path: (len(path.name), path.name), default=None)
    picture = picture_uri(last) if last else None
    if not svg and not picture:
        return None
    return {
        "name": name,
        "curves": svg and data_uri("image/svg+xml", svg.encode()),
        "picture": picture,
        "picture_name": f"step {last.stem.removeprefix('step_').lstrip('0') or '0'}" if last else "",
        "caption": _CAPTIONS.get(name),
    }


def _survey(path: Path) -> SurveySummary | None:
    try:
        return read_record(path, SurveySummary)
    except StganError:
        return None


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
