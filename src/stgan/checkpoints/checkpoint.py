"""One network on disk: a folder of `config.json`, `model.safetensors` and `README.md` (the model card).

Nothing in the folder can run code. Memory is allocated only after the file's table of contents was found to fit the
architecture. Loading runs the network once, so that a loaded network works.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from stgan import networks
from stgan.checkpoints.description import (
    CARD,
    CONFIG,
    FORMAT,
    WEIGHTS,
    CheckpointConfig,
    CheckpointError,
    difference,
    hash_of_arrays,
    open_weights,
    read_config,
)
from stgan.checkpoints.trial import try_out
from stgan.errors import is_out_of_memory, on_out_of_memory
from stgan.files import replacing, write_text
from stgan.names import one_line, quoted
from stgan.records import checked, write_record

_LONGEST_NETWORK = 4096  # characters of a network's configuration; a longer one would have thousands of layers

# Accepted types in the file, by the type that the network computes in.
_STORED = {torch.float32: ("F16", "BF16", "F32", "F64"), torch.int64: ("I64",)}
_BAD_VALUES = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError, MemoryError)

NETWORKS: dict[str, tuple[type, type[nn.Module]]] = {
    "encoder": (networks.AlexNetConfig, networks.AlexNet),
    "efficientnet_lite": (networks.EfficientNetLiteConfig, networks.EfficientNetLite),
    "image_generator": (networks.GeneratorConfig, networks.ImageGenerator),
    "map_codec": (networks.MapCodecConfig, networks.MapCodec),
    "map_prior": (networks.MapPriorConfig, networks.MapPrior),
    "lrcn": (networks.LRCNConfig, networks.LRCN),
    "c3d": (networks.C3DConfig, networks.C3D),
    "r2plus1d": (networks.R2Plus1DConfig, networks.R2Plus1D),
    "tcn": (networks.TCNConfig, networks.TCN),
    "temporal_stream": (networks.TemporalStreamConfig, networks.TemporalStream),
    "i3d": (networks.I3DConfig, networks.I3D),
}
"""Configuration and class of each architecture, by its name in `config.json`."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded network (eval mode, float32) and its metadata.

    actions:    class names in the order of the outputs; empty for networks that are not classifiers.
    provenance: how it was trained: data, recipe, seed, time, results, and `ancestors`: name -> hash of the
                checkpoints it was initialised from or trained against.
    hash:       `weights_hash`, which identifies the network; saving it again does not change the hash.
    """

    network: nn.Module
    actions: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    hash: str = ""

    @property
    def ancestors(self) -> dict[str, str]:
        """Hashes of the networks that it was made from, by label. The file is not trusted: it may hold anything."""
        values = self.provenance.get("ancestors")
        return {str(label): str(value) for label, value in values.items()} if isinstance(values, dict) else {}


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    *,
    actions: tuple[str, ...] = (),
    provenance: Mapping[str, Any] | None = None,
    card: str = "",
    half: bool = True,
) -> None:
    """Write a network to `folder`: the files are replaced one by one, each atomically, weights first.

    half: store parameters in float16; buffers (statistics) stay in float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, stored_tensors(network, half))
    write_text(folder / CARD, card)
    write_record(folder / CONFIG, checkpoint_config(network, actions, provenance or {}))


def stored_tensors(network: nn.Module, half: bool) -> dict[str, Tensor]:
    """The weights to write, by name: parameters in float16 if `half`, buffers unchanged."""
    parameters = {key for key, _ in network.named_parameters()}
    return {
        key: (value.half() if half and key in parameters else value).contiguous().cpu()
        for key, value in network.state_dict().items()
    }


def checkpoint_config(network: nn.Module, actions: tuple[str, ...], provenance: Mapping[str, Any]) -> CheckpointConfig:
    """The `config.json` of a network."""
    config: Any = network.config
    return CheckpointConfig(FORMAT, config.network, config.to_dict(), actions, dict(provenance))


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file. CheckpointError if the disk has no room for it."""
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except SafetensorError as error:
        raise CheckpointError(f"cannot write {quoted(path)}: {one_line(error)}; make room there") from error


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        CheckpointError: a file is missing, damaged, of another version, or does not fit its architecture.
        StganError: there is not enough memory.
    """
    short = f"there is not enough memory to load {quoted(folder)}; close other programs, or use a smaller network"
    with on_out_of_memory(short):
        return _load(folder, device)


def _load(folder: Path, device: torch.device | str) -> Checkpoint:
    path = folder / CONFIG
    written = read_config(path)
    name = written.network
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise CheckpointError(f"{quoted(folder)} holds an unknown network {quoted(name)}; known are {known}")
    config_type, network_type = NETWORKS[name]
    try:
        if len(json.dumps(written.config)) > _LONGEST_NETWORK:
            raise ValueError("its config is too long")
        with torch.device("meta"):  # shapes only: a hostile config cannot allocate memory
            network = network_type(checked(config_type, written.config))
    except _BAD_VALUES as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(f"{quoted(path)} does not describe a {name}: {one_line(error)}") from error
    actions = written.actions
    if actions and len(actions) != getattr(network.config, "num_classes", 0):
        raise CheckpointError(f"{quoted(path)} names {len(actions)} actions, but its network has other classes")
    tensors = _read_tensors(folder / WEIGHTS, network.state_dict())
    network.load_state_dict(tensors, assign=True)
    network.eval().requires_grad_(False)
    try:
        try_out(network)
    except _BAD_VALUES as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(f"{quoted(folder)} is not a working {name}: {one_line(error)}") from error
    return Checkpoint(network.to(device), actions, written.provenance, weights_hash(tensors))


def _read_tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of a safetensors file, in the types that the network computes in."""
    with open_weights(path, "pt") as file:
        slices = {key: file.get_slice(key) for key in list(file.keys())}
        found = {key: tuple(part.get_shape()) for key, part in slices.items()}
        if wrong := difference(found, {key: tuple(value.shape) for key, value in expected.items()}):
            raise CheckpointError(f"{quoted(path)} does not fit its config: {wrong}")
        odd = [key for key, part in slices.items() if part.get_dtype() not in _STORED[expected[key].dtype]]
        if odd:
            raise CheckpointError(
                f"{quoted(path)} holds {odd[0]!r} as {slices[odd[0]].get_dtype()}, which is not one of "
                f"{', '.join(_STORED[expected[odd[0]].dtype])}"
            )
        tensors = {key: file.get_tensor(key).to(expected[key].dtype) for key in found}
    bad = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
    if bad:
        raise CheckpointError(f"{quoted(path)} has values that are not finite numbers, first in {bad[0]!r}")
    return tensors


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, shapes and values (rounded to half precision) of weights, hexadecimal.

    It depends on the weights, not on the file that holds them.
    """

    def rounded(value: Tensor) -> Tensor:
        value = value.detach().cpu()
        return value.half() if value.is_floating_point() else value

    return hash_of_arrays((name, rounded(weights[name]).contiguous().numpy()) for name in sorted(weights))
