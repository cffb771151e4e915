"""The primal-dual solver of an octree fit: stochastic in the views, exact in what it converges to.

Minimizes ``1/2 sum m (k A d + b - p)^2 + w sum c |grad d|`` over densities d, with a bound or a price of negative ones
where asked for, and over the offsets b; k is kappa, c the factors that follow the texture. The saddle point's duals are
one image y for each view, which at the end is its weighted residual, and three numbers q for each vertex. A step takes
a group of views, changes their duals, and goes on from all of them (stochastic primal-dual hybrid gradient: Chambolle,
Ehrhardt, Richtarik and Schoenlieb, SIAM J. Optim. 28, 2783, 2018, with the data sampled and total variation in every
step):

    y' of the step's views                           (:mod:`tomokit.methods.octree.view_duals`)
    d' = d - t (k A^T y + s k A^T (y' - y) + ...)    (:mod:`tomokit.methods.octree.primal_dual_step`)

s the number of groups. As nothing of the noise of single groups stays in the density, no learning rate has to fall.
With masses ``h^3`` of vertices (h their spacing) as the metric, t is a length over the mass, and the condition on the
steps, ``2 s t |F^1/2 k A_group|^2 <= 1`` in this metric and ``24 t rate w <= 1``, F the filter of the duals' step, has
a group's norm in it, which is measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import PenaltyGradients
from tomokit.methods.octree.primal_dual_step import PrimalDualArrays, PrimalDualLengths, step_leaves
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.octree.solver import (
    NORM_ITERATIONS,
    SAFETY,
    STATE_ARRAYS,
    VARIATION_NORM,
    PrimalDual,
    density_steps,
    kept_negative,
    norm_probe,
    steepest_group,
    variation_factors,
    view_groups,
)
from tomokit.methods.octree.step_arrays import penalty_arrays, residual_arrays
from tomokit.methods.octree.ties import Ties, multiply_copies
from tomokit.methods.octree.view_duals import ViewDuals
from tomokit.projector.leaves import LeafProjector

_VIEWS_AT_ONCE = 8
"""Views that are projected back together where leaves have changed: each time the whole field is read and written."""


class PrimalDualSteps:
    """The steps of the solver on one forest.

    Parameters
    ----------
    leaves : LeafField
        Changed by every step; its optimizer is a :class:`PrimalDual`.
    projector : LeafProjector
        Over the leaves, in the level's pixels.
    level : PyramidLevel
        Its duals are changed by every step.
    n_groups : int
        Groups of views, one for each step of an epoch.
    """

    def __init__(self, leaves: LeafField, projector: LeafProjector, level: PyramidLevel, n_groups: int) -> None:
        assert isinstance(leaves.optimizer, PrimalDual)
        self._leaves, self._projector, self._level = leaves, projector, level
        self._solver, self._kappa = leaves.optimizer, np.float32(level.kappa)
        self._ties = Ties.of(leaves.forest)
        self._groups = view_groups(projector.geometry.n_views, n_groups)
        self._duals = ViewDuals(level.problem, leaves.optimizer.balance, leaves.optimizer.tilt_weights)
        self._mass = leaves.forest.spacing_px.astype(np.float64) ** 3
        self._step = density_steps(self._mass, self._norm(), len(self._groups))
        if not leaves.count:
            self._begin()

    def _begin(self) -> None:
        """Take over the duals of the data from other leaves: what they pull at is the same."""
        pull, n_views = self._leaves.state["data_pull"], self._projector.geometry.n_views
        for first in range(0, n_views, _VIEWS_AT_ONCE):
            views = np.arange(first, min(first + _VIEWS_AT_ONCE, n_views))
            dual = self._level.dual[views]
            if dual.any():
                self._level.transfer(dual, views)
                dual *= self._kappa
                pull += self._projector.T(dual, views)

    def _norm(self) -> float:
        """Squared norm of ``F^1/2 k A`` in the metric of masses, of the group whose rays are longest."""
        views = steepest_group(self._groups, self._projector.geometry.tilt_rad, self._duals.weights)
        roots, field, growth = self._duals.roots(views), norm_probe(self._leaves.forest.values_shape), 0.0
        self._ties.apply(field)
        size = float(np.sqrt(np.vdot(field, field)))
        for _ in range(NORM_ITERATIONS):
            seen = self._projector(field, views)
            self._level.transfer(seen, views)
            seen *= roots
            seen = self._duals.filter(seen, roots)
            self._level.transfer(seen, views)
            field = self._projector.T(seen, views)
            # As many times longer as vertices are shared, as in a step. Divided by what the field's norm was, so that
            # the answer's norm is the growth.
            multiply_copies(field, (self._kappa**2 / (size * self._mass)).astype(np.float32), self._ties.tied)
            self._ties.apply(field)
            size = float(np.sqrt(np.vdot(field, field)))
            if size == 0:
                break
            growth = size
        return growth or 1.0

    def step(self, views: NDArray[np.int64], penalties: PenaltyGradients) -> tuple[float, float, float]:
        """Take one step on some views.

        Parameters
        ----------
        views : ndarray of int64
        penalties : PenaltyGradients
            Of this step, by the loss that is a mean over pixels.

        Returns
        -------
        squares, weight, variation : float
            Sum of the squared residuals before the step, the weight of their pixels, and the weighted total variation.
        """
        leaves, term, total_weight = self._leaves, penalties.variation, max(float(self._level.mask_sums.sum()), 1.0)
        change, squares, weight = self._step_duals(views)
        leaves.count += 1
        n = leaves.forest.n
        # A leaf's mean total variation, times its weight in a loss that is twice the objective over all pixels.
        by_leaf = np.zeros(leaves.forest.n_leaves)
        if term is not None:
            by_leaf = term.weight / (n * n * (n - 1.0)) * variation_factors(leaves.forest.spacing_px)
        by_difference = 0.5 * total_weight * by_leaf
        rate = SAFETY / (VARIATION_NORM * self._step * np.maximum(by_difference, np.finfo(np.float32).tiny))
        solver = self._solver
        kept = kept_negative(solver, self._step, by_difference, leaves.forest.spacing_px)
        lengths = PrimalDualLengths(
            self._step.astype(np.float32),
            by_difference.astype(np.float32),
            np.where(by_difference > 0, rate, 0).astype(np.float32),
            self._ties.tied,
            float(len(self._groups)),
            0.5 * total_weight,
            kept,
            leaves.limits,
        )
        state, variation = leaves.state, np.zeros(leaves.forest.n_leaves)
        change *= self._kappa
        step_leaves(
            PrimalDualArrays(leaves.density, *(state[name] for name in STATE_ARRAYS)),
            residual_arrays(self._projector, self._projector.contract(change, views), views),
            penalty_arrays(penalties),
            lengths,
            variation,
        )
        self._ties.apply(leaves.density, kept)
        return squares, weight, float(np.vdot(variation, by_leaf))

    def _step_duals(self, views: NDArray[np.int64]) -> tuple[NDArray[np.float32], float, float]:
        """Change the duals of some views: by how much ``[view, u, y]``, the squares of their residuals, the weight."""
        level = self._level
        change = self._projector(self._leaves.density, views)
        squares, weight = level.replace_by_residuals(change, views)
        self._duals.step(level.dual, change, views)
        level.transfer(change, views)
        return change, squares, weight
