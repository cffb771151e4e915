"""Converged total variation on a device: data, duals, densities and the preconditioner stay there (``tv.cu``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.mirrored_arrays import MirroredArrays
from tomokit.methods.voxels.cuda.cosine import cosine_transform
from tomokit.methods.voxels.cuda.data import DataOnDevice, flat_launch
from tomokit.methods.voxels.cuda.total_variation import VariationOnDevice, voxel_launch

if TYPE_CHECKING:
    from tomokit.data.problem import Problem
    from tomokit.methods.voxels.preconditioner import CosinePreconditioner

_SOURCE = Path(__file__).with_name("tv.cu")
VOLUMES = 7
"""Density, point ahead, the gradient's dual of three, the sign's, and the direction."""


class TvSteps:
    """Iterations of :class:`tomokit.methods.voxels.tv.TvRun` on arrays that stay on a device.

    Parameters
    ----------
    mirrored : MirroredArrays
        With ``density``, ``ahead``, ``nonnegativity_dual`` of shape (n_x, n_z, n_y), ``gradient_dual`` (3, n_x, n_z,
        n_y) and ``data_dual`` (n_views, n_u, n_v), all float32, and what :class:`DataOnDevice` has there.
    problem : Problem
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)``.
    mask_sum : ndarray of float64, shape (n_views,)
    precondition : CosinePreconditioner
    """

    def __init__(
        self,
        mirrored: MirroredArrays,
        problem: Problem,
        volume_shape: tuple[int, int, int],
        mask_sum: NDArray[np.float64],
        precondition: CosinePreconditioner,
    ) -> None:
        self.device, self._mirrored = mirrored.device, mirrored
        every = [np.arange(problem.geometry.n_views)]
        self._data = DataOnDevice(mirrored, problem, volume_shape, mask_sum, every, n_totals=2)
        self._variation = VariationOnDevice(self.device)
        with self.device:
            put = self.device.xp.asarray
            self._kernels = self.device.load(_SOURCE)
            self._plane, self._line = put(precondition.plane), put(precondition.line)
            self._share_sum = put(_share_sum(problem.mask, mask_sum))
            self._offset = self.device.xp.zeros(mask_sum.size, np.float64)

    def step(self, dual_step: float, weight: float, nonnegative: bool) -> tuple[float, float]:
        """One iteration.

        Parameters
        ----------
        dual_step : float
            g.
        weight : float
            Of total variation.
        nonnegative : bool

        Returns
        -------
        squares : float
            Of the residuals at the point ahead.
        variation : float
            Total variation of the new density; 0 where it has no weight.
        """
        mirrored = self._mirrored
        density, ahead = mirrored["density"], mirrored["ahead"]
        duals = [
            mirrored["gradient_dual"] if weight > 0 else None,
            mirrored["nonnegativity_dual"] if nonnegative else None,
        ]
        self._data.begin(0.0)
        with self.device:
            self._step_data_dual(ahead)
            uphill = self._data.back(0, mirrored["data_dual"])
            if weight > 0 or nonnegative:
                rate = dual_step / weight if weight > 0 else 0.0
                self._variation.dual_step(ahead, duals[0], rate, duals[1], dual_step)
                self._variation.add_divergence(None, duals[0], -weight, False, uphill, duals[1])
            self._precondition(uphill)
            self._kernels["tv_extrapolate"](*flat_launch(density.size), (density, uphill, ahead, density.size))
            if weight > 0:
                self._variation.add_value(density, self._data.totals, 1)
        mirrored.changed("density", "ahead", "data_dual", "gradient_dual", "nonnegativity_dual")
        squares, variation = self._data.fetch_totals()
        return float(squares), float(variation)

    def _step_data_dual(self, ahead: Any) -> None:
        data, dual = self._data, self._mirrored["data_dual"]
        residual, squares = data.difference(0, ahead)
        grid, block, pixels = data.launch(0)
        shares = self.device.xp.empty(squares.shape, np.float32) if data.is_fitted else None
        arguments = (residual, data.mask(0), data.offsets(0), dual, squares, shares, pixels)
        self._kernels["tv_data_dual"](grid, block, arguments)
        data.add_squares(squares)
        if data.is_fitted:
            data.solve_offset(shares, self._share_sum, self._offset)
            self._kernels["tv_data_share"](grid, block, (dual, data.mask(0), self._offset, pixels))

    def _precondition(self, volume: Any) -> None:
        """Multiply by ``M^-1``, in place."""
        cosine_transform(self.device, volume, inverse=False)
        arguments = (volume, self._plane, self._line, *volume.shape[1:])
        self._kernels["tv_divide"](*voxel_launch(volume.shape), arguments)
        cosine_transform(self.device, volume, inverse=True)


def _share_sum(mask: NDArray[np.floating] | None, mask_sum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each view ``sum m / (m + 1)``."""
    if mask is None:
        return 0.5 * mask_sum
    return np.array([(view / (view + 1)).sum(dtype=np.float64) for view in mask])
