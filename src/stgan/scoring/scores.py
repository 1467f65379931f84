"""Scores as records: what `stgan evaluate` writes, and whether the scores kept in a folder are of its clips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stgan.errors import StganError
from stgan.metrics.table import METRICS
from stgan.names import quoted
from stgan.records import Count, Fraction, FractionInterval, Number, Text, read_record
from stgan.scoring.clips import MIDDLE, Clip, Protocol
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import Skipped
from stgan.scoring.protocols import ByProtocol
from stgan.version import __version__
from stgan.video.ucf101_names import CLASSES

FORMAT = 3  # 1: another appearance change, no comparison with real clips; 2: another measure of copies
SCORES = "scores.json"
"""The name of the file with the scores, in the folder of the clips."""
GENERATED = "generated"
"""The name of the row of the clips that are scored."""
_REMEDY = "remove it to have the clips scored again"


@dataclass(frozen=True)
class InceptionEstimate:
    """Mean and standard deviation over splits; low, high: the mean's 95 % interval by a bootstrap over clips."""

    mean: Number
    std: Number
    low: Number
    high: Number


@dataclass(frozen=True, kw_only=True)
class SetScores:
    """The scores of one set of clips: a row of the table. None is what cannot be measured; units as in
    `stgan.metrics.table`.

    num_videos, num_windows: the number of clips and of their windows.
    frechet_video_distance, kernel_video_distance: to the reference clips, on the feature network's features.
    diversity, appearance_drift: means of `feature_diversity` and `appearance_change`.
    num_frozen, num_flickering: numbers of clips, by the rules of `stgan.metrics.motion`.
    """

    name: Text
    num_videos: Count
    num_windows: Count | None = None  # not in older records
    accuracy: Fraction | None
    accuracy_interval: FractionInterval | None
    inception_score: InceptionEstimate | None
    frechet_video_distance: Number | None
    kernel_video_distance: Number | None
    diversity: Number | None
    motion: Number
    flicker: Number
    frozen: Number
    appearance_drift: Number
    num_frozen: Count | None = None  # of format 2
    num_flickering: Count | None = None  # of format 2


@dataclass(frozen=True)
class Compared:
    """A value of generated clips, that of real ones, and the first over the second; None if unknown.

    ratio:      None unless the real value is above 0.
    real_std:   standard deviation of the real value over splits of the real clips.
    deviations: the generated value minus the real one, over `real_std`.
    """

    generated: Number | None
    real: Number | None
    ratio: Number | None
    real_std: Number | None = None
    deviations: Number | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Generated clips compared with real ones.

    num_videos:     the number of generated clips. num_windows: of each side, equally many of each action.
    values:         by the keys of `stgan.metrics.table`.
    motion:         mean `motion` and `visible_motion` of each action, compared with all windows of its real clips.
    actions_within: for both, the number of actions whose ratio differs from 1 by at most `tolerance`.
    splits:         the number of splits of the real clips into halves. The two distances are means over them.
    split_videos:   windows of each side in a split.
    high:           the value that 5 % of the windows of the real clips exceed, of what is measured on pixels.
    """

    num_videos: Count
    num_windows: Count | None = None  # not in older records
    values: dict[Text, Compared]
    motion: dict[Text, dict[Text, Compared]]
    actions_within: dict[Text, Count]
    tolerance: Fraction
    splits: Count
    split_videos: Count
    high: dict[Text, Number] = field(default_factory=dict)  # not in older records

    @property
    def shown(self) -> dict[str, Compared]:
        """The values that are known for both sides, in the order of the table of metrics."""
        known = {key: self.values[key] for key in METRICS if key in self.values}
        return {key: each for key, each in known.items() if each.generated is not None and each.real is not None}


@dataclass(frozen=True)
class TemporalOrder:
    """Accuracy on the same clips with their frames in order and in random order, and the difference."""

    num_videos: Count
    ordered: Fraction
    shuffled: Fraction
    drop: Number


@dataclass(frozen=True, kw_only=True)
class Copied:
    """Distances of generated clips to the nearest training frame or window, and of real clips that are no copies.

    threshold: the distance below which at most 1 % of the real windows lie; None for too few of them.
    num, share, interval: of the generated clips, those that lie below it.
    generated, real: medians.
    """

    threshold: Number | None
    num: Count | None
    share: Fraction | None
    interval: FractionInterval | None
    generated: Number
    real: Number | None


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Generated clips that are nearer to a training clip than real clips that are no copies: see `copy_scores`.

    training:    in words, which real clips count as training clips. num_training: their number.
    baseline:    in words, the real clips that are no copies. num_windows, num_videos: how many of them.
    """

    frames: Copied
    windows: Copied
    training: Text
    num_training: Count
    baseline: Text
    num_windows: Count
    num_videos: Count


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Clips that are nearly the same as another clip of their action in the run: see `copy_scores`.

    num, share: of the generated clips whose action has several clips; real: the share of the real ones.
    """

    num: Count
    share: Fraction
    interval: FractionInterval
    real: Fraction


@dataclass(frozen=True)
class NearestTraining:
    """The training clip that a generated clip is nearest to.

    file, frame:      the clip's path within the folder of real clips, and the number of its frame (of its first one,
                      for a window), from 0.
    own_frame:        the number of the generated clip's frame that is compared with it.
    distance, copied: how far, and whether that is below the threshold (None without one): see `Copied`.
    """

    file: Text
    frame: Count
    own_frame: Count
    distance: Number
    copied: bool | None


@dataclass(frozen=True, kw_only=True)
class ClipScores:
    """The scores of a clip. Of several windows, they are means.

    named:        the action that the evaluator finds most likely, or its number where it has no names.
    probability:  of the action that the clip should show; None if the evaluator does not know it.
    contribution: to the Inception Score, in nats.
    nearest_frame, nearest_window: None without real clips.
    duplicate_of: the other clip of the run that it nearly equals; None if there is none.
    """

    file: Text
    sha256: Text | None
    action: Text | None
    named: Text | Count
    probability: Fraction | None
    contribution: Number
    motion: Number
    visible_motion: Number | None = None  # this and others: not in format 1
    flicker: Number
    frozen: Number
    held: Number | None = None
    appearance_drift: Number
    background_drift: Number | None = None
    colour_drift: Number | None = None
    nearest_frame: NearestTraining | None = None
    nearest_window: NearestTraining | None = None
    duplicate_of: Text | None = None


@dataclass(frozen=True)
class ScoredWindows:
    """Which windows of each clip were scored.

    frames, feature_frames: of a window, for the evaluator and for the feature network.
    usual: whether both numbers are the defaults of the networks.
    protocol: its `shuffled` is always 0.
    """

    frames: Count
    feature_frames: Count
    usual: bool
    protocol: Protocol


@dataclass(frozen=True)
class Quoted:
    """A published Inception Score of other clips."""

    method: Text
    inception_score: Number
    source: Text = "Ainetter and Pinz, Table 2: UCF-101, 10,000 clips, a C3D of 101 classes"


QUOTED = (
    Quoted("MoCoGAN", 12.42),
    Quoted("conditional TGAN", 15.83),
    Quoted("TGANv2 (batch 64)", 22.70),
    Quoted("TGANv2 (batch 256)", 24.34),
    Quoted("STGAN (LRCN)", 23.44),
    Quoted("STGAN (C3D), fooled", 66.33),
    Quoted("UCF-101 itself", 70.07),
)
"""By a C3D of UCF-101's classes. Beside scores by another evaluator they would mislead."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All scores of a folder of clips: what `scores.json` holds. None is what cannot be measured.

    fooled: whether the evaluator, or a network that shares an ancestor with it, steered a clip; None if unknown.
    judged: the windows that were scored; by: the rules that the scores follow. Both are None in older records.
    clips:  sorted by file; none in a fooling study.
    """

    num_videos: Count
    evaluator: Text
    evaluator_network: Text
    evaluator_hash: Text
    protocol: Text
    judged: ScoredWindows | None = None
    by: ByProtocol | None = None
    feature_network: Text
    feature_hash: Text
    feature_size: Count
    fooled: bool | None
    steered_by: tuple[Text, ...]
    actions: tuple[Text, ...]
    accuracy: Fraction | None
    accuracy_interval: FractionInterval | None
    per_action: dict[Text, Fraction]
    per_action_interval: dict[Text, FractionInterval]
    per_action_contribution: dict[Text, Number]
    confusion: tuple[tuple[Count, ...], ...]
    inception_score: InceptionEstimate | None
    splits: Count
    frechet_video_distance: Number | None
    kernel_video_distance: Number | None
    precision: Number | None
    recall: Number | None
    density: Number | None
    coverage: Number | None
    diversity: Number | None
    motion: Number
    flicker: Number
    frozen: Number
    appearance_drift: Number
    frozen_clips: tuple[Text, ...] | None = None  # of format 2
    flickering_clips: tuple[Text, ...] | None = None  # of format 2
    temporal_order: TemporalOrder | None
    temporal_order_real: TemporalOrder | None
    copies: Copies | None = None
    near_duplicates: NearDuplicates | None = None
    beside_real: Comparison | None = None
    rows: tuple[SetScores, ...]
    quoted: tuple[Quoted, ...]
    clips: tuple[ClipScores, ...] = ()
    skipped: tuple[Skipped, ...]
    notes: tuple[Text, ...]
    format: Count = FORMAT
    version: Text = __version__

    @property
    def sure_inception_score(self) -> float | None:
        """The Inception Score if the evaluator were sure of the action of every clip: from 1 to the number of their
        actions. None if it does not know all of them.
        """
        counts = [sum(row) for row in self.confusion if sum(row)]
        if not counts or any(clip.probability is None for clip in self.clips):
            return None
        return math.exp(sum(-count / sum(counts) * math.log(count / sum(counts)) for count in counts))

    def __post_init__(self) -> None:
        if self.confusion and {len(self.confusion), *map(len, self.confusion)} != {len(self.actions)}:
            raise ValueError("the confusion matrix does not fit the actions")


def quoted_beside(evaluator: Evaluator) -> tuple[Quoted, ...]:
    """The published scores that may stand beside those of an evaluator: none, unless it is of their protocol."""
    return QUOTED if evaluator.kind == "c3d" and evaluator.actions == CLASSES else ()


def read_scores(path: Path) -> Scores:
    """Read `scores.json`. StganError if it cannot be read or is not what `stgan evaluate` writes."""
    scores = read_record(path, Scores, _REMEDY)
    if scores.format != FORMAT:
        raise StganError(f"{quoted(path)} has format {scores.format}, not {FORMAT}; {_REMEDY}")
    return scores


def kept_scores(folder: Path, clips: Sequence[Clip], evaluator: Evaluator | None = None) -> Scores | None:
    """The scores that are kept in a folder, if they are of these clips and of their default windows. Else None.

    Clips are compared by their hashes; without a manifest, by whether files were written after the scores. The scores
    may be over several splits, on another network's features, or compared with real clips: the record says so.

    Args:
        evaluator: the network that must have scored; default: any.

    Raises:
        StganError: there is a file, but it is no record of scores.
    """
    path = folder / SCORES
    if not path.exists():
        return None
    scores = read_scores(path)
    own = (scores.evaluator_hash, scores.protocol)
    by_it = evaluator is None or own == (evaluator.hash, evaluator.describe(MIDDLE))
    windows = scores.judged
    usual = windows is not None and windows.usual and windows.protocol == MIDDLE
    return scores if by_it and usual and _is_current(scores, path, clips) else None


def _is_current(scores: Scores, path: Path, clips: Sequence[Clip]) -> bool:
    scored = {clip.file: clip.sha256 for clip in scores.clips}
    names = {clip.name for clip in clips}
    if not scored.keys() <= names <= scored.keys() | {clip.file for clip in scores.skipped}:
        return False
    written = path.stat().st_mtime_ns
    return all(
        clip.sha256 == scored.get(clip.name, clip.sha256)
        if clip.sha256
        else clip.path.exists() and clip.path.stat().st_mtime_ns <= written
        for clip in clips
    )
