"""An octree fit whose epochs run on GPUs, from the first launch to the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import FieldOnDevice, hyper_rows
from tomokit.cuda.layers import Layers, exchange
from tomokit.cuda.level import LevelOnDevice, mask_sums
from tomokit.cuda.memory import check_fit, parts_that_fit
from tomokit.cuda.parts import deal, share
from tomokit.cuda.penalties import PenaltiesOnDevice
from tomokit.cuda.residence import Residence
from tomokit.cuda.sampling import sample_volume
from tomokit.cuda.share import DENSITY, FIRST_PENALTY, SQUARES, WEIGHT, Course, Share
from tomokit.cuda.support import refusal
from tomokit.errors import OptionError
from tomokit.fit.leaf_field import LeafField
from tomokit.fit.options import OctreeOptions
from tomokit.fit.run import OctreeRun
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem
from tomokit.methods.pausing import EpochPaused, EpochSoFar
from tomokit.octree import Forest
from tomokit.octree.cover import inside
from tomokit.octree.measures import Measures
from tomokit.optimizers.block import BlockOptimizer
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.tv import TotalVariation

if TYPE_CHECKING:
    from tomokit.cuda.cross_node import PairTables


class OctreeRunOnDevice(OctreeRun):
    """An octree fit under way on a device (see :class:`tomokit.methods.contract.Run`).

    The schedule is :class:`tomokit.fit.run.OctreeRun`'s. An epoch's views, random numbers and step sizes are sent
    before it; then nothing passes between host and device until its sums are read. Changes of structure are planned on
    the host. Several devices have a part of the specimen each (:mod:`tomokit.cuda.parts`); what these share in a step
    goes through the host. Where the parts do not fit there are more of them than devices, which take them in turn
    (:mod:`tomokit.cuda.residence`).

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
        self.devices = list(devices)
        self._shares: list[Share] = []
        self._tables: dict[int, PairTables] = {}
        refused = refusal(options)
        if refused is not None:
            raise OptionError(refused, field="--backend", remedy="give --backend cpu")
        check_fit(self.devices, problem, options)
        super().__init__(problem, options)

    def advance(self) -> dict[str, float]:
        """One pass over all views, in the CPU's order with its random numbers; or the rest of one that was paused."""
        rate, so_far = self._rate(), self._so_far
        rng, parts = self._draws()
        shares = self._on_devices()
        self._set_penalties()
        self._set_level()
        names, first = shares[0].penalties.names, so_far.step
        left = parts[first:]
        cross = self._cross_options() if self._tables else None
        course = Course(
            left, self._step, 0 if cross is None else cross.every, cross is not None and cross.space == "raw"
        )
        partners = None if cross is None else self._draw(rng, len(left))
        drawn: dict[int, Any] = {}
        for key, tables in self._tables.items():
            with tables.device:
                drawn[key] = tables.device.xp.asarray(partners)
        begun = [so_far.squares, so_far.weight, 0.0, *(so_far.terms.get(name, 0.0) * len(parts) for name in names)]
        for i, item in enumerate(shares):
            rows = hyper_rows(item.field.optimizer, rate, self.leaves.count + 1, len(left))
            totals = np.array(begun) * (i == 0 or np.arange(len(begun)) < DENSITY)
            item.begin(course, np.concatenate(left), rows, totals)
        for item in self._in_turn():
            item.look(0)
        due = 0
        for step in range(len(left)):
            if shares[0].penalties.compares is not None and len(shares) > 1:
                exchange([item.layers for item in shares])
            if course.counts(step):
                self._tabulate({key: rows[due] for key, rows in drawn.items()})
                due += 1
            partials = share([item.device for item in shares], [item.partial for item in shares], axis=1)
            shared = {id(item): partial for item, partial in zip(shares, partials, strict=True)}
            for item in self._in_turn():
                item.step(step, shared[id(item)])
            self._step += 1
            self.leaves.count += 1
            so_far.step += 1
            if so_far.step < len(parts) and self.pause():
                self._remember(self._sums(), names, len(parts), first)
                raise EpochPaused
        found = self._sums()
        self._so_far = EpochSoFar()
        self.epoch += 1
        terms = {"data": float(found[SQUARES]) / max(float(found[WEIGHT]), 1.0), TotalVariation.name: 0.0}
        for name, value in zip(names, found[FIRST_PENALTY:], strict=True):
            terms[name] = float(value) / len(parts)
        terms = {"loss": sum(terms.values()), **terms}
        if not math.isfinite(found[DENSITY]):
            terms |= {"loss": math.nan, "density": math.nan}
        return self._end_epoch(terms)

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without exposure."""
        stack = np.zeros((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for item in self._on_devices():
            item.predict(geometry, self.fine.kappa, stack)
        return stack

    def volume(self) -> NDArray[np.float32]:
        """Mean density in voxels, ``[x, z, y]``."""
        g, shares = self.problem.geometry, self._on_devices()
        if len(shares) > 1:
            # Points on a cut belong to one of two parts.
            self._fetch()
            return super().volume()
        shape = (g.n_u, self.problem.thickness_px, g.n_v)
        volume = sample_volume(shares[0].device, shares[0].field.density, self.leaves.forest, shape)
        volume *= np.float32(self.scales.unit)
        return volume

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, optimizer state, exposures, losses and remembered contributions; brought to the host."""
        self._fetch()
        return super().arrays()

    def _place(self, leaves: LeafField) -> None:
        self.leaves = leaves
        self.inside = inside(leaves.forest, self.region)
        # What lies on the devices belongs to the leaves before; new arrays are sent when they are asked for.
        for device in self.devices:
            device.wait()  # for what is still on its way to arrays that go now
        self._shares, self._tables = [], {}

    def _move(self, forest: Forest) -> None:
        self._fetch()  # the host resamples
        super()._move(forest)

    def _on_devices(self) -> list[Share]:
        if not self._shares:
            optimizer, leaves = self.optimizer, self.leaves
            assert isinstance(optimizer, BlockOptimizer)
            parts = parts_that_fit(leaves.forest, self.devices, self.problem, self.options)
            devices = deal(len(parts), self.devices)
            residences: dict[int, Residence] = {}
            for number, (device, part) in enumerate(zip(devices, parts, strict=True)):
                if id(device) not in residences:
                    sizes = [p.own.size for d, p in zip(devices, parts, strict=True) if d is device]
                    residences[id(device)] = Residence(device, leaves.forest.n, sizes, leaves.state)
                field = FieldOnDevice(residences[id(device)], leaves, optimizer, part)
                self._shares.append(Share(part, field, Layers(device, parts, number)))
            self._turn = _by_turns(self._shares)
        return self._shares

    def _in_turn(self) -> list[Share]:
        """All parts, those first that lie on the devices; the devices' alternate, so that these work side by side."""
        self._turn.reverse()
        return self._turn

    def _set_penalties(self) -> None:
        """Have the regularizers of this epoch, made anew where they are not those of the last."""
        forest, shares = self.leaves.forest, self._shares
        regularizers = self._present_penalties().regularizers
        if shares[0].made_for is regularizers:
            return
        self._tables = {}
        for item in shares:
            item.penalties = None  # first, so that both are never there at once
        constraints = [item.regularizer for item in regularizers if isinstance(item.regularizer, CrossNode)]
        parts = [item.part for item in shares]
        for number, item in enumerate(shares):
            cross = None
            for constraint in constraints:
                from tomokit.cuda.cross_node import CrossNodeOnDevice, PairTables

                if id(item.device) not in self._tables:
                    here = [i for i, other in enumerate(shares) if other.device is item.device]
                    self._tables[id(item.device)] = PairTables(item.device, constraint, parts, here, self.inside)
                cross = CrossNodeOnDevice(self._tables[id(item.device)], item.part, number)
            item.penalties = PenaltiesOnDevice(item.field, regularizers, forest, cross)
            item.made_for = regularizers

    def _remember(self, found: NDArray[np.float64], names: list[str], steps: int, first: int) -> None:
        """Note the epoch so far, as the CPU does: it may go on from there too."""
        so_far = self._so_far
        so_far.squares, so_far.weight = float(found[SQUARES]), float(found[WEIGHT])
        so_far.terms = {TotalVariation.name: 0.0}
        so_far.terms |= {name: float(v) / steps for name, v in zip(names, found[FIRST_PENALTY:], strict=True)}
        rng, _ = self._draws()
        taken = so_far.step - first
        # Partners were drawn for the whole epoch; the generator is to be where these steps leave it.
        self._draw(rng, taken, self._step - taken)
        so_far.generator = dict(rng.bit_generator.state)

    def _set_level(self) -> None:
        """Have the level that an epoch works on; the other one is let go."""
        level = self._level()
        sums = None
        for item in self._shares:
            if item.level is None or item.level.level is not level:
                sums = mask_sums(level) if sums is None else sums
                item.level = None  # first, so that both are never there at once
                item.level = LevelOnDevice(item.device, level, item.part, sums, item.residence.is_shared)
            item.level.send_exposure()

    def _draw(self, rng: np.random.Generator, steps: int, first: int | None = None) -> NDArray[np.int32] | None:
        """Partners for each evaluation of the cross-node constraint in so many steps, from now on or from `first`."""
        if not self._tables:
            return None
        begin, every = self._step if first is None else first, self._cross_options().every
        tables = next(iter(self._tables.values()))
        return tables.draw(rng, sum((begin + step) % every == 0 for step in range(steps)))

    def _cross_options(self) -> Any:
        regularizers = self._shares[0].penalties.regularizers
        (found,) = (item.options for item in regularizers if isinstance(item.regularizer, CrossNode))
        return found

    def _tabulate(self, partners: dict[int, Any]) -> None:
        """Everything of the cross-node constraint that must be known before any leaf changes."""
        from tomokit.cuda.cross_node import share_counts

        share_counts(list(self._tables.values()))
        for key, tables in self._tables.items():
            with tables.device:
                tables.tabulate(self.leaves.forest.n**3, partners[key])

    def _sums(self) -> NDArray[np.float64]:
        """The sums of an epoch; of squares and masks every part has those of all."""
        found = []
        for item in self._shares:
            with item.device:
                found.append(item.device.to_host(item.totals))
        assert self._shares[0].level is not None
        with self._shares[0].device:
            self._shares[0].level.fetch_exposure()
        whole = np.sum(found, axis=0)
        whole[[SQUARES, WEIGHT]] = found[0][[SQUARES, WEIGHT]]
        return np.asarray(whole)

    def _fetch(self) -> None:
        """Bring the host's field up to date."""
        for item in self._shares:
            item.field.fetch(self.leaves)

    def _measure(self) -> Measures:
        """Of the densities on the devices."""
        n_leaves = self.leaves.forest.n_leaves
        error, largest = np.empty(n_leaves), np.empty(n_leaves)
        for item in self._on_devices():
            found = item.measure()
            error[item.part.own], largest[item.part.own] = found.error, found.density
        return Measures(error, largest)


def _by_turns(shares: list[Share]) -> list[Share]:
    """Each device's first part, each one's second, and so on."""
    turns: dict[int, int] = {}
    order = []
    for item in shares:
        turns[id(item.device)] = turns.get(id(item.device), 0) + 1
        order.append(turns[id(item.device)])
    return [shares[i] for i in np.argsort(order, kind="stable")]
