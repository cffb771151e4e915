"""A forest cut along the tilt axis, for fits on several devices or in several turns.

Leaves of different places along y meet different detector rows, so a partition has its leaves, the rows that they are
seen in, and nothing of the others' but what a step shares: one layer of the neighbours beyond a cut, for boundary
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
    """Leaves between two cuts.

    Attributes
    ----------
    forest : Forest
        Those leaves alone.
    own : ndarray of int64
        Their numbers in the whole forest, ascending.
    ghosts : ndarray of int64
        Leaves of other parts that share a face with them.
    low_px, high_px : float
        The cuts, infinite at the ends, in the forest's pixels.
    """

    forest: Forest
    own: NDArray[np.int64]
    ghosts: NDArray[np.int64]
    low_px: float
    high_px: float


def split(forest: Forest, count: int) -> list[Partition]:
    """At most so many parts, the largest of which has as few leaves as can be; no more than rows of roots."""
    row = forest.index[:, 2].astype(np.int64) >> forest.level
    edges = _cuts(np.bincount(row, minlength=forest.roots[2]), count)
    of_leaf = np.searchsorted(np.array(edges[1:]), row, side="right")
    faces = shared_faces(forest)
    y = forest.origin_px[2] + forest.root_px * np.array(edges, float)
    y[0], y[-1] = -np.inf, np.inf
    partitions = []
    for partition in range(len(edges) - 1):
        mine = of_leaf == partition
        crossing = mine[faces.below] != mine[faces.above]
        beyond = np.where(mine[faces.below], faces.above, faces.below)[crossing]
        own = np.flatnonzero(mine)
        alone = replace(forest, level=forest.level[own], index=forest.index[own])
        partitions.append(
            Partition(alone, own, np.unique(beyond).astype(np.int64), float(y[partition]), float(y[partition + 1]))
        )
    return partitions


def _cuts(leaves_of_row: NDArray[np.int64], count: int) -> list[int]:
    """Where at most so many parts begin, and where the last one ends: the largest is as small as can be."""
    least, enough = int(leaves_of_row.max()), int(leaves_of_row.sum())
    while least < enough:
        most = (least + enough) // 2
        if len(_fill(leaves_of_row, most)) <= count:
            enough = most
        else:
            least = most + 1
    return [*_fill(leaves_of_row, enough), leaves_of_row.size]


def _fill(leaves_of_row: NDArray[np.int64], most: int) -> list[int]:
    """Where parts begin that take rows while they have not more leaves than `most`."""
    begins, held = [0], 0
    for row, leaves in enumerate(leaves_of_row.tolist()):
        if held and held + leaves > most:
            begins.append(row)
            held = 0
        held += leaves
    return begins
