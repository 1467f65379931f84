"""A model: a folder of the checkpoints that generate videos together; `model.json` names their roles."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import huggingface_hub  # loads its own modules at first use
from annotated_types import Interval, MaxLen

from stgan.checkpoints.description import (
    CARD,
    CONFIG,
    FORMAT,
    WEIGHTS,
    CheckpointConfig,
    CheckpointError,
    Description,
    check_actions,
    check_unambiguous,
    describe_checkpoint,
    read_config,
    read_file,
)
from stgan.files import BUNDLED, named
from stgan.names import is_file_name, one_line, quoted
from stgan.records import checked, write_record

if TYPE_CHECKING:
    import torch

    from stgan.checkpoints.checkpoint import Checkpoint

MODEL = "model.json"
PRIORS = ("map_codec", "frame_prior", "clip_prior")
"""Roles that a model need not have."""
_FORMER = {"code_prior", "sequence_prior"}  # roles in older models, which no preset uses
_MOST_CLASSIFIERS = 16  # that steer, and that never steer
Classifiers = Annotated[dict[str, str], MaxLen(_MOST_CLASSIFIERS)]
"""Folder names of classifiers, by their names."""
_HUB_ID = re.compile(r"[^/.~][^/]*/[^/]+")


@dataclass(frozen=True)
class ModelFolder:
    """A model's checkpoints and their roles. Checkpoints are given by the names of their folders.

    condition:  condition networks by name ("lrcn", "c3d"): they can steer generation.
    evaluators: classifiers by name that never steer.
    map_codec, frame_prior: needed by the `robust` preset; None if the model has none.
    clip_prior: needed with these by the `motion` preset; None if the model has none.
    clip_size:  side in pixels of the central square of the generator's frames that clips keep; None: the square that
                the condition networks see.
    frame_guidance: of `motion`, which suits the clip prior (see `ClipPriorSettings`); None: the preset's.
    """

    path: Path
    name: str
    actions: tuple[str, ...]
    encoder: str
    generator: str
    condition: Classifiers
    evaluators: Classifiers
    map_codec: str | None = None
    frame_prior: str | None = None
    clip_prior: str | None = None
    clip_size: Annotated[int, Interval(ge=1, lt=1 << 14)] | None = None
    frame_guidance: Annotated[float, Interval(gt=0, le=100)] | None = None

    def load(self, part: str, device: "torch.device | str" = "cpu") -> "Checkpoint":
        """Load one of the checkpoints, by its folder name."""
        from stgan.checkpoints.checkpoint import load_checkpoint  # PyTorch is slow to load

        return load_checkpoint(self.path / part, device)

    def describe(self, part: str) -> Description:
        """Describe one of the checkpoints without loading its network."""
        return describe_checkpoint(self.path / part)

    @property
    def parts(self) -> tuple[str, ...]:
        """The folder names of all checkpoints, each once."""
        names = (self.encoder, self.generator, *self.priors.values(), *self.classifiers.values())
        return tuple(dict.fromkeys(names))

    @property
    def classifiers(self) -> dict[str, str]:
        """The folder names of the condition networks and evaluators, by their names."""
        return {**self.condition, **self.evaluators}

    @property
    def priors(self) -> dict[str, str]:
        """The folder names of the priors that the model has, and of the map codec, by their roles."""
        return {role: part for role in PRIORS if (part := getattr(self, role)) is not None}

    def save(self) -> None:
        """Write `model.json`."""
        values = {name: value for name, value in asdict(self).items() if name != "path" and value is not None}
        write_record(self.path / MODEL, {"format": FORMAT, **values})


def bundled_models() -> list[str]:
    """Names of the models in the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{MODEL}"))


def find_model(model: str | Path) -> ModelFolder:
    """Find a model by folder, bundled name, or Hugging Face hub id ("user/name").

    Args:
        model: a `Path` is always a folder. A string may be any of the three. It is refused if it is both a folder here
            and a bundled name or of the form of a hub id.

    Raises:
        CheckpointError: there is no such model, the string is ambiguous, or its `model.json` is damaged.
    """
    path = _locate(model)
    values, file = read_file(path / MODEL, dict[str, Any]), quoted(path / MODEL)
    found = values.pop("format", None)
    values = {name: value for name, value in values.items() if name not in _FORMER}
    if found != FORMAT:
        raise CheckpointError(f"{file} has format {quoted(str(found))}; this version reads {FORMAT}")
    try:
        folder = replace(checked(ModelFolder, {**values, "path": ""}), path=path)
        inside = all((path / part).resolve().parent == path.resolve() for part in folder.parts)
    except (ValueError, OSError, RuntimeError) as error:  # the last two: circular links
        raise CheckpointError(f"{file} does not describe a model: {one_line(error)}") from error
    check_actions(folder.actions, path / MODEL)
    if not inside:
        raise CheckpointError(f"{file} names a checkpoint outside its own folder")
    for name in (folder.name, *folder.parts, *folder.condition, *folder.evaluators):
        if not is_file_name(name):
            raise CheckpointError(f"{file} has the name {quoted(name)}, which cannot name a folder")
    if not folder.actions or not folder.condition:
        raise CheckpointError(f"{file} names no actions or no condition network")
    if set(folder.condition.values()) & set(folder.evaluators.values()):
        raise CheckpointError(f"{file} names one network both as condition network and as evaluator")
    return folder


def assemble(
    path: Path, name: str, *, condition: Sequence[str] = (), evaluators: Sequence[str] = ()
) -> tuple[ModelFolder, list[str]]:
    """Make a model of the checkpoints in a folder, by their own descriptions, and write its `model.json`.

    Args:
        condition: folder names of the classifiers that can steer; default: all that name their classes and are no
            evaluators.
        evaluators: folder names of the classifiers that never steer.

    Returns:
        The model, and the folder names of the classifiers that it does not use.

    Raises:
        CheckpointError: the folder lacks an encoder, an image generator or a condition network, has several encoders
            or generators, or classifiers of different classes.
    """
    if not path.is_dir():
        raise CheckpointError(f"there is no folder {quoted(path)}; import checkpoints into it first")
    found = {inner.parent.name: read_config(inner) for inner in sorted(path.glob(f"*/{CONFIG}"))}
    kinds = {part: _kind(config) for part, config in found.items()}
    classifiers = {part: config.actions for part, config in found.items() if _classifies(kinds[part])}
    for part in (*condition, *evaluators):
        if part not in classifiers:
            known = ", ".join(classifiers) or "none"
            raise CheckpointError(f"{quoted(path)} has no classifier {quoted(part)}; it has {known}")
    steering = condition or [part for part, names in classifiers.items() if names and part not in evaluators]
    chosen = [*steering, *evaluators]
    if not steering:
        raise CheckpointError(f"{quoted(path)} has no classifier with class names that could steer; import one")
    if both := sorted(set(steering) & set(evaluators)):
        raise CheckpointError(f"{quoted(both[0])} is named both as condition network and as evaluator; choose one")
    for part in chosen:
        if classifiers[part] != classifiers[chosen[0]]:
            raise CheckpointError(
                f"{quoted(part)} knows other classes than {quoted(chosen[0])}; name those that belong together"
            )
    former = _former(path)
    folder = ModelFolder(
        path=path,
        name=name,
        actions=classifiers[chosen[0]],
        encoder=_only(path, kinds, "encoder"),
        generator=_only(path, kinds, "image_generator"),
        condition={part: part for part in steering},
        evaluators={part: part for part in evaluators},
        **{kind: _only(path, kinds, kind) for kind in PRIORS if kind in kinds.values()},
        clip_size=former.clip_size if former else None,
        frame_guidance=former.frame_guidance if former else None,
    )
    folder.save()
    return find_model(path), [part for part in classifiers if part not in chosen]


def _former(path: Path) -> ModelFolder | None:
    """The model that the folder holds already; None if it holds none."""
    try:
        return find_model(path)
    except CheckpointError:
        return None


def _kind(written: CheckpointConfig) -> str:
    """The name of an architecture, but "encoder" for every encoder, and what a map prior is a prior of."""
    from stgan.checkpoints.checkpoint import NETWORKS
    from stgan.networks import Encoder

    network = written.network
    if network == "map_prior":
        return "frame_prior" if written.config.get("frames") == 1 else "clip_prior"
    return "encoder" if network in NETWORKS and issubclass(NETWORKS[network][1], Encoder) else network


def _classifies(kind: str) -> bool:
    from stgan.checkpoints.checkpoint import NETWORKS

    return kind in NETWORKS and hasattr(NETWORKS[kind][1], "log_probabilities")


def _only(path: Path, kinds: Mapping[str, str], kind: str) -> str:
    found, name = [part for part in kinds if kinds[part] == kind], kind.replace("_", " ")
    if len(found) != 1:
        there = f"several {name}s: {', '.join(found)}; move all but one away" if found else f"no {name}; import one"
        raise CheckpointError(f"{quoted(path)} has {there}")
    return found[0]


def _locate(model: str | Path) -> Path:
    named(model)
    known, path = bundled_models(), _folder(model)
    if isinstance(model, str) and model in known:
        check_unambiguous(model, "a bundled model", BUNDLED / model)
        return BUNDLED / model
    hub_id = isinstance(model, str) and _HUB_ID.fullmatch(model)
    if path and hub_id:
        raise CheckpointError(
            f"{quoted(model)} is a folder here and could be a model of the hub; write {quoted(f'./{model}')} for the "
            "folder, or work in another folder to use the hub's"
        )
    if path:
        return path
    if isinstance(model, Path):
        raise CheckpointError(f"no model {quoted(model)}: there is no such folder")
    bundled = ", ".join(known) or "none"
    if hub_id:
        try:
            return _download(model)
        except Exception as error:  # of the hub, and of whichever HTTP library it uses
            reason = one_line(error, lines=1).rstrip(".")
            raise CheckpointError(
                f"no model {quoted(model)}: there is no such folder, and the hub did not deliver it "
                f"({type(error).__name__}: {reason}); bundled models: {bundled}"
            ) from error
    raise CheckpointError(f"no model {quoted(model)}: neither a folder nor a bundled model ({bundled})")


def _folder(model: str | Path) -> Path | None:
    try:
        path = Path(model).expanduser()
        return path if path.is_dir() else None
    except (OSError, RuntimeError):  # a name that is too long, or the home of an unknown user
        return None


def _download(model: str) -> Path:
    """Download a model from the hub, only the files that a model consists of, and return its folder."""
    files = [f"*/{name}" for name in (CONFIG, WEIGHTS, CARD)]
    return Path(huggingface_hub.snapshot_download(model, allow_patterns=[MODEL, CARD, *files]))
