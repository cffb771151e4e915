"""SIRT: simultaneous iterative reconstruction with row and column normalization.

``d <- d + omega C A^T R m (p - A d - b)`` with ``R = 1 / A 1`` and ``C = 1 / A^T m`` (Gilbert, J. Theor. Biol. 36, 105,
1972, in the normalization of van der Sluis and van der Vorst, Linear Algebra Appl. 130, 257, 1990); it converges for
``0 < omega < 2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.slabs import Slabs
from tomokit.methods.voxels.engine import StepEngine, StepWeights
from tomokit.methods.voxels.engine_choice import choose_step_engine
from tomokit.methods.voxels.run import VoxelRun, invert_above, voxel_bytes
from tomokit.methods.voxels.slabs import VoxelRunInSlabs, slab_bytes
from tomokit.plugin.options import option

_LEAST_RAY_PX = 0.5  # a ray that grazes a corner of the volume would be divided by next to nothing
_LEAST_VOXEL_WEIGHT = 1e-3  # nor should voxels move that no view sees


@dataclass(frozen=True)
class SirtOptions:
    """Options of the method :class:`Sirt`."""

    epochs: int = option(
        30,
        "Iterations, each of which uses all views once. More sharpen detail and, from some number on, noise; "
        "stop where the held-out score is best.",
        minimum=1,
        maximum=1_000_000,
    )
    relaxation: float = option(
        1.0,
        "Length of every step. Leave it at 1; shorter steps fit less noise in the same number of epochs, and "
        "from 2 on it does not converge.",
        minimum=1e-6,
        maximum=1.999,
    )
    nonnegative: bool = option(
        True,
        "Set negative densities to zero after every step, which sharpens and fills the missing wedge a "
        "little. Turn it off for data of which zero is not the least, and to compare with linear methods.",
    )
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
        ray_weight = invert_above(self.operator(ones), _LEAST_RAY_PX)
        del ones
        mask = self.data_term.mask
        pixel_weight = np.ones(self.operator.stack_shape, self.operator.dtype) if mask is None else mask
        voxel_weight = invert_above(self.operator.T(pixel_weight), _LEAST_VOXEL_WEIGHT)
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


class SirtRunInSlabs(VoxelRunInSlabs):
    """A SIRT reconstruction whose density is stepped a slab at a time.

    All slabs take a step before any takes the next, because the offset of a view is solved for over the whole view.

    Parameters
    ----------
    problem : Problem
        All rows of the detector; those beside the slabs' play no part.
    options : SirtOptions
    slabs : Slabs
    """

    def __init__(self, problem: Problem, options: SirtOptions, slabs: Slabs) -> None:
        super().__init__(problem, slabs, options.epochs, options.margin)
        self.options = options
        mask = self.data_term.mask
        self._ray_weight = self._make_ray_weight()
        # Without a mask and without shifts along y every row has the same weights, and one stands for all.
        self._same_rows = mask is None and self.projector.is_aligned
        pixel_weight = np.ones((*self._ray_weight.shape[:2], 1), np.float32) if mask is None else mask
        if not self.projector.is_aligned:
            pixel_weight = np.array(np.broadcast_to(pixel_weight, self.data_term.projections.shape))
            self.projector.move_to_volume(pixel_weight)
        self._pixel_weight: NDArray[np.floating] = pixel_weight
        self._row_weight = (
            invert_above(self.projector.of_rows(1).T(pixel_weight), _LEAST_VOXEL_WEIGHT) if self._same_rows else None
        )
        # Line integrals of the present density, with the volume's rows; None where they are not there yet.
        self._predicted: NDArray[np.floating] | None = None

    def _make_ray_weight(self) -> NDArray[np.floating]:
        """R, of one row that stands for all where views are not shifted along y."""
        projector = self.projector
        row = projector.of_rows(1)
        ones = row(np.ones(row.volume_shape, row.dtype))
        if not projector.is_aligned:
            ones = np.array(np.broadcast_to(ones, self.data_term.projections.shape))
            projector.move_to_detector(ones)
        return invert_above(ones, _LEAST_RAY_PX)

    def _voxel_weight(self, slab: int) -> NDArray[np.floating]:
        """C of one slab. It is worked out anew in every step, as a file of it would be as large as the volume."""
        if self._row_weight is None:
            return invert_above(self.projector.back_project(slab, self._pixel_weight), _LEAST_VOXEL_WEIGHT)
        first, stop = self.projector.bounds[slab]
        return np.repeat(self._row_weight, stop - first, axis=2)

    def advance(self) -> dict[str, float]:
        """Take one step by all views together.

        Returns
        -------
        dict of str to float
            As of :meth:`SirtRun.advance`.
        """
        projector, data_term = self.projector, self.data_term
        slabs = range(len(projector.bounds))
        stack, self._predicted = self._predicted, None
        if stack is None:
            stack = np.empty_like(data_term.projections)
            for slab in slabs:
                projector.project(slab, self.store.read(slab), stack)
        projector.move_to_detector(stack)
        squares = data_term.replace_by_residuals(stack, range(len(stack)))
        stack *= self._ray_weight
        data_term.transfer(stack, range(len(stack)))
        projector.move_to_volume(stack)
        is_last = self.epoch + 1 >= self.epochs
        for slab in slabs:
            density = self._step_slab(slab, stack)
            if not is_last:
                # While the slab is in memory: the next step begins with its projections.
                projector.project(slab, density, stack)
            del density
        self._predicted = None if is_last else stack
        self.epoch += 1
        loss = squares / data_term.total_weight
        return {"loss": loss, "data": loss}

    def _step_slab(self, slab: int, residuals: NDArray[np.floating]) -> NDArray[np.float32]:
        """Step one slab along its back-projected, weighted residuals, and return its new density."""
        from tomokit.methods.voxels.updates import step

        direction = self.projector.back_project(slab, residuals)
        density, weight = self.store.read(slab), self._voxel_weight(slab)
        step(density, direction, weight, density.dtype.type(self.options.relaxation), self.options.nonnegative)
        self.store.write(slab, density)
        return density

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of a SIRT run, in slabs or not (see :class:`Run`)."""
        super().restore(epoch, arrays)
        self._predicted = None


class Sirt:
    """Simultaneous iterative reconstruction with row and column normalization (see :class:`Method`)."""

    name: ClassVar[str] = "sirt"
    summary: ClassVar[str] = "simultaneous iterative reconstruction, row and column normalized"
    Options: ClassVar[type] = SirtOptions
    weighs_views: ClassVar[bool] = True
    models_transfer: ClassVar[bool] = True
    epochs_are_a_prefix: ClassVar[bool] = True

    def start(self, problem: Problem, options: SirtOptions) -> SirtRun:
        """Set up a run (see :class:`Method`)."""
        return SirtRun(problem, options)

    def start_in_slabs(self, problem: Problem, options: SirtOptions, slabs: Slabs) -> SirtRunInSlabs:
        """Set up a run in slabs (see :class:`tomokit.methods.slabs.ReconstructsInSlabs`)."""
        return SirtRunInSlabs(problem, options, slabs)

    def worth_tuning(self, problem: Problem, options: SirtOptions) -> dict[str, tuple[float, float]]:
        """Nothing but the epochs (see :class:`tomokit.methods.capabilities.SuggestsTuning`)."""
        return {}

    def cuda_unsupported_reason(self, options: SirtOptions) -> None:
        """None: every option runs on a GPU (see :class:`Method`)."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: SirtOptions) -> int:
        """Density, voxel weights and direction; ray weights and residuals (see :class:`Method`)."""
        return voxel_bytes(problem_shape, options.margin, volumes=3, stacks=3)

    def estimate_bytes_in_slabs(
        self, problem_shape: ProblemShape, options: SirtOptions, rows: int, largest: int
    ) -> int:
        """Residuals and weights of the rows, and a slab (see :class:`tomokit.methods.slabs.ReconstructsInSlabs`)."""
        # Residuals and, where views are shifted along y or masked, weights of rays and pixels.
        stacks = 3 if rows == problem_shape.n_y else 5  # and projections and mask of the rows alone
        views = stacks * problem_shape.stack_bytes * rows // problem_shape.n_y
        return views + slab_bytes(problem_shape, options.margin, largest, volumes=4)
