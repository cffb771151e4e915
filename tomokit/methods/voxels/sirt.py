"""SIRT: simultaneous iterative reconstruction with row and column normalization.

``d <- d + omega C A^T R m (p - A d - b)`` with ``R = 1 / A 1`` and ``C = 1 / A^T m`` (Gilbert, J. Theor. Biol. 36, 105,
1972, in the normalization of van der Sluis and van der Vorst, Linear Algebra Appl. 130, 257, 1990); it converges for
``0 < omega < 2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.voxels.engine import StepEngine, StepWeights
from tomokit.methods.voxels.engine_choice import choose_step_engine
from tomokit.methods.voxels.run import VoxelRun, invert_above, voxel_bytes
from tomokit.plugin.options import option


@dataclass(frozen=True)
class SirtOptions:
    """Options of the method :class:`Sirt`."""

    epochs: int = option(30, "Iterations, each of which uses all views once.", minimum=1)
    relaxation: float = option(
        1.0,
        "Factor on every step; smaller ones converge more slowly, and from 2 on none does.",
        minimum=1e-6,
        maximum=1.999,
    )
    nonnegative: bool = option(True, "Set negative densities to zero after every step.")
    margin: float | None = margin_option()


class SirtRun(VoxelRun):
    """A SIRT reconstruction under way.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    options : SirtOptions
    """

    _engine: StepEngine

    def __init__(self, problem: Problem, options: SirtOptions) -> None:
        super().__init__(problem, options.epochs, options.margin)
        self.options = options
        ones = np.ones(self.operator.volume_shape, self.operator.dtype)
        # A ray that grazes a corner of the volume would be divided by next to nothing.
        ray_weight = invert_above(self.operator(ones), 0.5)
        del ones
        mask = self.data_term.mask
        pixel_weight = np.ones(self.operator.stack_shape, self.operator.dtype) if mask is None else mask
        # Nor should voxels move that no view sees.
        voxel_weight = invert_above(self.operator.T(pixel_weight), 1e-3)
        weights = StepWeights([np.arange(problem.geometry.n_views)], ray_weight, voxel_weight)
        self._engine = choose_step_engine(self.data_term, self._host_arrays(), weights)

    def advance(self) -> dict[str, float]:
        """Take one step by all views together.

        Returns
        -------
        dict of str to float
            The data term before the step, as ``loss`` and ``data``.
        """
        self._engine.begin()
        self._engine.step(0, self.options.relaxation, self.options.nonnegative)
        loss = self._engine.fetch_squares() / self.data_term.total_weight
        self.epoch += 1
        return {"loss": loss, "data": loss}


class Sirt:
    """Simultaneous iterative reconstruction with row and column normalization (see :class:`Method`)."""

    name: ClassVar[str] = "sirt"
    summary: ClassVar[str] = "simultaneous iterative reconstruction, row and column normalized"
    Options: ClassVar[type] = SirtOptions

    def start(self, problem: Problem, options: SirtOptions) -> SirtRun:
        """Set up a run (see :class:`Method`)."""
        return SirtRun(problem, options)

    def cuda_unsupported_reason(self, options: SirtOptions) -> None:
        """None: every option runs on a GPU (see :class:`Method`)."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: SirtOptions) -> int:
        """Density, voxel weights and direction; ray weights and residuals (see :class:`Method`)."""
        return voxel_bytes(problem_shape, options.margin, volumes=3, stacks=3)
