"""Import of published files as a checkpoint, whose provenance describes the files."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch

from stgan.checkpoints.checkpoint import NETWORKS, Checkpoint, weights_hash
from stgan.checkpoints.description import CheckpointError, check_actions, difference
from stgan.checkpoints.importing.c3d_files import MOST_MEAN, PROTOCOLS, Pads, c3d
from stgan.checkpoints.importing.caffe import read_binaryproto, read_caffemodel
from stgan.checkpoints.importing.efficientnet_files import STEM, efficientnet_lite
from stgan.checkpoints.importing.file_formats import FORMATS, Format, recognise
from stgan.checkpoints.importing.image_networks import alexnet, caffenet, generator, lrcn
from stgan.checkpoints.importing.layers import MOST_BYTES, Array, FileLayer, shown
from stgan.checkpoints.importing.numpy_files import chainer_layers, read_npy, read_npz
from stgan.checkpoints.importing.pytorch import layers_by_name, read_safetensors, read_torch_file
from stgan.checkpoints.importing.tensorflow_checkpoints import checkpoint_files, read_variables, tensorflow_layers
from stgan.checkpoints.trial import try_out
from stgan.errors import StganError, is_out_of_memory
from stgan.files import sha256
from stgan.names import one_line, quoted
from stgan.video.ucf101_names import CLASSES

KINDS: dict[str, tuple[Format, ...]] = {
    "generator": ("caffemodel",),
    "encoder": ("caffemodel", "torch", "safetensors"),
    "lrcn": ("caffemodel",),
    "c3d": ("caffemodel", "npz", "tensorflow", "torch", "safetensors"),
}
"""Networks that can be imported, and the formats of their weights."""

POOL5 = ("channels-first", "channels-last")
"""Orders in which the fc6 of a TensorFlow C3D may read pool5."""

_CHANNELS_LAST_FILES = ("conv3d_deepnetA_sport1m_iter_1900000_TF", "c3d_ucf101_finetune_whole_iter_20000_TF")
"""The files of C3D-tensorflow that its README and its users load without transposing pool5."""

_PROTOCOL: dict[Format, str] = {"caffemodel": "caffe", "npz": "tgan", "tensorflow": "tensorflow"}
_PORTS: Pads = (True, False)  # paddings before the last pooling in ports to PyTorch
_ROUND_UP: Pads = ("after", False)  # and in the other programs


def import_weights(
    kind: str,
    files: Sequence[Path],
    *,
    actions: tuple[str, ...] | None = None,
    protocol: str | None = None,
    pool5: str | None = None,
    watch: Callable[[str], None] = lambda step: None,
) -> Checkpoint:
    """Import a network from files of other programs, in eval mode and float32, and run it once.

    Args:
        kind:     one of `KINDS`.
        files:    one file of weights (for a TensorFlow checkpoint its prefix), and the file of the mean volume of a C3D
                  whose protocol subtracts one, in any order.
        actions:  names of the classes in the order of the outputs; default: UCF-101's for 101 classes, else none.
        protocol: how frames are prepared for a C3D, one of `PROTOCOLS`; default: the format's own.
        pool5:    one of `POOL5`, for a C3D in TensorFlow; default: that of the known file of this name.
        watch:    called with a description of each step.

    Raises:
        CheckpointError: a file is missing, damaged, too large or of another kind, or an option does not fit it.
        StganError: there is not enough memory.
    """
    if kind not in KINDS:
        raise CheckpointError(f"{quoted(kind)} cannot be imported; networks that can are {', '.join(KINDS)}")
    _check_option("protocol", protocol, PROTOCOLS, kind)
    _check_option("pool5", pool5, POOL5, kind)
    watch("recognising the files")
    weights, mean = _sort(kind, files)
    format = recognise(weights)
    if format not in KINDS[kind]:
        known = "; ".join(FORMATS[each] for each in KINDS[kind])
        raise CheckpointError(f"{quoted(weights)} is of {FORMATS[format]}, but a {kind} is imported from: {known}")
    if pool5 and format != "tensorflow":
        raise CheckpointError(f"pool5 is for TensorFlow's C3D only; {quoted(weights)} is of {FORMATS[format]}")
    notes: dict[str, Any] = {"kind": kind}
    try:
        watch(f"reading {weights.name}")
        if format == "tensorflow":
            notes["pool5"] = pool5 or POOL5[weights.name.startswith(_CHANNELS_LAST_FILES)]
        layers = _layers(weights, format, notes.get("pool5", ""))
        if any(0 in array.shape for layer in layers for array in layer.arrays):
            raise ValueError("it has empty arrays")
        if kind == "c3d":
            notes["protocol"] = protocol or _PROTOCOL.get(format) or _port(layers)
            pads = _PORTS if format in ("torch", "safetensors") else _ROUND_UP
            volume = _read_mean(mean) if mean else None
            config, arrays = c3d(layers, PROTOCOLS[notes["protocol"]], pads, volume)
        else:
            read = _IMAGE_NETWORKS[kind, format]
            if read is alexnet and any(layer.name == STEM for layer in layers):
                read = efficientnet_lite
            config, arrays, notes["left out"] = read(layers)
        watch(f"building and running a {config.network} of {sum(prod(a.shape) for a in arrays.values()):,} values")
        network = _assemble(config, arrays)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile, safetensors and torch raise many types
        if is_out_of_memory(error):
            raise StganError(f"there is not enough memory to import {quoted(weights)}; close other programs") from error
        reason = one_line(error, lines=1).rstrip(" .:")
        raise CheckpointError(f"{quoted(weights)} cannot be imported as a {kind}: {reason}") from error
    actions = _actions(actions, getattr(config, "num_classes", 0), weights)
    watch("hashing")
    sources = checkpoint_files(weights) if format == "tensorflow" else [weights]
    notes["files"] = [_described(file) for file in (*sources, *([mean] if mean else []))]
    notes["layers"] = [str(layer) for layer in layers]
    notes["preprocessing"] = getattr(config, "frame", config).preprocessing.in_words()
    return Checkpoint(network, actions, {"imported": notes}, weights_hash(network.state_dict()))


def import_card(name: str, checkpoint: Checkpoint) -> str:
    """The model card of a checkpoint that `import_weights` made."""
    notes = checkpoint.provenance["imported"]
    parameters = sum(parameter.numel() for parameter in checkpoint.network.parameters())
    rows = [
        (file["name"], f"{file['format']}, {file['bytes']:,} bytes, SHA-256 {file['sha256']}")
        for file in notes["files"]
    ]
    rows += [
        ("network", f"{checkpoint.network.config.network}, {parameters:,} parameters"),  # type: ignore[union-attr]
        ("pixels", notes["preprocessing"]),
        *((label, notes[label]) for label in ("protocol", "pool5") if label in notes),
        (
            "classes",
            f"{len(checkpoint.actions)}: {', '.join(checkpoint.actions)}" if checkpoint.actions else "no names",
        ),
        ("layers", ", ".join(notes["layers"])),
        *((label, ", ".join(notes[label])) for label in ("left out",) if notes.get(label)),
    ]
    table = "".join(f"| {label} | {value} |\n" for label, value in rows)
    return (
        f"# {name}\n\nImported, not trained here, from the files below; their licences and their authors' conditions "
        f"apply. `stgan weights import {notes['kind']}` made it; its hash is {checkpoint.hash}.\n\n"
        f"| | |\n|---|---|\n{table}"
    )


_IMAGE_NETWORKS: Mapping[
    tuple[str, Format], Callable[[Sequence[FileLayer]], tuple[Any, dict[str, Array], list[str]]]
] = {
    ("generator", "caffemodel"): generator,
    ("encoder", "caffemodel"): caffenet,
    ("encoder", "torch"): alexnet,
    ("encoder", "safetensors"): alexnet,
    ("lrcn", "caffemodel"): lrcn,
}


def _check_option(name: str, value: str | None, known: Sequence[str] | Mapping[str, Any], kind: str) -> None:
    if value is None:
        return
    if kind != "c3d":
        raise CheckpointError(f"{name} is for C3D only; leave it out for a {kind}")
    if value not in known:
        raise CheckpointError(f"{name} must be one of {', '.join(known)}, not {quoted(value)}")


def _sort(kind: str, files: Sequence[Path]) -> tuple[Path, Path | None]:
    """The file of weights, and the file of a mean if there is one."""
    means = [file for file in files if _is_mean(file)]
    weights = [file for file in files if file not in means]
    if len(weights) != 1 or len(means) > 1:
        raise CheckpointError(
            f"one file of weights is imported at a time, with at most one of a mean; {len(weights)} and {len(means)} "
            "were given"
        )
    if means and kind != "c3d":
        raise CheckpointError(f"{quoted(means[0])} is a mean, which only a C3D has; leave it out")
    return weights[0], means[0] if means else None


def _is_mean(path: Path) -> bool:
    format = recognise(path)
    try:
        return format in ("npy", "binaryproto") or (format == "npz" and list(read_npz(path)) == ["mean"])
    except Exception:  # a damaged archive; the error is reported where it is read
        return False


def _read_mean(path: Path) -> Array:
    read = {"npy": read_npy, "binaryproto": read_binaryproto}.get(recognise(path), lambda path: read_npz(path)["mean"])
    try:
        array = read(path)
        if prod(array.shape) > MOST_MEAN:
            raise ValueError(f"it has {shown(array.shape)} values, more than any mean volume")
        if array.read().isfinite().all():
            return array
        raise ValueError("it has values that are not finite")
    except Exception as error:  # as for weights
        if is_out_of_memory(error):
            raise
        raise CheckpointError(f"{quoted(path)} is not a usable mean: {one_line(error, lines=1)}") from error


def _layers(path: Path, format: Format, pool5: str) -> list[FileLayer]:
    if format == "caffemodel":
        return read_caffemodel(path)
    if format == "npz":
        return chainer_layers(read_npz(path))
    if format == "tensorflow":
        return tensorflow_layers(read_variables(path), pool5)
    return layers_by_name(read_torch_file(path) if format == "torch" else read_safetensors(path))


def _port(layers: Sequence[FileLayer]) -> str:
    """The protocol of a port to PyTorch, by its names of layers."""
    return "mmaction" if any(layer.name.startswith(("backbone.", "cls_head.")) for layer in layers) else "jfzhang95"


def _assemble(config: Any, arrays: Mapping[str, Array]) -> Any:
    """Build a network with these weights and run it. ValueError if that fails, or shapes do not fit."""
    with torch.device("meta"):  # shapes only
        network = NETWORKS[config.network][1](config)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if wrong := difference({name: arrays[name].shape for name in arrays.keys() & expected.keys()}, expected):
        raise ValueError(f"its layers do not fit each other: {wrong}")
    if 4 * sum(prod(shape) for shape in expected.values()) > MOST_BYTES:
        raise ValueError(f"it would take more than {MOST_BYTES} bytes")
    tensors = {name: arrays[name].read() for name in expected}
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise ValueError(f"it has values that are not finite numbers, first in {bad[0]}")
    network.load_state_dict(tensors, assign=True)
    network.eval().requires_grad_(False)
    try_out(network)
    return network


def _actions(actions: tuple[str, ...] | None, classes: int, path: Path) -> tuple[str, ...]:
    if actions is None:
        return CLASSES if classes == len(CLASSES) else ()
    if not classes:
        raise CheckpointError(f"{quoted(path)} is not a classifier, so it has no classes to name")
    if len(actions) != classes:
        raise CheckpointError(f"there are {len(actions)} names of classes, but {quoted(path)} has {classes} outputs")
    check_actions(actions, path)
    return actions


def _described(path: Path) -> dict[str, Any]:
    return {
        "name": path.name,
        "format": FORMATS[recognise(path)],
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
    }
