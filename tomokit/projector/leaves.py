"""The projector over leaves as a linear operator: ``A(rho)`` and ``A.T(stack)``, for some or all views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry, centre
from tomokit.octree import Forest
from tomokit.projector.leaf_rows import find_rows
from tomokit.projector.vertex_footprint import footprint_half_width, footprint_table, footprint_taps

# Leaves that are projected one after the other into one buffer. More make fewer buffers to be added up, fewer make
# enough groups for all threads. It takes part in the order of sums, so it is the same on every machine.
_LEAVES_PER_GROUP = 16


@dataclass(frozen=True)
class Slabs:
    """Leaves by level and place along y, and the groups that they are dealt to.

    A slab holds the leaves that share a lattice along y; in a forest's canonical order they follow each other. A group
    is some of the leaves of one slab, projected by one thread.

    Attributes
    ----------
    slab : ndarray of int64, shape (n_slabs, 2)
        Level and position along y.
    group : ndarray of int64, shape (n_groups, 2)
        First leaf of each group and one past its last.
    groups_of : ndarray of int64, shape (n_slabs, 2)
        First group of each slab and one past its last.
    slab_of : ndarray of int64, shape (n_leaves,)
        Number of each leaf's slab.
    """

    slab: NDArray[np.int64]
    group: NDArray[np.int64]
    groups_of: NDArray[np.int64]
    slab_of: NDArray[np.int64]


def find_slabs(forest: Forest) -> Slabs:
    """Deal the leaves of a forest to slabs and groups, by the forest alone and not by the number of threads.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    Slabs
    """
    keys = np.stack([forest.level, forest.index[:, 2]], axis=1).astype(np.int64)
    slab, first, slab_of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    ends = np.r_[first[1:], forest.n_leaves]
    groups: list[tuple[int, int]] = []
    groups_of = np.empty((len(slab), 2), np.int64)
    for s, (begin, end) in enumerate(zip(first, ends, strict=True)):
        pieces = max(1, -(-(end - begin) // _LEAVES_PER_GROUP))
        # As even as can be, rather than full groups and a small rest.
        cuts = begin + (end - begin) * np.arange(pieces + 1) // pieces
        groups_of[s] = len(groups), len(groups) + pieces
        groups.extend(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
    return Slabs(slab, np.array(groups, np.int64).reshape(-1, 2), groups_of, slab_of.reshape(-1).astype(np.int64))


@dataclass(frozen=True)
class Footprints:
    """Tables of the vertices' footprints; they depend on the leaves' sizes and the tilts alone.

    Attributes
    ----------
    size : ndarray of float64, shape (n_levels,)
        Edge of a leaf of each level, in pixels.
    taps : ndarray of int64, shape (n_views, n_levels)
        Most detector columns that a footprint meets.
    half_width : ndarray of float64, shape (n_views, n_levels)
        Half width of footprint and pixel together, in pixels.
    tables : ndarray of float32, shape (n_views, n_levels, 9, KNOTS + 1, most taps)
        Weights by class of vertex, fraction of a pixel and tap; see
        :func:`tomokit.projector.vertex_footprint.footprint_table`.
    """

    size: NDArray[np.float64]
    taps: NDArray[np.int64]
    half_width: NDArray[np.float64]
    tables: NDArray[np.float32]


def find_footprints(forest: Forest, tilt_rad: NDArray[np.float64]) -> Footprints:
    """Tabulate the footprints of a forest's levels under some tilts.

    Parameters
    ----------
    forest : Forest
        All levels from 0 to its finest are tabulated.
    tilt_rad : ndarray of float64, shape (n_views,)
        Tilt of each view in radians.

    Returns
    -------
    Footprints
    """
    size = np.asarray(forest.root_px / 2.0 ** np.arange(int(forest.level.max()) + 1), np.float64)
    spacing = size / (forest.n - 1)
    taps = np.array([[footprint_taps(theta, h) for h in spacing] for theta in tilt_rad], np.int64)
    half_width = np.array([[footprint_half_width(theta, h) for h in spacing] for theta in tilt_rad])
    pad = int(taps.max())
    tables = np.stack([np.stack([footprint_table(theta, h, pad) for h in spacing]) for theta in tilt_rad])
    return Footprints(size, taps, half_width, tables)


class LeafProjector:
    """Line integrals in pixels of a trilinear density on leaves, and their exact transpose.

    Parameters
    ----------
    forest : Forest
        The leaves.
    geometry : TiltGeometry
        Views and detector. A pixel's value is the mean over it, across and along the axis.
    footprints : Footprints, optional
        Tables of the same tilts and root size, of these levels at least; made if not given.

    Attributes
    ----------
    slabs : Slabs
    size, taps, half_width, tables
        As in :class:`Footprints`.
    pad : int
        Most taps of any footprint: columns of zeros on either side of a contracted stack.
    corner : ndarray of float64, shape (n_leaves, 3)
        Lower corners ``(x, z, y)`` in pixels.
    spacing : ndarray of float64, shape (n_leaves,)
        Distance between vertices in pixels.
    rows : LeafRows

    Raises
    ------
    InputError
        On call, if an array has the wrong shape.
    """

    def __init__(self, forest: Forest, geometry: TiltGeometry, footprints: Footprints | None = None) -> None:
        self.forest = forest
        self.geometry = geometry
        self.slabs = find_slabs(forest)
        footprints = footprints or find_footprints(forest, geometry.tilt_rad)
        self.size, self.taps = footprints.size, footprints.taps
        self.half_width, self.tables = footprints.half_width, footprints.tables
        self.pad = int(self.taps.max())
        self.corner = forest.corner_px
        self.spacing = forest.spacing_px
        self.rows = find_rows(forest, geometry, self.slabs.slab, self.size)
        self._low, self._high = self._group_columns()

    def __call__(self, rho: NDArray[np.float32], views: ArrayLike | None = None) -> NDArray[np.float32]:
        """Line integrals of a density, of some views or all.

        Parameters
        ----------
        rho : ndarray of float32, shape (n_leaves, n, n, n)
            Density ``[leaf, x, z, y]`` at the vertices.
        views : array_like of int, optional
            Indices of views; all if not given.

        Returns
        -------
        ndarray of float32, shape (n, n_u, n_v)
            ``[tilt, u, y]`` of the `n` views asked for, in pixels times density.

        Raises
        ------
        InputError
            If the density does not fit the forest.
        """
        from tomokit.projector.leaves_cpu import expand_rows, project_groups

        if rho.shape != self.forest.values_shape:
            raise InputError(f"values of shape {rho.shape}, expected {self.forest.values_shape}")
        t = self._view_indices(views)
        g = self.geometry
        # Taken, not indexed, so that they are contiguous whatever the views: for another layout all would be compiled
        # once more.
        # Each group's buffer is as wide as its own shadow: one buffer holds them all, end to end.
        low, high = np.take(self._low, t, axis=1), np.take(self._high, t, axis=1)
        floats = np.maximum(high - low, 0) * self.forest.n
        offset = (np.cumsum(floats.ravel()) - floats.ravel()).reshape(floats.shape)
        buffer = np.empty(int(floats.sum()), np.float32)
        stack = np.zeros((t.size, g.n_u, g.n_v), np.float32)
        project_groups(
            rho, self.slabs.group, self.corner, self.spacing, self.forest.level, g.tilt_rad[t], g.shift_u_px[t],
            centre(g.n_u), self.half_width[t], self.taps[t], self.tables[t], low, high, offset, buffer
        )  # fmt: skip
        expand_rows(
            stack, self.slabs.slab, self.slabs.groups_of, low, high, offset, buffer,
            np.take(self.rows.of_slab, t, axis=1), self.rows.vertex[t], self.rows.weight[t], self.forest.n
        )  # fmt: skip
        return stack

    def contract(self, stack: NDArray[np.float32], views: ArrayLike | None = None) -> NDArray[np.float32]:
        """Gather the rows of a stack on each slab's y-vertices: the first half of the transpose.

        Parameters
        ----------
        stack : ndarray of float32, shape (n, n_u, n_v)
            ``[tilt, u, y]`` of the `n` views.
        views : array_like of int, optional
            Indices of views; all if not given.

        Returns
        -------
        ndarray of float32, shape (n_slabs, n, n_u + 2 * pad, forest.n)
            ``B[slab, view, u + pad, j]`` for :func:`tomokit.projector.leaves_cpu.gather_leaf`.
        """
        from tomokit.projector.leaves_cpu import contract_rows

        t = self._view_indices(views)
        g = self.geometry
        shape = (len(self.slabs.slab), t.size, g.n_u + 2 * self.pad, self.forest.n)
        contracted = np.zeros(shape, np.float32)
        contract_rows(
            stack, self.slabs.slab, contracted, self.pad, np.take(self.rows.of_slab, t, axis=1),
            self.rows.vertex[t], self.rows.weight[t]
        )  # fmt: skip
        return contracted

    def T(self, stack: NDArray[np.float32], views: ArrayLike | None = None) -> NDArray[np.float32]:
        """Back-project a stack onto the leaves: the transpose of the projection, not its inverse.

        Parameters
        ----------
        stack : ndarray of float32, shape (n, n_u, n_v)
            ``[tilt, u, y]`` of the `n` views.
        views : array_like of int, optional
            Indices of views; all if not given.

        Returns
        -------
        ndarray of float32, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``.

        Raises
        ------
        InputError
            If the stack does not fit the views and the detector.
        """
        from tomokit.projector.leaves_cpu import gather_leaves

        t = self._view_indices(views)
        g = self.geometry
        if stack.shape != (t.size, g.n_u, g.n_v):
            raise InputError(f"stack of shape {stack.shape}, expected {(t.size, g.n_u, g.n_v)}")
        contracted = self.contract(stack, t)
        gradient = np.zeros(self.forest.values_shape, np.float32)
        gather_leaves(
            gradient, self.slabs.slab_of, self.corner, self.spacing, self.forest.level, g.tilt_rad[t],
            g.shift_u_px[t], centre(g.n_u), self.half_width[t], self.taps[t], self.tables[t], contracted, self.pad
        )  # fmt: skip
        return gradient

    def _view_indices(self, views: ArrayLike | None) -> NDArray[np.int64]:
        return np.arange(self.geometry.n_views) if views is None else np.atleast_1d(np.asarray(views, np.int64))

    def _group_columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Detector columns that each group can meet in each view, with room for the footprints' tails."""
        g, pad = self.geometry, self.pad
        size = self.forest.size_px
        low = np.empty((len(self.slabs.group), g.n_views), np.int64)
        high = np.empty_like(low)
        for t, theta in enumerate(g.tilt_rad):
            cos, sin = np.cos(theta), np.sin(theta)
            middle = self.corner[:, 0] * cos - self.corner[:, 1] * sin + g.shift_u_px[t] + centre(g.n_u)
            # A leaf's shadow: its lower corner's column, and what the other corners add on either side.
            left = middle + np.minimum(0, size * cos) + np.minimum(0, -size * sin)
            right = middle + np.maximum(0, size * cos) + np.maximum(0, -size * sin)
            for i, (begin, end) in enumerate(self.slabs.group):
                low[i, t] = max(-pad, int(np.floor(left[begin:end].min())) - pad)
                high[i, t] = min(g.n_u + pad, int(np.ceil(right[begin:end].max())) + pad + 1)
        return low, high
