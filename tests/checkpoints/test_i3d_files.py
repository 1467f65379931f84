"""I3D from files as they go around, and from damaged and hostile ones: one sentence each, nothing run, nothing written.

The weights are random: what a file holds must come out of it, whatever it is.
"""

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stgan.checkpoints import CheckpointError, i3d_files
from stgan.checkpoints.checkpoint import load_checkpoint, save_checkpoint, weights_hash
from stgan.checkpoints.i3d_files import load_i3d
from stgan.files import sha256
from stgan.networks import I3D, I3DConfig, Preprocessing

pytestmark = pytest.mark.usefixtures("unchecked")

CLASSES = 7


@pytest.fixture(scope="module")
def network() -> I3D:
    torch.manual_seed(0)
    network = I3D(I3DConfig(num_classes=CLASSES))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith(("running_var", "bn.weight")):
                value.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


def in_port(network: I3D) -> dict[str, Tensor]:
    """The names of the port to PyTorch, from before batch normalization counted its batches."""
    return {name: value for name, value in network.state_dict().items() if "num_batches" not in name}


def in_a_wrapper(network: I3D, folder: Path) -> Path:
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 3, "optimizer": {"state": {}}, "state_dict": weights}, folder / "i3d.pth")
    return folder / "i3d.pth"


def as_safetensors(network: I3D, folder: Path) -> Path:
    save_file(in_port(network), folder / "i3d.safetensors")
    return folder / "i3d.safetensors"


def test_weights(network: I3D, tmp_path: Path) -> None:
    for write in (in_a_wrapper, as_safetensors):
        path = write(network, tmp_path)
        loaded = load_i3d(path)
        assert loaded.network.config == network.config and loaded.actions == () and not loaded.network.training
        found = loaded.network.state_dict()
        assert found.keys() == network.state_dict().keys()
        assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())
        assert loaded.hash == weights_hash(network.state_dict())
        assert loaded.provenance["file"] == path.name and len(loaded.provenance["sha256"]) == 64
    save_checkpoint(tmp_path, network, half=False)  # our own checkpoint is the same network
    own = load_checkpoint(tmp_path)
    assert own.network.config == network.config and own.hash == weights_hash(network.state_dict())


class Detector(nn.Module):
    """The interface of StyleGAN-V's detector around a trace, which has seen one clip of 10 frames of 224x224."""

    def __init__(self, trace: Any) -> None:
        super().__init__()
        self.trace = trace

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        if rescale or resize or not return_features:
            return torch.zeros(1)
        return torch.cat([self.trace(x[i : i + 1]) for i in range(x.shape[0])])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("frozen", [False, True])
def test_torchscript(tmp_path: Path, frozen: bool) -> None:
    """A small I3D as a script says what the network says, also where its weights have become constants."""
    torch.manual_seed(0)
    stages = (((2, 3, 4, 1, 2, 3),), ((2, 2, 3, 1, 1, 2),), ((1, 2, 3, 2, 2, 1),))
    network = I3D(I3DConfig(num_classes=CLASSES, stem=(4, 3, 6), stages=stages)).eval().requires_grad_(False)
    for kernel in (parameter for parameter in network.parameters() if parameter.ndim == 5):
        kernel *= 2  # or else random weights say much the same of everything
    without_pixels = I3D(replace(network.config, preprocessing=Preprocessing(size=224, fit="stretch"))).eval()
    without_pixels.load_state_dict(network.state_dict())
    trace = torch.jit.trace(without_pixels, torch.zeros(1, 3, 10, 224, 224), check_trace=False)
    script = torch.jit.script(Detector(trace)).eval()
    script = torch.jit.freeze(script) if frozen else script
    script.save(str(tmp_path / "i3d_torchscript.pt"))
    loaded = load_i3d(tmp_path / "i3d_torchscript.pt", trust_torchscript=True)
    videos = torch.rand(2, 3, 10, 20, 30, generator=torch.Generator().manual_seed(0))
    features, log_p = loaded.network.features_and_log_probabilities(videos)
    wanted, wanted_log_p = network.features_and_log_probabilities(videos)
    assert features.shape == (2, CLASSES) and loaded.network.config.num_classes == CLASSES
    assert (wanted[0] - wanted[1]).abs().max() > 1e-3
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(log_p, wanted_log_p, rtol=1e-4, atol=1e-5)
    assert loaded.hash == (loaded.provenance["sha256"] if frozen else weights_hash(script.state_dict()))


def refused(path: Path, trust: bool = False) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        load_i3d(path, trust_torchscript=trust)
    message = str(caught.value)
    assert "\n" not in message and path.name in message and len(message) < 1000
    return message


def outline() -> dict[str, Tensor]:
    """The names and shapes of all weights, in a file of a few kilobytes."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in in_port(I3D()).items()}
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def zeros(**changes: Any) -> dict[str, Tensor]:
    weights = {name: torch.zeros(value.shape) for name, value in outline().items()} | changes
    return {name: value for name, value in weights.items() if value is not None}


FIRST, LAST = "Conv3d_1a_7x7.conv3d.weight", "logits.conv3d.weight"


def test_other_weights(tmp_path: Path) -> None:
    for content, complaint in (
        (outline(), "more values than it has bytes"),
        (outline() | {LAST: torch.zeros(()).expand(10**9, 1024, 1, 1, 1)}, "more values than it has bytes"),
        (zeros(**{LAST: None}), "has no logits.conv3d.weight"),
        (zeros(**{LAST: torch.zeros(())}), "is no I3D"),
        (zeros(**{"Mixed_4c.b1b.bn.bias": None}), "'Mixed_4c.b1b.bn.bias' (missing in the file, (224,) expected)"),
        (zeros(**{"Mixed_9z.b0.bn.bias": torch.zeros(3)}), "'Mixed_9z.b0.bn.bias' ((3,) in the file, none expected)"),
        (zeros(**{FIRST: torch.zeros(64, 2, 7, 7, 7)}), "(64, 2, 7, 7, 7) in the file, (64, 3, 7, 7, 7) expected"),
        ({"conv1.weight": torch.zeros(3)}, "no tensor named Conv3d_1a_7x7.conv3d.weight"),
        ({"state_dict": {FIRST: "a word"}}, "no tensor named"),
        ({}, "no tensor named"),
        ([torch.zeros(3)], "no tensor named"),
        (torch.zeros(3), "no tensor named"),
        ("weights", "no tensor named"),
    ):
        torch.save(content, tmp_path / "i3d.pt")
        assert complaint in refused(tmp_path / "i3d.pt")


def test_weights_that_fit_and_do_not_work(network: I3D, tmp_path: Path) -> None:
    for damage, complaint in (
        (lambda weights: {name: torch.zeros_like(value) for name, value in weights.items()}, "are not trained"),
        (lambda weights: weights | {"Mixed_5c.b0.bn.bias": torch.full((384,), float("nan"))}, "not finite"),
        (
            lambda weights: weights | {"Mixed_5c.b0.bn.bias": torch.zeros(384, dtype=torch.int64)},
            "(missing in the file",
        ),
    ):
        torch.save(damage(in_port(network)), tmp_path / "i3d.pt")
        assert complaint in refused(tmp_path / "i3d.pt")


def test_garbage(tmp_path: Path) -> None:
    for content in (
        b"",
        b"PK",
        b"These are not weights.\n" * 99,
        b"PK\x03\x04" + b"\xff" * 500,
        pickle.dumps({FIRST: 1}),
        b"\0" * 99,
    ):
        for name in ("i3d.pt", "i3d.safetensors"):
            (tmp_path / name).write_bytes(content)
            refused(tmp_path / name)


def test_cut_off_files_folders_and_nothing(tmp_path: Path) -> None:
    torch.save(outline(), tmp_path / "whole.pt")
    (tmp_path / "i3d.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:-100])
    refused(tmp_path / "i3d.pt")
    (tmp_path / "folder.pt").mkdir()
    assert "there is no file" in refused(tmp_path / "folder.pt")
    assert "there is no file" in refused(tmp_path / "nothing.pt")
    with pytest.raises(CheckpointError, match="there is no file"):
        load_i3d(tmp_path / f"{'x' * 4000}.pt")


class Payload:
    """Unpickling it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


def test_no_code_is_run(tmp_path: Path) -> None:
    for dump in (pickle.dump, torch.save):
        with (tmp_path / "i3d.pt").open("wb") as file:
            dump({FIRST: torch.zeros(3), "more": Payload(tmp_path / "executed")}, file)
        complaint = refused(tmp_path / "i3d.pt")
        assert "more than tensors" in complaint and "could run code" in complaint
        assert not (tmp_path / "executed").exists()


def test_a_small_file_that_unpacks_to_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i3d_files, "MOST_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "i3d.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("i3d/data/0", bytes(1 << 21))
    assert (tmp_path / "i3d.pt").stat().st_size < 1 << 14
    assert "too large" in refused(tmp_path / "i3d.pt")


class Writes(nn.Module):
    """Loading it writes a file."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target
        self.training = False

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        return x.mean((2, 3, 4))

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.target, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.target, self.training = state
        torch.save(torch.zeros(1), self.target)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripts_are_not_loaded_unless_trusted(tmp_path: Path) -> None:
    torch.jit.script(Writes(str(tmp_path / "written"))).save(str(tmp_path / "i3d.pt"))
    (tmp_path / "written").unlink(missing_ok=True)
    message = refused(tmp_path / "i3d.pt")
    assert "SHA-256" in message and "--trust-torchscript" in message and not (tmp_path / "written").exists()
    load_i3d(tmp_path / "i3d.pt", trust_torchscript=True)
    assert (tmp_path / "written").exists()  # it does run code


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_published_scripts_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.jit.script(Constant()).save(str(tmp_path / "i3d.pt"))
    monkeypatch.setattr(i3d_files, "_PUBLISHED", {sha256(tmp_path / "i3d.pt")})
    assert "are not trained" in refused(tmp_path / "i3d.pt")


class Other(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3, 4))


class Scalar(nn.Module):
    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        return x.mean()


class Constant(nn.Module):
    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        return torch.ones(x.shape[0], 400)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_scripts(tmp_path: Path) -> None:
    for module, complaint in ((Other, "is no I3D"), (Scalar, "no logits"), (Constant, "are not trained")):
        torch.jit.script(module()).save(str(tmp_path / "i3d.pt"))
        assert complaint in refused(tmp_path / "i3d.pt", trust=True)
