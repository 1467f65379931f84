"""Means of repeated experiments: Student's interval by scipy's t test, and what holds of any interval."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from stgan.metrics.means import Mean

fractions = st.floats(-1, 1, allow_nan=False)
values = st.lists(fractions, min_size=2, max_size=12)


@given(values, st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_is_that_of_the_t_test(values: list[float], level: float) -> None:
    assume(np.ptp(values) > 1e-6)
    found = Mean.of(values, level)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert found.std == pytest.approx(np.std(values, ddof=1))
    assert found.values == tuple(values)


@given(values, st.randoms())
def test_the_order_says_nothing(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Mean.of(values), Mean.of(shuffled)
    assert (one.mean, one.std, one.low, one.high) == (other.mean, other.std, other.low, other.high)


@given(values, fractions)
def test_the_interval_holds_the_mean_moves_with_the_values_and_shrinks(values: list[float], by: float) -> None:
    found = Mean.of(values)
    assert found.low is not None and found.high is not None and found.std is not None
    assert found.low <= found.mean <= found.high and min(values) - 1e-12 <= found.mean <= max(values) + 1e-12
    moved = Mean.of([value + by for value in values])
    assert (moved.low, moved.high) == pytest.approx((found.low + by, found.high + by), abs=1e-9)
    wider, often = Mean.of(values, 0.99), Mean.of(values * 4)
    width = found.high - found.low
    assert wider.high - wider.low >= width  # type: ignore[operator]
    assert often.high - often.low <= width + 1e-12 and often.mean == pytest.approx(found.mean)  # type: ignore[operator]


@given(fractions, st.integers(2, 9))
def test_values_that_agree_leave_no_doubt(value: float, times: int) -> None:
    found = Mean.of([value] * times)
    assert (found.mean, found.std, found.low, found.high) == pytest.approx((value, 0, value, value))


def test_a_single_value_has_no_interval() -> None:
    assert Mean.of([0.25]) == Mean(0.25, None, None, None, (0.25,))
