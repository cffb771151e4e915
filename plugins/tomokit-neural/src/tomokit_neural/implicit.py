"""Method `implicit`: a network for the density, a proposal network for where to look, a flow for the noise.

After Kniesel et al., "Clean implicit 3D structure from noisy 2D STEM images" (CVPR 2022). Data are compared as
intensities, ``I = exp(-P)``, P the projection. The density is ``scale`` times the network's sigmoid; scale is twice
what a uniform slab would need for the largest projection.
"""

from __future__ import annotations

from typing import ClassVar

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.interface import Run
from tomokit_neural.implicit_options import ImplicitOptions


class Implicit:
    """Method that fits a network as an implicit density, with importance sampling and a learned noise model."""

    name: ClassVar[str] = "implicit"
    summary: ClassVar[str] = "implicit network with importance sampling and a learned noise model (Kniesel et al. 2022)"
    Options: ClassVar[type] = ImplicitOptions

    def start(self, problem: Problem, options: ImplicitOptions) -> Run:
        """Set up a run (see :class:`tomokit.methods.interface.Method`)."""
        # Imported here: PyTorch takes seconds, which listing the method should not cost.
        from tomokit_neural.implicit_run import ImplicitRun

        return ImplicitRun(problem, options)

    def estimate_bytes(self, problem_shape: ProblemShape, options: ImplicitOptions) -> int:
        """Estimate the peak memory beyond the problem (see :class:`tomokit.methods.interface.Method`).

        It is that of a step's activations, of the volume and its projections, and of PyTorch itself.
        """
        samples = options.coarse_samples + options.fine_samples
        layers = options.depth + options.depth_after + 4
        step = 4 * options.rays_per_step * samples * (3 * layers * options.width + 12 * options.octaves)
        chunk = 4 * (1 << 16) * (4 * options.width + 12 * options.octaves)
        margin = 1 + 2 * (options.margin if options.margin is not None else 0.5)
        volumes = int(margin * (2 * problem_shape.volume_bytes)) + 2 * problem_shape.stack_bytes
        return step + chunk + volumes + (300 << 20)
