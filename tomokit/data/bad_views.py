"""Views that hold no image, or another one than their neighbours in tilt: black, constant, dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.spots import Image, Used, sample_pixels

LOST = 0.2
"""A view of less than this fraction of its neighbours' brightness, or spread, holds no image."""
DOUBTFUL = 0.4
"""A view beyond this fraction, or its inverse, is named, and used."""
MOST_LOST = 1 / 3
"""If more of the views than this were dark, it is the series that is unusual."""
NEIGHBOURS = 5
"""The trend at a view is the median over so many views on either side."""
LEAST_PIXELS = 16
"""Of fewer pixels nothing is said."""
LEAST_VIEWS = 6
"""Fewer have no trend."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ViewStatistics:
    """Robust statistics of one view, over the pixels that count.

    Attributes
    ----------
    minimum, maximum : float
        Extremes of all of them.
    level, spread : float
        Mean and standard deviation of those from 1 to 99 %, of a sample.
    """

    minimum: float
    maximum: float
    level: float
    spread: float


@dataclass(frozen=True)
class BadView:
    """A view that holds no image, or a doubtful one.

    Attributes
    ----------
    view : int
        Its index in the series that was looked at.
    what : str
        What is wrong with it, such as ``"is constant (0)"``.
    lost : bool
        Whether it holds no image; else it may be good.
    """

    view: int
    what: str
    lost: bool


def view_statistics(image: Image, used: Used | None = None) -> ViewStatistics:
    """Compute the statistics of one view.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        The view, in any unit.
    used : ndarray of bool, shape (n_y, n_x), or None
        Which pixels count; None if all do.

    Returns
    -------
    ViewStatistics
        NaN if hardly any pixel counts.
    """
    pixels = image if used is None else image[used]
    if pixels.size < LEAST_PIXELS:
        return ViewStatistics(np.nan, np.nan, np.nan, np.nan)
    sample = sample_pixels(image, used).astype(np.float64)
    low, high = np.percentile(sample, (1, 99))
    middle = sample[(sample >= low) & (sample <= high)]
    return ViewStatistics(float(pixels.min()), float(pixels.max()), float(middle.mean()), float(middle.std()))


def find_bad_views(statistics: Sequence[ViewStatistics], tilt_deg: Floats) -> list[BadView]:
    """Find the views that hold no image, and those that may not.

    Constant views hold none. Of the others the brightness (where the series is positive) and the spread are compared
    with two trends, both robust: the median over the neighbours in tilt, and the line of their logarithm over the
    thickness, ``1 / cos(tilt)``, as Beer and Lambert have it. A view is out of line if it is by both.

    Parameters
    ----------
    statistics : sequence of ViewStatistics
        One a view.
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angles in degrees.

    Returns
    -------
    list of BadView
        By view.
    """
    constant = [np.isfinite(s.minimum) and s.minimum == s.maximum for s in statistics]
    found = {
        view: BadView(view, f"is constant ({statistics[view].minimum:g})", True)
        for view in np.flatnonzero(constant).tolist()
    }
    views = np.array([view for view, s in enumerate(statistics) if view not in found and np.isfinite(s.level)], int)
    if views.size < LEAST_VIEWS:
        return list(found.values())
    level, spread = (np.array([getattr(statistics[view], name) for view in views]) for name in ("level", "spread"))
    thickness = 1 / np.cos(np.deg2rad(np.minimum(np.abs(tilt_deg[views]), 85)))
    order = np.argsort(tilt_deg[views], kind="stable")
    # Of images around zero, or whose zero is anywhere, the mean says nothing.
    positive = float(np.percentile(level, 25)) > 0 and float(np.median(level)) > float(np.median(spread))
    measures = [("spread", "the contrast and noise", spread)]
    if positive:
        measures.insert(0, ("brightness", "the brightness", level))
    out: dict[int, BadView] = {}
    for _, name, values in measures:
        # A spread of 0 is that of a view which is constant but for a few pixels.
        if float(np.median(values)) <= 0:
            continue
        ratio = _ratio_to_trends(np.maximum(values, 1e-9 * float(np.median(values))), thickness, order)
        for k in np.flatnonzero((ratio < DOUBTFUL) | (ratio > 1 / DOUBTFUL)).tolist():
            view = int(views[k])
            what = f"has {ratio[k]:.2g} times {name} of its neighbours in tilt"
            if view not in out or (ratio[k] < LOST and not out[view].lost):
                out[view] = BadView(view, what, bool(ratio[k] < LOST))
    lost = sum(bad.lost for bad in out.values())
    if lost > MOST_LOST * views.size:
        out = {view: BadView(view, bad.what, False) for view, bad in out.items()}
    return [bad for _, bad in sorted((found | out).items())]


def _ratio_to_trends(values: Floats, thickness: Floats, order: NDArray[np.intp]) -> Floats:
    """Each value over the nearer of its two trends; 1 where the trends lie on either side of it."""
    logs = np.log(values)
    neighbours = np.empty_like(logs)
    for place, k in enumerate(order):
        near = np.concatenate((order[max(0, place - NEIGHBOURS) : place], order[place + 1 : place + 1 + NEIGHBOURS]))
        neighbours[k] = np.median(logs[near])
    slope = _median_slope(thickness, logs)
    line = slope * thickness + np.median(logs - slope * thickness)
    one, two = logs - neighbours, logs - line
    nearer = np.where(np.abs(one) < np.abs(two), one, two)
    return np.exp(np.where(one * two > 0, nearer, 0.0))


def _median_slope(x: Floats, y: Floats) -> float:
    """Slope of the line through points by the median of all pairs' (Theil, 1950; Sen, 1968)."""
    i, j = np.triu_indices(x.size, 1)
    run = x[j] - x[i]
    apart = np.abs(run) > 1e-3
    return float(np.median((y[j] - y[i])[apart] / run[apart])) if apart.any() else 0.0
