"""Which clips the networks behind generated clips were trained on, so that no test clip can come back in disguise.

A generator that was trained on a test clip can show it; so can one whose code prior, condition network or selecting
evaluator was. Checkpoints list the clips that they were trained on (`seen`) and the networks that they were made from
(`ancestors`); `networks.json` beside selected clips keeps both.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stgan.checkpoints import Checkpoint, ModelFolder
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.errors import StganError
from stgan.manifest import Manifest
from stgan.names import quoted
from stgan.records import Text, read_record, write_record
from stgan.scoring import Evaluator
from stgan.training.clip_data import group_of
from stgan.video import ClipFile
from stgan.video.decoding import inspect_clip

NETWORKS = "networks.json"
"""The file in a folder of clips that says what was behind them."""
_SHORT = 16  # digits of a clip's content hash in a checkpoint
_LARGEST = 64 << 20  # bytes of the file; ten networks that saw 20,000 clips have 6 MB
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_ShortHash = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


@dataclass(frozen=True)
class Network:
    """A network that had a part in generated clips.

    role:      what it did: "generator", "condition lrcn", "selecting evaluator", ...
    hash:      of its weights. ancestors: of the networks that it was made from or trained against, by a label.
    seen:      first 16 digits of the content hashes (`ClipFacts.sha256`) of the clips it was trained on; empty if
               nothing says which they were.
    """

    role: Annotated[str, Field(min_length=1, max_length=100)]
    hash: _Hash
    ancestors: dict[Text, _Hash]
    seen: tuple[_ShortHash, ...]

    def __post_init__(self) -> None:
        if not self.role.isprintable():
            raise ValueError("the role is no word")


@dataclass(frozen=True, kw_only=True)
class NetworksRecord:
    """What `networks.json` holds. model: the name of that which made the clips."""

    format: Literal[1] = 1
    model: Text
    networks: tuple[Network, ...]


def networks_behind(model: ModelFolder, folder: Path, judge: Evaluator | None = None) -> tuple[Network, ...]:
    """The networks that made a folder's clips, with those of `model` that they were made from, and the one that chose.

    Raises:
        StganError: the folder has no manifest with hashes, or other networks than the model's made its clips.
    """
    parts = {checkpoint.hash: (part, checkpoint) for part in model.parts for checkpoint in [model.load(part)]}
    wanted = _makers(folder)
    if not wanted:
        raise StganError(f"nothing says which networks made the clips in {quoted(folder)}; generate clips anew")
    for value, role in wanted.items():
        if value not in parts:
            raise StganError(
                f"the {role} of the clips in {quoted(folder)} is none of {model.name}'s networks: name the model that "
                "made them; what a classifier of your own was trained on is not known"
            )
    pending = list(wanted)
    while pending:
        for label, value in parts[pending.pop()][1].ancestors.items():
            if value in parts and value not in wanted:
                wanted[value] = label
                pending.append(value)
    found = [_network(role, parts[value][1]) for value, role in wanted.items()]
    if judge is not None:
        own = {str(i): value for i, value in enumerate(sorted(judge.ancestors))}
        found.append(Network("selecting evaluator", judge.hash, own, tuple(sorted(judge.seen))))
    return tuple(found)


def write_networks(folder: Path, model: ModelFolder, source: Path, judge: Evaluator) -> None:
    """Write `networks.json` into `folder`: what made the clips of `source`, and what chose among them."""
    networks = networks_behind(model, source, judge)
    write_record(folder / NETWORKS, NetworksRecord(model=model.name, networks=networks))


def read_networks(folder: Path) -> tuple[Network, ...]:
    """The networks behind a folder's clips, as `networks.json` has them; none if there is no such file.

    Raises:
        StganError: the file is damaged, or lacks a network that the manifest names: it is about other clips.
    """
    path = folder / NETWORKS
    if not os.path.lexists(path):  # a link that leads nowhere is damage, not absence
        return ()
    networks = read_record(path, NetworksRecord, "select the clips again", _LARGEST).networks
    makers = _makers(folder)
    missing = sorted({role for value, role in makers.items() if value not in {network.hash for network in networks}})
    if not makers:
        raise StganError(f"nothing says that {quoted(path)} is about the clips beside it; select the clips again")
    if missing:
        raise StganError(
            f"{quoted(path)} lacks the {missing[0]} that made clips beside it, so it is about others; select the clips "
            "again"
        )
    return networks


def content_hashes(clips: Sequence[ClipFile]) -> dict[Path, str]:
    """The short content hashes of clips, as checkpoints list them. VideoError if a clip cannot be read."""
    return {clip.path: inspect_clip(clip.path).sha256[:_SHORT] for clip in clips}


def unseen_groups(networks: Sequence[Network], clips: Sequence[ClipFile]) -> set[str] | None:
    """The groups of clips of which no network was trained on any; None if that is all of them, or none is left."""
    trained = {value for network in networks for value in network.seen}
    if not trained:
        return None
    hashes = content_hashes(clips)
    groups = {group_of(clip) for clip in clips} - {group_of(clip) for clip in clips if hashes[clip.path] in trained}
    return groups or None


def check_networks(networks: Sequence[Network], train: Collection[str], judging: Mapping[Path, str]) -> None:
    """Raise StganError if a network was trained on a clip that judges, or that is not among those to train on.

    Args:
        networks: behind the generated clips.
        train: the short content hashes of the clips to train on.
        judging: those of validation and test clips, by path.
    """
    judges = {value: path for path, value in judging.items()}
    for network in networks:
        for value in network.seen:
            if value in judges:
                raise StganError(
                    f"the {network.role} behind the generated clips was trained on {quoted(judges[value])}, which is "
                    "to judge; train a model on the clips to train on alone, some of them held out to choose where to "
                    "stop, and generate with that"
                )
        strange = len(set(network.seen) - set(train))
        if strange:
            raise StganError(
                f"the {network.role} behind the generated clips was trained on clips that are not among the clips to "
                f"train on ({strange} of them); train a model on these alone, and generate with that"
            )


def check_initial(initial: Checkpoint, judging: Sequence[ClipFile]) -> None:
    """Raise StganError if the weights that recognisers start from were trained on a clip that judges."""
    seen = initial.provenance.get("seen")
    if not isinstance(seen, list) or not seen:
        return
    for path, value in content_hashes(judging).items():
        if value in map(str, seen):
            raise StganError(
                f"the weights to start from were trained on {quoted(path)}, which is to judge; start from others"
            )


def unknown_networks(networks: Sequence[Network]) -> list[str]:
    """The roles of networks of which nothing says what they, or networks that they were made from, were trained on.

    Of known files it is known that they learned from photographs, such as ImageNet's, and not from clips.
    """
    known = {network.hash for network in networks if network.seen}
    known |= {file.photographs for file in KNOWN_FILES if file.photographs}
    return [network.role for network in networks if not {network.hash, *network.ancestors.values()} <= known]


def _network(role: str, checkpoint: Checkpoint) -> Network:
    seen = checkpoint.provenance.get("seen")
    return Network(role, checkpoint.hash, checkpoint.ancestors, tuple(map(str, seen)) if isinstance(seen, list) else ())


def _makers(folder: Path) -> dict[str, str]:
    """The hashes of the networks that made a folder's clips, and their roles; none if a clip's are not told."""
    entries = [dict(_made_by(entry.details.get("hashes", {}))) for entry in Manifest(folder).read()]
    return {value: role for entry in entries for role, value in entry.items()} if all(entries) else {}


def _made_by(hashes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(role, hash) of each network of a manifest's entry."""
    for role, value in hashes.items():
        if role == "condition" and isinstance(value, dict):
            yield from ((f"condition network {name}", str(each)) for name, each in value.items())
        elif role != "condition_ancestors":
            yield role.replace("_", " "), str(value)
