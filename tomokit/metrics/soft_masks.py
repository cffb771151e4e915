"""Masks of a volume whose edges fall off softly, so that they do not correlate what they are applied to."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from tomokit.errors import InputError

Mask = NDArray[np.float32]
Shape = tuple[int, int, int]

_SMOOTHING_PX = 3.0
_BINS = 256


def box_mask(shape_zyx: Shape, edge_px: float) -> Mask:
    """The whole volume, its faces tapered by a raised cosine.

    Parameters
    ----------
    shape_zyx : tuple of int
    edge_px : float
        Width of the taper in voxels, at most a quarter of each axis.

    Returns
    -------
    ndarray of float32, shape (n_z, n_y, n_x)
    """
    z, y, x = (_ramp(n, min(edge_px, n / 4)) for n in shape_zyx)
    return (z[:, None, None] * y[:, None]) * x


def sphere_mask(shape_zyx: Shape, edge_px: float) -> Mask:
    """The largest sphere about the centre whose soft edge ends within the volume.

    Parameters
    ----------
    shape_zyx : tuple of int
    edge_px : float
        Width of the edge in voxels, at most half of the radius.

    Returns
    -------
    ndarray of float32, shape (n_z, n_y, n_x)
    """
    outer = min(shape_zyx) / 2
    edge = min(edge_px, outer / 2)
    z, y, x = ((np.arange(n, dtype=np.float32) - (n - 1) / 2) ** 2 for n in shape_zyx)
    return _falling(np.sqrt(z[:, None, None] + y[:, None] + x) - (outer - edge), edge)


def soften(core_zyx: NDArray[np.bool_], edge_px: float) -> Mask:
    """Surround a region by a soft edge outside it.

    Parameters
    ----------
    core_zyx : ndarray of bool, shape (n_z, n_y, n_x)
        Where the mask is 1.
    edge_px : float
        Distance in voxels over which it falls to 0; 0 leaves it sharp.

    Returns
    -------
    ndarray of float32, shape (n_z, n_y, n_x)

    Raises
    ------
    InputError
        If the region is empty.
    """
    if not core_zyx.any():
        raise InputError("no voxel is in the mask", field="mask")
    return _falling(distance_transform_edt(~core_zyx).astype(np.float32), edge_px)


def auto_mask(values_zyx: NDArray[np.floating], edge_px: float) -> Mask:
    """Where there is structure: the local variance, smoothed over 3 voxels, beyond Otsu's threshold of its logarithm.

    N. Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979).

    Parameters
    ----------
    values_zyx : ndarray, shape (n_z, n_y, n_x)
        The mean of both halves, so that neither has more of a say.
    edge_px : float
        Width of the soft edge in voxels.

    Returns
    -------
    ndarray of float32, shape (n_z, n_y, n_x)

    Raises
    ------
    InputError
        If the volume is constant.
    """
    smooth = gaussian_filter(np.asarray(values_zyx, np.float32), 1.0)
    smooth -= np.float32(smooth.mean(dtype=np.float64))
    variance = gaussian_filter(smooth**2, _SMOOTHING_PX)
    greatest = float(variance.max())
    if not greatest > 0:
        raise InputError("a constant volume has no structure to be masked", field="mask")
    level = np.log(np.maximum(variance, 1e-6 * greatest), dtype=np.float32)
    return soften(level > _otsu(level), edge_px)


def _ramp(n: int, edge: float) -> Mask:
    """An axis of n voxels, 1 inside and falling over `edge` voxels to either end."""
    depth = np.minimum(np.arange(n), np.arange(n)[::-1]).astype(np.float32) + np.float32(0.5)
    return _falling(np.float32(edge) - depth, edge)


def _falling(distance: NDArray[np.float32], edge: float) -> Mask:
    """1 for distances of at most 0, 0 from `edge` on, a raised cosine between."""
    if edge <= 0:
        return (distance <= 0).astype(np.float32)
    phase = np.clip(distance / np.float32(edge), 0, 1, dtype=np.float32)
    return np.asarray(0.5 + 0.5 * np.cos(np.float32(math.pi) * phase), np.float32)


def _otsu(values: NDArray[np.float32]) -> float:
    """The threshold that parts values into two classes of the least variance within."""
    counts, edges = np.histogram(values, _BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    parted = (below > 0) & (above > 0)
    difference = np.zeros(_BINS - 1)
    difference[parted] = sums[:-1][parted] / below[parted] - (sums[-1] - sums[:-1][parted]) / above[parted]
    return float(edges[1:-1][np.argmax(below * above.astype(np.float64) * difference**2)])
