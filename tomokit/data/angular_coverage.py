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
from tomokit.geometry.tilt import centre


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
    counts = np.ones((geometry.n_views, n_u, n_v), bool) if mask is None else mask > 0
    row, seen_rows = _rows(geometry)
    x, z = np.arange(n_u) - centre(n_u), np.arange(n_z) - centre(n_z)
    covered = np.empty((n_u, n_z, n_v), np.float32)
    arc, nothing = np.float32(arc_rad), np.float32(-1)
    for i in range(n_u):
        total = np.zeros((n_z, n_v), np.float32)
        first = np.full((n_z, n_v), nothing)
        last = first.copy()
        for view in order:
            theta = geometry.tilt_rad[view]
            u = x[i] * math.cos(theta) - z * math.sin(theta) + geometry.shift_u_px[view] + centre(n_u)
            column = np.floor(u + 0.5).astype(np.intp)
            on_detector = (column >= 0) & (column < n_u)
            seen = counts[view][np.clip(column, 0, n_u - 1)[:, None], row[view]]
            seen &= on_detector[:, None] & seen_rows[view]
            angle = np.float32(direction[view])
            total += np.where(seen & (last >= 0), np.minimum(angle - last, arc), 0)
            first = np.where(seen & (first < 0), angle, first)
            last = np.where(seen, angle, last)
        # The last gap leads around to the first view that counts.
        around = np.minimum(first + np.float32(math.pi) - last, arc)
        covered[i] = np.where(last >= 0, total + around, 0)
    covered /= np.float32(math.pi)
    return np.clip(covered, 0, 1, out=covered)


def _rows(geometry: TiltGeometry) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The detector's row that each row of voxels is seen in, cut to the detector, and whether it lies on it."""
    row = np.floor(np.arange(geometry.n_v) + geometry.shift_v_px[:, None] + 0.5).astype(np.intp)
    return np.clip(row, 0, geometry.n_v - 1), (row >= 0) & (row < geometry.n_v)
