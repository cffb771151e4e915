"""The sizes of a fit's forest, from the sizes of its problem alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tomokit.data.problem import ProblemShape
from tomokit.methods.octree import setup
from tomokit.methods.octree.options import OctreeOptions
from tomokit.octree.cover import LeafBudgetError
from tomokit.projector.leaf_rows import row_taps
from tomokit.projector.leaves import find_slabs
from tomokit.projector.vertex_footprint import footprint_taps


@dataclass(frozen=True)
class Layout:
    """How large a forest may become.

    Attributes
    ----------
    leaves, slabs, groups : int
        Most leaves, slabs of leaves along y, and groups of leaves of one level in a slab.
    n : int
        Vertices along a leaf's edge.
    root_px : float
        The coarsest leaf's edge in pixels.
    """

    leaves: int
    slabs: int
    groups: int
    n: int
    root_px: float


def lay_out(shape: ProblemShape, options: OctreeOptions) -> Layout:
    """Sizes of the forest that a fit starts from, or of the largest that its structure updates may make of it.

    Parameters
    ----------
    shape : ProblemShape
        Where the noise is not known yet, the fewest vertices that any noise brings are taken.
    options : OctreeOptions

    Returns
    -------
    Layout
        Leaves that no ray meets are counted; where structure updates may add leaves, all of ``max_leaves``.

    Raises
    ------
    LeafBudgetError
        If ``max_leaves`` is too small even without a margin.
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
    slabs_found = find_slabs(forest)
    slabs, groups = len(slabs_found.slab), len(slabs_found.group)
    # Without updates the first forest is the largest: leaves are culled from it, or merged for a while.
    if not options.structure_epochs:
        return Layout(forest.n_leaves, slabs, groups, forest.n, forest.root_px)
    # Each slab may be halved `finer` times. Groups have up to 16 leaves, and 8 or more where a slab has several.
    finest = 2**options.finer * slabs
    return Layout(options.max_leaves, finest, options.max_leaves // 8 + finest, forest.n, forest.root_px)


def footprint_sizes(options: OctreeOptions, layout: Layout, pixel: int) -> tuple[int, int]:
    """Number of levels of leaves, and most detector columns that a vertex meets.

    Parameters
    ----------
    options : OctreeOptions
    layout : Layout
    pixel : int
        Fine pixels to one of the pyramid level's.

    Returns
    -------
    levels, taps : int
    """
    levels = options.coarser + 1 + (options.finer if options.structure_epochs else 0)
    # The widest footprint is that of the coarsest vertices at 45 degrees.
    return levels, footprint_taps(math.pi / 4, layout.root_px / pixel / (layout.n - 1))


def finest_row_taps(layout: Layout, levels: int, pixel: int) -> int:
    """Number of vertices along y that a detector row meets on the finest leaves.

    Parameters
    ----------
    layout : Layout
    levels : int
        Levels of leaves.
    pixel : int
        Fine pixels to one of the pyramid level's.

    Returns
    -------
    int
    """
    # The smaller the leaves, the more of their vertices lie within one row.
    return row_taps(layout.root_px / pixel / 2 ** (levels - 1) / (layout.n - 1), layout.n)
