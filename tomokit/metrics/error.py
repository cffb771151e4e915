"""Root mean square error and peak signal-to-noise ratio of a volume, and the scale that makes the error least."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.metrics.blocks import paired_blocks, truth_range


def rmse(
    volume: NDArray[np.floating], truth: NDArray[np.floating], *, scale: float = 1.0, offset: float = 0.0
) -> float:
    """Root mean square of ``scale * volume + offset - truth`` over all voxels.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.
    scale, offset : float
        The volume is multiplied by `scale`, then `offset` (in the truth's unit) is added.

    Returns
    -------
    float
        The error, in the truth's unit.

    Raises
    ------
    InputError
        If the shapes differ, or either holds NaN or an infinite value.
    """
    total = sum(
        float(np.sum((block - true_block) ** 2))
        for block, true_block in paired_blocks(volume, truth, scale=scale, offset=offset)
    )
    return math.sqrt(total / volume.size)


def psnr(
    volume: NDArray[np.floating], truth: NDArray[np.floating], *, scale: float = 1.0, offset: float = 0.0
) -> float:
    """Peak signal-to-noise ratio in decibels, ``20 log10(max(truth) / rmse)``.

    This is formula (1) of the supplement to "Adaptive Differentiable Grids for Cryo-Electron Tomography
    Reconstruction and Denoising".

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.
    scale, offset : float
        The volume is multiplied by `scale`, then `offset` (in the truth's unit) is added.

    Returns
    -------
    float
        Infinity if the volumes agree exactly; NaN if the truth has no positive value to be the peak.

    Raises
    ------
    InputError
        As :func:`rmse`.
    """
    return decibels(truth_range(volume, truth)[1], rmse(volume, truth, scale=scale, offset=offset))


def decibels(peak: float, error: float) -> float:
    """Ratio of a peak to an error in decibels, ``20 log10(peak / error)``.

    Parameters
    ----------
    peak, error : float
        In the same unit; `error` is at least 0.

    Returns
    -------
    float
        Infinity for an error of 0; NaN for a peak that is not positive.
    """
    if peak <= 0:
        return math.nan
    return math.inf if error == 0 else 20 * math.log10(peak / error)


def fit_scale(volume: NDArray[np.floating], truth: NDArray[np.floating], affine: bool = False) -> tuple[float, float]:
    """Fit the `scale` and `offset` that bring ``scale * volume + offset`` closest to `truth` by least squares.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.
    affine : bool
        Whether an offset is fitted as well; it is 0 otherwise.

    Returns
    -------
    scale, offset : float
        A volume without any variation to fit (all zero, or constant for `affine`) gets a scale of 0.

    Raises
    ------
    InputError
        As :func:`rmse`.
    """
    mean_volume = mean_truth = 0.0
    if affine:
        sums = [(block.sum(), true_block.sum()) for block, true_block in paired_blocks(volume, truth)]
        mean_volume = float(sum(volume_sum for volume_sum, _ in sums)) / volume.size
        mean_truth = float(sum(truth_sum for _, truth_sum in sums)) / volume.size
    # About the means, not as differences of raw moments, which would cancel for a volume far from zero.
    cross = square = 0.0
    for block, true_block in paired_blocks(volume, truth):
        cross += float(np.sum((block - mean_volume) * (true_block - mean_truth)))
        square += float(np.sum((block - mean_volume) ** 2))
    scale = cross / square if square > 0 else 0.0
    return scale, mean_truth - scale * mean_volume
