"""SIRT and SART on a device: data, weights and density stay there from one projection to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.dense import DenseOnDevice, split_shift
from tomokit.cuda.device import Device
from tomokit.geometry import TiltGeometry

if TYPE_CHECKING:
    from tomokit.methods.contract import Problem

_THREADS = 256  # as in dense_steps.cu and totals.cu
_SHARE = 0.9  # of the free memory: the pool rounds sizes up
_BLOCKS = 65535  # of a grid along y


def device_for_steps(
    devices: Sequence[Device], problem: Problem, volume_shape: tuple[int, int, int], volumes: int, views: int
) -> Device | None:
    """The first device if it holds so many volumes, and what :class:`DenseSteps` has of a problem; None if not.

    Parameters
    ----------
    devices : sequence of Device
    problem : Problem
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)``.
    volumes : int
    views : int
        Taken at a time.
    """
    g = problem.geometry
    n_y = max(g.n_v, volume_shape[2])
    # Projections, mask and rays' weights; of the views residuals, shifted and not, there and back.
    stacks = (2 + (problem.mask is not None)) * g.n_views * g.n_u * g.n_v + 3 * views * g.n_u * n_y
    needed = 4 * (volumes * int(np.prod(volume_shape, dtype=np.int64)) + stacks)
    return devices[0] if needed <= _SHARE * devices[0].free_bytes() and g.n_views <= _BLOCKS else None


class DenseSteps:
    """The steps of ``dense_steps.cu`` on a density that stays on a device.

    Parameters
    ----------
    device : Device
    problem : Problem
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)`` of the density.
    ray_weight : ndarray of float32, shape (n_views, n_u, n_v)
    mask_sum : ndarray of float64, shape (n_views,)
    groups : list of ndarray of int64
        Views that are taken together, each in ascending order without gaps.
    """

    def __init__(
        self,
        device: Device,
        problem: Problem,
        volume_shape: tuple[int, int, int],
        ray_weight: NDArray[np.float32],
        mask_sum: NDArray[np.float64],
        groups: Sequence[NDArray[np.int64]],
    ) -> None:
        self.device, self._fitted, self._n_y = device, problem.fit_exposure, volume_shape[2]
        self._groups, geometry = list(groups), problem.geometry
        with device:
            put = device.xp.asarray
            self._kernels, self._totals_kernel = device.load("dense_steps"), device.load("totals")["add_total"]
            self._data = put(np.ascontiguousarray(problem.projections, np.float32))
            self._mask = None if problem.mask is None else put(np.ascontiguousarray(problem.mask, np.float32))
            self._ray_weight, self._mask_sum = put(ray_weight), put(mask_sum)
            self._views = [geometry.select(views) for views in self._groups]
            self._dense = [DenseOnDevice(device, views, *volume_shape[:2]) for views in self._views]

    def begin(self, density: NDArray[np.float32], exposure: NDArray[np.float64], squares: float = 0.0) -> None:
        """Take a density, the views' exposures and the sum of squared residuals so far from the host."""
        put = self.device.xp.asarray
        with self.device:
            self._density, self._exposure, self._totals = put(density), put(exposure), put(np.array([squares]))

    def send_scale(self, scale: NDArray[np.float32]) -> Any:
        """Voxels' weights for :meth:`step`."""
        with self.device:
            return self.device.xp.asarray(scale)

    def step(self, group: int, factor: float, nonnegative: bool, scale: Any = None) -> None:
        """One step by a group of views.

        Parameters
        ----------
        group : int
        factor : float
            omega.
        nonnegative : bool
        scale : array of float32, optional
            C, from :meth:`send_scale`.
        """
        with self.device:
            residual = self._residual(group)
            direction = self._back(group, residual)
            voxels = self._density.size
            self._kernels["dense_step"](
                (-(-voxels // _THREADS), 1, 1), (_THREADS, 1, 1),
                (self._density, direction, scale, factor, int(nonnegative), voxels),
            )  # fmt: skip

    def fetch(self, density: NDArray[np.float32]) -> None:
        """Bring the density to the host."""
        with self.device:
            density[...] = self.device.to_host(self._density)

    def fetch_sums(self, exposure: NDArray[np.float64]) -> float:
        """Bring the exposures to the host; returns the sum of squared residuals, which begins again at zero."""
        with self.device:
            exposure[...] = self.device.to_host(self._exposure)
            squares = float(self.device.to_host(self._totals)[0])
            self._totals[...] = 0.0
        return squares

    def _residual(self, group: int) -> Any:
        """Of the group's views, exposures solved for, times the rays' weights."""
        views, geometry, xp = self._groups[group], self._views[group], self.device.xp
        rows = slice(int(views[0]), int(views[-1]) + 1)
        predicted = self._dense[group].forward(self._density)
        predicted = self._shifted(group, predicted, geometry, geometry.n_v, 1)
        pixels = geometry.n_u * geometry.n_v
        grid, block = (-(-pixels // _THREADS), views.size, 1), (_THREADS, 1, 1)
        mask = None if self._mask is None else self._mask[rows]
        partial = xp.empty((views.size, grid[0]), np.float32)
        self._kernels["dense_difference"](grid, block, (predicted, self._data[rows], mask, partial, pixels))
        exposure = None
        if self._fitted:
            exposure = self._exposure[rows]
            arguments = (partial, self._mask_sum[rows], exposure, grid[0])
            self._kernels["dense_offset"]((views.size, 1, 1), block, arguments)
        weighed = (predicted, mask, exposure, self._ray_weight[rows], partial, pixels)
        self._kernels["dense_weigh"](grid, block, weighed)
        self._totals_kernel((1, 1, 1), block, (partial, None, self._totals, 1.0, 0, views.size, grid[0]))
        return predicted

    def _back(self, group: int, residual: Any) -> Any:
        """Its back-projection."""
        return self._dense[group].adjoint(self._shifted(group, residual, self._views[group], self._n_y, -1))

    def _shifted(self, group: int, stack: Any, geometry: TiltGeometry, n_out: int, sign: int) -> Any:
        """Rows of a stack where views are shifted along y, or of the density; -1 for the transpose."""
        shift = sign * (geometry.shift_v_px + (geometry.n_v - self._n_y) / 2)
        if not shift.any():
            return stack
        return self._dense[group].shift_rows(stack, *split_shift(shift), n_out)
