"""What every dense-voxel method shares: the operator, the masked residual, the offset and the run's bookkeeping.

A run keeps the density in units of projection per pixel, ``d = kappa * rho``, so that the operator's line integrals
are predictions as they stand; :meth:`VoxelRun.volume` gives ``rho``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.margin import margin_px
from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector

if TYPE_CHECKING:
    from tomokit.gpu.mirrored_arrays import MirroredArrays
    from tomokit.methods.voxels.cuda.steps import VoxelSteps


class VoxelRun:
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
        self._offsets = np.zeros(geometry.n_views, np.float64)
        # Those of the run's arrays that a device works on, where it does.
        self._mirrored: MirroredArrays | None = None
        self._weight_sums = (
            np.full(geometry.n_views, float(geometry.n_u * geometry.n_v))
            if self.mask is None
            else self.mask.sum(axis=(1, 2), dtype=np.float64)
        )

    def residual(self, predicted: NDArray[np.floating], view: int) -> NDArray[np.floating]:
        """Masked residual ``m (p - predicted - b)`` of one view, after solving for its offset.

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
        if self.problem.fit_offsets and self._weight_sums[view] > 0:
            offset = float(residual.sum(dtype=np.float64) / self._weight_sums[view])
            self._offsets[view] = offset
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

    def mirror_on_device(self, volumes: int, views: int, more_bytes: int = 0) -> MirroredArrays | None:
        """Let a GPU that has room for this run hold its density and offset.

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
        MirroredArrays or None
            None where there is no such GPU, and the host takes the steps.
        """
        if self.problem.backend != "cuda":
            return None
        from tomokit.gpu.device import devices
        from tomokit.gpu.mirrored_arrays import MirroredArrays
        from tomokit.methods.voxels.cuda.data import device_for_steps

        shape = self.operator.volume_shape
        device = device_for_steps(devices(), self.problem, shape, volumes, views, more_bytes)
        if device is not None:
            self._mirrored = MirroredArrays(device, {"density": self.density, "offsets": self._offsets})
        return self._mirrored

    def steps_on_device(
        self, ray_weight: NDArray[np.floating], groups: Sequence[NDArray[np.int64]], *volumes: int
    ) -> VoxelSteps | None:
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
            mirrored = self.mirror_on_device(number, views)
            if mirrored is None:
                continue
            from tomokit.methods.voxels.cuda.steps import VoxelSteps

            shape = self.operator.volume_shape
            return VoxelSteps(mirrored, self.problem, shape, ray_weight, self._weight_sums, groups, number)
        return None

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without offset (see :class:`Run`)."""
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
        if self._mirrored is not None:
            self._mirrored.bring("density")
        return self.density

    def offsets(self) -> NDArray[np.float32]:
        """Additive offset of each view in units of projection, shape (n_views,)."""
        if self._mirrored is not None:
            self._mirrored.bring("offsets")
        return self._offsets.astype(np.float32)

    def stored_density(self) -> dict[str, Any]:
        """How the density follows from the arrays (see :mod:`tomokit.state.density`)."""
        return {
            "kind": "voxels",
            "array": "density",
            "margin_px": self._margin_px,
            "scale": 1.0 / self.problem.geometry.kappa,
            "least": None,
        }

    def resolved_parameters(self) -> dict[str, Any]:
        """The margin, the weight of a penalty where there is one, and on a GPU whether all the run has lies there, or
        is sent in slabs between projections."""
        found: dict[str, Any] = {"margin_px": self._margin_px}
        weight = getattr(self, "weight", None)
        if weight is not None:
            found["weight"] = float(weight)
        if self.problem.backend == "cuda":
            found["in_slabs"] = self._mirrored is None
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Density and offset, brought to the host; a method with more state adds its own."""
        if self._mirrored is not None:
            self._mirrored.bring()
        return {"density": self.density, "offsets": self._offsets}

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
        if self._mirrored is not None:
            self._mirrored.forget()
        self.epoch = epoch


def invert_above(values: NDArray[np.floating], least: float) -> NDArray[np.floating]:
    """``1 / values`` where they exceed `least`, else 0; in place, because weights are as large as the data."""
    values[values <= least] = np.inf
    return np.divide(1, values, out=values)


def voxel_bytes(shape: ProblemShape, margin: float | None, volumes: int, stacks: int, views: int = 0) -> int:
    """Bytes of so many float32 volumes (with margin), stacks and single views."""
    wide = 1 + 2 * margin_px(shape, margin) / shape.n_u
    return int(volumes * shape.volume_bytes * wide + (stacks + views / shape.n_views) * shape.stack_bytes)
