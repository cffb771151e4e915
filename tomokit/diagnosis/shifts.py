"""The unit of an alignment's shifts: whether they are in pixels of another binning than the stack's.

Shifts that have to be multiplied by f put each view ``1 - f`` of its given shift off its place. How far each view lies
from where the others predict it is measured; against its shift less the mean of its neighbours', that is about a line
through the origin of slope ``1 - f``. What varies slowly with the tilt moves the specimen, and says nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.axis import LEAST_SCORE
from tomokit.diagnosis.finding import Finding, Judgement, certainty_of
from tomokit.diagnosis.geometry import Geometry
from tomokit.diagnosis.prediction import predict_views
from tomokit.diagnosis.small_views import SmallViews
from tomokit.diagnosis.views import ENDS, offsets

Floats = NDArray[np.float64]

LEAST_SIGMAS = 5.0
FACTORS = (1 / 8, 1 / 4, 1 / 3, 1 / 2, 2.0, 3.0, 4.0, 8.0)
"""What the shifts may have to be multiplied by, 1 beside them."""
_LEAST_ROUGHNESS = 0.05
"""A shift that differs less than this from its neighbours', in small pixels, says nothing in whatever unit,"""
_LEAST_VIEWS = 8
"""and so many others have to be there: of few views each may be out of place for itself."""
_FAR = 8.0
_LEAST_SLOPE = 0.2
_LEFT = 0.25


def judge_shifts(small: SmallViews, geometry: Geometry) -> Judgement:
    """Judge whether the shifts of an alignment are in pixels of the stack.

    Parameters
    ----------
    small : SmallViews
    geometry : Geometry
        As given.

    Returns
    -------
    Judgement
        Its finding has the geometry with shifts in the other unit.
    """
    order = np.argsort(geometry.tilt_deg, kind="stable")
    if order.size < 2 * ENDS + _LEAST_VIEWS or not geometry.shifts_px.std(axis=0).any():
        return Judgement("binning", False, "no shifts that differ between the views, hence no unit of them to judge")
    rough = _less_neighbours(geometry.shifts_px[order]) / small.binning
    size = np.hypot(*rough.T)
    figures = {"shifts_roughness_px": float(np.median(size)) * small.binning}
    telling = (size > _LEAST_ROUGHNESS) & (size < _FAR * np.median(size))
    if telling.sum() < _LEAST_VIEWS:
        text = f"{telling.sum()} views have shifts that differ enough from their neighbours': too few to judge"
        return Judgement("binning", False, text, (), figures)
    measured = _measure(small, geometry, order, rough, telling)
    left: dict[float, float] = {}
    if measured is None:
        tried: tuple[float, ...] = FACTORS
        summary = "views with these shifts do not predict each other at all"
        sigmas = LEAST_SIGMAS
    else:
        slope, error = measured
        sigmas = abs(slope) / error
        figures |= {"offset_over_shift": slope, "offset_over_shift_error": error}
        summary = f"views lie {slope:.2f} +- {error:.2f} of their shifts off their places"
        if abs(slope) < _LEAST_SLOPE or sigmas < LEAST_SIGMAS:
            return Judgement("binning", True, f"{summary}: the shifts are in pixels of the stack", (), figures)
        # The slope tells the direction; which factor leaves nothing of it is tried.
        left[1.0] = abs(slope)
        tried = tuple(factor for factor in FACTORS if (factor < 1) == (slope > 0))
    for factor in tried:
        again = _measure(small, geometry.with_shifts_scaled(factor), order, rough * factor, telling)
        if again is not None:
            left[factor] = abs(again[0])
    nearest = min(left, key=lambda factor: left[factor], default=1.0)
    if nearest == 1 or left[nearest] > _LEFT:
        return Judgement("binning", False, f"{summary}, nor in another unit of them", (), figures)
    scale = f"{nearest:g}" if nearest > 1 else f"1/{1 / nearest:.0f}"
    finding = Finding(
        f"the shifts are in pixels of another binning: multiplied by {scale} they are in the stack's",
        summary
        + (f", {sigmas:.0f} standard errors from none" if measured else "")
        + f"; {left[nearest]:.2f} of their shifts if those are multiplied by {scale}",
        certainty_of(sigmas),
        f"multiply the shifts by {scale}, or give the stack that the alignment was made for",
        geometry.with_shifts_scaled(nearest),
    )
    return Judgement("binning", True, summary, (finding,), figures)


def _measure(
    small: SmallViews, geometry: Geometry, order: NDArray[np.intp], rough: Floats, telling: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Slope of offsets against shifts and its standard error; None where views do not predict each other."""
    views, weight = small.align(geometry)
    prediction = predict_views(views, weight, geometry.tilt_deg, block=1)
    if prediction.score < LEAST_SCORE:
        return None
    off = offsets(views, prediction.views, weight)[order][1 + ENDS : -1 - ENDS]
    return _slope(rough[telling], (off - np.median(off, axis=0))[telling])


def _less_neighbours(values: Floats) -> Floats:
    """Values less the mean of both neighbours', ends left out."""
    return (values[1:-1] - (values[:-2] + values[2:]) / 2)[ENDS:-ENDS]


def _slope(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope of a line through the origin and its standard error, values that stray from it with less weight (Huber)."""
    weight = np.ones(x.shape)
    for _ in range(10):
        slope = float((weight * x * y).sum() / (weight * x * x).sum())
        residual = y - slope * x
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-3)
        weight = np.minimum(1.0, 1.5 * scale / np.maximum(np.abs(residual), 1e-12))
    error = float(np.sqrt((weight**2 * residual**2 * x**2).sum())) / float((weight * x * x).sum())
    return slope, max(error, 1e-6)
