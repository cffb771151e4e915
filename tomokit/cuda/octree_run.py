"""An octree fit whose epochs run on a device, from the first launch to the last."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import FieldOnDevice, hyper_rows
from tomokit.cuda.leaves import LeavesOnDevice
from tomokit.cuda.level import LevelOnDevice
from tomokit.cuda.memory import check_fit
from tomokit.cuda.penalties import PenaltiesOnDevice
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
from tomokit.regularizers.tv import TotalVariation

_SQUARES, _WEIGHT, _DENSITY, _FIRST_PENALTY = 0, 1, 2, 3  # slots of the totals
_STRIDE = 1 << 16
_SUM_THREADS = 256  # as in totals.cu


class OctreeRunOnDevice(OctreeRun):
    """An octree fit under way on a device (see :class:`tomokit.methods.contract.Run`).

    The schedule is :class:`tomokit.fit.run.OctreeRun`'s. An epoch's views, random numbers and step sizes are sent
    before it; then nothing passes between host and device until its sums are read. Changes of structure are planned on
    the host.

    Parameters
    ----------
    problem : Problem
    options : OctreeOptions
    device : Device

    Raises
    ------
    OptionError
        If the optimizer or a regularizer has no kernel here.
    ResourceError
        If the device has not enough memory.
    """

    backend = "cuda"

    def __init__(self, problem: Problem, options: OctreeOptions, device: Device) -> None:
        self.device = device
        self._levels: dict[int, LevelOnDevice] = {}
        self._field: FieldOnDevice | None = None
        refused = refusal(options)
        if refused is not None:
            raise OptionError(refused, field="--backend", remedy="give --backend cpu")
        check_fit(device, ProblemShape.of(problem), options, problem.mask is not None)
        super().__init__(problem, options)

    def advance(self) -> dict[str, float]:
        """One pass over all views, in the CPU's order and with its random numbers."""
        options, n_views = self.options, self.problem.geometry.n_views
        on_coarse = self.coarse is not None and self.epoch < options.coarse_epochs
        rate = options.decay if self.epoch >= options.epochs - options.decays else 1.0
        rng = np.random.default_rng((self.problem.seed, self.epoch))
        order = rng.permutation(n_views)
        parts = np.array_split(order, -(-order.size // options.views_per_step))
        with self.device:
            xp = self.device.xp
            level, field, penalties = self._level(on_coarse), self._on_device(), self._penalties
            level.send_exposure()
            drawn = penalties.draw(rng, self._step, len(parts))
            chosen = xp.asarray(order.astype(np.int32))
            hyper = xp.asarray(hyper_rows(field.optimizer, rate, self.leaves.count + 1, len(parts)))
            totals = xp.zeros(_FIRST_PENALTY + len(penalties.names), np.float64)
            begin = 0
            for step, views in enumerate(parts):
                pulls = penalties.evaluate(field.values, field.density, self._step, drawn[step], totals, _FIRST_PENALTY)
                part = chosen[begin : begin + views.size]
                level.step(field, part, views, pulls, hyper[step], totals)
                if pulls.tv_step is not None:
                    penalties.add_variation(totals, penalties.variation_slot(_FIRST_PENALTY))
                begin += views.size
                self._step += 1
                self.leaves.count += 1
            self._add_density(field, totals)
            found = self.device.to_host(totals)
            level.fetch_exposure()
        self.epoch += 1
        terms = {"data": float(found[_SQUARES]) / max(float(found[_WEIGHT]), 1.0), TotalVariation.name: 0.0}
        for name, value in zip(penalties.names, found[_FIRST_PENALTY:], strict=True):
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
        density = self._on_device().density
        projector = LeavesOnDevice(self.device, self.leaves.forest, geometry)
        stack = np.empty((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for view in range(geometry.n_views):
            stack[view] = self.device.to_host(projector(density, view, self.problem.geometry.kappa))[0]
        return stack

    def volume(self) -> NDArray[np.float32]:
        """The density sampled at voxel centres, ``[x, z, y]``."""
        g = self.problem.geometry
        field = self._on_device()
        shape = (g.n_u, self.problem.thickness_px, g.n_v)
        return sample_volume(self.device, field.density, field.forest, shape)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, optimizer state, exposures, losses and remembered contributions; brought to the host."""
        if self._field is not None:
            self._field.fetch(self.leaves)
        return super().arrays()

    def _place(self, leaves: LeafField) -> None:
        self.leaves = leaves
        self.inside = inside(leaves.forest, self.region)
        # What lies on the device belongs to the leaves before; new arrays are sent when the next epoch asks for them.
        self._field = None

    def _on_device(self) -> FieldOnDevice:
        if self._field is None:
            assert isinstance(self.optimizer, BlockOptimizer)
            self._field = field = FieldOnDevice(self.device, self.leaves, self.optimizer)
            self._penalties = PenaltiesOnDevice(
                self.device, self.penalties.regularizers, self.leaves.forest, self.inside, field.columns, field.blocks
            )
        return self._field

    def _level(self, coarse: bool) -> LevelOnDevice:
        """The level that an epoch works on; the other one is let go."""
        level = self.coarse if coarse else self.fine
        assert level is not None
        if level.pixel not in self._levels:
            self._levels = {}  # first, so that both are never there at once
            self._levels[level.pixel] = LevelOnDevice(self.device, level)
        return self._levels[level.pixel]

    def _add_density(self, field: FieldOnDevice, totals: Any) -> None:
        """Add the sum of all densities, by which one that is not finite is seen."""
        size = field.density.size
        blocks = -(-size // _STRIDE)
        partial = self.device.xp.empty(blocks, np.float32)
        kernels, block = self.device.load("totals"), (_SUM_THREADS, 1, 1)
        kernels["sum_blocks"]((blocks, 1, 1), block, (field.density, partial, size, _STRIDE))
        kernels["add_total"]((1, 1, 1), block, (partial, None, totals, 1.0, _DENSITY, blocks, 1))

    def _measure(self) -> Measures:
        """Of the densities on the device; the host's copies are brought up to date, since they are resampled next."""
        from tomokit.cuda.measures import measure

        field = self._on_device()
        field.fetch(self.leaves)
        return measure(self.device, field.density)
