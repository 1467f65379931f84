"""Presets are plain data that refuse nonsense with a sentence."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import jaxtyping
import pytest

from stgan.errors import StganError
from stgan.sampling import PAPER, PIXELS, PRESETS, ROBUST, Preset


def test_paper_preset_is_as_published() -> None:
    assert PAPER.temporal_kernel == pytest.approx((1 / 3, 1 / 3, 1 / 3)) and PAPER.temporal_padding == "zeros"
    assert PAPER.iterations == 100 and PAPER.learning_rate == (1.0, 0.1) and PAPER.space == "codes"
    assert (PAPER.epsilon1, PAPER.epsilon2, PAPER.epsilon3) == (1e-5, 1.0, 1e-17)
    assert (PAPER.shift, PAPER.video_noise, PAPER.brightness) == (0, 0, 0)
    assert ROBUST.temporal_padding == "replicate"


def test_pixels_are_the_paper_without_its_generator() -> None:
    different = {name for name, value in asdict(PAPER).items() if asdict(PIXELS)[name] != value}
    assert different == {"name", "space", "epsilon1"}


def test_presets_are_found_by_their_names_and_survive_being_written_down() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name and Preset(**asdict(preset)) == preset


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the checks of types at run time: what a user meets, who has none."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": "images"},
        {"temporal_kernel": (0.5, 0.5)},
        {"temporal_kernel": (0.5, 0.2, 0.2)},
        {"temporal_padding": "mirror"},
        {"iterations": 0},
        {"noise_level": (3.0, 0.0)},
        {"noise_level": (0.1, 3.0)},
        {"noise_level": (float("inf"), 0.1)},
        {"goal": 0.0},
        {"own_noise": 1.5},
        {"proposals": 0},
        {"precision": "float8"},
    ],
)
def test_nonsense_is_refused_with_one_sentence(wrong: dict, unchecked: None) -> None:
    with pytest.raises(StganError) as caught:
        replace(ROBUST, **wrong)
    assert "\n" not in str(caught.value)
