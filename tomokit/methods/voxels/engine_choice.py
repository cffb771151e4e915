"""The choice of what takes a voxel method's steps: a GPU that has room for the run, or the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.engine import DenoisingEngine, HostArrays, StepEngine, StepWeights, TvEngine

if TYPE_CHECKING:
    from tomokit.methods.voxels.preconditioner import CosinePreconditioner


def choose_step_engine(data: DataTerm, arrays: HostArrays, weights: StepWeights) -> StepEngine:
    """Choose where SIRT or SART takes its steps: on the first GPU if the run fits there, else on the host.

    Parameters
    ----------
    data : DataTerm
        What is fitted.
    arrays : mapping of str to ndarray
        The run's arrays: ``density`` (n_x, n_z, n_y) in units of projection per pixel, and ``offsets`` of `data`.
    weights : StepWeights
        Groups of views and normalization.

    Returns
    -------
    StepEngine
    """
    if data.problem.backend == "cuda":
        from tomokit.methods.voxels.cuda.steps import step_engine_on_device

        on_device = step_engine_on_device(data, arrays, weights)
        if on_device is not None:
            return on_device
    from tomokit.methods.voxels.host_engine import StepEngineOnHost

    return StepEngineOnHost(data, arrays, weights)


def choose_denoising_engine(data: DataTerm, arrays: HostArrays, weights: StepWeights) -> DenoisingEngine:
    """Choose where SART+TV takes its steps and denoises: a GPU that has room for the steps alone may only step.

    Parameters
    ----------
    data : DataTerm
        What is fitted.
    arrays : mapping of str to ndarray
        Those of :func:`choose_step_engine`, and ``dual`` (3, n_x, n_z, n_y), of no unit.
    weights : StepWeights
        Groups of views and normalization.

    Returns
    -------
    DenoisingEngine
    """
    if data.problem.backend == "cuda":
        from tomokit.methods.voxels.cuda.steps import denoising_engine_on_device

        on_device = denoising_engine_on_device(data, arrays, weights)
        if on_device is not None:
            return on_device
    from tomokit.methods.voxels.host_engine import DenoisingEngineOnHost

    return DenoisingEngineOnHost(data, arrays, weights)


def choose_tv_engine(data: DataTerm, arrays: HostArrays, precondition: CosinePreconditioner) -> TvEngine:
    """Choose where converged total variation iterates: on the first GPU if it has room and cuFFT, else on the host.

    Parameters
    ----------
    data : DataTerm
        What is fitted.
    arrays : mapping of str to ndarray
        The run's arrays: ``density``, ``ahead`` and ``nonnegativity_dual`` (n_x, n_z, n_y), ``gradient_dual``
        (3, n_x, n_z, n_y), ``data_dual`` (n_views, n_u, n_y), and ``offsets`` of `data`.
    precondition : CosinePreconditioner
        Inverse of the primal step's matrix.

    Returns
    -------
    TvEngine
    """
    if data.problem.backend == "cuda":
        from tomokit.methods.voxels.cuda.tv import tv_engine_on_device

        on_device = tv_engine_on_device(data, arrays, precondition)
        if on_device is not None:
            return on_device
    from tomokit.methods.voxels.host_engine import TvEngineOnHost

    return TvEngineOnHost(data, arrays, precondition)
