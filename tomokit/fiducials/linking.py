"""Points found in single views, linked to tracks: those that one point of the specimen explains.

A pair of points of two views, at the same place along the tilt axis, gives a position in the specimen; of all pairs
with a given point the one counts whose position is met by points in most views.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.fiducials.tracks import LEAST_SPAN_DEG, Floats, Indices, Track, fit_tracks, predict

_MOST_PAIRS = 400
_LARGEST_SPAN_DEG = 60.0
_ROUNDS = 3


def link_points(
    views: Indices,
    u_px: Floats,
    v_px: Floats,
    strength: Floats,
    tilt_deg: Floats,
    *,
    tolerance_px: float,
    least_views: int,
    largest_z_px: float,
) -> tuple[list[Indices], Indices]:
    """Link points of single views to tracks.

    Parameters
    ----------
    views : ndarray of int, shape (n,)
        The view of each point.
    u_px, v_px : ndarray of float64, shape (n,)
        Positions in detector pixels from the detector's centre, residual shifts taken off.
    strength : ndarray of float64, shape (n,)
        How much a point is believed; the strongest are linked first.
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angles in degrees.
    tolerance_px : float
        How far a point may lie from where its track has it.
    least_views : int
        In how many views a track needs a point.
    largest_z_px : float
        How far from the tilt axis a track may lie in z.

    Returns
    -------
    tracks : list of ndarray of int
        Indices of the points of each track, by ascending view; one a view.
    loose : ndarray of int
        Indices of the points that are in no track.
    """
    free = np.ones(views.size, bool)
    tracks: list[Indices] = []
    for seed in np.argsort(-strength, kind="stable"):
        if not free[seed]:
            continue
        near = np.flatnonzero(free & (np.abs(v_px - v_px[seed]) <= tolerance_px))
        xyz = _best_position(seed, near, views, u_px, v_px, strength, tilt_deg, tolerance_px, largest_z_px)
        if xyz is None:
            continue
        # The seed's own error is in this position: fitted anew to all points that it meets.
        found = _points_at(xyz, near, views, u_px, v_px, tilt_deg, 2 * tolerance_px)
        for _ in range(_ROUNDS):
            if found.size < least_views:
                break
            fit = fit_tracks([Track(views[found], u_px[found], v_px[found])], tilt_deg)[0]
            near = np.flatnonzero(free & (np.abs(v_px - fit.xyz_px[1]) <= tolerance_px))
            found = _points_at(fit.xyz_px, near, views, u_px, v_px, tilt_deg, tolerance_px)
        if found.size >= least_views:
            tracks.append(found)
            free[found] = False
    return tracks, np.flatnonzero(free)


def _best_position(
    seed: int,
    near: Indices,
    views: Indices,
    u: Floats,
    v: Floats,
    strength: Floats,
    tilt_deg: Floats,
    tolerance: float,
    largest_z: float,
) -> Floats | None:
    """The position through `seed` that meets the strongest points in most views; None if there is no pair."""
    tilt = np.deg2rad(tilt_deg)
    span = np.abs(tilt_deg[views[near]] - tilt_deg[views[seed]])
    partners = near[(span >= LEAST_SPAN_DEG) & (span <= _LARGEST_SPAN_DEG)]
    partners = partners[np.argsort(-strength[partners], kind="stable")][:_MOST_PAIRS]
    if partners.size == 0:
        return None
    one, other = tilt[views[seed]], tilt[views[partners]]
    # x cos - z sin = u in both views, solved by Cramer's rule.
    determinant = np.sin(one - other)
    x = (-u[seed] * np.sin(other) + u[partners] * np.sin(one)) / determinant
    z = (np.cos(one) * u[partners] - np.cos(other) * u[seed]) / determinant
    inside = np.abs(z) <= largest_z
    if not inside.any():
        return None
    x, z = x[inside], z[inside]
    at = tilt[views[near]]
    met = np.abs(x[:, None] * np.cos(at) - z[:, None] * np.sin(at) - u[near]) <= tolerance
    # A view counts once, by its strongest point there.
    order = np.argsort(views[near], kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(views[near][order]) > 0])
    capped = np.minimum(strength[near], 2 * strength[seed])
    worth = np.maximum.reduceat(np.where(met, capped, 0.0)[:, order], starts, axis=1).sum(axis=1)
    best = int(np.argmax(worth))
    return np.array([x[best], v[seed], z[best]])


def _points_at(
    xyz: Floats, near: Indices, views: Indices, u: Floats, v: Floats, tilt_deg: Floats, tolerance: float
) -> Indices:
    """Of each view the point nearest to where a position appears, if it is near enough."""
    expected, y = predict(xyz, tilt_deg)
    distance = np.hypot(u[near] - expected[views[near]], v[near] - y[views[near]])
    close: NDArray[np.intp] = near[distance <= tolerance]
    distance = distance[distance <= tolerance]
    order = np.lexsort((distance, views[close]))
    close = close[order]
    return close[np.r_[True, np.diff(views[close]) > 0]] if close.size else close
