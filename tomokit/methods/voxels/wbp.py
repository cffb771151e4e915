"""Weighted back-projection: filter every view across the tilt axis, then smear it back.

``rho(x, z) = sum_t dtheta_t (h * p_t)(u_t(x, z))``, h the ramp times a window (:mod:`tomokit.methods.voxels.ramp`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.capabilities import TUNING_RATIO
from tomokit.methods.slabs import Slabs
from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.run import VoxelRun, voxel_bytes
from tomokit.methods.voxels.slabs import SlabProjector, VoxelRunInSlabs, slab_bytes
from tomokit.plugin.options import option


@dataclass(frozen=True)
class WbpOptions:
    """Options of the method :class:`Wbp`."""

    filter: str = option(
        "hann",
        "How high frequencies are weighted: ramp has the most detail and noise, hann fades it out to the "
        "cutoff, sirt looks like some iterations of SIRT. Take sirt to look at a tomogram by eye, ramp for "
        "averaging many particles.",
        choices=("ramp", "hann", "sirt"),
    )
    cutoff: float = option(
        1.0,
        "Highest frequency that is kept, as a share of the Nyquist frequency. Lower it (0.5, 0.35) if the "
        "tomogram is noisy.",
        minimum=0.01,
        maximum=1.0,
    )
    iterations: int = option(
        20,
        "Iterations of SIRT that the filter sirt looks like. Fewer are smoother, more are sharper; without "
        "effect on the other filters.",
        minimum=1,
    )


def filter_problem(data_term: DataTerm, options: WbpOptions) -> NDArray[np.floating]:
    """Filter all views of a problem and weight each by the angle that it stands for.

    Parameters
    ----------
    data_term : DataTerm
        Projections, mask and offsets; the offsets are solved for, of a density that is zero.
    options : WbpOptions

    Returns
    -------
    ndarray, shape (n_views, n_u, n_y)
        ``[tilt, u, y]``, whose back-projection is the density.
    """
    from numba import get_num_threads
    from scipy.fft import next_fast_len

    from tomokit.methods.voxels import ramp

    problem, mask = data_term.problem, data_term.mask
    geometry = problem.geometry
    n = next_fast_len(2 * geometry.n_u, real=True)
    weights = ramp.angular_weights(geometry.tilt_rad)
    # Rays cross the slab over thickness / cos(tilt); the bound keeps that finite for views at 90 degrees.
    path_px = problem.thickness_px / float(np.maximum(np.cos(geometry.tilt_rad), 0.1).mean())
    window = ramp.window(
        options.filter, n, options.cutoff, options.iterations, path_px, min(float(weights.sum()), np.pi)
    )
    stack: NDArray[np.floating] = np.zeros(data_term.projections.shape, data_term.projections.dtype)
    for view in range(len(stack)):
        image = stack[view]
        image[...] = data_term.residual(image.copy(), view)
        if mask is not None:
            image[...] = ramp.fill_masked(image, mask[view])
    ramp.filter_views(stack, ramp.ramp(n) * window, n, get_num_threads())
    stack *= weights[:, None, None].astype(stack.dtype)
    return stack


class WbpRun(VoxelRun):
    """A weighted back-projection, done in its one epoch.

    Parameters
    ----------
    problem : Problem
        What is reconstructed.
    options : WbpOptions
    """

    def __init__(self, problem: Problem, options: WbpOptions) -> None:
        super().__init__(problem, epochs=1)
        self.options = options

    def advance(self) -> dict[str, float]:
        """Filter all views and back-project them.

        Returns
        -------
        dict of str to float
            The data term of the result, as ``loss`` and ``data``.
        """
        stack = filter_problem(self.data_term, self.options)
        self.projection_density[...] = self.operator.T(stack)
        self.epoch = 1
        _, loss = self.residuals(self.projection_density)
        return {"loss": loss, "data": loss}


class WbpRunInSlabs(VoxelRunInSlabs):
    """A weighted back-projection whose density is made a slab at a time.

    Views are filtered as wholes: their offsets, and what masked pixels are filled with, are those of the whole views
    even where only some rows are reconstructed.

    Parameters
    ----------
    problem : Problem
        All rows of the detector.
    options : WbpOptions
    slabs : Slabs
    """

    def __init__(self, problem: Problem, options: WbpOptions, slabs: Slabs) -> None:
        super().__init__(problem, slabs, epochs=1)
        self.options = options
        self._whole, self._rows = problem, slabs.rows

    def advance(self) -> dict[str, float]:
        """Filter all views, and back-project and project slab by slab.

        Returns
        -------
        dict of str to float
            As of :meth:`WbpRun.advance`, over the rows of the slabs.
        """
        of_rows, whole = self.data_term, self._whole
        data_term = of_rows if self.problem is whole else DataTerm(whole, of_rows.operator)
        stack = filter_problem(data_term, self.options)
        SlabProjector(whole.geometry, 1, 1, (), whole.backend).move_to_volume(stack)
        if self.problem is not whole:
            stack = np.ascontiguousarray(stack[:, :, slice(*self._rows)])
        for slab in range(len(self.projector.bounds)):
            density = self.projector.back_project(slab, stack)
            self.store.write(slab, density)
            # What a slab was made of is not needed any more, and its prediction takes its place.
            self.projector.project(slab, density, stack)
        self.projector.move_to_detector(stack)
        self.epoch = 1
        squares = of_rows.replace_by_residuals(stack, range(len(stack)))
        loss = squares / of_rows.total_weight
        return {"loss": loss, "data": loss}


class Wbp:
    """Weighted back-projection with one of several filters (see :class:`Method`)."""

    name: ClassVar[str] = "wbp"
    summary: ClassVar[str] = "weighted back-projection with a ramp, Hann or SIRT-like filter"
    Options: ClassVar[type] = WbpOptions

    def start(self, problem: Problem, options: WbpOptions) -> WbpRun:
        """Set up a run (see :class:`Method`)."""
        return WbpRun(problem, options)

    def start_in_slabs(self, problem: Problem, options: WbpOptions, slabs: Slabs) -> WbpRunInSlabs:
        """Set up a run in slabs (see :class:`tomokit.methods.slabs.ReconstructsInSlabs`)."""
        return WbpRunInSlabs(problem, options, slabs)

    def worth_tuning(self, problem: Problem, options: WbpOptions) -> dict[str, tuple[float, float]]:
        """The cutoff (see :class:`tomokit.methods.capabilities.SuggestsTuning`)."""
        return {"cutoff": (options.cutoff / TUNING_RATIO, options.cutoff)}

    def cuda_unsupported_reason(self, options: WbpOptions) -> None:
        """None: every option runs on a GPU (see :class:`Method`)."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: WbpOptions) -> int:
        """Density and back-projection; filtered views and residuals (see :class:`Method`)."""
        return voxel_bytes(problem_shape, 0.0, volumes=2, stacks=2, views=6)

    def estimate_bytes_in_slabs(self, problem_shape: ProblemShape, options: WbpOptions, rows: int, largest: int) -> int:
        """Filtered views, those of the rows, and a slab (see :class:`tomokit.methods.slabs.ReconstructsInSlabs`)."""
        views = voxel_bytes(problem_shape, 0.0, volumes=0, stacks=1, views=6)
        if rows < problem_shape.n_y:
            # Projections and mask of the rows, beside the filtered views of all rows.
            views += 3 * problem_shape.stack_bytes * rows // problem_shape.n_y
        return views + slab_bytes(problem_shape, 0.0, largest, volumes=2)
