"""Weighted back-projection: filter every view across the tilt axis, then smear it back.

``rho(x, z) = sum_t dtheta_t (h * p_t)(u_t(x, z))``, h the ramp times a window (:mod:`tomokit.methods.voxels.ramp`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.voxels.run import VoxelRun, voxel_bytes
from tomokit.plugin.options import option


@dataclass(frozen=True)
class WbpOptions:
    """Options of the method :class:`Wbp`."""

    filter: str = option(
        "hann",
        "Window on the ramp filter: none (ramp), Hann, or what makes it like SIRT (sirt).",
        choices=("ramp", "hann", "sirt"),
    )
    cutoff: float = option(
        1.0, "Highest frequency kept, as a fraction of the Nyquist frequency.", minimum=0.01, maximum=1.0
    )
    iterations: int = option(20, "Iterations of SIRT that the filter sirt stands for.", minimum=1)


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
        from numba import get_num_threads
        from scipy.fft import next_fast_len

        from tomokit.methods.voxels import ramp

        geometry, options, mask = self.problem.geometry, self.options, self.data_term.mask
        n = next_fast_len(2 * geometry.n_u, real=True)
        weights = ramp.angular_weights(geometry.tilt_rad)
        # Rays cross the slab over thickness / cos(tilt); the bound keeps that finite for views at 90 degrees.
        path_px = self.problem.thickness_px / float(np.maximum(np.cos(geometry.tilt_rad), 0.1).mean())
        window = ramp.window(
            options.filter, n, options.cutoff, options.iterations, path_px, min(float(weights.sum()), np.pi)
        )
        stack = np.zeros(self.operator.stack_shape, self.operator.dtype)
        for view, image in enumerate(stack):
            image[...] = self.data_term.residual(image.copy(), view)
            if mask is not None:
                image[...] = ramp.fill_masked(image, mask[view])
        ramp.filter_views(stack, ramp.ramp(n) * window, n, get_num_threads())
        stack *= weights[:, None, None].astype(stack.dtype)
        self.projection_density[...] = self.operator.T(stack)
        self.epoch = 1
        _, loss = self.residuals(self.projection_density)
        return {"loss": loss, "data": loss}


class Wbp:
    """Weighted back-projection with one of several filters (see :class:`Method`)."""

    name: ClassVar[str] = "wbp"
    summary: ClassVar[str] = "weighted back-projection with a ramp, Hann or SIRT-like filter"
    Options: ClassVar[type] = WbpOptions

    def start(self, problem: Problem, options: WbpOptions) -> WbpRun:
        """Set up a run (see :class:`Method`)."""
        return WbpRun(problem, options)

    def cuda_unsupported_reason(self, options: WbpOptions) -> None:
        """None: every option runs on a GPU (see :class:`Method`)."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: WbpOptions) -> int:
        """Density and back-projection; filtered views and residuals (see :class:`Method`)."""
        return voxel_bytes(problem_shape, 0.0, volumes=2, stacks=2, views=6)
