"""What the screens share: loaded models, networks that judge, the folder of runs, and the worker."""

import re
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from stgan.app.work import Worker
from stgan.checkpoints import ModelFolder, find_model
from stgan.checkpoints.own_classifier import OWN, is_own_classifier, load_own_classifier
from stgan.defaults import BOTH
from stgan.errors import StganError
from stgan.manifest import MANIFEST
from stgan.names import quoted
from stgan.parts import RUN
from stgan.pipeline import STGAN
from stgan.scoring import Evaluator, evaluator_of

_MOST_LOADED = 12  # models and networks in memory
_MOST_RUNS = 1000  # that are listed

T = TypeVar("T")


@dataclass
class Desk:
    """What a page works with. All of it is chosen when `stgan app` starts; a browser only chooses among it.

    folder:      of the runs. Each is a folder in it.
    models:      by name, what `find_model` takes.
    classifiers: names of further condition networks, as `--condition` takes them.
    readable:    folders of clips that may be read besides the runs, by name.
    temporary:   a folder for files that browsers fetch and send.
    """

    folder: Path
    temporary: Path
    models: Mapping[str, str | Path]
    classifiers: Sequence[str] = ()
    readable: Mapping[str, Path] = field(default_factory=dict)
    device: torch.device = torch.device("cpu")
    worker: Worker = field(default_factory=Worker)
    _loaded: dict[Hashable, Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def model_folder(self, model: str) -> ModelFolder:
        return find_model(self.models[_known(model, self.models, "model")])

    def model(self, model: str, condition: str) -> STGAN:
        """A loaded model, which is steered by its own networks unless the condition is one of `classifiers`."""
        if condition in self.classifiers and is_own_classifier(condition):
            name = self.models[_known(model, self.models, "model")]
            return self._once(
                (model, condition),
                lambda: STGAN.from_pretrained(name, self.device, load_own_classifier(condition, self.device)),
            )
        return self._once((model, ""), lambda: STGAN(self.model_folder(model), self.device))

    def check(self, model: str, condition: str) -> None:
        """StganError unless both are of the lists to choose from."""
        _known(condition, dict.fromkeys([BOTH, *self.conditions(model)]), "network")

    def condition(self, condition: str) -> str:
        """Its name within a model that `model` returns."""
        return OWN if condition in self.classifiers else condition

    def conditions(self, model: str) -> list[str]:
        """The condition networks to choose from."""
        return [*self.model_folder(model).condition, *self.classifiers]

    def evaluators(self, model: str) -> Iterator[Evaluator]:
        """All classifiers of a model, those that never steer first."""
        folder = self.model_folder(model)
        for name in (*folder.evaluators, *folder.condition):
            judge = partial(evaluator_of, folder, name, device=self.device)
            yield self._once((model, name, "judge"), judge)

    def runs(self) -> list[Path]:
        """The folders of clips below `folder`, the newest first."""
        folders = [path for path in self.folder.iterdir() if not path.is_symlink()]
        found = [path for path in folders if (path / RUN).is_file() or (path / MANIFEST).is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[:_MOST_RUNS]

    def run(self, name: str | None) -> Path:
        """The run of this name. StganError for any other name, as it comes from a browser."""
        found = {path.name: path for path in self.runs()}
        return found[_known(name, found, "run")]

    def readable_folder(self, name: str) -> Path:
        """The folder of this name that was allowed when the page started."""
        return self.readable[_known(name, self.readable, "folder")]

    def folder_of(self, name: str) -> Path:
        """The run or the readable folder of this name."""
        return self.readable[name] if name in self.readable else self.run(name)

    def own(self, folder: Path) -> Path:
        """Where files about a folder are written: the folder itself if it is a run, else a new one beside the runs."""
        return folder if folder.parent == self.folder else self.new_run(folder.name)

    def new_run(self, words: str) -> Path:
        """A new folder for a run."""
        stem = re.sub(r"[^\w-]+", "_", words).strip("_")[:60] or "run"
        number = 1
        while True:
            path = self.folder / f"{stem}_{number}"
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                number += 1

    def _once(self, key: Hashable, load: Callable[[], T]) -> T:
        """What was loaded under this key. Of many, the one that was not used for the longest time is given up."""
        with self._lock:
            found = self._loaded.pop(key, None)
            if found is None:
                found = load()
                while len(self._loaded) >= _MOST_LOADED:
                    del self._loaded[next(iter(self._loaded))]
            self._loaded[key] = found
            return found


def _known(name: str | None, known: Mapping[str, Any], what: str) -> str:
    if name is None or name not in known:
        raise StganError(f"there is no {what} {quoted(str(name))}; choose one of the list")
    return name
