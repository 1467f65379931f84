"""The README.md of a set of selected clips: a data set card for the Hugging Face hub and `datasets`."""

from dataclasses import dataclass
from typing import Literal

import yaml

from stgan.records import Count, Number, Text
from stgan.studies.selection import ClassCounts, Criterion
from stgan.version import __version__

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_RULES = {
    Criterion.INCEPTION: "contributes at least {least:.3g} nats to the Inception Score, most first",
    Criterion.CONFIDENCE: "has a probability of at least {least:.3g} of showing what it should, highest first",
    Criterion.DIVERSITY: "lies farther than {least:.3g} from the others in the evaluator's features, farthest first",
}


@dataclass(frozen=True, kw_only=True)
class SelectionRecord:
    """What `selection.json` holds: the rule, the evaluator, and the counts.

    criterion, most, least, any_verdict: see `stgan.studies.selection.select`.
    source:  name of the folder of the candidates.
    counts:  number of chosen clips of each action that has any.
    thin, without: actions with chosen clips, but fewer than `most`; actions with none.
    real:    number of real clips to train on of each action; None if they were not counted.
    """

    format: Literal[1] = 1
    criterion: Criterion
    most: Count
    least: Number
    any_verdict: bool
    model: Text
    evaluator: Text
    evaluator_network: Text
    evaluator_hash: Text
    source: Text
    candidates: Count
    selected: Count
    counts: dict[Text, Count]
    classes: dict[Text, ClassCounts]
    thin: tuple[Text, ...]
    without: tuple[Text, ...]
    real: dict[Text, Count] | None
    version: Text = __version__


def card(record: SelectionRecord) -> str:
    """The card of the set that a record describes."""
    head = {
        "pretty_name": f"Generated clips of human actions ({record.model})",
        "license": "unknown",
        "task_categories": ["video-classification"],
        "tags": ["synthetic", "video", "human-actions", "stgan"],
        "size_categories": [next((name for limit, name in _SIZES if record.selected < limit), "1M<n<10M")],
        # The split is given, because an action may be called "test", which `datasets` would take for one.
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": ["*/*.mp4", "metadata.csv"]}]}
        ],
    }
    rule = _RULES[record.criterion].format(least=record.least)
    recognised = "" if record.any_verdict else "the evaluator recognises its action and "
    rows = [
        f"| {action} | {found.candidates} | {found.recognised} | {found.chosen} |"
        for action, found in record.classes.items()
    ]
    return "\n".join(
        [
            "---",
            yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(),
            "---",
            "",
            "# Generated clips of human actions",
            "",
            f"{record.selected} of {record.candidates} clips that stgan {record.version} generated with the "
            f"model `{record.model}`. A clip was chosen if {recognised}it {rule}; at most {record.most} of "
            f"an action. The evaluator is `{record.evaluator}` (`{record.evaluator_hash[:16]}`); it did not "
            "steer the clips.",
            "",
            "| action | candidates | recognised | chosen |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            "All clips are for training; none is for testing. A label is the action that the clip was made to show. "
            "`networks.json` lists the networks that made and chose the clips, and the real clips that they were "
            "trained on: do not test on those.",
            "",
            "```python",
            'datasets.load_dataset("PATH")                                                 # Hugging Face',
            'torchvision.datasets.DatasetFolder("PATH", loader, extensions=("mp4",))       # torchvision',
            'pytorchvideo.data.labeled_video_dataset("PATH", clip_sampler)                 # PyTorchVideo',
            'stgan.video.find_clips("PATH")                                                # stgan',
            "```",
            "",
            "Licence: to be stated by whoever publishes this set. The licences of the model and of the clips that it "
            "was trained on may apply.",
            "",
        ]
    )
