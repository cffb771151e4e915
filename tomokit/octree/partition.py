"""A forest cut into partitions along the tilt axis, for fits on several devices or one that cannot hold all leaves.

Leaves of different places along y are projected to different detector rows, so a partition has its leaves, their rows,
and nothing of the other partitions but what is exchanged in a step: the neighbours' vertices at the cuts, for boundary
consistency; the sums of the residual, for the offsets; and the counts of the cross-node constraint. Cuts are between
roots, where all levels have a face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomokit.octree.faces import shared_faces
from tomokit.octree.forest import Forest


@dataclass(frozen=True)
class Partition:
    """The leaves of a forest between two cuts along y.

    Attributes
    ----------
    forest : Forest
        A forest of those leaves alone, in their order.
    own : ndarray of int64, shape (n_own,)
        The numbers of those leaves in the whole forest, ascending.
    ghosts : ndarray of int64, shape (n_ghosts,)
        Leaves of other partitions that share a face with one of these, by number in the whole forest, ascending.
    low_px, high_px : float
        The cuts along y, in the forest's pixels from the origin; infinite at the forest's ends.
    """

    forest: Forest
    own: NDArray[np.int64]
    ghosts: NDArray[np.int64]
    low_px: float
    high_px: float


def split(forest: Forest, count: int) -> list[Partition]:
    """Cut a forest along y into partitions, the largest of which has as few leaves as possible.

    Parameters
    ----------
    forest : Forest
    count : int
        Most partitions; there are never more than rows of roots along y.

    Returns
    -------
    list of Partition
        In their order along y.
    """
    # Row of the root that each leaf is in: each level halves the edges.
    row = forest.index[:, 2].astype(np.int64) >> forest.level
    edges = _cuts(np.bincount(row, minlength=forest.roots[2]), count)
    partition_of = np.searchsorted(np.array(edges[1:]), row, side="right")
    faces = shared_faces(forest)
    y = forest.origin_px[2] + forest.root_px * np.array(edges, float)
    y[0], y[-1] = -np.inf, np.inf
    partitions = []
    for number in range(len(edges) - 1):
        is_own = partition_of == number
        # Faces with one leaf here and one beyond a cut.
        crossing = is_own[faces.below] != is_own[faces.above]
        beyond = np.where(is_own[faces.below], faces.above, faces.below)[crossing]
        own = np.flatnonzero(is_own)
        own_forest = replace(forest, level=forest.level[own], index=forest.index[own])
        partitions.append(
            Partition(own_forest, own, np.unique(beyond).astype(np.int64), float(y[number]), float(y[number + 1]))
        )
    return partitions


def _cuts(leaves_of_row: NDArray[np.int64], count: int) -> list[int]:
    """The first row of each partition and one past the last row, at most `count` partitions, the largest minimal."""
    # By bisection over the size of the largest one: filling greedily to a given size makes the fewest partitions.
    least, enough = int(leaves_of_row.max()), int(leaves_of_row.sum())
    while least < enough:
        most = (least + enough) // 2
        if len(_fill(leaves_of_row, most)) <= count:
            enough = most
        else:
            least = most + 1
    return [*_fill(leaves_of_row, enough), leaves_of_row.size]


def _fill(leaves_of_row: NDArray[np.int64], most: int) -> list[int]:
    """The first row of each partition, if each takes rows until it would have more than `most` leaves."""
    begins, n_leaves = [0], 0
    for row, leaves in enumerate(leaves_of_row.tolist()):
        if n_leaves and n_leaves + leaves > most:
            begins.append(row)
            n_leaves = 0
        n_leaves += leaves
    return begins
