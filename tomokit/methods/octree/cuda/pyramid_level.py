"""One level of the projection pyramid on a device, for one subdomain: its images and offsets, and a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device, sent
from tomokit.methods.octree.cuda.detector_rows import rows_of
from tomokit.methods.octree.cuda.field import FieldOnDevice
from tomokit.methods.octree.cuda.field_arrays import FieldArrays
from tomokit.octree import Forest
from tomokit.octree.partition import Partition
from tomokit.projector.cuda.leaves import FootprintsOnDevice, LeavesOnDevice
from tomokit.regularizers.cuda.interface import GradientsOnGpu

if TYPE_CHECKING:
    from tomokit.methods.octree.pyramid_level import PyramidLevel


@dataclass(frozen=True)
class ForwardResult:
    """The forward result of a step: residuals of its views, which the update of the leaves needs.

    Attributes
    ----------
    views : ndarray of int64, shape (n_chosen,)
        The step's views.
    chosen : array of int32, shape (n_chosen,)
        The same on the device.
    residual : array of float32, shape (n_chosen, n_u, n_rows)
        ``P - p``, ``[view, u, y]``, in units of projection, with the offsets that were solved for last.
    partial : array of float32, shape (n_chosen, n_blocks, 2)
        Sums of the masked residual and of its squares over blocks of pixels (see ``leaf_rows.cu``).
    mask : array of float32, shape (n_chosen, n_u, n_rows) or (n_views, n_u, n_rows), or None
        The mask of these views, or of all where the level holds them.
    """

    views: NDArray[np.int64]
    chosen: DeviceArray
    residual: DeviceArray
    partial: DeviceArray
    mask: DeviceArray | None


class LevelOnDevice:
    """The rows of a pyramid level that one partition is projected to, with offsets, projections and mask on a device.

    Parameters
    ----------
    device : Device
    level : PyramidLevel
        The level on the host.
    partition : Partition
        Its detector rows are held here; offsets of all views are on every device.
    footprints : FootprintsOnDevice, optional
        Tables of the leaves in the level's pixels, where they are on the device already.
    sends_views : bool
        Whether projections and mask of a step's views are sent with it, and not all of them at once.

    Attributes
    ----------
    device : Device
    level : PyramidLevel
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
            self._images = None if sends_views else self._send_images()
            self._mask_sum, self._offsets = xp.asarray(level.mask_sums), xp.asarray(level.offsets)

    def projector(self, forest: Forest) -> LeavesOnDevice:
        """The projector over some leaves, kept until it is asked for with another forest.

        Parameters
        ----------
        forest : Forest
            The partition's leaves, in fine pixels.

        Returns
        -------
        LeavesOnDevice
            In the level's pixels, to the partition's rows.
        """
        if self._projector is None or self._forest is not forest:
            # The old one's tables are freed first, so that both are never there at once.
            self._projector = None
            scaled = forest.in_pixels(self.level.pixel)
            self._projector = LeavesOnDevice(self.device, scaled, self._partition_rows.geometry, self._footprints)
            self._forest = forest
        return self._projector

    @property
    def mask(self) -> DeviceArray | None:
        """The mask of all views, where they are held here; None where every pixel counts."""
        assert self._images is not None
        return self._images[1]

    def send_offsets(self) -> None:
        """Copy the offsets of all views from the host's level to the device."""
        with self.device:
            self._offsets = self.device.xp.asarray(self.level.offsets)

    def fetch_offsets(self) -> None:
        """Copy the offsets of all views from the device to the host's level."""
        with self.device:
            self.level.offsets[...] = self.device.to_host(self._offsets)

    def forward(self, field: FieldArrays, chosen: DeviceArray, views: NDArray[np.int64]) -> ForwardResult:
        """Project the subdomain's density to some views, and compute their residuals.

        Parameters
        ----------
        field : FieldArrays
            The subdomain's leaves.
        chosen : array of int32, shape (n_chosen,)
            The views, on the device.
        views : ndarray of int64, shape (n_chosen,)
            The same on the host.

        Returns
        -------
        ForwardResult
        """
        projector = self.projector(field.forest)
        # Images that are sent with the step are in its order; of all views the kernel picks the chosen ones.
        projections, mask = self._send_images(views) if self._images is None else self._images
        projected = projector.project(field.density, chosen)
        residual, partial = projector.residual(
            projected, chosen, self.level.kappa, projections, mask, self._offsets, gathered=self._sends_views
        )
        assert partial is not None  # there are projections to compare with
        return ForwardResult(views, chosen, residual, partial, mask)

    def solve_offsets(
        self, field: FieldArrays, forward_result: ForwardResult, partial: DeviceArray, totals: DeviceArray
    ) -> DeviceArray:
        """Solve for the offsets of a step's views, if they are fitted, and add the data term to the totals.

        Parameters
        ----------
        field : FieldArrays
            The subdomain's leaves.
        forward_result, partial, totals
            As :meth:`update` takes them.

        Returns
        -------
        array of float32, shape (n_chosen,)
            What is still to be subtracted from each view's residual.
        """
        fits_offsets = self.level.problem.fit_offsets
        return self.projector(field.forest).fit_offsets(
            partial, forward_result.chosen, self._mask_sum, self._offsets, totals, fits_offsets
        )

    def update(
        self,
        field: FieldOnDevice,
        forward_result: ForwardResult,
        partial: DeviceArray,
        gradients: GradientsOnGpu,
        hyper: DeviceArray,
        totals: DeviceArray,
    ) -> None:
        """Solve for the offsets, and take one optimizer step on the leaves; everything stays on the device.

        Parameters
        ----------
        field : FieldOnDevice
            The subdomain's leaves, changed.
        forward_result : ForwardResult
            From :meth:`forward`.
        partial : array of float32, shape (n_chosen, n_blocks, 2)
            Sums over the blocks of all subdomains, since a view has one offset for all rows.
        gradients : GradientsOnGpu
            What the penalties add.
        hyper : array of float32, shape (7,)
            The step's row of :func:`tomokit.methods.octree.cuda.field.hyper_rows`.
        totals : array of float64
            The epoch's sums; the first two are added to: sum of ``m (P - p)^2``, and of m.
        """
        projector, kappa = self.projector(field.forest), self.level.kappa
        offset = self.solve_offsets(field, forward_result, partial, totals)
        # The derivative of ``sum m r^2 / sum m`` by a line integral; the masks' sums are known on the host.
        factor = 2 * kappa / max(float(self.level.mask_sums[forward_result.views].sum()), 1.0)
        contracted = projector.contract(
            forward_result.residual,
            forward_result.chosen,
            factor,
            forward_result.mask,
            offset,
            gathered=self._sends_views,
        )
        field.update(projector, contracted, forward_result.chosen, gradients, hyper)

    def _send_images(self, views: NDArray[np.int64] | None = None) -> tuple[DeviceArray, DeviceArray | None]:
        """Send projections and mask of some views, without waiting; or of all, which is too much for pinned memory."""
        projections, mask = self._partition_rows.images(slice(None) if views is None else views)

        def send(images: NDArray[np.float32]) -> DeviceArray:
            if views is None:
                return sent(self.device, images)
            on_device: DeviceArray = self.device.xp.asarray(images)
            return on_device

        return send(projections), None if mask is None else send(mask)
