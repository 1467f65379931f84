"""A classifier of one's own in place of the model's: from Python, and by MODULE:FUNCTION on the command line."""

import json
import runpy
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from stgan import STGAN
from stgan.checkpoints.checkpoint import load_checkpoint, weights_hash
from stgan.cli.commands import app
from stgan.errors import StganError
from stgan.networks import VideoClassifier
from stgan.sampling import MOTION

OTHERS = ("swim", "climb")
SOURCE = """
import torch
from torch import nn
from stgan.networks import VideoClassifier

ACTIONS = ("grow", "left", "right")

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv3d(3, 3, 3)

    def forward(self, x):
        return self.layer(x).mean((2, 3, 4))

def make(actions=ACTIONS):
    return VideoClassifier(Net(), actions, size=16, frames=8, mean=0.5, std=0.25)

class Bytes(Net):
    def forward(self, x):
        return super().forward((x * 255).byte().float())

def features():
    return VideoClassifier(Bytes(), size=16, frames=8, mean=0.0, std=1.0)

def bare():
    return Net()

def raises():
    raise ValueError("the weights\\nare elsewhere")

def leaves():
    raise SystemExit(3)

def text():
    return "resnet"

number = 3
"""


class Net(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv3d(3, classes, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)).mean((2, 3, 4))


class Rounded(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.round())


def classifier(*actions: str, seed: int = 0, frames: int | None = 16) -> VideoClassifier:
    torch.manual_seed(seed)
    return VideoClassifier(Net(len(actions)), actions, size=16, frames=frames, mean=0.5, std=0.25)


@pytest.fixture(scope="module")
def others(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, "cpu", classifier(*OTHERS))


def test_its_classes_are_what_can_be_asked_for(others: STGAN) -> None:
    assert others.actions == OTHERS and list(others.steering().classifiers) == ["own"] and others.name == "tiny"
    videos = others.generate("climb", 2, iterations=3)
    assert videos.shape == (2, 3, 16, 16, 16) and not torch.equal(videos[0], videos[1])
    assert torch.equal(videos, others.generate("climb", 2, iterations=3, preset="spectral", condition="own"))
    with pytest.raises(StganError, match="unknown action 'left'; tiny has swim, climb"):
        others.generate("left")
    with pytest.raises(StganError, match="unknown condition 'lrcn'; tiny has own and both"):
        others.generate("swim", condition="lrcn")


def test_a_clip_does_not_depend_on_its_batch(others: STGAN) -> None:
    settings = others.preset(None, 4)
    batch = others.sample(others.steering(), "swim", [2, 0, 1], 5, settings).videos
    alone = others.sample(others.steering(), "swim", [1], 5, settings).videos
    torch.testing.assert_close(batch[2:], alone, atol=1e-3, rtol=0)


def test_a_clip_prior_that_does_not_know_the_actions_is_unconditional(others: STGAN, tiny_model: Path) -> None:
    assert others.preset().name == "spectral"
    for ask in (lambda: others.preset(MOTION), lambda: others.sample(others.steering(), "swim", [0], 0, MOTION)):
        with pytest.raises(StganError, match="knows other actions than the classifier; choose robust") as caught:
            ask()
        assert "\n" not in str(caught.value)
    unconditional = replace(MOTION.unconditional(), iterations=2)
    assert others.preset("motion", 2) == unconditional
    video = others.generate("swim", preset="motion", iterations=2)
    assert video.shape == (1, 3, 16, 16, 16) and torch.equal(video, others.generate("swim", preset=unconditional))
    turned = STGAN.from_pretrained(tiny_model, "cpu", classifier("left", "grow", "right"))
    assert turned.preset().name == "robust"
    same = STGAN.from_pretrained(tiny_model, "cpu", classifier("grow", "left", "right"))
    assert same.preset().name == "motion"
    assert torch.equal(same.generate("left", iterations=2), same.generate("left", preset=replace(MOTION, iterations=2)))


def test_several_steer_together_or_one_of_them(tiny_model: Path) -> None:
    pair = {"first": classifier(*OTHERS), "second": classifier(*OTHERS, seed=1)}
    model = STGAN.from_pretrained(tiny_model, "cpu", pair)
    assert list(model.steering().classifiers) == ["first", "second"]
    clips = [model.generate("swim", iterations=3, condition=name) for name in ("first", "second", "both")]
    assert not torch.equal(clips[0], clips[1]) and not torch.equal(clips[1], clips[2])
    hashes = model.hashes(model.steering())["condition"]
    assert hashes == {name: weights_hash(network.module.state_dict()) for name, network in pair.items()}
    assert list(model.hashes(model.steering(condition="second"))["condition"]) == ["second"]


def test_a_checkpoint_can_be_lent_from_elsewhere(tiny_model: Path) -> None:
    lent = load_checkpoint(tiny_model / "evaluator")
    model = STGAN.from_pretrained(tiny_model, "cpu", lent)
    assert model.generate("grow", iterations=2).shape == (1, 3, 16, 16, 16)
    assert model.hashes(model.steering())["condition"] == {"own": lent.hash}
    wrapped = VideoClassifier(lent.network, lent.actions, size=None, frames=16, mean=0.0, std=1.0)
    model = STGAN.from_pretrained(tiny_model, "cpu", wrapped)
    assert model.hashes(model.steering())["condition"] == {"own": lent.hash}


def test_of_hundreds_of_names_the_nearest_are_listed(tiny_model: Path) -> None:
    names = [f"action {number}" for number in range(400)]
    model = STGAN.from_pretrained(tiny_model, "cpu", classifier(*names))
    with pytest.raises(StganError, match="tiny has 400, of which the most similar are action 17,") as caught:
        model.generate("acton 17")
    assert len(str(caught.value)) < 200


def test_its_layers_can_be_a_target(others: STGAN) -> None:
    assert list(others.layers("own")) == ["module.layer", "module"]
    assert list(others.steering(target="module.layer:1").objectives) == ["own.module.layer_1"]
    settings = {"preset": "paper", "iterations": 2}
    clip = others.generate(target="module.layer:1,2,3,4", **settings)
    assert not torch.equal(clip, others.generate(target="module.layer:0,2,3,4", **settings))
    with pytest.raises(StganError, match="no channel 2"):
        others.generate(target="module.layer:2")


def test_longer_clips_are_looked_at_by_windows_and_shorter_ones_are_refused(tiny_model: Path) -> None:
    model = STGAN.from_pretrained(tiny_model, "cpu", classifier(*OTHERS, frames=24))
    with pytest.raises(StganError, match="own condition network takes clips of at least 24 frames, not 16; ask for as"):
        model.generate("swim", frames=16)
    assert model.generate("swim", iterations=1).shape[2] == 24
    assert model.generate("swim", iterations=1, frames=30).shape[2] == 30
    anything = STGAN.from_pretrained(tiny_model, "cpu", classifier(*OTHERS, frames=None))
    assert anything.generate("swim", iterations=1, frames=3).shape[2] == 3


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"both": classifier(*OTHERS)}, "cannot be called 'both'"),
        ({"a/b": classifier(*OTHERS)}, "cannot be named 'a/b'"),
        ({"a": classifier(*OTHERS), "b": classifier("swim", "run")}, "the same actions in the same order"),
        ({}, "names no network"),
        (nn.Conv3d(3, 3, 3), "size, frames, mean, std of a Conv3d are unknown"),
        (VideoClassifier(Net(2), size=16, frames=8, mean=0.5, std=0.25), "the class names of a Net are unknown"),
        (
            VideoClassifier(Rounded(2), OTHERS, size=16, frames=8, mean=0.5, std=0.25),
            "no gradient reaches the video from the output of Rounded",
        ),
    ],
    ids=["both", "slash", "actions", "none", "bare", "names", "gradient"],
)
def test_what_cannot_steer_is_one_sentence(tiny_model: Path, condition: Any, message: str) -> None:
    with pytest.raises(StganError, match=message) as caught:
        STGAN.from_pretrained(tiny_model, "cpu", condition)
    assert "\n" not in str(caught.value)


def test_a_network_that_is_no_classifier_is_refused(tiny_model: Path) -> None:
    with pytest.raises(StganError, match="AlexNet without named actions is no classifier"):
        STGAN.from_pretrained(tiny_model, "cpu", load_checkpoint(tiny_model / "encoder"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with somebody's classifier, in which the commands are called; what they import is forgotten again."""
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import no_such_library")
    (tmp_path / "wrong.py").write_text("def make(:")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    jaxtyping.config.update("jaxtyping_disable", True)
    yield tmp_path
    jaxtyping.config.update("jaxtyping_disable", False)
    for name in ("mine", "broken", "wrong", "stgan_own_classifier"):
        sys.modules.pop(name, None)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if result.exception:
        raise result.exception
    return result.output


def entries(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("spec", ["mine:make", "mine.py:make"])
def test_clips_on_the_command_line_and_who_steered_them(here: Path, tiny_model: Path, spec: str) -> None:
    arguments = ("generate", "left", "grow", "--model", tiny_model, "--iterations", 2, "--condition", spec)
    output = run(*arguments, "--num", 1, "--trace")
    assert "steered by own" in output and (here / "outputs" / "left" / "left_seed0_0000.trace.png").is_file()
    first, _ = entries(here / "outputs")
    assert (
        first["condition"] == "own" and first["preset"] == "motion" and len(first["hashes"]["condition"]["own"]) == 64
    )
    before = (here / "outputs" / first["file"]).stat().st_mtime_ns
    run(*arguments, "--num", 2, "--trace", "--resume")
    assert len(entries(here / "outputs")) == 4
    assert (here / "outputs" / first["file"]).stat().st_mtime_ns == before
    judged = ("evaluate", "outputs", "--model", tiny_model, "--json", "scores.json")
    with pytest.raises(StganError, match="steered these clips"):
        run(*judged, "--evaluator", spec)
    run(*judged, "--evaluator", spec, "--allow-fooled")
    fooled = json.loads((here / "scores.json").read_text())
    assert fooled["fooled"] is True and fooled["feature_size"] == 3 and fooled["steered_by"] == ["own"]
    run(*judged)
    assert json.loads((here / "scores.json").read_text())["fooled"] is False


WRAPPED = """

class Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.inner = module

    def forward(self, x):
        return self.inner((x - 0.5) / 0.25)

def adapted(module, **changes):
    return VideoClassifier(module, ACTIONS, **{"size": 16, "frames": 8, "mean": 0.5, "std": 0.25, **changes})

def parallel(): return adapted(nn.DataParallel(Net()))
def inside(): return adapted(Wrapper(Net()), mean=0.0, std=1.0)
def scripted(): return adapted(torch.jit.script(Net()))
def traced(): return adapted(torch.jit.trace(Net().eval(), torch.rand(1, 3, 8, 16, 16)))
def half(): return adapted(Net().bfloat16())
def other():
    net = Net()
    nn.init.normal_(net.layer.weight)
    return adapted(net)
def tuned():
    net = Net()
    nn.init.normal_(net.layer.weight)
    return adapted(nn.Sequential(nn.Conv3d(3, 3, 3, padding=1), Net()))
"""


@pytest.mark.parametrize("spec", ["parallel", "inside", "scripted", "traced", "half"])
def test_a_network_that_steered_in_a_wrapping_does_not_evaluate(here: Path, tiny_model: Path, spec: str) -> None:
    (here / "mine.py").write_text(SOURCE + WRAPPED)
    steered = ("generate", "left", "--model", tiny_model, "--iterations", 1, "--num", 1)
    judged = ("evaluate", "outputs", "--model", tiny_model, "--json", "scores.json")
    for steers, judges in ((spec, "make"), ("make", spec)):
        run(*steered, "--condition", f"mine.py:{steers}")
        with pytest.raises(StganError, match="steered these clips"):
            run(*judged, "--evaluator", f"mine.py:{judges}")
    run(*judged, "--evaluator", "mine.py:other")
    assert json.loads((here / "scores.json").read_text())["fooled"] is False
    with pytest.raises(StganError, match=r"mine.py:tuned shares weights with own, .* \(100% of those of the smaller"):
        run(*judged, "--evaluator", "mine.py:tuned")


def test_features_need_neither_actions_nor_a_gradient(
    here: Path, tiny_model: Path, tiny_clips: Path, tmp_path: Path
) -> None:
    """Clips of any actions are compared; the evaluator, which does not know them, gives no accuracy."""
    for action in ("left", "grow"):
        shutil.copytree(tiny_clips / action, tmp_path / "clips" / f"{action} in the dark")
    arguments = (tmp_path / "clips", "--real", tmp_path / "clips", "--model", tiny_model, "--json", tmp_path / "s.json")
    run("evaluate", *arguments, "--features", "mine.py:features")
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["feature_size"] == 3 and scores["frechet_video_distance"] is not None
    assert scores["accuracy"] is scores["inception_score"] is None and scores["evaluator"] == "evaluator"
    run("evaluate", *arguments, "--evaluator", "mine.py:features")
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["accuracy"] is scores["inception_score"] is None and scores["actions"] == []
    with pytest.raises(StganError, match="evaluator does not know the action"):
        run("evaluate", *arguments)
    with pytest.raises(StganError, match="the class names of a Bytes are unknown"):
        run("generate", "left", "--model", tiny_model, "--condition", "mine.py:features")


def test_other_weights_are_no_way_to_go_on(here: Path, tiny_model: Path) -> None:
    arguments = ("generate", "left", "--model", tiny_model, "--iterations", 1, "--condition", "mine.py:make")
    run(*arguments, "--num", 1)
    (here / "mine.py").write_text(SOURCE.replace("manual_seed(0)", "manual_seed(1)"))
    with pytest.raises(StganError, match=r"cannot resume: .* was made with hashes.condition.own"):
        run(*arguments, "--num", 2, "--resume")


def test_the_example_trains_a_network_that_steers(
    here: Path, tiny_model: Path, tiny_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed: pip install 'stgan[torchvision]'")
    example = Path(__file__).parent.parent / "examples" / "own_classifier.py"
    monkeypatch.setattr(sys, "argv", [str(example), str(tiny_clips), "--steps", "2"])
    runpy.run_path(str(example), run_name="__main__")
    run("generate", "grow", "--model", tiny_model, "--iterations", 1, "--num", 1, "--condition", f"{example}:make")
    saved = torch.load("own_classifier.pt", weights_only=True)
    assert saved["actions"] == ["grow", "left", "right"]
    assert entries(here / "outputs")[0]["hashes"]["condition"] == {"own": weights_hash(saved["weights"])}


def test_a_target_on_the_command_line(here: Path, tiny_model: Path) -> None:
    run(
        "generate", "--model", tiny_model, "--iterations", 1, "--num", 1, "--condition", "mine.py:make",
        "--target", "module.layer:1",
    )  # fmt: skip
    assert entries(here / "outputs")[0]["action"] == "own.module.layer_1"


def test_its_layers_are_listed(here: Path, tiny_model: Path) -> None:
    output = run("info", tiny_model, "--layers", "--condition", "mine.py:make")
    assert "--condition mine.py:make" in output and "module.layer:2,5,13,13" in output and "lstm" not in output
    with pytest.raises(StganError, match="--condition has no effect without --layers"):
        run("info", tiny_model, "--condition", "mine.py:make")


@pytest.mark.parametrize("command", ["generate", "evaluate"])
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere:make", "there is no module 'nowhere' here or among the installed ones"),
        ("mine.nowhere:make", "there is no module 'mine.nowhere'|'mine' is not a package"),
        ("nowhere.py:make", "there is no file 'nowhere.py'"),
        ("broken:make", "'broken' cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"),
        ("broken.py:make", "cannot be imported: ModuleNotFoundError"),
        ("wrong.py:make", "cannot be imported: SyntaxError"),
        ("mine:nothing", "'mine' has no function 'nothing'"),
        ("mine:number", "'mine' has no function 'number'"),
        ("mine:raises", "'mine:raises' raised ValueError: the weights are elsewhere"),
        ("mine:leaves", "'mine:leaves' raised SystemExit"),
        ("mine:text", "'mine:text' returned a str; it has to return your classifier"),
        ("mine:bare", "size, frames, mean, std of a Net are unknown"),
    ],
)
def test_mistakes(here: Path, tiny_model: Path, tiny_clips: Path, command: str, spec: str, message: str) -> None:
    arguments = ("left", "--condition", spec) if command == "generate" else (tiny_clips, "--evaluator", spec)
    with pytest.raises(StganError, match=message) as caught:
        run(command, *arguments, "--model", tiny_model)
    assert "\n" not in str(caught.value) and not (here / "outputs").exists()
