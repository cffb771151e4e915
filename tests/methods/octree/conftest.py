"""A small series that several tests fit."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.phantom import simulate_series

SHAPE = (24, 48, 48)


@pytest.fixture(scope="session")
def problem() -> Problem:
    """Shells in 24 x 48 x 48 voxels, seen in 21 views with 5 % of noise."""
    series, _ = simulate_series(SHAPE, np.arange(-60.0, 61.0, 6.0), 0.05, 3)
    projections = np.ascontiguousarray(series.images.transpose(0, 2, 1))
    projections /= projections.max()
    return Problem(projections, None, series.geometry, SHAPE[0], seed=5)
