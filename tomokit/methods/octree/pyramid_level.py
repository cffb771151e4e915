"""One level of the projection pyramid: projections at some pixel size, and what is known of their views."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem


class PyramidLevel:
    """The projections of a problem at some pixel size, with the offsets of its views.

    Parameters
    ----------
    problem : Problem
        Projections, mask and geometry in this level's pixels.
    pixel : int
        Fine pixels to one of this level: 1, 2, ...
    kappa : float
        Projection per line integral in fine pixels, of densities in the fit's unit.

    Attributes
    ----------
    kappa : float
        The same per line integral in this level's pixels: lengths are shorter in these, densities are the same.
    offsets : ndarray of float64, shape (n_views,)
        Additive intensity offset of each view, in units of projection, as last solved for.
    """

    def __init__(self, problem: Problem, pixel: int, kappa: float) -> None:
        self.problem = problem
        self.pixel = pixel
        self.kappa = kappa * pixel
        self.offsets = np.zeros(problem.geometry.n_views)

    @cached_property
    def dual(self) -> NDArray[np.float32]:
        """The data's duals of the primal-dual solver, shaped like the projections; zeros when first asked for."""
        return np.zeros(self.problem.projections.shape, np.float32)

    @cached_property
    def mask_sums(self) -> NDArray[np.float64]:
        """Sum of each view's mask, shape (n_views,); the number of its pixels where there is no mask."""
        shape, mask = self.problem.projections.shape, self.problem.mask
        if mask is None:
            return np.full(shape[0], float(shape[1] * shape[2]))
        return np.asarray(mask.sum(axis=(1, 2), dtype=np.float64))
