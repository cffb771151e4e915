"""Views out of place: how far each one lies from where the others predict it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import median_filter

from tomokit.data.named_views import name_views
from tomokit.diagnosis.axis import LEAST_SCORE
from tomokit.diagnosis.finding import Finding, Judgement, certainty_of
from tomokit.diagnosis.geometry import Geometry
from tomokit.diagnosis.prediction import predict_views
from tomokit.diagnosis.small_views import SmallViews, Stack

Floats = NDArray[np.float64]

MOST_VIEWS = 4
"""Of more than this no single view is out of place: the alignment is coarse."""
_LEAST_SMALL_PX = 0.6
_LEAST_DEVIATIONS = 8.0
ENDS = 2
"""Views at either end have neighbours on one side only, and are predicted too far out."""
_REACH = 0.2
"""Share of a view over which a place is looked for."""


def judge_views(small: SmallViews, geometry: Geometry) -> Judgement:
    """Judge whether each view lies where the others predict it.

    The view that is furthest off is moved, and the others are judged anew, since it has a part in their predictions.

    Parameters
    ----------
    small : SmallViews
    geometry : Geometry
        Its other faults mended.

    Returns
    -------
    Judgement
        Its findings have the geometry with the views moved.
    """
    n_views = geometry.tilt_deg.size
    if n_views < 2 * ENDS + 5:
        return Judgement("views", False, f"{n_views} views are too few to tell one that is out of place")
    inner = np.argsort(geometry.tilt_deg, kind="stable")[ENDS:-ENDS]
    mended = geometry
    moved: dict[int, Floats] = {}
    figures: dict[str, float] = {}
    for _ in range(MOST_VIEWS + 1):
        views, weight = small.align(mended)
        prediction = predict_views(views, weight, mended.tilt_deg, block=1)
        if prediction.score < LEAST_SCORE:
            return Judgement("views", False, "views do not predict each other well enough to tell their places")
        off = offsets(views, prediction.views, weight)[inner]
        off = off - median_filter(off, size=(7, 1), mode="nearest")
        distance = np.hypot(*off.T)
        typical = max(float(np.median(distance)), 0.05)
        if not figures:
            figures = {"median_offset_px": float(np.median(distance)) * small.binning}
        worst = int(np.argmax(distance))
        if distance[worst] < max(_LEAST_SMALL_PX, _LEAST_DEVIATIONS * typical):
            break
        view = int(inner[worst])
        shift = -off[worst] * small.binning
        first = view not in moved
        moved[view] = moved.get(view, np.zeros(2)) + shift
        mended = mended.moved(view, shift)
        figures[f"view_{view}_offset_px"] = float(np.hypot(*moved[view]))
        if first:
            figures.setdefault("deviations", float(distance[worst] / typical))
    summary = f"views lie {figures['median_offset_px']:.1f} pixels from where the others predict them, in the median"
    moved = {view: shift for view, shift in moved.items() if np.hypot(*shift) >= _LEAST_SMALL_PX * small.binning}
    if not moved:
        return Judgement("views", True, summary, (), figures)
    if len(moved) > MOST_VIEWS:
        finding = Finding(
            "the alignment is coarse: many views are out of place",
            f"{summary}; among them {name_views(sorted(moved), n_views)}",
            "likely",
            "refine the alignment before reconstructing",
        )
        return Judgement("views", True, summary, (finding,), figures)
    places = ", ".join(f"view {view} by {np.hypot(*shift):.1f} pixels" for view, shift in sorted(moved.items()))
    them = "it" if len(moved) == 1 else "them"
    finding = Finding(
        f"{name_views(sorted(moved), n_views)} out of place",
        f"{places} from where the others predict {them}; the median of all views is "
        f"{figures['median_offset_px']:.1f} pixels",
        certainty_of(figures.get("deviations", 0.0)),
        f"move {them} back, or leave {them} out with --exclude {','.join(map(str, sorted(moved)))}",
        mended,
    )
    return Judgement("views", True, summary, (finding,), figures)


def offsets(views: Stack, predicted: Stack, weight: Stack) -> Floats:
    """Find how far each view lies from its prediction: the maximum of their correlation.

    Parameters
    ----------
    views, predicted, weight : ndarray of float32, shape (n_views, n_y, n_x)

    Returns
    -------
    ndarray of float64, shape (n_views, 2)
        ``(x, y)`` in pixels of these views.
    """
    n_y, n_x = views.shape[1:]
    shape = (fft.next_fast_len(2 * n_y, real=True), fft.next_fast_len(2 * n_x, real=True))
    reach = max(3, round(_REACH * min(n_y, n_x)))
    found = np.zeros((len(views), 2))
    for view in range(len(views)):
        first, second = views[view] * weight[view], predicted[view] * weight[view]
        product = fft.rfft2(first, shape) * np.conj(fft.rfft2(second, shape))
        whole = np.roll(fft.irfft2(product, shape), (reach, reach), axis=(0, 1))
        near = whole[: 2 * reach + 1, : 2 * reach + 1]
        row, column = (int(index) for index in np.unravel_index(np.argmax(near), near.shape))
        found[view] = (
            column - reach + _between(near[row], column),
            row - reach + _between(near[:, column], row),
        )
    return found


def _between(values: NDArray[np.floating], at: int) -> float:
    """Where a parabola through a maximum and its neighbours has its own, from -0.5 to 0.5."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(value) for value in values[at - 1 : at + 2])
    curvature = before - 2 * here + after
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
