"""The schedule of an octree fit: pyramid, view order, structure updates, learning-rate decay."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.methods.octree import setup
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.level import Level
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.penalties import Penalties, make_regularizers
from tomokit.methods.octree.pyramid import halve
from tomokit.methods.octree.state import check_names, check_shape, forest_arrays, read_forest
from tomokit.methods.octree.weights import Scales, measured_shape
from tomokit.methods.pausing import EpochPaused, EpochProgress, never
from tomokit.octree import Forest
from tomokit.octree.cover import inside
from tomokit.octree.culling import seen, select
from tomokit.octree.error_indicators import ErrorIndicators, IndicatorHistory, measure_indicators
from tomokit.octree.structure import plan_update
from tomokit.projector.leaves import LeafProjector


class OctreeRun:
    """An octree fit under way (see :class:`tomokit.methods.interface.Run`).

    Raises
    ------
    OptionError
        If the problem asks for another backend than the run's own: the summary must not say otherwise.
    """

    backend = "cpu"

    def __init__(self, problem: Problem, options: OctreeOptions) -> None:
        if problem.backend != self.backend:
            raise OptionError(
                f"the octree method has no {problem.backend} backend", field="--backend", remedy="choose cpu"
            )
        self.problem = problem
        self.options = options
        self.epochs = options.epochs
        self.epoch = 0
        self.scales = Scales.of(problem, options.unit)
        self.shape = measured_shape(problem, self.scales)
        self.region = setup.region_of(self.shape)
        self.optimizer = setup.make_optimizer(options)
        # The fit's densities are in its unit, those that go in or out are not.
        kappa = problem.geometry.kappa * self.scales.unit
        self.fine = Level(problem, 1, kappa)
        self.coarse = Level(halve(problem), 2, kappa) if options.coarse_epochs else None
        self.indicator_history = IndicatorHistory()
        self._losses: list[float] = []
        self._step = 0
        self._made: tuple[tuple[Forest, bool], Penalties] | None = None
        self.pause: Callable[[], bool] = never
        self._epoch_progress = EpochProgress()
        forest = self._first_forest()
        forest = self._cull(forest.with_finest_merged() if options.large_leaf_epochs else forest)
        density = options.start * setup.mean_density(problem) / self.scales.unit
        self._place(self._field(forest, np.full(forest.values_shape, density, np.float32)))

    def advance(self) -> dict[str, float]:
        """One pass over all views, in an order drawn from the seed; or the rest of one that was paused.

        Where a term ceases to be a number the pass ends there, so that what is returned tells which it was.
        """
        penalties, level, rate, progress_of_epoch = (
            self._present_penalties(),
            self._level(),
            self._rate(),
            self._epoch_progress,
        )
        rng, batches = self._draws()
        steps = len(batches)
        for views in batches[progress_of_epoch.step :]:
            penalty_gradients = penalties.evaluate(self.leaves, self.inside, rng, self._step)
            s, w, tv = level.step(self.leaves, views, penalty_gradients, rate)
            progress_of_epoch.squares, progress_of_epoch.weight = (
                progress_of_epoch.squares + s,
                progress_of_epoch.weight + w,
            )
            for name, value in {"tv": tv, **penalty_gradients.terms}.items():
                progress_of_epoch.terms[name] = progress_of_epoch.terms.get(name, 0.0) + value / steps
            self._step += 1
            progress_of_epoch.step += 1
            if not all(map(math.isfinite, (progress_of_epoch.squares, *progress_of_epoch.terms.values()))):
                break
            if progress_of_epoch.step < steps and self.pause():
                progress_of_epoch.generator = dict(rng.bit_generator.state)
                raise EpochPaused
        self._epoch_progress = EpochProgress()
        self.epoch += 1
        terms = {"data": progress_of_epoch.squares / max(progress_of_epoch.weight, 1.0), **progress_of_epoch.terms}
        terms = {"loss": sum(terms.values()), **terms}
        if not math.isfinite(float(self.leaves.density.sum(dtype=np.float64))):
            # The last step of the epoch may have spoilt what no term has seen yet.
            terms |= {"loss": math.nan, "density": math.nan}
        return self._end_epoch(terms)

    def _end_epoch(self, terms: dict[str, float]) -> dict[str, float]:
        """Note the loss, and change the leaves where that is due."""
        options = self.options
        self._losses.append(terms["loss"])
        if math.isfinite(terms["loss"]):
            if self.epoch == options.large_leaf_epochs:
                self._move(self._first_forest())
            if self.epoch in options.structure_epochs:
                self._restructure()
        return {**terms, "leaves": float(self.leaves.forest.n_leaves)}

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without offset."""
        projector = LeafProjector(self.leaves.forest, geometry)
        stack = np.empty((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        # One by one: the projector's buffers grow with the views it is asked for.
        for view, image in enumerate(stack):
            np.multiply(projector(self.leaves.density, view)[0], np.float32(self.fine.kappa), out=image)
        return stack

    def volume(self) -> NDArray[np.float32]:
        """Mean density in voxels, ``[x, z, y]``."""
        from tomokit.octree.sampling import sample_volume

        geometry = self.problem.geometry
        volume = sample_volume(
            self.leaves.density, self.leaves.forest, geometry.n_u, self.problem.thickness_px, geometry.n_v
        )
        volume *= np.float32(self.scales.unit)
        return volume

    def offsets(self) -> NDArray[np.float32]:
        """Additive offset of each view, as last solved for."""
        level = self.coarse if self.coarse is not None and self.epoch <= self.options.coarse_epochs else self.fine
        return level.offsets.astype(np.float32)

    def stored_density(self) -> dict[str, Any]:
        """How the density follows from the arrays (see :mod:`tomokit.state.density`)."""
        return {
            "kind": "octree",
            "values": "values",
            "forest": "forest_",
            "activation": self.leaves.activation,
            "parameter": self.leaves.parameter,
            "scale": float(np.float32(self.scales.unit)),
        }

    def resolved_parameters(self) -> dict[str, Any]:
        """Scales, forest, optimizer and regularizers with every option that they were made with.

        Of the last epoch, if no structure update comes between.
        """
        forest = self._cull(self._first_forest())
        options = getattr(self.optimizer, "options", None)
        return {
            "scales": dataclasses.asdict(self.scales),
            "leaves": {"count": forest.n_leaves, "n": forest.n, "root_px": forest.root_px},
            "optimizer": {"name": self.optimizer.name, **(dataclasses.asdict(options) if options else {})},
            "regularizers": {
                item.regularizer.name: {**dataclasses.asdict(item.options), "weight": item.weight}
                for item in self._penalties(self.epochs - 1, forest).regularizers
            },
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, optimizer state, offsets, losses, remembered contributions, the epoch under way."""
        found = forest_arrays(self.leaves.forest)
        found |= self.indicator_history.to_arrays()
        found |= {f"optimizer_{name}": array for name, array in self.leaves.state.items()}
        found["values"] = self.leaves.values
        found["offsets_fine"] = self.fine.offsets
        if self.coarse is not None:
            found["offsets_coarse"] = self.coarse.offsets
        found["losses"] = np.array(self._losses)
        found["epoch_progress"] = self._epoch_progress.to_array()
        found["counters"] = np.array([self._step, self.leaves.count], np.int64)
        return found

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue after `epoch` epochs.

        Raises
        ------
        InputError
            If an array is missing or does not belong; the run is then as it was.
        """
        from tomokit.activation.functions import activate_leaves

        check_names(arrays, self.arrays())
        forest = read_forest(arrays, self.leaves.forest)
        leaves = self._field(forest, np.ones(forest.values_shape, np.float32))
        targets: dict[str, NDArray[Any]] = {f"optimizer_{name}": array for name, array in leaves.state.items()}
        targets |= {"values": leaves.values, "offsets_fine": self.fine.offsets}
        if self.coarse is not None:
            targets["offsets_coarse"] = self.coarse.offsets
        for name, target in targets.items():
            check_shape(arrays, name, target.shape)
        check_shape(arrays, "losses", (epoch,))
        check_shape(arrays, "counters", (2,))
        progress_of_epoch = EpochProgress.from_array(arrays["epoch_progress"], "epoch_progress")
        for name, target in targets.items():
            target[...] = arrays[name]
        activate_leaves(leaves.kind, leaves.parameter, leaves.values, leaves.density)
        self.indicator_history = IndicatorHistory.from_arrays(arrays)
        self._step, leaves.count = (int(number) for number in arrays["counters"])
        self._epoch_progress = progress_of_epoch
        self._losses = [float(loss) for loss in arrays["losses"]]
        self.epoch = epoch
        self._place(leaves)

    def _first_forest(self) -> Forest:
        return setup.make_forest(self.shape, self.options)

    def _field(self, forest: Forest, density: NDArray[np.float32]) -> LeafField:
        return LeafField(forest, density, self.options.activation, self.optimizer, self.options.bend)

    def _level(self) -> Level:
        """The level of the pyramid that this epoch is fitted on."""
        return self.coarse if self.coarse is not None and self.epoch < self.options.coarse_epochs else self.fine

    def _rate(self) -> float:
        """Factor of the learning rate in this epoch."""
        options = self.options
        rate = options.field_filling_rate if self.scales.fills_field else 1.0
        return rate * (options.decay if self.epoch >= options.epochs - options.decays else 1.0)

    def _draws(self) -> tuple[np.random.Generator, list[NDArray[np.int64]]]:
        """This epoch's random numbers, from where a pause left them, and the views of each of its steps."""
        rng = np.random.default_rng((self.problem.seed, self.epoch))
        order = rng.permutation(self.problem.geometry.n_views)
        if self._epoch_progress.generator is not None:
            rng.bit_generator.state = self._epoch_progress.generator
        return rng, np.array_split(order, -(-order.size // self.options.views_per_step))

    def _present_penalties(self) -> Penalties:
        """The regularizers of this epoch; the same, with what they keep, while neither forest nor phase changes."""
        key = (self.leaves.forest, self.epoch < self.options.convex_epochs)
        if self._made is None or self._made[0][0] is not key[0] or self._made[0][1] != key[1]:
            self._made = (key, self._penalties(self.epoch, key[0]))
        return self._made[1]

    def _penalties(self, epoch: int, forest: Forest) -> Penalties:
        """The regularizers of an epoch: weights that follow the noise follow the forest too."""
        options = self.options
        convex = epoch < options.convex_epochs
        strength = options.strength * (options.convex_strength if convex else 1.0)
        if self.scales.fills_field and options.field_filling_strength is not None:
            strength = options.field_filling_strength
        return Penalties(make_regularizers(options.regularizers, self.scales.defaults(forest, strength), convex))

    def _place(self, leaves: LeafField) -> None:
        """Go on with these leaves."""
        self.leaves = leaves
        self.inside = inside(leaves.forest, self.region)
        # By the last epoch: weights may be zero before, in the convex ones.
        if self._penalties(self.epochs - 1, leaves.forest).needs_sides:
            leaves.keep_sides()

    def _move(self, forest: Forest) -> None:
        """Go on with the leaves of another forest that some ray sees."""
        forest, present = self._cull(forest), self.leaves.forest
        if not (np.array_equal(forest.level, present.level) and np.array_equal(forest.index, present.index)):
            self._place(self.leaves.on(forest))

    def _cull(self, forest: Forest) -> Forest:
        """Without the leaves that no unmasked ray sees; where no pixel counts at all, as it is."""
        keep = seen(forest, self.problem.geometry, self.problem.mask)
        return select(forest, keep) if keep.any() else forest

    def _indicators_of_leaves(self) -> ErrorIndicators:
        """Of the present densities."""
        return measure_indicators(self.leaves.density)

    def _restructure(self) -> None:
        """Change the octree by its integer program, if the loss has stalled."""
        if len(self._losses) < 2 or self._losses[-1] < self.options.structure_stall * self._losses[-2]:
            return
        forest = self.leaves.forest
        contribution = self._indicators_of_leaves().contribution(forest)
        self.indicator_history.record(forest, contribution)
        planned = plan_update(
            forest,
            contribution,
            self.options.max_leaves,
            finest_level=self.options.coarser + self.options.finer,
            indicator_history=self.indicator_history,
            roi=self.inside,
            push_roi=self.options.push_roi,
        )
        self._move(planned)
