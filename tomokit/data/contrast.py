"""Quantities told by noise and range of a problem's projections: the weight of total variation, the contrast."""

from __future__ import annotations

import numpy as np

from tomokit.data.problem import Problem


def tv_weight(problem: Problem) -> float:
    """Weight of total variation against ``1/2 sum m r^2`` that suits the noise of a problem.

    The back-projected noise has a standard deviation of about ``sigma sqrt(n_views)`` in every voxel, and a total
    variation of weight w can absorb what stays below w; so this standard deviation is the weight. In a part of a
    problem it is the whole's, less by the share of the views: weighed against as much less data, it smooths alike.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    float
        At least 0, in projection units.
    """
    whole = problem.scaled_by
    return whole.noise_level * float(np.sqrt(whole.geometry.n_views)) * problem.share


def contrast(problem: Problem) -> float:
    """Range of a problem's projections: 0.1 to 99.9 percent of the used pixels of some eight views.

    Where offsets are fitted each view counts from its own mean, so that no constant has a say. A part of a problem has
    the range of the whole.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    float
        At least 0, in projection units; 0 if no pixel of these views is used.
    """
    problem = problem.scaled_by
    samples = []
    for view in contrast_views(problem.geometry.n_views):
        used = problem.projections[view]
        used = used.ravel() if problem.mask is None else used[problem.mask[view] > 0]
        if used.size and problem.fit_offsets:
            # In double precision: the sum over millions of pixels outgrows float32.
            used = used - used.mean(dtype=np.float64).astype(used.dtype)
        samples.append(used)
    pooled = np.concatenate(samples)
    return float(np.subtract(*np.percentile(pooled, (99.9, 0.1)))) if pooled.size else 0.0


def contrast_views(n_views: int) -> range:
    """Choose the views that :func:`contrast` looks at: 8 to 15 of them, or all if there are fewer.

    Parameters
    ----------
    n_views : int
        Views of the problem.

    Returns
    -------
    range
        Their indices, evenly spaced.
    """
    return range(0, n_views, max(1, n_views // 8))
