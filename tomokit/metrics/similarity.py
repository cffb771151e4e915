"""Structural similarity of a volume and the truth, in windows and over a whole box."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.metrics.blocks import paired_blocks, truth_range
from tomokit.metrics.boxes import Box, check_box

WINDOW = 7
"""Edge of a window of :func:`windowed_ssim` in voxels."""

# A moment of one box, or those of all windows of a plane.
_Moment = TypeVar("_Moment", float, NDArray[np.float64])


def windowed_ssim(
    volume: NDArray[np.floating], truth: NDArray[np.floating], *, scale: float = 1.0, offset: float = 0.0
) -> float:
    """Mean structural similarity over all windows of 7 x 7 x 7 voxels (Wang et al., IEEE TIP 13, 600, 2004).

    The same as scikit-image's ``structural_similarity(..., win_size=7, data_range=max(truth) - min(truth))`` in
    float64: uniform windows, unbiased variances, only windows within the volume. Seven planes of moments are held.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.
    scale, offset : float
        The volume is multiplied by `scale`, then `offset` (in the truth's unit) is added.

    Returns
    -------
    float
        At most 1, for equal volumes; NaN if the truth is constant, which leaves the similarity undefined.

    Raises
    ------
    InputError
        If the shapes differ, either holds NaN or an infinite value, or an edge is shorter than 7 voxels.
    """
    from scipy.ndimage import uniform_filter

    low, high = truth_range(volume, truth)
    if min(volume.shape) < WINDOW:
        raise InputError(
            f"a volume of {volume.shape[0]} x {volume.shape[1]} x {volume.shape[2]} voxels has no window of {WINDOW}",
            field="shape",
            remedy=f"compare at least {WINDOW} voxels along every axis",
        )
    if high == low:
        return math.nan
    c1, c2 = (0.01 * (high - low)) ** 2, (0.03 * (high - low)) ** 2
    # Bessel's correction for the voxels of one window.
    unbiased = WINDOW**3 / (WINDOW**3 - 1)
    # Windows that extend beyond the volume are left out, so that what the filter takes to lie there has no say.
    edge = WINDOW // 2
    inner = (slice(edge, -edge), slice(edge, -edge))
    n_y, n_x = volume.shape[1:]
    # Means over 7 x 7 pixels of the last seven planes, a ring over z; r is the reconstruction, g the ground truth.
    moments = np.empty((WINDOW, 5, n_y - 2 * edge, n_x - 2 * edge))
    total, z = 0.0, 0
    for block, true_block in paired_blocks(volume, truth, scale=scale, offset=offset):
        for r, g in zip(block, true_block, strict=True):
            for k, product in enumerate((r, g, r * r, g * g, r * g)):
                moments[z % WINDOW, k] = uniform_filter(product, WINDOW)[inner]
            z += 1
            if z >= WINDOW:
                # The mean over the ring completes the 7 x 7 x 7 window.
                mean_r, mean_g, square_r, square_g, cross = moments.mean(axis=0)
                variances = unbiased * (square_r - mean_r**2 + square_g - mean_g**2)
                covariance = unbiased * (cross - mean_r * mean_g)
                total += float(np.sum(_similarity(mean_r, mean_g, variances, covariance, c1, c2)))
    return total / ((volume.shape[0] - 2 * edge) * moments[0, 0].size)


def global_ssim(
    volume: NDArray[np.floating],
    truth: NDArray[np.floating],
    box: Box | None = None,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
) -> float:
    """Structural similarity of means, variances and covariance over one box.

    This is formula (2) of the supplement to "Adaptive Differentiable Grids for Cryo-Electron Tomography
    Reconstruction and Denoising", whose constants are taken as usual: ``c1 = (0.01 L)^2``, ``c2 = (0.03 L)^2``, with
    L the range of the whole truth, so that they do not depend on the box.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.
    box : Box, optional
        Voxel ranges along z, y and x; everything by default.
    scale, offset : float
        The volume is multiplied by `scale`, then `offset` (in the truth's unit) is added.

    Returns
    -------
    float
        At most 1, for equal volumes; NaN if the whole truth is constant, which leaves the similarity undefined.

    Raises
    ------
    InputError
        If the shapes differ, or either holds NaN or an infinite value.
    OptionError
        If the box does not lie within the volume.
    """
    low, high = truth_range(volume, truth)
    if box is not None:
        check_box(box, volume.shape)
        volume, truth = volume[box.slices], truth[box.slices]
    if high == low:
        return math.nan
    n = volume.size
    sums = np.zeros(2)
    for r, g in paired_blocks(volume, truth, scale=scale, offset=offset):
        sums += r.sum(), g.sum()
    mean_r, mean_g = sums / n
    # A second pass about the means: differences of raw moments would cancel for a volume far from zero.
    variances = covariance = 0.0
    for r, g in paired_blocks(volume, truth, scale=scale, offset=offset):
        variances += float(np.sum((r - mean_r) ** 2) + np.sum((g - mean_g) ** 2)) / n
        covariance += float(np.sum((r - mean_r) * (g - mean_g))) / n
    c1, c2 = (0.01 * (high - low)) ** 2, (0.03 * (high - low)) ** 2
    return float(_similarity(mean_r, mean_g, variances, covariance, c1, c2))


def _similarity(
    mean_r: _Moment, mean_g: _Moment, variances: _Moment, covariance: _Moment, c1: float, c2: float
) -> _Moment:
    """Formula (2) from means, the sum of both variances, and the covariance; of one box or of many windows."""
    return (2 * mean_r * mean_g + c1) * (2 * covariance + c2) / ((mean_r**2 + mean_g**2 + c1) * (variances + c2))
