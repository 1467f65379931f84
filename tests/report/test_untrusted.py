"""Records that somebody may have written by hand: what is no record is one sentence, what comes through is one."""

import copy
from pathlib import Path
from typing import Any

import pytest
from augmentation_records import experiment
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan.errors import StganError
from stgan.records import as_plain, as_record, checked
from stgan.scoring import Scores
from stgan.studies.augmentation import AugmentationResult

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(["mean", "name", "clips", "arms", "curve", "test", "low", "file"])
VALUES = st.recursive(
    SCALARS | st.sampled_from([1e12, -1e12, 10**400, "x" * 30_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside; of lists, of the first item alone."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    return [path, *(place for name, item in inner for place in places(item, (*path, name)))]


def sane(value: Any) -> bool:
    """Restated: nothing in it could break a page."""
    if isinstance(value, dict):
        return all(sane(name) and sane(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(sane, value))
    if isinstance(value, str):
        return len(value) <= 20_000
    return value is None or isinstance(value, bool) or abs(value) < 1e12


@settings(deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", [Scores, AugmentationResult])
def test_what_comes_through_is_a_record(kind: type[Any], record: dict[str, Any], data: st.DataObject) -> None:
    values = copy.deepcopy(record) if kind is Scores else experiment([(0.25, 0.5, 0.75)] * 2)
    *path, last = data.draw(st.sampled_from(places(values)[1:]))
    holder = values
    for step in path:
        holder = holder[step]
    holder[last] = data.draw(VALUES)
    try:
        found = as_record(kind, values, Path("file.json"), "make it again")
    except StganError as error:
        message = str(error)
        assert message.startswith("'file.json': ") and message.endswith("; make it again")
        assert "\n" not in message and len(message) < 500
    else:
        plain = as_plain(found)
        assert checked(kind, plain) == found
        del plain["seeds" if kind is AugmentationResult else "version"]  # which may be of any size, and are only shown
        assert kind is AugmentationResult or sane(plain)
