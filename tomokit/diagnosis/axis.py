"""The angle of the tilt axis: the turn of all views under which they predict each other best.

A turn by 180 degrees is the same as all angles negated, a mirror of the specimen in z: no prediction tells them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.finding import Finding, Judgement, certainty_of
from tomokit.diagnosis.geometry import Geometry
from tomokit.diagnosis.prediction import Prediction, predict_views, sigmas_better
from tomokit.diagnosis.small_views import SmallViews

Floats = NDArray[np.float64]

LEAST_SCORE = 0.15
"""Views that predict each other no better than this have too little structure in common to judge by."""
LEAST_SIGMAS = 4.0
"""A geometry is taken for better where the views are predicted better by so many standard errors."""
_COARSE_DEG = (-60.0, -30.0, 0.0, 30.0, 60.0, 90.0)
_STEPS_DEG = (15.0, 7.5)
_AROUND_DEG = np.array([-9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0])
TOLD_DEG = 2.5
"""Less than this, at the accuracy of small views, is left to a program of alignment."""


def predict(small: SmallViews, geometry: Geometry) -> Prediction:
    """Predict views, aligned by a geometry, from each other.

    Parameters
    ----------
    small : SmallViews
    geometry : Geometry

    Returns
    -------
    Prediction
    """
    views, weight = small.align(geometry)
    return predict_views(views, weight, geometry.tilt_deg)


def judge_axis(small: SmallViews, geometry: Geometry) -> Judgement:
    """Judge whether the tilt axis is vertical in the aligned views.

    Parameters
    ----------
    small : SmallViews
    geometry : Geometry
        As given.

    Returns
    -------
    Judgement
        Its finding has the geometry with the views turned.
    """
    tried: dict[float, Floats] = {}

    def correlation(angle: float) -> Floats:
        key = round(_wrapped(angle), 3)
        if key not in tried:
            tried[key] = predict(small, geometry.turned(key)).correlation
        return tried[key]

    def mean(angle: float) -> float:
        return float(correlation(angle).mean())

    best = max(_COARSE_DEG, key=mean)
    if mean(best) < LEAST_SCORE:
        text = f"views predict each other by {mean(best):.2f} at best: too little to tell the tilt axis by"
        return Judgement("tilt axis", False, text, (), {"score": mean(0)})
    for step in _STEPS_DEG:
        best = max((best, best - step, best + step), key=mean)
    near, error = _vertex(_AROUND_DEG, np.stack([correlation(best + angle) for angle in _AROUND_DEG]))
    turn = _wrapped(best + near)
    sigmas = sigmas_better(correlation(turn), correlation(0))
    figures = {"score": mean(0), "turn_deg": turn, "turn_error_deg": error, "score_turned": mean(turn)}
    summary = f"views predict each other best if turned by {turn:.1f} +- {error:.1f} degrees"
    if abs(turn) < TOLD_DEG:
        return Judgement("tilt axis", True, f"{summary}: the axis is right", (), figures)
    if abs(turn) < 4 * error or sigmas < LEAST_SIGMAS:
        return Judgement("tilt axis", False, f"{summary}: not sharp enough to tell", (), figures)
    # A turn near a quarter is one of swapped axes, and no measurement.
    if abs(abs(turn) - 90) < max(3 * TOLD_DEG, 4 * error):
        turn = float(np.copysign(90.0, turn))
    evidence = (
        f"views are predicted from others with a correlation of {mean(turn):.2f} if turned by {turn:.3g} degrees, "
        f"{mean(0):.2f} as they are, {sigmas:.0f} standard errors apart"
    )
    finding = Finding(
        f"the tilt axis is {abs(turn):.3g} degrees off vertical in the aligned views",
        evidence,
        certainty_of(sigmas),
        f"turn the views by {turn:.3g} degrees; whether by 180 more, which is all angles negated, this does not tell",
        geometry.turned(turn),
    )
    return Judgement("tilt axis", True, summary, (finding,), figures)


def _vertex(angles: Floats, correlations: Floats) -> tuple[float, float]:
    """Where a parabola through the mean correlations has its maximum, and its standard error.

    The error is that of leaving out one view after the other, and one angle after the other.
    """
    mean = correlations.mean(axis=1)
    vertex = _maximum(angles, mean)
    n_angles, n_views = correlations.shape
    by_view = [_maximum(angles, np.delete(correlations, view, axis=1).mean(axis=1)) for view in range(n_views)]
    by_angle = [_maximum(np.delete(angles, one), np.delete(mean, one)) for one in range(n_angles)]
    errors = [np.sqrt((len(each) - 1) * np.var(each)) for each in (by_view, by_angle)]
    return vertex, float(np.hypot(*errors))


def _maximum(angles: Floats, score: Floats) -> float:
    a, b, _ = np.polyfit(angles, score, 2)
    if a >= 0:
        return float(angles[np.argmax(score)])
    return float(np.clip(-b / (2 * a), angles[0], angles[-1]))


def _wrapped(angle_deg: float) -> float:
    """An angle from -90 to 90 degrees, up and down being the same."""
    return float((angle_deg + 90) % 180 - 90)
