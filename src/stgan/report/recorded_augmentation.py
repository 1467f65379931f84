"""The records of augmentation experiments: `augmentation.json` of one, `study.json` of several settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stgan.report.untrusted import Shape, count, fitted, fraction, number, pair_of, read, text, truth

AUGMENTATION, STUDY = "augmentation.json", "study.json"
ARMS = ("generated", "real", "both")
_FORMAT, _STUDY_FORMAT = 2, 1
_MOST = 100  # seeds, settings


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and number(value)


def _scalar(value: Any) -> bool:
    return text(value) or number(value) or truth(value)


_POINT = {"iteration": count, "test": fraction, "validation": fraction}
_ARM = {
    "name": text,
    "clips": count,
    "curve": [_POINT],
    "chosen": _POINT,
    "interval": pair_of(fraction),
    "best_on_test": _POINT,
    "best_on_test_interval": pair_of(fraction),
}
_SUMMARY = {"mean": number, "std": number, "low": number, "high": number, "values": [number]}
_OF_ARMS = dict.fromkeys(ARMS, _SUMMARY)
_SHAPE: dict[str, Shape] = {
    "format": count,
    "version": text,
    "initial": text,
    "recipe": {str: lambda value: True},
    "actions": [text],
    "groups": {str: [text]},
    "clips": {str: count},
    "counts": {"real": {str: count}, "generated": {str: count}},
    "networks": [{"role": text, "hash": text, "seen": count}],
    "proven": truth,
    "runs": [{"seed": _whole, "arms": [_ARM]}],
    "summary": {**_OF_ARMS, "best_on_test": _OF_ARMS, "gain": _SUMMARY, "share": number},
    "published": dict.fromkeys(ARMS, fraction),
    "sources": {"real": [text], "generated": [text]},
}
_REQUIRED = {"format": _FORMAT, "runs": None, "summary": None}
_SETTING = {"name": text, "actors": count, "primary": truth, "result": _SHAPE}
_STUDY_SHAPE: dict[str, Shape] = {"format": count, "version": text, "settings": [_SETTING]}
_STUDY_REQUIRED = {"format": _STUDY_FORMAT, "settings": None}

Record = dict[str, Any]
"""What `stgan augment` writes, checked: each run's arms are by name, tables that are missing are empty."""


@dataclass(frozen=True)
class Setting:
    """One experiment of a study. actors: how many people the real clips to train on show, if that is known."""

    name: str
    actors: int | None
    result: Record

    @property
    def seeds(self) -> list[int]:
        """Of the runs, in their order."""
        return [run["seed"] for run in self.result["runs"]]


@dataclass(frozen=True)
class AugmentationStudy:
    """Settings of which one was meant to decide; a single experiment is a study of one, without a name."""

    settings: tuple[Setting, ...]
    primary: Setting


def read_augmentation(folder: Path) -> AugmentationStudy:
    """What a folder's `study.json`, or else its `augmentation.json`, records.

    Raises:
        StganError: neither is there, or it is not what is written by `stgan augment` or a study of it.
    """
    if (folder / STUDY).is_file():
        found = read(folder / STUDY, _STUDY_SHAPE, _STUDY_REQUIRED, "run the study again", _check_study)
    else:
        found = read(folder / AUGMENTATION, _SHAPE, _REQUIRED, "run stgan augment again", _check)
    return _study(found)


def as_study(value: dict[str, Any]) -> AugmentationStudy:
    """The same of what such a file holds. ValueError if that has another shape; the message is the place."""
    if "settings" in value:
        found = fitted(value, _STUDY_SHAPE, _STUDY_REQUIRED)
        _check_study(found)
    else:
        found = fitted(value, _SHAPE, _REQUIRED)
        _check(found)
    return _study(found)


def _study(found: dict[str, Any]) -> AugmentationStudy:
    if "settings" not in found:
        only = Setting("", None, _complete(found))
        return AugmentationStudy((only,), only)
    settings = tuple(Setting(each["name"], each["actors"], _complete(each["result"])) for each in found["settings"])
    decides = next(i for i, each in enumerate(found["settings"]) if each["primary"])
    return AugmentationStudy(settings, settings[decides])


def _check_study(found: dict[str, Any]) -> None:
    settings = found["settings"]
    if not 1 <= len(settings) <= _MOST or sum(bool(each["primary"]) for each in settings) != 1:
        raise ValueError("settings: one is primary")
    for i, setting in enumerate(settings):
        _require(bool(setting["name"]), f"settings[{i}].name")
        _require(setting["result"] is not None and setting["result"]["format"] == _FORMAT, f"settings[{i}].result")
        _check(setting["result"], f"settings[{i}].result.")


def _check(result: dict[str, Any], place: str = "") -> None:
    """ValueError with the place where an experiment lacks what a page is made from."""
    runs, summary = result["runs"], result["summary"]
    _require(bool(runs) and summary is not None and len(runs) <= _MOST, f"{place}runs")
    for i, run in enumerate(runs):
        here = f"{place}runs[{i}]"
        _require(run["seed"] is not None, f"{here}.seed")
        _require(sorted(str(arm["name"]) for arm in run["arms"] or []) == sorted(ARMS), f"{here}.arms")
        for arm in run["arms"]:
            points = [arm["chosen"], arm["best_on_test"], *(arm["curve"] or [None])]
            known = all(point and None not in (point["iteration"], point["test"]) for point in points)
            _require(known and arm["clips"] is not None, f"{here}.arms: {arm['name']}")
    best = summary["best_on_test"] or {}
    tables = {**{name: summary[name] for name in (*ARMS, "gain")}, **{f"best_on_test.{a}": best.get(a) for a in ARMS}}
    for name, table in tables.items():
        sound = table is not None and table["mean"] is not None and len(table["values"] or ()) == len(runs)
        _require(sound and _ordered(table), f"{place}summary.{name}")


def _ordered(table: dict[str, Any]) -> bool:
    """Whether an interval holds its mean, or there is none."""
    low, high = table["low"], table["high"]
    return low is high if None in (low, high) else bool(low <= table["mean"] <= high)


def _require(sound: bool, place: str) -> None:
    if not sound:
        raise ValueError(place)


def _complete(result: dict[str, Any]) -> Record:
    counts, sources, lists = result["counts"] or {}, result["sources"] or {}, ("actions", "networks")
    runs = [{"seed": run["seed"], "arms": {arm["name"]: arm for arm in run["arms"]}} for run in result["runs"]]
    return {
        **result,
        **{name: result[name] or [] for name in lists},
        **{name: result[name] or {} for name in ("groups", "clips")},
        "recipe": {k: v for k, v in (result["recipe"] or {}).items() if k != "seed" and _scalar(v)},
        "counts": {side: {k: v for k, v in (counts.get(side) or {}).items() if v} for side in ("real", "generated")},
        "sources": {side: sources.get(side) or [] for side in ("real", "generated")},
        "runs": runs,
    }
