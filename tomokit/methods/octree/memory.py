"""Estimates of the host's memory that an octree fit takes, from its plan."""

from __future__ import annotations

import os

from tomokit.data.contrast import contrast_views
from tomokit.data.problem import ProblemShape
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.layout import Layout, finest_row_taps, footprint_sizes
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.solver import PrimalDual
from tomokit.optimizers.block import is_block_optimizer
from tomokit.projector.vertex_footprint import KNOTS
from tomokit.regularizers.fusion import fusable
from tomokit.regularizers.interface import Regularizer

_FLOAT = 4


def estimate_bytes(plan: FitPlan) -> int:
    """Most bytes that a fit on the host holds at one time, beyond its problem and the volume it is asked for.

    The forest is laid out as the fit will, leaves that no ray meets included; where structure updates may add leaves,
    all of ``max_leaves`` are counted. Where the noise is not known yet, the fewest vertices that any noise brings are.

    Parameters
    ----------
    plan : FitPlan

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    LeafBudgetError
        If ``max_leaves`` is too small even without a margin.
    OptionError, PluginError
        If an optimizer, a regularizer or an option of one is unknown.
    """
    shape, options, optimizer = plan.shape, plan.options, plan.optimizer
    regularizers, layout = plan.possible_regularizers, plan.layout
    field = _FLOAT * layout.leaves * layout.n**3
    # Values, densities, what the optimizer remembers.
    fields = 2 + plan.remembered_arrays
    if isinstance(optimizer, PrimalDual):
        # Values are the densities; while the norm is measured there is a field, its answer and one between.
        fields += 2
    elif not is_block_optimizer(optimizer):
        # The gradient; and what a rule in NumPy makes on its way.
        fields += 2
    if options.structure_epochs or options.large_leaf_epochs:
        # The density on the old leaves, beside the complete field on the new ones.
        fields += 1
    total = float(fields * field)
    if isinstance(optimizer, PrimalDual):
        total += shape.stack_bytes
    for weighted in regularizers:
        total += _regularizer_bytes(weighted.regularizer, layout)
    total += _step_bytes(shape, options, layout, 1)
    if options.coarse_epochs:
        coarse = _FLOAT * shape.n_views * -(-shape.n_u // 2) * -(-shape.n_y // 2)
        # Projections and mask.
        total += 2 * coarse + _step_bytes(shape, options, layout, 2)
    # Each thread has one leaf's gradient. What the start takes is gone before the field is there.
    threads = min(len(os.sched_getaffinity(0)), layout.leaves)
    return int(max(_start_bytes(shape), total + threads * _FLOAT * layout.n**3))


def _regularizer_bytes(regularizer: Regularizer, layout: Layout) -> float:
    """Bytes that a regularizer keeps for the pass over the leaves, and takes on the way there."""
    offered = fusable(regularizer)
    fused = None if offered is None else offered.fused_bytes(layout.leaves, layout.n)
    # Where it is not fused: its gradient array, and as much on the way there.
    return 2.0 * _FLOAT * layout.leaves * layout.n**3 if fused is None else float(fused)


def _step_bytes(shape: ProblemShape, options: OctreeOptions, layout: Layout, pixel: int) -> float:
    """Bytes of the projector's tables for all views and of a step's images; `pixel` is the level's, in fine ones."""
    n_u, n_y = -(-shape.n_u // pixel), -(-shape.n_y // pixel)
    levels, taps = footprint_sizes(options, layout, pixel)
    tables = _FLOAT * shape.n_views * levels * 9 * (KNOTS + 1) * taps
    # For each row in each level its slab, its first vertex and the weights.
    row_tables = _FLOAT * shape.n_views * levels * n_y * (2 + finest_row_taps(layout, levels, pixel))
    views = min(options.views_per_step, shape.n_views)
    rows = _FLOAT * views * (n_u + 2 * taps) * layout.n
    # Tables are made singly and then stacked. Residuals, and two more images where there is a mask.
    return 2 * tables + row_tables + max(layout.groups, layout.slabs) * rows + _FLOAT * (views + 2) * n_u * n_y


def _start_bytes(shape: ProblemShape) -> float:
    """Bytes to measure noise and contrast: a view's differences in double precision, or some views' sorted pixels."""
    pixels = shape.n_u * shape.n_y
    return max(48.0 * pixels, 3.0 * _FLOAT * pixels * len(contrast_views(shape.n_views)))
