"""SART: one view at a time, each pulling the density towards itself.

``d <- d + omega A_t^T [m (p_t - A_t d - b_t) / A_t 1]`` for the views in turn (Andersen and Kak, Ultrasonic Imaging 6,
81, 1984). A voxel's weights in one view sum to one inside the detector, so the column normalization is one.
Views are taken in an order that keeps successive ones far apart in angle: a random permutation from the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.pausing import EpochPaused, never
from tomokit.methods.voxels.run import VoxelRun, invert_above, voxel_bytes
from tomokit.plugin.options import option


@dataclass(frozen=True)
class SartOptions:
    """Options of :class:`Sart`."""

    epochs: int = option(10, "Sweeps over all views.", minimum=1)
    relaxation: float = option(0.3, "Step omega of every view.", minimum=1e-6, maximum=1.999)
    decay: float = option(0.9, "Factor on the step after every sweep.", minimum=0.01, maximum=1.0)
    nonnegative: bool = option(True, "Set negative densities to zero after every view.")
    margin: float | None = margin_option()


class SartRun(VoxelRun):
    """A SART reconstruction under way."""

    # What it takes on a device: density and direction.
    _volumes: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, problem: Problem, options: SartOptions) -> None:
        super().__init__(problem, options.epochs, options.margin)
        self.options = options
        rays = self.operator(np.ones(self.operator.volume_shape, self.operator.dtype))
        self._ray_weight = invert_above(rays, 0.5)
        n_views = problem.geometry.n_views
        groups = [np.array([view]) for view in range(n_views)]
        self._steps = self.steps_on_device(self._ray_weight, groups, *self._volumes)
        self._single = [] if self._steps else [self.operator.views([view]) for view in range(n_views)]
        self.pause: Callable[[], bool] = never
        # Of the sweep under way: views taken, and their squared residuals.
        self._epoch_progress = np.zeros(2)

    def sweep(self) -> float:
        """One pass over all views, or the rest of one; returns the data term as each view found it."""
        order = np.random.default_rng((self.problem.seed, self.epoch)).permutation(self.problem.geometry.n_views)
        if self._steps:
            self._steps.begin(self._epoch_progress[1])
        try:
            for view in order[int(self._epoch_progress[0]) :]:
                self._step(int(view))
                if self._epoch_progress[0] < order.size and self.pause():
                    raise EpochPaused
        finally:
            if self._steps:
                self._epoch_progress[1] = self._steps.fetch_squares()
        squares = float(self._epoch_progress[1])
        self._epoch_progress[:] = 0
        return squares / max(float(self._weight_sums.sum()), 1.0)

    def _step(self, view: int) -> None:
        """Let one view pull the density, on the device or here."""
        factor = self.operator.dtype(self.options.relaxation * self.options.decay**self.epoch)
        if self._steps:
            self._steps.step(view, float(factor), self.options.nonnegative)
            self._epoch_progress[0] += 1
            return
        from tomokit.methods.voxels.updates import add_scaled

        projector = self._single[view]
        residual = self.residual(projector(self.density)[0], view)
        self._epoch_progress += 1, float(np.vdot(residual, residual))
        residual *= self._ray_weight[view]
        add_scaled(self.density, projector.T(residual[None]), factor, self.options.nonnegative)

    def advance(self) -> dict[str, float]:
        """One sweep over all views."""
        loss = self.sweep()
        self.epoch += 1
        return {"loss": loss, "data": loss}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Density, offset, and how far the sweep has come."""
        return {**super().arrays(), "sweep": self._epoch_progress}


class Sart:
    """Simultaneous algebraic reconstruction, one view at a time."""

    name: ClassVar[str] = "sart"
    summary: ClassVar[str] = "algebraic reconstruction, one view at a time"
    Options: ClassVar[type] = SartOptions

    def start(self, problem: Problem, options: SartOptions) -> SartRun:
        """Set up a run (see :class:`Method`)."""
        return SartRun(problem, options)

    def cuda_unsupported_reason(self, options: SartOptions) -> None:
        """Projections and their transpose have kernels there."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: SartOptions) -> int:
        """Density and direction; ray weights, twice where views are shifted along y (see :class:`Method`)."""
        return voxel_bytes(problem_shape, options.margin, volumes=2, stacks=2, views=3)
