"""Presets are plain data that refuse nonsense with a sentence."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from stgan.errors import StganError
from stgan.records import as_plain, as_record
from stgan.sampling import MOTION, PAPER, PIXELS, PRESETS, ROBUST, SamplerSettings, Settings, Transforms


def test_paper_preset_is_as_published() -> None:
    assert PAPER.inflation is not None
    assert PAPER.inflation.kernel == pytest.approx((1 / 3, 1 / 3, 1 / 3)) and PAPER.inflation.padding == "zeros"
    assert PAPER.iterations == 100 and PAPER.learning_rate == (1.0, 0.1)
    assert (PAPER.epsilon1, PAPER.epsilon2, PAPER.epsilon3) == (1e-5, 1.0, 1e-17)
    assert PAPER.transforms == Transforms(0, 0.0, 0.0) and PAPER.goal == 1 and PAPER.regularization == 0


def test_pixels_are_the_paper_without_its_generator() -> None:
    different = {name for name, value in asdict(PAPER).items() if asdict(PIXELS)[name] != value}
    assert different == {"name", "inflation", "epsilon1"}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_found_by_their_names_and_survive_being_written_down(name: str) -> None:
    preset = PRESETS[name]
    assert name == preset.name
    assert as_record(Settings, as_plain(preset), "settings") == preset


def test_what_presets_need_of_a_model() -> None:
    assert {name: preset.needs for name, preset in PRESETS.items()} == {
        "motion": "clip_prior", "robust": "frame_prior", "spectral": None, "paper": None, "pixels": None,
    }  # fmt: skip
    assert {name for name, preset in PRESETS.items() if preset.conditional} == {"motion"}


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        *((PAPER, {"iterations": value}) for value in (0, 2.5, True)),
        *((ROBUST, {"patience": value}) for value in (0, -1, 1.5)),
        *((ROBUST, {"goal": value}) for value in (0.0, 1.5, NAN)),
        *((ROBUST, {"step_size": value}) for value in (-0.1, NAN, INF, "0.2")),
        *((ROBUST, {"noise_level": value}) for value in ((3.0, 0.0), (0.1, 3.0), (INF, 0.1), (NAN, 0.1))),
        *((ROBUST, {"noise_level": value}) for value in (None, 3.0, (3.0,), (3.0, 2.0, 1.0), ("a", "b"))),
        *((ROBUST, {"precision": value}) for value in ("float8",)),
        *((MOTION, {"guided_below": value}) for value in (-1.0, 0.0, 0.01, NAN)),
        (PAPER, {"learning_rate": (0.0, 0.0)}),
        (PAPER, {"epsilon2": 0.0}),
        *((PAPER, {"regularization": value}) for value in (-1.0, NAN)),
        *((PAPER, {"learning_rate": value}) for value in ((-1.0, 0.1), (1.0, NAN))),
        *((PAPER, {"learning_rate": value}) for value in (None, 1.0, (1.0,), (1.0, 0.5, 0.1), ())),
        *((PAPER, {"epsilon1": value}) for value in (-1.0, INF)),
        (PIXELS, {"epsilon1": 1e-5}),
        *((ROBUST.prior, {"own_noise": value}) for value in (-0.1, 1.5)),
        *((ROBUST.prior, {name: -1.0}) for name in ("own_noise_frames", "smooth_frames", "smooth_above")),
        *((ROBUST.prior, {"scene": value}) for value in (-1, 1.5)),
        *((MOTION.prior, {"temperature": value}) for value in (-0.1, 2.5, NAN)),
        *((MOTION.prior, {"proposals": value}) for value in (0, 1.5)),
        *((MOTION.prior, {name: value}) for name in ("guidance_scale", "frame_guidance") for value in (-1.0, NAN)),
        *((ROBUST.transforms, {"shift": value}) for value in (-1, 0.5, 5000)),
        *((ROBUST.transforms, {name: value}) for name in ("noise", "brightness") for value in (-0.1, NAN, 2.0)),
        *((ROBUST.inflation, {"kernel": value}) for value in ((0.5, 0.5), (0.5, 0.2, 0.2), (NAN,))),
        (ROBUST.inflation, {"padding": "mirror"}),
    ],
    ids=str,
)
def test_nonsense_is_refused_with_one_sentence(settings: Any, wrong: dict[str, Any], unchecked: None) -> None:
    with pytest.raises(StganError) as caught:
        replace(settings, **wrong)
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    settings: SamplerSettings = ROBUST
    with pytest.raises(AttributeError):
        settings.patience = 0  # type: ignore[misc]
