"""One level of the projection pyramid on a device: its data, and a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import FieldOnDevice
from tomokit.cuda.leaves import LeavesOnDevice
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
    """

    def __init__(self, device: Device, level: Level) -> None:
        self.device, self.level = device, level
        problem = level.problem
        self._forest: Forest | None = None
        self._projector: LeavesOnDevice | None = None
        mask, shape = problem.mask, problem.projections.shape
        self.mask_sum = (
            np.full(shape[0], float(shape[1] * shape[2])) if mask is None else mask.sum(axis=(1, 2), dtype=np.float64)
        )
        with device:
            xp = device.xp
            self._data = xp.asarray(np.ascontiguousarray(problem.projections, np.float32))
            self._mask = None if mask is None else xp.asarray(np.ascontiguousarray(mask, np.float32))
            self._mask_sum, self._exposure = xp.asarray(self.mask_sum), xp.asarray(level.exposure)

    def projector(self, forest: Forest) -> LeavesOnDevice:
        """The projector over `forest` (in fine pixels), kept until another forest comes."""
        if self._projector is None or self._forest is not forest:
            # The old one's tables go before the new one's come.
            self._projector = None
            scaled = forest.in_pixels(self.level.pixel)
            self._projector = LeavesOnDevice(self.device, scaled, self.level.problem.geometry)
            self._forest = forest
        return self._projector

    def send_exposure(self) -> None:
        """Take the exposures of the host's level."""
        self._exposure = self.device.xp.asarray(self.level.exposure)

    def fetch_exposure(self) -> None:
        """Give them back."""
        self.level.exposure[...] = self.device.to_host(self._exposure)

    def contracted(self, field: FieldOnDevice, chosen: Any, views: NDArray[np.int64], totals: Any) -> Any:
        """The residual of some views as the update takes it; exposures solved for, sums added to the totals.

        Parameters
        ----------
        field : FieldOnDevice
        chosen : array of int32
            The views, on the device.
        views : ndarray of int64
            The same, on the host.
        totals : array of float64
            The first two are added to: sum of ``m (P - p)^2``, and of m.
        """
        a = self.projector(field.forest)
        projected = a.project(field.density, chosen)
        kappa = self.level.kappa
        residual, partial = a.residual(projected, chosen, kappa, self._data, self._mask, self._exposure)
        fitted = self.level.problem.fit_exposure
        offset = a.fit_exposure(partial, chosen, self._mask_sum, self._exposure, totals, fitted)
        factor = 2 * kappa / max(float(self.mask_sum[views].sum()), 1.0)
        return a.contract(residual, chosen, factor, self._mask, offset)

    def step(
        self,
        field: FieldOnDevice,
        chosen: Any,
        views: NDArray[np.int64],
        pulls: PullsOnDevice,
        hyper: Any,
        totals: Any,
    ) -> None:
        """One optimizer step on some views; everything stays on the device."""
        contracted = self.contracted(field, chosen, views, totals)
        field.update(self.projector(field.forest), contracted, chosen, pulls, hyper)
