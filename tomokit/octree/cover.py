"""The first forest: fine leaves over the region of interest, coarser ones beside it.

At a tilt of 60 degrees a detector of width W sees 2 W of a slab, so the forest reaches beyond the detector along x.
Only what is inside the detector's width is to be resolved; beside it leaves double with distance, at most one level
from a leaf to the next. How coarse a leaf is depends on x alone, which makes counting leaves a matter of one dimension;
but where there is to be room above and below, layers of the largest leaves lie there.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.octree.forest import Forest

SLACK = 1e-9  # by how much of a leaf an extent may exceed a whole number of leaves and still be covered by these


class LeafBudgetError(OptionError):
    """The option ``max_leaves`` is smaller than the number of leaves that the tree needs."""


@dataclass(frozen=True)
class Region:
    """The region of interest: a box centred at the origin of the geometry.

    Attributes
    ----------
    n_u, n_v : float
        Width along x and height along y, in detector pixels.
    thickness_px : float
        Extent along z, in detector pixels.

    Raises
    ------
    OptionError
        If an extent is not positive.
    """

    n_u: float
    n_v: float
    thickness_px: float

    def __post_init__(self) -> None:
        for name in ("n_u", "n_v", "thickness_px"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{getattr(self, name)} is not positive", field=name)

    @property
    def extent_px(self) -> tuple[float, float, float]:
        """Extents ``(x, z, y)`` in detector pixels."""
        return (float(self.n_u), float(self.thickness_px), float(self.n_v))


@dataclass(frozen=True)
class _Layout:
    """A cover in units of the finest leaf: blocks along x, and where the region starts among the roots."""

    blocks: tuple[tuple[int, int], ...]  # (first position, edge) of each block along x; positions may be negative
    start: tuple[int, int, int]  # (x, z, y) position of the region's first leaf
    cells: tuple[int, int, int]  # leaves of the region along (x, z, y)
    layers: int  # of roots above the region, and as many below
    n_leaves: int


def cover(
    region: Region,
    margin_px: float,
    n: int,
    leaf_px: float,
    coarser: int = 1,
    max_leaves: int | None = None,
    room_px: float = 0.0,
) -> Forest:
    """Build the forest over the region of interest and a margin on both sides of it along x.

    The region is covered by leaves of `leaf_px`; what they exceed it by is split evenly between both ends. Beside it
    leaves double in size, up to `coarser` times. Where the region's leaves are not a whole number of larger cubes, the
    larger leaves extend beyond it in z or y, by less than one of them, and a few more of the finest leaves lie beside
    the region. Among all placements of the root cubes relative to the region, the one with the fewest leaves is taken.

    Room above and below is covered by whole layers of roots. What the region's leaves leave free of the roots that they
    lie in is then filled by leaves like them.

    Parameters
    ----------
    region : Region
        The region of interest.
    margin_px : float
        What else is covered, on each side along x, in detector pixels.
    n : int
        Vertices along a leaf's edge.
    leaf_px : float
        Edge of the leaves in the region, in detector pixels. They have level `coarser`.
    coarser : int
        Number of coarser levels; the roots' edge is ``leaf_px * 2**coarser``.
    max_leaves : int, optional
        The most leaves allowed.
    room_px : float, optional
        What else is covered above the region, and as much below, in detector pixels.

    Returns
    -------
    Forest

    Raises
    ------
    OptionError
        If a size makes no sense.
    LeafBudgetError
        If it takes more leaves than `max_leaves`.
    """
    check_sizes(margin_px, n, coarser)
    if not leaf_px > 0:
        raise OptionError(f"{leaf_px} is not positive", field="leaf_px")
    layout = _best_layout(region, margin_px, leaf_px, coarser, room_px)
    if max_leaves is not None and layout.n_leaves > max_leaves:
        raise LeafBudgetError(
            f"leaves of {leaf_px:.4g} px take {layout.n_leaves} leaves, {max_leaves} are allowed",
            field="max_leaves",
            remedy=f"allow {layout.n_leaves}, or larger leaves, or less margin",
        )
    root = 1 << coarser
    # Positions below zero (left margin) are moved by whole roots, which keeps every alignment.
    left = -min(0, min(position for position, _ in layout.blocks) // root)
    below = layout.layers * root
    level, index = [], []
    for position, edge in layout.blocks:
        # Sizes depend on x alone: across x, blocks of one size fill the region's whole extent in z and y.
        along_z = _blocks_along_z(layout.start[1], layout.cells[1], edge, root if layout.layers else edge)
        along_y = _blocks_touching(layout.start[2], layout.cells[2], edge)
        for k, j in itertools.product(along_z, along_y):
            # An edge of 2^k finest leaves is k levels above the finest; its index is counted in blocks of its own size.
            level.append(coarser - edge.bit_length() + 1)
            index.append(((position + left * root) // edge, k + below // edge, j))
    last = [max(position + edge for position, edge in layout.blocks)]
    last += [layout.start[axis] + layout.cells[axis] for axis in (1, 2)]
    roots = [-(-end // root) for end in last]
    roots = [roots[0] + left, roots[1] + 2 * layout.layers, roots[2]]
    layers = [*range(layout.layers), *range(roots[1] - layout.layers, roots[1])]
    for i, k, j in itertools.product(_roots_along_x(layout.blocks, root), layers, range(roots[2])):
        level.append(0)
        index.append((i + left, k, j))
    start = (layout.start[0] + left * root, layout.start[1] + below, layout.start[2])
    origin = tuple(-(start[axis] + layout.cells[axis] / 2) * leaf_px for axis in range(3))
    return Forest(
        origin_px=(origin[0], origin[1], origin[2]),
        root_px=leaf_px * root,
        roots=(roots[0], roots[1], roots[2]),
        n=n,
        level=np.array(level, np.int32),
        index=np.array(index, np.int32),
    )


def inside(forest: Forest, region: Region) -> NDArray[np.bool_]:
    """Which leaves overlap the region of interest; touching it with a face is not enough.

    Parameters
    ----------
    forest : Forest
    region : Region

    Returns
    -------
    ndarray of bool, shape (n_leaves,)
    """
    low = forest.corner_px
    high = low + forest.size_px[:, None]
    half = np.asarray(region.extent_px) / 2
    slack = SLACK * (half.max() + forest.root_px)
    return ((low < half - slack) & (high > slack - half)).all(axis=1)


def count_leaves(region: Region, margin_px: float, leaf_px: float, coarser: int, room_px: float = 0.0) -> int:
    """How many leaves :func:`cover` makes, without making them.

    Parameters
    ----------
    region : Region
        The region of interest.
    margin_px : float
        What else is covered, on each side along x, in detector pixels.
    leaf_px : float
        Edge of the leaves in the region, in detector pixels.
    coarser : int
        Number of coarser levels.
    room_px : float, optional
        What else is covered above the region, and as much below, in detector pixels.

    Returns
    -------
    int
    """
    return _best_layout(region, margin_px, leaf_px, coarser, room_px).n_leaves


def check_sizes(margin_px: float, n: int, coarser: int) -> None:
    """Make sure that :func:`cover` can take these sizes.

    Parameters
    ----------
    margin_px : float
        At least 0, in detector pixels.
    n : int
        Vertices along a leaf's edge, at least 2.
    coarser : int
        Number of coarser levels, from 0 to 10.

    Raises
    ------
    OptionError
        If one is out of its range; it names the option.
    """
    if not margin_px >= 0:
        raise OptionError(f"{margin_px} is negative", field="margin_px", remedy="give 0 or more")
    if n < 2:
        raise OptionError(f"{n} vertices an edge", field="n", remedy="give at least 2")
    if not 0 <= coarser <= 10:
        raise OptionError(f"{coarser} coarser levels", field="coarser", remedy="give 0 to 10")


def _blocks_touching(start: int, cells: int, edge: int) -> range:
    """Indices of the blocks of an edge that touch the positions ``start .. start + cells - 1``."""
    return range(start // edge, -(-(start + cells) // edge))


def _blocks_along_z(start: int, cells: int, edge: int, filled: int) -> range:
    """Indices of the blocks of an edge that fill all cubes of the edge `filled` which touch the positions."""
    cubes = _blocks_touching(start, cells, filled)
    return range(cubes.start * filled // edge, cubes.stop * filled // edge)


def _roots_along_x(blocks: tuple[tuple[int, int], ...] | list[tuple[int, int]], root: int) -> range:
    """Indices along x of the roots that some block lies in."""
    return range(min(at for at, _ in blocks) // root, -(-max(at + edge for at, edge in blocks) // root))


def _best_layout(region: Region, margin_px: float, leaf_px: float, coarser: int, room_px: float) -> _Layout:
    """The cover with the fewest leaves over all placements of the roots; of equals, the first placement."""
    nx, nz, ny = (max(1, math.ceil(extent / leaf_px - SLACK)) for extent in region.extent_px)
    # What is to be covered beyond the region's own leaves on each side, in finest leaves.
    extent = (region.n_u / 2 + margin_px) / leaf_px - nx / 2
    edges = [1 << up for up in range(coarser + 1)]
    root = edges[-1]
    placements = range(root)
    layers = math.ceil(room_px / (root * leaf_px) - SLACK)
    # Along z and y placements matter to the number of blocks of each edge alone, so that each is tried once.
    across: dict[tuple[int, ...], tuple[int, int]] = {}
    for z, y in itertools.product(placements, repeat=2):
        counts = tuple(
            len(_blocks_along_z(z, nz, edge, root if layers else edge)) * len(_blocks_touching(y, ny, edge))
            for edge in edges
        )
        across.setdefault((*counts, 2 * layers * len(_blocks_touching(y, ny, root))), (z, y))
    best: _Layout | None = None
    for x in placements:
        # On the left the axis is mirrored: positions change their signs, and a block's far end is its lower one.
        right = [(x + nx + at, edge) for at, edge in _blocks_beside(x + nx, extent, root)]
        left = [(x - at - edge, edge) for at, edge in _blocks_beside(-x, extent, root)]
        blocks = left[::-1] + [(x + i, 1) for i in range(nx)] + right
        for counts, (z, y) in across.items():
            total = sum(counts[edge.bit_length() - 1] for _, edge in blocks)
            total += counts[-1] * len(_roots_along_x(blocks, root))
            if best is None or total < best.n_leaves:
                best = _Layout(tuple(blocks), (x, z, y), (nx, nz, ny), layers, total)
    assert best is not None
    return best


def _blocks_beside(position: int, extent: float, largest: int) -> list[tuple[int, int]]:
    """Blocks from the region's end outwards: distance and edge, each aligned and at most twice the one before."""
    blocks, distance, edge = [], 0, 1
    while distance < extent - SLACK:
        # Twice the one before, unless the place is none of a cube so large: then the largest that fits there.
        edge = min(2 * edge, largest)
        while (position + distance) % edge:
            edge //= 2
        blocks.append((distance, edge))
        distance += edge
    return blocks
