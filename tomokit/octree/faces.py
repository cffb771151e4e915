"""Faces that two leaves share, across level jumps of any size.

Each pair is found from its finer side: the cube beyond a leaf's face is either a leaf of the same level, or lies whole
in a coarser one, or there are finer leaves (or none) beyond it. Positions are integers, so nothing is decided by
rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tomokit.octree.forest import Forest
from tomokit.octree.lookup import find_owner

_faces_of_forest: WeakKeyDictionary[Forest, Faces] = WeakKeyDictionary()
"""Found already, kept as long as the forest itself."""


@dataclass(frozen=True)
class Faces:
    """Pairs of leaves that share part of a face, ordered by axis, then `below`, then `above`.

    The lattice point ``(i, j)`` of the fine side's face (``i``, ``j`` along the two axes other than `axis`, in the
    order x, z, y) lies on the coarse side's face at ``offset + scale * (i, j)``, counted in the coarse leaf's vertices;
    it never leaves ``0 .. n - 1``. For two leaves of one level that is ``(i, j)`` itself.

    Attributes
    ----------
    axis : ndarray of int32, shape (n_faces,)
        0 for x, 1 for z, 2 for y: the axis that crosses the face.
    below, above : ndarray of int32, shape (n_faces,)
        The leaf whose upper face it is (vertex ``n - 1`` along `axis`), and the one whose lower face it is (vertex 0).
    fine, coarse : ndarray of int32, shape (n_faces,)
        The same two leaves by size; of equals, `fine` is `below`.
    offset : ndarray of float64, shape (n_faces, 2)
        Where the fine side's vertex (0, 0) lies.
    scale : ndarray of float64, shape (n_faces,)
        The fine side's spacing over the coarse side's, ``2**-(difference in level)``.
    """

    axis: NDArray[np.int32]
    below: NDArray[np.int32]
    above: NDArray[np.int32]
    fine: NDArray[np.int32]
    coarse: NDArray[np.int32]
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def n_faces(self) -> int:
        """Number of pairs of leaves that share part of a face."""
        return len(self.axis)

    @property
    def fine_is_below(self) -> NDArray[np.bool_]:
        """Whether the fine side is the lower one, shape (n_faces,)."""
        return self.fine == self.below

    def select(self, chosen: NDArray[np.bool_]) -> Faces:
        """Some of the faces, in the same order.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n_faces,)

        Returns
        -------
        Faces
        """
        return Faces(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def by_leaf(self, n_leaves: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The faces of each leaf, for kernels that write one leaf at a time.

        Parameters
        ----------
        n_leaves : int
            Leaves of the forest.

        Returns
        -------
        start : ndarray of int64, shape (n_leaves + 1,)
            The faces of leaf ``a`` are ``face[start[a]:start[a + 1]]``, in ascending order.
        face : ndarray of int64, shape (2 * n_faces,)
            Numbers of faces, each of them once for either of its leaves.
        """
        leaf = np.concatenate([self.below, self.above])
        face = np.tile(np.arange(self.n_faces), 2)
        order = np.lexsort((face, leaf))
        start = np.searchsorted(leaf[order], np.arange(n_leaves + 1))
        return start.astype(np.int64), face[order].astype(np.int64)


def shared_faces(forest: Forest) -> Faces:
    """All pairs of leaves that share part of a face, found once for each forest.

    Parameters
    ----------
    forest : Forest
        Leaves that do not overlap; they need not fill the box.

    Returns
    -------
    Faces
        The same object at each call for one forest; its arrays are not to be written to.
    """
    faces = _faces_of_forest.get(forest)
    if faces is None:
        faces = _faces_of_forest[forest] = _find_faces(forest)
    return faces


def _find_faces(forest: Forest) -> Faces:
    """Search for the faces of a forest, from the finer side of each."""
    leaves = np.arange(forest.n_leaves)
    level = forest.level.astype(np.int64)
    index = forest.index.astype(np.int64)
    parts = []
    for axis in range(3):
        for side in (0, 1):
            beyond = index.copy()
            beyond[:, axis] += 2 * side - 1
            neighbour = find_owner(forest, level, beyond)
            met = neighbour >= 0
            if not side:
                # A pair of equals is met from both sides; it is taken from the lower one.
                met &= level[neighbour] < level
            parts.append((np.full(met.sum(), axis), leaves[met], neighbour[met], np.full(met.sum(), side)))
    axis_of, fine, coarse, fine_is_below = (np.concatenate(column) for column in zip(*parts, strict=True))
    below = np.where(fine_is_below, fine, coarse)
    above = np.where(fine_is_below, coarse, fine)
    # One order whatever the search came by first: kernels add over faces in it.
    order = np.lexsort((above, below, axis_of))
    axis_of, fine, coarse, below, above = (column[order] for column in (axis_of, fine, coarse, below, above))

    jump = level[fine] - level[coarse]
    scale = 0.5**jump
    # Position of the fine leaf among the cubes of its level inside the coarse one; n - 1 coarse spacings an edge.
    position = index[fine] - (index[coarse] << jump[:, None])
    in_face = np.array([(1, 2), (0, 2), (0, 1)])[axis_of]
    offset = np.take_along_axis(position, in_face, axis=1) * (scale * (forest.n - 1))[:, None]
    return Faces(
        axis=axis_of.astype(np.int32),
        below=below.astype(np.int32),
        above=above.astype(np.int32),
        fine=fine.astype(np.int32),
        coarse=coarse.astype(np.int32),
        offset=offset,
        scale=scale,
    )


def is_balanced(forest: Forest) -> bool:
    """Whether no two leaves that share a face differ by more than one level.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    bool
    """
    return bool((shared_faces(forest).scale >= 0.5).all())
