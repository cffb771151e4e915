"""The adaptive octree of density grids, fitted by hand-written gradients (Wang et al., 2023): options and registration.

The fit itself is in :mod:`tomokit.fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from tomokit.methods.contract import Problem, ProblemShape, Run
from tomokit.methods.dense_run import margin_option
from tomokit.plugin.options import option


@dataclass(frozen=True)
class OctreeOptions:
    """Options of :class:`Octree`."""

    epochs: int = option(30, "Passes over all views.", minimum=1)
    coarse_epochs: int = option(0, "Epochs at half resolution, before the others.", minimum=0)
    decay_epochs: int = option(7, "Last epochs at a smaller learning rate.", minimum=0)
    decay: float = option(0.1, "Factor on the learning rate in those.", minimum=1e-6, maximum=1.0)
    views_per_step: int = option(1, "Views of one optimizer step.", minimum=1)
    n: int = option(32, "Vertices along a leaf's edge.", minimum=4, maximum=128)
    max_leaves: int = option(384, "Most leaves of the forest.", minimum=1)
    leaf_px: float | None = option(None, "Edge of the finest leaves; none given: as max_leaves allows.", minimum=1.0)
    spacing_px: float = option(1.0, "Vertices are never closer than this, where leaf_px is not given.", minimum=0.1)
    structure_epochs: tuple[int, ...] = option((), "Epochs after which the octree may change.", minimum=1)
    structure_stall: float = option(
        0.95, "It changes if the epoch's loss is at least this share of the one before.", minimum=0.0
    )
    coarser: int = option(1, "Levels coarser than the region of interest's, for the margin.", minimum=0, maximum=4)
    finer: int = option(0, "Levels finer than it, which structure updates may add.", minimum=0, maximum=3)
    push_roi: bool = option(False, "Spend spare leaves on the region of interest first.")
    activation: str = option(
        "squareplus", "From stored values to densities.", choices=("squareplus", "softplus", "identity")
    )
    start: float = option(0.1, "Density to start from, relative to the mean projection spread over the slab.")
    optimizer: str = option("rmsprop", "Optimizer, by name.")
    optimizers: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Options of optimizers: optimizers.NAME.option."}
    )
    strength: float = option(1.0, "Total variation relative to the noise, where its weight is not given.", minimum=0.0)
    regularizers: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Options of regularizers: regularizers.NAME.option."}
    )
    margin: float | None = margin_option()


class Octree:
    """Adaptive octree of density grids."""

    name: ClassVar[str] = "octree"
    summary: ClassVar[str] = "adaptive octree of density grids under total variation and boundary priors"
    Options: ClassVar[type] = OctreeOptions

    def start(self, problem: Problem, options: OctreeOptions) -> Run:
        """Set up a run (see :class:`Method`)."""
        from tomokit.fit.run import OctreeRun

        return OctreeRun(problem, options)

    def estimate_bytes(self, problem_shape: ProblemShape, options: OctreeOptions) -> int:
        """Values, densities, optimizer state and sides of all leaves; the sampled volume (see :class:`Method`)."""
        values = 4 * options.max_leaves * options.n**3
        return int(5 * values) + problem_shape.volume_bytes + problem_shape.stack_bytes
