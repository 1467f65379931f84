"""Classifiers of torchvision and of the hub by name: offline, from files that these libraries have saved."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stgan import STGAN
from stgan.checkpoints.named_classifiers import _as_names, classifiers_here, is_named_classifier, named_classifier
from stgan.checkpoints.own_classifier import load_own_classifier
from stgan.errors import StganError
from stgan.names import is_file_name
from stgan.scoring import as_evaluator

LABELS = ("massaging person's head", "pretending to put [something] on/under [something]", "juggling", "juggling")
SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32,
    "initializer_range": 0.2,
}  # fmt: skip


def saved(folder: Path, name: str = "VideoMAE", **changes: Any) -> Any:
    """A small network of transformers in a folder, as `save_pretrained` writes it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**SMALL, "id2label": dict(enumerate(LABELS)), **changes})
    network = getattr(transformers, f"{name}ForVideoClassification")(config).eval()
    network.save_pretrained(folder)
    return network


@pytest.mark.parametrize(("name", "frames"), [("VideoMAE", 16), ("Timesformer", 8), ("Vivit", 8)])
def test_a_network_of_transformers_by_its_folder(tmp_path: Path, name: str, frames: int) -> None:
    network = saved(tmp_path, name, num_frames=frames)
    mean, std = [0.4, 0.45, 0.5], [0.2, 0.25, 0.3]
    processor = {"image_processor_type": "VideoMAEImageProcessor", "image_mean": mean, "image_std": std}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    classifier = named_classifier(f"hf:{tmp_path}")
    assert classifier.config.frames == frames and classifier.config.preprocessing.size == 32
    assert classifier.actions == (
        LABELS[0], "pretending to put [something] on-under [something]", "juggling", "juggling 3"
    )  # fmt: skip
    videos = torch.rand(2, 3, frames, 32, 32, generator=torch.Generator().manual_seed(0))
    pixels = (videos - torch.tensor(mean).view(3, 1, 1, 1)) / torch.tensor(std).view(3, 1, 1, 1)
    with torch.no_grad():
        expected = network(pixels.transpose(1, 2)).logits.log_softmax(1)
        torch.testing.assert_close(classifier.log_probabilities(videos), expected, atol=1e-4, rtol=0)


def test_a_processor_of_vivit_shifts_its_pixels(tmp_path: Path) -> None:
    saved(tmp_path, "Vivit", num_frames=8)
    processor = {"image_processor_type": "VivitImageProcessor", "rescale_factor": 1 / 127.5, "image_mean": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**processor, "image_std": [0.5] * 3}))
    pixels = named_classifier(f"hf:{tmp_path}").config.preprocessing
    assert pixels.scale == pytest.approx(2) and pixels.mean == (1.5, 1.5, 1.5)


def test_it_steers_and_scores_by_its_name(tmp_path: Path, tiny_model: Path) -> None:
    saved(tmp_path, num_frames=16)
    checkpoint = load_own_classifier(f"hf:{tmp_path}")
    model = STGAN.from_pretrained(tiny_model, "cpu", checkpoint)
    assert model.preset().name == "spectral"
    assert model.generate("juggling", iterations=2).shape == (1, 3, 16, 32, 32)


def test_results_are_kept_by_the_config_and_not_by_the_weights_alone(tmp_path: Path) -> None:
    """With another number of heads, the same weights give other results."""
    for heads in (2, 4):
        saved(tmp_path / str(heads), num_attention_heads=heads)
    two, four = (as_evaluator(load_own_classifier(f"hf:{tmp_path}/{heads}"), "judge") for heads in (2, 4))
    assert two.hash == four.hash and two.identity != four.identity


def test_no_code_of_a_repository_runs(tmp_path: Path) -> None:
    """Neither that which its config names, nor that of a pickle among its weights."""
    pytest.importorskip("transformers")
    ran = tmp_path / "ran"
    remote = tmp_path / "remote"
    remote.mkdir()
    config = {"model_type": "mine", "auto_map": {"AutoModelForVideoClassification": "code.Net", "AutoConfig": "code.C"}}
    (remote / "config.json").write_text(json.dumps(config))
    (remote / "code.py").write_text(f"open({str(ran)!r}, 'w')")
    with pytest.raises(StganError, match="cannot be loaded"):
        named_classifier(f"hf:{remote}")
    pickled = tmp_path / "pickled"
    saved(pickled, num_frames=16)
    (pickled / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(ran), "w"))

    torch.save({"weight": Evil()}, pickled / "pytorch_model.bin")
    with pytest.raises(StganError, match="cannot be loaded"):
        named_classifier(f"hf:{pickled}")
    assert not ran.exists()
    attention = tmp_path / "attention"
    saved(attention, num_frames=16)
    config = json.loads((attention / "config.json").read_text())
    (attention / "config.json").write_text(json.dumps({**config, "attn_implementation": "someone/kernel"}))
    assert named_classifier(f"hf:{attention}").module.config._attn_implementation == "eager"


@pytest.mark.parametrize("wrong", [{"num_frames": 10**9}, {"image_size": 10**6}, {"num_frames": 0}])
def test_clips_that_no_memory_holds_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    saved(tmp_path, num_frames=16)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **wrong}))
    with pytest.raises(StganError, match="both are from 1 to 1024"):
        named_classifier(f"hf:{tmp_path}")


def test_names_of_classes_are_different_and_can_be_folders() -> None:
    names = _as_names(["a", "a 2", "a", "x" * 100, "x" * 100, "..", "a/b", "a-b"])
    assert len(set(names)) == 8 and names[:2] == ["a", "a 2"] and all(map(is_file_name, names))


def test_a_network_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.VideoMAEModel(transformers.VideoMAEConfig(**SMALL)).save_pretrained(tmp_path)
    with pytest.raises(StganError, match="lacks weights of a video classifier"):
        named_classifier(f"hf:{tmp_path}")


def test_a_network_of_torchvision_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.manual_seed(0)
    network = models.get_model("s3d", weights=None).eval()
    file = tmp_path / "hub" / "checkpoints" / models.get_model_weights("s3d").DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(network.state_dict(), file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    classifier = named_classifier("torchvision:s3d")
    assert len(classifier.actions) == 400 and "golf driving" in classifier.actions
    for name, value in network.state_dict().items():
        assert torch.equal(classifier.module.state_dict()[name], value)


def test_the_classifiers_on_this_machine_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert classifiers_here() == []
    weights = tmp_path / "torch" / "hub" / "checkpoints"
    weights.mkdir(parents=True)
    url = torchvision.models.video.R3D_18_Weights.DEFAULT.url
    (weights / url.rpartition("/")[2]).touch()
    for name, text in (
        ("clips", '{"architectures": ["VideoMAEForVideoClassification"]}'),
        ("images", '{"architectures": ["ViTForImageClassification"]}'),
        ("damaged", "{"),
        ("odd", '{"architectures": 3}'),
    ):
        folder = tmp_path / "hub" / f"models--org--{name}" / "snapshots" / ("0" * 40)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(text)
    assert classifiers_here() == ["torchvision:r3d_18", "hf:org/clips"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet18", "no video classifier 'resnet18'; it has .*r3d_18"),
        ("torchvision:", "no video classifier ''"),
        ("hf:", "cannot be loaded"),
        ("hf:no/such/repository", "cannot be loaded"),
    ],
)
def test_what_is_no_classifier_is_answered_with_one_sentence(name: str, message: str) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    assert is_named_classifier(name)
    with pytest.raises(StganError, match=message) as caught:
        named_classifier(name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


def test_a_library_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(StganError, match=r"pip install 'stgan\[transformers\]'"):
        named_classifier("hf:org/name")
