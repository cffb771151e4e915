"""All parts of a fit on their devices, and what passes between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import FieldOnDevice
from tomokit.cuda.layers import Layers, exchange
from tomokit.cuda.leaves import FootprintsOnDevice
from tomokit.cuda.level import LevelOnDevice, mask_sums
from tomokit.cuda.parts import Part, deal, share
from tomokit.cuda.penalties import PenaltiesOnDevice
from tomokit.cuda.residence import Residence
from tomokit.cuda.share import SQUARES, WEIGHT, Course, Share
from tomokit.fit.penalties import Weighted
from tomokit.octree.measures import Measures
from tomokit.optimizers.block import BlockOptimizer
from tomokit.projector.leaves import find_footprints
from tomokit.regularizers.contract import is_built_in
from tomokit.regularizers.cross_node import CrossNode

if TYPE_CHECKING:
    from tomokit.cuda.cross_node import PairTables
    from tomokit.fit.leaf_field import LeafField
    from tomokit.fit.level import Level


class WholeOnDevices:
    """The leaves of a fit on devices, until others come in their place.

    Parameters
    ----------
    devices : sequence of Device
    leaves : LeafField
        What to start from.
    optimizer : BlockOptimizer
    parts : list of Part
        Dealt to the devices by :func:`tomokit.cuda.parts.deal`.

    Attributes
    ----------
    shares : list of Share
        One for each part.
    """

    def __init__(
        self, devices: Sequence[Device], leaves: LeafField, optimizer: BlockOptimizer, parts: list[Part]
    ) -> None:
        self.forest = leaves.forest
        self.shares: list[Share] = []
        self._tables: dict[int, PairTables] = {}
        dealt = deal(len(parts), devices)
        residences: dict[int, Residence] = {}
        for number, (device, part) in enumerate(zip(dealt, parts, strict=True)):
            if id(device) not in residences:
                sizes = [other.own.size for on, other in zip(dealt, parts, strict=True) if on is device]
                residences[id(device)] = Residence(device, leaves.forest.n, sizes, leaves.state)
            field = FieldOnDevice(residences[id(device)], leaves, optimizer, part)
            self.shares.append(Share(part, field, Layers(device, parts, number)))
        # Each device's first part, each one's second, and so on, so that the devices work side by side.
        place = [dealt[:number].count(device) for number, device in enumerate(dealt)]
        self._turn = [self.shares[number] for number in np.argsort(place, kind="stable")]

    @property
    def penalties(self) -> PenaltiesOnDevice:
        """Those of the first part; all have the same."""
        return self.shares[0].penalties

    def set_penalties(self, regularizers: list[Weighted], inside: NDArray[np.bool_]) -> None:
        """Have these regularizers, made anew where they are not those of the epoch before.

        Parameters
        ----------
        regularizers : list of Weighted
        inside : ndarray of bool, shape (n_leaves,)
            Leaves in the region of interest, which take part in the cross-node constraint.
        """
        if self.shares[0].made_for is regularizers:
            return
        self._tables = {}
        for item in self.shares:
            item.let_penalties_go()  # first, so that both are never there at once
        constraints = [item.regularizer for item in regularizers if is_built_in(item.regularizer, CrossNode)]
        parts = [item.part for item in self.shares]
        for number, item in enumerate(self.shares):
            cross = None
            for constraint in constraints:
                from tomokit.cuda.cross_node import CrossNodeOnDevice, PairTables

                if id(item.device) not in self._tables:
                    here = [i for i, other in enumerate(self.shares) if other.device is item.device]
                    self._tables[id(item.device)] = PairTables(item.device, constraint, parts, here, inside)
                cross = CrossNodeOnDevice(self._tables[id(item.device)], item.part, number)
            item.penalties = PenaltiesOnDevice(item.field, regularizers, self.forest, cross, inside)
            item.made_for = regularizers

    def set_level(self, level: Level) -> None:
        """Have the level that an epoch works on; the other one is let go."""
        if self.shares[0].level is None or self.shares[0].level.level is not level:
            for item in self.shares:
                item.level = None  # first, so that both are never there at once
            sums = mask_sums(level)
            footprints = find_footprints(self.forest.in_pixels(level.pixel), level.problem.geometry.tilt_rad)
            sent: dict[int, FootprintsOnDevice] = {}
            for item in self.shares:
                device, in_turn = item.device, item.field.residence.is_shared
                if id(device) not in sent:
                    sent[id(device)] = FootprintsOnDevice(device, footprints)
                item.level = LevelOnDevice(device, level, item.part, sums, sent[id(device)], in_turn)
        for item in self.shares:
            assert item.level is not None
            item.level.send_exposure()

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Partners for so many evaluations of the cross-node constraint."""
        return next(iter(self._tables.values())).draw(rng, count)

    def begin(
        self,
        course: Course,
        hyper: NDArray[np.float32],
        begun: NDArray[np.float64],
        partners: NDArray[np.int32] | None,
    ) -> None:
        """Send what is known of an epoch's steps, and look at the first one's views.

        Parameters
        ----------
        course : Course
        hyper : ndarray of float32, shape (n_steps, 7)
        begun : ndarray of float64
            The totals so far.
        partners : ndarray of int32, or None
            From :meth:`draw`, for all evaluations in these steps; None where there are none, or steps draw themselves.
        """
        self._course, self._due = course, 0
        self._partners: dict[int, Any] = {}
        for key, tables in self._tables.items():
            if partners is None:
                break
            with tables.device:
                self._partners[key] = tables.device.xp.asarray(partners)
        for number, item in enumerate(self.shares):
            # Of squares and masks every part has those of all.
            mine = begun if number == 0 else begun * (np.arange(begun.size) <= WEIGHT)
            item.begin(course, hyper, mine)
        for item in self._in_turn():
            item.look(0)

    def step(self, step: int) -> None:
        """One step on all parts, and a look at the next one's views."""
        items = self.shares
        if self.penalties.compares is not None and len(items) > 1:
            exchange([item.layers for item in items])
        if self._course.counts(step):
            self._tabulate()
        partials = share([item.device for item in items], [item.partial for item in items], axis=1)
        shared = {id(item): partial for item, partial in zip(items, partials, strict=True)}
        for item in self._in_turn():
            item.step(step, shared[id(item)])

    def sums(self) -> NDArray[np.float64]:
        """The totals of the epoch, and its exposures brought to the host's level."""
        found = []
        for item in self.shares:
            with item.device:
                found.append(item.device.to_host(item.totals))
        first = self.shares[0].level
        assert first is not None
        first.fetch_exposure()
        whole = np.sum(found, axis=0)
        whole[[SQUARES, WEIGHT]] = found[0][[SQUARES, WEIGHT]]
        return np.asarray(whole)

    def fetch(self, leaves: LeafField) -> None:
        """Bring the host's field up to date."""
        for item in self.shares:
            item.field.fetch(leaves)

    def measure(self) -> Measures:
        """Of the densities."""
        error, largest = np.empty(self.forest.n_leaves), np.empty(self.forest.n_leaves)
        for item in self.shares:
            found = item.measure()
            error[item.part.own], largest[item.part.own] = found.error, found.density
        return Measures(error, largest)

    def _in_turn(self) -> list[Share]:
        """All parts: those first that were last the time before, and lie on the devices."""
        self._turn.reverse()
        return self._turn

    def _tabulate(self) -> None:
        """Everything of the cross-node constraint that must be known before any leaf changes."""
        from tomokit.cuda.cross_node import share_counts

        share_counts(list(self._tables.values()))
        for key, tables in self._tables.items():
            with tables.device:
                tables.tabulate(self.forest.n**3, self._partners[key][self._due])
        self._due += 1
