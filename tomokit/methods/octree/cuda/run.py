"""An octree fit whose epochs run on GPUs, from the first launch to the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.field import hyper_rows
from tomokit.methods.octree.cuda.memory import check_fit, partitions_that_fit
from tomokit.methods.octree.cuda.partition import Partition
from tomokit.methods.octree.cuda.partitioned_field import PartitionedField
from tomokit.methods.octree.cuda.subdomain import DENSITY, FIRST_PENALTY, SQUARES, WEIGHT, EpochPlan
from tomokit.methods.octree.cuda.support import needs_all_leaves, refusal
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.methods.pausing import EpochPaused, EpochProgress
from tomokit.octree import Forest
from tomokit.octree.cover import inside
from tomokit.octree.cuda.sampling import sample_volume
from tomokit.octree.error_indicators import ErrorIndicators
from tomokit.optimizers.block import BlockOptimizer
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.interface import is_built_in
from tomokit.regularizers.tv import TotalVariation


class OctreeRunOnDevice(OctreeRun):
    """An octree fit under way on a device (see :class:`tomokit.methods.interface.Run`).

    The schedule is :class:`tomokit.methods.octree.run.OctreeRun`'s. An epoch's views, random numbers and step sizes are
    sent before it; then nothing passes between host and device until its sums are read. Changes of structure are
    planned on the host. Several devices have a part of the specimen each
    (:mod:`tomokit.methods.octree.cuda.partition`); what these share in a step goes through the host. Where the parts do
    not fit there are more of them than devices, which take them in turn
    (:mod:`tomokit.methods.octree.cuda.device_buffers`).

    Parameters
    ----------
    problem : Problem
    options : OctreeOptions
    devices : sequence of Device

    Raises
    ------
    OptionError
        If the optimizer or a regularizer has no kernel here.
    ResourceError
        If the devices have not enough memory.
    """

    backend = "cuda"

    def __init__(self, problem: Problem, options: OctreeOptions, devices: Sequence[Device]) -> None:
        self._partitioned: PartitionedField | None = None
        refused = refusal(options)
        if refused is not None:
            raise OptionError(refused, field="--backend", remedy="give --backend cpu")
        # One part for each device, where the fit can be cut.
        self.devices = list(devices) if needs_all_leaves(options) is None else list(devices)[:1]
        check_fit(self.devices, problem, options)
        super().__init__(problem, options)

    def advance(self) -> dict[str, float]:
        """One pass over all views, in the CPU's order with its random numbers; or the rest of one that was paused."""
        found, names, steps = self._pass()
        self._epoch_progress = EpochProgress()
        self.epoch += 1
        terms = {"data": float(found[SQUARES]) / max(float(found[WEIGHT]), 1.0), TotalVariation.name: 0.0}
        for name, value in zip(names, found[FIRST_PENALTY:], strict=True):
            terms[name] = float(value) / steps
        terms = {"loss": sum(terms.values()), **terms}
        if not math.isfinite(found[DENSITY]):
            terms |= {"loss": math.nan, "density": math.nan}
        return self._end_epoch(terms)

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without offset."""
        stack = np.zeros((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for item in self._on_devices().subdomains:
            item.predict(geometry, self.fine.kappa, stack)
        return stack

    def volume(self) -> NDArray[np.float32]:
        """Mean density in voxels, ``[x, z, y]``."""
        g, subdomains = self.problem.geometry, self._on_devices().subdomains
        if len(subdomains) > 1:
            # Points on a cut belong to one of two parts.
            self._fetch()
            return super().volume()
        shape = (g.n_u, self.problem.thickness_px, g.n_v)
        volume = sample_volume(subdomains[0].device, subdomains[0].field.density, self.leaves.forest, shape)
        volume *= np.float32(self.scales.unit)
        return volume

    def resolved_parameters(self) -> dict[str, Any]:
        """As on the CPU; and in how many parts the leaves lie, on how many devices, which may change with them."""
        partitions = self._partitions() if self._partitioned is None else self._partitioned.subdomains
        return {**super().resolved_parameters(), "devices": {"count": len(self.devices), "partitions": len(partitions)}}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, optimizer state, offsets, losses and remembered contributions; brought to the host."""
        self._fetch()
        return super().arrays()

    def _place(self, leaves: LeafField) -> None:
        self.leaves = leaves
        self.inside = inside(leaves.forest, self.region)
        # What lies on the devices belongs to the leaves before; new arrays are sent when they are asked for.
        for device in self.devices:
            device.wait()  # for what is still on its way to memory that goes now
        self._partitioned = None

    def _move(self, forest: Forest) -> None:
        self._fetch()  # the host resamples
        super()._move(forest)

    def _on_devices(self) -> PartitionedField:
        if self._partitioned is None:
            assert isinstance(self.optimizer, BlockOptimizer)
            self._partitioned = PartitionedField(self.devices, self.leaves, self.optimizer, self._partitions())
        return self._partitioned

    def _partitions(self) -> list[Partition]:
        return partitions_that_fit(self.leaves.forest, self.devices, self.problem, self.shape, self.options)

    def _pass(self) -> tuple[NDArray[np.float64], list[str], int]:
        """The steps of an epoch, or those that are left of it: its totals, the names of its penalties, all its steps.

        Nothing here outlives it, so that what lies on the devices can go when the leaves change.
        """
        rng, partitions = self._draws()
        progress_of_epoch, steps, partitioned = self._epoch_progress, len(partitions), self._on_devices()
        regularizers = self._present_penalties().regularizers
        partitioned.set_penalties(regularizers, self.inside)
        partitioned.set_level(self._level())
        names, left = partitioned.penalties.names, partitions[progress_of_epoch.step :]
        drawing = rng if partitioned.penalties.draws_in_steps else None
        epoch_plan, partners = EpochPlan(left, self._step, rng=drawing), None
        for item in regularizers:
            if is_built_in(item.regularizer, CrossNode) and drawing is None:
                epoch_plan = EpochPlan(left, self._step, item.options.every, item.options.space == "raw")
                partners = partitioned.draw(rng, epoch_plan.evaluations(len(left)))
        begun = [
            progress_of_epoch.squares,
            progress_of_epoch.weight,
            0.0,
            *(progress_of_epoch.terms.get(name, 0.0) * steps for name in names),
        ]
        hyper = hyper_rows(partitioned.subdomains[0].field.optimizer, self._rate(), self.leaves.count + 1, len(left))
        partitioned.begin(epoch_plan, hyper, np.array(begun), partners)
        for step in range(len(left)):
            partitioned.step(step)
            self._step += 1
            self.leaves.count += 1
            progress_of_epoch.step += 1
            if progress_of_epoch.step < steps and self.pause():
                self._remember(partitioned, epoch_plan, names, steps)
                raise EpochPaused
        return partitioned.sums(), names, steps

    def _remember(self, partitioned: PartitionedField, epoch_plan: EpochPlan, names: list[str], steps: int) -> None:
        """Note the epoch so far, as the CPU does: it may go on from there too."""
        progress_of_epoch, found = self._epoch_progress, partitioned.sums()
        progress_of_epoch.squares, progress_of_epoch.weight = float(found[SQUARES]), float(found[WEIGHT])
        progress_of_epoch.terms = {TotalVariation.name: 0.0}
        progress_of_epoch.terms |= {
            name: float(v) / steps for name, v in zip(names, found[FIRST_PENALTY:], strict=True)
        }
        rng = epoch_plan.rng
        if rng is None:
            # Partners were drawn for the whole epoch; the generator is to be where these steps leave it.
            rng, _ = self._draws()
            taken = epoch_plan.evaluations(self._step - epoch_plan.first_step)
            if taken:
                partitioned.draw(rng, taken)
        progress_of_epoch.generator = dict(rng.bit_generator.state)

    def _fetch(self) -> None:
        """Bring the host's field up to date."""
        if self._partitioned is not None:
            self._partitioned.fetch(self.leaves)

    def _measure(self) -> ErrorIndicators:
        """Of the densities on the devices."""
        return self._on_devices().measure_indicators()
