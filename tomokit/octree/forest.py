"""A forest of octrees over a box: which leaves there are, where they lie, how large they are.

Lengths are in detector pixels; axes come in the order ``(x, z, y)``, the tilt axis last, as values are stored. The box
is cut into cubes, the roots; a leaf of level L is a cube of ``root_px / 2**L``. A leaf carries ``n**3`` vertices on a
corner-aligned lattice, spacing ``h = size / (n - 1)``; vertices on a face that two leaves share are stored twice.
Leaves are kept in one canonical order, by level, then y, x, z, so that leaves with the same lattice
along y lie together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError


@dataclass(frozen=True, eq=False)
class Forest:
    """A forest of octrees: its box, and level and position of each leaf. It never changes.

    A forest is equal to itself alone, so that what is derived from it can be kept under the forest as the key, as
    :func:`tomokit.octree.faces.shared_faces` does.

    Attributes
    ----------
    origin_px : tuple of float
        ``(x, z, y)`` of the box's lower corner, from the origin of the geometry, in detector pixels.
    root_px : float
        Edge of a root cube in detector pixels.
    roots : tuple of int
        Root cubes along x, z and y.
    n : int
        Vertices along a leaf's edge, at least 2.
    level : ndarray of int32, shape (n_leaves,)
        Level of each leaf, 0 for a root. Leaves are brought into canonical order when the forest is made.
    index : ndarray of int32, shape (n_leaves, 3)
        Position ``(x, z, y)`` of each leaf among the cubes of its own level, from 0.

    Raises
    ------
    InputError
        If a leaf lies outside the box, or shapes disagree. That leaves do not overlap is the builder's care.
    """

    origin_px: tuple[float, float, float]
    root_px: float
    roots: tuple[int, int, int]
    n: int
    level: NDArray[np.int32]
    index: NDArray[np.int32]

    def __post_init__(self) -> None:
        level = np.asarray(self.level, np.int32)
        index = np.asarray(self.index, np.int32).reshape(-1, 3)
        if level.shape != (len(index),) or self.n < 2 or not self.root_px > 0:
            raise InputError(f"a forest of {level.shape} levels, {index.shape} positions, {self.n} vertices an edge")
        most = np.asarray(self.roots)[None, :] << level[:, None]
        if ((index < 0) | (index >= most) | (level[:, None] < 0)).any():
            raise InputError("a leaf lies outside the box")
        # By level, then y, x, z: the last key of lexsort is the first to sort by.
        order = np.lexsort((index[:, 1], index[:, 0], index[:, 2], level))
        object.__setattr__(self, "level", np.ascontiguousarray(level[order]))
        object.__setattr__(self, "index", np.ascontiguousarray(index[order]))

    @property
    def n_leaves(self) -> int:
        """Number of leaves of the forest."""
        return len(self.level)

    @property
    def size_px(self) -> NDArray[np.float64]:
        """Edge of each leaf in detector pixels, shape (n_leaves,)."""
        return self.root_px / (1 << self.level.astype(np.int64))

    @property
    def spacing_px(self) -> NDArray[np.float64]:
        """Distance h between a leaf's vertices in detector pixels, shape (n_leaves,)."""
        return self.size_px / (self.n - 1)

    @property
    def corner_px(self) -> NDArray[np.float64]:
        """Lower corner ``(x, z, y)`` of each leaf in detector pixels, shape (n_leaves, 3)."""
        return np.asarray(self.origin_px) + self.index * self.size_px[:, None]

    @property
    def values_shape(self) -> tuple[int, int, int, int]:
        """Shape of the values on this forest, ``[leaf, x, z, y]``."""
        return (self.n_leaves, self.n, self.n, self.n)

    def with_finest_merged(self) -> Forest:
        """The forest with its finest leaves replaced by their parents, also where some siblings are missing.

        Returns
        -------
        Forest

        Raises
        ------
        InputError
            If all leaves are roots.
        """
        finest = int(self.level.max(initial=0))
        if finest == 0:
            raise InputError("roots have no parents")
        down = self.level == finest
        parents = np.unique(self.index[down] // 2, axis=0)
        level = np.concatenate([self.level[~down], np.full(len(parents), finest - 1, np.int32)])
        return replace(self, level=level, index=np.concatenate([self.index[~down], parents]))

    def in_pixels(self, pixel: int) -> Forest:
        """The same leaves, with lengths counted in larger pixels, as on a coarse level of the projections' pyramid.

        Parameters
        ----------
        pixel : int
            Edge of the larger pixels in present ones.

        Returns
        -------
        Forest
        """
        x, z, y = self.origin_px
        return replace(self, origin_px=(x / pixel, z / pixel, y / pixel), root_px=self.root_px / pixel)
