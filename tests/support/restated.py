"""C3D and LRCN's recurrence by their equations, and bilinear interpolation, in NumPy and double precision; weights as
their programs have them.
"""

from collections.abc import Sequence

import numpy as np
from published import Source

POOLS_AFTER = ("conv1a", "conv2a", "conv3b", "conv4b", "conv5b")


def c3d_logits(layers: Sequence[Source], clip: np.ndarray, pool5: str = "up") -> np.ndarray:
    """Facebook's Caffe network on its input, "3 time height width": 3D convolutions, poolings that round up.

    pool5: "up"; or "around", where ports to PyTorch pad it by one pixel on each side.
    """
    x = clip.astype(np.float64)
    inner = [layer for layer in layers if layer.arrays[0].ndim == 2]
    for layer in layers[: -len(inner)]:
        x = np.maximum(convolve(x, *layer.arrays), 0)
        if layer.name == "conv5b" and pool5 == "around":
            x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))[:, :, :8, :8]  # and what is over of nine is dropped
        if layer.name in POOLS_AFTER:
            x = max_pool(x, (1 if layer.name == "conv1a" else 2, 2, 2))
    x = x.reshape(-1)
    for i, layer in enumerate(inner):
        x = layer.arrays[0].astype(np.float64) @ x + layer.arrays[1]
        if i < len(inner) - 1:
            x = np.maximum(x, 0)
    return x


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A 3x3x3 convolution as the sum of 27 matrix products, one for each shift."""
    channels, *lengths = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1)))
    total = np.repeat(bias.astype(np.float64), np.prod(lengths)).reshape(len(bias), -1)
    for t, row, column in np.ndindex(3, 3, 3):
        shifted = padded[:, t : t + lengths[0], row : row + lengths[1], column : column + lengths[2]]
        total += weight[:, :, t, row, column].astype(np.float64) @ shifted.reshape(channels, -1)
    return total.reshape(len(bias), *lengths)


def max_pool(x: np.ndarray, window: tuple[int, int, int]) -> np.ndarray:
    """Windows side by side; as Caffe rounds up, one that sticks out takes what it has."""
    for axis, length in enumerate(window, 1):
        x = np.stack(
            [x.take(range(start, min(start + length, x.shape[axis])), axis).max(axis)
             for start in range(0, x.shape[axis], length)], axis,
        )  # fmt: skip
    return x


def caffe_lstm(arrays: Sequence[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """LSTMLayer and LSTMUnitLayer: states "time size" of inputs "time values", from zero; gates i, f, o, g."""
    from_input, bias, from_state = (array.astype(np.float64) for array in arrays)
    size = from_state.shape[1]
    state, cell, states = np.zeros(size), np.zeros(size), []
    for value in inputs:
        gates = (from_input @ value + bias + from_state @ state).reshape(4, size)
        input_gate, forget_gate, output_gate = 1 / (1 + np.exp(-gates[:3]))
        cell = forget_gate * cell + input_gate * np.tanh(gates[3])
        state = output_gate * np.tanh(cell)
        states.append(state)
    return np.stack(states)


def between_four(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear between the four nearest pixels, whose centres are at half numbers."""
    places = []
    for new, old in ((height, image.shape[0]), (width, image.shape[1])):
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, None)
        low = np.minimum(np.floor(at).astype(int), old - 1)
        places.append((low, np.minimum(low + 1, old - 1), at - low))
    (top, bottom, down), (left, right, across) = places
    down, across = down[:, None, None], across[None, :, None]
    rows = image[top] * (1 - down) + image[bottom] * down
    return rows[:, left] * (1 - across) + rows[:, right] * across
