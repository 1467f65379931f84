"""Real clips as examples of actions, to be shown beside generated ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stgan.scoring.clips import Clip
from stgan.scoring.evaluators import Evaluator
from stgan.video import VideoError
from stgan.video.decoding import inspect_clip

_MOST_READ = 20  # clips of an action


@dataclass(frozen=True)
class Example:
    """A real clip, and whether the evaluator was trained on it (None: not known)."""

    clip: Clip
    seen: bool | None


def examples(clips: Sequence[Clip], actions: Iterable[str], evaluator: Evaluator) -> dict[str, Example]:
    """A real clip of each of these actions: the first that the evaluator was not trained on, else the first.

    The evaluator's card lists what it was trained on; if it does not, that is the train split. Of each action, at most
    20 clips are read, those of other splits first.
    """
    found: dict[str, Example] = {}
    for action in actions:
        own = sorted((clip for clip in clips if clip.action == action), key=lambda clip: clip.split == "train")
        for clip in own[:_MOST_READ]:
            try:
                seen = _seen(clip, evaluator)
            except VideoError:
                continue
            found.setdefault(action, Example(clip, seen))
            if seen is False:
                found[action] = Example(clip, seen)
                break
    return found


def _seen(clip: Clip, evaluator: Evaluator) -> bool | None:
    if evaluator.seen:
        return inspect_clip(clip.source).sha256[:16] in evaluator.seen
    return None if clip.split is None else clip.split == "train"
