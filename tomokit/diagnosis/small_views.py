"""Views made small: binned, aligned by one geometry or another, and of even contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, maximum_filter, minimum_filter

from tomokit.data.series import TiltSeries
from tomokit.diagnosis.geometry import Geometry
from tomokit.geometry import TiltGeometry
from tomokit.io.binning import bin_series
from tomokit.io.transforms import align_images

Stack = NDArray[np.float32]
_BACKGROUND_SHARE = 1 / 30
"""Structure some times wider than this share of a view is left out: it looks alike in any geometry."""
_PATCH_PX = 5
_CLIP = 4.0
"""Beads and the edges of holes have a say, but not the only one."""
_OFF_GRID = 0.4
"""Fine pixels by which all views are moved, so that one that need not be interpolated is, as all others are."""
_FINE = 2
"""Views are transformed on pixels so many times finer, and binned then: what interpolation smooths is binned away, so
that a transform which interpolates is no better and no worse than one that does not."""


@dataclass(frozen=True)
class SmallViews:
    """Binned raw views, from which aligned ones are made for any geometry.

    Attributes
    ----------
    fine : ndarray of float32, shape (n_views, n_fine_y, n_fine_x)
        Views without background, of mean 0 and deviation 1 where they are used.
    used : ndarray of float32, shape (n_views, n_fine_y, n_fine_x)
        1 where a pixel counts, else 0.
    fine_binning : int
        Edge of one of their pixels in raw pixels.
    binning : int
        Edge of a pixel of the aligned views in raw pixels.
    """

    fine: Stack
    used: Stack
    fine_binning: int
    binning: int

    @classmethod
    def make(cls, images: Stack, mask: Stack | None, width: int) -> SmallViews:
        """Bin views to about a width and level their contrast.

        Parameters
        ----------
        images : ndarray of float32, shape (n_views, n_y, n_x)
            Raw views; may be memory-mapped, one at a time is worked on.
        mask : ndarray of float32, shape (n_views, n_y, n_x), optional
            Pixels of 0 do not count.
        width : int
            Pixels along the shorter axis to come near to.

        Returns
        -------
        SmallViews
        """
        n_views, n_y, n_x = images.shape
        binning = max(1, round(min(n_y, n_x) / width / _FINE))
        fine, used = [], []
        for view in range(n_views):
            image = np.asarray(images[view], np.float32)
            weight = (~flat_patches(image)).astype(np.float32)
            if mask is not None:
                weight *= mask[view] > 0
            # One view at a time, since the stack may be larger than memory; the angle plays no part in it.
            one = TiltSeries(image[None], TiltGeometry(np.zeros(1), n_u=n_x, n_v=n_y), mask=weight[None])
            small = bin_series(one, binning)
            used.append(np.ones_like(small.images[0]) if small.mask is None else (small.mask[0] > 0).astype(np.float32))
            fine.append(_level(np.asarray(small.images[0], np.float64), used[-1]))
        return cls(np.stack(fine), np.stack(used), binning, _FINE * binning)

    def align(self, geometry: Geometry) -> tuple[Stack, Stack]:
        """Align the views by a geometry.

        Parameters
        ----------
        geometry : Geometry
            Its shifts in raw pixels.

        Returns
        -------
        views : ndarray of float32, shape (n_views, n_y, n_x)
            Aligned, 0 where nothing is known.
        weight : ndarray of float32, shape (n_views, n_y, n_x)
            1 where a pixel counts, else 0.
        """
        transform = geometry.with_shifts_scaled(1 / self.fine_binning).transform
        transform[:, 4:] += _OFF_GRID
        views, inside = align_images(self.fine, transform, order=3)
        if (self.used == 1).all():
            weight = inside
        else:
            used, _ = align_images(self.used, transform, order=1)
            weight = (inside * (used > 0.9)).astype(np.float32)
        views, weight = _bin(views * weight), (_bin(weight) > 0.5).astype(np.float32)
        return views * weight, weight


def flat_patches(image: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Find what a program has filled in one grey: padding, and beads painted over.

    Parameters
    ----------
    image : ndarray, shape (n_y, n_x)

    Returns
    -------
    ndarray of bool, shape (n_y, n_x)
        True in squares of 5 x 5 pixels, or larger, of one value.
    """
    same = maximum_filter(image, _PATCH_PX) == minimum_filter(image, _PATCH_PX)
    return np.asarray(binary_dilation(same, np.ones((_PATCH_PX, _PATCH_PX)))) if same.any() else same


def _bin(images: Stack) -> Stack:
    n_views, n_y, n_x = (n // step * step for n, step in zip(images.shape, (1, _FINE, _FINE), strict=True))
    # What is cut off at the far edges moves the centre by half a fine pixel at most, in all views alike.
    blocks = images[:, :n_y, :n_x].reshape(n_views, n_y // _FINE, _FINE, n_x // _FINE, _FINE)
    return np.asarray(blocks.mean(axis=(2, 4)), np.float32)


def _level(image: NDArray[np.float64], used: Stack) -> Stack:
    """Take out the background, and bring what is left to deviation 1."""
    if not used.any():
        return np.zeros(image.shape, np.float32)
    sigma = _BACKGROUND_SHARE * min(image.shape)
    # A positive image is one of intensities, whose contrast is relative.
    low = float(image[used > 0].min())
    detail = np.log(np.maximum(image, low)) if low > 0 else image
    mean = float(detail[used > 0].mean())
    weight = gaussian_filter(used.astype(np.float64), sigma)
    background = gaussian_filter((detail - mean) * used, sigma) / np.maximum(weight, 1e-3)
    detail = (detail - mean - background) * used
    deviation = float(detail[used > 0].std())
    if deviation == 0:
        return np.zeros(image.shape, np.float32)
    detail = np.clip(detail, -_CLIP * deviation, _CLIP * deviation)
    return np.asarray(detail / detail[used > 0].std(), np.float32)
