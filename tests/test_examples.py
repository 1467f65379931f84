"""The examples do what they say, on clips made here."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stgan.networks import adapt
from stgan.video import write_video

EXAMPLES = Path(__file__).parent.parent / "examples"


class Corner(nn.Module):
    """Names a video by how red it is in the middle of its lower left quarter, and by nothing else."""

    def forward(self, videos: Tensor) -> Tensor:
        red = videos[:, 0, :, 40:56, 8:24].mean((1, 2, 3))
        return torch.stack([10 * red, torch.zeros_like(red)], 1)


def test_covering_costs_most_where_the_network_looks() -> None:
    example = runpy.run_path(str(EXAMPLES / "what_it_looks_at.py"))
    classifier = adapt(Corner(), ["red", "else"], size=64, frames=16, mean=0.0, std=1.0)
    video = torch.rand(3, 16, 64, 64, generator=torch.Generator().manual_seed(0)) / 2 + 0.5
    cost = example["cost_of_covering"](classifier, video, 0)
    assert cost.shape == (9, 9) and divmod(int(cost.argmax()), 9) == (7, 1)  # of middles from 8 to 56, 50 and 14
    assert cost[:4].abs().max() < 1e-5 and cost[:, 4:].abs().max() < 1e-5
    shown = example["shown"](video, cost)
    assert shown.shape == video.shape
    torch.testing.assert_close(shown[:, :, :24], 0.15 * video[:, :, :24])
    torch.testing.assert_close(example["shown"](video, -cost.abs()), 0.15 * video)


def test_a_picture_of_where_a_condition_network_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for action in ("bend", "chess"):
        (tmp_path / action).mkdir()
        write_video(tmp_path / action / "1.mp4", np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8))
    out = tmp_path / "map.png"

    def run(*clips: Path) -> None:
        monkeypatch.setattr(sys, "argv", ["what_it_looks_at.py", *map(str, clips), "--out", str(out)])
        runpy.run_path(str(EXAMPLES / "what_it_looks_at.py"), run_name="__main__")

    run(tmp_path / "bend" / "1.mp4")
    assert "bend" in capsys.readouterr().out
    with Image.open(out) as picture:
        assert picture.size[1] == 2 * (64 + 4)
    with pytest.raises(SystemExit):
        run(tmp_path / "chess" / "1.mp4")
    assert "named after none of the actions" in capsys.readouterr().err
