"""The projections of a dense method on a device: masked residuals with their offsets, and back-projection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import Device, sent
from tomokit.gpu.mirrored_arrays import MirroredArrays
from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.projector.cuda.voxels import VoxelProjectorOnDevice, split_shift

if TYPE_CHECKING:
    from tomokit.data.problem import Problem

STEPS_SOURCE = Path(__file__).with_name("steps.cu")
_THREADS = 256  # as in steps.cu and tv.cu
_SHARE = 0.9  # of the free memory: the pool rounds sizes up
_BLOCKS = 65535  # of a grid along y and z


def flat_launch(size: int, count: int = 1) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block of kernels with a thread for each of so many values, of each of `count` views."""
    return (-(-size // _THREADS), count, 1), (_THREADS, 1, 1)


def device_for_steps(
    devices: Sequence[Device],
    problem: Problem,
    volume_shape: tuple[int, int, int],
    volumes: int,
    views: int,
    more_bytes: int = 0,
) -> Device | None:
    """The first device if it holds so many volumes, and what :class:`DataOnDevice` has of a problem; None if not.

    Parameters
    ----------
    devices : sequence of Device
    problem : Problem
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)``.
    volumes : int
    views : int
        Taken at a time.
    more_bytes : int
        Beside all that.
    """
    g = problem.geometry
    n_y = max(g.n_v, volume_shape[2])
    # Projections, mask, and rays' weights or the data's dual; of the views residuals, shifted and not, there and back.
    stacks = (2 + (problem.mask is not None)) * g.n_views * g.n_u * g.n_v + 3 * views * g.n_u * n_y
    needed = 4 * (volumes * int(np.prod(volume_shape, dtype=np.int64)) + stacks) + more_bytes
    fits = needed <= _SHARE * devices[0].free_bytes() and max(g.n_views, *volume_shape[:2]) <= _BLOCKS
    return devices[0] if fits else None


class DataOnDevice:
    """Projections and mask of a problem, and what ``steps.cu`` does with them.

    Parameters
    ----------
    mirrored : MirroredArrays
        With ``offsets``, float64 of shape (n_views,).
    problem : Problem
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)``.
    mask_sum : ndarray of float64, shape (n_views,)
    groups : sequence of ndarray of int64
        Views that are taken together, each in ascending order without gaps.
    n_totals : int
        Sums that are kept; the first is that of squared residuals.
    """

    def __init__(
        self,
        mirrored: MirroredArrays,
        problem: Problem,
        volume_shape: tuple[int, int, int],
        mask_sum: NDArray[np.float64],
        groups: Sequence[NDArray[np.int64]],
        n_totals: int = 1,
    ) -> None:
        self.device, self.is_fitted, self._n_y = mirrored.device, problem.fit_offsets, volume_shape[2]
        self._mirrored, self._groups, geometry = mirrored, list(groups), problem.geometry
        with self.device:
            xp = self.device.xp
            self._kernels = self.device.load(STEPS_SOURCE)
            self._add_total = load_reductions(self.device)["add_total"]
            self._data = sent(self.device, np.asarray(problem.projections, np.float32))
            self._mask = None if problem.mask is None else sent(self.device, np.asarray(problem.mask, np.float32))
            self._mask_sum, self.totals = xp.asarray(mask_sum), xp.zeros(n_totals, np.float64)
            self._views = [geometry.select(views) for views in self._groups]
            self._projectors = [VoxelProjectorOnDevice(self.device, views, *volume_shape[:2]) for views in self._views]

    def rows(self, group: int) -> slice:
        """Where the group's views are in a stack."""
        return slice(int(self._groups[group][0]), int(self._groups[group][-1]) + 1)

    def launch(self, group: int) -> tuple[tuple[int, int, int], tuple[int, int, int], int]:
        """Grid and block of kernels on the group's pixels, and pixels of a view."""
        geometry = self._views[group]
        pixels = geometry.n_u * geometry.n_v
        return *flat_launch(pixels, geometry.n_views), pixels

    def mask(self, group: int) -> Any:
        """Of the group's views, or None."""
        return None if self._mask is None else self._mask[self.rows(group)]

    def offsets(self, group: int) -> Any:
        """Of the group's views; None where offsets are held, at zero."""
        return self._mirrored["offsets"][self.rows(group)] if self.is_fitted else None

    def difference(self, group: int, density: Any) -> tuple[Any, Any]:
        """Solve for the group's offsets.

        Returns
        -------
        difference : array, shape (n_group, n_u, n_v)
            ``m (p - P)``, of which offsets are still to be subtracted.
        partial : array, shape (n_group, n_blocks)
            Memory for sums of blocks.
        """
        geometry = self._views[group]
        predicted = self._projectors[group].forward(density)
        predicted = self._shifted(group, predicted, geometry.n_v, 1)
        grid, block, pixels = self.launch(group)
        partial = self.device.xp.empty((geometry.n_views, grid[0]), np.float32)
        arguments = (predicted, self._data[self.rows(group)], self.mask(group), partial, pixels)
        self._kernels["subtract_prediction"](grid, block, arguments)
        if self.is_fitted:
            self.solve_offset(partial, self._mask_sum[self.rows(group)], self.offsets(group))
            self._mirrored.changed("offsets")
        return predicted, partial

    def solve_offset(self, partial: Any, weight_sum: Any, offset: Any) -> None:
        """``offset[view] = sum partial[view] / weight_sum[view]`` where the latter is positive."""
        n_views, blocks = partial.shape
        self._kernels["solve_offset"]((n_views, 1, 1), (_THREADS, 1, 1), (partial, weight_sum, offset, blocks))

    def add_squares(self, squares: Any) -> None:
        """Add sums of blocks to that of squared residuals."""
        add_total(self._add_total, squares, self.totals, 0)

    def back(self, group: int, stack: Any) -> Any:
        """The back-projection of a stack of the group's views."""
        return self._projectors[group].adjoint(self._shifted(group, stack, self._n_y, -1))

    def begin(self, squares: float) -> None:
        """Let the sum of squared residuals begin at what there is of it, and the others at zero."""
        with self.device:
            self.totals[...] = 0.0
            self.totals[0] = squares

    def fetch_totals(self) -> NDArray[np.float64]:
        """The sums since :meth:`begin`."""
        with self.device:
            return self.device.to_host(self.totals)

    def _shifted(self, group: int, stack: Any, n_out: int, sign: int) -> Any:
        """Rows of a stack where views are shifted along y, or of the density; -1 for the transpose."""
        geometry = self._views[group]
        shift = sign * (geometry.shift_v_px + (geometry.n_v - self._n_y) / 2)
        if not shift.any():
            return stack
        return self._projectors[group].shift_rows(stack, *split_shift(shift), n_out)
