"""The adaptive octree of density grids, fitted by hand-written gradients (Wang et al., 2023): registration.

The fit itself is in :mod:`tomokit.methods.octree`.
"""

from __future__ import annotations

from typing import ClassVar

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.interface import Run
from tomokit.methods.octree.options import OctreeOptions


class Octree:
    """Adaptive octree of density grids."""

    name: ClassVar[str] = "octree"
    summary: ClassVar[str] = "adaptive octree of density grids, fitted under total variation and priors across leaves"
    Options: ClassVar[type] = OctreeOptions

    def start(self, problem: Problem, options: OctreeOptions) -> Run:
        """Set up a run (see :class:`Method`)."""
        if problem.backend == "cuda":
            from tomokit.gpu.device import devices
            from tomokit.methods.octree.cuda.run import OctreeRunOnDevice

            return OctreeRunOnDevice(problem, options, devices())
        from tomokit.methods.octree.run import OctreeRun

        return OctreeRun(problem, options)

    def cuda_unsupported_reason(self, options: OctreeOptions) -> str | None:
        """Plugins may have no path there: their regularizers say so, their optimizers never have one."""
        from tomokit.methods.octree.cuda.support import refusal

        return refusal(options)

    def estimate_bytes(self, problem_shape: ProblemShape, options: OctreeOptions) -> int:
        """What the forest, the optimizer and the regularizers take (see :class:`Method`)."""
        from tomokit.methods.octree.memory import estimate_bytes

        return estimate_bytes(problem_shape, options)

    def estimate_bytes_of(self, problem: Problem, options: OctreeOptions) -> int:
        """The same when the noise can be measured, which the distance of vertices follows; and what waits here for
        its turn on a GPU."""
        from tomokit.methods.octree.memory import estimate_bytes
        from tomokit.methods.octree.weights import measured_shape

        waiting = 0
        if problem.backend == "cuda":
            from tomokit.gpu.device import devices
            from tomokit.methods.octree.cuda.memory import check_fit

            waiting = check_fit(devices(), problem, options)
        return estimate_bytes(measured_shape(problem), options) + waiting
