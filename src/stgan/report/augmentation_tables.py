"""Sentences and tables about an augmentation experiment, for its page and for the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass

from stgan.metrics.means import Mean
from stgan.names import printable
from stgan.studies.actors import SettingResult, StudyResult
from stgan.studies.augmentation import ARMS, ArmName, AugmentationResult

TITLES: dict[ArmName, str] = {"generated": "generated only", "real": "real only", "both": "both"}
GAIN = "both − real, points"
QUOTED = "the paper, UCF-101: quoted, not comparable"
_LONGEST = 60  # letters of a setting's name


@dataclass(frozen=True)
class Table:
    """Rows of text below a head. quoted: the number of last rows that quote other authors and are not comparable."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    quoted: int = 0

    def markdown(self) -> str:
        """The table as Markdown, with numbers aligned to the right."""
        rule = ("---", *["---:"] * (len(self.head) - 1))
        rows = (self.head, rule, *self.rows)
        return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def percent(share: float) -> str:
    """A fraction as a percentage."""
    return f"{_signed(share)} %"


def points(difference: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return _signed(difference, "+")


def between(mean: Mean) -> str:
    """The 95 % interval of fractions or of their differences, in percent; empty if there is none."""
    if mean.low is None or mean.high is None:
        return ""
    low, high = _signed(mean.low), _signed(mean.high)
    return f"{low} to {high}" if mean.low < 0 else f"{low}–{high}"


def verdict(result: AugmentationResult) -> tuple[str, str]:
    """(word, sentence): whether generated clips raise the accuracy, by the interval of the paired differences."""
    gain, seeds = result.summary.gain, len(result.runs)
    if gain.low is None or gain.high is None:
        number = "one seed" if seeds == 1 else f"{seeds} seeds"
        sentence = f"With {number}, both minus real is {points(gain.mean)} points; this may be chance."
        return "unknown", sentence
    found = f"95 % interval {between(gain)}, over {seeds} seeds"
    if gain.low > 0:
        return "raised", f"Generated clips raise the accuracy by {_signed(gain.mean)} points ({found})."
    if gain.high < 0:
        return "lowered", f"Generated clips lower the accuracy by {_signed(-gain.mean)} points ({found})."
    return (
        "unchanged",
        f"Generated clips do not measurably change the accuracy: {points(gain.mean)} points ({found}).",
    )


def table_by_seed(result: AugmentationResult) -> Table:
    """The paper's Table 3: accuracy of each arm on the test clips, by seed, with the published figures below."""
    summary, best, published = result.summary, result.summary.best_on_test, result.published
    arms, gain = [summary.arm(name) for name in ARMS], summary.gain
    by_seed = zip(result.seeds, *(mean.values for mean in arms), gain.values, strict=True)
    rows: list[Sequence[str]] = [
        ("clips to train on", *(_range([run.arm(name).clips for run in result.runs]) for name in ARMS), ""),
        *((f"seed {seed}", *map(percent, values), points(more)) for seed, *values, more in by_seed),
        ("mean", *(percent(mean.mean) for mean in arms), points(gain.mean)),
    ]
    if gain.low is not None:
        rows.append(("95 % interval of the mean", *map(between, (*arms, gain))))
        deviations = [mean.std for mean in (*arms, gain)]
        rows.append(("standard deviation", *("–" if std is None else _signed(std) for std in deviations)))
    rows += [
        (
            "mean, if stopped on the test clips as in the paper",
            *(percent(mean.mean) for mean in (best.generated, best.real, best.both)),
            points(best.both.mean - best.real.mean),
        ),
        (QUOTED, *(percent(published[name]) for name in ARMS), points(published["both"] - published["real"])),
    ]
    head = ("trained on", *(TITLES[name] for name in ARMS), GAIN)
    return Table(head, tuple(map(tuple, rows)), quoted=1)


def table_of_settings(study: StudyResult) -> Table:
    """A row for each setting: clips, seeds, the accuracy of each arm and the paired difference, with intervals."""
    head = ("setting", "clips, real + generated", "seeds", *(TITLES[name] for name in ARMS), GAIN)
    rows = []
    for setting in study.settings:
        runs, sides = setting.result.runs, (ARMS[1], ARMS[0])
        clips = " + ".join(_range([run.arm(side).clips for run in runs]) for side in sides)
        name = printable(setting.name, _LONGEST) + " (primary)" * setting.primary
        rows.append((name, clips, str(len(runs)), *_means(setting)))
    return Table(head, tuple(rows))


def markdown_tables(study: StudyResult) -> str:
    """The tables of a study as Markdown: all its settings, and the primary one by seed (the paper's Table 3).

    A single experiment has the second table only.
    """
    by_seed = table_by_seed(study.primary.result).markdown()
    if not study.primary.name:
        return by_seed
    name = printable(study.primary.name, _LONGEST)
    return f"{table_of_settings(study).markdown()}\n{name}, by seed:\n\n{by_seed}"


def _means(setting: SettingResult) -> list[str]:
    """The means of the three arms and of the difference, each with its interval."""
    summary = setting.result.summary
    means = [
        *((mean, percent(mean.mean)) for mean in map(summary.arm, ARMS)),
        (summary.gain, points(summary.gain.mean)),
    ]
    return [f"{word} ({interval})" if (interval := between(mean)) else word for mean, word in means]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"


def _signed(share: float, plus: str = "") -> str:
    """A fraction in percent with one decimal and a true minus sign; never a negative zero."""
    value = round(100 * share, 1) + 0.0
    sign = "−" if value < 0 else plus if value > 0 else ""
    return f"{sign}{abs(value):.1f}"
