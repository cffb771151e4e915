"""SIRT: simultaneous iterative reconstruction with row and column normalization.

``d <- d + omega C A^T R m (p - A d - b)`` with ``R = 1 / A 1`` and ``C = 1 / A^T m`` (Gilbert, J. Theor. Biol. 36, 105,
1972, in the normalization of van der Sluis and van der Vorst, Linear Algebra Appl. 130, 257, 1990); it converges for
``0 < omega < 2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.voxels.run import VoxelRun, invert_above, voxel_bytes
from tomokit.plugin.options import option

if TYPE_CHECKING:
    from tomokit.methods.voxels.cuda.steps import VoxelSteps


@dataclass(frozen=True)
class SirtOptions:
    """Options of :class:`Sirt`."""

    epochs: int = option(30, "Iterations over all views.", minimum=1)
    relaxation: float = option(1.0, "Step omega; the iteration converges below 2.", minimum=1e-6, maximum=1.999)
    nonnegative: bool = option(True, "Set negative densities to zero after every step.")
    margin: float | None = margin_option()


class SirtRun(VoxelRun):
    """A SIRT reconstruction under way."""

    def __init__(self, problem: Problem, options: SirtOptions) -> None:
        super().__init__(problem, options.epochs, options.margin)
        self.options = options
        ones = np.ones(self.operator.volume_shape, self.operator.dtype)
        # A ray that grazes a corner of the volume would be divided by next to nothing.
        self._ray_weight = invert_above(self.operator(ones), 0.5)
        del ones
        weight = np.ones(self.operator.stack_shape, self.operator.dtype) if self.mask is None else self.mask
        self._voxel_weight = invert_above(self.operator.T(weight), 1e-3)
        self._steps = self.steps_on_device(self._ray_weight, [np.arange(problem.geometry.n_views)], 3)
        self._scale = self._steps.send_scale(self._voxel_weight) if self._steps else None

    def advance(self) -> dict[str, float]:
        """One iteration over all views."""
        if self._steps:
            return self._advance_on_device(self._steps)
        from tomokit.methods.voxels.updates import step

        residuals, loss = self.residuals(self.density)
        residuals *= self._ray_weight
        direction = self.operator.T(residuals)
        factor = self.operator.dtype(self.options.relaxation)
        step(self.density, direction, self._voxel_weight, factor, self.options.nonnegative)
        self.epoch += 1
        return {"loss": loss, "data": loss}

    def _advance_on_device(self, steps: VoxelSteps) -> dict[str, float]:
        steps.begin()
        steps.step(0, float(self.options.relaxation), self.options.nonnegative, self._scale)
        loss = steps.fetch_squares() / max(float(self._weight_sums.sum()), 1.0)
        self.epoch += 1
        return {"loss": loss, "data": loss}


class Sirt:
    """Simultaneous iterative reconstruction."""

    name: ClassVar[str] = "sirt"
    summary: ClassVar[str] = "simultaneous iterative reconstruction, row and column normalized"
    Options: ClassVar[type] = SirtOptions

    def start(self, problem: Problem, options: SirtOptions) -> SirtRun:
        """Set up a run (see :class:`Method`)."""
        return SirtRun(problem, options)

    def cuda_unsupported_reason(self, options: SirtOptions) -> None:
        """Projections and their transpose have kernels there."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: SirtOptions) -> int:
        """Density, weights and direction; rays, residuals (see :class:`Method`)."""
        return voxel_bytes(problem_shape, options.margin, volumes=3, stacks=3)
