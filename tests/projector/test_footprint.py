"""The voxel's footprint: the reference against quadrature, the fast one against the reference."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from tomokit.geometry import TiltGeometry
from tomokit.projector.footprint import MAX_TAPS, box_profile, box_row_weights
from tomokit.projector.reference import footprint_integral, view_matrix

ANGLES = [0.0, 1e-6, 1e-3, 0.3, 20.0, 45.0, 70.0, -70.0, 89.9, 90.0, -90.0, 133.0, 180.0]


def mass_left_of(d: float, theta: float) -> float:
    """Area of the unit square with ``x cos - z sin < d``, by quadrature over x of the exact length along z."""
    cos, sin = np.cos(theta), np.sin(theta)
    if abs(sin) < 1e-12:
        return float(np.clip(d / abs(cos) + 0.5, 0, 1))

    def length(x: float) -> float:
        # sign(sin) z > (x cos - d) / |sin|; the square is symmetric in z.
        return float(np.clip(0.5 - (x * cos - d) / abs(sin), 0, 1))

    kinks = [(d + e * abs(sin)) / cos for e in (-0.5, 0.5)] if abs(cos) > 1e-12 else []
    edges = [-0.5, *sorted(x for x in kinks if -0.5 < x < 0.5), 0.5]
    return sum(quad(length, a, b)[0] for a, b in pairwise(edges))


@pytest.mark.parametrize("angle", ANGLES)
def test_reference_integral_is_that_of_the_square(angle):
    theta = np.deg2rad(angle)
    d = np.r_[np.linspace(-1.3, 1.3, 41), -0.5, 0.5, 0.0]
    expected = [mass_left_of(value, theta) for value in d]
    # Below 1e-7 rad the reference leaves the ramp out, which is worth an eighth of that.
    np.testing.assert_allclose(footprint_integral(d, theta), expected, atol=1e-8)


@pytest.mark.parametrize("angle", ANGLES)
def test_weights_are_the_mean_of_the_trapezoid_over_the_pixel(angle):
    # The footprint convolved with a pixel, from its own definition: a box of |cos| seen through a box of |sin|.
    theta = np.deg2rad(angle)
    geometry = TiltGeometry([angle], n_u=9, n_v=1, shift_u_px=[0.37])
    weights = view_matrix(geometry, 0, 1, 1).toarray()[:, 0]
    expected = [mass_left_of(u - 4 - 0.37 + 0.5, theta) - mass_left_of(u - 4 - 0.37 - 0.5, theta) for u in range(9)]
    np.testing.assert_allclose(weights, expected, atol=1e-8)
    assert weights.sum() == pytest.approx(1, abs=1e-9)


def fast_weights(theta: float, positions_start: float, step: float, n: int, n_u: int) -> np.ndarray:
    """Weights of the fast footprint, shape (n_u, n)."""
    first, taps = np.empty(n, np.int32), np.empty((MAX_TAPS, n), np.float32)
    box_row_weights(positions_start, step, n, box_profile(theta), first, taps)
    dense = np.zeros((n_u, n))
    for i in range(n):
        for k in range(MAX_TAPS):
            if 0 <= first[i] + k < n_u:
                dense[first[i] + k, i] = taps[k, i]
    return dense


@pytest.mark.parametrize("angle", [*ANGLES, 60.0, 84.0, -12.0])
def test_fast_weights_equal_the_reference(angle):
    theta, n = np.deg2rad(angle), 33
    geometry = TiltGeometry([angle], n_u=48, n_v=1, shift_u_px=[-0.21])
    expected = view_matrix(geometry, 0, n, 1).toarray()
    start = -(n - 1) / 2 * np.cos(theta) - 0.21 + 47 / 2
    # Single precision, relative to a weight of one.
    np.testing.assert_allclose(fast_weights(theta, start, np.cos(theta), n, 48), expected, atol=3e-7)


@settings(max_examples=200, deadline=None)
@given(theta=st.floats(-np.pi, np.pi), start=st.floats(-500.0, 500.0))
def test_fast_weights_are_a_partition_of_one(theta, start):
    first, taps = np.empty(8, np.int32), np.empty((MAX_TAPS, 8), np.float32)
    profile = box_profile(theta)
    box_row_weights(start, np.cos(theta), 8, profile, first, taps)
    np.testing.assert_allclose(taps.sum(axis=0, dtype=np.float64), 1, atol=5e-7)
    assert taps.min() >= -3e-7
    # Their mean position is the voxel's centre to 0.043 px (a trapezoid that is no multiple of pixels wide).
    pixels = first + np.arange(MAX_TAPS)[:, None]
    centres = start + np.cos(theta) * np.arange(8)
    assert np.abs((pixels * taps).sum(axis=0) - centres).max() < 0.045


@pytest.mark.parametrize("angle", ANGLES)
def test_footprint_keeps_its_centre_on_average_over_a_pixel(angle):
    theta = np.deg2rad(angle)
    offsets = (np.arange(64) + 0.5) / 64 - 0.5
    dense = fast_weights(theta, 8 + offsets[0], 1 / 64, 64, 17)
    error = (np.arange(17)[:, None] * dense).sum(axis=0) - (8 + offsets)
    assert abs(error.mean()) < 1e-6
