"""The explanation of one clip: its record `explanation.json`, its film and its picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Interval, MaxLen
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stgan.defaults import MOST_FRAMES
from stgan.devices import batch_size, machine
from stgan.errors import StganError, on_out_of_memory
from stgan.explain.answers import log_probabilities, over_time
from stgan.explain.attribution import COVER, SAMPLES, Attribution, attribute, steps
from stgan.explain.counterfactual import Counterfactual, CounterfactualSettings, find_counterfactual
from stgan.names import listed, printable, quoted
from stgan.pipeline import STGAN
from stgan.records import Count, Fraction, Number, Text, read_record, write_record
from stgan.sampling.objectives import ConditionNetwork, least_side, over_windows, window_of
from stgan.steering import Steering
from stgan.version import __version__
from stgan.video import center_window, to_float, to_uint8, write_video
from stgan.video.decoding import ClipFacts, decode_clip
from stgan.video.strips import Strip, save_strips

RECORD, FILM, PICTURE = "explanation.json", "explanation.mp4", "explanation.png"
_LARGEST = 1 << 20  # bytes of a record; usual ones have about 10,000
_TOP = 5
_DIFFERENCE = 4  # differences are shown so many times as large
_LEAST_SIDE = 160  # pixels of a panel of the film
_HEADER = 20  # pixels above it
_COLUMNS, _LABEL = 8, 14  # frames in the picture, and letters of a label

Frames = UInt8[np.ndarray, "time height width 3"]
Correlation = Annotated[float, Interval(ge=-1, le=1)]


@dataclass(frozen=True)
class Probability:
    """The probability that a network gives to an action."""

    action: Text
    probability: Fraction


@dataclass(frozen=True)
class OverTime:
    """Probabilities over time.

    starts:        the first frame of each window; windows overlap by half.
    frames:        of a window.
    probabilities: of each window, by action: that of the network's first choice and the one to change to.
    """

    starts: Annotated[tuple[Count, ...], MaxLen(MOST_FRAMES)]
    frames: Count
    probabilities: Annotated[dict[Text, Annotated[tuple[Fraction, ...], MaxLen(MOST_FRAMES)]], MaxLen(2)]

    def __post_init__(self) -> None:
        if any(len(values) != len(self.starts) for values in self.probabilities.values()):
            raise ValueError("every window needs one probability of each action")


@dataclass(frozen=True)
class Looks:
    """Where the network looks for its first choice (see `stgan.explain.attribution`).

    place:     the middle of the cube whose covering costs most: time, y and x as shares of the clip.
    cost:      by how much covering it reduces the log odds of the action.
    covering:  the cost of each cube, by time, row and column; `gradients`: their contributions by the gradients.
    agreement: the rank correlation of the two.
    """

    place: tuple[Fraction, Fraction, Fraction]
    cost: Number
    covering: tuple[tuple[tuple[Number, ...], ...], ...]
    gradients: tuple[tuple[tuple[Number, ...], ...], ...]
    agreement: Correlation | None
    samples: Count = SAMPLES
    cover: Count = COVER


@dataclass(frozen=True)
class Change:
    """The counterfactual.

    to:           the action that the changed clip shows to the network.
    flipped:      whether the network says so, with a probability of at least 0.5.
    mean_change:  mean absolute change of the bytes of the clip, of 255.
    over_time:    the share of the change in each frame; they sum to 1.
    before, after: probabilities of the first choice and of `to`.
    """

    to: Text
    flipped: bool
    steps: Count
    share: Fraction
    mean_change: Number
    over_time: Annotated[tuple[Fraction, ...], MaxLen(MOST_FRAMES)]
    before: tuple[Probability, Probability]
    after: tuple[Probability, Probability]
    settings: CounterfactualSettings


@dataclass(frozen=True)
class SecondOpinion:
    """What a second network says of the clip and of the changed one: its first choice, and the probability of `to`.

    `to_before` and `to_after` are None if it does not know that action.
    """

    name: Text
    hash: Text
    before: Probability
    after: Probability
    to_before: Fraction | None
    to_after: Fraction | None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What `explanation.json` holds.

    clip, clip_sha256:      the name of the file, and the SHA-256 of the RGB bytes of all its frames.
    frames, side:           of the part that the network was shown: the middle frames, and the square in the middle.
    condition, condition_hash: the network and the hash of its weights.
    top:                    its first choices, at most five.
    looks:                  None if it was not asked for.
    machine:                what changes the last bits: version of PyTorch, device, threads.
    """

    format: Literal[1] = 1
    clip: Text
    clip_sha256: Text
    frames: Count
    side: Count
    condition: Text
    condition_hash: Text
    seed: int
    top: Annotated[tuple[Probability, ...], MaxLen(_TOP)]
    over_time: OverTime
    looks: Looks | None
    change: Change
    evaluator: SecondOpinion | None
    machine: dict[Text, Any]
    version: Text = __version__


@dataclass(frozen=True)
class SecondNetwork:
    """A network that judges the change.

    actions: in the order of its outputs. frames: of its windows; a shorter clip is played back and forth.
    """

    network: ConditionNetwork
    name: str
    hash: str
    actions: Sequence[str]
    frames: int

    @torch.no_grad()
    def __call__(self, video: Float[Tensor, "3 time height width"]) -> Float[Tensor, " classes"]:
        """Its probabilities."""
        frames = window_of(self.network) or self.frames  # 1 if it looks at one frame at a time
        if video.shape[1] < frames:
            video = video[:, torch.from_numpy(center_window(video.shape[1], frames)).to(video.device)]
        return over_windows(self.network.log_probabilities, video[None], frames)[0].softmax(0)


@dataclass(frozen=True)
class Explainer:
    """Explains what one network says of clips.

    name, hash: of the network. actions: in the order of its outputs.
    frames, side: of the part of a clip that it is shown.
    looks:      whether to find where it looks, which takes most of the time.
    to:         the action of the counterfactual; None: the network's second choice.
    """

    network: ConditionNetwork
    name: str
    hash: str
    actions: Sequence[str]
    frames: int
    side: int
    device: torch.device
    seed: int = 0
    to: str | None = None
    looks: bool = True
    second: SecondNetwork | None = None
    settings: CounterfactualSettings = CounterfactualSettings()

    def __post_init__(self) -> None:
        if self.to is not None and self.to not in self.actions:
            raise StganError(f"unknown action {quoted(self.to)}; {self.name} knows {listed(self.actions, self.to)}")
        if self.second is not None and least_side(self.second.network) > self.side:
            raise StganError(
                f"{self.second.name} crops {least_side(self.second.network)} pixels, and {self.name} is shown "
                f"{self.side}; name another --evaluator"
            )
        if self.second is not None and self.second.hash == self.hash:
            raise StganError(f"{self.second.name} is the network that is explained; name another --evaluator")

    @classmethod
    def of(cls, model: STGAN, steering: Steering, name: str, **options: Any) -> "Explainer":
        """Of the only condition network of a steering. options: the fields from `seed` on."""
        (network,) = steering.networks.condition
        found = model.hashes(steering)["condition"][steering.condition]
        return cls(network, name, found, model.actions, steering.frames, steering.side, model.device, **options)

    @property
    def steps(self) -> int:
        """How many steps of progress a clip takes, at most."""
        covered = steps((self.frames, self.side, self.side), self._batch) if self.looks else 0
        return covered + self.settings.iterations

    @property
    def _batch(self) -> int:
        return batch_size(self.device, self.frames, self.side)

    def explain(self, path: Path, out: Path, on_step: Callable[[], None] = lambda: None) -> Explanation:
        """Explain a video file or a picture, and write the record, the film and the picture into the folder `out`.

        on_step: called after each step of progress, at most `steps` times.

        Raises:
            StganError: the clip cannot be read, the network says the action of the counterfactual already, Captum is
                missing, or there is too little memory.
        """
        if out.exists() and not out.is_dir():
            raise StganError(f"{quoted(out)} is a file; name a folder for the explanation")
        facts, decoded = decode_clip(path, self.side)
        video = to_float(decoded[center_window(len(decoded), self.frames)]).to(self.device)
        with on_out_of_memory("there is not enough memory to explain so many frames; ask for fewer with --frames"):
            found, attribution, change = self._explained(path.name, facts, video, on_step)
        out.mkdir(parents=True, exist_ok=True)
        panels = _panels(found, video, attribution, change)
        write_video(out / FILM, _film(panels), facts.fps)
        strips = [Strip(printable(label, _LABEL), frames) for label, frames in panels.items()]
        save_strips(out / PICTURE, strips, _COLUMNS)
        write_record(out / RECORD, found)
        return found

    def _explained(
        self, name: str, facts: ClipFacts, video: Float[Tensor, "3 time height width"], on_step: Callable[[], None]
    ) -> tuple[Explanation, Attribution | None, Counterfactual]:
        before = self._probabilities(video)
        order = before.argsort(descending=True).tolist()
        first, to = order[0], order[1] if self.to is None else self.actions.index(self.to)
        if first == to:
            raise StganError(
                f"{self.name} already says {quoted(self.actions[to])} of {quoted(name)}; name another --to"
            )
        attribution = None
        if self.looks:
            attribution = attribute(self.network, video, first, seed=self.seed, batch=self._batch, on_step=on_step)
        change = find_counterfactual(self.network, video, to, self.settings, lambda step: on_step())
        after = self._probabilities(change.video)
        starts, length, windows = over_time(self.network, video)
        distance = (change.video - video).abs().double()
        per_frame = distance.sum((0, 2, 3))
        pairs = [tuple(self._named(values, number) for number in (first, to)) for values in (before, after)]
        explanation = Explanation(
            clip=name,
            clip_sha256=facts.sha256,
            frames=self.frames,
            side=self.side,
            condition=self.name,
            condition_hash=self.hash,
            seed=self.seed,
            top=tuple(self._named(before, number) for number in order[:_TOP]),
            over_time=OverTime(
                tuple(starts),
                length,
                {
                    self.actions[number]: tuple(_fraction(value) for value in windows[:, number])
                    for number in (first, to)
                },
            ),
            looks=None if attribution is None else _looks(attribution),
            change=Change(
                to=self.actions[to],
                flipped=change.flipped,
                steps=change.steps,
                share=change.share,
                mean_change=255 * float(distance.mean()),
                over_time=tuple(_fraction(value) for value in per_frame / per_frame.sum().clamp(min=1e-30)),
                before=pairs[0],  # type: ignore[arg-type]
                after=pairs[1],  # type: ignore[arg-type]
                settings=self.settings,
            ),
            evaluator=None if self.second is None else self._second_opinion(video, change.video, self.actions[to]),
            machine=machine(self.device),
        )
        return explanation, attribution, change

    @torch.no_grad()
    def _probabilities(self, video: Tensor) -> Tensor:
        return log_probabilities(self.network, video[None])[0].exp()

    def _named(self, values: Tensor, number: int) -> Probability:
        return Probability(self.actions[number], _fraction(values[number]))

    def _second_opinion(self, video: Tensor, changed: Tensor, to: str) -> SecondOpinion:
        assert self.second is not None
        second, answers = self.second, []
        for each in (video, changed):
            values = second(each)
            best = int(values.argmax())
            known = _fraction(values[second.actions.index(to)]) if to in second.actions else None
            answers.append((Probability(second.actions[best], _fraction(values[best])), known))
        (before, to_before), (after, to_after) = answers
        return SecondOpinion(second.name, second.hash, before, after, to_before, to_after)


def read_explanation(folder: Path) -> Explanation:
    """The record of a folder. StganError if there is none, or it is not what `stgan explain` writes."""
    return read_record(folder / RECORD, Explanation, "run stgan explain again", _LARGEST)


def _looks(found: Attribution) -> Looks:
    shape = found.covering.shape
    place = np.unravel_index(int(found.covering.argmax()), shape)
    # The first cube begins with the clip and the last one ends with it.
    half = 0.5 / COVER
    middle = [
        half + (1 - 2 * half) * (i / (size - 1)) if size > 1 else 0.5 for i, size in zip(place, shape, strict=True)
    ]
    return Looks(
        place=(middle[0], middle[1], middle[2]),
        cost=float(found.covering.max()),
        covering=_nested(found.covering),
        gradients=_nested(found.cubes),
        agreement=found.agreement,
    )


def _nested(values: Tensor) -> Any:
    return tuple(tuple(tuple(row) for row in rows) for rows in values.double().cpu().tolist())


def _fraction(value: Tensor) -> float:
    """A probability as a number; sums of rounded numbers may be a little above 1."""
    return min(1.0, max(0.0, float(value)))


def _panels(
    found: Explanation, video: Tensor, attribution: Attribution | None, change: Counterfactual
) -> dict[str, Frames]:
    """The clip, where the network looks, the changed clip, and the difference, by their labels."""
    first, to = found.top[0].action, found.change.to
    panels = {first: to_uint8(video)}
    if attribution is not None:
        panels["where it looks"] = _heated(video, attribution.heat)
    panels[f"as {to}"] = to_uint8(change.video)
    panels[f"difference x{_DIFFERENCE}"] = to_uint8((0.5 + _DIFFERENCE * (change.video - video)).clamp(0, 1))
    return panels


def _heated(video: Float[Tensor, "3 time height width"], heat: Float[Tensor, "time height width"]) -> Frames:
    """Heat over a grey copy of the clip."""
    grey = 0.7 * video.mean(0).cpu().numpy()[..., None]
    level = np.sqrt(heat.cpu().numpy())
    colours = colormaps["inferno"](level)[..., :3]
    opacity = 0.85 * level[..., None]
    return (255 * (grey * (1 - opacity) + colours * opacity)).round().clip(0, 255).astype(np.uint8)


def _film(panels: dict[str, Frames]) -> Frames:
    """The panels side by side, each with its label above it."""
    (side, *_) = (frames.shape[1] for frames in panels.values())
    factor = -(-_LEAST_SIDE // side)
    large = [frames.repeat(factor, 1).repeat(factor, 2) for frames in panels.values()]
    header = Image.new("RGB", (len(panels) * side * factor, _HEADER), "white")
    draw, font = ImageDraw.Draw(header), ImageFont.load_default(13)
    for place, label in enumerate(panels):
        draw.text((place * side * factor + 4, 2), printable(label, 24), fill="black", font=font)
    top = np.broadcast_to(np.asarray(header), (len(large[0]), *np.asarray(header).shape))
    return np.concatenate([top, np.concatenate(large, 2)], 1)
