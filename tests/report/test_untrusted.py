"""JSON that somebody may have written by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stgan.report.untrusted import count, fitted, fraction, number, pair_of, text, truth

SHAPE = {
    "name": text,
    "whole": count,
    "share": fraction,
    "ends": pair_of(number),
    "yes": truth,
    "table": {str: number},
    "rows": [{"name": text, "inner": {"value": number}}],
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SHAPE, "inner", "value"]), inner),
    max_leaves=12,
)


def check(value: Any, shape: Any) -> None:
    """Restated: whatever comes through has the shape throughout."""
    if value is None:
        return
    if isinstance(shape, list):
        assert isinstance(value, list)
        for item in value:
            assert item is not None
            check(item, shape[0])
    elif isinstance(shape, dict):
        assert isinstance(value, dict) and (str in shape or list(value) == list(shape))
        for name, item in value.items():
            check(item, shape[str] if str in shape else shape[name])
    else:
        assert shape(value)


@given(VALUES)
def test_what_comes_through_has_the_shape(value: Any) -> None:
    try:
        record = fitted(value, SHAPE, {})
    except ValueError as error:
        assert str(error)
    else:
        check(record or None, SHAPE)


@given(st.dictionaries(st.text(max_size=3), st.floats(-1e11, 1e11)), st.integers(0, 99), st.floats(0, 1))
def test_what_has_the_shape_comes_through(table: dict[str, float], whole: int, share: float) -> None:
    value = {"table": table, "whole": whole, "share": share, "ends": [-1, 2.5], "more": {"that": "nobody asked for"}}
    record = fitted(value, SHAPE, {"whole": whole, "table": None})
    assert record == {**dict.fromkeys(SHAPE), **{name: value[name] for name in ("table", "whole", "share", "ends")}}
    json.dumps(record, allow_nan=False)
    with pytest.raises(ValueError, match="whole"):
        fitted(value, SHAPE, {"whole": whole + 1})
    with pytest.raises(ValueError, match="name"):
        fitted(value, SHAPE, {"name": None})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e12, True, "1", None, [1]])
def test_what_is_no_figure(value: Any) -> None:
    assert not number(value) and not count(value) and not fraction(value)
