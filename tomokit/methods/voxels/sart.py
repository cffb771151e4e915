"""SART: algebraic reconstruction that steps by one view at a time.

``d <- d + omega A_t^T [m (p_t - A_t d - b_t) / A_t 1]`` for the views in turn (Andersen and Kak, Ultrasonic Imaging 6,
81, 1984). A voxel's weights in one view sum to one inside the detector, so the column normalization is one.
Views are taken in an order that keeps successive ones far apart in angle: a random permutation from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import InputError
from tomokit.methods.capabilities import around
from tomokit.methods.pausing import EpochPaused, never
from tomokit.methods.state_arrays import check_arrays
from tomokit.methods.voxels.engine import StepEngine, StepWeights
from tomokit.methods.voxels.engine_choice import choose_step_engine
from tomokit.methods.voxels.run import VoxelRun, invert_above, voxel_bytes
from tomokit.plugin.options import option


@dataclass(frozen=True)
class SartOptions:
    """Options of the method :class:`Sart`."""

    epochs: int = option(
        10,
        "Sweeps over all views, one after the other. A few are enough: more fit noise; stop where the "
        "held-out score is best.",
        minimum=1,
        maximum=1_000_000,
    )
    relaxation: float = option(
        0.3,
        "Length of the step of every view. Lower it (0.1) for noisy series, raise it for clean ones of few views.",
        minimum=1e-6,
        maximum=1.999,
    )
    decay: float = option(
        0.9,
        "Factor on the length of steps from one sweep to the next, so that the views taken last do not show. "
        "Lower it if streaks along single views remain.",
        minimum=0.01,
        maximum=1.0,
    )
    nonnegative: bool = option(
        True,
        "Set negative densities to zero after the step of every view, which sharpens and fills the missing "
        "wedge a little. Turn it off for data of which zero is not the least.",
    )
    margin: float | None = margin_option()


class SartRun(VoxelRun):
    """A SART reconstruction under way.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    options : SartOptions

    Attributes
    ----------
    pause : callable
        Asked after every view but a sweep's last; if it says True, the sweep raises :class:`EpochPaused`.
    """

    _engine: StepEngine

    def __init__(self, problem: Problem, options: SartOptions) -> None:
        super().__init__(problem, options.epochs, options.margin)
        self.options = options
        path_lengths = self.operator(np.ones(self.operator.volume_shape, self.operator.dtype))
        # A ray that grazes a corner of the volume would be divided by next to nothing.
        ray_weight = invert_above(path_lengths, 0.5)
        single_views = [np.array([view]) for view in range(problem.geometry.n_views)]
        self._engine = self._choose_engine(StepWeights(single_views, ray_weight))
        self.pause: Callable[[], bool] = never
        # Of the sweep under way: views taken, and the sum of their squared residuals.
        self._sweep_progress = np.zeros(2)

    def _choose_engine(self, weights: StepWeights) -> StepEngine:
        """What takes the steps, chosen when all else of the run is known."""
        return choose_step_engine(self.data_term, self._host_arrays(), weights)

    def sweep(self) -> float:
        """Take a step by every view, or by those that an interrupted sweep has left.

        Returns
        -------
        float
            The data term, with the residuals of each view as its step found them.

        Raises
        ------
        EpochPaused
            If :attr:`pause` says so; the next call goes on from there.
        """
        order = np.random.default_rng((self.problem.seed, self.epoch)).permutation(self.problem.geometry.n_views)
        factor = self.options.relaxation * self.options.decay**self.epoch
        progress = self._sweep_progress
        self._engine.begin(float(progress[1]))
        try:
            for view in order[int(progress[0]) :]:
                self._engine.step(int(view), factor, self.options.nonnegative)
                progress[0] += 1
                if progress[0] < order.size and self.pause():
                    raise EpochPaused
        finally:
            # Only now, because fetching a sum from a device waits for all its steps.
            progress[1] = self._engine.fetch_squares()
        squares = float(progress[1])
        progress[:] = 0
        return squares / self.data_term.total_weight

    def advance(self) -> dict[str, float]:
        """Sweep once over all views.

        Returns
        -------
        dict of str to float
            The data term as the steps found it, as ``loss`` and ``data``.
        """
        loss = self.sweep()
        self.epoch += 1
        return {"loss": loss, "data": loss}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays that are needed to continue, on the host and up to date.

        Returns
        -------
        dict of str to ndarray
            Those of :meth:`VoxelRun.arrays`, and ``sweep``: views taken of a sweep under way, and the sum of their
            squared residuals.
        """
        return {**super().arrays(), "sweep": self._sweep_progress}

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of a run of the same kind (see :class:`VoxelRun`).

        Raises
        ------
        InputError
            Also if the sweep under way is none of this run's; nothing has been changed then.
        """
        check_arrays(arrays, {"sweep": self._sweep_progress})
        taken, squares = (float(number) for number in arrays["sweep"])
        if not (taken.is_integer() and 0 <= taken < self.problem.geometry.n_views and squares >= 0):
            raise InputError(f"{taken:g} of {self.problem.geometry.n_views} views taken", field="sweep")
        super().restore(epoch, arrays)


class Sart:
    """Simultaneous algebraic reconstruction, one view at a time (see :class:`Method`)."""

    name: ClassVar[str] = "sart"
    summary: ClassVar[str] = "algebraic reconstruction, one view at a time"
    Options: ClassVar[type] = SartOptions
    weighs_views: ClassVar[bool] = True
    epochs_are_a_prefix: ClassVar[bool] = True

    def start(self, problem: Problem, options: SartOptions) -> SartRun:
        """Set up a run (see :class:`Method`)."""
        return SartRun(problem, options)

    def worth_tuning(self, problem: Problem, options: SartOptions) -> dict[str, tuple[float, float]]:
        """The length of steps (see :class:`tomokit.methods.capabilities.SuggestsTuning`)."""
        return {"relaxation": around(options.relaxation)}

    def cuda_unsupported_reason(self, options: SartOptions) -> None:
        """None: every option runs on a GPU (see :class:`Method`)."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: SartOptions) -> int:
        """Density and direction; ray weights, twice where views are shifted along y (see :class:`Method`)."""
        return voxel_bytes(problem_shape, options.margin, volumes=2, stacks=2, views=3)
