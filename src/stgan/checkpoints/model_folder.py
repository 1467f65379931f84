"""A model: the checkpoints that together generate videos, in one folder, with `model.json` naming their roles."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download

from stgan.checkpoints.checkpoint import (
    FORMAT,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    one_line,
    read_json,
    write_text,
)

BUNDLED = Path(__file__).parent.parent / "bundled"
MODEL = "model.json"


@dataclass(frozen=True)
class ModelFolder:
    """Where a model's checkpoints are and what each is for.

    condition:  condition networks by name ("lrcn", "c3d"): these may steer.
    evaluators: classifiers by name that never steer.
    """

    path: Path
    name: str
    actions: tuple[str, ...]
    encoder: str
    generator: str
    code_prior: str
    condition: dict[str, str]
    evaluators: dict[str, str]

    def load(self, part: str, device: torch.device | str = "cpu") -> Checkpoint:
        """One of the checkpoints, by the folder name that this model gives it."""
        return load_checkpoint(self.path / part, device)

    @property
    def parts(self) -> tuple[str, ...]:
        """The folder names of all checkpoints."""
        return (self.encoder, self.generator, self.code_prior, *self.condition.values(), *self.evaluators.values())

    def save(self) -> None:
        """Write `model.json`."""
        values = {
            "format": FORMAT,
            "name": self.name,
            "actions": list(self.actions),
            "encoder": self.encoder,
            "generator": self.generator,
            "code_prior": self.code_prior,
            "condition": self.condition,
            "evaluators": self.evaluators,
        }
        write_text(self.path / MODEL, json.dumps(values, indent=2) + "\n")


def bundled_models() -> list[str]:
    """Names of the models that ship with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{MODEL}"))


def find_model(model: str | Path) -> ModelFolder:
    """A model by folder, bundled name, or Hugging Face hub id ("user/name").

    Raises:
        CheckpointError: there is none, or its `model.json` is damaged.
    """
    path = _locate(str(model))
    values = read_json(path / MODEL)
    if values.get("format") != FORMAT:
        raise CheckpointError(f"{path / MODEL} has format {values.get('format')!r}; this version reads {FORMAT}")
    try:
        if not isinstance(values["name"], str):
            raise TypeError("'name'")
        if not isinstance(values["actions"], list) or not all(isinstance(action, str) for action in values["actions"]):
            raise TypeError("'actions'")
        folder = ModelFolder(
            path=path,
            name=values["name"],
            actions=tuple(values["actions"]),
            encoder=values["encoder"],
            generator=values["generator"],
            code_prior=values["code_prior"],
            condition=dict(values["condition"]),
            evaluators=dict(values["evaluators"]),
        )
        inside = all((path / part).resolve().parent == path.resolve() for part in folder.parts)
    except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:  # the last two: links in a circle
        raise CheckpointError(
            f"{path / MODEL} does not describe a model: {one_line(error)} is missing or wrong"
        ) from error
    if not inside:
        raise CheckpointError(f"{path / MODEL} names a checkpoint outside its own folder")
    if not folder.actions or not folder.condition:
        raise CheckpointError(f"{path / MODEL} names no actions or no condition network")
    if set(folder.condition.values()) & set(folder.evaluators.values()):
        raise CheckpointError(f"{path / MODEL} names one network both as condition network and as evaluator")
    bad = [action for action in folder.actions if not is_file_name(action)]
    if bad or len(set(folder.actions)) < len(folder.actions):
        raise CheckpointError(f"{path / MODEL}: actions must be different words that can name a folder: {bad[:1]}")
    return folder


def is_file_name(word: str) -> bool:
    """Whether a word from an untrusted file may name a folder or a file."""
    return word.isprintable() and 0 < len(word.encode()) <= 100 and word[0] != "." and not set(word) & set("/\\:")


def _locate(model: str) -> Path:
    if model in bundled_models():
        return BUNDLED / model
    try:
        path = Path(model).expanduser()
        if path.is_dir():
            return path
    except (OSError, RuntimeError):  # a name that is too long, the home of a user who does not exist
        pass
    known = ", ".join(bundled_models()) or "none"
    if model.count("/") == 1 and not model.startswith((".", "/", "~")):
        try:
            return Path(snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.md"]))
        except Exception as error:  # the hub's own errors and those of the HTTP library below it, whichever it is
            raise CheckpointError(
                f"no model {model!r}: no such folder, and the hub did not give it ({one_line(error)}); "
                f"bundled models: {known}"
            ) from error
    raise CheckpointError(f"no model {model!r}: neither a folder nor a bundled model ({known})")
