"""Method `neat`: an octree of feature grids and one small decoder.

After Rückert et al., "NeAT: Neural Adaptive Tomography" (ACM Trans. Graph. 41(4), 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.plugin.options import option


@dataclass(frozen=True)
class NeatOptions:
    """Options of :class:`Neat`; the defaults are the authors'."""

    epochs: int = option(20, "Passes over all pixels.", minimum=1)
    rays_per_step: int = option(2048, "Pixels of one optimizer step.", minimum=1)
    samples_px: float = option(1.0, "Distance of samples along a ray, in pixels.", minimum=0.1)
    n: int = option(17, "Vertices along a node's edge.", minimum=3, maximum=65)
    features: int = option(4, "Numbers at a vertex.", minimum=1, maximum=32)
    width: int = option(64, "Units of the decoder's two layers.", minimum=4)
    max_nodes: int = option(512, "Most nodes of the octree.", minimum=1)
    depth: int = option(4, "Levels of the octree, the coarsest of which are cubes that cover the slab.", minimum=1)
    structure_epochs: tuple[int, ...] = option((2, 4, 6), "Epochs after which nodes may split and merge.", minimum=1)
    grid_lr: float = option(0.04, "Adam's learning rate of the features.", minimum=0.0)
    decoder_lr: float = option(5e-5, "Adam's learning rate of the decoder.", minimum=0.0)
    tv: float = option(1e-4, "Weight of the features' total variation inside nodes.", minimum=0.0)
    boundary: float = option(1e-3, "Weight of the features' consistency between nodes.", minimum=0.0)
    margin: float | None = margin_option()


class Neat:
    """Features on an adaptive octree, decoded to densities."""

    name: ClassVar[str] = "neat"
    summary: ClassVar[str] = "features on an adaptive octree with a small decoder (NeAT, Rückert et al. 2022)"
    Options: ClassVar[type] = NeatOptions

    def start(self, problem: Problem, options: NeatOptions) -> Any:
        """Set up a run (see :class:`tomokit.methods.interface.Method`)."""
        from tomokit_neural.neat_run import NeatRun

        return NeatRun(problem, options)

    def estimate_bytes(self, problem_shape: ProblemShape, options: NeatOptions) -> int:
        """Features with gradient, Adam's means and the total variation's differences; a step; the volume."""
        grids = 4 * options.max_nodes * options.n**3 * options.features
        samples = options.rays_per_step * int(2 * problem_shape.thickness_px / options.samples_px + 1)
        step = 4 * samples * (6 * options.width + 8 * 4)
        margin = 1 + 2 * (options.margin if options.margin is not None else 0.5)
        volumes = int(margin * (2 * problem_shape.volume_bytes)) + 2 * problem_shape.stack_bytes
        return 8 * grids + step + volumes + (300 << 20)
