"""Selected clips as a data set of their own, in the layouts that other libraries read without a change.

    SET/ACTION/CLIP.mp4                                 the clips, byte for byte: a folder per class
    SET/clips.csv                                       path,label,group,split,... (`stgan.video.find_clips`)
    SET/classInd.txt, trainlist01.txt, testlist01.txt   lists as UCF-101 has them; the last is empty
    SET/metadata.csv, README.md                         Hugging Face's VideoFolder, and the card of the set
    SET/manifest.jsonl, networks.json                   how the clips were made, and by which networks
    SET/candidates.csv, selection.json, counts.png      all candidates, the rule, the counts (the paper's Figure 6)

The lists have no folder of their own, because torchvision and PyTorchVideo would take it for a class without clips and
refuse it.
"""

import csv
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from stgan.checkpoints import ModelFolder
from stgan.errors import StganError
from stgan.files import replacing
from stgan.manifest import Manifest
from stgan.names import csv_cell, is_file_name, quoted
from stgan.records import write_record
from stgan.scoring import Clip, Evaluator
from stgan.studies.counts import draw_counts
from stgan.studies.provenance import write_networks
from stgan.studies.selected_card import SelectionRecord, card
from stgan.studies.selection import Selection
from stgan.video import ClipFolder

RECORD = "selection.json"
CANDIDATES = "candidates.csv"
CLIPS = "clips.csv"
_LIST = "trainlist01.txt"


def check_place(out: Path, source: Path, *, overwrite: bool = False) -> None:
    """Raise StganError unless a set can be written to `out`.

    `out` must not exist, or be an empty folder, or with `overwrite` an older selection. Neither `out` nor `source` may
    lie in the other.
    """
    if out.is_symlink() or (os.path.lexists(out) and not out.is_dir()):
        raise StganError(f"{quoted(out)} is a link or a file; give the name of a new folder")
    if out.name in ("", ".."):  # without a name, it cannot be replaced as a whole
        raise StganError(f"{quoted(out)} is the current folder or one around it; give the name of a new folder")
    place, clips = out.resolve(), source.resolve()
    if place == clips or place in clips.parents or clips in place.parents:
        raise StganError(f"{quoted(out)} and {quoted(source)} overlap; select into a separate folder")
    if around := next((parent for parent in place.parents if (parent / RECORD).is_file()), None):
        raise StganError(f"{quoted(out)} lies in the selection {quoted(around)}; choose a separate folder")
    if out.is_dir() and any(out.iterdir()):
        if not (out / RECORD).is_file():
            raise StganError(f"{quoted(out)} is not empty and no selection; give the name of a new folder")
        if not overwrite:
            raise StganError(f"{quoted(out)} holds a selection already; replace it by --overwrite, or choose another")


def write_set(
    out: Path,
    selection: Selection,
    source: Path,
    model: ModelFolder,
    evaluator: Evaluator,
    *,
    real: Mapping[str, int] | None = None,
    overwrite: bool = False,
) -> None:
    """Write the chosen clips and their descriptions. The folder appears complete or not at all.

    Args:
        out: a folder that does not exist, is empty, or with `overwrite` holds an older selection, which is replaced.
        selection: of clips of `source`, which `stgan generate` wrote with `model`, as scored by `evaluator`.
        real: number of real clips to train on of each action, for the figure and the record.

    Raises:
        StganError: `out` cannot be written to, a chosen clip was changed or is a link, or the manifest of `source`
            does not match it.
    """
    check_place(out, source, overwrite=overwrite)
    for clip in selection.clips:
        _check_name(clip)
    entries = {entry.file: entry for entry in Manifest(source).read()}
    gone = next((clip.name for clip in selection.clips if clip.name not in entries), None)
    if gone is not None:
        raise StganError(f"{quoted(gone)} is not in the manifest of {quoted(source)} any more; select again")
    record = _record(selection, source, model, evaluator, real)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as folder:
            folder.mkdir()
            for clip in selection.clips:
                _copy(clip, folder / clip.name)
            Manifest(folder).write(entries[clip.name] for clip in selection.clips)
            _write_lists(folder, selection)
            write_networks(folder, model, source, evaluator)
            chosen = {action: found.chosen for action, found in selection.classes.items()}
            draw_counts(folder / "counts.png", real or {}, chosen)
            write_record(folder / RECORD, record)
            (folder / "README.md").write_text(card(record), encoding="utf-8")
    except OSError as error:
        raise StganError(
            f"cannot write to {quoted(out)} ({(error.strerror or str(error)).lower()}); choose another folder"
        ) from error


def count_real(folder: ClipFolder, groups: Collection[str] | None = None) -> dict[str, int]:
    """The number of clips to train on of each action.

    groups: whose clips are counted; default: the clips of the split "train", or all if there is no split.

    Raises:
        StganError: there is no such group.
    """
    if groups is not None:
        folder = folder.select(groups=groups)
    elif any(clip.split == "train" for clip in folder.clips):
        folder = folder.select(split="train")
    labels = [clip.label for clip in folder.clips]
    return {label: labels.count(label) for label in sorted(set(labels))}


def _check_name(clip: Clip) -> None:
    parts = PurePosixPath(clip.name).parts
    if len(parts) != 2 or parts[0] != clip.action or not all(map(is_file_name, parts)) or not parts[1].endswith(".mp4"):
        raise StganError(
            f"the manifest has {quoted(clip.name)} for a clip of {quoted(str(clip.action))}, not ACTION/NAME.mp4 as "
            "stgan generate writes; generate the clips anew"
        )


def _copy(clip: Clip, target: Path) -> None:
    """Copy the file that the manifest describes, never the target of a link."""
    if clip.path.is_symlink():
        raise StganError(f"{quoted(clip.path)} is a link; put the clip itself there")
    clip.check_file()
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(clip.path, target)


def _write_lists(folder: Path, selection: Selection) -> None:
    clips = selection.clips
    numbers = {action: i for i, action in enumerate(sorted({str(clip.action) for clip in clips}), start=1)}
    figures = [_contribution_and_probability(selection, clip) for clip in clips]
    _write_csv(
        folder / CLIPS,
        ("path", "label", "group", "split", "contribution", "probability"),
        # Each generated clip is a group of its own, because no split has to keep two of them together.
        ((c.name, c.action, f"generated/{c.name[:-4]}", "train", *f) for c, f in zip(clips, figures, strict=True)),
    )
    _write_csv(
        folder / "metadata.csv",
        ("file_name", "label", "contribution", "probability"),
        ((clip.name, clip.action, *each) for clip, each in zip(clips, figures, strict=True)),
    )
    candidates = []
    for clip in sorted(selection.candidates, key=lambda clip: clip.name):
        contribution, probability = _contribution_and_probability(selection, clip)
        chosen, reason = ("no" if clip.name in selection.left_out else "yes"), selection.left_out.get(clip.name, "")
        named = selection.scores[clip.name].named
        candidates.append((clip.name, clip.action, named, probability, contribution, chosen, reason))
    columns = ("file", "action", "named", "probability", "contribution", "chosen", "reason")
    _write_csv(folder / CANDIDATES, columns, candidates)
    _write_lines(folder / "classInd.txt", [f"{number} {action}" for action, number in numbers.items()])
    _write_lines(folder / _LIST, [f"{clip.name} {numbers[str(clip.action)]}" for clip in clips])
    _write_lines(folder / "testlist01.txt", [])


def _record(
    selection: Selection, source: Path, model: ModelFolder, evaluator: Evaluator, real: Mapping[str, int] | None
) -> SelectionRecord:
    """The record, without paths of this machine."""
    classes = selection.classes
    return SelectionRecord(
        criterion=selection.by,
        most=selection.most,
        least=selection.least,
        any_verdict=selection.any_verdict,
        model=model.name,
        evaluator=Path(evaluator.name).name,
        evaluator_network=evaluator.kind,
        evaluator_hash=evaluator.hash,
        source=source.resolve().name,
        candidates=len(selection.candidates),
        selected=len(selection.clips),
        counts={action: found.chosen for action, found in classes.items() if found.chosen},
        classes=classes,
        thin=tuple(selection.thin),
        without=tuple(selection.without),
        real=dict(real) if real is not None else None,
    )


def _contribution_and_probability(selection: Selection, clip: Clip) -> tuple[str, str]:
    found = selection.scores[clip.name]
    return f"{found.contribution:.6g}", "" if found.probability is None else f"{found.probability:.6g}"


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([csv_cell(value) for value in row] for row in rows)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
