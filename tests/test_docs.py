"""Tables in docs/ come from the records beside them."""

import json
from pathlib import Path
from typing import Any

from stgan.report.augmentation_tables import markdown_tables

DOCS = Path(__file__).parent.parent / "docs"


def test_the_tables_of_the_augmentation_study_are_those_of_its_record() -> None:
    record = json.loads((DOCS / "results" / "augmentation.json").read_text(encoding="utf-8"))
    assert markdown_tables(record).strip() in (DOCS / "augmentation.md").read_text(encoding="utf-8")


def read(name: str) -> Any:
    return json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_tables_of_how_fast_it_is_are_those_of_their_records() -> None:
    rows = [
        f"| {size} | {of['seconds']:.2f} | {of['parts']['prior']:.2f} | {of['parts']['generator']:.2f} "
        f"| {of['parts']['condition']:.2f} | {of['outside_networks']:.0%} | {of['seconds_at_floor']:.2f} "
        f"| {of['peak_memory_bytes'] / 1e9:.2f} |"
        for size, of in read("bench_generate_two_cores")["batches"].items()
    ]
    for of in read("bench_curve_two_cores")["curve"]:
        low, high = of["accuracy_interval"]
        rows.append(
            f"| {of['iterations']} | {of['seconds']:.2f} | {of['accuracy']:.3f} [{low:.2f}, {high:.2f}] "
            f"| {of['inception_score']:.2f} | {of['motion']:.2f} |"
        )
    forms = read("bench_generator_two_cores")
    for of in (forms["conv3d"], forms["factorised"]):
        rate = of["trunk_flops"] / of["trunk_seconds"] / 1e9
        rows.append(f"| {of['seconds']:.3f} | {of['trunk_seconds']:.3f} | {of['trunk_flops'] / 1e9:.1f} | {rate:.0f} |")
    rows.append(f"it is {forms['speedup']:.2f} times as fast")
    lrcn, c3d = read("paper_scale_two_cores")["conditions"].values()
    for part in lrcn["parts"]:
        if part != "update":
            cells = [
                f"{of['flops'] / 1e9:.1f} | {of['seconds']:.2f} | {of['flops'] / of['seconds'] / 1e9:.0f}"
                for of in (lrcn["parts"][part], c3d["parts"][part])
            ]
            rows.append(f"| {' | '.join(cells)} |")
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert len(rows) == 4 + 5 + 3 + 6 and [row for row in rows if row not in text] == []
