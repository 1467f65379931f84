"""Which clips a page shows, and the figures about them."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stgan.report.diagram import HEIGHT, WIDTH, method_diagram
from stgan.report.figures import draw_confusion, draw_per_action
from stgan.report.shown import MOST_CLIPS, Shown, by_action, extremes, failures, first_of_each
from stgan.scoring import Clip, ClipScores, PixelScores


def shown(number: int, action: str = "walk", steered_to: float = 0.5, **verdict: Any) -> Shown:
    name = f"{action}/{number:04d}.mp4"
    nothing = {"probability": None, "contribution": 0.0, "motion": 0.0, "flicker": 0.0, "frozen": 0.0}
    values = {"sha256": None, "action": action, "named": "walk", "appearance_drift": 0.0, **nothing, **verdict}
    return Shown(Clip(Path(name), name), action, {"probability": steered_to}, ClipScores(file=name, **values))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=120))
def test_the_first_clips_of_each_action_are_shown(counts: list[int]) -> None:
    clips = [shown(i, f"a{number}") for number, count in enumerate(counts) for i in range(count)]
    actions = by_action(clips)
    chosen, rule = first_of_each(actions)
    assert sum(map(len, chosen.values())) <= MOST_CLIPS and len(chosen) == min(len(counts), MOST_CLIPS)
    for action, found in chosen.items():
        assert found == actions[action][: len(found)] and 1 <= len(found) <= 4
    everything = sum(map(len, chosen.values())) == len(clips)
    assert rule.startswith("All") == everything


def test_actions_come_in_the_order_of_the_evaluator() -> None:
    clips = [shown(0, "run"), shown(0, "bend"), shown(0, "new")]
    assert list(by_action(clips, ["bend", "jack", "run"])) == ["bend", "run", "new"]


def test_failures_are_picked_by_their_rules_and_once() -> None:
    clips = [
        shown(0, "run", probability=0.3, steered_to=0.99),
        shown(1, "run", probability=0.01, steered_to=0.2),
        shown(2, "run", probability=0.2, steered_to=0.97),
        shown(3, "run", probability=0.1, steered_to=0.1),
        shown(4, "run", probability=0.4, steered_to=0.98),
        shown(5, probability=0.001, steered_to=1.0, held=0.9, flicker=3.0),
        shown(6, probability=0.5, held=0.0, flicker=0.0, appearance_drift=2.0),
        shown(7, probability=0.5, held=0.5, flicker=5.0, appearance_drift=1.0),
        shown(8, probability=0.5, flicker=4.0),
        shown(9, probability=0.5, flicker=4.5, appearance_drift=3.0),
    ]
    scores = measured(clips, frozen=(5, 7), flickering=(5, 7, 8, 9), high={"flicker": 4.2, "appearance_drift": 1.5})
    assert picked(clips, scores) == {
        "Recognised as another action": [1, 3, 2],
        "The networks that steered are sure, the evaluator disagrees": [0, 4],
        "Hardly any motion": [5, 7],
        "Flicker": [9],
        "Changing appearance": [6],
    }
    assert failures([shown(0), Shown(Clip(Path("x"), "x"), "walk", {}, None)], None) == []


def measured(clips: list[Shown], frozen: Any = (), flickering: Any = (), high: Any = ()) -> PixelScores:
    """Scores that name the clips of these numbers as frozen and flickering."""
    names = [[clips[number].name for number in numbers] for numbers in (frozen, flickering)]
    return PixelScores(
        num_videos=len(clips), values={}, clips={}, high=dict(high), skipped=(), notes=(),
        frozen_clips=tuple(names[0]), flickering_clips=tuple(names[1]),
    )  # fmt: skip


def picked(clips: list[Shown], scores: PixelScores) -> dict[str, list[int]]:
    return {case.title: [clips.index(clip) for clip, _ in case.clips] for case in failures(clips, scores)}


@given(st.lists(st.floats(0, 9), min_size=1, max_size=20), st.floats(0, 9) | st.none())
def test_only_what_real_clips_hardly_do_is_a_failure(values: list[float], high: float | None) -> None:
    """Without real clips, only clips above a threshold of stgan's; nothing says how much an appearance may change."""
    clips = [shown(i, flicker=value, held=value, appearance_drift=value) for i, value in enumerate(values)]
    known = {} if high is None else dict.fromkeys(("flicker", "held", "appearance_drift"), high)
    assert set(picked(clips, measured(clips, high=known))) <= {"Changing appearance"}
    everything = range(len(clips))
    for scores in (measured(clips, everything, high=known), measured(clips, (), everything, high=known)):
        for title, numbers in picked(clips, scores).items():
            found = [values[number] for number in numbers]
            assert found == sorted(found, reverse=True) and min(found) > (high or 0)
            assert title != "Changing appearance" or high is not None


def test_actions_that_clips_are_taken_for_are_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captions name them, so the matrix does too; the rarest of very many are "other"."""
    drawn: list[Any] = []
    monkeypatch.setattr("stgan.report.figures.save_figure", lambda figure, path, fooled: drawn.append(figure))

    def labels(counts: list[list[int]], rows: list[int]) -> tuple[list[str], list[str]]:
        draw_confusion(tmp_path / "c.png", ["bend", "jack", "jump", "run"], counts, rows, fooled=False)
        (axes,) = drawn[-1].axes
        return [[label.get_text() for label in found] for found in (axes.get_xticklabels(), axes.get_yticklabels())]

    counts = [[1, 1, 0, 0], [0] * 4, [0, 2, 1, 3], [0] * 4]
    assert labels(counts, [0, 2]) == [["bend", "jump", "jack", "run"], ["bend", "jump"]]
    assert [text.get_text() for text in drawn[-1].axes[0].texts] == ["1", "1", "1", "2", "3"]
    monkeypatch.setattr("stgan.report.figures.MOST_ACTIONS", 3)
    assert labels(counts, [0, 2])[0] == ["bend", "jump", "jack", "other"]
    assert labels(counts, [0])[0] == ["bend", "jack"]


def test_contributions_are_the_highest_and_the_lowest() -> None:
    clips = [shown(i, contribution=float(value)) for i, value in enumerate((3, 1, 4, 1.5, 9, 2))]
    most, least = extremes(clips)
    assert [clips.index(clip) for clip, _ in most.clips] == [4, 2, 0]
    assert [clips.index(clip) for clip, _ in least.clips] == [1, 3, 5]
    assert extremes(clips[:1]) == [] and extremes([Shown(clips[0].clip, "walk", {}, None)] * 2) == []


@pytest.mark.parametrize("fooled", [True, False, None])
def test_the_diagram_is_one_description(tmp_path: Path, fooled: bool | None) -> None:
    diagram = method_diagram(
        condition="<lrcn> & " + "c3d" * 20,
        evaluator='"R"',
        fooled=fooled,
        preset="paper",
        iterations="100",
        frames="16",
    )
    svg = ElementTree.fromstring(diagram.svg())
    texts = ["".join(element.itertext()) for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(texts) == sorted(
        [line for box in diagram.boxes for line in box.lines] + [arrow.word for arrow in diagram.arrows if arrow.word]
    )
    assert ("STEERED: FOOLED" in texts) == (fooled is True)
    for box in diagram.boxes:
        assert 0 <= box.x < box.x + box.width <= WIDTH and 0 <= box.y < box.y + box.height <= HEIGHT
        assert all(7 * len(line) <= box.width + 14 for line in box.lines), box
    for arrow in diagram.arrows:  # from the edge of a box to the edge of another
        for x, y in (arrow.points[0], arrow.points[-1]):
            assert any(box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height for box in diagram.boxes)
    diagram.save(tmp_path / "method.png")
    with Image.open(tmp_path / "method.png") as picture:
        assert picture.size == (2 * WIDTH, 2 * HEIGHT)


@pytest.mark.filterwarnings("error")
def test_figures_take_any_names(tmp_path: Path) -> None:
    names = ["走る", "$x^2$", "a\nb", "n" * 300]
    draw_confusion(tmp_path / "c.png", names, [[1, 2, 0, 4]] * 4, [0, 1, 2], fooled=True)
    share = dict.fromkeys(names, 0.5)
    draw_per_action(tmp_path / "p.png", share, {"走る": (0.2, 0.8)}, {}, fooled=False)
    for name in ("c.png", "p.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100 and len(picture.convert("RGB").getcolors(1 << 20)) > 10
