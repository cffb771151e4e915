"""An octree fit whose epochs run on GPUs, from the first launch to the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import FieldOnDevice, exchange_layers, hyper_rows
from tomokit.cuda.leaves import LeavesOnDevice
from tomokit.cuda.level import LevelOnDevice, mask_sums
from tomokit.cuda.memory import check_fit
from tomokit.cuda.parts import Part, share, split
from tomokit.cuda.penalties import PenaltiesOnDevice, PullsOnDevice
from tomokit.cuda.sampling import sample_volume
from tomokit.cuda.support import needs_all_leaves, refusal
from tomokit.errors import OptionError
from tomokit.fit.leaf_field import LeafField
from tomokit.fit.options import OctreeOptions
from tomokit.fit.run import OctreeRun
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem, ProblemShape
from tomokit.methods.pausing import EpochPaused, EpochSoFar
from tomokit.octree import Forest
from tomokit.octree.cover import inside
from tomokit.octree.measures import Measures
from tomokit.optimizers.block import BlockOptimizer
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.tv import TotalVariation

_SQUARES, _WEIGHT, _DENSITY, _FIRST_PENALTY = 0, 1, 2, 3  # slots of the totals


@dataclass
class _Share:
    """What one device has of a fit; of the levels only the one that is being fitted."""

    device: Device
    part: Part
    field: FieldOnDevice
    kept: PenaltiesOnDevice | None = None
    made_for: Any = None
    level: LevelOnDevice | None = None

    @property
    def penalties(self) -> PenaltiesOnDevice:
        """Those of the epoch."""
        assert self.kept is not None
        return self.kept


class OctreeRunOnDevice(OctreeRun):
    """An octree fit under way on a device (see :class:`tomokit.methods.contract.Run`).

    The schedule is :class:`tomokit.fit.run.OctreeRun`'s. An epoch's views, random numbers and step sizes are sent
    before it; then nothing passes between host and device until its sums are read. Changes of structure are planned on
    the host. Several devices have a part of the specimen each (:mod:`tomokit.cuda.parts`); what these share in a step
    goes through the host.

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
        self._shares: list[_Share] = []
        refused = refusal(options)
        if refused is not None:
            raise OptionError(refused, field="--backend", remedy="give --backend cpu")
        # One part for each device, where the fit can be cut.
        self.devices = list(devices) if needs_all_leaves(options) is None else list(devices)[:1]
        check_fit(self.devices, ProblemShape.of(problem), options, problem.mask is not None)
        super().__init__(problem, options)

    def advance(self) -> dict[str, float]:
        """One pass over all views, in the CPU's order with its random numbers; or the rest of one that was paused."""
        rate, so_far = self._rate(), self._so_far
        rng, parts = self._draws()
        order = np.concatenate(parts)
        shares = self._on_devices()
        self._set_penalties()
        self._set_level()
        names = shares[0].penalties.names
        drawn = self._draw(rng, len(parts) - so_far.step)
        begun = [so_far.squares, so_far.weight, 0.0, *(so_far.terms.get(name, 0.0) * len(parts) for name in names)]
        sent = []
        for i, item in enumerate(shares):
            with item.device:
                put = item.device.xp.asarray
                rows = hyper_rows(item.field.optimizer, rate, self.leaves.count + 1, len(parts) - so_far.step)
                totals = np.array(begun) * (i == 0 or np.arange(len(begun)) < _DENSITY)
                partners = None if drawn is None else put(drawn)
                sent.append((put(order.astype(np.int32)), put(rows), partners, put(totals)))
        begin, due, first = sum(views.size for views in parts[: so_far.step]), 0, so_far.step
        for step, views in enumerate(parts[first:]):
            now = slice(begin, begin + views.size)
            due = self._step_all(step, views, now, due, sent, rng)
            begin = now.stop
            self._step += 1
            self.leaves.count += 1
            so_far.step += 1
            if so_far.step < len(parts) and self.pause():
                self._remember(self._sums([totals for *_, totals in sent]), names, len(parts), first, rng)
                raise EpochPaused
        found = self._sums([totals for *_, totals in sent])
        self._so_far = EpochSoFar()
        self.epoch += 1
        terms = {"data": float(found[_SQUARES]) / max(float(found[_WEIGHT]), 1.0), TotalVariation.name: 0.0}
        for name, value in zip(names, found[_FIRST_PENALTY:], strict=True):
            terms[name] = float(value) / len(parts)
        terms = {"loss": sum(terms.values()), **terms}
        if not math.isfinite(found[_DENSITY]):
            terms |= {"loss": math.nan, "density": math.nan}
        return self._end_epoch(terms)

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without exposure."""
        stack = np.zeros((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for item in self._on_devices():
            with item.device:
                projector = LeavesOnDevice(item.device, item.part.forest, geometry)
                density = item.field.density[: item.part.own.size]
                for view in range(geometry.n_views):
                    # A row is seen in one part; in the others it is zero.
                    stack[view] += item.device.to_host(projector(density, view, self.fine.kappa))[0]
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
        self._shares = []

    def _move(self, forest: Forest) -> None:
        self._fetch()  # the host resamples
        super()._move(forest)

    def _on_devices(self) -> list[_Share]:
        if not self._shares:
            assert isinstance(self.optimizer, BlockOptimizer)
            self._parts = split(self.leaves.forest, len(self.devices))
            for device, part in zip(self.devices, self._parts, strict=False):
                with device:
                    self._shares.append(_Share(device, part, FieldOnDevice(device, self.leaves, self.optimizer, part)))
        return self._shares

    def _set_penalties(self) -> None:
        """Have the regularizers of this epoch, made anew where they are not those of the last."""
        forest = self.leaves.forest
        regularizers = self._present_penalties().regularizers
        for number, item in enumerate(self._shares):
            if item.made_for is regularizers:
                continue
            cross = None
            with item.device:
                for chosen in regularizers:
                    if type(chosen.regularizer) is CrossNode:
                        from tomokit.cuda.cross_node import CrossNodeOnDevice

                        cross = CrossNodeOnDevice(item.device, chosen.regularizer, self._parts, number, self.inside)
                item.kept = None  # first, so that both are never there at once
                item.kept = PenaltiesOnDevice(
                    item.device, regularizers, forest, item.part, cross, item.field.columns, item.field.blocks,
                    self.inside,
                )  # fmt: skip
            item.made_for = regularizers

    def _remember(
        self, found: NDArray[np.float64], names: list[str], steps: int, first: int, rng: np.random.Generator
    ) -> None:
        """Note the epoch so far, as the CPU does: it may go on from there too."""
        so_far = self._so_far
        so_far.squares, so_far.weight = float(found[_SQUARES]), float(found[_WEIGHT])
        so_far.terms = {TotalVariation.name: 0.0}
        so_far.terms |= {name: float(v) / steps for name, v in zip(names, found[_FIRST_PENALTY:], strict=True)}
        if not self._shares[0].penalties.draws_in_steps:
            # Partners were drawn for the whole epoch; the generator is to be where these steps leave it.
            rng, _ = self._draws()
            taken = so_far.step - first
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
                item.level = LevelOnDevice(item.device, level, item.part, sums)
            item.level.send_exposure()

    def _draw(self, rng: np.random.Generator, steps: int, first: int | None = None) -> NDArray[np.int32] | None:
        """Partners for each evaluation of the cross-node constraint in so many steps, from now on or from `first`.

        None where there is no such constraint, or the steps themselves draw.
        """
        penalties = self._shares[0].penalties
        cross = penalties.cross
        if cross is None or penalties.draws_in_steps:
            return None
        begin, every = self._step if first is None else first, self._cross_options().every
        return cross.draw(rng, sum((begin + step) % every == 0 for step in range(steps)))

    def _cross_options(self) -> Any:
        regularizers = self._shares[0].penalties.regularizers
        (found,) = (item.options for item in regularizers if type(item.regularizer) is CrossNode)
        return found

    def _step_all(
        self, step: int, views: NDArray[np.int64], now: slice, due: int, sent: list[Any], rng: np.random.Generator
    ) -> int:
        """One step on every device; returns how many of the partners that were drawn are used up."""
        shares = self._shares
        if len(shares) > 1:
            exchange_layers([item.field for item in shares])
        tabulated = shares[0].penalties.cross is not None and not shares[0].penalties.draws_in_steps
        if tabulated and self._step % self._cross_options().every == 0:
            self._tabulate(due, sent)
            due += 1
        pulls: list[PullsOnDevice] = []
        residuals, partials = [], []
        for item, (chosen, _, _, totals) in zip(shares, sent, strict=True):
            with item.device:
                field, level = item.field, item.level
                assert level is not None
                pulls.append(
                    item.penalties.evaluate(field.values, field.density, self._step, totals, _FIRST_PENALTY, rng)
                )
                residual, partial = level.residual(field, chosen[now])
                residuals.append(residual)
                partials.append(partial)
        partials = share([item.device for item in shares], partials, axis=1)
        for i, (item, (chosen, hyper, _, totals)) in enumerate(zip(shares, sent, strict=True)):
            with item.device:
                assert item.level is not None
                item.level.update(
                    item.field, residuals[i], partials[i], chosen[now], views, pulls[i], hyper[step], totals
                )
                if pulls[i].tv_step is not None:
                    item.penalties.add_variation(totals, item.penalties.variation_slot(_FIRST_PENALTY))
        return due

    def _tabulate(self, due: int, sent: list[Any]) -> None:
        """Everything of the cross-node constraint that must be known before any leaf changes."""
        from tomokit.cuda.cross_node import share_counts

        raw = self._cross_options().space == "raw"
        found = []
        for item in self._shares:
            assert item.penalties.cross is not None
            with item.device:
                item.penalties.cross.count(item.field.values if raw else item.field.density)
            found.append(item.penalties.cross)
        share_counts(found)
        for cross, (_, _, partners, _) in zip(found, sent, strict=True):
            with cross.device:
                cross.tabulate(self.leaves.forest.n**3, partners[due])

    def _sums(self, totals: list[Any]) -> NDArray[np.float64]:
        """The sums of an epoch; of squares and masks every device has those of all parts."""
        found = []
        for item, own in zip(self._shares, totals, strict=True):
            with item.device:
                item.field.add_density(own, _DENSITY)
                found.append(item.device.to_host(own))
        assert self._shares[0].level is not None
        with self._shares[0].device:
            self._shares[0].level.fetch_exposure()
        whole = np.sum(found, axis=0)
        whole[[_SQUARES, _WEIGHT]] = found[0][[_SQUARES, _WEIGHT]]
        return np.asarray(whole)

    def _fetch(self) -> None:
        """Bring the host's field up to date."""
        for item in self._shares:
            item.field.fetch(self.leaves)

    def _measure(self) -> Measures:
        """Of the densities on the devices."""
        from tomokit.cuda.measures import measure

        n_leaves = self.leaves.forest.n_leaves
        error, largest = np.empty(n_leaves), np.empty(n_leaves)
        for item in self._on_devices():
            found = measure(item.device, item.field.density[: item.part.own.size])
            error[item.part.own], largest[item.part.own] = found.error, found.density
        return Measures(error, largest)
