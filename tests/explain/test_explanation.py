"""The record, the film and the picture of a clip, and the command, on a tiny model."""

import io
import json
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn
from typer.testing import CliRunner

from stgan.cli.commands import app
from stgan.cli.explain import show
from stgan.errors import StganError
from stgan.explain import RECORD, Explanation, SecondNetwork, read_explanation
from stgan.explain.explanation import Explainer, OverTime, Probability
from stgan.networks import adapt
from stgan.records import as_plain, as_record
from stgan.video import read_video, write_video

# Typer gives an option that was not named None, whatever its type.
pytestmark = pytest.mark.usefixtures("unchecked")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)], env={"COLUMNS": "200"})
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def clip(tiny_clips: Path) -> Path:
    return tiny_clips / "left" / "clip0.mp4"


@pytest.fixture(scope="module")
def explained(tiny_model: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("explained") / "new" / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        return out, run(clip, "--model", tiny_model, "--evaluator", "evaluator", "--out", out, "--device", "cpu")


def test_everything_is_written(explained: tuple[Path, str], clip: Path) -> None:
    out, printed = explained
    assert sorted(path.name for path in out.iterdir()) == ["explanation.json", "explanation.mp4", "explanation.png"]
    found = read_explanation(out)
    assert found.clip == clip.name and found.condition == "lrcn" and (found.frames, found.side) == (16, 16)
    assert len(found.top) == 3 and sum(each.probability for each in found.top) == pytest.approx(1, abs=1e-4)
    first, second = found.top[0].action, found.top[1].action
    assert found.change.to == second and found.change.before[0] == found.top[0]
    assert set(found.over_time.probabilities) == {first, second} and found.over_time.starts == (0, 4, 8)
    assert sum(found.change.over_time) == pytest.approx(1) and len(found.change.over_time) == 16
    assert found.change.flipped == (found.change.after[1].probability >= 0.5)
    assert found.looks and np.shape(found.looks.covering) == (4, 4, 4) == np.shape(found.looks.gradients)
    assert found.evaluator and found.evaluator.name == "evaluator" and found.evaluator.to_after is not None
    film = read_video(out / "explanation.mp4")
    assert film.frames.shape == (16, 20 + 160, 4 * 160, 3) and film.fps == 25
    with Image.open(out / "explanation.png") as picture:
        assert picture.height == 4 * (16 + 4)
    assert first in printed and "whole clip" in printed and "flipped" in printed and "evaluator says" in printed


class Brightness(nn.Module):
    """Logits are the mean brightness in red and green."""

    def forward(self, videos: Tensor) -> Tensor:
        return 5 * videos.mean((2, 3, 4))[:, :2]


def test_a_second_network_may_look_at_single_frames() -> None:
    network = adapt(Brightness(), ["red", "green"], size=8, frames=1, mean=0.0, std=1.0)
    video = torch.rand(3, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    each = [(5 * video[:2, t].mean((1, 2)).double()).log_softmax(0) for t in range(5)]
    said = SecondNetwork(network, "own", "", ("red", "green"), 16)(video)
    assert torch.allclose(said.double(), torch.stack(each).mean(0).softmax(0), atol=1e-6)


def test_tables_fit_a_terminal_of_80_columns(explained: tuple[Path, str]) -> None:
    """Long names are folded, and nothing is cut off."""
    found = read_explanation(explained[0])
    names = {"a" * 70: 0.5, "pretending to put [something] on-under [something] that is not there": 0.25}
    first, second = (Probability(name, share) for name, share in names.items())
    assert found.evaluator
    long = replace(
        found,
        clip="a clip with a long name of 58 letters, which ends with this.mp4",
        condition="torchvision:swin3d_b",
        top=(first, second),
        over_time=OverTime(tuple(range(0, 1000, 8)), 16, {name: (0.125,) * 125 for name in names}),
        change=replace(found.change, to=second.action, before=(first, second), after=(second, first), steps=40),
        evaluator=replace(found.evaluator, name="hf:MCG-NJU/videomae-base", before=first, after=second),
    )
    for explanations in ([long], [long, long]):
        console = Console(width=80, file=io.StringIO())
        show(console, explanations)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert all(len(line) <= 80 for line in text.splitlines()) and "…" not in text
        assert ("992-1007" in text) == (len(explanations) == 1)
        for words in ("flipped", "25% -> 50%", "(time, y, x)", "gradients agree", "pretending"):
            assert words in text
        assert text.count("a") >= 70 * 2


def test_the_record_is_read_as_it_was_written(explained: tuple[Path, str]) -> None:
    out, _ = explained
    found = read_explanation(out)
    assert as_record(Explanation, as_plain(found), "here") == found
    assert as_plain(found) == json.loads((out / RECORD).read_text())
    broken = as_plain(found) | {"steps": 1}
    with pytest.raises(StganError, match="unknown name"):
        as_record(Explanation, broken, "here")


def test_the_same_command_gives_the_same_record(
    explained: tuple[Path, str], tiny_model: Path, clip: Path, tmp_path: Path
) -> None:
    run(clip, "--model", tiny_model, "--evaluator", "evaluator", "--out", tmp_path, "--device", "cpu")
    for name in (RECORD, "explanation.mp4", "explanation.png"):
        assert (tmp_path / name).read_bytes() == (explained[0] / name).read_bytes()


def test_several_clips_and_a_picture(tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)).save(tmp_path / "photo.png")
    clips = (tiny_clips / "left" / "clip0.mp4", tiny_clips / "right" / "clip0.mp4", tmp_path / "photo.png")
    out = tmp_path / "out"
    printed = run(*clips, "--model", tiny_model, "--condition", "c3d", "--no-looks", "--out", out, "--device", "cpu")
    assert sorted(path.name for path in out.iterdir()) == ["clip0", "clip0_1", "photo"]
    assert printed.count("clip0.mp4") >= 2 and "whole clip" not in printed
    found = read_explanation(out / "photo")
    assert found.looks is None and found.evaluator is None
    assert read_video(out / "photo" / "explanation.mp4").frames.shape[2] == 3 * 160


def test_a_clip_that_cannot_be_explained_does_not_end_the_others(tiny_model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    options = ("--model", tiny_model, "--no-looks", "--iterations", 2, "--device", "cpu", "--out", tmp_path / "out")
    with pytest.raises(StganError, match=r"1 of 2 clips are not explained: .*broken\.mp4"):
        run(tmp_path / "broken.mp4", clip, *options)
    assert read_explanation(tmp_path / "out" / "clip0").clip == "clip0.mp4"


def test_the_action_to_change_to(tiny_model: Path, clip: Path, tmp_path: Path) -> None:
    base = (clip, "--model", tiny_model, "--no-looks", "--iterations", 2, "--device", "cpu", "--out", tmp_path)
    run(*base)
    first, _, last = (each.action for each in read_explanation(tmp_path).top)
    run(*base, "--to", last)
    assert read_explanation(tmp_path).change.to == last
    with pytest.raises(StganError, match=f"lrcn already says '{first}' of 'clip0.mp4'; name another --to"):
        run(*base, "--to", first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "chess"), "unknown action 'chess'"),
        (("--condition", "both"), "looks at one network"),
        (("--condition", "nothing"), "unknown condition"),
        (("--evaluator", "lrcn"), "is the network that is explained"),
        (("--evaluator", "nothing"), "nothing"),
        (("--frames", "0"), "--frames must be at least 1"),
        (("--frames", "8", "--condition", "c3d"), "takes clips of at least 16 frames"),
        (("--iterations", "0"), "--iterations must be at least 1"),
    ],
)
def test_wrong_options(tiny_model: Path, clip: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(StganError, match=message):
        run(clip, "--model", tiny_model, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_clips_and_folders_that_cannot_be_used(tiny_model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(StganError, match=r"notes\.mp4"):
        run(tmp_path / "notes.mp4", "--model", tiny_model, "--out", tmp_path / "out")
    with pytest.raises(StganError, match="is a file; name a folder"):
        run(clip, "--model", tiny_model, "--out", tmp_path / "notes.mp4")
    with pytest.raises(StganError, match="run stgan explain again"):
        read_explanation(tmp_path)


def test_your_own_classifier(tmp_path: Path) -> None:
    """It is shown frames of its own size. A second network of other actions says nothing of the first one's."""
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "from stgan.networks import adapt\n"
        "class Bright(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        mean = x.mean((1, 2, 3, 4))\n"
        "        return 20 * torch.stack([0.5 - mean, mean - 0.5], 1)\n"
        "def make():\n"
        "    return adapt(Bright(), ['dark', 'bright'], size=24, frames=6, mean=0.0, std=1.0)\n"
    )
    frames = np.random.default_rng(0).integers(0, 200, (30, 40, 48, 3), np.uint8)
    write_video(tmp_path / "dark.mp4", frames, 12)
    run(
        tmp_path / "dark.mp4", "--condition", f"{tmp_path}/mine.py:make", "--evaluator", "c3d", "--no-looks",
        "--out", tmp_path / "out", "--device", "cpu",
    )  # fmt: skip
    found = read_explanation(tmp_path / "out")
    assert (found.frames, found.side) == (16, 24) and found.over_time.frames == 6
    assert found.top[0].action == "dark" and found.change.to == "bright" and found.change.flipped
    assert found.evaluator and found.evaluator.to_before is None
    assert read_video(tmp_path / "out" / "explanation.mp4").fps == 12


def test_too_little_memory(clip: Path, tmp_path: Path) -> None:
    class Hungry:
        def log_probabilities(self, videos: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("not enough memory")

    explainer = Explainer(
        network=Hungry(), name="hungry", hash="", actions=("a", "b"), frames=16, side=16, device=torch.device("cpu")
    )
    with pytest.raises(StganError, match="ask for fewer with --frames"):
        replace(explainer, looks=False).explain(clip, tmp_path / "out")
