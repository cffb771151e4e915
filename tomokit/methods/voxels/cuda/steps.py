"""SIRT and SART on a device, and the denoising of SART+TV: data, weights and density stay there (``steps.cu``)."""

from __future__ import annotations

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device, sent
from tomokit.methods.voxels.cuda.data_term import STEPS_SOURCE, DataTermOnDevice, flat_launch
from tomokit.methods.voxels.cuda.engine import EngineOnDevice, device_with_room
from tomokit.methods.voxels.cuda.total_variation import VariationOnDevice
from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.engine import DenoisingEngine, HostArrays, StepEngine, StepWeights

_STEP_VOLUMES = 2  # density and direction
_DENOISING_VOLUMES = 5  # density, direction or the denoised density, and the dual of three components


class StepEngineOnDevice(EngineOnDevice):
    """Steps of SIRT and SART on a device (see :class:`tomokit.methods.voxels.engine.StepEngine`).

    Parameters
    ----------
    device : Device
    data : DataTerm
    arrays : mapping of str to ndarray
        With ``density``, float32 of shape (n_x, n_z, n_y), in units of projection per pixel, and ``offsets``.
    weights : StepWeights
    """

    def __init__(self, device: Device, data: DataTerm, arrays: HostArrays, weights: StepWeights) -> None:
        super().__init__(device, arrays)
        self._data = DataTermOnDevice(self._mirrored, data, weights.groups)
        with device:
            self._kernels = device.load(STEPS_SOURCE)
            self._ray_weight: DeviceArray = sent(device, weights.ray_weight)
        voxel_weight = weights.voxel_weight
        self._voxel_weight: DeviceArray | None = None if voxel_weight is None else sent(device, voxel_weight)

    def begin(self, squares: float = 0.0) -> None:
        """Start the sum of squared residuals (see :class:`tomokit.methods.voxels.engine.StepEngine`)."""
        self._data.begin(squares)

    def step(self, group: int, factor: float, nonnegative: bool) -> None:
        """Take one step by a group of views (see :class:`tomokit.methods.voxels.engine.StepEngine`)."""
        density = self._mirrored["density"]
        with self.device:
            direction = self._data.back_project(group, self._weighted_residuals(group, density))
            arguments = (density, direction, self._voxel_weight, factor, int(nonnegative), density.size)
            self._kernels["voxel_step"](*flat_launch(density.size), arguments)
        self._mirrored.changed("density")

    def fetch_squares(self) -> float:
        """Sum of squared residuals since it was begun (see :class:`tomokit.methods.voxels.engine.StepEngine`)."""
        return float(self._data.fetch_totals()[0])

    def _weighted_residuals(self, group: int, density: DeviceArray) -> DeviceArray:
        """``R m (p - P - b)`` of a group, shape (n_group, n_u, n_v), after solving for its offsets b."""
        data = self._data
        residual, partial = data.difference(group, density)
        grid, block, pixels = data.launch(group)
        weight = self._ray_weight[data.rows(group)]
        arguments = (residual, data.mask(group), data.offsets(group), weight, partial, pixels)
        self._kernels["weigh_residual"](grid, block, arguments)
        data.add_squares(group, partial)
        return residual


class DenoisingEngineOnDevice(StepEngineOnDevice):
    """Steps of SART and the denoising of SART+TV on a device.

    Parameters
    ----------
    device : Device
    data : DataTerm
    arrays : mapping of str to ndarray
        With those of :class:`StepEngineOnDevice`, and ``dual``, float32 of shape (3, n_x, n_z, n_y).
    weights : StepWeights
    """

    def __init__(self, device: Device, data: DataTerm, arrays: HostArrays, weights: StepWeights) -> None:
        super().__init__(device, data, arrays, weights)
        self._variation = VariationOnDevice(device)

    def denoise(self, weight: float, iterations: int, nonnegative: bool) -> None:
        """Denoise the density (see :class:`tomokit.methods.voxels.engine.DenoisingEngine`)."""
        density, dual = self._mirrored["density"], self._mirrored["dual"]
        with self.device:
            self._mirrored["density"] = self._variation.proximal(density, dual, weight, iterations, nonnegative)
        self._mirrored.changed("dual")


class HostDenoisingEngine(StepEngineOnDevice):
    """Steps of SART on a device without room for the dual, so that the density is denoised on the host.

    Parameters
    ----------
    device : Device
    data : DataTerm
    arrays : mapping of str to ndarray
        With those of :class:`StepEngineOnDevice`, and ``dual``, float32 of shape (3, n_x, n_z, n_y).
    weights : StepWeights
    """

    def __init__(self, device: Device, data: DataTerm, arrays: HostArrays, weights: StepWeights) -> None:
        super().__init__(device, data, arrays, weights)
        self._host_density, self._host_dual = arrays["density"], arrays["dual"]

    def denoise(self, weight: float, iterations: int, nonnegative: bool) -> None:
        """Denoise the density (see :class:`tomokit.methods.voxels.engine.DenoisingEngine`)."""
        from tomokit.methods.voxels.host_engine import denoise_in_place

        self._mirrored.bring("density")
        denoise_in_place(self._host_density, self._host_dual, weight, iterations, nonnegative)
        self._mirrored.forget("density")


def step_engine_on_device(data: DataTerm, arrays: HostArrays, weights: StepWeights) -> StepEngine | None:
    """Steps of SIRT or SART on the first device, if it has room for them.

    Parameters
    ----------
    data : DataTerm
    arrays : mapping of str to ndarray
        As :func:`tomokit.methods.voxels.engine.choose_step_engine` takes them.
    weights : StepWeights

    Returns
    -------
    StepEngine or None
        None where it has no room.
    """
    volumes = _STEP_VOLUMES + (weights.voxel_weight is not None)
    device = _device_with_room(data, weights, volumes)
    return None if device is None else StepEngineOnDevice(device, data, arrays, weights)


def denoising_engine_on_device(data: DataTerm, arrays: HostArrays, weights: StepWeights) -> DenoisingEngine | None:
    """Steps of SART on the first device, if it has room for them, and the denoising too if it has room for that.

    Parameters
    ----------
    data : DataTerm
    arrays : mapping of str to ndarray
        As :func:`tomokit.methods.voxels.engine.choose_denoising_engine` takes them.
    weights : StepWeights

    Returns
    -------
    DenoisingEngine or None
        None where it has no room for the steps.
    """
    device = _device_with_room(data, weights, _DENOISING_VOLUMES)
    if device is not None:
        return DenoisingEngineOnDevice(device, data, arrays, weights)
    device = _device_with_room(data, weights, _STEP_VOLUMES)
    return None if device is None else HostDenoisingEngine(device, data, arrays, weights)


def _device_with_room(data: DataTerm, weights: StepWeights, volumes: int) -> Device | None:
    views = max(group.size for group in weights.groups)
    return device_with_room(data.problem, data.operator.volume_shape, volumes, views)
