"""How the specimen lies by its beads: the slope of one or two parallel layers that they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomokit.fiducials.tracks import Track, fit_tracks

Floats = NDArray[np.float64]

LEAST_BEADS = 12
"""Fewer that lie anywhere may seem to lie in two layers of some slope: eight did in 8 of 60 trials, twelve in none."""
_LEAST_VIEWS = 5
_WELL_PX = 3.0
_LEAST_SPREAD = 0.15
"""Deviation of their places along x and y, as a share of the greater one: beads in a row have no slope across it."""
_MOST_OF_DISTANCE = 0.1
"""Mean distance of beads from two layers, as a share of that between these: cut in two, heights at random have 0.25."""
_MOST_OF_SPREAD = 0.05
"""Mean distance of beads from one layer, as a share of the lesser deviation along it."""
_SCAN_DEG = np.arange(-30.0, 30.1, 3.0)
_STEPS_DEG = (1.0, 0.5, 0.1)
_MOST_DEG = 45.0


class BeadPlane(NamedTuple):
    """The slope of the layers of beads.

    Attributes
    ----------
    tilt_deg, x_tilt_deg : float
        ``a`` and ``b`` of ``z = z0 + x tan(a) + y tan(b)`` in degrees.
    errors_deg : tuple of float
        Their standard errors, from leaving out one bead after the other.
    n_beads : int
        How many beads count.
    distance_px : float
        How far apart the layers are; 0 for one.
    """

    tilt_deg: float
    x_tilt_deg: float
    errors_deg: tuple[float, float]
    n_beads: int
    distance_px: float


def bead_plane(tracks: Sequence[Track], tilt_deg: Floats) -> BeadPlane | None:
    """Fit one slope to beads that lie on one surface of the specimen, or on two.

    The sum of the distances from the median of each layer is least; which layer a bead is of follows from where its
    height, less the slope, is best cut in two.

    Parameters
    ----------
    tracks : sequence of Track
        Positions in aligned views, in raw pixels.
    tilt_deg : ndarray of float64, shape (n_views,)
        Angles in degrees.

    Returns
    -------
    BeadPlane or None
        None if too few beads have a position that is known, or they lie in a row or in no layers: the slope that
        gathers best what lies scattered through the specimen says nothing of it, however sharp it is.
    """
    long = [track for track in tracks if track.views.size >= _LEAST_VIEWS]
    fits = [fit for fit in fit_tracks(long, tilt_deg) if fit.depth_known and fit.rms_px < _WELL_PX]
    if len(fits) < LEAST_BEADS:
        return None
    xyz = np.array([fit.xyz_px for fit in fits])
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(xyz[:, :2].T)))
    if spread[0] < _LEAST_SPREAD * spread[1]:
        return None
    coarse = min(((a, b) for a in _SCAN_DEG for b in _SCAN_DEG), key=lambda at: _cost(xyz, *at)[0])
    tilt, x_tilt = _improve(xyz, (float(coarse[0]), float(coarse[1])))
    n = len(xyz)
    cost, distance = _cost(xyz, tilt, x_tilt)
    if cost > _MOST_OF_DISTANCE * n * distance:
        height = _heights(xyz, tilt, x_tilt)
        if np.abs(height - np.median(height)).mean() > _MOST_OF_SPREAD * spread[0]:
            return None
        distance = 0.0
    without = np.array([_improve(np.delete(xyz, one, 0), (tilt, x_tilt), _STEPS_DEG[1:]) for one in range(n)])
    # The jackknife of a median is rough; a step of the search is no better known than half of it.
    errors = np.sqrt((n - 1) / n * np.sum((without - without.mean(axis=0)) ** 2, axis=0))
    a_error, b_error = (float(np.hypot(error, _STEPS_DEG[-1] / 2)) for error in errors)
    return BeadPlane(tilt, x_tilt, (a_error, b_error), n, distance)


def _improve(xyz: Floats, start: tuple[float, float], steps_deg: tuple[float, ...] = _STEPS_DEG) -> tuple[float, float]:
    at, cost = start, _cost(xyz, *start)[0]
    for step in steps_deg:
        while True:
            near = [(at[0] + i * step, at[1] + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            found = min(near, key=lambda place: _cost(xyz, *place)[0])
            least = _cost(xyz, *found)[0]
            if least >= cost or max(map(abs, found)) > _MOST_DEG:
                break
            at, cost = found, least
    return at


def _heights(xyz: Floats, tilt_deg: float, x_tilt_deg: float) -> Floats:
    """What is left of z without the slope."""
    return np.asarray(xyz[:, 2] - xyz[:, 0] * np.tan(np.deg2rad(tilt_deg)) - xyz[:, 1] * np.tan(np.deg2rad(x_tilt_deg)))


def _cost(xyz: Floats, tilt_deg: float, x_tilt_deg: float) -> tuple[float, float]:
    """Sum of the distances from the medians of the layers, and how far apart these are."""
    height = np.sort(_heights(xyz, tilt_deg, x_tilt_deg))
    n = height.size
    sums = np.concatenate([[0.0], np.cumsum(height)])
    # A layer of one or two beads would be any that lie apart.
    cuts = np.arange(3, n - 2)
    # Of what is sorted, the upper half less the lower one is the sum of the distances from the median.
    lower = (sums[cuts] - sums[cuts - cuts // 2]) - sums[cuts // 2]
    rest = (n - cuts) // 2
    upper = (sums[n] - sums[n - rest]) - (sums[cuts + rest] - sums[cuts])
    whole = float((sums[n] - sums[n - n // 2]) - sums[n // 2])
    two = lower + upper
    best = int(two.argmin())
    if two[best] >= whole:
        return whole, 0.0
    cut = int(cuts[best])
    return float(two[best]), float(height[(cut + n) // 2] - height[cut // 2])
