"""Converged total-variation reconstruction by a preconditioned primal-dual method.

Minimizes ``1/2 sum m (A d + b - p)^2 + weight TV(d)`` over ``d >= 0`` and the offsets b, as the saddle point of
Chambolle and Pock (J. Math. Imaging Vis. 40, 120, 2011) with one dual for each of the data, the gradient and the sign:

    y <- m (y + A e - p - b) / (m + 1),     b such that sum y = 0 in each view (or b = 0)
    q <- project(q + (g / weight) grad e) onto |q| <= 1
    r <- min(0, r + g e)
    d' = d - M^-1 (A^T y - weight div q + r),     e = 2 d' - d

with unit step in the data's dual. The primal step is the matrix ``M ~ A^T A + g grad^T grad + g``
(:mod:`tomokit.methods.voxels.preconditioner`), which any positive matrix with ``M >= K^T K`` may be (Pock and
Chambolle, ICCV 2011). Without it, plain FISTA needs several hundred iterations for what takes some fifty here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.contrast import contrast, tv_weight
from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.voxels.run import VoxelRun, voxel_bytes
from tomokit.plugin.options import option

if TYPE_CHECKING:
    from tomokit.methods.voxels.cuda.tv import TvSteps


@dataclass(frozen=True)
class TvOptions:
    """Options of :class:`Tv`."""

    epochs: int = option(80, "Iterations over all views.", minimum=1)
    weight: float | None = option(None, "Weight of total variation; none given: strength times the noise.", minimum=0.0)
    strength: float = option(0.65, "Total variation relative to the noise, where no weight is given.", minimum=0.0)
    balance: float = option(10.0, "Step of the gradient's dual; changes the speed, not the result.", minimum=1e-3)
    nonnegative: bool = option(True, "Constrain densities to be non-negative.")
    margin: float | None = margin_option()


class TvRun(VoxelRun):
    """A total-variation reconstruction under way."""

    def __init__(self, problem: Problem, options: TvOptions) -> None:
        super().__init__(problem, options.epochs, options.margin)
        from numba import get_num_threads

        from tomokit.methods.voxels.preconditioner import CosinePreconditioner

        self.options = options
        self.weight = options.strength * tv_weight(problem) if options.weight is None else options.weight
        shape, dtype = self.operator.volume_shape, self.operator.dtype
        density_scale = max(contrast(problem), 1e-12) / problem.thickness_px
        self._dual_step = max(options.balance * self.weight / density_scale, 1e-6)
        self._precondition = CosinePreconditioner(
            problem.geometry, shape, self._dual_step, self._dual_step, get_num_threads()
        )
        self._ahead = self.density.copy()
        self._data_dual = np.zeros(self.operator.stack_shape, dtype)
        self._gradient_dual = np.zeros((3, *shape), dtype)
        self._nonnegativity_dual = np.zeros(shape, dtype)
        self._steps = self._steps_on_device()

    def advance(self) -> dict[str, float]:
        """One primal-dual iteration."""
        pixels = max(float(self._weight_sums.sum()), 1.0)
        if self._steps:
            squares, variation = self._steps.step(self._dual_step, self.weight, self.options.nonnegative)
            data = squares / pixels
        else:
            data, variation = self._iterate()
        self.epoch += 1
        tv = 2 * self.weight * variation / pixels
        return {"loss": data + tv, "data": data, "tv": tv}

    def _steps_on_device(self) -> TvSteps | None:
        """What iterates on a GPU that holds this run and transforms; None where the host does."""
        if self.problem.backend != "cuda":
            return None
        from tomokit.gpu.device import devices
        from tomokit.methods.voxels.cuda.cosine import cosine_bytes, has_cosine
        from tomokit.methods.voxels.cuda.tv import VOLUMES, TvSteps

        shape = self.operator.volume_shape
        if not has_cosine(devices()[0]):
            return None
        mirrored = self.mirror_on_device(VOLUMES, self.problem.geometry.n_views, cosine_bytes(shape))
        if mirrored is None:
            return None
        mirrored.add(
            ahead=self._ahead,
            data_dual=self._data_dual,
            gradient_dual=self._gradient_dual,
            nonnegativity_dual=self._nonnegativity_dual,
        )
        return TvSteps(mirrored, self.problem, shape, self._weight_sums, self._precondition)

    def _iterate(self) -> tuple[float, float]:
        """The same on the host; returns the data term and the total variation."""
        from tomokit.methods.voxels.total_variation import add_divergence, dual_step, total_variation
        from tomokit.methods.voxels.updates import extrapolate, step_nonnegativity_dual

        dtype = self.operator.dtype
        residuals, data = self.residuals(self._ahead)
        self._step_data_dual(residuals)
        del residuals
        uphill = self.operator.T(self._data_dual)
        if self.options.nonnegative:
            step_nonnegativity_dual(self._ahead, self._nonnegativity_dual, dtype(self._dual_step), uphill)
        if self.weight > 0:
            dual_step(self._ahead, self._gradient_dual, dtype(self._dual_step / self.weight))
            add_divergence(uphill, self._gradient_dual, dtype(-self.weight), False, uphill)
        extrapolate(self.density, self._precondition(uphill), self._ahead)
        return data, total_variation(self.density)

    def _step_data_dual(self, residuals: NDArray[np.floating]) -> None:
        """``y <- m (y + A e - p - b) / (m + 1)``; the residuals come as ``m (p - A e - b')`` with their own best b'."""
        for view, dual in enumerate(self._data_dual):
            mask = None if self.mask is None else self.mask[view]
            if mask is None:
                dual -= residuals[view]
                if self.problem.fit_offsets:
                    dual -= dual.mean(dtype=np.float64).astype(dual.dtype)
                dual *= 0.5
                continue
            share = mask / (mask + 1)
            # y is zero where the mask is, so weighting it once more changes nothing for a mask of zeros and ones.
            dual *= mask
            dual -= residuals[view]
            dual /= np.where(mask > 0, mask, 1)
            if self.problem.fit_offsets and self._weight_sums[view] > 0:
                dual -= (np.vdot(share, dual) / share.sum(dtype=np.float64)).astype(dual.dtype)
            dual *= share

    def _estimate(self) -> NDArray[np.floating]:
        """The density with the constraint enforced, which the iterates meet only in the limit."""
        density = super()._estimate()
        return np.maximum(density, 0) if self.options.nonnegative else density

    def stored_density(self) -> dict[str, Any]:
        """As of any run on voxels, with the constraint enforced."""
        return super().stored_density() | {"least": 0.0 if self.options.nonnegative else None}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Density, offset, the point ahead and the three duals."""
        return {
            **super().arrays(),
            "ahead": self._ahead,
            "data_dual": self._data_dual,
            "gradient_dual": self._gradient_dual,
            "nonnegativity_dual": self._nonnegativity_dual,
        }


class Tv:
    """Converged total-variation reconstruction."""

    name: ClassVar[str] = "tv"
    summary: ClassVar[str] = "total-variation reconstruction, converged by a preconditioned primal-dual method"
    Options: ClassVar[type] = TvOptions

    def start(self, problem: Problem, options: TvOptions) -> TvRun:
        """Set up a run (see :class:`Method`)."""
        return TvRun(problem, options)

    def cuda_unsupported_reason(self, options: TvOptions) -> None:
        """All of an iteration runs there, or projections and their transpose where it does not fit."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: TvOptions) -> int:
        """Density, point ahead, four duals and two at work; data dual and residuals (see :class:`Method`)."""
        from tomokit.methods.voxels.preconditioner import PROBES

        # The preconditioner's probes are as long, however short the specimen is.
        probes = replace(problem_shape, n_y=PROBES)
        start = voxel_bytes(problem_shape, options.margin, volumes=1, stacks=0)
        start += voxel_bytes(probes, options.margin, volumes=4, stacks=1)
        return max(start, voxel_bytes(problem_shape, options.margin, volumes=9, stacks=2))
