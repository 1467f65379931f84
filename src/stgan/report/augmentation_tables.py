"""An augmentation experiment in words and tables, for its page and for the documentation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stgan.names import printable
from stgan.report.recorded_augmentation import ARMS, AugmentationStudy, Record, Setting, as_study

TITLES = {"generated": "generated only", "real": "real only", "both": "both"}
GAIN = "both − real, points"
QUOTED = "the paper, UCF-101: quoted, not comparable"
_LONGEST = 60  # letters of a setting's name


@dataclass(frozen=True)
class Table:
    """Rows of words under a head. quoted: so many of the last rows are figures of others, not comparable."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    quoted: int = 0

    def markdown(self) -> str:
        """As Markdown, numbers on the right."""
        rule = ("---", *["---:"] * (len(self.head) - 1))
        rows = (self.head, rule, *self.rows)
        return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def percent(share: float) -> str:
    """A fraction as a percentage."""
    return f"{_signed(share)} %"


def points(difference: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return _signed(difference, "+")


def between(summary: Mapping[str, Any]) -> str:
    """A 95 % interval of fractions or of their differences, as numbers in percent; nothing if there is none."""
    if summary["low"] is None:
        return ""
    low, high = _signed(summary["low"]), _signed(summary["high"])
    return f"{low} to {high}" if summary["low"] < 0 else f"{low}–{high}"


def verdict(result: Record) -> tuple[str, str]:
    """(word, sentence): whether generated clips raise the accuracy, as the interval of the paired differences says."""
    gain, seeds = result["summary"]["gain"], len(result["runs"])
    if gain["low"] is None:
        sentence = f"Of one seed, both minus real is {points(gain['mean'])} points: too few to say what is chance."
        return ("unknown", sentence) if seeds == 1 else ("unknown", sentence.replace("one seed", f"{seeds} seeds"))
    found = f"95 % interval {between(gain)}, over {seeds} seeds"
    if gain["low"] > 0:
        return "raised", f"Generated clips raise the accuracy by {_signed(gain['mean'])} points ({found})."
    if gain["high"] < 0:
        return "lowered", f"Generated clips lower the accuracy by {_signed(-gain['mean'])} points ({found})."
    return (
        "unchanged",
        f"Generated clips do not measurably change the accuracy: {points(gain['mean'])} points ({found}).",
    )


def table_by_seed(setting: Setting) -> Table:
    """The paper's Table 3: accuracy on the test clips of each arm, by seed, and the paper's own below."""
    result, summary = setting.result, setting.result["summary"]
    best, published = summary["best_on_test"], result["published"]
    by_seed = list(zip(setting.seeds, *(summary[name]["values"] for name in (*ARMS, "gain")), strict=True))
    rows: list[Sequence[str]] = [
        ("clips to train on", *(_range([run["arms"][name]["clips"] for run in result["runs"]]) for name in ARMS), ""),
        *((f"seed {seed}", *map(percent, values), points(gain)) for seed, *values, gain in by_seed),
        ("mean", *(percent(summary[name]["mean"]) for name in ARMS), points(summary["gain"]["mean"])),
    ]
    if summary["gain"]["low"] is not None:
        rows.append(("95 % interval of the mean", *(between(summary[name]) for name in (*ARMS, "gain"))))
        rows.append(("standard deviation", *(_or_dash(summary[name]["std"]) for name in (*ARMS, "gain"))))
    rows.append(
        (
            "mean, if stopped on the test clips as in the paper",
            *(percent(best[name]["mean"]) for name in ARMS),
            points(best["both"]["mean"] - best["real"]["mean"]),
        )
    )
    quoted = bool(published) and None not in published.values()
    if quoted:
        rows.append(
            (QUOTED, *(percent(published[name]) for name in ARMS), points(published["both"] - published["real"]))
        )
    head = ("trained on", *(TITLES[name] for name in ARMS), GAIN)
    return Table(head, tuple(map(tuple, rows)), int(quoted))


def table_of_settings(study: AugmentationStudy) -> Table:
    """Every setting of a study: clips, seeds, the accuracy of each arm and the paired difference, with intervals."""
    head = ("setting", "clips, real + generated", "seeds", *(TITLES[name] for name in ARMS), GAIN)
    rows = []
    for setting in study.settings:
        arms = [run["arms"] for run in setting.result["runs"]]
        clips = " + ".join(_range([run[name]["clips"] for run in arms]) for name in ("real", "generated"))
        name = printable(setting.name, _LONGEST) + (" (primary)" if setting is study.primary else "")
        rows.append((name, clips, str(len(arms)), *_means(setting.result["summary"])))
    return Table(head, tuple(rows))


def markdown_tables(study: dict[str, Any]) -> str:
    """The tables of a study as Markdown: all its settings, and the primary one by seed (the paper's Table 3).

    Args:
        study: what `study.json` or `augmentation.json` holds; of the latter there is the second table alone.

    Raises:
        ValueError: it has another shape; the message is the place.
    """
    found = as_study(study)
    by_seed = table_by_seed(found.primary).markdown()
    if not found.primary.name:
        return by_seed
    name = printable(found.primary.name, _LONGEST)
    return f"{table_of_settings(found).markdown()}\n{name}, by seed:\n\n{by_seed}"


def _means(summary: Mapping[str, Any]) -> list[str]:
    """Of the three arms and of the difference, each with its interval."""
    means = [percent(summary[name]["mean"]) for name in ARMS] + [points(summary["gain"]["mean"])]
    intervals = [between(summary[name]) for name in (*ARMS, "gain")]
    return [f"{mean} ({interval})" if interval else mean for mean, interval in zip(means, intervals, strict=True)]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"


def _or_dash(share: float | None) -> str:
    return "–" if share is None else _signed(share)


def _signed(share: float, plus: str = "") -> str:
    """In percent with one decimal and a true minus sign; never a negative zero."""
    value = round(100 * share, 1) + 0.0
    sign = "−" if value < 0 else plus if value > 0 else ""
    return f"{sign}{abs(value):.1f}"
