"""How a figure of the views changes with the path of the beam through a film, 1/cos(tilt)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]

LEAST_VIEWS = 5
"""Of fewer views there is no trend."""

_LEAST_PATH = 0.1
"""Nor is there one if the path through a film changes by less than this, in units of the film's thickness."""


@dataclass(frozen=True)
class Trend:
    """How a figure of the views changes with the path of the beam through a film, 1/cos(tilt).

    Attributes
    ----------
    change : float
        Change from the shortest path to the longest, in units of the figure.
    at_zero : float
        The figure extrapolated to a path of 0: what is there without any specimen.
    middle : float
        The figure of a view in the middle of the paths.
    significance : float
        The change over its standard error, from the scatter of the views about the line; signed as the change is.
    """

    change: float
    at_zero: float
    middle: float
    significance: float


def fit_trend(figures: Double, tilt_deg: Double | None, drift: bool = True) -> Trend | None:
    """Fit a line through the figures of views over 1/cos(tilt), without those that are far from it.

    Parameters
    ----------
    figures : ndarray of float64, shape (n_views,)
        A figure of each view, in any unit.
    tilt_deg : ndarray of float64, shape (n_views,), or None
        Tilt angles in degrees.
    drift : bool
        Whether what changes from one end of the series to the other is fitted too, and left out of the trend.

    Returns
    -------
    Trend or None
        None if there are too few views or tilts, or the angles are not known.
    """
    if tilt_deg is None or figures.size < LEAST_VIEWS:
        return None
    path = 1 / np.cos(np.radians(np.minimum(np.abs(tilt_deg), 80.0)))
    if np.ptp(path) < _LEAST_PATH:
        return None
    columns = [np.ones_like(path), path]
    if drift and tilt_deg.min() < -20 and tilt_deg.max() > 20 and figures.size > LEAST_VIEWS + 1:
        # What changes from one end of the series to the other has nothing to do with the path.
        columns.append(tilt_deg / 90)
    design = np.stack(columns, axis=1)
    kept = np.ones(figures.size, dtype=bool)
    for _ in range(4):
        solution = np.linalg.lstsq(design[kept], figures[kept], rcond=None)[0]
        residual = figures - design @ solution
        scatter = 1.4826 * float(np.median(np.abs(residual[kept])))
        inside = np.abs(residual) <= max(6 * scatter, 1e-6 * float(np.abs(figures).max()))
        # Views that stray are left out, but not so many that the line would be of a few.
        if inside.sum() < 0.8 * figures.size or (inside == kept).all():
            break
        kept = inside
    freedom = max(1, int(kept.sum()) - design.shape[1])
    variance = float(residual[kept] @ residual[kept]) / freedom
    covariance = np.linalg.pinv(design[kept].T @ design[kept])
    error = float(np.sqrt(max(variance * covariance[1, 1], 0.0)))
    change = float(solution[1]) * float(np.ptp(path))
    floor = 1e-9 * float(np.abs(figures).max()) + float(np.finfo(np.float64).tiny)
    middle = float(solution[0] + solution[1] * 0.5 * (path.min() + path.max()))
    return Trend(change, float(solution[0]), middle, change / (error * float(np.ptp(path)) + floor))
