"""How the clips of a folder were made, and from whose data: the commands, and what the model's card says."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stgan.checkpoints import ModelFolder
from stgan.checkpoints.checkpoint import CARD
from stgan.errors import StganError
from stgan.pipeline import BOTH, FRAMES
from stgan.report.page import sane_number
from stgan.report.recorded import Study
from stgan.report.selection import Shown
from stgan.sampling import PRESETS

_LONGEST_CARD = 1 << 16  # bytes
_LONGEST_NOTE = 1000  # characters


def settings(clips: Sequence[Shown]) -> dict[str, str]:
    """What the manifest says of how the clips were made, where all of them agree; in words."""
    known: dict[str, str] = {}
    if not clips:
        return known
    for name in ("model", "preset", "condition", "iterations", "frames", "seed", "target", "torch", "device"):
        values = {json.dumps(clip.entry.get(name), sort_keys=True) for clip in clips}
        value = clips[0].entry.get(name)
        if len(values) == 1 and isinstance(value, (str, int)):
            known[name] = str(value)[:200]
    return known


def generate_command(folder: Path, clips: Sequence[Shown]) -> str | None:
    """The command that makes such clips; None if the manifest does not say, or no command does."""
    known, entry = settings(clips), clips[0].entry if clips else {}
    preset = PRESETS.get(known.get("preset", ""))
    iterations, frames = sane_number(entry.get("iterations")), sane_number(entry.get("frames"))
    if preset is None or entry.get("init") or "seed" not in known or "model" not in known or not iterations:
        return None
    try:
        plain = json.loads(json.dumps(asdict(replace(preset, iterations=int(iterations)))))
    except StganError:
        return None
    if entry.get("settings") != plain:
        return None
    actions = list(dict.fromkeys(clip.action for clip in clips))
    counts = [clip.entry["index"] + 1 for clip in clips]
    words = ["stgan", "generate"]
    if "target" in known:
        words += ["--target", known["target"]]
    elif len(actions) <= 12:
        words += actions
    words += ["--num", str(max(counts)), "--seed", known["seed"], "--model", known["model"]]
    words += ["--preset", preset.name] * (preset.name != "robust")
    words += ["--condition", known["condition"]] * (known.get("condition", BOTH) != BOTH)
    words += ["--iterations", f"{iterations:.0f}"] * (iterations != preset.iterations)
    words += ["--frames", f"{frames:.0f}"] * (frames not in (None, FRAMES))
    return shlex.join([*words, "--out", str(folder)])


def fooling_command(study: Study) -> str:
    """The command that makes such a study."""
    given = {"--model": study.model, "--preset": study.preset, "--num": study.num, "--seed": study.seed}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return shlex.join(["stgan", "fooling", *words, "--out", str(study.folder)])


def data_note(model: ModelFolder, entry: Mapping[str, Any]) -> str | None:
    """What the card of the generator says of its data, if it is the generator that made the clips."""
    hashes = entry.get("hashes")
    try:
        if not isinstance(hashes, dict) or model.load(model.generator).hash != hashes.get("generator"):
            return None
        with (model.path / model.generator / CARD).open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_LONGEST_CARD).splitlines()
    except (StganError, OSError):
        return None
    notes = [line for line in lines if line.startswith(("Data source:", "Licence:", "License:"))]
    return " ".join(notes)[:_LONGEST_NOTE] or None
