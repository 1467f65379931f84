"""I3D from a file of the user: weights in the naming of the port to PyTorch, or TorchScript.

Weights are data and cannot run code. TorchScript is a program, which can run forever and write files, also while it is
loaded. It is loaded only if it is a published file, by its SHA-256, or if the user explicitly trusts it.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stgan.archives import is_archive, open_archive
from stgan.checkpoints.checkpoint import Checkpoint, weights_hash
from stgan.checkpoints.description import CheckpointError, difference
from stgan.checkpoints.importing.layers import MOST_BYTES, Array
from stgan.checkpoints.importing.pytorch import read_safetensors, read_torch_file
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.errors import StganError, is_out_of_memory
from stgan.files import sha256
from stgan.names import one_line, quoted
from stgan.networks import I3D, I3DConfig
from stgan.networks.i3d import ScriptedI3D, ScriptedI3DConfig
from stgan.networks.layout import channels_last
from stgan.records import read_bounded

_FIRST, _LAST = "Conv3d_1a_7x7.conv3d.weight", "logits.conv3d.weight"
_PUBLISHED = {known.checksum.removeprefix("sha256:") for known in KNOWN_FILES if known.checksum.startswith("sha256:")}


def load_i3d(path: Path, device: torch.device | str = "cpu", *, trust_torchscript: bool = False) -> Checkpoint:
    """Load the I3D of a file, in eval mode: `I3D` or `ScriptedI3D`, without names of actions.

    path: .safetensors, or a file by torch.save (a state dict, also inside another dict or behind a prefix such as
          "module."), in the naming "Conv3d_1a_7x7.conv3d.weight", for any number of classes; or TorchScript.
          The provenance holds the file's name and SHA-256, by which well-known files are recognised.
    trust_torchscript: also load TorchScript that is no published file. Its code is run.

    Raises:
        CheckpointError: the file is missing, damaged, too large, not an I3D, TorchScript that is neither
            published nor trusted, or gives all clips the same features.
        StganError: there is not enough memory.
    """
    try:
        if not os.path.isfile(path):
            raise CheckpointError(f"there is no file {quoted(path)} with an I3D")
        scripted = _is_torchscript(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the way in which the file was saved
            checkpoint = _load_script(path, trust_torchscript) if scripted else _load_weights(path)
        _check_answers(checkpoint.network)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile, safetensors and TorchScript raise many types
        if is_out_of_memory(error):
            raise StganError(f"there is not enough memory to load {quoted(path)}; close other programs") from error
        reason = one_line(error, lines=1).rstrip(" .:")
        raise CheckpointError(f"{quoted(path)} is no I3D that can be used: {reason}") from error
    provenance = {"file": path.name, "sha256": sha256(path)}
    return replace(checkpoint, network=checkpoint.network.to(device), provenance=provenance)


def _load_weights(path: Path) -> Checkpoint:
    arrays = _unprefixed(read_safetensors(path) if path.suffix.lower() == ".safetensors" else read_torch_file(path))
    if not arrays:
        raise CheckpointError(f"{quoted(path)} holds no I3D: it has no tensor named {_FIRST}")
    shapes = {name: array.shape for name, array in arrays.items()}
    if _LAST not in shapes:
        raise CheckpointError(f"{quoted(path)} has no {_LAST}, which FVD needs; was its classifier cut off?")
    config = I3DConfig(num_classes=shapes[_LAST][0])
    with torch.device("meta"):
        network = I3D(config)
    counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked")}  # optional: training's
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items() if name not in counters}
    if wrong := difference({name: shapes[name] for name in shapes.keys() - counters}, wanted):
        raise CheckpointError(f"{quoted(path)} does not fit I3D: {wrong}")
    tensors = {name: arrays[name].read() for name in wanted}
    network.load_state_dict(tensors | {name: torch.tensor(0) for name in counters}, assign=True)
    return Checkpoint(channels_last(network.eval().requires_grad_(False)), hash=weights_hash(network.state_dict()))


def _unprefixed(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays with the prefix of the first layer's weights, named without it; empty if that layer is missing."""
    prefix = next((name[: -len(_FIRST)] for name in arrays if name.endswith(_FIRST)), None)
    if prefix is None:
        return {}
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _load_script(path: Path, trusted: bool) -> Checkpoint:
    content = read_bounded(path, MOST_BYTES)  # once, so that what is checked is what is loaded
    digest = hashlib.sha256(content).hexdigest()
    if not trusted and digest not in _PUBLISHED:
        raise CheckpointError(
            f"{quoted(path)} is TorchScript, which runs code, and by its SHA-256 no published file; if you trust its "
            "source, add --trust-torchscript to stgan evaluate (trust_torchscript=True in Python)"
        )
    script = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
    for parameter in script.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        pixels = torch.zeros(1, 3, ScriptedI3DConfig.min_frames, 224, 224)
        logits = script(pixels, rescale=False, resize=False, return_features=True)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ValueError("it gives no logits for a clip")
    state = script.state_dict()
    return Checkpoint(
        ScriptedI3D(script, ScriptedI3DConfig(num_classes=logits.shape[1])),
        # A frozen script keeps its weights among its constants, which cannot be read.
        hash=weights_hash(state) if state else digest,
    )


def _is_torchscript(path: Path) -> bool:
    """Whether a file is TorchScript. CheckpointError if it is too large; ValueError if it is an odd archive."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise CheckpointError(f"{quoted(path)} is too large to be an I3D ({size} bytes)")
    if not is_archive(path):
        return False
    with open_archive(path, MOST_BYTES) as archive:
        return any(name.lower().endswith("/constants.pkl") for name in archive.namelist())


@torch.no_grad()
def _check_answers(network: Any) -> None:
    """ValueError unless a grey clip and a gradient have different, finite features."""
    videos = torch.full((2, 3, network.config.min_frames, 224, 224), 0.5)
    videos[1] = torch.linspace(0, 1, 224)
    features, log_p = network.features_and_log_probabilities(videos)
    if not (features.isfinite().all() and log_p.isfinite().all()):
        raise ValueError("its weights lead to numbers that are not finite")
    if torch.equal(features[0], features[1]):
        raise ValueError("it gives different clips the same features, so its weights are not trained")
