"""Resolution from a curve of correlation: thresholds, and where they are crossed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crossing:
    """Where a curve falls below a threshold.

    Attributes
    ----------
    frequency : float or None
        In cycles per voxel; None if it does not cross.
    found : {"crossed", "above to the end", "never above"}
        What was found.
    """

    frequency: float | None
    found: Literal["crossed", "above to the end", "never above"]


def half_bit_curve(effective_voxels: Floats) -> Floats:
    """Threshold at which each Fourier voxel of the whole data holds half a bit of information.

    ``(0.2071 + 1.9102 / sqrt(n)) / (1.2071 + 0.9102 / sqrt(n))``, with n the number of effective voxels in the shell:
    van Heel and Schatz, J. Struct. Biol. 151, 250 (2005). Half a bit is a signal-to-noise ratio of ``sqrt(2) - 1`` for
    the sum of both halves, and half of that, 0.2071, for each.

    Parameters
    ----------
    effective_voxels : ndarray of float64, shape (n_shells,)
        From :func:`effective_voxels`.

    Returns
    -------
    ndarray of float64, shape (n_shells,)
        Above 0.1716, and 1 where there is at most one voxel.
    """
    half_snr = (np.sqrt(2.0) - 1) / 2
    root = 1 / np.sqrt(np.maximum(effective_voxels, 1.0))
    spread = 2 * np.sqrt(half_snr) * root
    return np.asarray((half_snr + spread + root) / (half_snr + 1 + spread))


def effective_voxels(voxels: NDArray[np.integer], mask_zyx: NDArray[np.floating] | None) -> Floats:
    """Count the real numbers in each shell that vary independently of each other.

    As many as Fourier voxels, since of two Friedel mates, four real numbers, two are independent; times
    ``((sum m^2)^2 / (N sum m^4))^(2/3)`` under a mask m over N voxels. A mask smooths the spectrum over as many voxels
    as the bracket is smaller than 1, and of three directions two lie within a shell that is one voxel thick. Of an
    object of extent D in a box of edge L this is about ``(D / L)^2``, and ``n (3 D / 2 L)^2 / 2`` of van Heel and
    Schatz (2005), without symmetry, is the same to an eighth.

    Parameters
    ----------
    voxels : ndarray of int, shape (n_shells,)
        Fourier voxels in each shell.
    mask_zyx : ndarray or None, shape (n_z, n_y, n_x)
        The mask that both volumes were multiplied by.

    Returns
    -------
    ndarray of float64, shape (n_shells,)
    """
    part = 1.0
    if mask_zyx is not None:
        square = fourth = 0.0
        for plane in mask_zyx:
            squares = np.square(plane, dtype=np.float64)
            square += float(squares.sum())
            fourth += float(np.square(squares).sum())
        part = square**2 / (mask_zyx.size * fourth)
    return voxels * part ** (2 / 3)


def find_crossing(frequency: Floats, correlation: Floats, threshold: float | Floats) -> Crossing:
    """Find the first frequency at which a curve falls below a threshold, once it has been above it.

    Parameters
    ----------
    frequency, correlation : ndarray of float64, shape (n_shells,)
        The curve; shells whose correlation is NaN are left out.
    threshold : float or ndarray of float64, shape (n_shells,)
        A number or a curve.

    Returns
    -------
    Crossing
        Between two shells by linear interpolation.
    """
    known = np.isfinite(correlation)
    frequency = frequency[known]
    excess = (correlation - threshold)[known]
    above = np.flatnonzero(excess >= 0)
    if above.size == 0:
        return Crossing(None, "never above")
    below = np.flatnonzero(excess[above[0] :] < 0)
    if below.size == 0:
        return Crossing(None, "above to the end")
    i = int(above[0] + below[0])
    part = excess[i - 1] / (excess[i - 1] - excess[i])
    return Crossing(float(frequency[i - 1] + part * (frequency[i] - frequency[i - 1])), "crossed")
