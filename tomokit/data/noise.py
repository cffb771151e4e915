"""The noise of a tilt series, estimated from its finest detail.

A second difference in both directions, ``[1 -2 1] x [1 -2 1]``, removes everything smooth and has variance
``36 sigma^2`` under white noise (Immerkaer, CVIU 64, 300, 1996); the median of its magnitude, over 0.6745,
ignores edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def noise_level(projections: NDArray[np.floating], mask: NDArray[np.floating] | None) -> float:
    """Estimate the standard deviation of white noise in projections.

    Parameters
    ----------
    projections : ndarray, shape (n_views, n_u, n_y)
        Projections ``[tilt, u, y]``.
    mask : ndarray or None, shape (n_views, n_u, n_y)
        1 where a pixel is used, 0 where not; None if all are. Pixels whose 3 x 3 neighbourhood is not all used are
        left out.

    Returns
    -------
    float
        In projection units, median over views; 0 if no view has at least 16 such pixels.
    """
    levels = []
    for view, image in enumerate(projections):
        if min(image.shape) < 3:
            continue
        detail = np.diff(np.diff(np.asarray(image, np.float64), 2, axis=0), 2, axis=1)
        if mask is not None:
            # A detail counts if all nine pixels that it is made of do: eroded along one axis, then the other.
            used = mask[view] > 0
            for axis in (0, 1):
                n = used.shape[axis]
                lower, middle, upper = (used.take(range(k, n - 2 + k), axis=axis) for k in range(3))
                used = lower & middle & upper
            detail = detail[used]
        if detail.size >= 16:
            # 6 is the filter's gain for white noise, sqrt(36); 0.6745 the median magnitude of a unit normal deviate.
            levels.append(float(np.median(np.abs(detail))) / (0.6745 * 6))
    return float(np.median(levels)) if levels else 0.0
