"""Folders of several generators' clips, as `stgan generate` leaves them."""

from pathlib import Path

import numpy as np
from manifest_lines import write_lines

from stgan.files import sha256
from stgan.video import write_video

ACTIONS = ("grow", "left", "right")


def make_generator(
    folder: Path, *, num: int = 4, seed: int | None = 0, flicker: int = 0, actions: tuple[str, ...] = ACTIONS
) -> Path:
    """Clips of 16x16 with a square that moves, of each action. Their contents depend on the folder's name.

    seed: None leaves out the manifest. flicker: levels by which every second frame is brighter.
    """
    rng = np.random.default_rng(list(folder.name.encode()))
    lines = []
    for index in range(num):
        for place, action in enumerate(actions):
            frames = np.full((16, 16, 16, 3), rng.integers(40, 90, 3), np.uint8)
            for t in range(16):
                x = {"left": 12 - t // 2, "right": 2 + t // 2}.get(action, 6)
                frames[t, 4 + index : 8 + index, x : x + 4] = 200 - 20 * place
                frames[t] += np.uint8(flicker * (t % 2))
            name = f"{action}/{action}_{index}.mp4"
            (folder / action).mkdir(parents=True, exist_ok=True)
            write_video(folder / name, frames)
            steered = {"condition": {"lrcn": "0" * 64}}
            lines.append(
                {
                    "file": name, "action": action, "index": index, "seed": seed, "hashes": steered,
                    "sha256": sha256(folder / name),
                }
            )  # fmt: skip
    if seed is not None:
        write_lines(folder, lines)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of an output folder, by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
