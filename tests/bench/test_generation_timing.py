"""What a clip costs, on a tiny model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stgan import STGAN
from stgan.bench.generation_timing import NETWORKS, by_network, measure, record
from stgan.bench.parts import REST, PartTimer, TimedPart
from stgan.errors import StganError
from stgan.sampling import MOTION, PAPER, PIXELS, ROBUST, Action, SamplerSettings, clip_seed, sample
from stgan.scoring import find_evaluator
from stgan.studies.schedules import curve


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, "cpu")


@pytest.mark.parametrize("preset", [replace(MOTION, guided_below=None), ROBUST, PAPER], ids=lambda preset: preset.name)
def test_every_network_has_its_share_and_the_clips_stay_the_same(model: STGAN, preset: SamplerSettings) -> None:
    preset, steering = replace(preset, iterations=4, goal=1.0), model.steering()
    networks, ticks = steering.networks, iter(range(10**6))
    timer, action = PartTimer(lambda: next(ticks)), model.actions[0]
    seeds = [clip_seed(0, action, index) for index in range(2)]
    timed = sample(networks, Action(networks.condition, 0), seeds, preset, timer=timer)
    parts = by_network(timer.lap())
    assert list(parts) == [*NETWORKS, REST] and all(parts.values())
    plain = model.sample(steering, action, range(2), 0, preset)
    assert torch.equal(timed.videos, plain.videos) and torch.equal(timed.steps, plain.steps)


def test_the_parts_of_a_step_come_in_their_order(model: STGAN) -> None:
    """Prior, generator and condition networks forward, then backward the other way round, each until its input."""
    entered: list[TimedPart] = []

    class Noted(PartTimer):
        def enter(self, part: TimedPart) -> TimedPart:
            if not entered or entered[-1] != part:
                entered.append(part)
            return super().enter(part)

    networks, preset = model.steering(condition="c3d").networks, replace(ROBUST, iterations=1, goal=1.0)
    sample(networks, Action(networks.condition, 0), [1], preset, timer=Noted(lambda: 0.0))
    rest = (REST, "forward")
    forward = [each for name in NETWORKS for each in ((name, "forward"), rest)]
    backward = [each for name in reversed(NETWORKS) for each in ((name, "backward"), rest)]
    assert entered == [*forward, *backward, ("prior", "forward"), rest, *forward]


def test_the_record_of_a_model(model: STGAN) -> None:
    preset = replace(model.preset("robust"), iterations=2)
    seen: list[int] = []
    costs = [measure(model, preset, batch, actions=["left"], on_batch=lambda: seen.append(1)) for batch in (1, 3)]
    assert len(seen) == 2 and [cost.batch for cost in costs] == [1, 3]
    for cost in costs:
        assert cost.seconds == pytest.approx(sum(cost.parts.values())) and 0 < cost.outside_networks < 1
        assert 1 <= cost.steps <= 2
    assert costs[0].flops == pytest.approx(costs[1].flops, rel=0.05)  # of a clip, whatever its batch
    written = json.loads(json.dumps(record(costs, [], model, preset, 1e9)))
    assert list(written["batches"]) == ["1", "3"] and written["iterations"] == 2 and written["curve"] == []
    three = written["batches"]["3"]
    assert three["seconds_per_iteration"] == pytest.approx(three["seconds_per_clip"] / 2)
    assert three["seconds_at_floor"] == pytest.approx(costs[1].flops / 1e9)


def test_pixels_have_no_generator_to_spend_time_in(model: STGAN) -> None:
    cost = measure(model, replace(PIXELS, iterations=2), 1, actions=["left"])
    assert cost.parts["condition"] > max(cost.parts["generator"], cost.parts["prior"])


@pytest.mark.parametrize(("batch", "action", "sentence"), [(0, "left", "at least 1"), (1, "tea", "unknown action")])
def test_bad_requests(model: STGAN, batch: int, action: str, sentence: str) -> None:
    with pytest.raises(StganError, match=sentence):
        measure(model, ROBUST, batch, actions=[action])


def test_the_curve_scores_each_number_of_iterations(model: STGAN, tmp_path: Path) -> None:
    made: list[int] = []
    points = curve(
        model, ROBUST, find_evaluator("evaluator", model.folder), [1, 3], 2, 0, tmp_path,
        on_clip=lambda: made.append(1),
    )  # fmt: skip
    assert len(made) == 12 and [point.iterations for point in points] == [1, 3]
    for point in points:
        assert point.clips == 6 and point.seconds > 0 and 0 <= point.accuracy <= 1 <= point.inception_score
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001", "0003"]
    assert points[0] != points[1]
