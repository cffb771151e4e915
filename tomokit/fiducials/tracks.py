"""Tracks of fiducials over the views, and the 3-D position of each by a robust fit of the tilt geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

LEAST_SPAN_DEG = 5.0
"""Views that lie closer together than this say nothing of the depth of a point."""
LEAST_SCALE_PX = 0.15
"""Positions are hardly ever better than this, however well a few of them fit."""
_OUTLIER = 4.0
_ROUNDS = 12
_LEAST_VIEWS_OF_DEPTH = 3


@dataclass(frozen=True)
class Track:
    """Positions of one fiducial in some of the views.

    Attributes
    ----------
    views : ndarray of int, shape (n,)
        Views from 0, ascending, each once.
    u_px, v_px : ndarray of float64, shape (n,)
        Position in detector pixels from the detector's centre, `u` across the tilt axis, `v` along it.
    name : str
        What messages call it.
    """

    views: Indices
    u_px: Floats
    v_px: Floats
    name: str = "a bead"


@dataclass(frozen=True)
class TrackFit:
    """The 3-D position that explains a track, and how well.

    Attributes
    ----------
    track : Track
        What was fitted.
    xyz_px : ndarray of float64, shape (3,)
        Position ``(x, y, z)`` in detector pixels from the origin.
    depth_known : bool
        Whether the views span enough angle to tell `z`; it is 0 if not.
    residual_u_px, residual_v_px : ndarray of float64, shape (n,)
        Measured minus fitted position in each view of the track.
    used : ndarray of bool, shape (n,)
        False for positions that are outliers: they have hardly any weight in the fit, and no part in `rms_px`.
    """

    track: Track
    xyz_px: Floats
    depth_known: bool
    residual_u_px: Floats
    residual_v_px: Floats
    used: NDArray[np.bool_]

    @property
    def rms_u_px(self) -> float:
        """Root mean square of the residual across the tilt axis, outliers left out."""
        return float(np.sqrt(np.mean(self.residual_u_px[self.used] ** 2)))

    @property
    def rms_v_px(self) -> float:
        """Root mean square of the residual along the tilt axis, outliers left out."""
        return float(np.sqrt(np.mean(self.residual_v_px[self.used] ** 2)))

    @property
    def rms_px(self) -> float:
        """Root mean square of the distance between measured and fitted positions, outliers left out."""
        return float(np.hypot(self.rms_u_px, self.rms_v_px))


def fit_tracks(
    tracks: Sequence[Track],
    tilt_deg: ArrayLike,
    *,
    shift_u_px: ArrayLike = 0.0,
    shift_v_px: ArrayLike = 0.0,
) -> list[TrackFit]:
    """Fit the 3-D position of each track: ``u = x cos(theta) - z sin(theta) + du``, ``v = y + dv``.

    The fit is one of least squares whose weights fall with the residual (Geman and McClure), so that a few wrong
    positions have no say. The sign of all angles is not among what residuals can tell: it turns `z` around.

    Parameters
    ----------
    tracks : sequence of Track
        Each of at least one view.
    tilt_deg : array_like, shape (n_views,)
        Tilt angles in degrees.
    shift_u_px, shift_v_px : array_like, shape (n_views,) or ()
        Residual shift ``du``, ``dv`` of each view in pixels.

    Returns
    -------
    list of TrackFit
        One for each track.

    Raises
    ------
    InputError
        If a track has a view that has no angle.
    """
    tilt = np.atleast_1d(np.asarray(tilt_deg, dtype=np.float64))
    shift_u, shift_v = (
        np.broadcast_to(np.asarray(shift, dtype=np.float64), tilt.shape) for shift in (shift_u_px, shift_v_px)
    )
    fits = []
    for track in tracks:
        if track.views.size == 0 or track.views.min() < 0 or track.views.max() >= tilt.size:
            raise InputError(f"{track.name} has positions beyond views 0 to {tilt.size - 1}", field="views")
        at = track.views
        fits.append(_fit(track, np.deg2rad(tilt[at]), track.u_px - shift_u[at], track.v_px - shift_v[at]))
    return fits


def predict(xyz_px: ArrayLike, tilt_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Predict where a point appears in each view, without residual shifts.

    Parameters
    ----------
    xyz_px : array_like, shape (3,)
        Position in detector pixels from the origin.
    tilt_deg : array_like, shape (n_views,)
        Tilt angles in degrees.

    Returns
    -------
    u_px, v_px : ndarray of float64, shape (n_views,)
        Position in detector pixels from the detector's centre.
    """
    x, y, z = np.asarray(xyz_px, dtype=np.float64)
    tilt = np.deg2rad(np.asarray(tilt_deg, dtype=np.float64))
    return x * np.cos(tilt) - z * np.sin(tilt), np.full(tilt.shape, y)


def _fit(track: Track, tilt_rad: Floats, u: Floats, v: Floats) -> TrackFit:
    cos, sin = np.cos(tilt_rad), np.sin(tilt_rad)
    depth_known = u.size >= _LEAST_VIEWS_OF_DEPTH and bool(np.rad2deg(np.ptp(tilt_rad)) >= LEAST_SPAN_DEG)
    columns = np.stack([cos, -sin], axis=1) if depth_known else cos[:, None]
    weights = np.ones(u.size)
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        place = np.linalg.lstsq(columns * root[:, None], u * root, rcond=None)[0]
        y = float(np.average(v, weights=weights))
        residual_u, residual_v = u - columns @ place, v - y
        distance = np.hypot(residual_u, residual_v)
        # Of two-dimensional normal residuals the median distance is 1.18 standard deviations.
        scale = max(float(np.median(distance)) / 1.18, LEAST_SCALE_PX)
        weights = 1.0 / (1.0 + (distance / (2.0 * scale)) ** 2) ** 2
    xyz = np.array([place[0], y, place[1] if depth_known else 0.0])
    return TrackFit(track, xyz, depth_known, residual_u, residual_v, distance <= _OUTLIER * scale)
