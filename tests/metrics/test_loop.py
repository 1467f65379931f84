"""Scores in a training loop: those of the command, whatever the batches and processes that the clips came in."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn
from torchmetrics import MetricCollection

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.metrics import Accuracy, FrechetVideoDistance, InceptionScore, KernelVideoDistance, PrecisionRecall
from stgan.metrics.classification import inception_score
from stgan.metrics.distances import frechet_distance, kernel_distance
from stgan.metrics.neighbours import precision_recall_density_coverage
from stgan.scoring import Clip, Evaluator, Real, Rules, Scores, evaluate, find_evaluator, labelled_clips
from stgan.video import center_window, find_clips, read_video, to_float, write_video

CLASSES = 4
CLASS = (InceptionScore, FrechetVideoDistance, KernelVideoDistance, PrecisionRecall, Accuracy)


def says(videos: Tensor) -> tuple[Tensor, Tensor]:
    """A network whose rounding does not depend on the batch."""
    features = torch.stack([video.double().mean((2, 3)).flatten()[:8].sin() for video in videos])
    return features, (9 * features[:, :CLASSES]).log_softmax(1)


def clips(n: int, seed: int) -> Tensor:
    """Clips of which each has colours of its own."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(n, 3, 4, 1, 1, generator=generator)
    return (colours + torch.rand(n, 3, 4, 6, 6, generator=generator)) / 2


MADE, REAL = clips(11, 0), clips(13, 1)
ACTIONS = torch.arange(11) % (CLASSES + 1) - 1  # of some clips unknown


def collection(network: Any = says, splits: int = 3, **options: Any) -> MetricCollection:
    distances = [kind(network, **options) for kind in (FrechetVideoDistance, KernelVideoDistance, PrecisionRecall)]
    return MetricCollection([InceptionScore(network, splits=splits), Accuracy(network), *distances])


def add(metrics: Any, made: Sequence[int], real: Sequence[int]) -> None:
    metrics.update(MADE[list(made)], actions=ACTIONS[list(made)], real=False)
    metrics.update(REAL[list(real)], real=True)


def values(metrics: MetricCollection) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.fixture(scope="session")
def evaluator(tiny_model: Path) -> Evaluator:
    return find_evaluator("evaluator", find_model(tiny_model))


@pytest.fixture(scope="module")
def at_once() -> dict[str, float]:
    metrics = collection()
    add(metrics, range(11), range(13))
    return values(metrics)


def test_modules_are_their_functions_of_equally_many_clips() -> None:
    features, log_probabilities = says(MADE)
    theirs = says(REAL[:11])[0].float()
    metrics = collection(splits=1)
    add(metrics, range(11), range(11))
    found = values(metrics)
    known = ACTIONS >= 0
    assert found.pop("Accuracy") == (log_probabilities.argmax(1) == ACTIONS)[known].double().mean()
    assert found.pop("InceptionScore") == pytest.approx(float(inception_score(log_probabilities)[0]), rel=1e-12)
    distance = frechet_distance(features.float(), theirs), kernel_distance(features.float(), theirs)
    assert found.pop("FrechetVideoDistance") == pytest.approx(float(distance[0]), rel=1e-9)
    assert found.pop("KernelVideoDistance") == pytest.approx(float(distance[1]), rel=1e-9)
    assert found == pytest.approx(precision_recall_density_coverage(theirs, features.float())._asdict())
    for metric, value in (
        (FrechetVideoDistance(says, correction=0), frechet_distance(features.float(), theirs, 0)),
        (KernelVideoDistance(says, degree=2, unbiased=False), kernel_distance(features.float(), theirs, 2, 1.0, False)),
        (PrecisionRecall(says, k=2), precision_recall_density_coverage(theirs, features.float(), 2).density),
    ):
        add(metric, range(11), range(11))
        ours = metric.compute()
        assert float(ours["density"] if isinstance(ours, dict) else ours) == pytest.approx(float(value), rel=1e-9)


@st.composite
def partitions(draw: st.DrawFn, n: int) -> list[list[list[int]]]:
    """For each of three processes, its batches; some may be empty."""
    places = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))
    return [[[i for i in order if places[i] == (process, batch)] for batch in range(4)] for process in range(3)]


@settings(max_examples=25)
@given(partitions(11), partitions(13))
def test_batches_processes_and_order_do_not_matter(
    at_once: dict[str, float], made: list[list[list[int]]], real: list[list[list[int]]]
) -> None:
    merged: dict[str, float] = {}
    for kind in CLASS:
        one, *others = parts = [kind(says, **{"splits": 3} if kind is InceptionScore else {}) for _ in range(3)]
        for metric, mine, theirs in zip(parts, made, real, strict=True):
            for ours, others_ in zip(mine, theirs, strict=True):
                add(metric, ours, others_)
        for other in others:
            one.merge_state(other)
        value = one.compute()
        merged |= {n: float(v) for n, v in (value if isinstance(value, dict) else {kind.__name__: value}).items()}
    assert merged == pytest.approx(at_once, abs=1e-9)


def test_a_collection_asks_the_network_once_a_batch() -> None:
    asked = []
    metrics = collection(lambda videos: (asked.append(len(videos)), says(videos))[1])
    for batch in range(3):
        add(metrics, [batch, batch + 3], [batch])
    assert len(asked) == 5 + 5 and len(metrics.compute_groups) == 1


def says_otherwise(videos: Tensor) -> tuple[Tensor, Tensor]:
    """Another head on the backbone of `says`."""
    features = says(videos)[0]
    return features, (9 * features[:, -CLASSES:]).log_softmax(1)


def apart() -> dict[str, Any]:
    """Modules of which only the first two, and two others, may share rows."""
    theirs, others = says(REAL)[0], says(REAL.flip(1))[0]
    return {
        "given": FrechetVideoDistance(says, real=theirs),
        "same given": KernelVideoDistance(says, real=theirs),
        "none given": PrecisionRecall(says),
        "same network": InceptionScore(says),
        "other given": FrechetVideoDistance(says, real=others),
        "other head": InceptionScore(says_otherwise),
        "other head, given": FrechetVideoDistance(says_otherwise, real=theirs),
    }


@pytest.mark.parametrize("first", ["real clips", "nothing", "nothing after reset", "nothing after pickle"])
def test_a_collection_merges_only_modules_of_one_network_and_reference(first: str) -> None:
    alone = [MetricCollection({name: metric}) for name, metric in apart().items()]
    metrics = MetricCollection(apart())
    if first == "nothing after reset":
        metrics.reset()
    elif first == "nothing after pickle":
        metrics = pickle.loads(pickle.dumps(metrics))
    for each in (metrics, *alone):
        each.update(REAL[: 5 if first == "real clips" else 0], real=True)
        add(each, range(6), range(5, 9))
        add(each, range(6, 11), range(9, 13))
    found = values(metrics)
    assert found == {name: value for each in alone for name, value in values(each).items()}
    assert found["given"] != found["other given"] and found["same network"] != found["other head"]
    groups = [set(names) for names in metrics.compute_groups.values()]
    assert len(groups) == 5 and {"given", "same given"} in groups and {"none given", "same network"} in groups


def _process(rank: int, folder: str, shares: list[list[list[int]]]) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    metrics = collection()
    for made in shares[rank]:
        add(metrics, made, made[:-1])
    torch.save(values(metrics), Path(folder) / str(rank))
    if shares[rank]:
        add(metrics, [], range(11, 13))  # a process goes on with its own clips
    torch.save(values(metrics), Path(folder) / f"again{rank}")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("shares", [[[[0, 1, 2], [3, 4]], [[5, 6, 7, 8, 9, 10]]], [[list(range(11))], []]])
def test_two_processes_score_the_clips_of_both(tmp_path: Path, shares: list[list[list[int]]]) -> None:
    expected = collection()
    for made in shares[0] + shares[1]:
        add(expected, made, made[:-1])
    first = values(expected)
    for _ in range(sum(map(bool, shares))):
        add(expected, [], range(11, 13))
    torch.multiprocessing.start_processes(_process, (str(tmp_path), shares), nprocs=2, start_method="fork")
    for rank in range(2):
        assert torch.load(tmp_path / str(rank)) == pytest.approx(first, abs=1e-9)
        assert torch.load(tmp_path / f"again{rank}") == pytest.approx(values(expected), abs=1e-9)


def test_modules_are_kept_reset_and_go_on() -> None:
    metrics = collection()
    add(metrics, range(6), range(7))
    metrics.persistent(True)
    pickled, kept = pickle.loads(pickle.dumps(metrics["FrechetVideoDistance"])), collection()
    kept.load_state_dict(metrics.state_dict())
    for each in (metrics, kept):
        add(each, range(6, 11), range(7, 13))
    pickled.update(MADE[6:], real=False)
    pickled.update(REAL[7:], real=True)
    assert values(kept) == values(metrics) and pickled.compute() == kept["FrechetVideoDistance"].compute()
    metrics.reset()
    with pytest.raises(StganError, match="no clips"), pytest.warns(UserWarning, match="before the ``update``"):
        metrics.compute()
    assert not collection().state_dict()


def test_a_reference_takes_the_place_of_real_clips(at_once: dict[str, float]) -> None:
    whole = FrechetVideoDistance(says)
    whole.update(REAL, real=True)
    metric = FrechetVideoDistance(says, real=whole._rows("features", real=True))
    for made in (MADE[:5], MADE[5:]):
        batch = metric(made)
        metric.update(REAL, real=True)
    metric.reset()
    assert float(metric(MADE)) == pytest.approx(at_once["FrechetVideoDistance"]) and batch > 0


class Learner(nn.Module):
    """A model whose scores are a part of it, as in Lightning."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.scores = collection(network)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-true"])
def test_a_model_of_any_precision_has_the_same_scores(precision: Any, evaluator: Evaluator) -> None:
    videos = [
        torch.randint(0, 256, (6, 3, 16, 16, 16), generator=torch.Generator().manual_seed(i)) / 256 for i in (0, 1)
    ]
    fabric, plain = Fabric(accelerator="cpu", devices=1, precision=precision), collection(evaluator)
    model = fabric.setup(Learner(evaluator))
    with fabric.autocast():
        for scores in (model.scores, plain):
            scores.update(videos[0] if scores is plain else videos[0].half(), actions=["left"] * 6, real=False)
            scores.update(videos[1], real=True)
    assert values(model.scores) == pytest.approx(values(plain), abs=1e-9)
    assert not any("scores" in name for name in model.state_dict())
    half = plain["KernelVideoDistance"].set_dtype(torch.half).half()
    assert half.compute() == model.scores["KernelVideoDistance"].compute()


def in_a_loop(network: Evaluator, made: Sequence[Clip], real: Sequence[Clip], splits: int, cut: bool) -> Any:
    """Scores of batches of four clips, as the command makes them: whole ones of one length, or their middles."""
    metrics = collection(network, splits)
    for some in (made, real):
        for start in range(0, len(some), 4):
            batch = some[start : start + 4]
            frames = [read_video(clip.path).frames for clip in batch]
            if cut:
                frames = [each[center_window(len(each), network.frames)] for each in frames]
            metrics.update(
                torch.stack([to_float(each) for each in frames]),
                real=some is real,
                actions=[clip.action for clip in batch],
            )
    return values(metrics)


def of_command(scores: Scores) -> dict[str, float]:
    names = {"FrechetVideoDistance": "frechet_video_distance", "KernelVideoDistance": "kernel_video_distance"}
    same = {name: name for name in ("precision", "recall", "density", "coverage")}
    found = {ours: getattr(scores, theirs) for ours, theirs in (names | same | {"Accuracy": "accuracy"}).items()}
    return {**found, "InceptionScore": scores.inception_score.mean}


def test_the_loop_equals_the_command(tiny_clips: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    """Also where clips are left out, and where they fall into splits: by a hash of their pixels."""
    rng = np.random.default_rng(0)
    for number in range(11):
        action = ("grow", "left", "right")[number % 3]
        (tmp_path / action).mkdir(exist_ok=True)
        write_video(tmp_path / action / f"{number}.mp4", rng.integers(0, 256, (20, 16, 16, 3)).astype(np.uint8))
    made = labelled_clips(find_clips(tiny_clips))
    real = [replace(clip, split="train") for clip in labelled_clips(find_clips(tmp_path))]
    for ours, theirs in ((made, real), (made[::2], real)):
        scores = evaluate(ours, evaluator, real=Real(theirs), rules=Rules(splits=2))
        assert scores.inception_score.std > 0 and scores.judged and scores.judged.protocol.windows == 1
        assert in_a_loop(evaluator, ours, theirs, 2, False) == pytest.approx(of_command(scores), abs=1e-9)


@pytest.mark.real
def test_the_loop_equals_the_command_on_real_clips(real_data: Path) -> None:
    network = find_evaluator("evaluator", find_model("weizmann"))
    found = labelled_clips(find_clips(real_data / "weizmann"))
    made, real = found[0:64:2], [replace(clip, split="train") for clip in found[1:64:2]]
    scores = evaluate(made, replace(network, seen=frozenset()), real=Real(real))
    assert in_a_loop(network, made, real, 1, True) == pytest.approx(of_command(scores), abs=1e-9)


def test_wrong_input_is_one_sentence(evaluator: Evaluator) -> None:
    video, metric = torch.rand(2, 3, 16, 16, 16), Accuracy(evaluator)
    for wrong, options, message in (
        (video, {"actions": ["left", "fly"]}, "does not know the action 'fly'"),
        (video, {"actions": torch.tensor([0, 3])}, "each below 3"),
        (255 * video, {}, "rescale them"),
        (video[:, :, :1], {}, "of two frames or more"),
    ):
        with pytest.raises(StganError, match=message):
            metric.update(wrong, **options)
    assert not metric.real
    metric.update(video)
    with pytest.raises(StganError, match="the action of no clip is known"):
        metric.compute()
    for kind, least in ((FrechetVideoDistance, 2), (KernelVideoDistance, 2), (PrecisionRecall, 3)):
        few = kind(evaluator)
        few.update(video)
        with pytest.raises(
            StganError, match=f"needs {least} real and {least} generated clips or more, and has 0 and 2"
        ):
            few.compute()
    few = InceptionScore(evaluator, splits=3)
    few.update(video)
    with pytest.raises(StganError, match="2 clips cannot be scored in 3 splits"):
        few.compute()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(3, 16, 16, 16), (1, 16, 3, 16, 16)])
def test_what_is_no_video_is_one_sentence(shape: tuple[int, ...]) -> None:
    with pytest.raises(StganError, match=r"have the shape \(batch, 3, time, height, width\)"):
        Accuracy(says).update(torch.rand(shape))


def test_functions_need_no_torchmetrics_and_modules_say_so() -> None:
    code = """
import sys
import stgan.metrics.distances, stgan.scoring
assert "torchmetrics" not in sys.modules
sys.modules["torchmetrics"] = None
from stgan.errors import StganError
try:
    from stgan.metrics import Accuracy
except StganError as error:
    assert 'pip install "stgan[metrics]"' in str(error), error
else:
    raise SystemExit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_loop_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```python")]
    (code,) = (block for block in blocks if "in loader:" in block)
    batches = [(torch.rand(3, 3, 16, 64, 64), ["run", "walk", "bend"])]
    exec(code, {"device": "cpu", "loader": batches, "generate": lambda actions: torch.rand(3, 3, 16, 64, 64)})
    assert "FrechetVideoDistance" in capsys.readouterr().out
