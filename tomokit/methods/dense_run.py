"""What every dense-voxel method shares: the operator, the masked residual, the exposure and the run's bookkeeping.

A run keeps the density in units of projection per pixel, ``d = kappa * rho``, so that the operator's line integrals
are predictions as they stand; :meth:`DenseRun.volume` gives ``rho``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem, ProblemShape
from tomokit.plugin.options import option
from tomokit.projector import DenseProjector

if TYPE_CHECKING:
    from tomokit.cuda.dense_steps import DenseSteps
    from tomokit.cuda.held import HeldArrays


class DenseRun:
    """Base of the iterative methods on a voxel grid.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    epochs : int
        Epochs of the whole run.
    margin : float or None
        Voxels added on either side across the tilt axis, as a share of the detector's width (see :func:`margin_px`).
    """

    def __init__(self, problem: Problem, epochs: int, margin: float | None = 0.0) -> None:
        self.problem = problem
        self.epochs = epochs
        self.epoch = 0
        geometry = problem.geometry
        self._margin_px = margin_px(ProblemShape.of(problem), margin)
        n_x = geometry.n_u + 2 * self._margin_px
        self.operator = DenseProjector(geometry, problem.thickness_px, n_x, backend=problem.backend)
        self.projections = problem.projections.astype(self.operator.dtype, copy=False)
        self.mask = None if problem.mask is None else problem.mask.astype(self.operator.dtype, copy=False)
        self.density: NDArray[np.floating] = np.zeros(self.operator.volume_shape, self.operator.dtype)
        self._exposure = np.zeros(geometry.n_views, np.float64)
        # Those of the run's arrays that a device works on, where it does.
        self._held: HeldArrays | None = None
        self._weight_sums = (
            np.full(geometry.n_views, float(geometry.n_u * geometry.n_v))
            if self.mask is None
            else self.mask.sum(axis=(1, 2), dtype=np.float64)
        )

    def residual(self, predicted: NDArray[np.floating], view: int) -> NDArray[np.floating]:
        """Masked residual ``m (p - predicted - b)`` of one view, after solving for its exposure.

        Parameters
        ----------
        predicted : ndarray, shape (n_u, n_y)
            Line integrals of the present density; overwritten by the result.
        view : int
            Index of the view.

        Returns
        -------
        ndarray, shape (n_u, n_y)
        """
        residual = np.subtract(self.projections[view], predicted, out=predicted)
        mask = None if self.mask is None else self.mask[view]
        if mask is not None:
            residual *= mask
        if self.problem.fit_exposure and self._weight_sums[view] > 0:
            offset = float(residual.sum(dtype=np.float64) / self._weight_sums[view])
            self._exposure[view] = offset
            residual -= residual.dtype.type(offset) if mask is None else residual.dtype.type(offset) * mask
        return residual

    def residuals(self, density: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
        """Masked residuals of all views and the data term, ``sum m r^2 / sum m``.

        Parameters
        ----------
        density : ndarray, shape (n_x, n_z, n_y)
            In units of projection per pixel.

        Returns
        -------
        residuals : ndarray, shape (n_views, n_u, n_y)
        loss : float
        """
        stack = self.operator(density)
        squares = 0.0
        for view in range(len(stack)):
            residual = self.residual(stack[view], view)
            squares += float(np.vdot(residual, residual))
        return stack, squares / max(float(self._weight_sums.sum()), 1.0)

    def hold_on_device(self, volumes: int, views: int, more_bytes: int = 0) -> HeldArrays | None:
        """Let a GPU that has room for this run hold its density and exposure.

        Parameters
        ----------
        volumes : int
            Arrays of the volume's size that are there at a time.
        views : int
            Taken at a time.
        more_bytes : int
            Beside volumes and stacks.

        Returns
        -------
        HeldArrays or None
            None where there is no such GPU, and the host takes the steps.
        """
        if self.problem.backend != "cuda":
            return None
        from tomokit.cuda.dense_data import device_for_steps
        from tomokit.cuda.device import devices
        from tomokit.cuda.held import HeldArrays

        shape = self.operator.volume_shape
        device = device_for_steps(devices(), self.problem, shape, volumes, views, more_bytes)
        if device is not None:
            self._held = HeldArrays(device, {"density": self.density, "exposure": self._exposure})
        return self._held

    def steps_on_device(
        self, ray_weight: NDArray[np.floating], groups: Sequence[NDArray[np.int64]], *volumes: int
    ) -> DenseSteps | None:
        """What takes steps on a GPU that holds this run; None where the host takes them.

        Parameters
        ----------
        ray_weight : ndarray, shape (n_views, n_u, n_v)
        groups : sequence of ndarray of int64
            Views that are taken together, each in ascending order without gaps.
        *volumes : int
            Arrays of the volume's size that the steps have; the first number of them that fits is the steps' own.
        """
        views = max(chosen.size for chosen in groups)
        for number in volumes:
            held = self.hold_on_device(number, views)
            if held is None:
                continue
            from tomokit.cuda.dense_steps import DenseSteps

            shape = self.operator.volume_shape
            return DenseSteps(held, self.problem, shape, ray_weight, self._weight_sums, groups, number)
        return None

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without exposure (see :class:`Run`)."""
        n_x, n_z, _ = self.operator.volume_shape
        projector = DenseProjector(geometry, n_z, n_x, backend=self.problem.backend)
        return projector(self._estimate()).astype(np.float32, copy=False)

    def volume(self) -> NDArray[np.float32]:
        """The density ``rho`` ``[x, z, y]`` over the detector's width (see :class:`Run`)."""
        geometry = self.problem.geometry
        inner = self._estimate()[self._margin_px : self._margin_px + geometry.n_u]
        return np.asarray(inner * (1.0 / geometry.kappa), np.float32)

    def _estimate(self) -> NDArray[np.floating]:
        """The density to show; a method whose iterates are not their own best answer says so here."""
        if self._held is not None:
            self._held.bring("density")
        return self.density

    def exposure(self) -> NDArray[np.float32]:
        """Additive exposure of each view in units of projection, shape (n_views,)."""
        if self._held is not None:
            self._held.bring("exposure")
        return self._exposure.astype(np.float32)

    def stored_density(self) -> dict[str, Any]:
        """How the density follows from the arrays (see :mod:`tomokit.state.density`)."""
        return {
            "kind": "voxels",
            "array": "density",
            "margin_px": self._margin_px,
            "scale": 1.0 / self.problem.geometry.kappa,
            "least": None,
        }

    def settled(self) -> dict[str, Any]:
        """The margin, the weight of a penalty where there is one, and on a GPU whether all the run has lies there, or
        is sent in slabs between projections."""
        found: dict[str, Any] = {"margin_px": self._margin_px}
        weight = getattr(self, "weight", None)
        if weight is not None:
            found["weight"] = float(weight)
        if self.problem.backend == "cuda":
            found["in_slabs"] = self._held is None
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Density and exposure, brought to the host; a method with more state adds its own."""
        if self._held is not None:
            self._held.bring()
        return {"density": self.density, "exposure": self._exposure}

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue after `epoch` epochs.

        Raises
        ------
        InputError
            If an array is missing or of another shape or type.
        """
        own = self.arrays()
        for name, mine in own.items():
            if name not in arrays:
                raise InputError("not in the state", field=name)
            if arrays[name].shape != mine.shape or arrays[name].dtype != mine.dtype:
                raise InputError(
                    f"{arrays[name].dtype}{arrays[name].shape}, expected {mine.dtype}{mine.shape}", field=name
                )
        for name, mine in own.items():
            mine[...] = arrays[name]
        if self._held is not None:
            self._held.forget()
        self.epoch = epoch


def margin_option() -> Any:
    """The option ``margin`` that the iterative methods share."""
    return option(
        None,
        "Lateral margin on each side, as a share of the detector's width; none given: what the highest views see "
        "if the specimen fills the field (its exposure is fitted), else 0.",
        minimum=0.0,
    )


def margin_px(shape: ProblemShape, margin: float | None) -> int:
    """Voxels of the lateral margin on each side.

    At a tilt of theta a detector of width W sees ``W / cos(theta)`` of the slab's middle. Where specimen continues
    beyond the field, what lies there has to be given room, or it is pressed into the edges. Tilts beyond 60 degrees ask
    for no more than 60.
    """
    if margin is None:
        widest = min(abs(shape.highest_tilt_deg), 60.0)
        margin = (1 / math.cos(math.radians(widest)) - 1) / 2 if shape.fit_exposure else 0.0
    return round(margin * shape.n_u)


def invert_above(values: NDArray[np.floating], least: float) -> NDArray[np.floating]:
    """``1 / values`` where they exceed `least`, else 0; in place, because weights are as large as the data."""
    values[values <= least] = np.inf
    return np.divide(1, values, out=values)


def dense_bytes(shape: ProblemShape, margin: float | None, volumes: int, stacks: int, views: int = 0) -> int:
    """Bytes of so many float32 volumes (with margin), stacks and single views."""
    wide = 1 + 2 * margin_px(shape, margin) / shape.n_u
    return int(volumes * shape.volume_bytes * wide + (stacks + views / shape.n_views) * shape.stack_bytes)
