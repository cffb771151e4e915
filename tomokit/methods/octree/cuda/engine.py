"""The engine of an octree fit on one GPU or several, from the first launch of an epoch to the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.memory import check_fit, partitions_that_fit
from tomokit.methods.octree.cuda.partitioned_field import PartitionedField
from tomokit.methods.octree.cuda.subdomain import DENSITY, FIRST_PENALTY, SQUARES, WEIGHT
from tomokit.methods.octree.cuda.support import needs_all_leaves, unsupported_reason
from tomokit.methods.octree.engine import MakeEngine
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.solver import PrimalDual
from tomokit.methods.pausing import EpochProgress
from tomokit.octree.cuda.sampling import sample_volume
from tomokit.octree.error_indicators import ErrorIndicators
from tomokit.octree.partition import Partition
from tomokit.optimizers.block import BlockOptimizer
from tomokit.regularizers.tv import TotalVariation


class CudaEngine:
    """Steps on GPUs (see :class:`tomokit.methods.octree.engine.Engine`).

    An epoch's views, random numbers and step sizes are sent before it; then nothing passes between host and device
    until its sums are read. Changes of structure are planned on the host. Several devices have a partition of the
    specimen each (:mod:`tomokit.octree.partition`); what these exchange in a step goes through the host. Where the
    partitions do not fit there are more of them than devices, whose subdomains use the same buffers one after the
    other (:mod:`tomokit.methods.octree.cuda.device_buffers`).

    Parameters
    ----------
    devices : sequence of Device
        At least one.
    plan : FitPlan
    leaves : LeafField
        The host's field to start from.

    Attributes
    ----------
    plan : FitPlan
    leaves : LeafField
        The host's field, as last fetched.
    devices : list of Device
        Those that are used.

    Raises
    ------
    OptionError
        If the optimizer or a regularizer cannot run on a GPU.
    ResourceError
        If the devices have not enough memory.
    """

    def __init__(self, devices: Sequence[Device], plan: FitPlan, leaves: LeafField) -> None:
        reason = unsupported_reason(plan.options)
        if reason is not None:
            raise OptionError(reason, field="--backend", remedy="give --backend cpu")
        self.plan, self.leaves = plan, leaves
        # One partition for each device, where the fit can be cut.
        self.devices = list(devices) if needs_all_leaves(plan) is None else list(devices)[:1]
        check_fit(self.devices, plan)
        self._partitioned: PartitionedField | None = None
        self._sums: NDArray[np.float64] | None = None

    @classmethod
    def on(cls, devices: Sequence[Device]) -> MakeEngine:
        """A factory of engines on these devices.

        Parameters
        ----------
        devices : sequence of Device

        Returns
        -------
        MakeEngine
        """
        return partial(cls, devices)

    def place(self, leaves: LeafField) -> None:
        """Continue with another field (see :class:`tomokit.methods.octree.engine.Engine`)."""
        self.leaves = leaves
        # What lies on the devices belongs to the leaves before; new arrays are sent when they are asked for.
        for device in self.devices:
            device.wait()  # transfers may still write to memory that is freed now
        self._partitioned = None

    def begin(self, plan: EpochPlan) -> None:
        """Send an epoch's steps to the devices (see :class:`tomokit.methods.octree.engine.Engine`)."""
        self._epoch, self._steps_taken, self._sums = plan, 0, None
        # Random numbers of all steps may be drawn now; a pause has to tell the state after those that were taken.
        self._generator = dict(plan.rng.bit_generator.state)
        field = self._on_devices()
        field.set_regularizers(plan.regularizers, plan.inside)
        field.set_level(plan.level)
        if plan.renews_limits:
            for subdomain in field.subdomains:
                subdomain.renew_limits(self.leaves)
        begun = plan.begun
        # Progress has means over the epoch's steps, the totals on a device have sums.
        penalties = [begun.terms.get(weighted.name, 0.0) * plan.n_steps for weighted in plan.regularizers]
        field.begin(plan, self.leaves.count + 1, np.array([begun.squares, begun.weight, 0.0, *penalties]))

    def step(self, number: int) -> None:
        """Take one optimizer step (see :class:`tomokit.methods.octree.engine.Engine`)."""
        self._on_devices().step(number)
        self.leaves.count += 1
        self._steps_taken, self._sums = number + 1, None

    @property
    def has_diverged(self) -> bool:
        """False: sums are read at the end alone (see :class:`tomokit.methods.octree.engine.Engine`)."""
        return False

    def progress(self) -> EpochProgress:
        """The epoch so far (see :class:`tomokit.methods.octree.engine.Engine`)."""
        plan, sums = self._epoch, self._read_sums()
        terms = {TotalVariation.name: 0.0}
        for weighted, value in zip(plan.regularizers, sums[FIRST_PENALTY:], strict=True):
            terms[weighted.name] = float(value) / plan.n_steps
        return EpochProgress(
            plan.begun.step + self._steps_taken, float(sums[SQUARES]), float(sums[WEIGHT]), terms, self._random_state()
        )

    def density_is_finite(self) -> bool:
        """Whether all densities are numbers (see :class:`tomokit.methods.octree.engine.Engine`)."""
        return math.isfinite(self._read_sums()[DENSITY])

    def measure(self) -> ErrorIndicators:
        """Error indicators of the densities on the devices (see :class:`tomokit.methods.octree.engine.Engine`)."""
        return self._on_devices().measure_indicators()

    def fetch(self) -> LeafField:
        """The field, brought from the devices (see :class:`tomokit.methods.octree.engine.Engine`)."""
        if self._partitioned is not None:
            self._partitioned.fetch(self.leaves)
        return self.leaves

    def predict(self, geometry: TiltGeometry, kappa: float) -> NDArray[np.float32]:
        """Projections of the present density (see :class:`tomokit.methods.octree.engine.Engine`)."""
        stack = np.zeros((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for subdomain in self._on_devices().subdomains:
            subdomain.predict(geometry, kappa, stack)
        return stack

    def sample(self, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Mean densities in voxels (see :class:`tomokit.methods.octree.engine.Engine`)."""
        subdomains = self._on_devices().subdomains
        if len(subdomains) > 1:
            # A voxel at a cut may have points in two partitions: the host samples the field of all leaves.
            from tomokit.octree.sampling import sample_volume as sample_on_host

            leaves = self.fetch()
            return sample_on_host(leaves.density, leaves.forest, *shape)
        (subdomain,) = subdomains
        return sample_volume(subdomain.device, subdomain.field.density, self.leaves.forest, shape)

    def resolved_parameters(self) -> dict[str, Any]:
        """Numbers of devices and of partitions, which may change with the forest (see
        :class:`tomokit.methods.octree.engine.Engine`)."""
        partitions = self._partitions() if self._partitioned is None else self._partitioned.subdomains
        return {"devices": {"count": len(self.devices), "partitions": len(partitions)}}

    def _on_devices(self) -> PartitionedField:
        """The field on the devices, sent when first asked for after :meth:`place`."""
        if self._partitioned is None:
            optimizer = self.plan.optimizer
            assert isinstance(optimizer, (BlockOptimizer, PrimalDual))
            self._partitioned = PartitionedField(self.devices, self.leaves, optimizer, self._partitions())
        return self._partitioned

    def _partitions(self) -> list[Partition]:
        return partitions_that_fit(self.leaves.forest, self.devices, self.plan)

    def _read_sums(self) -> NDArray[np.float64]:
        """The epoch's totals so far, read once after a step; the offsets are brought to the host's level with them."""
        if self._sums is None:
            self._sums = self._on_devices().sums()
        return self._sums

    def _random_state(self) -> dict[str, Any]:
        """The generator as the steps taken leave it on the host.

        Where random numbers were drawn for all steps before the first, they are drawn once more, for those taken.
        """
        plan, field = self._epoch, self._on_devices()
        if field.draws_in_steps:
            return dict(plan.rng.bit_generator.state)
        rng = np.random.default_rng()
        rng.bit_generator.state = self._generator
        field.draw(rng, plan, self._steps_taken)
        return dict(rng.bit_generator.state)
