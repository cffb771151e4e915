"""One level of the projection pyramid: the projections, the projector over the present forest, and a step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.geometry import centre
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import PenaltyGradients
from tomokit.octree import Forest
from tomokit.optimizers.block import BlockOptimizer, is_block_optimizer
from tomokit.projector.leaves import LeafProjector


class Level:
    """A problem at some pixel size, seen through a forest.

    Parameters
    ----------
    problem : Problem
        Projections, mask and geometry in this level's pixels.
    pixel : int
        Fine pixels to one of this level: 1, 2, ...
    kappa : float
        Projection per line integral in fine pixels.
    """

    def __init__(self, problem: Problem, pixel: int, kappa: float) -> None:
        self.problem = problem
        self.pixel = pixel
        # Lengths in this level's pixels are shorter, densities are the same.
        self.kappa = kappa * pixel
        self.offsets = np.zeros(problem.geometry.n_views)
        self._forest: Forest | None = None
        self._projector: LeafProjector | None = None

    def projector(self, forest: Forest) -> LeafProjector:
        """The projector over `forest` (in fine pixels), kept until another forest comes."""
        if self._projector is None or self._forest is not forest:
            self._projector = LeafProjector(forest.in_pixels(self.pixel), self.problem.geometry)
            self._forest = forest
        return self._projector

    def residual(self, leaves: LeafField, views: NDArray[np.int64]) -> tuple[NDArray[np.float32], float, float]:
        """Masked residuals ``m (P - p)`` of some views, offsets solved for.

        Returns
        -------
        residual : ndarray of float32, shape (n, n_u, n_y)
        squares : float
            Sum of ``m (P - p)^2``.
        weight : float
            Sum of m.
        """
        stack = self.projector(leaves.forest)(leaves.density, views)
        squares = weight = 0.0
        for residual, view in zip(stack, views, strict=True):
            residual *= np.float32(self.kappa)
            residual -= self.problem.projections[view]
            mask = None if self.problem.mask is None else self.problem.mask[view]
            total = float(residual.size) if mask is None else float(mask.sum(dtype=np.float64))
            weighted = residual if mask is None else residual * mask
            if self.problem.fit_offsets and total > 0:
                # In double precision: the mean's rounding would stay in every pixel.
                mean = weighted.sum(dtype=np.float64) / total
                self.offsets[view] = -mean
                residual -= np.float32(mean)
                if mask is not None:
                    np.multiply(residual, mask, out=weighted)
            squares += float(np.vdot(residual, weighted))
            if mask is not None:
                residual[...] = weighted
            weight += total
        return stack, squares, weight

    def step(
        self, leaves: LeafField, views: NDArray[np.int64], penalty_gradients: PenaltyGradients, rate: float
    ) -> tuple[float, float, float]:
        """One optimizer step on some views.

        Returns
        -------
        squares, weight, tv : float
            Of the residuals before the step, as in :meth:`residual`, and the weighted total variation.
        """
        a = self.projector(leaves.forest)
        residual, squares, weight = self.residual(leaves, views)
        residual *= np.float32(2 * self.kappa / max(weight, 1.0))
        leaves.count += 1
        variation = np.zeros(leaves.forest.n_leaves)
        if is_block_optimizer(leaves.optimizer):
            self._step_fused(
                leaves, leaves.optimizer, a.contract(residual, views), views, penalty_gradients, rate, variation
            )
        else:
            from tomokit.methods.octree.whole_step import step_whole

            step_whole(leaves, a, residual, views, penalty_gradients, rate, variation)
        return squares, weight, float(np.vdot(variation, penalty_gradients.tv_weight))

    def _step_fused(
        self,
        leaves: LeafField,
        optimizer: BlockOptimizer,
        contracted: NDArray[np.float32],
        views: NDArray[np.int64],
        penalty_gradients: PenaltyGradients,
        rate: float,
        variation: NDArray[np.float64],
    ) -> None:
        from tomokit.methods.octree.fused_step import update_leaves

        a, g, p = self.projector(leaves.forest), self.problem.geometry, penalty_gradients
        first, second = optimizer.block_arrays(leaves.state, np.float32)
        update_leaves(
            leaves.values, leaves.density, first, second, a.slabs.slab_of, a.corner, a.spacing, a.forest.level,
            g.tilt_rad[views], g.shift_u_px[views], centre(g.n_u), a.half_width[views], a.taps[views], a.tables[views],
            contracted, a.pad, p.tv_weight, p.tv_variant, p.tv_delta, p.tv_stencil, leaves.sides, p.sides,
            p.pair_of, p.pair_grid, p.pair_table, p.pair_scale, p.pair_raw,
            p.extra, p.extra_raw, leaves.kind, leaves.parameter, optimizer.kind,
            optimizer.hyper(rate), leaves.count, variation
        )  # fmt: skip
