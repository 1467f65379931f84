"""The record of a comparison of generators: what `stgan compare` writes."""

from dataclasses import dataclass
from pathlib import Path

from stgan.errors import StganError
from stgan.names import quoted
from stgan.records import Count, Number, Text, read_record
from stgan.scoring.protocols import Rules
from stgan.version import __version__

FORMAT = 1
_REMEDY = "make it again with stgan compare --json"


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval; None without one."""

    value: Number
    low: Number | None
    high: Number | None


@dataclass(frozen=True, kw_only=True)
class GeneratorScores:
    """The scores of one generator's clips, by the keys of `stgan.metrics.table`.

    name:       the folder's name, or its path if several have one name.
    fooled:     whether a network that scores these clips, or a relative of it, steered one; None if unknown.
    drawn_with: the first generator whose clips are drawn together with these: those of equal position in `clips`.
    clips:      the files that are scored. Position by position, those of all generators show the same action.
    """

    name: Text
    fooled: bool | None
    steered_by: tuple[Text, ...]
    drawn_with: Text
    clips: tuple[Text, ...]
    values: dict[Text, Estimate]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric of the first generator minus that of the second.

    low, high: the interval, which holds for all pairs of generators at once: see `simultaneous_intervals`.
    better:    the one that is better by such an interval; None if neither is known to be.
    """

    metric: Text
    first: Text
    second: Text
    difference: Number
    low: Number
    high: Number
    better: Text | None

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class GeneratorComparison:
    """Several generators, scored alike: see `compare_generators`.

    num_videos:  clips of each generator. actions: how many of each action; empty if actions are unknown.
    real:        scores of real clips; empty without them. Distances and their like are not among them.
    num_real:    real windows to which distances are taken. real_name: which these are, in words.
    differences: of all pairs, metric by metric; empty for too few clips.
    resamples:   draws of the bootstrap.
    """

    generators: tuple[GeneratorScores, ...]
    num_videos: Count
    actions: dict[Text, Count]
    real: dict[Text, Estimate]
    num_real: Count
    real_name: Text
    differences: tuple[Difference, ...]
    evaluator: Text
    evaluator_network: Text
    evaluator_hash: Text
    protocol: Text
    feature_network: Text
    feature_hash: Text
    feature_size: Count
    splits: Count
    rules: Rules | None = None
    resamples: Count
    notes: tuple[Text, ...]
    format: Count = FORMAT
    version: Text = __version__

    def __post_init__(self) -> None:
        names = {each.name for each in self.generators}
        if not 2 <= len(names) == len(self.generators):
            raise ValueError("a comparison has two generators or more, of different names")
        if {len(each.clips) for each in self.generators} != {self.num_videos}:
            raise ValueError("every generator has num_videos clips")
        if any(not {each.first, each.second} <= names for each in self.differences):
            raise ValueError("a difference is of two of the generators")

    @property
    def fooled(self) -> bool:
        """Whether any of the generators is fooled."""
        return any(each.fooled for each in self.generators)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The keys of the metrics that are known for every generator."""
        return tuple(key for key in self.generators[0].values if all(key in each.values for each in self.generators))

    def best(self, metric: str) -> str | None:
        """The generator that is better than every other one by the intervals; None if there is none."""
        won = [each.better for each in self.differences if each.metric == metric]
        wins = {name: won.count(name) for name in won if name is not None}
        return next((name for name, times in wins.items() if times == len(self.generators) - 1), None)


def read_generator_comparison(path: Path) -> GeneratorComparison:
    """Read what `stgan compare --json` writes. StganError if it cannot be read or is something else."""
    found = read_record(path, GeneratorComparison, _REMEDY)
    if found.format != FORMAT:
        raise StganError(f"{quoted(path)} has format {found.format}, not {FORMAT}; {_REMEDY}")
    return found
