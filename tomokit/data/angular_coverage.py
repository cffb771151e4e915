"""How much of all directions across the tilt axis the views cover, voxel by voxel.

By the projection theorem a view at angle ``theta`` measures a line of the plane ``(kx, kz)``. Of an object of extent D
the transform is smooth over ``1 / D``, so that at the spatial frequency ``1 / d`` the view answers for an arc of

    w = d / D

radians about its line: m views, evenly over 180 degrees, cover all directions up to ``d = pi D / m`` (Crowther,
DeRosier and Klug, Proc. R. Soc. A 317, 319, 1970). A view counts for a voxel where the voxel's ray meets a pixel of
the detector that is not masked. The coverage of a voxel is what the arcs of all views that count cover together, of
180 degrees:

    c = sum over neighbours in angle of min(gap, w) / pi,

the gaps between views that count going once around 180 degrees.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry
from tomokit.kernels.shared import Share, items_of, shared_out


def typical_arc_rad(tilt_rad: NDArray[np.float64], n_z: int) -> float:
    """Choose the arc of a view: the typical gap between neighbours in angle.

    Directions within the range of tilts then count as covered, and the resolution that this is true of is
    ``w D`` (see the module).

    Parameters
    ----------
    tilt_rad : ndarray, shape (n_views,)
        Tilt angles in radians, in any order.
    n_z : int
        Extent D of the specimen in voxels.

    Returns
    -------
    float
        The median gap, in radians; for a single direction, what it covers at a resolution of two voxels.
    """
    direction = np.unique(np.round(np.mod(tilt_rad, math.pi), 9))
    if direction.size == 1:
        return min(2.0 / n_z, math.pi)
    gaps = np.diff(direction, append=direction[0] + math.pi)
    # The largest is the missing wedge, which no view answers for.
    return float(np.median(np.sort(gaps)[:-1]))


def angular_coverage(
    geometry: TiltGeometry, mask: NDArray[np.floating] | None, n_z: int, arc_rad: float
) -> NDArray[np.float32]:
    """Tell which share of all directions across the tilt axis the views cover at each voxel.

    Parameters
    ----------
    geometry : TiltGeometry
        The views.
    mask : ndarray or None, shape (n_views, n_u, n_v)
        ``[tilt, u, y]``; a pixel counts where it is above 0. None if all count.
    n_z : int
        Voxels along the beam.
    arc_rad : float
        What one view covers, w, in radians.

    Returns
    -------
    ndarray of float32, shape (n_u, n_z, n_v)
        ``[x, z, y]``, from 0, where no view sees the voxel, to 1.
    """
    n_u, n_v = geometry.n_u, geometry.n_v
    direction = np.mod(geometry.tilt_rad, math.pi)
    order = np.argsort(direction, kind="stable")
    shape = (geometry.n_views, n_u, n_v)
    counts = np.broadcast_to(np.uint8(1), shape) if mask is None else (mask > 0).view(np.uint8)
    covered = np.empty((n_u, n_z, n_v), np.float32)
    _cover(
        covered, np.ascontiguousarray(counts), order, direction.astype(np.float32), np.cos(geometry.tilt_rad),
        np.sin(geometry.tilt_rad), geometry.shift_u_px, _rows(geometry), np.float32(arc_rad),
    )  # fmt: skip
    return covered


def _rows(geometry: TiltGeometry) -> NDArray[np.int64]:
    """The detector's row that each row of voxels is seen in by each view, -1 beside the detector."""
    row = np.floor(np.arange(geometry.n_v) + geometry.shift_v_px[:, None] + 0.5).astype(np.int64)
    return np.where((row >= 0) & (row < geometry.n_v), row, -1)


@shared_out()
def _cover(
    share: Share,
    covered: NDArray[np.float32],
    counts: NDArray[np.uint8],
    order: NDArray[np.int64],
    direction: NDArray[np.float32],
    cos: NDArray[np.float64],
    sin: NDArray[np.float64],
    shift: NDArray[np.float64],
    rows: NDArray[np.int64],
    arc: np.float32,
) -> None:
    """Add up the arcs at each voxel of ``covered[x, z, y]``, views taken in the order of their directions."""
    n_x, n_z, n_y = covered.shape
    half_turn, nothing, zero = np.float32(np.pi), np.float32(-1), np.float32(0)
    # Direction of the first and of the last view so far that counts, for a line of voxels.
    first, last = np.empty(n_y, np.float32), np.empty(n_y, np.float32)
    for i in items_of(share, n_x):
        for k in range(n_z):
            line = covered[i, k]
            for j in range(n_y):
                first[j], last[j], line[j] = nothing, nothing, zero
            for view in order:
                middle = (n_x - 1) / 2
                u = (i - middle) * cos[view] - (k - (n_z - 1) / 2) * sin[view] + shift[view] + middle
                column = int(np.floor(u + 0.5))
                if column < 0 or column >= n_x:
                    continue
                angle = direction[view]
                for j in range(n_y):
                    row = rows[view, j]
                    if row < 0 or counts[view, column, row] == 0:
                        continue
                    if last[j] < zero:
                        first[j] = angle
                    else:
                        line[j] += min(angle - last[j], arc)
                    last[j] = angle
            for j in range(n_y):
                if last[j] >= zero:
                    # The last gap leads around to the first view that counts.
                    line[j] = min((line[j] + min(first[j] + half_turn - last[j], arc)) / half_turn, np.float32(1))
