"""The engine of an octree fit on the host: Numba's kernels on all cores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import Penalties, PenaltyGradients
from tomokit.methods.octree.primal_dual import PrimalDualSteps
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.octree.solver import PrimalDual
from tomokit.methods.octree.step_arrays import StepRules, leaf_arrays, penalty_arrays, residual_arrays
from tomokit.methods.octree.texture import mean_gradients, smoothing_limits
from tomokit.methods.pausing import EpochProgress
from tomokit.octree.error_indicators import ErrorIndicators, measure_indicators
from tomokit.optimizers.block import is_block_optimizer
from tomokit.projector.leaves import LeafProjector


class HostEngine:
    """Steps on the host (see :class:`tomokit.methods.octree.engine.Engine`).

    Parameters
    ----------
    leaves : LeafField
        What to start from; changed by every step.
    """

    def __init__(self, leaves: LeafField) -> None:
        self._projector: LeafProjector | None = None
        self._projected_level: PyramidLevel | None = None
        self.place(leaves)

    @classmethod
    def of_plan(cls, plan: FitPlan, leaves: LeafField) -> HostEngine:
        """Make the engine (see :class:`tomokit.methods.octree.engine.MakeEngine`)."""
        return cls(leaves)

    def place(self, leaves: LeafField) -> None:
        """Continue with another field (see :class:`tomokit.methods.octree.engine.Engine`)."""
        self.leaves = leaves
        self._projector = None
        self._primal_dual: PrimalDualSteps | None = None

    def begin(self, plan: EpochPlan) -> None:
        """Prepare an epoch's steps (see :class:`tomokit.methods.octree.engine.Engine`)."""
        self._plan, self._penalties = plan, Penalties(plan.regularizers)
        self._progress = plan.begun.copy()
        if self._penalties.needs_sides and not len(self.leaves.sides):
            self.leaves.keep_sides()
        if isinstance(self.leaves.optimizer, PrimalDual) and self._primal_dual is None:
            projector = self._projector_of(plan.level)
            self._primal_dual = PrimalDualSteps(self.leaves, projector, plan.level, plan.n_steps)

        leaves = self.leaves
        if plan.renews_limits and isinstance(leaves.optimizer, PrimalDual) and leaves.optimizer.texture is not None:
            means = mean_gradients(leaves.density, leaves.forest)
            leaves.limits[...] = smoothing_limits(leaves.forest, means, leaves.optimizer.texture)

    def step(self, number: int) -> None:
        """Take one optimizer step (see :class:`tomokit.methods.octree.engine.Engine`)."""
        plan, progress, views = self._plan, self._progress, self._plan.views[number]
        penalties = self._penalties.evaluate(self.leaves, plan.inside, plan.rng, plan.first_step + number)
        if self._primal_dual is None:
            squares, weight, variation = self._update(plan.level, views, penalties, plan.rate)
        else:
            squares, weight, variation = self._primal_dual.step(views, penalties)
        progress.squares, progress.weight = progress.squares + squares, progress.weight + weight
        # Total variation is listed in every summary, with zero where it is off.
        for name, value in {"tv": 0.0, penalties.variation_name: variation, **penalties.terms}.items():
            progress.terms[name] = progress.terms.get(name, 0.0) + value / plan.n_steps
        progress.step += 1

    @property
    def has_diverged(self) -> bool:
        """Whether a sum has ceased to be a number (see :class:`tomokit.methods.octree.engine.Engine`)."""
        return not all(map(math.isfinite, (self._progress.squares, *self._progress.terms.values())))

    def progress(self) -> EpochProgress:
        """The epoch so far (see :class:`tomokit.methods.octree.engine.Engine`)."""
        progress = self._progress.copy()
        progress.generator = dict(self._plan.rng.bit_generator.state)
        return progress

    def density_is_finite(self) -> bool:
        """Whether all densities are numbers (see :class:`tomokit.methods.octree.engine.Engine`)."""
        # One sum tells: infinities and NaN survive it, and finite single precision cannot overflow a double.
        return math.isfinite(float(self.leaves.density.sum(dtype=np.float64)))

    def measure(self) -> ErrorIndicators:
        """Error indicators of the present densities (see :class:`tomokit.methods.octree.engine.Engine`)."""
        return measure_indicators(self.leaves.density)

    def fetch(self) -> LeafField:
        """The field, which is always up to date here (see :class:`tomokit.methods.octree.engine.Engine`)."""
        return self.leaves

    def predict(self, geometry: TiltGeometry, kappa: float) -> NDArray[np.float32]:
        """Projections of the present density (see :class:`tomokit.methods.octree.engine.Engine`)."""
        projector = LeafProjector(self.leaves.forest, geometry)
        stack = np.empty((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        # One by one: the projector's buffers grow with the views it is asked for.
        for view, image in enumerate(stack):
            np.multiply(projector(self.leaves.density, view)[0], np.float32(kappa), out=image)
        return stack

    def sample(self, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Mean densities in voxels (see :class:`tomokit.methods.octree.engine.Engine`)."""
        from tomokit.octree.sampling import sample_volume

        return sample_volume(self.leaves.density, self.leaves.forest, *shape)

    def resolved_parameters(self) -> dict[str, Any]:
        """Nothing was to be decided on the host (see :class:`tomokit.methods.octree.engine.Engine`)."""
        return {}

    def _projector_of(self, level: PyramidLevel) -> LeafProjector:
        """The projector over the leaves in a level's pixels, kept while neither changes."""
        geometry, forest = level.problem.geometry, self.leaves.forest
        if self._projector is None or self._projected_level is not level:
            self._projector = LeafProjector(forest.in_pixels(level.pixel), geometry)
            self._projected_level = level
        return self._projector

    def _update(
        self, level: PyramidLevel, views: NDArray[np.int64], penalties: PenaltyGradients, rate: float
    ) -> tuple[float, float, float]:
        """Step on some views: the residuals' squares before it, their weight, and the weighted total variation."""
        leaves, projector = self.leaves, self._projector_of(level)
        assert not isinstance(leaves.optimizer, PrimalDual)
        residual = projector(leaves.density, views)
        squares, weight = level.replace_by_residuals(residual, views)
        level.transfer(residual, views)
        # The derivative of ``sum m r^2 / sum m`` by a line integral; a mask of zeros must not divide by zero.
        residual *= np.float32(2 * level.kappa / max(weight, 1.0))
        leaves.count += 1
        variation = np.zeros(leaves.forest.n_leaves)
        if is_block_optimizer(leaves.optimizer):
            from tomokit.methods.octree.fused_step import update_leaves

            optimizer = leaves.optimizer
            update_leaves(
                leaf_arrays(leaves, optimizer),
                residual_arrays(projector, projector.contract(residual, views), views),
                penalty_arrays(penalties),
                StepRules(leaves.kind, leaves.parameter, optimizer.kind, optimizer.hyper(rate), leaves.count),
                variation,
            )
        else:
            from tomokit.methods.octree.whole_step import step_whole

            step_whole(leaves, projector, residual, views, penalties, rate, variation)
        term = penalties.variation
        return squares, weight, 0.0 if term is None else float(np.vdot(variation, term.weight))
