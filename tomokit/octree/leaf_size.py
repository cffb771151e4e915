"""How large the leaves of a cover are to be, and how many vertices they carry."""

from __future__ import annotations

import math

from tomokit.octree.cover import SLACK, LeafBudgetError, Region, check_sizes, count_leaves

_SIZE_TOLERANCE = 1.03  # a leaf larger by this much is as good as the smallest, where it takes fewer leaves
_COMFORTABLE_SPACINGS = 31  # spacings to a leaf's edge: its arrays stay in cache, and few vertices are stored twice
_MOST_VERTICES = 42


def choose_leaf_px(
    region: Region,
    margin_px: float,
    n: int,
    max_leaves: int,
    coarser: int = 1,
    spacing_px: float = 1.0,
    room_px: float = 0.0,
) -> float:
    """The edge of the smallest leaves of which a cover takes at most `max_leaves`, to within a few per cent.

    Numbers of leaves change only where an extent (of the region, or with its margin) is a whole number of leaves, so
    only those sizes are tried, from the smallest up. Of those within 3 % of the smallest that fits, the one with the
    fewest leaves is taken: a slab of 308 px is covered by 3 leaves of 102.7 px, but by 4 of 102.5 px.

    Parameters
    ----------
    region, margin_px, n, coarser
        As for :func:`tomokit.octree.cover.cover`.
    max_leaves : int
        The most leaves allowed.
    spacing_px : float
        Vertices need not lie closer than this, in detector pixels, so that leaves never get smaller than
        ``(n - 1) * spacing_px``.
    room_px : float, optional
        As for :func:`tomokit.octree.cover.cover`.

    Returns
    -------
    float
        Edge of the leaves in detector pixels, at most the region's longest side.

    Raises
    ------
    LeafBudgetError
        If no size will do.
    """
    check_sizes(margin_px, n, coarser)
    longest = max(region.extent_px)
    smallest = min((n - 1) * spacing_px, longest)
    extents = (*region.extent_px, region.n_u + 2 * margin_px)
    smallest = max(smallest, _least_leaf_px(region, max_leaves))
    sizes = {extent / k for extent in extents for k in range(1, int(extent / smallest + SLACK) + 1)}
    sizes = {size for size in sizes if size <= longest} | {smallest, longest}
    # From small to large, so the first that fits is the smallest; for the error `needed` ends at the coarsest cover's.
    needed = 0
    fitting: list[tuple[int, float]] = []
    for size in sorted(sizes):
        if fitting and size > _SIZE_TOLERANCE * fitting[0][1]:
            break
        needed = count_leaves(region, margin_px, size, coarser, room_px)
        if needed <= max_leaves:
            fitting.append((needed, size))
    if fitting:
        return min(fitting)[1]
    raise LeafBudgetError(
        f"{max_leaves} leaves are allowed, the coarsest cover takes {needed} (leaves of {longest:.4g} px)",
        field="max_leaves",
        remedy=f"allow at least {needed}",
    )


def divide_thickness(
    region: Region, margin_px: float, max_leaves: int, coarser: int, spacing_px: float, room_px: float = 0.0
) -> tuple[int, float]:
    """Vertices and edge of leaves of which a whole number makes the thickness, so that no leaf stands out of it.

    Density beyond the slab explains what views see as well as density in it does: a field as fine as the slab's that
    may lie there is worse in the slab.

    Parameters
    ----------
    region, margin_px, coarser
        As for :func:`tomokit.octree.cover.cover`.
    max_leaves : int
        The most leaves allowed.
    spacing_px : float
        Distance between vertices in detector pixels; more where `max_leaves` does not allow it with at most 42 vertices
        an edge.
    room_px : float, optional
        As for :func:`tomokit.octree.cover.cover`.

    Returns
    -------
    n : int
        Vertices along a leaf's edge.
    leaf_px : float
        Edge of the leaves in detector pixels.

    Raises
    ------
    LeafBudgetError
        If not even leaves as thick as the slab, or as the longest side of a deeper region, are few enough.
    """
    check_sizes(margin_px, 2, coarser)
    smallest = max(_COMFORTABLE_SPACINGS * spacing_px, _least_leaf_px(region, max_leaves))
    # k leaves make the thickness; from the most of them, which are the smallest, down to one.
    most = max(1, round(region.thickness_px / smallest))
    if room_px > 0:
        # A whole number of roots: what the slab leaves free of them is filled with leaves as fine as its own.
        most = -(-most // (1 << coarser)) << coarser
    for k in range(most, 0, -1):
        leaf = region.thickness_px / k
        if count_leaves(region, margin_px, leaf, coarser, room_px) <= max_leaves:
            return min(max(round(leaf / spacing_px) + 1, 4), _MOST_VERTICES), leaf
    # A slab thinner than the leaves that are allowed: they stand out of it.
    return _MOST_VERTICES, choose_leaf_px(region, margin_px, _MOST_VERTICES, max_leaves, coarser, spacing_px, room_px)


def _least_leaf_px(region: Region, max_leaves: int) -> float:
    """A size, by bisection, below which the region alone takes more than `max_leaves` leaves."""
    # No cover has fewer leaves than its volume takes; a long thin region takes far more.
    low = (math.prod(region.extent_px) / max(max_leaves, 1)) ** (1 / 3) * (1 - SLACK)
    high = max(region.extent_px)
    while high > low * (1 + SLACK):
        middle = math.sqrt(low * high)
        if math.prod(max(1, math.ceil(extent / middle - SLACK)) for extent in region.extent_px) <= max_leaves:
            high = middle
        else:
            low = middle
    return low
