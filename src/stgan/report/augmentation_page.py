"""A page about an augmentation experiment: whether generated clips are worth training on (the paper's Section 5.3)."""

from collections.abc import Mapping
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
from stgan.report.counts import draw_counts
from stgan.report.page import FIGURES, PAGE, Drawing, picture_uri, write_page
from stgan.report.recorded_augmentation import AugmentationStudy, Record, read_augmentation
from stgan.version import __version__

_HEADS = {
    "raised": "Accuracy rises",
    "unchanged": "No measurable change",
    "lowered": "Accuracy falls",
    "unknown": "One seed",
}
_SCALE = 0.68  # of figures in the page, so that their words are as large as its own
_SPLITS = {"train": "trained on", "validation": "held out to choose where to stop", "test": "tested on"}


def write_augmentation_page(
    folder: Path, out: Path | None = None, *, command: str | None = None
) -> tuple[Path, list[Path]]:
    """Write the page: one file that needs no other and no network. Its figures are written, too, as PNG to `figures`
    beside it. Frames of real clips are in both where the record names files that are there.

    Args:
        folder: what `stgan augment` wrote (`augmentation.json`), or a study of several settings (`study.json`).
        out: default: FOLDER/report.html.
        command: what asked for the page, to be told there.

    Returns:
        The page and the figures.

    Raises:
        StganError: the record cannot be read or is not one.
    """
    study = read_augmentation(folder)
    result = study.primary.result
    page_file = out or folder / PAGE
    drawing = Drawing(page_file.parent / FIGURES)
    word, sentence = verdict(result)
    page = {
        "title": printable(folder.resolve().name),
        "subtitle": _subtitle(study),
        "verdict": {"word": word, "head": _head(word, result), "sentence": sentence, "levels": _levels(result)},
        "tiles": _tiles(result),
        "unproven": result["proven"] is not True,
        "stopped_on_test": result["recipe"].get("stop_on") == "test",
        "settings": table_of_settings(study) if study.primary.name else None,
        "primary": printable(study.primary.name),
        "by_actors": _by_actors(study, drawing),
        "by_seed": table_by_seed(study.primary),
        **_figures(result, drawing),
        "strips": _strips(folder, result, drawing),
        "clips": _clips(result),
        "recipe": {name.replace("_", " "): value for name, value in result["recipe"].items()},
        "one_clip": _one_clip(result),
        "result": result,
        "command": printable(command) if command else None,
        "figures": [path.name for path in drawing.written],
        "figures_folder": printable(str(drawing.folder)),
        "version": __version__,
    }
    return write_page(page_file, "augmentation.html", page=page), drawing.written


def _subtitle(study: AugmentationStudy) -> str:
    result, name = study.primary.result, printable(study.primary.name)
    seeds = len(result["runs"])
    words = ["A classifier fine-tuned on generated clips, on real ones, and on both"]
    words += [f"{len(study.settings)} settings, of which “{name}” decides"] if name else []
    words += [f"{len(result['actions'])} actions"] if result["actions"] else []
    return "; ".join((*words, f"{seeds} seed{'s' * (seeds > 1)}"))


def _head(word: str, result: Record) -> str:
    return "Too few seeds to tell" if word == "unknown" and len(result["runs"]) > 1 else _HEADS[word]


def _levels(result: Record) -> str:
    summary = result["summary"]
    return (
        f"Of the test clips {percent(summary['real']['mean'])} are recognised after training on real clips, "
        f"{percent(summary['both']['mean'])} after training on both, {percent(summary['generated']['mean'])} after "
        "training on generated clips alone."
    )


def _tiles(result: Record) -> list[dict[str, str]]:
    """The figures to see first: value, interval, label."""
    summary = result["summary"]
    tiles = [
        {"value": percent(summary[name]["mean"]), "interval": between(summary[name]), "label": f"accuracy, {title}"}
        for name, title in TITLES.items()
    ]
    gain = summary["gain"]
    tiles.append({"value": points(gain["mean"]), "interval": between(gain), "label": GAIN})
    if summary["share"] is not None:
        tiles.append({"value": f"{summary['share']:.2f}", "interval": "", "label": "generated only, over real only"})
    return [
        {**tile, "label": tile["label"] + " (95 % interval over seeds)" if tile["interval"] else tile["label"]}
        for tile in tiles
    ]


def _figures(result: Record, drawing: Drawing) -> dict[str, Any]:
    """Addresses that hold them, by name; the width of the one whose width depends on the actions."""
    found: dict[str, Any] = {"counts": None}
    for name, draw in (("gain", draw_gain), ("accuracies", draw_accuracies)):
        path = drawing.path(name)
        draw(path, result)
        found[name] = picture_uri(path)
    counts = result["counts"]
    if counts["real"] or counts["generated"]:
        path = drawing.path("counts")
        draw_counts(path, counts["real"], counts["generated"])
        found["counts"] = picture_uri(path)
        with Image.open(path) as image:
            found["counts_width"] = round(_SCALE * image.width)
    return found


def _by_actors(study: AugmentationStudy, drawing: Drawing) -> str | None:
    path = drawing.path("by_actors")
    if draw_by_actors(path, study.settings):
        return picture_uri(path)
    drawing.written.remove(path)
    return None


def _strips(folder: Path, result: Record, drawing: Drawing) -> list[SideBySide]:
    path = drawing.path("strips")
    found = side_by_side(folder, result["sources"], path)
    if not found:
        drawing.written.remove(path)
    return found


def _clips(result: Record) -> dict[str, str]:
    """The real clips of each side of the split: how many, of whom."""
    found = {}
    for split, title in _SPLITS.items():
        number, groups = result["clips"].get(split), result["groups"].get(split)
        if number is not None:
            of = f", of {', '.join(map(printable, groups))}" if groups else ""
            found[title] = f"{number} real clip{'s' * (number != 1)}{of}"
    return found


def _one_clip(result: Mapping[str, Any]) -> str | None:
    """By how many points one test clip counts."""
    number = result["clips"].get("test")
    return f"{100 / number:.1f}" if number else None
