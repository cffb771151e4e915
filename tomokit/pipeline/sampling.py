"""The density of a state in a box of the tomogram, which is level where what is stored is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tomokit.data.levelling import Levelling, mean_density
from tomokit.state.density import StoredDensity

_MARGIN = 16
"""Voxels beside those that a box needs, which the spline's coefficients depend on."""


def sample_box(
    density: StoredDensity, start_zyx: Sequence[float], step: float, count_zyx: Sequence[int]
) -> NDArray[np.float32]:
    """Sample the density of a state at the points of a lattice in the tomogram.

    Parameters
    ----------
    density : StoredDensity
    start_zyx : sequence of float
        First point, in voxels of the tomogram.
    step : float
        Distance between points in voxels of the tomogram.
    count_zyx : sequence of int
        Number of points.

    Returns
    -------
    ndarray of float32, shape `count_zyx`
        ``[z, y, x]``, in the units of the tomogram. A level tomogram is turned by a cubic spline from samples at the
        same distance.
    """
    level = density.levelling
    if level is None:
        return _sample(density, start_zyx, step, count_zyx)
    # The lattice's middle, in voxels of the tomogram and then of what is stored.
    middle = [start + (n - 1) / 2 * step for start, n in zip(start_zyx, count_zyx, strict=True)]
    section, row = level.positions(np.array(middle[0]), np.array(middle[1]))
    column = start_zyx[2] + level.first_column
    if level.x_tilt_deg == 0:
        first = [float(at) - (n - 1) / 2 * step for at, n in zip((section, row), count_zyx, strict=False)]
        return _sample(density, (*first, column), step, count_zyx)
    _, n_z, n_y = density.shape_xzy
    # Where the corners lie among samples that are taken from the first voxel on.
    angle = math.radians(level.x_tilt_deg)
    half_z, half_y = ((n - 1) / 2 for n in count_zyx[:2])
    reach_z = half_z * math.cos(angle) + half_y * abs(math.sin(angle))
    reach_y = half_y * math.cos(angle) + half_z * abs(math.sin(angle))
    low_z, stop_z = _range(float(section) / step, reach_z, math.ceil(n_z / step))
    low_y, stop_y = _range(float(row) / step, reach_y, math.ceil(n_y / step))
    count = (max(stop_z - low_z, 1), max(stop_y - low_y, 1), count_zyx[2])
    upright = _sample(density, (low_z * step, low_y * step, column), step, count)
    shape = (count_zyx[0], count_zyx[1], count_zyx[2])
    turned = replace(
        level, shape_zyx=shape, centre_zy=(float(section) / step - low_z, float(row) / step - low_y), first_column=0
    )
    return turned.apply(upright, mean_density(upright))


def bytes_of_sampling(level: Levelling | None, count_zyx: Sequence[int]) -> int:
    """Estimate the bytes that :func:`sample_box` takes.

    Parameters
    ----------
    level : Levelling or None
        Of the state.
    count_zyx : sequence of int
        Number of points.

    Returns
    -------
    int
        The samples and their transposed copy; twice that where they are turned.
    """
    plain = 8 * math.prod(count_zyx)
    if level is None or level.x_tilt_deg == 0:
        return plain
    angle = math.radians(level.x_tilt_deg)
    n_z, n_y, n_x = count_zyx
    turned_z = n_z * math.cos(angle) + n_y * abs(math.sin(angle)) + 2 * _MARGIN
    turned_y = n_y * math.cos(angle) + n_z * abs(math.sin(angle)) + 2 * _MARGIN
    return plain + math.ceil(8 * turned_z * turned_y * n_x)


def _sample(
    density: StoredDensity, start_zyx: Sequence[float], step: float, count_zyx: Sequence[int]
) -> NDArray[np.float32]:
    (z, y, x), (n_z, n_y, n_x) = start_zyx, count_zyx
    return np.ascontiguousarray(density.sample((x, z, y), step, (n_x, n_z, n_y)).transpose(1, 2, 0))


def _range(middle: float, reach: float, count: int) -> tuple[int, int]:
    """Samples about a middle, with a margin, that there are."""
    low = min(max(math.floor(middle - reach) - _MARGIN, 0), count - 1)
    return low, max(low, min(math.ceil(middle + reach) + _MARGIN + 1, count))
