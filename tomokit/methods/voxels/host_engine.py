"""The voxel methods' steps on the host's arrays, in Numba's kernels; the operator may project on a device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.engine import EngineOnHost, HostArrays, StepWeights
from tomokit.methods.voxels.preconditioner import CosinePreconditioner
from tomokit.methods.voxels.total_variation import add_divergence, dual_step, proximal, total_variation
from tomokit.methods.voxels.updates import add_scaled, extrapolate, step, step_nonnegativity_dual


class StepEngineOnHost(EngineOnHost):
    """Steps of SIRT and SART on the host (see :class:`tomokit.methods.voxels.engine.StepEngine`).

    Parameters
    ----------
    data : DataTerm
    arrays : mapping of str to ndarray
        With ``density`` of shape (n_x, n_z, n_y), in units of projection per pixel.
    weights : StepWeights
    """

    def __init__(self, data: DataTerm, arrays: HostArrays, weights: StepWeights) -> None:
        super().__init__(data.problem.backend)
        self._data, self._weights = data, weights
        self._density: NDArray[np.floating] = arrays["density"]
        self._projectors = [data.operator.views(views) for views in weights.groups]
        self._squares = 0.0

    def begin(self, squares: float = 0.0) -> None:
        """Start the sum of squared residuals (see :class:`tomokit.methods.voxels.engine.StepEngine`)."""
        self._squares = squares

    def step(self, group: int, factor: float, nonnegative: bool) -> None:
        """Take one step by a group of views (see :class:`tomokit.methods.voxels.engine.StepEngine`)."""
        views, projector = self._weights.groups[group], self._projectors[group]
        residuals = projector(self._density)
        self._squares += self._data.replace_by_residuals(residuals, views)
        residuals *= self._weights.ray_weight[views[0] : views[-1] + 1]
        self._data.transfer(residuals, views)
        direction = projector.T(residuals)
        rounded = self._density.dtype.type(factor)
        if self._weights.voxel_weight is None:
            add_scaled(self._density, direction, rounded, nonnegative)
        else:
            step(self._density, direction, self._weights.voxel_weight, rounded, nonnegative)

    def fetch_squares(self) -> float:
        """Sum of squared residuals since it was begun (see :class:`tomokit.methods.voxels.engine.StepEngine`)."""
        return self._squares


class DenoisingEngineOnHost(StepEngineOnHost):
    """Steps of SART and the denoising of SART+TV on the host.

    Parameters
    ----------
    data : DataTerm
    arrays : mapping of str to ndarray
        With ``density`` of shape (n_x, n_z, n_y), in units of projection per pixel, and ``dual`` (3, n_x, n_z, n_y).
    weights : StepWeights
    """

    def __init__(self, data: DataTerm, arrays: HostArrays, weights: StepWeights) -> None:
        super().__init__(data, arrays, weights)
        self._dual: NDArray[np.floating] = arrays["dual"]

    def denoise(self, weight: float, iterations: int, nonnegative: bool) -> None:
        """Denoise the density (see :class:`tomokit.methods.voxels.engine.DenoisingEngine`)."""
        denoise_in_place(self._density, self._dual, weight, iterations, nonnegative)


def denoise_in_place(
    density: NDArray[np.floating], dual: NDArray[np.floating], weight: float, iterations: int, nonnegative: bool
) -> None:
    """Replace a density by total variation's proximal map of it.

    Parameters
    ----------
    density : ndarray, shape (n_x, n_z, n_y)
        Overwritten by the result.
    dual : ndarray, shape (3, n_x, n_z, n_y)
        Where the iterations begin; overwritten by where they end.
    weight : float
        Weight of total variation, in units of the density.
    iterations : int
        Gradient projections of the dual.
    nonnegative : bool
        Whether the map is over densities that are not negative.
    """
    denoised = np.empty_like(density)
    proximal(density, dual, weight, iterations, nonnegative, denoised)
    density[...] = denoised


class TvEngineOnHost(EngineOnHost):
    """Primal-dual iterations of total variation on the host (see :class:`tomokit.methods.voxels.engine.TvEngine`).

    Parameters
    ----------
    data : DataTerm
    arrays : mapping of str to ndarray
        As :func:`tomokit.methods.voxels.engine.choose_tv_engine` takes them.
    precondition : CosinePreconditioner
    """

    def __init__(self, data: DataTerm, arrays: HostArrays, precondition: CosinePreconditioner) -> None:
        super().__init__(data.problem.backend)
        self._data, self._precondition = data, precondition
        self._density: NDArray[np.floating] = arrays["density"]
        self._ahead: NDArray[np.floating] = arrays["ahead"]
        self._data_dual: NDArray[np.floating] = arrays["data_dual"]
        self._gradient_dual: NDArray[np.floating] = arrays["gradient_dual"]
        self._nonnegativity_dual: NDArray[np.floating] = arrays["nonnegativity_dual"]

    def iterate(self, dual_rate: float, weight: float, nonnegative: bool) -> tuple[float, float]:
        """Update duals and densities once (see :class:`tomokit.methods.voxels.engine.TvEngine`)."""
        dtype = self._density.dtype.type
        residuals, squares = self._data.residuals(self._ahead)
        self._step_data_dual(residuals)
        del residuals  # as large as the data, and its place is needed for the direction
        uphill = self._data.operator.T(self._transferred_dual())
        if nonnegative:
            step_nonnegativity_dual(self._ahead, self._nonnegativity_dual, dtype(dual_rate), uphill)
        if weight > 0:
            dual_step(self._ahead, self._gradient_dual, dtype(dual_rate / weight))
            add_divergence(uphill, self._gradient_dual, dtype(-weight), False, uphill)
        extrapolate(self._density, self._precondition(uphill), self._ahead)
        return squares, total_variation(self._density)

    def _transferred_dual(self) -> NDArray[np.floating]:
        """The data's dual as it is projected back: after contrast transfer, where there is one."""
        if self._data.problem.transfer is None:
            return self._data_dual
        transferred = self._data_dual.copy()
        self._data.transfer(transferred, range(len(transferred)))
        return transferred

    def _step_data_dual(self, residuals: NDArray[np.floating]) -> None:
        """``y <- m (y + A e - p - b) / (m + 1)``, from residuals ``m (p - A e - b')`` with their own best b'.

        The b' in them does no harm: where offsets are fitted, b is what makes the new y sum to zero, whatever constant
        was there before.
        """
        data = self._data
        for view, dual in enumerate(self._data_dual):
            mask = None if data.mask is None else data.mask[view]
            if mask is None:
                dual -= residuals[view]
                if data.problem.fit_offsets:
                    dual -= dual.mean(dtype=np.float64).astype(dual.dtype)
                dual *= 0.5
                continue
            proximal_weight = mask / (mask + 1)
            # y is zero where the mask is, so weighting it once more changes nothing for a mask of zeros and ones.
            dual *= mask
            dual -= residuals[view]
            dual /= np.where(mask > 0, mask, 1)
            if data.problem.fit_offsets and data.weight_sums[view] > 0:
                mean = np.vdot(proximal_weight, dual) / proximal_weight.sum(dtype=np.float64)
                dual -= mean.astype(dual.dtype)
            dual *= proximal_weight
