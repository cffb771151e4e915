"""The noise of a tilt series, estimated from its finest detail, and the prior weights that follow from it.

A second difference in both directions, ``[1 -2 1] x [1 -2 1]``, removes everything smooth and has variance
``36 sigma^2`` under white noise (Immerkaer, CVIU 64, 300, 1996); the median of its magnitude, over 0.6745,
ignores edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.methods.contract import Problem


def noise_level(projections: NDArray[np.floating], mask: NDArray[np.floating] | None) -> float:
    """Standard deviation of white noise in projections.

    Parameters
    ----------
    projections : ndarray, shape (n_views, n_u, n_y)
    mask : ndarray or None, shape (n_views, n_u, n_y)
        Pixels whose 3 x 3 neighbourhood is not all used are left out.

    Returns
    -------
    float
        In the projections' units, median over views; 0 if no view has enough pixels.
    """
    levels = []
    for view, image in enumerate(projections):
        if min(image.shape) < 3:
            continue
        detail = np.diff(np.diff(np.asarray(image, np.float64), 2, axis=0), 2, axis=1)
        if mask is not None:
            used = mask[view] > 0
            for axis in (0, 1):
                n = used.shape[axis]
                lower, middle, upper = (used.take(range(k, n - 2 + k), axis=axis) for k in range(3))
                used = lower & middle & upper
            detail = detail[used]
        if detail.size >= 16:
            levels.append(float(np.median(np.abs(detail))) / (0.6745 * 6))
    return float(np.median(levels)) if levels else 0.0


def tv_weight(problem: Problem) -> float:
    """Weight of total variation against ``1/2 sum m r^2`` that suits the noise of a problem.

    The back-projected noise has a standard deviation of about ``sigma sqrt(n_views)`` in every voxel, and a total
    variation of weight w can absorb what stays below w; so the weight is proportional to both.
    """
    return problem.noise_level * float(np.sqrt(problem.geometry.n_views))


def contrast(problem: Problem) -> float:
    """Range of a problem's projections: 0.1 to 99.9 percent of the used pixels of some eight views.

    Where exposures are fitted each view counts from its own mean, so that no constant has a say.
    """
    values = []
    for view in contrast_views(problem.geometry.n_views):
        used = problem.projections[view]
        used = used.ravel() if problem.mask is None else used[problem.mask[view] > 0]
        if used.size and problem.fit_exposure:
            used = used - used.mean(dtype=np.float64).astype(used.dtype)
        values.append(used)
    pooled = np.concatenate(values)
    return float(np.subtract(*np.percentile(pooled, (99.9, 0.1)))) if pooled.size else 0.0


def contrast_views(n_views: int) -> range:
    """The views that :func:`contrast` looks at: 8 to 15 of them, or all if there are fewer."""
    return range(0, n_views, max(1, n_views // 8))
