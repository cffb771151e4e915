"""Room for particles in a box: which cells of it are taken."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_STRIDE = 2
"""A wall is tested against what is there at every second cell along each axis."""


class Room:
    """Cells of a box about the origin, each free or taken.

    Parameters
    ----------
    half_xyz_px : ndarray of float64, shape (3,)
        Half the edges of the box in pixels.
    cell_px : float
        Edge of a cell in pixels.

    Attributes
    ----------
    taken : ndarray of bool, shape (n_z, n_y, n_x)
        Cells ``[z, y, x]``.
    """

    def __init__(self, half_xyz_px: NDArray[np.float64], cell_px: float = 2.0) -> None:
        n_x, n_y, n_z = (2 * math.ceil(half / cell_px) for half in half_xyz_px)
        self.taken = np.zeros((n_z, n_y, n_x), dtype=np.bool_)
        self._cell = cell_px
        self._corner = -cell_px / 2 * np.array([n_x, n_y, n_z], dtype=np.float64)

    def place_balls(
        self, candidates_xyz_px: NDArray[np.float64], radius_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Put balls, one after the other, at the first of their candidate places that is free.

        Parameters
        ----------
        candidates_xyz_px : ndarray of float64, shape (n, tries, 3)
            Places of each ball.
        radius_px : ndarray of float64, shape (n,)

        Returns
        -------
        place : ndarray of float64, shape (n_placed, 3)
            Where those have come that found room.
        placed : ndarray of bool, shape (n,)
            Which those are.
        """
        from tomokit.phantom.cut_kernels import find_room

        chosen = np.empty(len(radius_px), dtype=np.int64)
        find_room(self.taken, self._cell, candidates_xyz_px - self._corner, radius_px, chosen)
        placed = chosen >= 0
        return candidates_xyz_px[placed, chosen[placed]], placed

    def place_wall(
        self,
        centre_xyz_px: NDArray[np.float64],
        rotation: NDArray[np.float64],
        semi_axes_px: NDArray[np.float64],
        thickness_px: float,
    ) -> bool:
        """Take the wall of a hollow ellipsoid, if it is free.

        Parameters
        ----------
        centre_xyz_px : ndarray of float64, shape (3,)
        rotation : ndarray of float64, shape (3, 3)
            As of :class:`~tomokit.phantom.Ellipsoids`.
        semi_axes_px : ndarray of float64, shape (3,)
            Of the outer surface.
        thickness_px : float
            Of the wall.

        Returns
        -------
        bool
            Whether it was.
        """
        ranges = self._around(centre_xyz_px, rotation, semi_axes_px)
        coarse = [indices[::_STRIDE] for indices in ranges]
        there = self.taken[np.ix_(*coarse[::-1])]
        if there[self._wall(coarse, centre_xyz_px, rotation, semi_axes_px, thickness_px)].any():
            return False
        self.taken[np.ix_(*ranges[::-1])] |= self._wall(ranges, centre_xyz_px, rotation, semi_axes_px, thickness_px)
        return True

    def take_ball(self, centre_xyz_px: NDArray[np.float64], radius_px: float) -> None:
        """Take a ball, whether it was free or not.

        Parameters
        ----------
        centre_xyz_px : ndarray of float64, shape (3,)
        radius_px : float
        """
        rotation, semi_axes = np.eye(3), np.full(3, radius_px)
        ranges = self._around(centre_xyz_px, rotation, semi_axes)
        self.taken[np.ix_(*ranges[::-1])] |= self._wall(ranges, centre_xyz_px, rotation, semi_axes, radius_px)

    def is_taken(self, points_xyz_px: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points lie in cells that are taken, or outside of the box.

        Parameters
        ----------
        points_xyz_px : ndarray of float64, shape (..., 3)

        Returns
        -------
        ndarray of bool, shape (...)
        """
        index = np.floor((points_xyz_px - self._corner) / self._cell).astype(int)
        size = np.array(self.taken.shape[::-1])
        outside = ((index < 0) | (index >= size)).any(axis=-1)
        x, y, z = np.moveaxis(np.clip(index, 0, size - 1), -1, 0)
        return np.asarray(outside | self.taken[z, y, x])

    def _around(
        self, centre: NDArray[np.float64], rotation: NDArray[np.float64], semi_axes: NDArray[np.float64]
    ) -> list[NDArray[np.int_]]:
        """Indices along x, y and z of the cells about an ellipsoid, those outside of the box left out."""
        reach = np.sqrt(np.diag((rotation * semi_axes**2) @ rotation.T)) + self._cell
        first = np.floor((centre - reach - self._corner) / self._cell).astype(int)
        last = np.ceil((centre + reach - self._corner) / self._cell).astype(int)
        return [
            np.arange(max(0, low), max(0, min(n, high)))
            for low, high, n in zip(first, last, self.taken.shape[::-1], strict=True)
        ]

    def _wall(
        self,
        ranges: list[NDArray[np.int_]],
        centre: NDArray[np.float64],
        rotation: NDArray[np.float64],
        semi_axes: NDArray[np.float64],
        thickness: float,
    ) -> NDArray[np.bool_]:
        """Which cells ``[z, y, x]`` of a box lie within the wall, half a cell added on both sides."""
        x, y, z = (
            (indices + 0.5) * self._cell + corner - middle
            for indices, corner, middle in zip(ranges, self._corner, centre, strict=True)
        )
        slack = self._cell / 2
        outer, inner = np.zeros(()), np.zeros(())
        for k in range(3):
            along = rotation[0, k] * x + rotation[1, k] * y[:, None] + (rotation[2, k] * z)[:, None, None]
            outer = outer + (along / (semi_axes[k] + slack)) ** 2
            inner = inner + (along / max(semi_axes[k] - thickness - slack, 1e-3)) ** 2
        return np.asarray((outer <= 1) & (inner >= 1))
