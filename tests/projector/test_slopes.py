"""Derivatives of projections by shifts and tilt are those of the float64 reference, by finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector
from tomokit.projector.slopes import project_with_slopes

TILT = np.array([-61.0, -45.0, -12.3, 0.4, 31.0, 57.7, 88.0])
RNG = np.random.default_rng(3)
GEOMETRY = TiltGeometry(
    TILT, n_u=15, n_v=11, shift_u_px=RNG.uniform(-2, 2, TILT.size), shift_v_px=RNG.uniform(-2, 2, TILT.size)
)
VOLUME = RNG.random((13, 6, 9))
STEP = 1e-6


def moved(name: str, by: float) -> np.ndarray:
    geometry = replace(GEOMETRY, **{name: getattr(GEOMETRY, name) + by})
    return DenseProjector(geometry, 6, 13, 9, backend="reference")(VOLUME)


def test_views_are_those_of_the_projector() -> None:
    expected = DenseProjector(GEOMETRY, 6, 13, 9, backend="reference")(VOLUME)
    np.testing.assert_allclose(project_with_slopes(VOLUME, GEOMETRY).views, expected, atol=1e-12)
    single = project_with_slopes(VOLUME.astype(np.float32), GEOMETRY)
    assert single.views.dtype == np.float32
    np.testing.assert_allclose(single.views, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("slope", "name", "unit"),
    [("by_shift_u", "shift_u_px", 1.0), ("by_shift_v", "shift_v_px", 1.0), ("by_tilt", "tilt_deg", np.rad2deg(1.0))],
)
def test_slopes_are_those_of_finite_differences(slope: str, name: str, unit: float) -> None:
    expected = (moved(name, STEP * unit) - moved(name, -STEP * unit)) / (2 * STEP)
    found = getattr(project_with_slopes(VOLUME, GEOMETRY), slope)
    assert np.abs(expected).max() > 0.5
    # Kinks of the footprint lie within the step of hardly any column.
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_along_an_axis_slopes_are_finite_and_a_whole_shift_has_the_mean_of_both_sides() -> None:
    level = TiltGeometry(np.array([0.0, 90.0]), n_u=15, n_v=9)
    found = project_with_slopes(VOLUME, level)
    assert all(np.isfinite(stack).all() for stack in found)
    sides = [
        project_with_slopes(VOLUME, replace(level, shift_v_px=np.full(2, shift))).by_shift_v for shift in (-1e-9, 1e-9)
    ]
    np.testing.assert_allclose(found.by_shift_v, np.mean(sides, axis=0), atol=1e-7)
