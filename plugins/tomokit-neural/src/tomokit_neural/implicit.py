"""Method `implicit`: a network for the density, a proposal network for where to look, a flow for the noise.

After Kniesel et al., "Clean implicit 3D structure from noisy 2D STEM images" (CVPR 2022). Data are compared as
intensities, ``I = exp(-P)``, P the projection. The density is ``scale`` times the network's sigmoid; scale is twice
what a uniform slab would need for the largest projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.plugin.options import option


@dataclass(frozen=True)
class ImplicitOptions:
    """Options of :class:`Implicit`; the defaults are the authors'."""

    epochs: int = option(100, "Passes over all pixels.", minimum=1)
    rays_per_step: int = option(256, "Pixels of one optimizer step.", minimum=1)
    width: int = option(256, "Units of a layer.", minimum=4)
    depth: int = option(5, "Layers before the skip connection.", minimum=1)
    depth_after: int = option(4, "Layers after it.", minimum=1)
    octaves: int = option(10, "Octaves of the frequency encoding.", minimum=1, maximum=16)
    proposal_width: int = option(256, "Units of a layer of the proposal network.", minimum=4)
    proposal_octaves: int = option(5, "Octaves of its encoding.", minimum=1, maximum=16)
    coarse_samples: int = option(64, "Samples of a ray for the proposal network.", minimum=2)
    fine_samples: int = option(128, "Samples drawn where it finds density, beside the coarse ones.", minimum=1)
    lr: float = option(5e-5, "Learning rate of Adam.", minimum=0.0)
    flow_layers: int = option(4, "Radial layers of the noise model; 0 for least squares throughout.", minimum=0)
    least_squares_steps: int = option(5000, "First steps, by least squares.", minimum=0)
    margin: float | None = margin_option()


class Implicit:
    """An implicit density with importance sampling and a learned noise model."""

    name: ClassVar[str] = "implicit"
    summary: ClassVar[str] = "implicit network with importance sampling and a learned noise model (Kniesel et al. 2022)"
    Options: ClassVar[type] = ImplicitOptions

    def start(self, problem: Problem, options: ImplicitOptions) -> Any:
        """Set up a run (see :class:`tomokit.methods.interface.Method`)."""
        from tomokit_neural.implicit_run import ImplicitRun

        return ImplicitRun(problem, options)

    def estimate_bytes(self, problem_shape: ProblemShape, options: ImplicitOptions) -> int:
        """The activations of a step, the volume and its projections; PyTorch itself."""
        samples = options.coarse_samples + options.fine_samples
        layers = options.depth + options.depth_after + 4
        step = 4 * options.rays_per_step * samples * (3 * layers * options.width + 12 * options.octaves)
        chunk = 4 * (1 << 16) * (4 * options.width + 12 * options.octaves)
        margin = 1 + 2 * (options.margin if options.margin is not None else 0.5)
        volumes = int(margin * (2 * problem_shape.volume_bytes)) + 2 * problem_shape.stack_bytes
        return step + chunk + volumes + (300 << 20)
