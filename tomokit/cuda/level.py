"""One level of the projection pyramid on a device: its data, and a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import FieldOnDevice
from tomokit.cuda.leaves import LeavesOnDevice
from tomokit.cuda.parts import Part, part_of_problem
from tomokit.cuda.penalties import PullsOnDevice
from tomokit.octree import Forest

if TYPE_CHECKING:
    from tomokit.fit.level import Level


class LevelOnDevice:
    """A :class:`tomokit.fit.level.Level` whose projections, mask and exposures lie on a device.

    Parameters
    ----------
    device : Device
    level : Level
    part : Part
        Whose rows are held here; exposures are all views' on every device.
    mask_sum : ndarray of float64, shape (n_views,)
        Sum of each view's mask, over all parts.
    """

    def __init__(self, device: Device, level: Level, part: Part, mask_sum: NDArray[np.float64]) -> None:
        self.device, self.level, self.mask_sum = device, level, mask_sum
        problem = part_of_problem(level.problem, part, level.pixel)
        self._geometry = problem.geometry
        self._forest: Forest | None = None
        self._projector: LeavesOnDevice | None = None
        with device:
            xp = device.xp
            self._data = xp.asarray(np.ascontiguousarray(problem.projections, np.float32))
            mask = problem.mask
            self._mask = None if mask is None else xp.asarray(np.ascontiguousarray(mask, np.float32))
            self._mask_sum, self._exposure = xp.asarray(mask_sum), xp.asarray(level.exposure)

    def projector(self, forest: Forest) -> LeavesOnDevice:
        """The projector over `forest` (in fine pixels), kept until another forest comes."""
        if self._projector is None or self._forest is not forest:
            # The old one's tables go before the new one's come.
            self._projector = None
            scaled = forest.in_pixels(self.level.pixel)
            self._projector = LeavesOnDevice(self.device, scaled, self._geometry)
            self._forest = forest
        return self._projector

    def send_exposure(self) -> None:
        """Take the exposures of the host's level."""
        self._exposure = self.device.xp.asarray(self.level.exposure)

    def fetch_exposure(self) -> None:
        """Give them back."""
        self.level.exposure[...] = self.device.to_host(self._exposure)

    def residual(self, field: FieldOnDevice, chosen: Any) -> tuple[Any, Any]:
        """Residuals of some views, the last exposure subtracted, and the sums of their blocks (see `leaf_rows.cu`)."""
        a = self.projector(field.forest)
        projected = a.project(field.density[: field.forest.n_leaves], chosen)
        return a.residual(projected, chosen, self.level.kappa, self._data, self._mask, self._exposure)

    def update(
        self,
        field: FieldOnDevice,
        residual: Any,
        partial: Any,
        chosen: Any,
        views: NDArray[np.int64],
        pulls: PullsOnDevice,
        hyper: Any,
        totals: Any,
    ) -> None:
        """Solve for the exposures, and take one optimizer step on the leaves; everything stays on the device.

        Parameters
        ----------
        field : FieldOnDevice
        residual : array of float32
            From :meth:`residual`.
        partial : array of float32, shape (n, n_blocks, 2)
            The sums of all parts' blocks.
        chosen : array of int32
            The views of the step, on the device.
        views : ndarray of int64
            The same, on the host.
        pulls : PullsOnDevice
        hyper : array of float32, shape (7,)
        totals : array of float64
            The first two are added to: sum of ``m (P - p)^2``, and of m.
        """
        a, kappa = self.projector(field.forest), self.level.kappa
        fitted = self.level.problem.fit_exposure
        offset = a.fit_exposure(partial, chosen, self._mask_sum, self._exposure, totals, fitted)
        factor = 2 * kappa / max(float(self.mask_sum[views].sum()), 1.0)
        contracted = a.contract(residual, chosen, factor, self._mask, offset)
        field.update(a, contracted, chosen, pulls, hyper)


def mask_sums(level: Level) -> NDArray[np.float64]:
    """Sum of each view's mask, shape (n_views,)."""
    shape, mask = level.problem.projections.shape, level.problem.mask
    return np.full(shape[0], float(shape[1] * shape[2])) if mask is None else mask.sum(axis=(1, 2), dtype=np.float64)
