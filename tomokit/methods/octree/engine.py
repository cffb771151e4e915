"""The interface of the engines that carry out the steps of an octree fit, on the host or on GPUs.

The schedule (:mod:`tomokit.methods.octree.run`) knows epochs, structure and learning rates, and nothing of where the
field lies; an engine knows the field and its steps, and nothing of the schedule. Which engine a fit has is chosen once,
where it is started (:mod:`tomokit.methods.octree.method`).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.pausing import EpochProgress
from tomokit.octree.error_indicators import ErrorIndicators


class Engine(Protocol):
    """The field of an octree fit and the steps on it.

    Attributes
    ----------
    leaves : LeafField
        The host's field. Its forest is always the present one; its arrays are those of the last :meth:`fetch`.
    """

    leaves: LeafField

    def place(self, leaves: LeafField) -> None:
        """Continue with another field; what belongs to the one before is given up.

        Parameters
        ----------
        leaves : LeafField
            Kept, and changed by :meth:`fetch` or by every step.
        """
        ...

    def begin(self, plan: EpochPlan) -> None:
        """Prepare the steps of an epoch, or those that are left of it; none is taken yet.

        Parameters
        ----------
        plan : EpochPlan
        """
        ...

    def step(self, number: int) -> None:
        """Take one optimizer step.

        Parameters
        ----------
        number : int
            Counted from the first step of the plan; steps are taken in their order.
        """
        ...

    @property
    def has_diverged(self) -> bool:
        """Whether a term of the loss is known to be not finite; an engine that sums on a GPU knows only at the end."""
        ...

    def progress(self) -> EpochProgress:
        """The sums of the epoch so far, from which it can continue, here or with another engine.

        Returns
        -------
        EpochProgress
            Sums over the steps taken, each penalty over the number of the epoch's steps; the random generator's state.
            The level's offsets are those of the last step that had each view.
        """
        ...

    def density_is_finite(self) -> bool:
        """Whether every density is a finite number after the epoch's last step.

        Returns
        -------
        bool
        """
        ...

    def measure(self) -> ErrorIndicators:
        """Error indicators of the present densities, for changes of the octree.

        Returns
        -------
        ErrorIndicators
            An error and a largest density for each leaf.
        """
        ...

    def fetch(self) -> LeafField:
        """Bring the host's arrays of the field up to date.

        Returns
        -------
        LeafField
            The same object as :attr:`leaves`.
        """
        ...

    def predict(self, geometry: TiltGeometry, kappa: float) -> NDArray[np.float32]:
        """Projections of the present density, without offsets.

        Parameters
        ----------
        geometry : TiltGeometry
            Views of the same detector, at full resolution.
        kappa : float
            Projection per line integral in pixels.

        Returns
        -------
        ndarray of float32, shape (n_views, n_u, n_y)
            ``[tilt, u, y]``.
        """
        ...

    def sample(self, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Mean densities in voxels of one detector pixel, in the fit's unit.

        Parameters
        ----------
        shape : tuple of int
            ``(n_x, n_z, n_y)`` of a volume around the origin.

        Returns
        -------
        ndarray of float32, shape (n_x, n_z, n_y)
        """
        ...

    def resolved_parameters(self) -> dict[str, Any]:
        """What the engine decided by itself, such as the number of partitions, for the provenance.

        Returns
        -------
        dict
            JSON-serializable; empty if there was nothing to decide.
        """
        ...


class MakeEngine(Protocol):
    """A factory of engines, called when the plan and the first field of a fit are known."""

    def __call__(self, plan: FitPlan, leaves: LeafField) -> Engine:
        """Make an engine for one fit.

        Parameters
        ----------
        plan : FitPlan
        leaves : LeafField
            The field to start from.

        Returns
        -------
        Engine
        """
        ...
