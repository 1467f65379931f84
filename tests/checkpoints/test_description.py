"""What is known of a checkpoint without loading it is what is known of the loaded one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stgan.checkpoints import CheckpointError, find_model, load_checkpoint, save_checkpoint
from stgan.checkpoints.description import describe_checkpoint


@pytest.mark.parametrize("model", ["weizmann", "jhmdb"])
def test_descriptions_of_bundled_networks_are_those_of_the_loaded_ones(model: str) -> None:
    folder = find_model(model)
    for part in folder.parts:
        described, loaded = folder.describe(part), folder.load(part)
        assert described.hash == loaded.hash and described.provenance == loaded.provenance
        assert described.network == loaded.network.config.network
        assert described.parameters == sum(each.numel() for each in loaded.network.parameters())


@pytest.mark.parametrize("half", [False, True])
def test_parameters_are_told_from_statistics_however_they_are_stored(
    half: bool, tiny_model: Path, tmp_path: Path
) -> None:
    for part in find_model(tiny_model).parts:
        network = load_checkpoint(tiny_model / part).network
        save_checkpoint(tmp_path / part, network, half=half)
        described, loaded = describe_checkpoint(tmp_path / part), load_checkpoint(tmp_path / part)
        assert described.parameters == sum(each.numel() for each in network.parameters())
        assert described.hash == loaded.hash


@pytest.mark.parametrize(("dtype", "known"), [(torch.float64, True), (torch.bfloat16, False)])
def test_hashes_of_unusual_types(dtype: torch.dtype, known: bool, tiny_model: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(tiny_model / "generator")
    save_checkpoint(tmp_path, loaded.network, half=False)
    path = tmp_path / "model.safetensors"
    tensors = {name: value.double() + 1e-9 for name, value in load_file(path).items()}
    save_file({name: value.to(dtype) for name, value in tensors.items()}, path)
    described = describe_checkpoint(tmp_path)
    assert described.hash == (load_checkpoint(tmp_path).hash if known else None)


def test_damaged_files_are_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, load_checkpoint(tiny_model / "generator").network)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:4], b"", b"\xff" * 16, (1 << 40).to_bytes(8, "little") + whole[8:]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is not a readable safetensors file") as caught:
            describe_checkpoint(tmp_path)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(CheckpointError, match="weights are missing"):
        describe_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps([]))
    with pytest.raises(CheckpointError, match="must hold names and values"):
        describe_checkpoint(tmp_path)
