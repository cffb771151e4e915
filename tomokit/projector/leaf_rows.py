"""Which detector rows see which y-vertices of which leaves, and with what weights.

A pixel is one unit long along the tilt axis as it is across, and its value is the mean of what lies above it. Between
vertices the field is linear, so that a row's mean over ``[a, b]``, in spacings from the leaf's lower face, has the
weights

    w_j = (H(b - j) - H(a - j)) / (b - a),    H(t) the integral of the hat function up to t

on three or more vertices. A row belongs to the slab of each level that its centre lies in, the lower end included, and
where it reaches out of that slab the mean is over the part inside. So no row mixes leaves of two slabs, a constant
density keeps its value, and a fit can be cut between slabs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry, centre
from tomokit.octree import Forest


@dataclass(frozen=True)
class LeafRows:
    """Which slab and vertices each detector row sees, for every view and level.

    Attributes
    ----------
    slab, vertex : ndarray of int32, shape (n_views, n_levels, n_v)
        The slab of each row, -1 if none, and the first vertex that the row sees.
    weight : ndarray of float32, shape (n_views, n_levels, n_v, taps)
        Of that vertex and those that follow; 0 where there is no slab.
    of_slab : ndarray of int32, shape (n_slabs, n_views, 2)
        First row of each slab and one past its last.
    """

    slab: NDArray[np.int32]
    vertex: NDArray[np.int32]
    weight: NDArray[np.float32]
    of_slab: NDArray[np.int32]


def find_rows(forest: Forest, geometry: TiltGeometry, slabs: NDArray[np.int64], size: NDArray[np.float64]) -> LeafRows:
    """Assign detector rows to the slabs of a forest, with the vertices that they see and their weights.

    Parameters
    ----------
    forest : Forest
        Leaves, whose lattice along y the slabs share.
    geometry : TiltGeometry
        Views, whose shifts along the axis count, and detector rows.
    slabs : ndarray of int64, shape (n_slabs, 2)
        Level and position along y, sorted.
    size : ndarray of float64, shape (n_levels,)
        Edge of a leaf of each level in pixels, also of levels at which the forest has no leaves.

    Returns
    -------
    LeafRows
    """
    n, n_v, n_views = forest.n, geometry.n_v, geometry.n_views
    taps = row_taps(float(size.min()) / (n - 1), n)
    shape = (n_views, size.size, n_v)
    slab, vertex = np.full(shape, -1, np.int32), np.zeros(shape, np.int32)
    weight = np.zeros((*shape, taps), np.float32)
    of_slab = np.zeros((len(slabs), n_views, 2), np.int32)
    v = np.arange(n_v)
    for level, edge in enumerate(size.tolist()):
        # Every place along y that a slab of this level may have, whether there is one or not.
        along = np.arange((forest.roots[2] << level) + 1)
        number = np.full(along.size, -1, np.int32)  # the last one, past the box, stays so
        here = np.flatnonzero(slabs[:, 0] == level)
        number[slabs[here, 1]] = here
        lower = forest.origin_px[2] + along * edge
        for t in range(n_views):
            # First row of each place: rows belong by their centres, the lower face included. Neighbours compute the
            # end of one and the beginning of the next from the same number, so no row is lost or taken twice.
            first = np.clip(np.ceil(lower + centre(n_v) + geometry.shift_v_px[t]), 0, n_v).astype(np.int64)
            of_slab[here, t, 0], of_slab[here, t, 1] = first[slabs[here, 1]], first[slabs[here, 1] + 1]
            place = np.searchsorted(first, v, side="right") - 1
            slab[t, level] = np.where(place >= 0, number[place], -1)
            # From the slab's lower face to the lower edge of the row, in pixels.
            begin = v - 0.5 - centre(n_v) - geometry.shift_v_px[t] - lower[place]
            vertex[t, level], weight[t, level] = _row_weights(begin, edge / (n - 1), n, taps)
            weight[t, level, slab[t, level] < 0] = 0
    return LeafRows(slab, vertex, weight, of_slab)


def row_taps(h: float, n: int) -> int:
    """How many vertices along y one detector row sees at most.

    Parameters
    ----------
    h : float
        Distance between vertices in pixels.
    n : int
        Vertices along a leaf's edge.

    Returns
    -------
    int
    """
    return min(n, math.ceil(1 / h) + 2)


def _row_weights(
    begin: NDArray[np.float64], h: float, n: int, taps: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """First vertices and weights of the rows that begin so many pixels from the lower faces of leaves."""
    # In spacings, cut to the leaf: what of a row lies beyond it is another slab's.
    a = np.clip(begin / h, 0, n - 1)
    b = np.clip((begin + 1) / h, 0, n - 1)
    # Near the upper face the taps begin earlier, so that none lies beyond it; the first ones then weigh 0.
    vertex = np.minimum(a.astype(np.int64), n - taps)
    j = vertex[:, None] + np.arange(taps)
    # A row that only touches the leaf has no length; its weights are 0, and are to stay numbers.
    length = np.where(b > a, b - a, 1.0)
    return vertex, (_hat_integral(b[:, None] - j) - _hat_integral(a[:, None] - j)) / length[:, None]


def _hat_integral(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral of ``max(0, 1 - |t|)`` from minus infinity."""
    near = np.clip(t, -1, 1)
    return 0.5 + near - 0.5 * near * np.abs(near)
