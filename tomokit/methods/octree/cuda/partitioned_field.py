"""The partitioned field: all subdomains of a fit on their devices, and what they exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.methods.octree.cuda.distribution import deal, gather
from tomokit.methods.octree.cuda.field import FieldOnDevice, hyper_rows
from tomokit.methods.octree.cuda.halo_exchange import HaloExchange, exchange
from tomokit.methods.octree.cuda.penalties import PenaltiesOnGpu
from tomokit.methods.octree.cuda.primal_dual_field import PrimalDualField
from tomokit.methods.octree.cuda.pyramid_level import LevelOnDevice
from tomokit.methods.octree.cuda.subdomain import SQUARES, WEIGHT, Subdomain
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.penalties import WeightedRegularizer
from tomokit.methods.octree.solver import PrimalDual
from tomokit.octree.error_indicators import ErrorIndicators
from tomokit.octree.partition import Partition
from tomokit.optimizers.block import BlockOptimizer
from tomokit.projector.cuda.leaves import FootprintsOnDevice
from tomokit.projector.leaves import find_footprints
from tomokit.regularizers.cuda.interface import TablesOnGpu, fusable_on_gpu

if TYPE_CHECKING:
    from tomokit.methods.octree.leaf_field import LeafField
    from tomokit.methods.octree.pyramid_level import PyramidLevel


class PartitionedField:
    """The leaves of a fit on devices, as long as the forest does not change.

    Parameters
    ----------
    devices : sequence of Device
    leaves : LeafField
        The host's field to start from.
    optimizer : BlockOptimizer or PrimalDual
        The primal-dual solver takes one partition alone.
    partitions : list of Partition
        Dealt to the devices by :func:`tomokit.methods.octree.cuda.distribution.deal`.

    Attributes
    ----------
    forest : Forest
        All leaves of the fit.
    subdomains : list of Subdomain
        One for each partition, in their order along y.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        leaves: LeafField,
        optimizer: BlockOptimizer | PrimalDual,
        partitions: list[Partition],
    ) -> None:
        self.forest = leaves.forest
        self.subdomains: list[Subdomain] = []
        self._optimizer = optimizer
        self._regularizers: list[WeightedRegularizer] = []
        # Tables that the regularizers' terms share, by the device and the regularizer's place in the list.
        self._tables: dict[int, dict[int, TablesOnGpu]] = {}
        dealt = deal(len(partitions), devices)
        buffers_of_device: dict[int, DeviceBuffers] = {}
        for number, (device, partition) in enumerate(zip(dealt, partitions, strict=True)):
            if id(device) not in buffers_of_device:
                sizes = [here.own.size for on, here in zip(dealt, partitions, strict=True) if on is device]
                kind = PrimalDualField if isinstance(optimizer, PrimalDual) else FieldOnDevice
                names = (*kind.BUFFERS, *leaves.state)
                buffers_of_device[id(device)] = DeviceBuffers(device, leaves.forest.n, sizes, names)
            buffers = buffers_of_device[id(device)]
            field = (
                PrimalDualField(buffers, leaves, optimizer, partition)
                if isinstance(optimizer, PrimalDual)
                else FieldOnDevice(buffers, leaves, optimizer, partition)
            )
            self.subdomains.append(Subdomain(partition, field, HaloExchange(device, partitions, number)))
        # Each device's first subdomain, each one's second, and so on, so that the devices work side by side.
        place = [dealt[:number].count(device) for number, device in enumerate(dealt)]
        self._visiting_order = [self.subdomains[number] for number in np.argsort(place, kind="stable")]

    def set_regularizers(self, regularizers: list[WeightedRegularizer], inside: NDArray[np.bool_]) -> None:
        """Set the regularizers of an epoch; they are made anew unless they are those of the epoch before.

        Parameters
        ----------
        regularizers : list of WeightedRegularizer
            The same list as before stands for the same regularizers.
        inside : ndarray of bool, shape (n_leaves,)
            Leaves in the region of interest.
        """
        if self.subdomains[0].made_for is regularizers:
            return
        self._regularizers = regularizers
        self._tables = {}
        for subdomain in self.subdomains:
            subdomain.drop_penalties()  # first, so that both are never there at once
        partitions = [subdomain.partition for subdomain in self.subdomains]
        for number, subdomain in enumerate(self.subdomains):
            device = subdomain.device
            if id(device) not in self._tables:
                here = [place for place, on_it in enumerate(self.subdomains) if on_it.device is device]
                self._tables[id(device)] = _tables_on(device, regularizers, partitions, here, inside)
            tables = self._tables[id(device)]
            subdomain.penalties = PenaltiesOnGpu(subdomain.field, regularizers, self.forest, inside, tables, number)
            subdomain.made_for = regularizers

    @property
    def draws_in_steps(self) -> bool:
        """Whether random numbers are drawn while steps are launched, and not before an epoch.

        What a regularizer without terms on subdomains draws is not known before, and all draw from one generator in
        their order.
        """
        return any(fusable_on_gpu(weighted.regularizer) is None for weighted in self._regularizers)

    def set_level(self, level: PyramidLevel) -> None:
        """Set the pyramid level that an epoch is fitted at; the one before is freed.

        Parameters
        ----------
        level : PyramidLevel
            Its offsets are sent in any case.
        """
        if self.subdomains[0].level is None or self.subdomains[0].level.level is not level:
            for subdomain in self.subdomains:
                subdomain.level = None  # first, so that both are never there at once
            # Tables depend on tilts and leaf sizes alone: made once, and sent once to each device.
            footprints = find_footprints(self.forest.in_pixels(level.pixel), level.problem.geometry.tilt_rad)
            sent: dict[int, FootprintsOnDevice] = {}
            for subdomain in self.subdomains:
                # Subdomains that share buffers are sent their images step by step too: all would not fit.
                device, sends_views = subdomain.device, subdomain.field.buffers.is_shared
                if id(device) not in sent:
                    sent[id(device)] = FootprintsOnDevice(device, footprints)
                subdomain.level = LevelOnDevice(device, level, subdomain.partition, sent[id(device)], sends_views)
        for subdomain in self.subdomains:
            assert subdomain.level is not None
            subdomain.level.send_offsets()

    def draw(self, rng: np.random.Generator, plan: EpochPlan, n_steps: int) -> dict[int, NDArray[np.int32]]:
        """The random numbers of the first steps, drawn as the host draws them.

        Parameters
        ----------
        rng : numpy.random.Generator
        plan : EpochPlan
        n_steps : int
            How many of its steps.

        Returns
        -------
        dict
            By the place of a regularizer in the list, an array of shape (evaluations, n_rows).
        """
        # The tables of every device draw alike, so any device's will do.
        tables = next(iter(self._tables.values()))
        # Step by step, as regularizers that are due in the same step draw one after the other.
        drawn: dict[int, list[NDArray[np.int32]]] = {place: [] for place in tables}
        for step in range(n_steps):
            for place, of_regularizer in tables.items():
                if plan.is_due(self._regularizers[place], step):
                    drawn[place].append(of_regularizer.draw(rng, 1)[0])
        return {place: np.array(rows, np.int32) for place, rows in drawn.items()}

    def begin(self, plan: EpochPlan, first_count: int, begun: NDArray[np.float64]) -> None:
        """Send views, step sizes and random numbers of an epoch's steps, and project to the first one's views.

        Parameters
        ----------
        plan : EpochPlan
        first_count : int
            The optimizer's steps since its state was made, the first of these included.
        begun : ndarray of float64, shape (n_totals,)
            The totals so far: those of the steps before a pause.
        """
        self._plan = plan
        self._evaluated: dict[int, int] = {}
        self._drawn: dict[int, dict[int, DeviceArray]] = {}
        if not self.draws_in_steps:
            drawn = self.draw(plan.rng, plan, len(plan.views))
            for subdomain in self.subdomains:
                device = subdomain.device
                if id(device) not in self._drawn:
                    with device:
                        self._drawn[id(device)] = {place: device.xp.asarray(rows) for place, rows in drawn.items()}
        hyper = None
        if isinstance(self._optimizer, PrimalDual):
            for subdomain in self.subdomains:
                subdomain.solve_primal_dual(plan.n_steps, is_new=first_count == 1)
        else:
            hyper = hyper_rows(self._optimizer, plan.rate, first_count, len(plan.views))
        for number, subdomain in enumerate(self.subdomains):
            # Squares and masks are those of all subdomains on each of them; of the other sums, which are added up over
            # subdomains, the first one has what there was.
            own_totals = begun if number == 0 else begun * (np.arange(begun.size) <= WEIGHT)
            subdomain.begin(plan, hyper, own_totals, self.draws_in_steps)
        for subdomain in self._alternating_subdomains():
            subdomain.forward(0)

    def step(self, step: int) -> None:
        """Take one step on all subdomains, and project to the next one's views.

        Parameters
        ----------
        step : int
            Counted from the first of the plan.
        """
        subdomains = self.subdomains
        if subdomains[0].penalties.compares is not None and len(subdomains) > 1:
            exchange([subdomain.halo for subdomain in subdomains])
        if not self.draws_in_steps:
            self._tabulate(step)
        # A view's offset is the mean over all rows of its image, which lie on different devices.
        partials = gather(
            [subdomain.device for subdomain in subdomains], [subdomain.partial for subdomain in subdomains], axis=1
        )
        gathered = {id(subdomain): partial for subdomain, partial in zip(subdomains, partials, strict=True)}
        for subdomain in self._alternating_subdomains():
            subdomain.step(step, gathered[id(subdomain)])

    def sums(self) -> NDArray[np.float64]:
        """Read the totals of the epoch so far, and bring the views' offsets to the host's level.

        Returns
        -------
        ndarray of float64, shape (n_totals,)
            By the slots of :mod:`tomokit.methods.octree.cuda.subdomain`.
        """
        totals = []
        for subdomain in self.subdomains:
            with subdomain.device:
                totals.append(subdomain.device.to_host(subdomain.totals))
        first_level = self.subdomains[0].level
        assert first_level is not None
        first_level.fetch_offsets()
        sums = np.sum(totals, axis=0)
        # Every subdomain has these two of all rows already: they are not to be added up.
        sums[[SQUARES, WEIGHT]] = totals[0][[SQUARES, WEIGHT]]
        return np.asarray(sums)

    def fetch(self, leaves: LeafField) -> None:
        """Copy values, densities and optimizer state of all subdomains into the host's field.

        Parameters
        ----------
        leaves : LeafField
            On the same forest, written.
        """
        for subdomain in self.subdomains:
            subdomain.fetch(leaves)

    def measure_indicators(self) -> ErrorIndicators:
        """Measure the error indicators of the present densities on all devices.

        Returns
        -------
        ErrorIndicators
            For each leaf of the forest.
        """
        error, largest = np.empty(self.forest.n_leaves), np.empty(self.forest.n_leaves)
        for subdomain in self.subdomains:
            indicators, own = subdomain.measure_indicators(), subdomain.partition.own
            error[own], largest[own] = indicators.error, indicators.density
        return ErrorIndicators(error, largest)

    def _alternating_subdomains(self) -> list[Subdomain]:
        """All subdomains, first those that were visited last the time before and still lie in their buffers."""
        self._visiting_order.reverse()
        return self._visiting_order

    def _tabulate(self, step: int) -> None:
        """Fill the tables that the regularizers' terms share, before any leaf changes."""
        for place, weighted in enumerate(self._regularizers):
            tables = [of_device[place] for of_device in self._tables.values() if place in of_device]
            if not tables or not self._plan.is_due(weighted, step):
                continue
            evaluation = self._evaluated.get(place, 0)
            tables[0].share(tables)
            for of_device in tables:
                with of_device.device:
                    of_device.tabulate(self._drawn[id(of_device.device)][place][evaluation])
            self._evaluated[place] = evaluation + 1


def _tables_on(
    device: Device,
    regularizers: list[WeightedRegularizer],
    partitions: list[Partition],
    here: list[int],
    inside: NDArray[np.bool_],
) -> dict[int, TablesOnGpu]:
    """The tables that the terms of each regularizer share on a device, by the regularizer's place in the list."""
    by_place = {}
    for place, weighted in enumerate(regularizers):
        offered = fusable_on_gpu(weighted.regularizer)
        tables = None if offered is None else offered.gpu_tables(device, partitions, here, inside)
        if tables is not None:
            by_place[place] = tables
    return by_place
