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

    def transfer(self, images: NDArray[np.float32], views: NDArray[np.int64]) -> None:
        """Apply the contrast transfer of some views in place, if the problem has one; it is its own transpose.

        Parameters
        ----------
        images : ndarray of float32, shape (n_chosen, n_u, n_y)
            Line integrals that become predictions, or residuals that are to be projected back; overwritten.
        views : ndarray of int64, shape (n_chosen,)
            Index of each of these views.
        """
        if self.problem.transfer is not None:
            self.problem.transfer.apply(images, views)

    def replace_by_residuals(
        self, line_integrals: NDArray[np.float32], views: NDArray[np.int64]
    ) -> tuple[float, float]:
        """Overwrite line integrals of some views by masked residuals ``m (P - p)``, after solving for the offsets.

        Parameters
        ----------
        line_integrals : ndarray of float32, shape (n_chosen, n_u, n_y)
            Of the present density in the fit's unit, over this level's pixels, before any contrast transfer;
            overwritten by the residuals.
        views : ndarray of int64, shape (n_chosen,)
            Index of each of these views.

        Returns
        -------
        squares, weight : float
            Sum of ``m (P - p)^2``, and the mask's sum.
        """
        problem = self.problem
        self.transfer(line_integrals, views)
        squares = weight = 0.0
        for residual, view in zip(line_integrals, views, strict=True):
            residual *= np.float32(self.kappa)
            residual -= problem.projections[view]
            mask = None if problem.mask is None else problem.mask[view]
            mask_sum = float(residual.size) if mask is None else float(mask.sum(dtype=np.float64))
            weighted = residual if mask is None else residual * mask
            if problem.fit_offsets and mask_sum > 0:
                # In double precision: the mean's rounding would stay in every pixel.
                mean = weighted.sum(dtype=np.float64) / mask_sum
                # The best offset removes the masked mean of ``P - p`` and is its negative.
                self.offsets[view] = -mean
                residual -= np.float32(mean)
                if mask is not None:
                    np.multiply(residual, mask, out=weighted)
            # sum m r^2: the mask enters once, though the residual that is projected back is already m r.
            squares += float(np.vdot(residual, weighted))
            if mask is not None:
                residual[...] = weighted
            weight += mask_sum
        return squares, weight

    @cached_property
    def mask_sums(self) -> NDArray[np.float64]:
        """Sum of each view's mask, shape (n_views,); the number of its pixels where there is no mask."""
        shape, mask = self.problem.projections.shape, self.problem.mask
        if mask is None:
            return np.full(shape[0], float(shape[1] * shape[2]))
        return np.asarray(mask.sum(axis=(1, 2), dtype=np.float64))
