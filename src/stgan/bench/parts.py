"""Which part of the sampler the time goes to: its timer (`stgan.sampling.task.Timer`), forward and backward."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

REST = "rest"
"""Everything outside the networks: steps, noise, transforms, bookkeeping."""

TimedPart = tuple[str, str]
"""A part's name and "forward" or "backward"."""

_REST: TimedPart = (REST, "forward")


class PartTimer:
    """Assigns what `read` counts, seconds or operations, to the part that runs: `sample(..., timer=PartTimer(read))`.

    The backward pass of a part begins when the gradient of its output is known, and ends with that of its input.

    amounts: of each part since the last `lap`.
    laps:    the amounts of former laps.
    """

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read
        self.amounts: dict[TimedPart, float] = {}
        self.laps: list[dict[TimedPart, float]] = []
        self.part, self.last = _REST, read()

    def __call__(self, part: str, function: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """function(*inputs), measured."""
        inputs = tuple(self._until(each) for each in inputs)
        before = self.enter((part, "forward"))
        try:
            output = function(*inputs)
        finally:
            self.enter(before)
        if output.requires_grad:
            output.register_hook(lambda gradient: self._hook((part, "backward")))
        return output

    def enter(self, part: TimedPart) -> TimedPart:
        """From now on this part runs; returns the one before."""
        now = self.read()
        self.amounts[self.part] = self.amounts.get(self.part, 0.0) + now - self.last
        self.last, before, self.part = now, self.part, part
        return before

    def lap(self) -> dict[TimedPart, float]:
        """End a lap; returns its amounts."""
        self.enter(_REST)
        self.laps.append(self.amounts)
        self.amounts = {}
        return self.laps[-1]

    def _until(self, value: Any) -> Any:
        """An input whose gradient ends the backward pass of what it goes into.

        It is a view, because hooks on the tensor itself would run after those of the part that made it.
        """
        if not isinstance(value, Tensor) or not value.requires_grad:
            return value
        view = value.view_as(value)
        view.register_hook(lambda gradient: self._hook(_REST))
        return view

    def _hook(self, part: TimedPart) -> None:
        self.enter(part)
