"""A page about an augmentation experiment: whether generated clips help as training data (the paper's Section 5.3)."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from stgan.names import printable
from stgan.report.augmentation_figures import draw_accuracies, draw_by_actors, draw_gain
from stgan.report.augmentation_strips import SideBySide, side_by_side
from stgan.report.augmentation_tables import (
    GAIN,
    TITLES,
    between,
    percent,
    points,
    table_by_seed,
    table_of_settings,
    verdict,
)
from stgan.report.page import PAGE, Drawing, drawing_beside, write_page
from stgan.studies.actors import STUDY, StudyResult, read_study
from stgan.studies.augmentation import RECORD, AugmentationResult
from stgan.studies.counts import draw_counts
from stgan.version import __version__

_HEADS = {
    "raised": "Accuracy rises",
    "unchanged": "No measurable change",
    "lowered": "Accuracy falls",
    "unknown": "One seed",
}
_SCALE = 0.68  # of figures in the page, so that text in them is as large as the page's
_SPLITS = {"train": "training clips", "validation": "validation clips, to choose where to stop", "test": "test clips"}


def write_augmentation_page(
    folder: Path, out: Path | None = None, *, command: str | None = None
) -> tuple[Path, list[Path]]:
    """Write the page: one file that needs no other file and no network. The folder `report_figures` beside it has its
    figures as PNG. Both contain frames of real clips, if the record names clips that still exist.

    Args:
        folder: what `stgan augment` wrote (`augmentation.json`), or a study of several settings (`study.json`).
        out: default: FOLDER/report.html.
        command: the command that writes the page; the page shows it.

    Returns:
        The page and the figures.

    Raises:
        StganError: the record cannot be read or is not one.
    """
    study = read_study(folder / (STUDY if (folder / STUDY).is_file() else RECORD))
    page_file = out or folder / PAGE
    with drawing_beside(page_file) as drawing:
        page = _page(folder, study, drawing, command)
        return write_page(page_file, "augmentation.html", page=page), drawing.written


def _page(folder: Path, study: StudyResult, drawing: Drawing, command: str | None) -> dict[str, Any]:
    """What the template shows."""
    result = study.primary.result
    word, sentence = verdict(result)
    return {
        "title": printable(folder.resolve().name),
        "subtitle": _subtitle(study),
        "verdict": {"word": word, "head": _head(word, result), "sentence": sentence, "levels": _levels(result)},
        "tiles": _tiles(result),
        "unproven": not result.proven,
        "stopped_on_test": result.recipe.stop_on == "test",
        "settings": table_of_settings(study) if study.primary.name else None,
        "primary": printable(study.primary.name),
        "by_actors": drawing.picture("by_actors", lambda path: draw_by_actors(path, study.settings)),
        "by_seed": table_by_seed(result),
        **_figures(result, drawing),
        "strips": _strips(folder, result, drawing),
        "clips": _clips(result),
        "recipe": _recipe(result),
        "one_clip": f"{100 / result.clips['test']:.1f}" if result.clips.get("test") else None,
        "result": result,
        "command": printable(command) if command else None,
        "figures": [path.name for path in drawing.written],
        "figures_folder": printable(str(drawing.folder)),
        "version": __version__,
    }


def _subtitle(study: StudyResult) -> str:
    result, name = study.primary.result, printable(study.primary.name)
    seeds = len(result.runs)
    words = ["A classifier fine-tuned on generated clips, on real ones, and on both"]
    words += [f"{len(study.settings)} settings, of which “{name}” is the primary one"] if name else []
    return "; ".join((*words, f"{len(result.actions)} actions", f"{seeds} seed{'s' * (seeds > 1)}"))


def _head(word: str, result: AugmentationResult) -> str:
    return "Too few seeds to tell" if word == "unknown" and len(result.runs) > 1 else _HEADS[word]


def _levels(result: AugmentationResult) -> str:
    summary = result.summary
    return (
        f"Of the test clips {percent(summary.real.mean)} are recognised after training on real clips, "
        f"{percent(summary.both.mean)} after training on both, {percent(summary.generated.mean)} after "
        "training on generated clips alone."
    )


def _tiles(result: AugmentationResult) -> list[dict[str, str]]:
    """The main figures: value, interval, label."""
    summary = result.summary
    tiles = [
        {"value": percent(mean.mean), "interval": between(mean), "label": f"accuracy, {title}"}
        for name, title in TITLES.items()
        for mean in [summary.arm(name)]
    ]
    gain = summary.gain
    tiles.append({"value": points(gain.mean), "interval": between(gain), "label": GAIN})
    if summary.share is not None:
        tiles.append({"value": f"{summary.share:.2f}", "interval": "", "label": "generated only, over real only"})
    return [
        {**tile, "label": tile["label"] + " (95 % interval over seeds)" if tile["interval"] else tile["label"]}
        for tile in tiles
    ]


def _figures(result: AugmentationResult, drawing: Drawing) -> dict[str, Any]:
    """Data URIs by name, and the width of the figure whose width depends on the number of actions."""
    found: dict[str, Any] = {
        "gain": drawing.picture("gain", lambda path: draw_gain(path, result)),
        "accuracies": drawing.picture("accuracies", lambda path: draw_accuracies(path, result)),
        "counts": None,
    }
    real, generated = (result.counts.get(side, {}) for side in ("real", "generated"))
    if real or generated:
        found["counts"] = drawing.picture("counts", lambda path: draw_counts(path, real, generated))
        with Image.open(drawing.drawn / drawing.written[-1].name) as image:
            found["counts_width"] = round(_SCALE * image.width)
    return found


def _strips(folder: Path, result: AugmentationResult, drawing: Drawing) -> list[SideBySide]:
    found: list[SideBySide] = []

    def draw(path: Path) -> bool:
        found.extend(side_by_side(folder, result.sources, path))
        return bool(found)

    drawing.picture("strips", draw)
    return found


def _clips(result: AugmentationResult) -> dict[str, str]:
    """The number of real clips in each part of the split, and their groups."""
    found = {}
    for split, title in _SPLITS.items():
        number, groups = result.clips.get(split), result.groups.get(split)
        if number is not None:
            of = f", of {', '.join(map(printable, groups))}" if groups else ""
            found[title] = f"{number} real clip{'s' * (number != 1)}{of}"
    return found


def _recipe(result: AugmentationResult) -> dict[str, Any]:
    """The training settings of the arms, without nested ones."""
    values = asdict(result.recipe).items()
    return {name.replace("_", " "): value for name, value in values if name != "seed" and not isinstance(value, dict)}
