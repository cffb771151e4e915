"""One level of the projection pyramid on a device: its data, and a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import Device, sent
from tomokit.methods.octree.cuda.detector_rows import rows_of
from tomokit.methods.octree.cuda.field import FieldOnDevice
from tomokit.octree import Forest
from tomokit.octree.partition import Partition
from tomokit.projector.cuda.leaves import FootprintsOnDevice, LeavesOnDevice
from tomokit.regularizers.cuda.interface import GradientsOnGpu

if TYPE_CHECKING:
    from tomokit.methods.octree.pyramid_level import PyramidLevel


@dataclass(frozen=True)
class ForwardResult:
    """What a step's update needs of the views that it looked at.

    Attributes
    ----------
    views : ndarray of int64, shape (n,)
    chosen : array of int32, shape (n,)
        The same on the device.
    residual : array of float32, shape (n, n_u, n_y)
        The last offset subtracted.
    partial : array of float32, shape (n, n_blocks, 2)
        Its sums (see ``leaf_rows.cu``).
    mask : array of float32, or None
        Of these views or of all, as the level holds them.
    """

    views: NDArray[np.int64]
    chosen: Any
    residual: Any
    partial: Any
    mask: Any


class LevelOnDevice:
    """A part of a :class:`tomokit.methods.octree.pyramid_level.PyramidLevel` whose offsets, projections and mask lie on
    a device.

    Parameters
    ----------
    device : Device
    level : PyramidLevel
    partition : Partition
        Whose rows are held here; offsets are all views' on every device.
    footprints : FootprintsOnDevice, optional
        Of the leaves in the level's pixels, where they are on the device already.
    sends_views : bool
        Whether projections and mask of a step's views are sent with it, and not all of them at once.
    """

    def __init__(
        self,
        device: Device,
        level: PyramidLevel,
        partition: Partition,
        footprints: FootprintsOnDevice | None = None,
        sends_views: bool = False,
    ) -> None:
        self.device, self.level = device, level
        self._footprints = footprints
        self._partition_rows, self._sends_views = rows_of(level.problem, partition, level.pixel), sends_views
        self._forest: Forest | None = None
        self._projector: LeavesOnDevice | None = None
        with device:
            xp = device.xp
            self._images = (None, None) if sends_views else self._send_images()
            self._mask_sum, self._offsets = xp.asarray(level.mask_sums), xp.asarray(level.offsets)

    def projector(self, forest: Forest) -> LeavesOnDevice:
        """The projector over `forest` (in fine pixels), kept until another forest comes."""
        if self._projector is None or self._forest is not forest:
            # The old one's tables go before the new one's come.
            self._projector = None
            scaled = forest.in_pixels(self.level.pixel)
            self._projector = LeavesOnDevice(self.device, scaled, self._partition_rows.geometry, self._footprints)
            self._forest = forest
        return self._projector

    def send_offsets(self) -> None:
        """Take the offsets of the host's level."""
        with self.device:
            self._offsets = self.device.xp.asarray(self.level.offsets)

    def fetch_offsets(self) -> None:
        """Give them back."""
        with self.device:
            self.level.offsets[...] = self.device.to_host(self._offsets)

    def forward(self, field: FieldOnDevice, chosen: Any, views: NDArray[np.int64]) -> ForwardResult:
        """The residuals of some views, given on the device and on the host."""
        a = self.projector(field.forest)
        data, mask = self._send_images(views) if self._sends_views else self._images
        projected = a.project(field.density, chosen)
        residual, partial = a.residual(
            projected, chosen, self.level.kappa, data, mask, self._offsets, gathered=self._sends_views
        )
        return ForwardResult(views, chosen, residual, partial, mask)

    def update(
        self,
        field: FieldOnDevice,
        forward_result: ForwardResult,
        partial: Any,
        gradients: GradientsOnGpu,
        hyper: Any,
        totals: Any,
    ) -> None:
        """Solve for the offsets, and take one optimizer step on the leaves; everything stays on the device.

        Parameters
        ----------
        field : FieldOnDevice
        forward_result : ForwardResult
            From :meth:`forward`.
        partial : array of float32, shape (n, n_blocks, 2)
            The sums of all parts' blocks.
        gradients : GradientsOnGpu
            What the penalties add.
        hyper : array of float32, shape (7,)
        totals : array of float64
            The first two are added to: sum of ``m (P - p)^2``, and of m.
        """
        a, kappa = self.projector(field.forest), self.level.kappa
        fitted = self.level.problem.fit_offsets
        offset = a.fit_offsets(partial, forward_result.chosen, self._mask_sum, self._offsets, totals, fitted)
        factor = 2 * kappa / max(float(self.level.mask_sums[forward_result.views].sum()), 1.0)
        contracted = a.contract(
            forward_result.residual,
            forward_result.chosen,
            factor,
            forward_result.mask,
            offset,
            gathered=self._sends_views,
        )
        field.update(a, contracted, forward_result.chosen, gradients, hyper)

    def _send_images(self, views: NDArray[np.int64] | None = None) -> tuple[Any, Any]:
        """Of some views, without waiting for them; or of all, which are too many to go through pinned memory."""
        data, mask = self._partition_rows.images(slice(None) if views is None else views)

        def put(images: NDArray[np.float32]) -> Any:
            return sent(self.device, images) if views is None else self.device.xp.asarray(images)

        return put(data), None if mask is None else put(mask)
