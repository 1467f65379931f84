"""A model: the checkpoints that together generate videos, in one folder, with `model.json` naming their roles."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download

from stgan.checkpoints.checkpoint import (
    CARD,
    CONFIG,
    FORMAT,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    check_actions,
    load_checkpoint,
    one_line,
    read_json,
)
from stgan.files import write_text
from stgan.names import is_file_name, quoted

BUNDLED = Path(__file__).parent.parent / "bundled"
MODEL = "model.json"


@dataclass(frozen=True)
class ModelFolder:
    """Where a model's checkpoints are and what each is for.

    condition:  condition networks by name ("lrcn", "c3d"): these may steer.
    evaluators: classifiers by name that never steer.
    code_prior: None of a model that was put together without one: it cannot sample by the `robust` preset.
    sequence_prior: None of a model that was made without one: it cannot sample by the `motion` preset.
    """

    path: Path
    name: str
    actions: tuple[str, ...]
    encoder: str
    generator: str
    condition: dict[str, str]
    evaluators: dict[str, str]
    code_prior: str | None = None
    sequence_prior: str | None = None

    def load(self, part: str, device: torch.device | str = "cpu") -> Checkpoint:
        """One of the checkpoints, by the folder name that this model gives it."""
        return load_checkpoint(self.path / part, device)

    @property
    def parts(self) -> tuple[str, ...]:
        """The folder names of all checkpoints."""
        classifiers = (*self.condition.values(), *self.evaluators.values())
        return (self.encoder, self.generator, *self.priors.values(), *classifiers)

    @property
    def priors(self) -> dict[str, str]:
        """The folder names of the code prior and the sequence prior, as far as there are any, by their roles."""
        priors = {"code_prior": self.code_prior, "sequence_prior": self.sequence_prior}
        return {role: part for role, part in priors.items() if part is not None}

    def save(self) -> None:
        """Write `model.json`."""
        values = {
            "format": FORMAT,
            "name": self.name,
            "actions": list(self.actions),
            "encoder": self.encoder,
            "generator": self.generator,
            **self.priors,
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
    values, file = read_json(path / MODEL), quoted(path / MODEL)
    if values.get("format") != FORMAT:
        found = quoted(str(values.get("format")))
        raise CheckpointError(f"{file} has format {found}; this version reads {FORMAT}")
    try:
        check_actions(values["actions"], path / MODEL)
        folder = ModelFolder(
            path=path,
            name=values["name"],
            actions=tuple(values["actions"]),
            encoder=values["encoder"],
            generator=values["generator"],
            condition=dict(values["condition"]),
            evaluators=dict(values["evaluators"]),
            code_prior=values.get("code_prior"),
            sequence_prior=values.get("sequence_prior"),
        )
        inside = all((path / part).resolve().parent == path.resolve() for part in folder.parts)
    except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:  # the last two: links in a circle
        raise CheckpointError(f"{file} does not describe a model: {one_line(error)} is missing or wrong") from error
    if not inside:
        raise CheckpointError(f"{file} names a checkpoint outside its own folder")
    for name in (folder.name, *folder.parts, *folder.condition, *folder.evaluators):
        if not isinstance(name, str) or not is_file_name(name):
            raise CheckpointError(f"{file} has the name {quoted(str(name))}, which cannot name a folder")
    if not folder.actions or not folder.condition:
        raise CheckpointError(f"{file} names no actions or no condition network")
    if set(folder.condition.values()) & set(folder.evaluators.values()):
        raise CheckpointError(f"{file} names one network both as condition network and as evaluator")
    return folder


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
            return _download(model)
        except CheckpointError:
            raise
        except Exception as error:  # the hub's own errors and those of the HTTP library below it, whichever it is
            reason = one_line(error, lines=1).rstrip(".")
            raise CheckpointError(
                f"no model {quoted(model)}: no such folder, and the hub did not give it "
                f"({type(error).__name__}: {reason}); bundled models: {known}"
            ) from error
    raise CheckpointError(f"no model {quoted(model)}: neither a folder nor a bundled model ({known})")


def _download(model: str) -> Path:
    """The folder of a hub model: of its files those that a model consists of, nothing that could be code."""
    files = [f"*/{name}" for name in (CONFIG, WEIGHTS, CARD)]
    path = Path(snapshot_download(model, allow_patterns=[MODEL, CARD, *files]))
    # The hub's cache links <repository>/snapshots/<revision>/... to <repository>/blobs/...
    repository = path.resolve().parents[1]
    for file in path.rglob("*"):
        if not file.resolve().is_relative_to(repository):
            raise CheckpointError(f"the hub's {quoted(model)} has a file that leads out of its folder: {quoted(file)}")
    return path
