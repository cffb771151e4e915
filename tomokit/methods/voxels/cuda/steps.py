"""SIRT and SART on a device, and the denoising of SART+TV: data, weights and density stay there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import sent
from tomokit.gpu.mirrored_arrays import MirroredArrays
from tomokit.methods.voxels.cuda.data import STEPS_SOURCE, DataOnDevice, flat_launch
from tomokit.methods.voxels.cuda.total_variation import VariationOnDevice

if TYPE_CHECKING:
    from tomokit.data.problem import Problem


class VoxelSteps:
    """The steps of ``steps.cu`` on a density that stays on a device.

    Parameters
    ----------
    mirrored : MirroredArrays
        With ``density``, float32 of shape (n_x, n_z, n_y), and what :class:`DataOnDevice` has there.
    problem : Problem
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)`` of the density.
    ray_weight : ndarray of float32, shape (n_views, n_u, n_v)
    mask_sum : ndarray of float64, shape (n_views,)
    groups : sequence of ndarray of int64
        Views that are taken together, each in ascending order without gaps.
    volumes : int
        Arrays of the volume's size that there is room for; :meth:`denoise` takes five.
    """

    def __init__(
        self,
        mirrored: MirroredArrays,
        problem: Problem,
        volume_shape: tuple[int, int, int],
        ray_weight: NDArray[np.float32],
        mask_sum: NDArray[np.float64],
        groups: Sequence[NDArray[np.int64]],
        volumes: int,
    ) -> None:
        self.device, self.volumes, self._mirrored = mirrored.device, volumes, mirrored
        self._data = DataOnDevice(mirrored, problem, volume_shape, mask_sum, groups)
        self._variation: VariationOnDevice | None = None
        with self.device:
            self._kernels = self.device.load(STEPS_SOURCE)
            self._ray_weight = sent(self.device, ray_weight)

    def begin(self, squares: float = 0.0) -> None:
        """Let the sum of squared residuals begin at what there is of it."""
        self._data.begin(squares)

    def send_scale(self, scale: NDArray[np.float32]) -> Any:
        """Voxels' weights for :meth:`step`."""
        return sent(self.device, scale)

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
        density = self._mirrored["density"]
        with self.device:
            direction = self._data.back(group, self._residual(group, density))
            arguments = (density, direction, scale, factor, int(nonnegative), density.size)
            self._kernels["voxel_step"](*flat_launch(density.size), arguments)
        self._mirrored.changed("density")

    def denoise(self, weight: float, iterations: int, nonnegative: bool) -> None:
        """Replace the density by the proximal map of total variation, with ``dual`` of the arrays that are held.

        Parameters
        ----------
        weight : float
            In units of density.
        iterations : int
            Gradient projections of the dual.
        nonnegative : bool
        """
        self._variation = self._variation or VariationOnDevice(self.device)
        density, dual = self._mirrored["density"], self._mirrored["dual"]
        with self.device:
            self._mirrored["density"] = self._variation.proximal(density, dual, weight, iterations, nonnegative)
        self._mirrored.changed("dual")

    def fetch_squares(self) -> float:
        """The sum of squared residuals since :meth:`begin`."""
        return float(self._data.fetch_totals()[0])

    def _residual(self, group: int, density: Any) -> Any:
        """Of the group's views, offsets solved for, times the rays' weights."""
        data = self._data
        residual, partial = data.difference(group, density)
        grid, block, pixels = data.launch(group)
        weight = self._ray_weight[data.rows(group)]
        arguments = (residual, data.mask(group), data.offsets(group), weight, partial, pixels)
        self._kernels["weigh_residual"](grid, block, arguments)
        data.add_squares(partial)
        return residual
