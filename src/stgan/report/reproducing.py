"""How the clips of a folder were made: the commands, and what the model's card says about the data."""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stgan.checkpoints import ModelFolder
from stgan.checkpoints.description import CARD, check_inside
from stgan.defaults import BOTH, FRAMES
from stgan.errors import StganError
from stgan.records import completed, read_text
from stgan.report.shown import Shown
from stgan.sampling import PRESETS, SamplerSettings
from stgan.studies.fooling import REAL, FoolingStudy

_COMMON = {"model", "preset", "condition", "iterations", "frames", "seed"}
_MOST_ACTIONS = 12  # that a command names; with more, the command makes all actions
_LONGEST_CARD = 1 << 16  # bytes
_LONGEST_NOTE, _LONGEST_WORD = 1000, 200  # characters


def settings(clips: Sequence[Shown]) -> dict[str, str]:
    """The settings in the manifest that all clips share, as text."""
    known: dict[str, str] = {}
    if not clips:
        return known
    for name in ("model", "preset", "condition", "iterations", "frames", "seed", "target", "torch", "device"):
        values = {json.dumps(clip.entry.get(name), sort_keys=True) for clip in clips}
        value = clips[0].entry.get(name)
        if len(values) == 1 and isinstance(value, (str, int)):
            known[name] = str(value)[:_LONGEST_WORD]
    return known


def generate_command(folder: Path, clips: Sequence[Shown]) -> str | None:
    """The command that makes such clips; None if the manifest does not tell, or if no command makes them."""
    known, entry = settings(clips), clips[0].entry if clips else {}
    if entry.get("init") or not _COMMON.issubset(known) or not known["iterations"].isdecimal():
        return None
    preset = _preset_with(known["preset"], int(known["iterations"]), entry.get("settings"))
    if preset is None:
        return None
    precision = entry["settings"].get("precision", preset.precision)
    actions = list(dict.fromkeys(clip.action for clip in clips))
    num = max(clip.entry["index"] for clip in clips) + 1
    words = ["--target", known["target"]] if "target" in known else actions if len(actions) <= _MOST_ACTIONS else []
    words += ["--num", str(num), "--seed", known["seed"], "--model", known["model"]]
    words += ["--preset", known["preset"]]  # its default depends on the model
    defaults = {"condition": BOTH, "iterations": str(preset.iterations), "frames": str(FRAMES)}
    for name, value in defaults.items():
        words += [f"--{name}", known[name]] * (known[name] != value)
    words += ["--precision", precision]  # its default depends on the machine
    return shlex.join(["stgan", "generate", *words, "--out", str(folder)])


def _preset_with(name: str, iterations: int, recorded: object) -> SamplerSettings | None:
    """The preset of this name if a clip has its settings; None if they are others."""
    with suppress(StganError, LookupError, ValueError, TypeError):
        preset = PRESETS[name]
        values = completed(recorded, preset)
        used = replace(preset, iterations=iterations, precision=values["precision"])
        if values == json.loads(json.dumps(asdict(used))):
            return preset
    return None


def fooling_command(folder: Path, study: FoolingStudy, clips: Sequence[Shown]) -> str:
    """The command that makes such a study with these clips."""
    given = {"--model": study.model, "--preset": study.preset, "--num": study.num, "--seed": study.seed}
    words = [word for name, value in given.items() for word in (name, str(value))]
    iterations = settings(clips).get("iterations")
    preset = PRESETS.get(study.preset)
    words += ["--iterations", str(iterations)] * bool(preset and iterations not in (None, str(preset.iterations)))
    words += ["--real", "FOLDER"] * any(row.clips == REAL for row in study.rows)
    return shlex.join(["stgan", "fooling", *words, "--out", str(folder)])


def data_note(model: ModelFolder, entry: Mapping[str, Any]) -> str | None:
    """What the generator's card says about its data; None if another generator made the clips."""
    hashes = entry.get("hashes")
    try:
        if not isinstance(hashes, dict) or model.load(model.generator).hash != hashes.get("generator"):
            return None
        card = model.path / model.generator / CARD
        check_inside(card)
        lines = read_text(card, _LONGEST_CARD, errors="replace").splitlines()
    except StganError:
        return None
    notes = [line for line in lines if line.startswith(("Data source:", "Licence:", "License:"))]
    return " ".join(notes)[:_LONGEST_NOTE] or None
