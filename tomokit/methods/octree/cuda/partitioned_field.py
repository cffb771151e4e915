"""All parts of a fit on their devices, and what passes between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.methods.octree.cuda.field import FieldOnDevice
from tomokit.methods.octree.cuda.halo_exchange import HaloExchange, exchange
from tomokit.methods.octree.cuda.level import LevelOnDevice, mask_sums
from tomokit.methods.octree.cuda.partition import Partition, deal, gather
from tomokit.methods.octree.cuda.penalties import PenaltiesOnDevice
from tomokit.methods.octree.cuda.subdomain import SQUARES, WEIGHT, EpochPlan, Subdomain
from tomokit.methods.octree.penalties import Weighted
from tomokit.octree.error_indicators import ErrorIndicators
from tomokit.optimizers.block import BlockOptimizer
from tomokit.projector.cuda.leaves import FootprintsOnDevice
from tomokit.projector.leaves import find_footprints
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.interface import is_built_in

if TYPE_CHECKING:
    from tomokit.methods.octree.leaf_field import LeafField
    from tomokit.methods.octree.level import Level
    from tomokit.regularizers.cuda.cross_node import PairTables


class PartitionedField:
    """The leaves of a fit on devices, until others come in their place.

    Parameters
    ----------
    devices : sequence of Device
    leaves : LeafField
        What to start from.
    optimizer : BlockOptimizer
    partitions : list of Partition
        Dealt to the devices by :func:`tomokit.methods.octree.cuda.partition.deal`.

    Attributes
    ----------
    subdomains : list of Subdomain
        One for each part.
    """

    def __init__(
        self, devices: Sequence[Device], leaves: LeafField, optimizer: BlockOptimizer, partitions: list[Partition]
    ) -> None:
        self.forest = leaves.forest
        self.subdomains: list[Subdomain] = []
        self._tables: dict[int, PairTables] = {}
        dealt = deal(len(partitions), devices)
        buffers_of_device: dict[int, DeviceBuffers] = {}
        for number, (device, partition) in enumerate(zip(dealt, partitions, strict=True)):
            if id(device) not in buffers_of_device:
                sizes = [other.own.size for on, other in zip(dealt, partitions, strict=True) if on is device]
                buffers_of_device[id(device)] = DeviceBuffers(device, leaves.forest.n, sizes, leaves.state)
            field = FieldOnDevice(buffers_of_device[id(device)], leaves, optimizer, partition)
            self.subdomains.append(Subdomain(partition, field, HaloExchange(device, partitions, number)))
        # Each device's first part, each one's second, and so on, so that the devices work side by side.
        place = [dealt[:number].count(device) for number, device in enumerate(dealt)]
        self._turn = [self.subdomains[number] for number in np.argsort(place, kind="stable")]

    @property
    def penalties(self) -> PenaltiesOnDevice:
        """Those of the first part; all have the same."""
        return self.subdomains[0].penalties

    def set_penalties(self, regularizers: list[Weighted], inside: NDArray[np.bool_]) -> None:
        """Have these regularizers, made anew where they are not those of the epoch before.

        Parameters
        ----------
        regularizers : list of Weighted
        inside : ndarray of bool, shape (n_leaves,)
            Leaves in the region of interest, which take part in the cross-node constraint.
        """
        if self.subdomains[0].made_for is regularizers:
            return
        self._tables = {}
        for item in self.subdomains:
            item.let_penalties_go()  # first, so that both are never there at once
        constraints = [item.regularizer for item in regularizers if is_built_in(item.regularizer, CrossNode)]
        partitions = [item.partition for item in self.subdomains]
        for number, item in enumerate(self.subdomains):
            cross = None
            for constraint in constraints:
                from tomokit.regularizers.cuda.cross_node import CrossNodeOnDevice, PairTables

                if id(item.device) not in self._tables:
                    here = [i for i, other in enumerate(self.subdomains) if other.device is item.device]
                    self._tables[id(item.device)] = PairTables(item.device, constraint, partitions, here, inside)
                cross = CrossNodeOnDevice(self._tables[id(item.device)], item.partition, number)
            item.penalties = PenaltiesOnDevice(item.field, regularizers, self.forest, cross, inside)
            item.made_for = regularizers

    def set_level(self, level: Level) -> None:
        """Have the level that an epoch works on; the other one is let go."""
        if self.subdomains[0].level is None or self.subdomains[0].level.level is not level:
            for item in self.subdomains:
                item.level = None  # first, so that both are never there at once
            sums = mask_sums(level)
            footprints = find_footprints(self.forest.in_pixels(level.pixel), level.problem.geometry.tilt_rad)
            sent: dict[int, FootprintsOnDevice] = {}
            for item in self.subdomains:
                device, in_turn = item.device, item.field.buffers.is_shared
                if id(device) not in sent:
                    sent[id(device)] = FootprintsOnDevice(device, footprints)
                item.level = LevelOnDevice(device, level, item.partition, sums, sent[id(device)], in_turn)
        for item in self.subdomains:
            assert item.level is not None
            item.level.send_offsets()

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Partners for so many evaluations of the cross-node constraint."""
        return next(iter(self._tables.values())).draw(rng, count)

    def begin(
        self,
        epoch_plan: EpochPlan,
        hyper: NDArray[np.float32],
        begun: NDArray[np.float64],
        partners: NDArray[np.int32] | None,
    ) -> None:
        """Send what is known of an epoch's steps, and look at the first one's views.

        Parameters
        ----------
        epoch_plan : EpochPlan
        hyper : ndarray of float32, shape (n_steps, 7)
        begun : ndarray of float64
            The totals so far.
        partners : ndarray of int32, or None
            From :meth:`draw`, for all evaluations in these steps; None where there are none, or steps draw themselves.
        """
        self._epoch_plan, self._due = epoch_plan, 0
        self._partners: dict[int, Any] = {}
        for key, tables in self._tables.items():
            if partners is None:
                break
            with tables.device:
                self._partners[key] = tables.device.xp.asarray(partners)
        for number, item in enumerate(self.subdomains):
            # Of squares and masks every part has those of all.
            mine = begun if number == 0 else begun * (np.arange(begun.size) <= WEIGHT)
            item.begin(epoch_plan, hyper, mine)
        for item in self._in_turn():
            item.forward(0)

    def step(self, step: int) -> None:
        """One step on all parts, and a look at the next one's views."""
        items = self.subdomains
        if self.penalties.compares is not None and len(items) > 1:
            exchange([item.halo for item in items])
        if self._epoch_plan.counts(step):
            self._tabulate()
        partials = gather([item.device for item in items], [item.partial for item in items], axis=1)
        shared = {id(item): partial for item, partial in zip(items, partials, strict=True)}
        for item in self._in_turn():
            item.step(step, shared[id(item)])

    def sums(self) -> NDArray[np.float64]:
        """The totals of the epoch, and its offsets brought to the host's level."""
        found = []
        for item in self.subdomains:
            with item.device:
                found.append(item.device.to_host(item.totals))
        first = self.subdomains[0].level
        assert first is not None
        first.fetch_offsets()
        whole = np.sum(found, axis=0)
        whole[[SQUARES, WEIGHT]] = found[0][[SQUARES, WEIGHT]]
        return np.asarray(whole)

    def fetch(self, leaves: LeafField) -> None:
        """Bring the host's field up to date."""
        for item in self.subdomains:
            item.field.fetch(leaves)

    def measure_indicators(self) -> ErrorIndicators:
        """Of the densities."""
        error, largest = np.empty(self.forest.n_leaves), np.empty(self.forest.n_leaves)
        for item in self.subdomains:
            found = item.measure_indicators()
            error[item.partition.own], largest[item.partition.own] = found.error, found.density
        return ErrorIndicators(error, largest)

    def _in_turn(self) -> list[Subdomain]:
        """All parts: those first that were last the time before, and lie on the devices."""
        self._turn.reverse()
        return self._turn

    def _tabulate(self) -> None:
        """Everything of the cross-node constraint that must be known before any leaf changes."""
        from tomokit.regularizers.cuda.cross_node import gather_counts

        gather_counts(list(self._tables.values()))
        for key, tables in self._tables.items():
            with tables.device:
                tables.tabulate(self.forest.n**3, self._partners[key][self._due])
        self._due += 1
