"""The primal-dual solver of an octree fit: stochastic in the views, exact in what it converges to.

Minimizes ``1/2 sum m (k A d + b - p)^2 + w sum c |grad d|`` over densities d, with a bound or a price of negative ones
where asked for, and over the offsets b; k is kappa, c the factors that follow the texture. The saddle point's duals are
one image y for each view, which at the end is its weighted residual, and three numbers q for each vertex. A step takes
a group of views, changes their duals, and goes on from all of them (stochastic primal-dual hybrid gradient: Chambolle,
Ehrhardt, Richtarik and Schoenlieb, SIAM J. Optim. 28, 2783, 2018, with the data sampled and total variation in every
step):

    y' = m (y + sigma (k A d + b - p)) / (m + sigma),    b such that sum y' = 0 in each view (or b = 0)
    d' = d - t (k A^T y + s k A^T (y' - y) + ...)        (:mod:`tomokit.methods.octree.primal_dual_step`)

s the number of groups. As nothing of the noise of single groups stays in the density, no learning rate has to fall.
With masses ``h^3`` of vertices (h their spacing) as the metric, t is a length over the mass, and the condition on the
steps, ``2 s sigma t |k A_group|^2 <= 1`` in this metric and ``24 t rate w <= 1``, has the largest group's norm in it,
which is measured.
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
    variation_factors,
    view_groups,
    views_of_norm,
)
from tomokit.methods.octree.step_arrays import penalty_arrays, residual_arrays
from tomokit.methods.octree.ties import Ties
from tomokit.projector.leaves import LeafProjector


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
        self._mass = leaves.forest.spacing_px.astype(np.float64) ** 3
        self._step = density_steps(self._mass, self._norm(), len(self._groups), leaves.optimizer.balance)
        if not leaves.count:
            self._begin()

    def _begin(self) -> None:
        """Take over the duals of the data from other leaves: what they pull at is the same."""
        pull = self._leaves.state["data_pull"]
        for views in self._groups:
            dual = self._level.dual[views]
            if dual.any():
                self._level.transfer(dual, views)
                pull += self._kappa * self._projector.T(dual, views)

    def _norm(self) -> float:
        """Largest squared norm of a group's ``k A`` in the metric of masses, from the two that differ most."""
        ties, n = self._ties, self._leaves.forest.n
        # As many times longer as vertices are shared, as in a step.
        copies = np.ones((3, self._leaves.forest.n_leaves, n), np.float32)
        for axis in range(3):
            copies[axis, ties.tied[:, 2 * axis], 0] = copies[axis, ties.tied[:, 2 * axis + 1], -1] = 2
        largest = 0.0
        for views in views_of_norm(self._groups):
            field = np.ones_like(self._leaves.density)
            growth = 0.0
            for _ in range(NORM_ITERATIONS):
                seen = self._projector(field, views)
                for _ in range(2):
                    self._level.transfer(seen, views)
                answer = self._projector.T(seen, views)
                answer *= self._kappa**2 * copies[0][:, :, None, None] * copies[1][:, None, :, None]
                answer *= copies[2][:, None, None, :] / self._mass[:, None, None, None].astype(np.float32)
                ties.apply(answer)
                size = float(np.sqrt(np.vdot(answer, answer)))
                if size == 0:
                    break
                growth = size / float(np.sqrt(np.vdot(field, field)))
                field = answer / np.float32(size)
            largest = max(largest, growth)
        return largest or 1.0

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
        level, problem, sigma = self._level, self._level.problem, np.float32(self._solver.balance)
        change = self._projector(self._leaves.density, views)
        squares, weight = level.replace_by_residuals(change, views)
        for residual, view in zip(change, views, strict=True):
            dual = level.dual[view]
            # What is left of a residual r under the mask m is m r already.
            mask = np.ones_like(residual) if problem.mask is None else problem.mask[view]
            new = (mask * dual + sigma * residual) / (mask + sigma)
            if problem.fit_offsets and level.mask_sums[view] > 0:
                # The offset is what makes the dual's sum vanish.
                share = mask / (mask + sigma)
                new -= np.float32(new.sum(dtype=np.float64) / share.sum(dtype=np.float64)) * share
            np.subtract(new, dual, out=residual)
            level.dual[view] = new
        level.transfer(change, views)
        return change, squares, weight
