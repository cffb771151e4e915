"""Contrast and speckle of a volume that has no truth to be held against: CNR, ENL, isolated extreme voxels."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.metrics.boxes import Box

_BLOCK_VOXELS = 1 << 21
_HALF_OF_NEIGHBOURHOOD = 14


def mean_and_deviation(volume_zyx: NDArray[np.floating], box: Box | None = None) -> tuple[float, float]:
    """Mean and standard deviation of a volume or of a box in it, in double precision.

    Parameters
    ----------
    volume_zyx : ndarray, shape (n_z, n_y, n_x)
        May be memory-mapped, read a section at a time.
    box : Box, optional
        Everything by default.

    Returns
    -------
    mean, deviation : float
        The deviation divides by the number of voxels.
    """
    values = volume_zyx if box is None else volume_zyx[box.slices]
    mean = math.fsum(float(plane.sum(dtype=np.float64)) for plane in values) / values.size
    square = math.fsum(float(np.sum((plane.astype(np.float64) - mean) ** 2)) for plane in values)
    return mean, math.sqrt(square / values.size)


def contrast_to_noise(features: tuple[float, float], background: tuple[float, float]) -> float:
    """Contrast-to-noise ratio, ``|m_f - m_b| / sqrt((s_f^2 + s_b^2) / 2)``.

    Parameters
    ----------
    features, background : tuple of float
        Mean and standard deviation of a region with features and of one without, from :func:`mean_and_deviation`.

    Returns
    -------
    float
        NaN if neither region varies.
    """
    noise = math.sqrt((features[1] ** 2 + background[1] ** 2) / 2)
    return abs(features[0] - background[0]) / noise if noise > 0 else math.nan


def equivalent_looks(region: tuple[float, float]) -> float:
    """Equivalent number of looks of a region without features, ``(m / s)^2``.

    It counts from the level 0, so that it compares volumes only whose levels mean the same.

    Parameters
    ----------
    region : tuple of float
        Mean and standard deviation, from :func:`mean_and_deviation`.

    Returns
    -------
    float
        NaN if the region does not vary.
    """
    return (region[0] / region[1]) ** 2 if region[1] > 0 else math.nan


def isolated_per_thousand(volume_zyx: NDArray[np.floating]) -> float:
    """Count voxels that differ from the median of their 3 x 3 x 3 by more than the volume's standard deviation.

    A voxel is more than s above the median of 27 if at least 14 of them are more than s below it: no sorting is needed.
    Beyond its faces the volume goes on as at them.

    Parameters
    ----------
    volume_zyx : ndarray, shape (n_z, n_y, n_x)
        May be memory-mapped, read in slabs.

    Returns
    -------
    float
        Per thousand voxels; 0 for a constant volume.

    Raises
    ------
    InputError
        If it has no voxel.
    """
    if volume_zyx.size == 0:
        raise InputError("holds no voxel", field="shape")
    _, deviation = mean_and_deviation(volume_zyx)
    n_z, n_y, n_x = volume_zyx.shape
    planes = max(1, _BLOCK_VOXELS // (n_y * n_x))
    isolated = 0
    for first in range(0, n_z, planes):
        stop = min(first + planes, n_z)
        rows = np.clip(np.arange(first - 1, stop + 1), 0, n_z - 1)
        padded = np.pad(np.asarray(volume_zyx[rows], np.float64), ((0, 0), (1, 1), (1, 1)), mode="edge")
        centre = padded[1:-1, 1:-1, 1:-1]
        low, high = centre - deviation, centre + deviation
        below, above = np.zeros(centre.shape, np.uint8), np.zeros(centre.shape, np.uint8)
        for z, y, x in product(range(3), repeat=3):
            neighbour = padded[z : z + stop - first, y : y + n_y, x : x + n_x]
            below += neighbour < low
            above += neighbour > high
        isolated += int(np.count_nonzero(np.maximum(below, above) >= _HALF_OF_NEIGHBOURHOOD))
    return 1000 * isolated / volume_zyx.size
