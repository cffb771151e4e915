"""What takes a voxel method's steps, on the host or on a GPU: the interfaces.

A run says which steps are taken in which order; its engine takes them and alone knows where the arrays lie. The run's
arrays on the host stay the same objects throughout; an engine on a device works on copies of them, brings these back
when asked (:meth:`Engine.fetch`), and takes the host's anew when told that they were overwritten
(:meth:`Engine.take_host_arrays`).

An engine on a device is chosen (:mod:`tomokit.methods.voxels.engine_choice`) if the backend is ``"cuda"`` and all of
the run fits into the first device's memory; otherwise the host's, whose projections go through the devices in slabs
where the backend is ``"cuda"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
