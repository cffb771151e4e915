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
from tomokit.cuda.support import refusal
from tomokit.errors import OptionError
from tomokit.fit.leaf_field import LeafField
from tomokit.fit.options import OctreeOptions
from tomokit.fit.run import OctreeRun
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem, ProblemShape
from tomokit.octree.cover import inside
from tomokit.octree.measures import Measures
from tomokit.optimizers.block import BlockOptimizer
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.tv import TotalVariation

_SQUARES, _WEIGHT, _DENSITY, _FIRST_PENALTY = 0, 1, 2, 3  # slots of the totals
_STRIDE = 1 << 16
_SUM_THREADS = 256  # as in totals.cu


@dataclass
class _Share:
    """What one device has of a fit; of the levels only the one that is being fitted."""

    device: Device
    part: Part
    field: FieldOnDevice
    penalties: PenaltiesOnDevice
    level: LevelOnDevice | None = None


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
        self.devices = list(devices)
        self._shares: list[_Share] = []
        refused = refusal(options)
        if refused is not None:
            raise OptionError(refused, field="--backend", remedy="give --backend cpu")
        check_fit(self.devices, ProblemShape.of(problem), options, problem.mask is not None)
        super().__init__(problem, options)

    def advance(self) -> dict[str, float]:
        """One pass over all views, in the CPU's order and with its random numbers."""
        options, n_views = self.options, self.problem.geometry.n_views
        rate = options.decay if self.epoch >= options.epochs - options.decays else 1.0
        rng = np.random.default_rng((self.problem.seed, self.epoch))
        order = rng.permutation(n_views)
        parts = np.array_split(order, -(-order.size // options.views_per_step))
        shares = self._on_devices()
        self._set_level(self.coarse is not None and self.epoch < options.coarse_epochs)
        drawn = self._draw(rng, len(parts))
        sent = []
        for item in shares:
            with item.device:
                put = item.device.xp.asarray
                rows = hyper_rows(item.field.optimizer, rate, self.leaves.count + 1, len(parts))
                totals = item.device.xp.zeros(_FIRST_PENALTY + len(item.penalties.names), np.float64)
                partners = None if drawn is None else put(drawn)
                sent.append((put(order.astype(np.int32)), put(rows), partners, totals))
        begin = due = 0
        for step, views in enumerate(parts):
            now = slice(begin, begin + views.size)
            due = self._step_all(step, views, now, due, sent)
            begin = now.stop
            self._step += 1
            self.leaves.count += 1
        found = self._sums([totals for _, _, _, totals in sent])
        self.epoch += 1
        terms = {"data": float(found[_SQUARES]) / max(float(found[_WEIGHT]), 1.0), TotalVariation.name: 0.0}
        for name, value in zip(shares[0].penalties.names, found[_FIRST_PENALTY:], strict=True):
            terms[name] = float(value) / len(parts)
        terms = {"loss": sum(terms.values()), **terms}
        if not math.isfinite(found[_DENSITY]):
            terms |= {"loss": math.nan, "density": math.nan}
        self._losses.append(terms["loss"])
        if self.epoch in options.structure_epochs and math.isfinite(terms["loss"]):
            self._restructure()
        return {**terms, "leaves": float(self.leaves.forest.n_leaves)}

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without exposure."""
        stack = np.zeros((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for item in self._on_devices():
            with item.device:
                projector = LeavesOnDevice(item.device, item.part.forest, geometry)
                density = item.field.density[: item.part.own.size]
                for view in range(geometry.n_views):
                    # A row is seen in one part; in the others it is zero.
                    stack[view] += item.device.to_host(projector(density, view, self.problem.geometry.kappa))[0]
        return stack

    def volume(self) -> NDArray[np.float32]:
        """The density sampled at voxel centres, ``[x, z, y]``."""
        g, shares = self.problem.geometry, self._on_devices()
        if len(shares) > 1:
            # Points on a cut belong to one of two parts.
            self._fetch()
            return super().volume()
        shape = (g.n_u, self.problem.thickness_px, g.n_v)
        return sample_volume(shares[0].device, shares[0].field.density, self.leaves.forest, shape)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, optimizer state, exposures, losses and remembered contributions; brought to the host."""
        self._fetch()
        return super().arrays()

    def _place(self, leaves: LeafField) -> None:
        self.leaves = leaves
        self.inside = inside(leaves.forest, self.region)
        # What lies on the devices belongs to the leaves before; new arrays are sent when they are asked for.
        self._shares = []

    def _on_devices(self) -> list[_Share]:
        if not self._shares:
            assert isinstance(self.optimizer, BlockOptimizer)
            regularizers, forest = self.penalties.regularizers, self.leaves.forest
            parts = split(forest, len(self.devices))
            for number, (device, part) in enumerate(zip(self.devices, parts, strict=False)):
                with device:
                    field = FieldOnDevice(device, self.leaves, self.optimizer, part)
                    cross = None
                    for item in regularizers:
                        if isinstance(item.regularizer, CrossNode):
                            from tomokit.cuda.cross_node import CrossNodeOnDevice

                            cross = CrossNodeOnDevice(device, item.regularizer, parts, number, self.inside)
                    penalties = PenaltiesOnDevice(
                        device, regularizers, forest, part, cross, field.columns, field.blocks
                    )
                self._shares.append(_Share(device, part, field, penalties))
        return self._shares

    def _set_level(self, coarse: bool) -> None:
        """Have the level that an epoch works on; the other one is let go."""
        level = self.coarse if coarse else self.fine
        assert level is not None
        sums = mask_sums(level)
        for item in self._shares:
            if item.level is None or item.level.level is not level:
                item.level = None  # first, so that both are never there at once
                item.level = LevelOnDevice(item.device, level, item.part, sums)
            item.level.send_exposure()

    def _draw(self, rng: np.random.Generator, steps: int) -> NDArray[np.int32] | None:
        """The partners of every evaluation of the cross-node constraint in the next steps."""
        cross, every = self._shares[0].penalties.cross, self._every()
        if cross is None:
            return None
        return cross.draw(rng, sum((self._step + step) % every == 0 for step in range(steps)))

    def _every(self) -> int:
        found = [item.options.every for item in self.penalties.regularizers if isinstance(item.regularizer, CrossNode)]
        return int(found[0]) if found else 1

    def _step_all(self, step: int, views: NDArray[np.int64], now: slice, due: int, sent: list[Any]) -> int:
        """One step on every device; returns how many of the partners that were drawn are used up."""
        shares = self._shares
        if len(shares) > 1:
            exchange_layers([item.field for item in shares])
        if shares[0].penalties.cross is not None and self._step % self._every() == 0:
            self._tabulate(due, sent)
            due += 1
        pulls: list[PullsOnDevice] = []
        residuals, partials = [], []
        for item, (chosen, _, _, totals) in zip(shares, sent, strict=True):
            with item.device:
                field, level = item.field, item.level
                assert level is not None
                pulls.append(item.penalties.evaluate(field.values, field.density, self._step, totals, _FIRST_PENALTY))
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

        (raw,) = (
            item.options.space == "raw"
            for item in self.penalties.regularizers
            if isinstance(item.regularizer, CrossNode)
        )
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
                self._add_density(item, own)
                found.append(item.device.to_host(own))
        assert self._shares[0].level is not None
        with self._shares[0].device:
            self._shares[0].level.fetch_exposure()
        whole = np.sum(found, axis=0)
        whole[[_SQUARES, _WEIGHT]] = found[0][[_SQUARES, _WEIGHT]]
        return np.asarray(whole)

    @staticmethod
    def _add_density(item: _Share, totals: Any) -> None:
        """Add the sum of all densities, by which one that is not finite is seen."""
        density = item.field.density[: item.part.own.size]
        blocks = -(-density.size // _STRIDE)
        partial = item.device.xp.empty(blocks, np.float32)
        kernels, block = item.device.load("totals"), (_SUM_THREADS, 1, 1)
        kernels["sum_blocks"]((blocks, 1, 1), block, (density, partial, density.size, _STRIDE))
        kernels["add_total"]((1, 1, 1), block, (partial, None, totals, 1.0, _DENSITY, blocks, 1))

    def _fetch(self) -> None:
        """Bring the host's field up to date."""
        for item in self._shares:
            item.field.fetch(self.leaves)

    def _measure(self) -> Measures:
        """Of the densities on the devices; the host's copies are brought up to date, since they are resampled next."""
        from tomokit.cuda.measures import measure

        n_leaves = self.leaves.forest.n_leaves
        error, largest = np.empty(n_leaves), np.empty(n_leaves)
        for item in self._on_devices():
            found = measure(item.device, item.field.density[: item.part.own.size])
            error[item.part.own], largest[item.part.own] = found.error, found.density
        self._fetch()
        return Measures(error, largest)
