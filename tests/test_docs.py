"""Tables in docs/ come from the records beside them."""

import json
from pathlib import Path

from stgan.report.augmentation_tables import markdown_tables

DOCS = Path(__file__).parent.parent / "docs"


def test_the_tables_of_the_augmentation_study_are_those_of_its_record() -> None:
    record = json.loads((DOCS / "results" / "augmentation.json").read_text(encoding="utf-8"))
    assert markdown_tables(record).strip() in (DOCS / "augmentation.md").read_text(encoding="utf-8")
