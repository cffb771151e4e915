"""Which leaves the data say anything about.

A leaf is seen if in some view its shadow meets a pixel that is not masked. Under a single-axis tilt a cube's shadow is
a rectangle, so a summed-area table of the mask answers for a leaf and a view with four reads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.octree.forest import Forest


def seen(forest: Forest, geometry: TiltGeometry, mask: NDArray[np.floating] | None = None) -> NDArray[np.bool_]:
    """Which leaves the data say anything about: those whose shadow meets an unmasked pixel of any view.

    Parameters
    ----------
    forest : Forest
    geometry : TiltGeometry
        The views that are fitted.
    mask : ndarray or None, shape (n_views, n_u, n_v)
        ``[tilt, u, y]``; a pixel counts where it is above 0. None if all count.

    Returns
    -------
    ndarray of bool, shape (n_leaves,)
        A shadow that only touches a pixel's edge does not meet it.

    Raises
    ------
    InputError
        If the mask does not fit the geometry.
    """
    shape = (geometry.n_views, geometry.n_u, geometry.n_v)
    if mask is not None and mask.shape != shape:
        raise InputError(f"mask of shape {mask.shape}, geometry of {shape}", field="mask")
    met_in_any = np.zeros(forest.n_leaves, bool)
    for view in range(geometry.n_views):
        first, stop = _shadows(forest, geometry, view)
        met = (stop > first).all(axis=1)
        if mask is not None:
            table = _summed_area(mask[view])
            # With the table a rectangle of pixels is counted by four reads, however large the leaf's shadow is.
            met &= _count_unmasked(table, first, stop) > 0
        met_in_any |= met
    return met_in_any


def select(forest: Forest, keep: ArrayLike) -> Forest:
    """The forest with only some of its leaves, in the same order.

    Parameters
    ----------
    forest : Forest
    keep : array_like of bool, shape (n_leaves,)
        Which leaves are kept.

    Returns
    -------
    Forest

    Raises
    ------
    InputError
        If there is not one mark for each leaf.
    """
    chosen = np.asarray(keep, bool)
    if chosen.shape != (forest.n_leaves,):
        raise InputError(f"{chosen.size} marks for {forest.n_leaves} leaves")
    return replace(forest, level=forest.level[chosen], index=forest.index[chosen])


def _shadows(forest: Forest, geometry: TiltGeometry, view: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels ``first <= (u, y) < stop`` under each leaf's shadow, cut to the detector; shape (n_leaves, 2) each."""
    half = forest.size_px / 2
    x, z, y = (forest.corner_px + half[:, None]).T
    cos, sin = np.cos(geometry.tilt_rad[view]), np.sin(geometry.tilt_rad[view])
    # Counted in pixels from the detector's edge, where pixel i reaches from i to i + 1.
    u = x * cos - z * sin + geometry.shift_u_px[view] + geometry.n_u / 2
    v = y + geometry.shift_v_px[view] + geometry.n_v / 2
    # A cube's shadow under a tilt about y: h (|cos| + |sin|) to either side across the axis, h along it.
    half_width = np.stack([half * (abs(cos) + abs(sin)), half], axis=1)
    centre = np.stack([u, v], axis=1)
    size = np.array([geometry.n_u, geometry.n_v])
    # A shadow that touches a pixel's edge but for rounding does not meet the pixel.
    slack = 1e-9 * (1 + np.abs(centre) + half_width)
    first = np.clip(np.floor(centre - half_width + slack), 0, size)
    stop = np.clip(np.ceil(centre + half_width - slack), 0, size)
    return first.astype(np.int64), stop.astype(np.int64)


def _count_unmasked(table: NDArray[np.int64], first: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """Unmasked pixels ``first <= (u, y) < stop`` of each rectangle, from the mask's summed-area table."""
    (u0, v0), (u1, v1) = first.T, stop.T
    return table[u1, v1] - table[u0, v1] - table[u1, v0] + table[u0, v0]


def _summed_area(mask: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number of unmasked pixels in ``[0, u) x [0, y)``, shape (n_u + 1, n_y + 1)."""
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    counts = table[1:, 1:]
    np.cumsum(mask > 0, axis=1, out=counts)
    np.cumsum(counts, axis=0, out=counts)
    return table
