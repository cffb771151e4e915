"""How far two halves of a volume agree from place to place: the share of signal, and the noise.

Two halves of the same views' number are taken for ``e = s + a`` and ``o = s + b``: one signal, and noise that is
independent and as strong in both. Under a window around each voxel, a normalized Gaussian, their correlation is then
``c = var(s) / (var(s) + var(a))``. Of the variance of their mean, ``s + (a + b) / 2``, the signal has the share

    q = 2 c / (1 + c)

(Spearman and Brown, Br. J. Psychol. 3, 271 and 296, 1910), and the noise in it has the variance of ``(e - o) / 2``.
Both are of what varies within the window: means are subtracted, so that a level or a slow slope is no agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Density = NDArray[np.float32]

WINDOW_PX = 3.0
"""Standard deviation of the window in voxels: white noise has 1200 independent values under it."""
BYTES_PER_VOXEL = 36
"""What both maps take at their peak, beside the halves."""
_TRUNCATE = 3.0
_LEAST = 1e-10
"""Share of a half's largest local variance below which there is nothing to be correlated."""


@dataclass(frozen=True)
class LocalAgreement:
    """Two maps, each ``[z, y, x]``, float32.

    Attributes
    ----------
    signal : ndarray
        Share of signal q in the variance of the halves' mean, 0 to 1; 0 where they disagree or nothing varies.
    noise : ndarray
        Standard deviation of the noise in the halves' mean, in units of density: that of half their difference.
    """

    signal: Density
    noise: Density


def local_agreement(first: Density, second: Density, window_px: float = WINDOW_PX) -> LocalAgreement:
    """Compare two halves of a volume under a window around each voxel.

    Parameters
    ----------
    first, second : ndarray, shape (n_z, n_y, n_x)
        Densities ``[z, y, x]`` of one lattice.
    window_px : float
        Standard deviation of the Gaussian window in voxels; beyond the faces the volume is continued by reflection.

    Returns
    -------
    LocalAgreement
    """
    # A product of densities of any scale has to stay within single precision.
    scale = float(np.sqrt(max(first.var(dtype=np.float64), second.var(dtype=np.float64)))) or 1.0
    e, o = (((half - np.float32(half.mean(dtype=np.float64))) / np.float32(scale)) for half in (first, second))
    mean_e, mean_o = _smooth(e, window_px), _smooth(o, window_px)
    variance_e = _smooth(e * e, window_px) - mean_e**2
    variance_o = _smooth(o * o, window_px) - mean_o**2
    common = _smooth(e * o, window_px) - mean_e * mean_o
    # Half the difference has a quarter of the variance of the difference.
    noise = np.sqrt(np.maximum(variance_e + variance_o - 2 * common, 0)) * np.float32(scale / 2)
    return LocalAgreement(_share_of_signal(variance_e, variance_o, common), noise)


def chance_level(first: Density, second: Density, window_px: float = WINDOW_PX) -> float:
    """Tell how large a share of signal comes about by chance: where no structure of one half is that of the other.

    One half is moved along y by half the volume. What both halves have alike along y, such as the faces of a slab, then
    still agrees and counts as chance.

    Parameters
    ----------
    first, second, window_px
        As of :func:`local_agreement`.

    Returns
    -------
    float
        The share of signal that 95 of 100 voxels stay below.
    """
    moved = np.roll(second, second.shape[1] // 2, axis=1)
    return float(np.percentile(local_agreement(first, moved, window_px).signal, 95))


def _smooth(values: Density, window_px: float) -> Density:
    smoothed: Density = gaussian_filter(values, window_px, mode="reflect", truncate=_TRUNCATE)
    return smoothed


def _share_of_signal(variance_e: Density, variance_o: Density, common: Density) -> Density:
    """The share q by local variances and covariance; nothing where one half does not vary."""
    varies = (variance_e > _LEAST * variance_e.max(initial=0)) & (variance_o > _LEAST * variance_o.max(initial=0))
    norm = np.sqrt(np.maximum(variance_e, 0) * np.maximum(variance_o, 0))
    c = np.clip(np.divide(common, norm, out=np.zeros_like(common), where=varies & (norm > 0)), 0, 1)
    return 2 * c / (1 + c)
