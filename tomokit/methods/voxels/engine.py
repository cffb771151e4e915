"""What takes a voxel method's steps, on the host or on a GPU: the interfaces, and the choice at the start of a run.

A run says which steps are taken in which order; its engine takes them and alone knows where the arrays lie. The run's
arrays on the host stay the same objects throughout; an engine on a device works on copies of them, brings these back
when asked (:meth:`Engine.fetch`), and takes the host's anew when told that they were overwritten
(:meth:`Engine.take_host_arrays`).

An engine on a device is chosen if the backend is ``"cuda"`` and all of the run fits into the first device's memory;
otherwise the host's, whose projections go through the devices in slabs where the backend is ``"cuda"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tomokit.methods.voxels.data_term import DataTerm

if TYPE_CHECKING:
    from tomokit.methods.voxels.preconditioner import CosinePreconditioner

HostArrays = Mapping[str, NDArray[np.floating]]
"""The run's arrays on the host by their names in a state; they stay the same objects while it runs."""


class Engine(Protocol):
    """The place of a run's arrays: what every engine can do, whatever steps it takes."""

    def fetch(self, *names: str) -> None:
        """Bring the run's arrays on the host up to date.

        Parameters
        ----------
        *names : str
            Which of them, by their names in a state; all if none is given.
        """
        ...

    def take_host_arrays(self) -> None:
        """Go on from the values that the run's arrays have on the host, which somebody else has written."""
        ...

    def resolved_parameters(self) -> dict[str, bool]:
        """What provenance says of where the run took place.

        Returns
        -------
        dict
            On backend ``"cuda"``, ``in_slabs``: whether arrays lie on the host and are sent in slabs for each
            projection. Empty otherwise.
        """
        ...


class StepEngine(Engine, Protocol):
    """Steps along the back-projected residuals of some views at a time, as SIRT and SART take them."""

    def begin(self, squares: float = 0.0) -> None:
        """Start the sum of squared residuals.

        Parameters
        ----------
        squares : float
            What it begins at: not 0 where a sweep continues that was interrupted.
        """
        ...

    def step(self, group: int, factor: float, nonnegative: bool) -> None:
        """Take one step by a group of views: ``d <- d + factor C A^T R m (p - A d - b)``.

        Parameters
        ----------
        group : int
            Index into :attr:`StepWeights.groups`.
        factor : float
            Step length, omega.
        nonnegative : bool
            Whether negative densities are then set to zero.
        """
        ...

    def fetch_squares(self) -> float:
        """Sum of squared residuals since :meth:`begin`, each as its step found it.

        Returns
        -------
        float
        """
        ...


class DenoisingEngine(StepEngine, Protocol):
    """Steps of SART, and the total-variation denoising between its sweeps."""

    def denoise(self, weight: float, iterations: int, nonnegative: bool) -> None:
        """Replace the density by total variation's proximal map of it, whose dual is the array ``dual``.

        Parameters
        ----------
        weight : float
            Weight of total variation, in units of projection per pixel.
        iterations : int
            Gradient projections of the dual, which begins where it was left.
        nonnegative : bool
            Whether the map is over densities that are not negative.
        """
        ...


class TvEngine(Engine, Protocol):
    """Primal-dual iterations of converged total variation (:mod:`tomokit.methods.voxels.tv`)."""

    def iterate(self, dual_rate: float, weight: float, nonnegative: bool) -> tuple[float, float]:
        """Update the three duals, the density and the point ahead of it once.

        Parameters
        ----------
        dual_rate : float
            Step g of the duals of the gradient and of non-negativity.
        weight : float
            Weight of total variation, in units of projection times px.
        nonnegative : bool
            Whether densities are constrained to be non-negative.

        Returns
        -------
        squares : float
            Sum of squared residuals at the point ahead, before the update.
        variation : float
            Total variation of the new density, in units of projection per pixel; of no meaning without a weight.
        """
        ...


@dataclass(frozen=True)
class StepWeights:
    """Which views are taken together in a step of SIRT or SART, and what normalizes it.

    Attributes
    ----------
    groups : sequence of ndarray of int64
        Views of each step, in ascending order without gaps.
    ray_weight : ndarray, shape (n_views, n_u, n_y)
        R: one over the path length of each ray in the volume, in 1/px; 0 for rays that miss it.
    voxel_weight : ndarray or None, shape (n_x, n_z, n_y)
        C: one over the sum of a voxel's weights in all views; None for 1.
    """

    groups: Sequence[NDArray[np.int64]]
    ray_weight: NDArray[np.floating]
    voxel_weight: NDArray[np.floating] | None = None


class EngineOnHost:
    """Arrays that stay on the host, where there is nothing to fetch; only projections may go through a device.

    Parameters
    ----------
    backend : str
        Of the projections: ``"cpu"``, ``"cuda"`` or ``"reference"``.
    """

    def __init__(self, backend: str) -> None:
        self._in_slabs = backend == "cuda"

    def fetch(self, *names: str) -> None:
        """Do nothing, as the run's arrays are always up to date (see :class:`Engine`)."""

    def take_host_arrays(self) -> None:
        """Do nothing, as there are no other arrays (see :class:`Engine`)."""

    def resolved_parameters(self) -> dict[str, bool]:
        """That arrays go through the device in slabs, where they do (see :class:`Engine`)."""
        return {"in_slabs": True} if self._in_slabs else {}


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
