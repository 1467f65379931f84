"""How many generated clips are copies: of training clips, or of other clips of the same run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from stgan.metrics.classification import wilson_interval
from stgan.metrics.copies import (
    APART,
    FEWEST,
    FRAMES,
    NEAR_DUPLICATE,
    Nearest,
    copy_threshold,
    nearest_references,
    pixel_differences,
)
from stgan.scoring.measurements import Measurements
from stgan.scoring.scores import Copied, Copies, NearDuplicates, NearestTraining
from stgan.video import window_at

_MOST_REFERENCES = 100_000  # frames of training clips; of more, only every fourth counts
_MOST_WINDOWS = 2000  # of real clips, from which a threshold is taken
_MOST_PAIRED = 200  # real clips of an action, of which differences are averaged


@dataclass(frozen=True)
class CopyScores:
    """What is known about copies; empty without real clips.

    of_training, of_each_other: None if they cannot be measured.
    clips:       fields of `ClipScores` by the names of the clips.
    beside_real: values of generated and of real clips, by the keys of `stgan.metrics.table`.
    notes:       what cannot be measured, and why.
    """

    of_training: Copies | None = None
    of_each_other: NearDuplicates | None = None
    clips: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    beside_real: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class _Clips:
    """Clips with the thumbnails of their frames, and the windows that lie side by side in them.

    groups: a clip without one is a group of its own.
    frames: the numbers of the frames that the thumbnails show.
    starts: (clip, thumbnail) of the first thumbnail of each window.
    """

    def __init__(self, *measured: Measurements) -> None:
        pairs = (pair for part in measured for pair in zip(part.clips, part.thumbnails, strict=True))
        found = {clip.name: (clip, own) for clip, own in pairs}.values()
        self.clips = [clip for clip, _ in found]
        self.groups = [clip.group or clip.name for clip in self.clips]
        # A clip that is shorter than a window is played back and forth.
        self.frames = [window_at(len(own), max(len(own), FRAMES)) for _, own in found]
        self.thumbnails = [torch.from_numpy(own[i]) for (_, own), i in zip(found, self.frames, strict=True)]
        self.starts = [
            (number, start)
            for number, own in enumerate(self.thumbnails)
            for start in range(0, len(own) - FRAMES + 1, FRAMES)
        ]

    def windows(self, starts: Sequence[tuple[int, int]]) -> UInt8[Tensor, "n frames side side"]:
        """The compared frames of the windows that begin there."""
        return torch.stack([self.thumbnails[clip][start : start + FRAMES : APART] for clip, start in starts])


def copy_scores(
    generated: Measurements, training: Measurements, others: Measurements | None, training_name: str
) -> CopyScores:
    """How near generated clips are to training clips, and to each other.

    A clip is a copy if it is nearer to a training clip than 99 % of the windows of real clips that are no copies.
    These are the `others`; if there are too few, all real clips. Each is compared with training clips of other groups
    (actors, source videos) only. Of a generated clip with several windows, the nearest one counts.

    Args:
        training: the real clips that count as training clips. others: the rest.
        training_name: in words, which these are.
    """
    rest = (others,) if others else ()
    ours, trained, every = _Clips(generated), _Clips(training), _Clips(training, *rest)
    real, baseline = _Clips(*rest), "real clips that are not among these"
    if len(real.starts) < FEWEST:
        known = all(clip.group for clip in every.clips)
        real, baseline = every, f"real clips, each beside those of other {'groups' if known else 'files'}"
    starts = real.starts[:_MOST_WINDOWS]  # of clips whose order is as good as random
    step = 1 if sum(map(len, trained.thumbnails)) <= _MOST_REFERENCES else APART
    references = [own[::step] for own in trained.thumbnails]
    number = {name: i for i, name in enumerate(dict.fromkeys(trained.groups + real.groups))}
    found = nearest_references(ours.windows(ours.starts), references, APART // step)
    usual = nearest_references(
        real.windows(starts),
        references,
        APART // step,
        torch.tensor([number[real.groups[clip]] for clip, _ in starts]),
        [number[name] for name in trained.groups],
    )
    fields: dict[str, dict[str, Any]] = {clip.name: {} for clip in ours.clips}
    both = {}
    for kind, near, far in zip(("frame", "window"), found, usual, strict=True):
        limit = copy_threshold(far.distance)
        nearest = _nearest_training(ours, trained, near, step, limit)
        for name, each in nearest.items():
            fields[name][f"nearest_{kind}"] = each
        both[kind] = _copied(list(nearest.values()), far.distance[far.distance.isfinite()], limit)
    duplicates, twins = _near_duplicates(ours, every)
    for name, other in twins.items():
        fields[name]["duplicate_of"] = other
    copies = Copies(
        frames=both["frame"],
        windows=both["window"],
        training=training_name,
        num_training=len(trained.clips),
        baseline=baseline,
        num_windows=int(usual[0].distance.isfinite().sum()),
        num_videos=len({clip for clip, _ in starts}),
    )
    few = f"{copies.num_windows} windows of real clips are too few to say which clips are copies; {FEWEST} are needed"
    return CopyScores(
        copies,
        duplicates,
        fields,
        {
            "frame_distance": (copies.frames.generated, copies.frames.real),
            "window_distance": (copies.windows.generated, copies.windows.real),
            "near_duplicates": (duplicates.share, duplicates.real) if duplicates else (None, None),
        },
        (few,) if copies.frames.threshold is None else (),
    )


def _nearest_training(
    ours: _Clips, trained: _Clips, near: Nearest, step: int, limit: float | None
) -> dict[str, NearestTraining]:
    """For each generated clip, by its name. Of several windows, the nearest one counts."""
    found: dict[str, NearestTraining] = {}
    for row in near.distance.argsort(stable=True).tolist():
        (clip, start), distance = ours.starts[row], float(near.distance[row])
        reference, thumbnail = near.place[row].tolist()
        nearest = NearestTraining(
            file=trained.clips[reference].name,
            frame=int(trained.frames[reference][step * thumbnail]),
            own_frame=int(ours.frames[clip][start + APART * int(near.own[row])]),
            distance=distance,
            copied=None if limit is None else distance < limit,
        )
        found.setdefault(ours.clips[clip].name, nearest)
    return found


def _copied(nearest: Collection[NearestTraining], usual: Float[Tensor, " n"], limit: float | None) -> Copied:
    num = None if limit is None else sum(bool(each.copied) for each in nearest)
    return Copied(
        threshold=limit,
        num=num,
        share=None if num is None else num / len(nearest),
        interval=None if num is None else wilson_interval(num, len(nearest)),
        generated=median(each.distance for each in nearest),
        real=float(usual.median()) if len(usual) else None,
    )


def _near_duplicates(ours: _Clips, real: _Clips) -> tuple[NearDuplicates | None, dict[str, str]]:
    """Clips that differ from another one of their action by less than a fifth of the mean over pairs of real clips.

    Returns the shares (None without two clips of an action on both sides), and the nearest other clip of each by name.
    """
    counted, twins, of_real = 0, dict[str, str](), list[Tensor]()
    nameless = any(clip.action is None for clip in (*ours.clips, *real.clips))
    for action in {None if nameless else clip.action for clip in ours.clips}:
        made, known = (
            [i for i, clip in enumerate(side.clips) if action in (None, clip.action)] for side in (ours, real)
        )
        if min(len(made), len(known)) < 2:
            continue
        apart = _differences(real, known[:_MOST_PAIRED])
        limit = NEAR_DUPLICATE * float(apart.sum() / (len(apart) * (len(apart) - 1)))
        of_real += [_nearest_other(apart)[0] < limit]
        nearest, other = _nearest_other(_differences(ours, made))
        counted += len(made)
        twins |= {
            ours.clips[made[i]].name: ours.clips[made[int(other[i])]].name
            for i in (nearest < limit).nonzero().flatten().tolist()
        }
    if not counted:
        return None, {}
    share = NearDuplicates(
        num=len(twins),
        share=len(twins) / counted,
        interval=wilson_interval(len(twins), counted),
        real=float(torch.cat(of_real).double().mean()),
    )
    return share, twins


def _differences(side: _Clips, chosen: Sequence[int]) -> Float[Tensor, "n n"]:
    """Of the first windows of some clips."""
    return pixel_differences(side.windows([(i, 0) for i in chosen]))


def _nearest_other(differences: Float[Tensor, "n n"]) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    nearest = differences.fill_diagonal_(torch.inf).min(1)
    return nearest.values, nearest.indices
