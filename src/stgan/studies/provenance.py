"""Which clips the networks behind generated clips were trained on, so that no generated clip can copy a test clip.

Generated clips can show a test clip if their generator, prior, condition network or selecting evaluator was trained on
it. Checkpoints list the clips that they were trained on (`seen`) and the networks that they were made from
(`ancestors`). `networks.json` in a folder of selected clips has both.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stgan.checkpoints import ModelFolder
from stgan.checkpoints.checkpoint import Checkpoint
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.errors import StganError
from stgan.manifest import Manifest
from stgan.names import quoted
from stgan.records import Text, read_record, write_record
from stgan.scoring import Evaluator
from stgan.scoring.evaluators import seen_clips
from stgan.training.clip_data import group_of
from stgan.video import ClipFile
from stgan.video.decoding import inspect_clip

NETWORKS = "networks.json"
"""The file in a folder of clips that lists the networks behind them."""
_SHORT = 16  # digits of a clip's content hash in a checkpoint
_LARGEST = 64 << 20  # bytes of the file; ten networks that saw 20,000 clips take 6 MB
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_ShortHash = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


@dataclass(frozen=True)
class Network:
    """A network that generated or selected clips.

    role:      "generator", "condition network lrcn", "selecting evaluator", ...
    hash:      of its weights. ancestors: hashes of the networks that it was made from or trained against, by a label.
    seen:      first 16 digits of the content hashes (`ClipFacts.sha256`) of the clips it was trained on; empty if
               unknown.
    """

    role: Annotated[str, Field(min_length=1, max_length=100)]
    hash: _Hash
    ancestors: dict[Text, _Hash]
    seen: tuple[_ShortHash, ...]

    def __post_init__(self) -> None:
        if not self.role.isprintable():
            raise ValueError("the role has characters that cannot be printed")


@dataclass(frozen=True, kw_only=True)
class NetworksRecord:
    """What `networks.json` holds. model: the name of the model that made the clips."""

    format: Literal[1] = 1
    model: Text
    networks: tuple[Network, ...]


def networks_behind(model: ModelFolder, folder: Path, evaluator: Evaluator | None = None) -> tuple[Network, ...]:
    """The networks that made a folder's clips, the networks of `model` that they were made from, and the evaluator.

    evaluator: the network that selects clips; None if there is none.

    Raises:
        StganError: the folder has no manifest with hashes, or networks of another model made its clips.
    """
    parts = {checkpoint.hash: (part, checkpoint) for part in model.parts for checkpoint in [model.load(part)]}
    wanted = _makers(folder)
    if not wanted:
        raise StganError(f"it is unknown which networks made the clips in {quoted(folder)}; generate the clips again")
    for value, role in wanted.items():
        if value not in parts:
            raise StganError(
                f"the {role} of the clips in {quoted(folder)} is none of {model.name}'s networks; name the model that "
                "made them (nothing lists what a classifier of your own was trained on)"
            )
    pending = list(wanted)
    while pending:
        for label, value in parts[pending.pop()][1].ancestors.items():
            if value in parts and value not in wanted:
                wanted[value] = label
                pending.append(value)
    makers = [(role, parts[value][1]) for value, role in wanted.items()]
    found = [Network(role, made.hash, made.ancestors, seen_clips(made)) for role, made in makers]
    if evaluator is not None:
        own = {str(i): value for i, value in enumerate(sorted(evaluator.ancestors))}
        found.append(Network("selecting evaluator", evaluator.hash, own, tuple(sorted(evaluator.seen))))
    return tuple(found)


def write_networks(folder: Path, model: ModelFolder, source: Path, evaluator: Evaluator) -> None:
    """Write `networks.json` into `folder`: the networks that made the clips of `source`, and the evaluator."""
    networks = networks_behind(model, source, evaluator)
    write_record(folder / NETWORKS, NetworksRecord(model=model.name, networks=networks))


def read_networks(folder: Path) -> tuple[Network, ...]:
    """The networks behind a folder's clips, from `networks.json`; none if there is no such file.

    Raises:
        StganError: the file is damaged, or lacks a network that the manifest names, so it is about other clips.
    """
    path = folder / NETWORKS
    if not os.path.lexists(path):  # a link that leads nowhere is damage, not absence
        return ()
    networks = read_record(path, NetworksRecord, "select the clips again", _LARGEST).networks
    makers = _makers(folder)
    missing = sorted({role for value, role in makers.items() if value not in {network.hash for network in networks}})
    if not makers:
        raise StganError(
            f"the manifest does not say which networks made the clips of {quoted(path)}; select the clips again"
        )
    if missing:
        raise StganError(
            f"{quoted(path)} lacks the {missing[0]} that made clips of its folder, so it is about other clips; select "
            "the clips again"
        )
    return networks


def content_hashes(clips: Sequence[ClipFile]) -> dict[Path, str]:
    """The short content hashes of clips, as checkpoints list them. VideoError if a clip cannot be read."""
    return {clip.path: inspect_clip(clip.path).sha256[:_SHORT] for clip in clips}


def unseen_groups(networks: Sequence[Network], clips: Sequence[ClipFile]) -> set[str] | None:
    """The groups none of whose clips a network was trained on; None if these are all groups, or none."""
    trained = {value for network in networks for value in network.seen}
    if not trained:
        return None
    hashes = content_hashes(clips)
    groups = {group_of(clip) for clip in clips} - {group_of(clip) for clip in clips if hashes[clip.path] in trained}
    return groups or None


def check_networks(networks: Sequence[Network], train: Collection[str], held_out: Mapping[Path, str]) -> None:
    """Raise StganError if a network was trained on a held-out clip, or on one that is not among the training clips.

    Args:
        networks: behind the generated clips.
        train: short content hashes of the clips to train on.
        held_out: short content hashes of validation and test clips, by path.
    """
    paths = {value: path for path, value in held_out.items()}
    for network in networks:
        for value in network.seen:
            if value in paths:
                raise StganError(
                    f"the {network.role} behind the generated clips was trained on {quoted(paths[value])}, which is "
                    "held out; train a model on the training clips alone, some of them held out to choose where to "
                    "stop, and generate with it"
                )
        others = len(set(network.seen) - set(train))
        if others:
            raise StganError(
                f"the {network.role} behind the generated clips was trained on clips that are not among the training "
                f"clips ({others} of them); train a model on these alone, and generate with it"
            )


def check_initial(initial: Checkpoint, held_out: Sequence[ClipFile]) -> None:
    """Raise StganError if the weights that recognisers start from were trained on a validation or test clip."""
    seen = seen_clips(initial)
    for path, value in content_hashes(held_out if seen else ()).items():
        if value in seen:
            raise StganError(
                f"the weights to start from were trained on {quoted(path)}, which is held out; start from others"
            )


def unknown_networks(networks: Sequence[Network]) -> list[str]:
    """The roles of networks whose training clips, or those of their ancestors, are unknown.

    Some known files were trained on photographs, such as ImageNet's, and not on clips.
    """
    known = {network.hash for network in networks if network.seen}
    known |= {file.photographs for file in KNOWN_FILES if file.photographs}
    return [network.role for network in networks if not {network.hash, *network.ancestors.values()} <= known]


def _makers(folder: Path) -> dict[str, str]:
    """The hashes of the networks that made a folder's clips, with their roles; none if those of a clip are unknown."""
    entries = [dict(_made_by(entry.details.get("hashes", {}))) for entry in Manifest(folder).read()]
    return {value: role for entry in entries for role, value in entry.items()} if all(entries) else {}


def _made_by(hashes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(role, hash) of each network in an entry of a manifest."""
    for role, value in hashes.items():
        if role == "condition" and isinstance(value, dict):
            yield from ((f"condition network {name}", str(each)) for name, each in value.items())
        elif role not in ("condition_ancestors", "condition_tensors"):
            yield role.replace("_", " "), str(value)
