"""The Python interface, on a tiny untrained model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stgan import STGAN
from stgan.checkpoints import CheckpointError, ModelFolder, find_model
from stgan.checkpoints.checkpoint import save_checkpoint
from stgan.errors import StganError
from stgan.networks import (
    LRCN,
    GeneratorConfig,
    ImageGenerator,
    MapCodec,
    MapPrior,
    MapPriorConfig,
    Preprocessing,
    inflate,
)
from stgan.sampling import MOTION, ROBUST


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.mark.parametrize("preset", ["motion", "robust", "paper"])
@pytest.mark.parametrize("condition", ["lrcn", "c3d", "both"])
def test_videos_have_the_promised_shape_and_range(model: STGAN, preset: str, condition: str) -> None:
    videos = model.generate("left", num_videos=2, preset=preset, condition=condition, iterations=2)
    assert videos.shape == (2, 3, 16, 16, 16)
    assert videos.min() >= 0 and videos.max() <= 1 and videos.std() > 0
    assert not torch.equal(videos[0], videos[1])


@pytest.mark.parametrize("preset", ["motion", "robust", "paper"])
def test_a_video_does_not_depend_on_its_batch_or_order(model: STGAN, preset: str) -> None:
    settings = model.preset(preset, 4)
    batch = model.sample(model.steering(), "grow", [2, 0, 1], 5, settings).videos
    alone = model.sample(model.steering(), "grow", [1], 5, settings).videos
    torch.testing.assert_close(batch[2:], alone, atol=1e-3, rtol=0)
    assert (batch[0] - batch[2]).abs().max() > 1e-2


def test_seed_and_number_decide_the_video(model: STGAN) -> None:
    first = model.generate("left", 2, seed=1, iterations=2)
    assert torch.equal(first, model.generate("left", 2, seed=1, iterations=2))
    torch.testing.assert_close(first[:1], model.generate("left", 1, seed=1, iterations=2), atol=1e-3, rtol=0)
    assert not torch.equal(first, model.generate("left", 2, seed=2, iterations=2))
    assert not torch.equal(first, model.generate("right", 2, seed=1, iterations=2))


def test_global_randomness_is_neither_used_nor_changed(model: STGAN) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = model.generate("left", iterations=2)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    assert torch.equal(first, model.generate("left", iterations=2))


def test_objective_rises(model: STGAN) -> None:
    values: list[float] = []
    model.generate(
        "right", iterations=30, preset="robust", condition="lrcn",
        on_iteration=lambda i, value, render: values.append(float(value[0])),
    )  # fmt: skip
    assert len(values) == 30
    assert sum(values[-5:]) > sum(values[:5])


def test_any_number_of_frames_under_lrcn_and_from_16_on_under_c3d(model: STGAN) -> None:
    assert model.generate("left", iterations=1, frames=5, condition="lrcn").shape[2] == 5
    assert model.generate("left", iterations=1, frames=1, condition="lrcn").shape[2] == 1
    assert model.generate("left", iterations=2, frames=41, condition="both").shape[2] == 41
    for condition in ("c3d", "both"):
        with pytest.raises(StganError, match="c3d condition network takes clips of at least 16 frames, not 15"):
            model.generate("left", iterations=1, frames=15, condition=condition)


@pytest.mark.parametrize(("preset", "code"), [("motion", (3, 4, 4)), ("robust", (3, 4, 4)), ("paper", (12,))])
def test_codes_are_maps_or_as_published_vectors(model: STGAN, preset: str, code: tuple[int, ...]) -> None:
    samples = model.sample(model.steering(), "left", [0], 0, model.preset(preset, 2))
    assert samples.codes is not None and samples.codes.shape == (1, 16, *code)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "fly"}, "grow, left, right"),
        ({"preset": "best"}, "motion, robust, spectral, paper"),
        ({"condition": "i3d"}, "lrcn, c3d and both"),
        ({"num_videos": 0}, "at least 1"),
        ({"num_videos": True}, "a whole number of at least 1"),
        ({"seed": 2**63}, "the seed must be a whole number"),
        ({"iterations": 0}, "at least 1"),
        ({"frames": 0}, "from 1 to 1024"),
        ({"frames": 1025}, "from 1 to 1024"),
        ({"target": "lstm"}, "either an action or a target"),
        ({"action": None}, "either an action or a target"),
        ({"action": None, "target": "lstm"}, "name which: lrcn or c3d"),
        ({"action": None, "target": "lstm", "condition": "c3d"}, "unknown layer 'lstm' of c3d; it has convolutions.0"),
        ({"init": torch.zeros(3, 4, 8, 8), "strength": 0.0}, "above 0 and at most 1, not 0"),
        ({"init": torch.zeros(3, 4, 8, 8), "strength": 1.5}, "above 0 and at most 1, not 1.5"),
        ({"init": torch.zeros(3, 0, 8, 8)}, "shape"),
        ({"init": torch.full((3, 4, 8, 8), torch.nan)}, "finite"),
    ],
)
def test_wrong_arguments_are_answered_with_one_sentence(model: STGAN, arguments: dict, message: str) -> None:
    with pytest.raises(StganError, match=message) as caught:
        model.generate(**{"action": "left", "iterations": 1, **arguments})
    assert "\n" not in str(caught.value)


NONSENSE = (5, -1, 0.5, True, "", [], [[]], {}, ["left", 5], {"left": 1}, object(), None)


@pytest.mark.usefixtures("unchecked")
def test_arguments_of_any_type_are_refused_with_one_sentence(model: STGAN, tiny_model: Path) -> None:
    """Or mean something: None and an empty list of actions are what is used without them."""
    steering, preset = model.steering(), model.preset("robust", 1)
    calls: dict[str, Callable[[Any], Any]] = {
        "model": STGAN.from_pretrained,
        "condition of from_pretrained": lambda value: STGAN.from_pretrained(tiny_model, condition=value),
        "device": lambda value: STGAN.from_pretrained(tiny_model, device=value),
        "action": lambda value: model.generate(value, iterations=1),
        "target": lambda value: model.generate(target=value, condition="lrcn", iterations=1),
        "preset": model.preset,
        "iterations": lambda value: model.preset("robust", value),
        "precision": lambda value: model.preset("robust", precision=value),
        "actions": model.steering,
        "condition": lambda value: model.steering(condition=value),
        "frames": lambda value: model.steering(frames=value),
        "layers": model.layers,
        "init": model.init,
        "strength": lambda value: model.init(torch.rand(3, 16, 16, 16), strength=value),
        "steering": lambda value: model.sample(value, "left", [0], 0, preset),
        "action of sample": lambda value: model.sample(steering, value, [0], 0, preset),
        "numbers": lambda value: model.sample(steering, "left", value, 0, preset),
        "seed": lambda value: model.sample(steering, "left", [0], value, preset),
        "preset of sample": lambda value: model.sample(steering, "left", [0], 0, value),
        "init of sample": lambda value: model.sample(steering, "left", [0], 0, preset, init=value),
        "on_iteration": lambda value: model.sample(steering, "left", [0], 0, preset, on_iteration=value),
    }
    used = set()
    for name, call in calls.items():
        for value in NONSENSE:
            try:
                call(value)
                used.add((name, repr(value)))
            except StganError as error:
                assert str(error).isprintable() and len(str(error)) < 400, (name, value)
    missing = {"condition of from_pretrained", "device", "preset", "iterations", "precision", "frames", "on_iteration"}
    assert used == {
        *((name, "None") for name in (*missing, "preset of sample", "init of sample")),
        *(("iterations", "5"), ("actions", "[]"), ("strength", "0.5"), ("strength", "True")),
        *(("seed", "5"), ("seed", "-1")),
    }


def test_parts_that_do_not_fit_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    values = json.loads((tiny_model / "model.json").read_text())
    for part in values["condition"]:
        (tmp_path / part).symlink_to(tiny_model / part)
    for part in ("encoder", "generator", "map_codec", "frame_prior", "clip_prior", "evaluator"):
        (tmp_path / part).symlink_to(tiny_model / part)
    for wrong in (
        {"generator": "encoder"},
        {"condition": {"lrcn": "encoder"}},
        {"actions": ["left", "right", "grow"]},
        {"map_codec": "missing"},
        {"frame_prior": "missing"},
        {"clip_prior": "missing"},
        {"clip_prior": "frame_prior"},
        {"frame_prior": "clip_prior"},
        {"frame_prior": "map_codec"},
        {"map_codec": "generator"},
        {"actions": ["/tmp/grow", "left", "right"]},
        {"actions": ["..", "left", "right"]},
        {"actions": ["left", "left", "right"]},
        {"evaluators": {"judge": "c3d"}},
    ):
        (tmp_path / "model.json").write_text(json.dumps({**values, **wrong}))
        with pytest.raises(CheckpointError):
            STGAN.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("role", "change", "actions", "message"),
    [
        ("clip_prior", {"num_classes": 2}, ("grow", "left"), "knows other actions"),
        ("clip_prior", {"num_classes": 4}, ("grow", "left", "right", "up"), "knows other actions"),
        ("clip_prior", {}, ("left", "grow", "right"), "knows other actions"),
        ("clip_prior", {}, (), "knows other actions"),
        ("clip_prior", {"channels": 2}, ("grow", "left", "right"), "is a prior of other maps than the codec's"),
        ("clip_prior", {"frames": 1}, ("grow", "left", "right"), "is a prior of 1 frames"),
        ("frame_prior", {"num_classes": 2}, ("grow", "left"), "knows other actions"),
        ("frame_prior", {"grid": 2}, ("grow", "left", "right"), "is a prior of other maps than the codec's"),
        ("frame_prior", {"frames": 2}, ("grow", "left", "right"), "is a prior of 2 frames"),
    ],
    ids=str,
)
def test_a_prior_of_other_maps_or_actions_is_refused(
    tiny_model: Path, tmp_path: Path, role: str, change: dict, actions: tuple[str, ...], message: str
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    frames = 1 if role == "frame_prior" else 16
    own = {"channels": 3, "grid": 4, "frames": frames, "num_classes": 3, "widths": (8,), "depth": 1, "embedding": 16}
    config = {**own, **change}
    save_checkpoint(tmp_path / "model" / role, MapPrior(MapPriorConfig(**config)), actions=actions)
    with pytest.raises(CheckpointError, match=message) as caught:
        STGAN.from_pretrained(tmp_path / "model", device="cpu")
    assert "\n" not in str(caught.value)


def test_an_encoder_of_other_codes_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    config = GeneratorConfig(code_size=11, hidden_size=16, base_channels=8, stages=((8, 8),))
    save_checkpoint(tmp_path / "model" / "generator", ImageGenerator(config))
    with pytest.raises(CheckpointError, match="encoder and generator differ in their code size"):
        STGAN.from_pretrained(tmp_path / "model", device="cpu")


def test_priors_of_maps_need_a_map_codec_for_frames_of_the_models_size(tiny_model: Path, tmp_path: Path) -> None:
    folder = find_model(shutil.copytree(tiny_model, tmp_path / "model"))
    with pytest.raises(CheckpointError, match="has priors, but no map codec"):
        STGAN(replace(folder, map_codec=None), "cpu")
    config = folder.load("map_codec").network.config
    larger = replace(config, encoder=replace(config.encoder, patch=4), generator=replace(config.generator, patch=4))  # type: ignore[type-var, union-attr]
    save_checkpoint(folder.path / "map_codec", MapCodec(larger))  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="is a prior of other maps than the codec's"):
        STGAN(folder, "cpu")


def test_a_model_without_a_clip_prior_falls_back_to_robust(model: STGAN, tiny_model: Path) -> None:
    former = STGAN(replace(find_model(tiny_model), clip_prior=None), "cpu")
    assert model.preset().name == "motion" and former.preset().name == "robust"
    assert model.preset(None, 7) == replace(MOTION, iterations=7)
    video = former.generate("left", iterations=2)
    assert torch.equal(video, former.generate("left", preset="robust", iterations=2))
    assert torch.equal(video, model.generate("left", preset="robust", iterations=2))
    assert not torch.equal(video, model.generate("left", iterations=2))
    with pytest.raises(StganError) as caught:
        former.generate("left", preset="motion", iterations=2)
    assert str(caught.value) == (
        "preset motion needs a clip prior, but tiny has only encoder, generator, map codec and frame prior; "
        "choose robust or spectral or paper or pixels"
    )
    with pytest.raises(StganError, match="needs a clip prior, but tiny has only"):
        former.sample(former.steering(), "left", [0], 0, MOTION)
    assert "clip_prior" in model.hashes(model.steering())
    assert "clip_prior" not in former.hashes(former.steering())


def test_a_model_without_maps_samples_as_published(model: STGAN, tiny_model: Path) -> None:
    bare = STGAN(replace(find_model(tiny_model), map_codec=None, frame_prior=None, clip_prior=None), "cpu")
    assert bare.preset().name == "paper"
    video = bare.generate("left", iterations=2)
    assert torch.equal(video, model.generate("left", preset="paper", iterations=2))
    assert bare.generate("left", iterations=2, init=video[0]).shape == video.shape
    with pytest.raises(StganError, match="needs a frame prior, but tiny has only encoder and generator; choose"):
        bare.generate("left", preset="robust", iterations=2)
    with pytest.raises(StganError, match="preset robust needs a frame prior, but"):
        bare.sample(bare.steering(), "left", [0], 0, ROBUST)
    assert not {"map_codec", "frame_prior", "clip_prior"} & bare.hashes(bare.steering()).keys()


def test_clips_are_what_a_network_that_crops_has_seen(tiny_model: Path, tmp_path: Path) -> None:
    """As LRCN crops 227 pixels out of the generator's 256."""
    folder = find_model(shutil.copytree(tiny_model, tmp_path / "model"))
    network = folder.load("lrcn").network
    pixels = Preprocessing(size=13, fit="crop")
    cropping = LRCN(replace(network.config, frame=replace(network.config.frame, preprocessing=pixels)))  # type: ignore[arg-type, union-attr]
    save_checkpoint(folder.path / "lrcn", cropping, actions=folder.actions)
    model = STGAN(folder)
    assert [model.steering(condition=name).side for name in ("lrcn", "c3d", "both")] == [13, 16, 16]
    rendered: list[torch.Tensor] = []
    samples = model.sample(
        model.steering(condition="lrcn"), "left", [0], 0, model.preset("paper", 2),
        on_iteration=lambda iteration, value, render: rendered.append(render()),
    )  # fmt: skip
    assert samples.videos.shape == rendered[0].shape == (1, 3, 16, 13, 13)
    assert torch.equal(samples.videos, rendered[-1])
    assert samples.codes is not None
    whole = inflate(model._network("generator"))(samples.codes).clamp(0, 1)
    assert torch.equal(samples.videos, whole[..., 1:14, 1:14])
    lrcn = model._network("lrcn")
    torch.testing.assert_close(lrcn.log_probabilities(whole), lrcn.log_probabilities(samples.videos))
    assert model.generate("left", preset="paper", iterations=2, condition="both").shape[-1] == 16


def test_the_frame_guidance_of_motion_is_the_models(tiny_model: Path) -> None:
    model = STGAN(replace(find_model(tiny_model), frame_guidance=0.5), "cpu")
    for preset in (model.preset(), model.preset("motion")):
        assert preset == replace(MOTION, prior=replace(MOTION.prior, frame_guidance=0.5))
    assert model.preset(MOTION) == MOTION and model.preset("robust") == ROBUST
    cold = replace(MOTION, iterations=2, step_size=0.0, prior=replace(MOTION.prior, temperature=0.0))
    one, other = model.generate("left", 2, preset=cold), model.generate("left", 2, seed=1, preset=cold)
    warm = model.generate("left", 2, preset=replace(cold, prior=MOTION.prior))
    assert not torch.equal(one, warm) and not torch.equal(one, other)  # the frame that is animated keeps its noise


def test_a_video_to_start_from_does_not_change_the_preset(model: STGAN) -> None:
    video = torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    chosen = model.generate("left", iterations=2, init=video)
    assert torch.equal(chosen, model.generate("left", preset="motion", iterations=2, init=video))
    assert torch.equal(
        chosen, model.sample(model.steering(), "left", [0], 0, model.preset("motion", 2), init=model.init(video)).videos
    )
    assert not torch.equal(chosen, model.generate("left", preset="robust", iterations=2, init=video))
    assert not torch.equal(chosen, model.generate("left", iterations=2))


def test_a_network_of_several_names_is_loaded_once(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    path = folder / "model.json"
    values = json.loads(path.read_text())
    values["condition"] = {f"c{number}": values["condition"]["lrcn"] for number in range(16)}
    path.write_text(json.dumps(values))
    loaded: list[str] = []
    load = ModelFolder.load

    def counted(self: ModelFolder, part: str, *device: object) -> object:
        loaded.append(part)
        return load(self, part, *device)  # type: ignore[arg-type]

    monkeypatch.setattr(ModelFolder, "load", counted)
    assert len(STGAN.from_pretrained(folder).folder.condition) == 16
    assert len(set(loaded)) == len(loaded)
