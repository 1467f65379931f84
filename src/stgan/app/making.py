"""Generation as a job of the page: the clips as they stand, the probability, the time left, and what was made."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from markupsafe import Markup
from torch import Tensor

from stgan.app.desk import Desk
from stgan.app.request import Request
from stgan.app.shown import gallery, verdicts
from stgan.app.work import PAUSE, Work
from stgan.checkpoints.own_classifier import is_own_classifier
from stgan.generation import FPS, GenerationJob
from stgan.names import duration
from stgan.report.films import strip
from stgan.report.iterations import Trace, maximised
from stgan.report.page import fixed, picture_uri
from stgan.report.shown import shown_clips
from stgan.sampling import SpectralSettings
from stgan.video import to_uint8, write_gif
from stgan.video.encoding import LARGEST_GIF

_WIDE, _HIGH = 480, 90  # of the curve
_COLUMNS = 8  # frames of the strip
_PROBABILITY = "probability"


def start(desk: Desk, request: Request, folder: Path, resume: bool = False) -> Work:
    """Put the generation of a request into the queue. Its clips are written to the folder, one by one."""
    what = request.target or ", ".join(request.actions) or "all actions"
    return desk.worker.submit(f"{folder.name}: {what}", partial(_make, desk, request, folder, resume))


def _make(desk: Desk, request: Request, folder: Path, resume: bool, work: Work) -> Markup:
    work.view = Markup("<p>Loading the networks ...</p>")
    job = request.job(folder, desk)
    trace = Trace(job.preset.iterations, maximised(job.steering.classifiers, job.preset.name, job.steering.target))
    companions = {".trace.png": lambda clip, path: trace.save(path, clip.place)} if request.target else {}
    if job.steering.side <= LARGEST_GIF:
        companions[".gif"] = lambda clip, path: write_gif(path, clip.frames, FPS)
    with job.open(folder, resume=resume, companions=companions) as run:
        seen = Seen(work, job, left=sum(len(unit.clips) for unit in run.units() if not run.folder.begun(unit)))

        def on_iteration(iteration: int, objective: Tensor, render: Callable[[], Tensor]) -> None:
            work.step()
            if request.target:
                trace.record(iteration, objective, render)
            seen.iteration(iteration, objective, render)

        for _, made_now in run.make_all(on_iteration):
            seen.finished += len(made_now)
    return made(desk, request, folder)


def made(desk: Desk, request: Request, folder: Path) -> Markup:
    """The clips of a run, with the verdict of every network; of a target, also its trace."""
    shown = shown_clips(folder, None)
    clips = [each.clip for each in shown]
    own = is_own_classifier(request.condition)
    traces = [picture_uri(each.path.with_suffix(".trace.png")) for each in shown]
    pictures = [
        Markup('<figure class="trace"><img src="{}" alt="The clip {} over the iterations"></figure>').format(
            uri, number
        )
        for number, uri in enumerate(traces, 1)
        if uri
    ]
    return gallery(clips, verdicts(desk, request.model, clips, shown if own else ())) + Markup().join(pictures)


@dataclass
class Seen:
    """What the page shows of a running generation.

    began: the time after the first iteration, and the share of all iterations that it was.
    """

    work: Work
    job: GenerationJob
    left: int
    finished: int = 0
    steps: int = 0
    curve: list[float] = field(default_factory=list)
    began: tuple[float, float] | None = None
    shown: float = -math.inf

    @property
    def what(self) -> str:
        """What the curve shows, which is what the clip maximises, or the probability where that is its logarithm."""
        if self.job.steering.target:
            return "activation"
        return "logit minus mean logit" if isinstance(self.job.preset, SpectralSettings) else _PROBABILITY

    def iteration(self, iteration: int, objective: Tensor, render: Callable[[], Tensor]) -> None:
        """Note an iteration; now and then, also show the clip."""
        if iteration == 0:
            self.curve.clear()
        self.steps += 1
        value = float(objective[0])
        self.curve.append(math.exp(min(value, 0.0)) if self.what == _PROBABILITY else value)
        if time.monotonic() - self.shown < PAUSE and iteration + 1 < self.job.preset.iterations:
            return
        self.shown = time.monotonic()
        frames = to_uint8(render()[0].detach().float().cpu())
        share = (self.finished + (iteration + 1) / self.job.preset.iterations) / max(1, self.left)
        left = "some time"
        if self.began is None:  # the frame that is drawn before the first iteration says nothing of the others
            self.began = self.shown, share
        elif share > self.began[1]:
            left = "about " + duration((self.shown - self.began[0]) * (1 - share) / (share - self.began[1]))
        self.work.view = Markup(
            '<div class="live"><p><b>{}</b><br>clip {} of {}, iteration {} of {}, {} left</p>'
            '<progress max="1" value="{:.4f}" aria-label="Progress"></progress>'
            '<img src="{}" alt="Frames of the clip as it stands">{}<p class="soft small">{} under the networks that '
            "steer: {}</p></div>"
        ).format(
            self.work.title,
            min(self.finished + 1, self.left),
            self.left,
            iteration + 1,
            self.job.preset.iterations,
            left,
            share,
            strip(frames, _COLUMNS),
            _drawn(self.curve, self.what),
            self.what,
            fixed(self.curve[-1]) if math.isfinite(self.curve[-1]) else "not measured in this iteration",
        )


def _drawn(values: list[float], what: str) -> Markup:
    """A curve over the iterations as SVG, without values that are not finite; empty if there are no others."""
    known = [(place, value) for place, value in enumerate(values) if math.isfinite(value)]
    if not known:
        return Markup()
    top = 1.0 if what == _PROBABILITY else max([1e-9, *(value for _, value in known)])
    bottom = min([0.0, *(value for _, value in known)])
    wide = _WIDE / max(1, len(values) - 1)
    points = [
        f"{place * wide:.1f},{_HIGH - (_HIGH - 4) * (value - bottom) / (top - bottom) - 2:.1f}"
        for place, value in known
    ]
    points.append(points[-1])  # a line of one point is drawn as a dot by its round ends
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="The {} over the iterations"><rect width="100%" height="100%" '
        'fill="none" stroke="currentColor" opacity="0.2"/><polyline points="{}" fill="none" stroke="currentColor" '
        'stroke-width="3" stroke-linecap="round"/></svg>'
    ).format(_WIDE, _HIGH, what, " ".join(points))
