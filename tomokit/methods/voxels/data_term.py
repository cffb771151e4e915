"""The data term of the voxel methods on the host: masked residuals, their squares, and the offsets that fit best.

Densities are in units of projection per pixel, ``d = kappa * rho``, so that the operator's line integrals are
predictions as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.projector import DenseProjector


class DataTerm:
    """Projections and mask of a problem beside the operator that predicts them.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    operator : DenseProjector
        Line integrals of the volume in all of the problem's views.

    Attributes
    ----------
    projections : ndarray, shape (n_views, n_u, n_y)
        Transformed projections p, in the operator's precision.
    mask : ndarray or None, shape (n_views, n_u, n_y)
        Weights m, likewise; None if all pixels count.
    offsets : ndarray of float64, shape (n_views,)
        Additive offset b of each view in units of projection; zero where offsets are held.
    weight_sums : ndarray of float64, shape (n_views,)
        Sum of the mask over each view's pixels.
    view_weights : ndarray of float64, shape (n_views,)
        Weight of each view: the largest of its mask, of which masked pixels have none; 1 for a view without any.
    total_weight : float
        Sum of the mask over all pixels, at least 1, by which the data term is divided.
    """

    def __init__(self, problem: Problem, operator: DenseProjector) -> None:
        self.problem = problem
        self.operator = operator
        self.projections = problem.projections.astype(operator.dtype, copy=False)
        self.mask = None if problem.mask is None else problem.mask.astype(operator.dtype, copy=False)
        geometry = problem.geometry
        self.offsets = np.zeros(geometry.n_views, np.float64)
        self.weight_sums = (
            np.full(geometry.n_views, float(geometry.n_u * geometry.n_v))
            if self.mask is None
            else self.mask.sum(axis=(1, 2), dtype=np.float64)
        )
        peaks = np.ones(geometry.n_views) if self.mask is None else self.mask.max(axis=(1, 2)).astype(np.float64)
        self.view_weights = np.where(peaks > 0, peaks, 1.0)
        self.total_weight = max(float(self.weight_sums.sum()), 1.0)

    def residual(self, predicted: NDArray[np.floating], view: int) -> NDArray[np.floating]:
        """Masked residual ``m (p - predicted - b)`` of one view, after solving for its offset.

        Parameters
        ----------
        predicted : ndarray, shape (n_u, n_y)
            Prediction of the present density without its offset; overwritten by the result.
        view : int
            Index of the view.

        Returns
        -------
        ndarray, shape (n_u, n_y)
        """
        residual = np.subtract(self.projections[view], predicted, out=predicted)
        mask = None if self.mask is None else self.mask[view]
        if mask is not None:
            residual *= mask
        # A view that is masked throughout determines no offset and keeps the one it has.
        if self.problem.fit_offsets and self.weight_sums[view] > 0:
            offset = float(residual.sum(dtype=np.float64) / self.weight_sums[view])
            self.offsets[view] = offset
            residual -= residual.dtype.type(offset) if mask is None else residual.dtype.type(offset) * mask
        return residual

    def transfer(self, images: NDArray[np.floating], views: Sequence[int] | NDArray[np.int64]) -> None:
        """Apply the contrast transfer of some views in place, if the problem has one; it is its own transpose.

        Parameters
        ----------
        images : ndarray, shape (n_chosen, n_u, n_y)
            Line integrals that become predictions, or residuals that are to be projected back; overwritten.
        views : sequence of int, n_chosen long
            Index of each of these views.
        """
        if self.problem.transfer is not None:
            self.problem.transfer.apply(images, views)

    def replace_by_residuals(self, predicted: NDArray[np.floating], views: Sequence[int] | NDArray[np.int64]) -> float:
        """Overwrite the predictions of some views by their masked residuals (see :meth:`residual`).

        Parameters
        ----------
        predicted : ndarray, shape (n_chosen, n_u, n_y)
            Line integrals of the present density, before any contrast transfer; overwritten by the residuals.
        views : sequence of int, n_chosen long
            Index of each of these views.

        Returns
        -------
        float
            Sum of the squared residuals, each by its weight.
        """
        self.transfer(predicted, views)
        squares = 0.0
        for image, view in zip(predicted, views, strict=True):
            residual = self.residual(image, view)
            # The residual carries the weight already, and its square would carry it twice.
            squares += float(np.vdot(residual, residual)) / float(self.view_weights[view])
        return squares

    def residuals(self, density: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
        """Masked residuals of all views, after solving for their offsets.

        Parameters
        ----------
        density : ndarray, shape (n_x, n_z, n_y)
            In units of projection per pixel.

        Returns
        -------
        residuals : ndarray, shape (n_views, n_u, n_y)
        squares : float
            Sum of the squared residuals, each by its weight.
        """
        stack = self.operator(density)
        return stack, self.replace_by_residuals(stack, range(len(stack)))
