"""Method `neat`: an octree of feature grids and one small decoder.

After Rückert et al., "NeAT: Neural Adaptive Tomography" (ACM Trans. Graph. 41(4), 2022).
"""

from __future__ import annotations

from typing import ClassVar

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.interface import Run
from tomokit_neural.neat_options import NeatOptions


class Neat:
    """Method that fits features on an adaptive octree, which a small network decodes to densities."""

    name: ClassVar[str] = "neat"
    summary: ClassVar[str] = "features on an adaptive octree with a small decoder (NeAT, Rückert et al. 2022)"
    Options: ClassVar[type] = NeatOptions

    def start(self, problem: Problem, options: NeatOptions) -> Run:
        """Set up a run (see :class:`tomokit.methods.interface.Method`)."""
        # Imported here: PyTorch takes seconds, which listing the method should not cost.
        from tomokit_neural.neat_run import NeatRun

        return NeatRun(problem, options)

    def estimate_bytes(self, problem_shape: ProblemShape, options: NeatOptions) -> int:
        """Estimate the peak memory beyond the problem (see :class:`tomokit.methods.interface.Method`).

        It is that of the features with their gradient, Adam's means and the differences of the total variation, of a
        step's activations, of the volume and its projections, and of PyTorch itself.
        """
        grids = 4 * options.max_nodes * options.n**3 * options.features
        samples = options.rays_per_step * int(2 * problem_shape.thickness_px / options.samples_px + 1)
        step = 4 * samples * (6 * options.width + 8 * 4)
        margin = 1 + 2 * (options.margin if options.margin is not None else 0.5)
        volumes = int(margin * (2 * problem_shape.volume_bytes)) + 2 * problem_shape.stack_bytes
        return 8 * grids + step + volumes + (300 << 20)
