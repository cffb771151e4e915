"""What an octree fit takes, from the sizes of its problem alone."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tomokit.data.contrast import contrast_views
from tomokit.data.problem import ProblemShape
from tomokit.methods.octree import setup
from tomokit.methods.octree.penalties import Weighted, is_fused_boundary, make_regularizers
from tomokit.methods.octree.weights import FOLLOW_NOISE
from tomokit.octree.cover import LeafBudgetError
from tomokit.optimizers.block import is_block_optimizer
from tomokit.projector.leaf_rows import row_taps
from tomokit.projector.leaves import find_slabs
from tomokit.projector.vertex_footprint import KNOTS, footprint_taps
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.interface import is_built_in
from tomokit.regularizers.tv import TotalVariation

if TYPE_CHECKING:
    from tomokit.methods.octree.options import OctreeOptions

_FLOAT = 4
# Of each leaf and node in the cross-node constraint: 32 cells of 8 bytes, two counts, and the table's row of 8 floats.
_CROSS_NODE_BYTES = 32 * 8 + 2 * 8 + 8 * _FLOAT


@dataclass(frozen=True)
class Layout:
    """How many leaves, slabs along y and groups of leaves there are at most, vertices along a leaf's edge, and the
    coarsest leaf's edge."""

    leaves: int
    slabs: int
    groups: int
    n: int
    root_px: float


def estimate_bytes(shape: ProblemShape, options: OctreeOptions) -> int:
    """Most bytes that a fit holds at one time, beyond its problem and the volume it is asked for.

    The forest is laid out as the fit will, leaves that no ray sees included; where structure updates may add leaves,
    all of ``max_leaves`` are counted. Of a shape whose noise is not known, the fewest vertices that any noise brings.

    Raises
    ------
    LeafBudgetError
        If ``max_leaves`` is too small even without a margin.
    OptionError, PluginError
        If an optimizer, a regularizer or an option of one is unknown.
    """
    optimizer = setup.make_optimizer(options)
    regularizers = make_regularizers(options.regularizers, {name: {"weight": 1.0} for name in FOLLOW_NOISE})
    layout = lay_out(shape, options)
    field = _FLOAT * layout.leaves * layout.n**3
    # Values, densities, what the optimizer remembers.
    fields = 2 + setup.remembered_arrays(optimizer)
    if not is_block_optimizer(optimizer):
        # The gradient; and what a rule in NumPy makes on its way.
        fields += 2
    if options.structure_epochs or options.large_leaf_epochs:
        # The density on the old leaves, beside the whole field on the new ones.
        fields += 1
    total = float(fields * field)
    for item in regularizers:
        total += _regularizer_bytes(item, layout, layout.n)
    total += _step_bytes(shape, options, layout, 1)
    if options.coarse_epochs:
        coarse = _FLOAT * shape.n_views * -(-shape.n_u // 2) * -(-shape.n_y // 2)
        # Projections and mask.
        total += 2 * coarse + _step_bytes(shape, options, layout, 2)
    threads = min(len(os.sched_getaffinity(0)), layout.leaves)
    return int(max(_start_bytes(shape), total + threads * _FLOAT * layout.n**3))


def lay_out(shape: ProblemShape, options: OctreeOptions) -> Layout:
    """The forest that a fit starts from, or the most that its structure updates may make of it.

    Raises
    ------
    LeafBudgetError
        As :func:`estimate_bytes`.
    """
    try:
        forest = setup.make_forest(shape, options)
    except LeafBudgetError:
        # Whether offsets are fitted, and with it the margin, may not be known yet: only what is sure is refused.
        if options.margin is not None:
            raise
        narrow = ProblemShape(shape.n_views, shape.n_u, shape.n_y, shape.thickness_px)
        forest = setup.make_forest(narrow, options)
        return Layout(options.max_leaves, options.max_leaves, options.max_leaves, forest.n, forest.root_px)
    found = find_slabs(forest)
    slabs, groups = len(found.slab), len(found.group)
    if not options.structure_epochs:
        return Layout(forest.n_leaves, slabs, groups, forest.n, forest.root_px)
    finest = 2**options.finer * slabs
    return Layout(options.max_leaves, finest, options.max_leaves // 8 + finest, forest.n, forest.root_px)


def _regularizer_bytes(item: Weighted, layout: Layout, n: int) -> float:
    """What a regularizer keeps for the pass over the leaves, and makes on its way."""
    field = _FLOAT * layout.leaves * n**3
    if is_built_in(item.regularizer, TotalVariation) and item.options.space == "rho":
        return 0
    if is_fused_boundary(item):
        # The sides, and the pull on them.
        return 2 * 6 * field / n
    if is_built_in(item.regularizer, CrossNode):
        return layout.leaves * item.options.bins * _CROSS_NODE_BYTES
    return 2 * field


def _step_bytes(shape: ProblemShape, options: OctreeOptions, layout: Layout, pixel: int) -> float:
    """The projector's tables of all views, and what a step on some views takes, in pixels of so many fine ones."""
    n_u, n_y = -(-shape.n_u // pixel), -(-shape.n_y // pixel)
    levels, taps = footprint_sizes(options, layout, pixel)
    tables = _FLOAT * shape.n_views * levels * 9 * (KNOTS + 1) * taps
    # Of each row in each level its slab, its first vertex and the weights.
    of_rows = _FLOAT * shape.n_views * levels * n_y * (2 + finest_row_taps(layout, levels, pixel))
    views = min(options.views_per_step, shape.n_views)
    rows = _FLOAT * views * (n_u + 2 * taps) * layout.n
    # Tables are made singly and then stacked. Residuals, and two more images where there is a mask.
    return 2 * tables + of_rows + max(layout.groups, layout.slabs) * rows + _FLOAT * (views + 2) * n_u * n_y


def footprint_sizes(options: OctreeOptions, layout: Layout, pixel: int) -> tuple[int, int]:
    """Levels of leaves, and most detector columns that a vertex meets, in pixels of so many fine ones."""
    levels = options.coarser + 1 + (options.finer if options.structure_epochs else 0)
    # The widest footprint is that of the coarsest vertices at 45 degrees.
    return levels, footprint_taps(math.pi / 4, layout.root_px / pixel / (layout.n - 1))


def finest_row_taps(layout: Layout, levels: int, pixel: int) -> int:
    """Vertices that a row sees on the finest leaves, in pixels of so many fine ones."""
    return row_taps(layout.root_px / pixel / 2 ** (levels - 1) / (layout.n - 1), layout.n)


def _start_bytes(shape: ProblemShape) -> float:
    """To estimate noise and contrast: one view's differences in double precision, or some views' pixels sorted."""
    pixels = shape.n_u * shape.n_y
    return max(48.0 * pixels, 3.0 * _FLOAT * pixels * len(contrast_views(shape.n_views)))
