"""Converged total variation on a device: data, duals, densities and the preconditioner stay there (``tv.cu``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.gpu.discovery import devices
from tomokit.methods.voxels.cuda.cosine import cosine_bytes, cosine_transform, has_cosine
from tomokit.methods.voxels.cuda.data_term import DataTermOnDevice, flat_launch
from tomokit.methods.voxels.cuda.engine import EngineOnDevice, device_with_room
from tomokit.methods.voxels.cuda.total_variation import VariationOnDevice, voxel_launch
from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.engine import HostArrays

if TYPE_CHECKING:
    from tomokit.methods.voxels.preconditioner import CosinePreconditioner

_SOURCE = Path(__file__).with_name("tv.cu")
# Density, point ahead, the gradient's dual of three components, the dual of non-negativity, and the direction.
_VOLUMES = 7


class TvEngineOnDevice(EngineOnDevice):
    """Primal-dual iterations of total variation on a device (see :class:`tomokit.methods.voxels.engine.TvEngine`).

    Parameters
    ----------
    device : Device
    data : DataTerm
    arrays : mapping of str to ndarray
        As :func:`tomokit.methods.voxels.engine.choose_tv_engine` takes them, all float32 but ``offsets``.
    precondition : CosinePreconditioner
        Whose eigenvalues are sent to the device.
    """

    def __init__(
        self,
        device: Device,
        data: DataTerm,
        arrays: HostArrays,
        precondition: CosinePreconditioner,
    ) -> None:
        super().__init__(device, arrays)
        all_views = [np.arange(data.problem.geometry.n_views)]
        self._data = DataTermOnDevice(self._mirrored, data, all_views, n_totals=2)
        self._variation = VariationOnDevice(device)
        with device:
            put = device.xp.asarray
            self._kernels = device.load(_SOURCE)
            self._plane: DeviceArray = put(precondition.plane)
            self._line: DeviceArray = put(precondition.line)
            self._proximal_weight_sums: DeviceArray = put(_proximal_weight_sums(data.problem.mask, data.weight_sums))
            self._dual_offsets: DeviceArray = device.xp.zeros(data.weight_sums.size, np.float64)

    def iterate(self, dual_rate: float, weight: float, nonnegative: bool) -> tuple[float, float]:
        """Update duals and densities once (see :class:`tomokit.methods.voxels.engine.TvEngine`)."""
        mirrored = self._mirrored
        density, ahead = mirrored["density"], mirrored["ahead"]
        # None where there is no such term: what is not asked for here is not sent to the device either.
        gradient_dual = mirrored["gradient_dual"] if weight > 0 else None
        nonnegativity_dual = mirrored["nonnegativity_dual"] if nonnegative else None
        self._data.begin(0.0)
        with self.device:
            self._step_data_dual(ahead)
            uphill = self._data.back_project(0, mirrored["data_dual"])
            if weight > 0 or nonnegative:
                gradient_rate = dual_rate / weight if weight > 0 else 0.0
                self._variation.dual_step(ahead, gradient_dual, gradient_rate, nonnegativity_dual, dual_rate)
                self._variation.add_divergence(None, gradient_dual, -weight, False, uphill, nonnegativity_dual)
            self._precondition(uphill)
            self._kernels["tv_extrapolate"](*flat_launch(density.size), (density, uphill, ahead, density.size))
            if weight > 0:
                self._variation.add_value(density, self._data.totals, 1)
        mirrored.changed("density", "ahead", "data_dual", "gradient_dual", "nonnegativity_dual")
        squares, variation = self._data.fetch_totals()
        return float(squares), float(variation)

    def _step_data_dual(self, ahead: DeviceArray) -> None:
        """``y <- m (y + A e - p - b) / (m + 1)``, with b such that each view's y sums to zero, or b = 0."""
        data, dual = self._data, self._mirrored["data_dual"]
        residual, squares = data.difference(0, ahead)
        grid, block, pixels = data.launch(0)
        weighted_sums = self.device.xp.empty(squares.shape, np.float32) if data.is_fitted else None
        arguments = (residual, data.mask(0), data.offsets(0), dual, squares, weighted_sums, pixels)
        self._kernels["tv_data_dual"](grid, block, arguments)
        data.add_squares(0, squares)
        if weighted_sums is not None:
            data.solve_offset(weighted_sums, self._proximal_weight_sums, self._dual_offsets)
            self._kernels["tv_data_offset"](grid, block, (dual, data.mask(0), self._dual_offsets, pixels))

    def _precondition(self, volume: DeviceArray) -> None:
        """Multiply by ``M^-1``, in place."""
        cosine_transform(self.device, volume, inverse=False)
        self._kernels["tv_divide"](*voxel_launch(volume.shape), (volume, self._plane, self._line, *volume.shape[1:]))
        cosine_transform(self.device, volume, inverse=True)


def tv_engine_on_device(
    data: DataTerm, arrays: HostArrays, precondition: CosinePreconditioner
) -> TvEngineOnDevice | None:
    """Iterations of total variation on the first device, if it has room for them and transforms cosines.

    Parameters
    ----------
    data : DataTerm
    arrays : mapping of str to ndarray
        As :func:`tomokit.methods.voxels.engine.choose_tv_engine` takes them.
    precondition : CosinePreconditioner

    Returns
    -------
    TvEngineOnDevice or None
        None where the host has to iterate.
    """
    if not has_cosine(devices()[0]):
        return None
    shape = data.operator.volume_shape
    device = device_with_room(data.problem, shape, _VOLUMES, data.problem.geometry.n_views, cosine_bytes(shape))
    return None if device is None else TvEngineOnDevice(device, data, arrays, precondition)


def _proximal_weight_sums(mask: NDArray[np.floating] | None, weight_sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of ``m / (m + 1)`` over the pixels of each view, shape (n_views,)."""
    if mask is None:
        return 0.5 * weight_sums
    return np.array([(view / (view + 1)).sum(dtype=np.float64) for view in mask])
