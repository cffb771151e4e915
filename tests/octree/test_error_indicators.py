"""Error indicators of leaves, and their history."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.octree.error_indicators import IndicatorHistory, measure_indicators
from tomokit.octree.resample import resample
from tomokit.octree.structure import apply, siblings


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_measures_are_numpys(dtype):
    # A mean far above the spread, where a sum of squares in single precision has no digits left.
    values = (1000 + np.random.default_rng(0).standard_normal((5, 4, 4, 4))).astype(dtype)
    values[3] *= -1
    found = measure_indicators(values)
    exact = values.astype(np.float64).reshape(5, -1)
    np.testing.assert_allclose(found.error, exact.std(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found.density, np.abs(exact).max(axis=1))
    with pytest.raises(InputError, match="leaf, x, z, y"):
        measure_indicators(values[0])


def test_contributions_of_children_add_up_to_about_the_parents(grow):
    forest = grow(0, n=9, splits=0, holes=False)
    finer = apply(forest, siblings(forest), [0], [])
    values = np.random.default_rng(1).random(forest.values_shape)
    before = measure_indicators(values).contribution(forest)
    after = measure_indicators(resample(values, forest, finer)).contribution(finer)
    assert 0.5 * before[0] < after.sum() - before[1:].sum() < 1.1 * before[0]


def test_history_recalls_the_latest_and_survives_its_arrays(grow):
    forest = grow(3, splits=6)
    history = IndicatorHistory()
    history.record(forest, np.zeros(forest.n_leaves))
    history.record(forest, np.arange(forest.n_leaves) + 0.5)
    keys = history.to_arrays()["indicator_key"]
    np.testing.assert_array_equal(history.recall(keys), np.arange(forest.n_leaves) + 0.5)
    assert np.isnan(history.recall([-1])).all()
    assert IndicatorHistory.from_arrays(history.to_arrays()) == history
    with pytest.raises(InputError, match="indicator_contribution: missing"):
        IndicatorHistory.from_arrays({"indicator_key": keys})
    with pytest.raises(InputError, match="keys for"):
        IndicatorHistory.from_arrays({"indicator_key": keys[1:], "indicator_contribution": keys * 1.0})
