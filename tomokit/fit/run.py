"""The schedule of an octree fit: pyramid, view order, structure updates, learning-rate decay."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.fit.leaf_field import LeafField
from tomokit.fit.level import Level
from tomokit.fit.penalties import Penalties, make_regularizers
from tomokit.fit.pyramid import halve
from tomokit.fit.weights import total_variation_weight
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem, ProblemShape
from tomokit.methods.dense_run import margin_px
from tomokit.methods.octree import OctreeOptions
from tomokit.octree import Forest
from tomokit.octree.cover import Region, choose_leaf_px, cover, inside
from tomokit.octree.culling import seen, select
from tomokit.octree.measures import Memory, measure
from tomokit.octree.structure import plan_update
from tomokit.optimizers.block import BlockOptimizer
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.projector.leaves import LeafProjector


class OctreeRun:
    """An octree fit under way (see :class:`tomokit.methods.contract.Run`)."""

    def __init__(self, problem: Problem, options: OctreeOptions) -> None:
        self.problem = problem
        self.options = options
        self.epochs = options.epochs
        self.epoch = 0
        geometry = problem.geometry
        self.region = Region(geometry.n_u, geometry.n_v, problem.thickness_px)
        self.fine = Level(problem, 1, geometry.kappa)
        self.coarse = Level(halve(problem), 2, geometry.kappa) if options.coarse_epochs else None
        forest = self._cull(self._cover())
        self.optimizer = self._make_optimizer()
        start = np.full(forest.values_shape, options.start * _mean_density(problem), np.float32)
        scales = {"tv": options.strength * total_variation_weight(problem, forest)}
        scales["boundary"] = scales["tv"]
        self.penalties = Penalties(make_regularizers(options.regularizers, scales))
        self.memory = Memory()
        self._losses: list[float] = []
        self._step = 0
        self._place(LeafField(forest, start, options.activation, self.optimizer))

    def advance(self) -> dict[str, float]:
        """One pass over all views, in an order drawn from the seed."""
        options = self.options
        level = self.coarse if self.coarse is not None and self.epoch < options.coarse_epochs else self.fine
        rate = options.decay if self.epoch >= options.epochs - options.decay_epochs else 1.0
        rng = np.random.default_rng((self.problem.seed, self.epoch))
        order = rng.permutation(self.problem.geometry.n_views)
        totals: dict[str, float] = {}
        squares = weight = 0.0
        steps = -(-order.size // options.views_per_step)
        for views in np.array_split(order, steps):
            pulls = self.penalties.evaluate(self.leaves, self.inside, rng, self._step)
            s, w, tv = level.step(self.leaves, views, pulls, rate)
            squares, weight = squares + s, weight + w
            for name, value in {"tv": tv, **pulls.terms}.items():
                totals[name] = totals.get(name, 0.0) + value / steps
            self._step += 1
        self.epoch += 1
        terms = {"data": squares / max(weight, 1.0), **totals}
        terms = {"loss": sum(terms.values()), **terms}
        self._losses.append(terms["loss"])
        if self.epoch in options.structure_epochs:
            self._restructure()
        return {**terms, "leaves": float(self.leaves.forest.n_leaves)}

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without exposure."""
        stack = LeafProjector(self.leaves.forest, geometry)(self.leaves.density)
        stack *= np.float32(self.problem.geometry.kappa)
        return stack

    def volume(self) -> NDArray[np.float32]:
        """The density sampled at voxel centres, ``[x, z, y]``."""
        from tomokit.octree.sampling import sample_volume

        geometry = self.problem.geometry
        return sample_volume(
            self.leaves.density, self.leaves.forest, geometry.n_u, self.problem.thickness_px, geometry.n_v
        )

    def exposure(self) -> NDArray[np.float32]:
        """Additive exposure of each view, as last solved for."""
        level = self.coarse if self.coarse is not None and self.epoch <= self.options.coarse_epochs else self.fine
        return level.exposure.astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, densities, optimizer state, exposures, losses and remembered contributions."""
        from tomokit.octree.state import to_arrays

        found: dict[str, NDArray[Any]] = {
            f"forest_{name}": array for name, array in to_arrays(self.leaves.forest).items()
        }
        found |= self.memory.to_arrays()
        found |= {f"optimizer_{name}": array for name, array in self.leaves.state.items()}
        found["values"] = self.leaves.values
        found["exposure_fine"] = self.fine.exposure
        if self.coarse is not None:
            found["exposure_coarse"] = self.coarse.exposure
        found["losses"] = np.array(self._losses)
        found["counters"] = np.array([self._step, self.leaves.count], np.int64)
        return found

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue after `epoch` epochs.

        Raises
        ------
        InputError
            If an array is missing or does not belong.
        """
        from tomokit.field.activation import activate_block
        from tomokit.octree.state import from_arrays

        prefix = "forest_"
        forest = from_arrays({name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)})
        leaves = LeafField(forest, np.ones(forest.values_shape, np.float32), self.options.activation, self.optimizer)
        self.memory = Memory.from_arrays(arrays)
        targets: dict[str, NDArray[Any]] = {f"optimizer_{name}": array for name, array in leaves.state.items()}
        targets |= {"values": leaves.values, "exposure_fine": self.fine.exposure}
        if self.coarse is not None:
            targets["exposure_coarse"] = self.coarse.exposure
        for name, target in targets.items():
            if name not in arrays or arrays[name].shape != target.shape:
                raise InputError("missing or of another shape", field=name)
            target[...] = arrays[name]
        activate_block(leaves.kind, leaves.parameter, leaves.values.reshape(-1), leaves.density.reshape(-1))
        self._step, leaves.count = (int(number) for number in arrays["counters"])
        self._losses = [float(loss) for loss in arrays["losses"]]
        self.epoch = epoch
        self._place(leaves)

    def _place(self, leaves: LeafField) -> None:
        """Go on with these leaves."""
        self.leaves = leaves
        self.inside = inside(leaves.forest, self.region)
        if self.penalties.needs_sides:
            leaves.keep_sides()

    def _cover(self) -> Forest:
        options = self.options
        margin = margin_px(ProblemShape.of(self.problem), options.margin)
        leaf = options.leaf_px
        if leaf is None:
            leaf = choose_leaf_px(
                self.region, margin, options.n, options.max_leaves, options.coarser, options.spacing_px
            )
        return cover(self.region, margin, options.n, leaf, options.coarser, options.max_leaves)

    def _cull(self, forest: Forest) -> Forest:
        """Without the leaves that no unmasked ray sees."""
        return select(forest, seen(forest, self.problem.geometry, self.problem.mask))

    def _make_optimizer(self) -> BlockOptimizer:
        name = self.options.optimizer
        cls = get_registry().get("optimizer", name)
        settings = dict(self.options.optimizers.get(name, {}))
        if any(item.name == "eps" for item in dataclasses.fields(cls.Options)):
            # The data term is a mean over pixels, so a vertex's gradient is some 1e-9: PyTorch's 1e-8 would rule it.
            settings.setdefault("eps", 1e-15)
        options = build_options(cls.Options, settings, f"optimizers.{name}")
        optimizer: BlockOptimizer = cls(options)
        return optimizer

    def _restructure(self) -> None:
        """Change the octree by its integer program, if the loss has stalled."""
        if len(self._losses) < 2 or self._losses[-1] < self.options.structure_stall * self._losses[-2]:
            return
        forest = self.leaves.forest
        contribution = measure(self.leaves.density).contribution(forest)
        self.memory.record(forest, contribution)
        planned = plan_update(
            forest,
            contribution,
            self.options.max_leaves,
            finest_level=self.options.coarser + self.options.finer,
            memory=self.memory,
            roi=self.inside,
            push_roi=self.options.push_roi,
        )
        planned = self._cull(planned)
        if planned.n_leaves != forest.n_leaves or (planned.index != forest.index).any():
            self._place(self.leaves.on(planned))


def _mean_density(problem: Problem) -> float:
    """Density of a uniform slab whose projections have the mean magnitude of the unmasked pixels."""
    magnitude = np.abs(problem.projections)
    if problem.mask is None:
        mean = float(magnitude.mean(dtype=np.float64))
    else:
        mean = float(np.vdot(magnitude, problem.mask)) / max(float(problem.mask.sum(dtype=np.float64)), 1.0)
    return mean / (problem.geometry.kappa * problem.thickness_px)
