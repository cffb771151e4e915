"""The data term of the voxel methods on a device: masked residuals with their offsets, and back-projection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import sent
from tomokit.gpu.mirrored_arrays import MirroredArrays
from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.methods.voxels.data_term import DataTerm
from tomokit.projector.cuda.voxels import VoxelProjectorOnDevice, split_shift

STEPS_SOURCE = Path(__file__).with_name("steps.cu")
_THREADS = 256  # as in steps.cu and tv.cu

Extent = tuple[int, int, int]
"""Blocks of a grid or threads of a block along x, y and z."""


def flat_launch(size: int, count: int = 1) -> tuple[Extent, Extent]:
    """Grid and block of kernels that have a thread for each value, and views along the grid's y.

    Parameters
    ----------
    size : int
        Number of values, of each view if there are several.
    count : int
        Number of views.

    Returns
    -------
    grid, block : tuple of int
        Blocks and threads along x, y and z.
    """
    return (-(-size // _THREADS), count, 1), (_THREADS, 1, 1)


class DataTermOnDevice:
    """Projections and mask on a device, and what ``steps.cu`` does with them.

    Parameters
    ----------
    mirrored : MirroredArrays
        With ``offsets``, float64 of shape (n_views,).
    data : DataTerm
        The same on the host.
    groups : sequence of ndarray of int64
        Views that are taken together, each in ascending order without gaps.
    n_totals : int
        Sums that are kept on the device; the first is that of squared residuals.

    Attributes
    ----------
    totals : array of float64, shape (n_totals,)
        These sums.
    is_fitted : bool
        Whether offsets are solved for; else they are held at zero.
    """

    def __init__(
        self, mirrored: MirroredArrays, data: DataTerm, groups: Sequence[NDArray[np.int64]], n_totals: int = 1
    ) -> None:
        problem, (n_x, n_z, n_y) = data.problem, data.operator.volume_shape
        self.device, self.is_fitted, self._n_y = mirrored.device, problem.fit_offsets, n_y
        self._mirrored, self._groups = mirrored, list(groups)
        with self.device:
            xp = self.device.xp
            self._kernels = self.device.load(STEPS_SOURCE)
            self._add_total = load_reductions(self.device)["add_total"]
            self._projections: DeviceArray = sent(self.device, np.asarray(problem.projections, np.float32))
            self._mask: DeviceArray | None = (
                None if problem.mask is None else sent(self.device, np.asarray(problem.mask, np.float32))
            )
            self._weight_sums: DeviceArray = xp.asarray(data.weight_sums)
            weights = data.view_weights.astype(np.float32)
            self._view_weights: DeviceArray | None = None if (weights == 1).all() else xp.asarray(weights[:, None])
            self.totals: DeviceArray = xp.zeros(n_totals, np.float64)
            self._geometries = [problem.geometry.select(views) for views in self._groups]
            self._projectors = [VoxelProjectorOnDevice(self.device, g, n_x, n_z) for g in self._geometries]

    def rows(self, group: int) -> slice:
        """Where the views of a group are in a stack of all views.

        Parameters
        ----------
        group : int

        Returns
        -------
        slice
        """
        return slice(int(self._groups[group][0]), int(self._groups[group][-1]) + 1)

    def launch(self, group: int) -> tuple[Extent, Extent, int]:
        """Grid and block of kernels that have a thread for each pixel of a group's views.

        Parameters
        ----------
        group : int

        Returns
        -------
        grid, block : tuple of int
            Blocks and threads along x, y and z.
        pixels : int
            Pixels of a view.
        """
        geometry = self._geometries[group]
        pixels = geometry.n_u * geometry.n_v
        return *flat_launch(pixels, geometry.n_views), pixels

    def mask(self, group: int) -> DeviceArray | None:
        """Weights of a group's pixels.

        Parameters
        ----------
        group : int

        Returns
        -------
        array of float32 or None, shape (n_group, n_u, n_v)
            None if all pixels count.
        """
        return None if self._mask is None else self._mask[self.rows(group)]

    def offsets(self, group: int) -> DeviceArray | None:
        """Additive offsets of a group's views.

        Parameters
        ----------
        group : int

        Returns
        -------
        array of float64 or None, shape (n_group,)
            In units of projection; None where offsets are held at zero.
        """
        return self._mirrored["offsets"][self.rows(group)] if self.is_fitted else None

    def difference(self, group: int, density: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
        """Subtract the predictions of a group from its data, and solve for its offsets.

        Parameters
        ----------
        group : int
        density : array of float32, shape (n_x, n_z, n_y)
            In units of projection per pixel.

        Returns
        -------
        difference : array of float32, shape (n_group, n_u, n_v)
            ``m (p - P)``, of which offsets are still to be subtracted.
        partial : array of float32, shape (n_group, n_blocks)
            Memory for sums of blocks, free to be overwritten.
        """
        geometry = self._geometries[group]
        predicted = self._projectors[group].forward(density)
        predicted = self._shift_rows(group, predicted, geometry.n_v, 1)
        grid, block, pixels = self.launch(group)
        partial = self.device.xp.empty((geometry.n_views, grid[0]), np.float32)
        arguments = (predicted, self._projections[self.rows(group)], self.mask(group), partial, pixels)
        self._kernels["subtract_prediction"](grid, block, arguments)
        offsets = self.offsets(group)
        if offsets is not None:
            self.solve_offset(partial, self._weight_sums[self.rows(group)], offsets)
            self._mirrored.changed("offsets")
        return predicted, partial

    def solve_offset(self, partial: DeviceArray, weight_sum: DeviceArray, offset: DeviceArray) -> None:
        """``offset[view] = sum of partial[view] / weight_sum[view]`` where the latter is positive.

        Parameters
        ----------
        partial : array of float32, shape (n_group, n_blocks)
            Sums of blocks of pixels.
        weight_sum : array of float64, shape (n_group,)
        offset : array of float64, shape (n_group,)
            Written; a view without weight keeps its offset.
        """
        n_views, blocks = partial.shape
        self._kernels["solve_offset"]((n_views, 1, 1), (_THREADS, 1, 1), (partial, weight_sum, offset, blocks))

    def add_squares(self, group: int, squares: DeviceArray) -> None:
        """Add sums of blocks of pixels to the sum of squared residuals, each by its weight.

        Parameters
        ----------
        group : int
        squares : array of float32, shape (n_group, n_blocks)
            Sums of squares that carry the weight twice; overwritten.
        """
        if self._view_weights is not None:
            squares /= self._view_weights[self.rows(group)]
        add_total(self._add_total, squares, self.totals, 0)

    def back_project(self, group: int, stack: DeviceArray) -> DeviceArray:
        """Back-projection of a stack of a group's views.

        Parameters
        ----------
        group : int
        stack : array of float32, shape (n_group, n_u, n_v)

        Returns
        -------
        array of float32, shape (n_x, n_z, n_y)
        """
        return self._projectors[group].adjoint(self._shift_rows(group, stack, self._n_y, -1))

    def begin(self, squares: float) -> None:
        """Start the sum of squared residuals at a value, and the other sums at zero.

        Parameters
        ----------
        squares : float
        """
        with self.device:
            self.totals[...] = 0.0
            self.totals[0] = squares

    def fetch_totals(self) -> NDArray[np.float64]:
        """The sums since :meth:`begin`, copied to the host.

        Returns
        -------
        ndarray of float64, shape (n_totals,)
        """
        with self.device:
            return self.device.to_host(self.totals)

    def _shift_rows(self, group: int, stack: DeviceArray, n_out: int, sign: int) -> DeviceArray:
        """Rows of the detector from rows of the volume, or (sign -1) the transpose, where views are shifted along y."""
        geometry = self._geometries[group]
        # Rows are counted from the first one, so that a detector and a volume of other lengths are shifted, too.
        shift = sign * (geometry.shift_v_px + (geometry.n_v - self._n_y) / 2)
        if not shift.any():
            return stack
        return self._projectors[group].shift_rows(stack, *split_shift(shift), n_out)
