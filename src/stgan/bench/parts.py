"""The time that each part of the sampler takes, forward and backward, by its timer (`stgan.sampling.task.Timer`)."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

REST = "rest"
"""Everything outside the networks, such as steps, noise and transforms."""

TimedPart = tuple[str, str]
"""A part's name and "forward" or "backward"."""

_REST: TimedPart = (REST, "forward")


class PartTimer:
    """Assigns what `read` counts, seconds or operations, to the running part: `sample(..., timer=PartTimer(read))`.

    The backward pass of a part begins when the gradient of its output is known. It ends when the gradient of its input
    is known.

    amounts: the amount of each part since the last `lap`.
    laps:    the amounts of former laps.
    """

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read
        self.amounts: dict[TimedPart, float] = {}
        self.laps: list[dict[TimedPart, float]] = []
        self.part, self.last = _REST, read()

    def __call__(self, part: str, function: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """Measure function(*inputs) and return its output."""
        inputs = tuple(self._watched(each) for each in inputs)
        before = self.enter((part, "forward"))
        try:
            output = function(*inputs)
        finally:
            self.enter(before)
        if output.requires_grad:
            self._enter_with_gradient(output, (part, "backward"))
        return output

    def enter(self, part: TimedPart) -> TimedPart:
        """Assign everything from now on to this part, and return the former part."""
        now = self.read()
        self.amounts[self.part] = self.amounts.get(self.part, 0.0) + now - self.last
        self.last, before, self.part = now, self.part, part
        return before

    def lap(self) -> dict[TimedPart, float]:
        """End a lap and return its amounts."""
        self.enter(_REST)
        self.laps.append(self.amounts)
        self.amounts = {}
        return self.laps[-1]

    def _watched(self, value: Any) -> Any:
        """An input of a part, as a view whose gradient ends the backward pass of the part.

        Hooks on the tensor itself would run after those of the part that computed it.
        """
        if not isinstance(value, Tensor) or not value.requires_grad:
            return value
        view = value.view_as(value)
        self._enter_with_gradient(view, _REST)
        return view

    def _enter_with_gradient(self, tensor: Tensor, part: TimedPart) -> None:
        """Enter a part when the gradient of this tensor is known."""

        def hook(gradient: Tensor) -> None:
            self.enter(part)

        tensor.register_hook(hook)
