"""Ties: the vertices that two leaves share are one unknown, however often they are stored.

A primal-dual step changes each leaf by itself. Afterwards the two copies of a face of equal leaves are replaced by
their mean, axis by axis, so that edges and corners, of which there are four and eight copies, get the mean of all.
Where a leaf meets larger ones, its face lies between vertices of theirs: a step changes both, the differences from the
interpolated face are handed over to the larger leaf's vertices by their shares of the mass, and the finer face is set
to the interpolation. A field that is tied already stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.octree import Forest
from tomokit.octree.faces import Faces, shared_faces


@dataclass(frozen=True)
class Ties:
    """The faces of a forest that are tied, and what a step has to know of them.

    Attributes
    ----------
    equals : tuple of three pairs of ndarray of int32
        For the axes x, z and y the leaves below and above each face that leaves of one level share.
    jumps : Faces
        The faces that leaves of two levels share.
    tied : ndarray of bool, shape (n_leaves, 6)
        Whether a leaf's side ``2 * axis + upper`` is shared with a leaf of its own level.
    """

    equals: tuple[tuple[NDArray[np.int32], NDArray[np.int32]], ...]
    jumps: Faces
    tied: NDArray[np.bool_]

    @classmethod
    def of(cls, forest: Forest) -> Ties:
        """Find the ties of a forest.

        Parameters
        ----------
        forest : Forest

        Returns
        -------
        Ties
        """
        faces = shared_faces(forest)
        is_equal = faces.scale == 1
        equals = []
        tied = np.zeros((forest.n_leaves, 6), np.bool_)
        for axis in range(3):
            chosen = is_equal & (faces.axis == axis)
            below, above = faces.below[chosen], faces.above[chosen]
            tied[below, 2 * axis + 1] = tied[above, 2 * axis] = True
            equals.append((below, above))
        return cls(tuple(equals), faces.select(~is_equal), tied)

    def apply(self, values: NDArray[np.float32], kept_negative: float = 1.0) -> None:
        """Tie the shared vertices of a field that a step has changed.

        Parameters
        ----------
        values : ndarray of float32, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``, changed.
        kept_negative : float
            Factor that is then put on what is negative on the leaves' sides: 0 for a bound, 1 for none. Between, where
            a step has not done so: on sides that are shared with an equal leaf.
        """
        for axis, (below, above) in enumerate(self.equals):
            average_equals(values, axis, below, above)
        jumps = self.jumps
        if jumps.n_faces:
            tie_jumps(values, jumps.axis, jumps.fine, jumps.coarse, jumps.fine_is_below, jumps.offset, jumps.scale)
        if kept_negative < 1:
            soften_sides(values, self.tied, kept_negative)


@compiled(inlined=True)
def _place_of_side(n: int, axis: int, upper: bool) -> tuple[int, int, int]:
    """Where a leaf's side lies among its values: that of its first vertex, and steps along the other two axes in the
    order x, z, y. Numbers and no view, whose checks would take longer to compile than all else."""
    at = n - 1 if upper else 0
    if axis == 0:
        return at * n * n, n, 1
    if axis == 1:
        return at * n, n * n, 1
    return at, n * n, n


@shared_out()
def average_equals(
    share: Share, values: NDArray[np.floating], axis: int, below: NDArray[np.int32], above: NDArray[np.int32]
) -> None:
    """Replace both copies of the faces that cross one axis by their mean.

    Parameters
    ----------
    share : Share
        Which faces are this thread's: no two faces across one axis have a vertex in common.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``, changed.
    axis : int
        0 for x, 1 for z, 2 for y.
    below, above : ndarray of int32, shape (n_faces,)
        Leaves of one level on either side of each face.
    """
    n = values.shape[1]
    half = values.dtype.type(0.5)
    first_below, step_i, step_j = _place_of_side(n, axis, True)
    first_above, _, _ = _place_of_side(n, axis, False)
    for face in items_of(share, below.size):
        lower, upper = values[below[face]].reshape(-1), values[above[face]].reshape(-1)
        for i in range(n):
            for j in range(n):
                along = i * step_i + j * step_j
                mean = half * (lower[first_below + along] + upper[first_above + along])
                lower[first_below + along] = upper[first_above + along] = mean


@compiled()
def tie_jumps(
    values: NDArray[np.floating], axis: NDArray[np.int32], fine: NDArray[np.int32], coarse: NDArray[np.int32],
    fine_is_below: NDArray[np.bool_], offset: NDArray[np.float64], scale: NDArray[np.float64],
) -> None:  # fmt: skip
    """Tie the faces between leaves of two levels, one after another, as a coarse face may meet several finer ones.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``, changed.
    axis, fine, coarse, fine_is_below, offset, scale
        See :class:`tomokit.octree.faces.Faces`.
    """
    n = values.shape[1]
    for face in range(axis.size):
        small, large = values[fine[face]].reshape(-1), values[coarse[face]].reshape(-1)
        first, step_i, step_j = _place_of_side(n, axis[face], fine_is_below[face])
        other, _, _ = _place_of_side(n, axis[face], not fine_is_below[face])
        # A vertex's mass goes with the cube of its spacing.
        mass = scale[face] ** 3
        moved, masses = np.zeros((n, n)), np.ones((n, n))
        # First what the fine side was changed by beyond the coarse one, then, from the changed coarse one, its values.
        for setting in (False, True):
            for i in range(n):
                at = offset[face, 0] + scale[face] * i
                p = min(int(at), n - 2)
                s = at - p
                for j in range(n):
                    at = offset[face, 1] + scale[face] * j
                    q = min(int(at), n - 2)
                    t = at - q
                    a, b, c, d = (1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t
                    near = other + p * step_i + q * step_j
                    far = near + step_i
                    between = a * large[near] + b * large[near + step_j] + c * large[far] + d * large[far + step_j]
                    here = first + i * step_i + j * step_j
                    if setting:
                        small[here] = between
                        continue
                    difference = mass * (small[here] - between)
                    moved[p, q] += a * difference
                    moved[p, q + 1] += b * difference
                    moved[p + 1, q] += c * difference
                    moved[p + 1, q + 1] += d * difference
                    masses[p, q] += a * mass
                    masses[p, q + 1] += b * mass
                    masses[p + 1, q] += c * mass
                    masses[p + 1, q + 1] += d * mass
            if not setting:
                for i in range(n):
                    for j in range(n):
                        large[other + i * step_i + j * step_j] += moved[i, j] / masses[i, j]


@shared_out()
def soften_sides(share: Share, values: NDArray[np.floating], tied: NDArray[np.bool_], kept: float) -> None:
    """Put a factor on negative values on the sides of every leaf, or set them to zero.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``, changed.
    tied : ndarray of bool, shape (n_leaves, 6)
        Sides ``2 * axis + upper`` that are shared with an equal leaf.
    kept : float
        The factor. 0 is for all sides, any other for vertices on a tied side alone.
    """
    n = values.shape[1]
    zero, factor = values.dtype.type(0), values.dtype.type(kept)
    for leaf in items_of(share, values.shape[0]):
        block, own = values[leaf], tied[leaf]
        for i in range(n):
            across_x = (i == 0 and own[0]) or (i == n - 1 and own[1])
            for j in range(n):
                across_z = across_x or (j == 0 and own[2]) or (j == n - 1 and own[3])
                # Each vertex of a side once: all along y on the sides across x and z, both ends elsewhere.
                stride = 1 if i in (0, n - 1) or j in (0, n - 1) else n - 1
                for k in range(0, n, stride):
                    if block[i, j, k] < zero:
                        if kept == 0:
                            block[i, j, k] = zero
                        elif across_z or (k == 0 and own[4]) or (k == n - 1 and own[5]):
                            block[i, j, k] *= factor


@shared_out()
def multiply_copies(
    share: Share, values: NDArray[np.floating], factor: NDArray[np.floating], tied: NDArray[np.bool_]
) -> None:
    """Multiply a field by a factor for each leaf, and by two for each tied side that a vertex lies on.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``, changed.
    factor : ndarray of the same type, shape (n_leaves,)
    tied : ndarray of bool, shape (n_leaves, 6)
        Sides ``2 * axis + upper`` that are shared with an equal leaf.
    """
    n = values.shape[1]
    one, two = values.dtype.type(1), values.dtype.type(2)
    for leaf in items_of(share, values.shape[0]):
        block, own = values[leaf], tied[leaf]
        for i in range(n):
            of_x = factor[leaf] * (two if (i == 0 and own[0]) or (i == n - 1 and own[1]) else one)
            for j in range(n):
                both = of_x * (two if (j == 0 and own[2]) or (j == n - 1 and own[3]) else one)
                row = block[i, j]
                for k in range(n):
                    row[k] *= both
                if own[4]:
                    row[0] *= two
                if own[5]:
                    row[n - 1] *= two
