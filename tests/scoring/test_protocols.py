"""Each protocol against the computation of the project that it is named after, restated on the same features."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from restated import between_four
from torch import Tensor, nn

from stgan.checkpoints.checkpoint import Checkpoint
from stgan.defaults import PROTOCOLS as NAMES
from stgan.errors import StganError
from stgan.networks import I3D, Preprocessing, VideoClassifier
from stgan.networks.clip_classifier import ClipClassifier
from stgan.networks.i3d import I3DConfig
from stgan.records import as_plain, as_record
from stgan.scoring import (
    PROTOCOLS,
    Evaluator,
    Measurements,
    Real,
    Rules,
    Scores,
    as_evaluator,
    evaluate,
    folder_clips,
    labelled_clips,
    measure,
    prepared,
)
from stgan.scoring.clips import Clip, Protocol
from stgan.scoring.generators import _MOST_CLIPS
from stgan.scoring.real import _drawn_windows
from stgan.video import find_clips, read_video, write_video

GENERATED, REAL = 10, 14
DIMENSIONS = 6


@dataclass(frozen=True)
class SmallConfig:
    network: str
    preprocessing: Preprocessing = Preprocessing()
    min_frames: ClassVar[int] = 2


class Small(ClipClassifier):
    """Features of the brightness of each frame, so that they tell which frames the network has seen."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.config = SmallConfig(kind)
        generator = torch.Generator().manual_seed(0)
        self.mixing = nn.Parameter(torch.randn(16, DIMENSIONS, generator=generator), requires_grad=False)

    def features(self, videos: Tensor) -> Tensor:
        return videos.mean((1, 3, 4))[:, :16] @ self.mixing

    def _logits(self, features: Tensor) -> Tensor:
        return 3 * features


def small(kind: str, frames: int = 16) -> Evaluator:
    return as_evaluator(Checkpoint(Small(kind), hash=kind), kind, frames=frames)


def write_clips(folder: Path, number: int, seed: int) -> Path:
    """Clips of 12 to 40 frames, most of them longer than a window. Each frame has a brightness of its own."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for i in range(number):
        frames = 12 if i == 3 else int(rng.integers(17, 41))
        levels = rng.integers(20, 236, (frames, 1, 1, 3), dtype=np.uint8)
        write_video(folder / f"{i:02d}.mp4", np.broadcast_to(levels, (frames, 16, 16, 3)))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return folder_clips(write_clips(tmp_path_factory.mktemp("made") / "clips", GENERATED, 0))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return folder_clips(write_clips(tmp_path_factory.mktemp("real") / "clips", REAL, 1))


def rules_of(name: str, **changes: Any) -> Rules:
    return Rules(**{**vars(PROTOCOLS[name]), **changes})


def features(clips: list[Clip], network: Evaluator, protocol: Protocol) -> np.ndarray:
    measured: Measurements = measure(clips, network, protocol)[0]
    return measured.features.double().numpy()


def frechet(x: np.ndarray, y: np.ndarray, correction: int) -> float:
    """By the roots of the eigenvalues of the product of covariances, as scipy's sqrtm gives the trace."""
    c, d = (np.cov(each.T, ddof=correction) for each in (x, y))
    cross = np.sqrt(np.linalg.eigvals(c @ d).astype(complex)).real.sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * cross)


def test_names_are_those_of_the_command_line() -> None:
    assert tuple(PROTOCOLS) == NAMES
    for name, rules in PROTOCOLS.items():
        assert rules.name == name and not rules.changes()
        assert as_record(Rules, as_plain(rules), "rules") == rules
        assert rules.published == (name != "stgan") == bool(rules.source)
        assert all(rules.in_words())


def score(name: str, made: list[Clip], real: list[Clip], kind: str, **changes: Any) -> Scores:
    rules = rules_of(name, **changes)
    network = small(kind, rules.frames or 16)
    return evaluate(made, network, real=Real(real), rules=rules)


def test_stylegan_v(made: list[Clip], real: list[Clip]) -> None:
    """The first frames of clips that are long enough, one random window of the first real ones, moments over n."""
    scores = score("stylegan-v", made, real, "i3d", num=9, num_real=8)
    long = [clip for clip in real if clip.name != "03.mp4"][:8]
    network = small("i3d")
    ours = features([clip for clip in made if clip.name != "03.mp4"], network, Protocol(window="first"))
    theirs = features(long, network, Protocol(window="random"))
    assert scores.frechet_video_distance == pytest.approx(frechet(ours, theirs, 0), rel=1e-6)
    assert scores.by is not None and scores.by.num_real == 8
    assert scores.by.changes == ("--num 9", "--num-real 8")
    assert [clip.file for clip in scores.skipped] == ["03.mp4", "03.mp4"]
    seen = features(long[:1], network, Protocol(window="first"))
    assert not np.allclose(seen, features(long[:1], network, Protocol(window="random")))


def test_windows_are_of_the_frames_that_they_say(real: list[Clip]) -> None:
    """By the brightness of frames: the first, every second, those from a random place on, and played back and forth."""
    clip = real[0]
    levels = read_video(clip.path).frames.astype(np.float64).mean((1, 2, 3)) / 255
    mixing = small("i3d").network.mixing.double().numpy()  # type: ignore[operator, union-attr]

    def expected(indices: Any) -> np.ndarray:
        return levels[np.asarray(indices)] @ mixing

    network = small("i3d")
    assert features([clip], network, Protocol(window="first"))[0] == pytest.approx(expected(range(16)), abs=1e-5)
    spread = np.minimum(np.arange(0, 32, 2), 2 * (len(levels) - 1) - np.arange(0, 32, 2))
    assert features([clip], network, Protocol(window="first", stride=2))[0] == pytest.approx(expected(spread), abs=1e-5)
    starts = set()
    for seed in range(12):
        found = features([clip], network, Protocol(window="random", seed=seed))[0]
        fits = [s for s in range(len(levels) - 15) if np.allclose(found, expected(range(s, s + 16)), atol=1e-5)]
        assert len(fits) == 1
        starts.update(fits)
    assert len(starts) > 3
    several = features([clip], network, Protocol(window="random", windows=5))
    assert len(np.unique(several.round(5), axis=0)) == min(5, len(levels) - 15)


@pytest.mark.parametrize("name", ["tats", "videogpt", "digan"])
def test_windows_drawn_anew(name: str, made: list[Clip], real: list[Clip]) -> None:
    """Unbiased covariances; the mean over draws, each of other real windows; the deviation by the number of draws."""
    scores = score(name, made, real, "i3d", num=4, num_real=10, draws=PROTOCOLS[name].draws)
    rules = PROTOCOLS[name]
    assert scores.by is not None and scores.by.draws is not None
    assert len(scores.by.draws.values) == rules.draws == {"tats": 1, "videogpt": 4, "digan": 10}[name]
    network = small("i3d")
    long = [clip for clip in made if clip.name != "03.mp4"]  # fewer than for all draws: the same in each
    ours = features(long[:4], network, Protocol(window="first"))
    lengths = [len(read_video(clip.path).frames) for clip in real]
    values = []
    for draw in range(rules.draws):
        rng = np.random.default_rng([0, draw])
        order = rng.permutation(REAL)
        places = [max(0, lengths[i] - 15) for i in order]
        counts = np.random.default_rng([0, draw]).multivariate_hypergeometric(places, 10, method="marginals")
        theirs = [
            features([real[i]], network, Protocol(window="random", seed=draw, windows=int(count)))
            for i, count in zip(order, counts, strict=True)
            if count
        ]
        values.append(frechet(ours, np.concatenate(theirs), 1))
    assert scores.by.draws.values == pytest.approx(values, rel=1e-5)
    assert scores.frechet_video_distance == pytest.approx(np.mean(values), rel=1e-5)
    assert scores.by.draws.std == pytest.approx(np.std(scores.by.draws.values))
    assert len(set(scores.by.draws.values)) == rules.draws


def test_long_clips_give_more_windows(real: list[Clip], tmp_path: Path) -> None:
    """Each window of all clips is as likely, and none comes twice. A clip that cannot be read is left out."""
    lengths = [len(read_video(clip.path).frames) for clip in real]
    shares = np.maximum(0, np.array(lengths) - 15) / sum(max(0, length - 15) for length in lengths)
    broken = Clip(tmp_path / "broken.mp4", "broken.mp4")
    broken.path.write_bytes(b"no video")
    times: Counter[str] = Counter()

    def count(clips: list[Clip], network: Evaluator, protocol: Protocol, **options: Any) -> Any:
        times.update({clip.name: protocol.windows for clip in clips})
        return measure(clips[:1], network, Protocol()) if len(clips) > 1 else measure(clips, network, Protocol())

    rules, draws = rules_of("tats", num_real=12), 60
    for draw in range(draws):
        _, skipped = _drawn_windows(count, [*real, broken], small("i3d"), Protocol(), rules, draw, "")
        assert [each.file for each in skipped] == ["broken.mp4"]
    assert sum(times.values()) == 12 * draws and times["03.mp4"] == 0
    found = np.array([times[clip.name] for clip in real])
    assert (np.abs(found - 12 * draws * shares) < 4.5 * np.sqrt(12 * draws * shares + 1)).all()
    every, _ = _drawn_windows(
        partial(measure, keep_going=True), real, small("i3d"), Protocol(window="random"),
        replace(rules, num_real=None), 0, "",
    )  # fmt: skip
    assert len(every) == sum(max(0, length - 15) for length in lengths)
    assert len(np.unique(every.features.numpy().round(5), axis=0)) == len(every)
    saved = [replace(clip, saved=lambda *given: given) for clip in real]
    for clips, protocol in ((saved, Protocol()), (real, Protocol(fps=10.0))):
        with pytest.raises(StganError, match="draws from the windows of all frames"):
            _drawn_windows(count, clips, small("i3d"), protocol, rules, 0, "")
    with pytest.raises(StganError, match="takes 12 windows of real clips, and there are 0"):
        _drawn_windows(count, [real[3]], small("i3d"), Protocol(), rules, 0, "")
    with pytest.raises(StganError, match="have no window of 16 frames"):
        _drawn_windows(count, [real[3]], small("i3d"), Protocol(), replace(rules, num_real=None), 0, "")


def test_every_protocol_fits_a_comparison() -> None:
    """Also tgan2's ten runs of 2048 clips."""
    assert max(rules.num or 0 for rules in PROTOCOLS.values()) <= _MOST_CLIPS


def test_influence_on_the_kernel_distance_is_that_of_the_protocol() -> None:
    """100 x the slope of the biased (x.y / d)^2 by the share of a row, for jedi."""
    a, b = torch.randn(2, 9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rules, e = PROTOCOLS["jedi"], 1e-6
    inner, across = (a @ a.T / 4) ** 2, ((a @ b.T / 4) ** 2).mean(1)

    def value(share: Tensor) -> Tensor:
        return 100 * (share @ inner @ share - 2 * share @ across)

    even, rows = torch.full((9,), 1 / 9, dtype=torch.float64), torch.eye(9, dtype=torch.float64)
    slopes = torch.stack([(value(even + e * (row - even)) - value(even - e * (row - even))) / (2 * e) for row in rows])
    assert torch.allclose(rules.kernel_influence(a, b), slopes - slopes.mean(), rtol=1e-6)


def test_jedi(made: list[Clip], real: list[Clip]) -> None:
    """100 x the biased estimate with (x.y / d)^2."""
    scores = score("jedi", made, real, "feature_network", num=GENERATED, num_real=REAL)
    network = small("feature_network")
    x = features(made, network, Protocol(window="first"))
    y = features(real, network, Protocol(window="random"))
    expected = 100 * sum(
        sign * ((a @ b.T / DIMENSIONS) ** 2).mean() for a, b, sign in ((x, x, 1), (y, y, 1), (x, y, -2))
    )
    assert scores.kernel_video_distance == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("name", "parts"), [("stylegan-v-is", 10), ("tgan2", 10)])
def test_inception_scores(name: str, parts: int, made: list[Clip]) -> None:
    """Part i of S holds clips i n / S to (i + 1) n / S; the deviation is the population's."""
    skip = PROTOCOLS[name].short == "skip"
    scores = evaluate(made, small("c3d"), rules=rules_of(name, num=GENERATED - skip, splits=3))
    measured = measure(made, small("c3d"), Protocol(window="first", short="skip" if skip else "mirror"))[0]
    p = measured.log_probabilities.exp().numpy()
    n = len(p)
    assert n == GENERATED - skip
    split = [p[i * n // 3 : (i + 1) * n // 3] for i in range(3)]
    values = [np.exp((q * (np.log(q) - np.log(q.mean(0)))).sum(1).mean()) for q in split]
    assert scores.inception_score.mean == pytest.approx(np.mean(values), rel=1e-9)
    assert scores.inception_score.std == pytest.approx(np.std(values), rel=1e-6)
    assert PROTOCOLS[name].splits == parts


class Tokens(nn.Module):
    """A transformer's end in small: normalised means of patches, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.classifier = nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, videos: Tensor) -> Tensor:
        grid = nn.functional.adaptive_avg_pool3d(videos.transpose(1, 2), (1, 2, 2)).flatten(1)
        return self.classifier(self.norm(grid))


def test_cd_fvd(made: list[Clip], real: list[Clip]) -> None:
    """Features are what the last layer gets, of frames in [0, 1] that are stretched and not normalised."""
    names = [f"class{i}" for i in range(5)]
    whole = VideoClassifier(Tokens(), names, size=12, frames=16, mean=0.45, std=0.225, layout="btchw")
    rules = rules_of("cd-fvd", num=GENERATED - 1)
    network = prepared(as_evaluator(Checkpoint(whole, tuple(names), hash="tokens"), "videomae"), rules)
    scores = evaluate(made, network, real=Real(real), rules=rules)
    assert scores.feature_size == 12 and scores.by is not None and scores.by.num_real == REAL - 1
    protocol = Protocol(window="random", short="skip")
    pair = [features(clips, network, protocol) for clips in (made, real)]
    assert scores.frechet_video_distance == pytest.approx(frechet(*pair, 0), rel=1e-5)
    video = torch.rand(1, 3, 16, 20, 24)
    plain = nn.functional.interpolate(video[0].transpose(0, 1), (12, 12), mode="bilinear").transpose(0, 1)
    grid = nn.functional.adaptive_avg_pool3d(plain[None], (1, 2, 2)).transpose(1, 2).flatten(1)
    expected = whole.module.norm(grid)  # type: ignore[operator, union-attr]
    assert torch.allclose(network(video)[0], expected, atol=1e-5)
    assert network.identity != as_evaluator(Checkpoint(whole, tuple(names), hash="tokens"), "videomae").identity


def test_epsilon_of_the_batch_normalization() -> None:
    config = I3DConfig(num_classes=4, stem=(2, 2, 4), stages=(((2,) * 6,), ((2,) * 6,), ((2,) * 6,)))
    network = I3D(config)
    before = as_evaluator(Checkpoint(network, hash="i3d"), "i3d", frames=16)
    after = prepared(before, rules_of("tats"))
    changed: Any = after.network
    for each, epsilon in ((network, 1e-3), (changed, 1e-5)):  # the given network stays as it is
        assert {module.eps for module in each.modules() if isinstance(module, nn.BatchNorm3d)} == {epsilon}
        assert each.config.epsilon == epsilon
    assert after.identity != before.identity
    assert I3D(I3DConfig(epsilon=1e-5, stem=config.stem, stages=config.stages)).Conv3d_1a_7x7.bn.eps == 1e-5


@pytest.mark.parametrize("shape", [(30, 30), (24, 31), (41, 23)])
def test_videogpt_shows_i3d_the_centre_at_half_the_contrast(shape: tuple[int, int]) -> None:
    """Restated: the short side becomes 32, the other is rounded up, the centre is cut out, values are less 0.5."""
    config = I3DConfig(num_classes=4, stem=(2, 2, 4), stages=(((2,) * 6,), ((2,) * 6,), ((2,) * 6,)))
    network = I3D(replace(config, preprocessing=replace(config.preprocessing, size=32)))
    after: Any = prepared(as_evaluator(Checkpoint(network, hash="i3d"), "i3d", frames=16), rules_of("videogpt")).network
    video = torch.rand(1, 3, 2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = after.config.preprocessing.video(video)[0].movedim(0, -1).numpy()
    scale = 32 / min(shape)
    height, width = (32, math.ceil(shape[1] * scale)) if shape[0] < shape[1] else (math.ceil(shape[0] * scale), 32)
    top, left = (height - 32) // 2, (width - 32) // 2
    whole = np.stack([between_four(frame, height, width) for frame in video[0].movedim(0, -1).numpy()])
    assert found == pytest.approx(whole[:, top : top + 32, left : left + 32] - 0.5, abs=1e-9)
    plain = network.config.preprocessing.video(video)[0].movedim(0, -1).numpy()
    assert np.allclose(plain, 2 * found, atol=1e-9) == (shape[0] == shape[1])


def test_other_networks_and_too_few_clips_are_refused(made: list[Clip], real: list[Clip]) -> None:
    with pytest.raises(StganError, match=r"another network than c3d.*i3d_torchscript"):
        evaluate(made, small("c3d"), real=Real(real), rules=rules_of("stylegan-v", num=5, num_real=5))
    with pytest.raises(StganError, match=r"2048 generated clips, and there are 10.*--num 10"):
        evaluate(made, small("i3d"), real=Real(real), rules=rules_of("stylegan-v"))
    with pytest.raises(StganError, match=r"99999 windows of real clips, and there are \d+.*--num-real \d+"):
        evaluate(made, small("i3d"), real=Real(real), rules=rules_of("tats", num=5, num_real=99999))
    with pytest.raises(StganError, match="name them by --real"):
        evaluate(made, small("i3d"), rules=rules_of("stylegan-v", num=5))
    with pytest.raises(StganError, match="windows of 16 frames"):
        evaluate(made, small("i3d", 12), real=Real(real), rules=rules_of("stylegan-v", num=5, num_real=5))


def test_all_real_clips_count_where_each_gives_several_windows(made: list[Clip], real: list[Clip]) -> None:
    scores = score("jedi", made, real, "feature_network", num=6, num_real=REAL + 4)
    assert scores.by is not None and scores.by.num_real == REAL + 4
    found = [row.num_videos for row in scores.rows if row.name == "real"]
    assert found[0] >= REAL - 3  # of which a few may give no window among those that count


def test_settings_without_effect_are_refused(made: list[Clip], real: list[Clip]) -> None:
    with pytest.raises(StganError, match="only published protocols draw"):
        evaluate(made, small("i3d"), real=Real(real), rules=Rules(draws=2))
    with pytest.raises(StganError, match="no I3D of weights"):
        prepared(small("c3d"), Rules(epsilon=1e-5))


def test_notes_and_records_say_of_how_many_clips_distances_are(made: list[Clip], real: list[Clip]) -> None:
    scores = score("jedi", made, real, "feature_network", num=6, num_real=12)
    assert any("distances are of 6 clips to 12 of" in note for note in scores.notes)
    assert scores.by is not None and (scores.by.num_videos, scores.by.num_real) == (6, 12)
    own = evaluate(made, small("i3d"), real=Real(real), rules=Rules(num=6))
    assert any("distances are of 6 clips to 6 of" in note for note in own.notes)
    assert own.by is not None and own.by.num_real == 6


def test_clips_of_a_split_give_as_many_windows_as_are_needed(made: list[Clip], real: list[Clip]) -> None:
    divided = [replace(clip, split="test" if i < 6 else "train") for i, clip in enumerate(real)]
    scores = score("videogpt", made, divided, "i3d", num=4, num_real=8, draws=1)
    assert scores.by is not None and scores.by.num_real == 8
    undivided = score("videogpt", made, real, "i3d", num=4, num_real=8, draws=1)
    assert any("not divided, so all count instead of the test split" in note for note in undivided.notes)


class Functional(Tokens):
    """Uses the weights of a layer without calling it."""

    def forward(self, videos: Tensor) -> Tensor:
        grid = nn.functional.adaptive_avg_pool3d(videos.transpose(1, 2), (1, 2, 2)).flatten(1)
        return grid @ self.classifier.weight.T


@pytest.mark.parametrize(("module", "layer"), [(Tokens(), "nothing"), (Functional(), "classifier")])
def test_layers_that_give_no_features(module: nn.Module, layer: str) -> None:
    names = [f"class{i}" for i in range(5)]
    with pytest.raises(StganError, match=f"has no layer '{layer}'"):
        VideoClassifier(module, names, size=12, frames=16, mean=0.0, std=1.0, layout="btchw", feature_layer=layer)


def test_no_more_real_clips_are_read_than_count(made: list[Clip], real: list[Clip], tmp_path: Path) -> None:
    missing = [Clip(tmp_path / f"{i}.mp4", f"z{i}.mp4") for i in range(30)]
    scores = score("stylegan-v", made, [*real, *missing], "i3d", num=9, num_real=5)
    assert scores.by is not None and scores.by.num_real == 5


def test_knobs_change_stgans_own_protocol(tiny_clips: Path, evaluator: Evaluator) -> None:
    clips, beside = folder_clips(tiny_clips), Real(labelled_clips(find_clips(tiny_clips)))
    plain = evaluate(clips, evaluator, real=beside)
    changed = evaluate(clips, evaluator, real=beside, rules=Rules(covariance="n", num_real=6))
    assert plain.by is not None and plain.by.changes == () and plain.by.rules == Rules()
    assert changed.by is not None and set(changed.by.changes) == {"--covariance n", "--num-real 6"}
    assert changed.by.num_real == 6
    assert changed.rows[1].num_windows == 6
