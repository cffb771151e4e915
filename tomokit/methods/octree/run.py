"""The schedule of an octree fit: pyramid, view order, structure updates, learning-rate decay."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry
from tomokit.methods.octree import setup
from tomokit.methods.octree.engine import MakeEngine
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import WeightedRegularizer
from tomokit.methods.octree.pyramid import halve
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.octree.solver import PrimalDual, view_groups
from tomokit.methods.octree.state import check_names, check_shape, read_progress
from tomokit.methods.pausing import EpochPaused, EpochProgress, never
from tomokit.methods.state_arrays import check_numbers
from tomokit.octree import Forest
from tomokit.octree.cover import inside
from tomokit.octree.culling import seen, select
from tomokit.octree.error_indicators import IndicatorHistory
from tomokit.octree.state import forest_arrays, read_forest
from tomokit.octree.structure import plan_update


class OctreeRun:
    """An octree fit under way (see :class:`tomokit.methods.interface.Run`).

    The same schedule wherever the fit runs: the steps are those of an engine
    (:class:`tomokit.methods.octree.engine.Engine`).

    Parameters
    ----------
    plan : FitPlan
        The plan of a problem that has been read.
    make_engine : MakeEngine
        Called once, with the plan and the first field.
    final_forest : Forest, optional
        The leaves that another fit of the same specimen ended on: at the first of the epochs at which leaves change,
        the fit goes to these and stays there.

    Attributes
    ----------
    plan : FitPlan
    epochs, epoch : int
        Epochs of the run, and how many of them are finished.
    fine : PyramidLevel
        The projections at full resolution.
    coarse : PyramidLevel or None
        The projections at half resolution, where some epochs are fitted at it.
    engine : Engine
        Carries out the steps.
    pause : callable
        Asked after every step but an epoch's last (see :class:`tomokit.methods.capabilities.Pausable`).
    """

    def __init__(self, plan: FitPlan, make_engine: MakeEngine, final_forest: Forest | None = None) -> None:
        problem, options = plan.data, plan.options
        self.plan = plan
        self.epochs = options.epochs
        self.epoch = 0
        # The fit's densities are in its unit, those that go in or out are not; kappa takes the unit in.
        kappa = problem.geometry.kappa * plan.scales.unit
        self.fine = PyramidLevel(problem, 1, kappa)
        self.coarse = PyramidLevel(halve(problem), 2, kappa) if options.coarse_epochs else None
        self.pause: Callable[[], bool] = never
        self._final_forest = final_forest
        self._indicator_history = IndicatorHistory()
        self._losses: list[float] = []
        self._step = 0
        self._progress = EpochProgress()
        self._regularizers_made: tuple[Forest, bool, list[WeightedRegularizer]] | None = None
        forest = plan.first_forest
        forest = self._cull(forest.with_finest_merged() if options.large_leaf_epochs else forest)
        density = options.start * setup.mean_density(problem) / plan.scales.unit
        leaves = self._field(forest, np.full(forest.values_shape, density, np.float32))
        self._inside = inside(forest, plan.region)
        self.engine = make_engine(plan, leaves)

    @property
    def leaves(self) -> LeafField:
        """The host's field, as the engine last brought it up to date."""
        return self.engine.leaves

    def advance(self) -> dict[str, float]:
        """Do one pass over all views, in an order drawn from the seed; or the rest of one that was paused (see
        :class:`tomokit.methods.interface.Run`).

        Where a term ceases to be a number the pass ends there, so that what is returned tells which it was.
        """
        engine, plan = self.engine, self._epoch_plan()
        engine.begin(plan)
        # A plan has only the steps that are left; `number` counts from the first of these.
        for number in range(len(plan.views)):
            engine.step(number)
            self._step += 1
            if engine.has_diverged:
                break
            # After the last step there is nothing to pause: the epoch is finished, and saved as such.
            if number + 1 < len(plan.views) and self.pause():
                self._progress = engine.progress()
                raise EpochPaused
        progress = engine.progress()
        self._progress = EpochProgress()
        self.epoch += 1
        terms = {"data": progress.squares / max(progress.weight, 1.0), **progress.terms}
        terms = {"loss": sum(terms.values()), **terms}
        if not engine.density_is_finite():
            # The last step of the epoch may have spoilt the densities after the last term was evaluated.
            terms |= {"loss": math.nan, "density": math.nan}
        self._losses.append(terms["loss"])
        # A density that is no number has no error to plan by.
        if math.isfinite(terms["loss"]):
            self._change_leaves()
        return {**terms, "leaves": float(self.leaves.forest.n_leaves)}

    def epoch_costs(self) -> list[float]:
        """What each epoch takes (see :class:`tomokit.methods.capabilities.ForeseesCosts`)."""
        return self.plan.epoch_costs()

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections of the present density (see :class:`tomokit.methods.interface.Run`)."""
        return self.engine.predict(geometry, self.fine.kappa)

    def volume(self) -> NDArray[np.float32]:
        """Mean density in voxels (see :class:`tomokit.methods.interface.Run`)."""
        geometry, problem = self.plan.data.geometry, self.plan.data
        volume = self.engine.sample((geometry.n_u, problem.thickness_px, geometry.n_v))
        # In place: a copy would double the largest array that leaves the fit.
        volume *= np.float32(self.plan.scales.unit)
        return volume

    def offsets(self) -> NDArray[np.float32]:
        """Offset of each view, as last solved for (see :class:`tomokit.methods.interface.Run`)."""
        is_coarse = self.coarse is not None and self.epoch <= self.plan.options.coarse_epochs
        level = self.coarse if is_coarse and self.coarse is not None else self.fine
        return level.offsets.astype(np.float32)

    def stored_density(self) -> dict[str, Any]:
        """How the density follows from the arrays (see :class:`tomokit.methods.capabilities.Samplable`)."""
        return {
            "kind": "octree",
            "values": "values",
            "forest": "forest_",
            "activation": self.leaves.activation,
            "parameter": self.leaves.parameter,
            "scale": float(np.float32(self.plan.scales.unit)),
        }

    def resolved_parameters(self) -> dict[str, Any]:
        """Scales, forest, optimizer and regularizers with every option that they were made with (see
        :class:`tomokit.methods.capabilities.ResolvesParameters`).

        They are those of the last epoch, if no structure update comes between.
        """
        plan = self.plan
        forest = self._cull(plan.first_forest)
        options = getattr(plan.optimizer, "options", None)
        return {
            "scales": dataclasses.asdict(plan.scales),
            "leaves": {"count": forest.n_leaves, "n": forest.n, "root_px": forest.root_px},
            "optimizer": {"name": plan.optimizer.name, **(dataclasses.asdict(options) if options else {})},
            "regularizers": {
                weighted.name: {**dataclasses.asdict(weighted.options), "weight": weighted.weight}
                for weighted in plan.regularizers(self.epochs - 1, forest)
            },
            **self.engine.resolved_parameters(),
        }

    def structure(self) -> dict[str, NDArray[Any]]:
        """The present leaves (see :class:`tomokit.methods.capabilities.HasStructure`)."""
        return forest_arrays(self.leaves.forest)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, optimizer state, offsets, losses, indicators of former leaves, the epoch under way (see
        :class:`tomokit.methods.interface.Run`)."""
        leaves = self.engine.fetch()
        arrays = forest_arrays(leaves.forest)
        arrays |= self._indicator_history.to_arrays()
        arrays |= {f"optimizer_{name}": array for name, array in leaves.state.items()}
        arrays["values"] = leaves.values
        arrays["offsets_fine"] = self.fine.offsets
        if self.coarse is not None:
            arrays["offsets_coarse"] = self.coarse.offsets
        if isinstance(self.plan.optimizer, PrimalDual):
            arrays["data_dual"] = self.fine.dual
        if len(leaves.limits):
            arrays["smoothing_limits"] = leaves.limits
        arrays["losses"] = np.array(self._losses)
        arrays["epoch_progress"] = self._progress.to_array()
        arrays["counters"] = np.array([self._step, leaves.count], np.int64)
        return arrays

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue after some epochs (see :class:`tomokit.methods.interface.Run`).

        If an array is missing or does not belong, an InputError is raised and the run is as it was.
        """
        from tomokit.activation.functions import activate_leaves

        check_names(arrays, self.arrays())
        options = self.plan.options
        forest = read_forest(arrays, self.leaves.forest, options.coarser + options.finer)
        # Before room is made: what a state takes in memory follows from what is in its file.
        check_shape(arrays, "values", forest.values_shape)
        leaves = self._field(forest, np.ones(forest.values_shape, np.float32))
        targets: dict[str, NDArray[Any]] = {f"optimizer_{name}": array for name, array in leaves.state.items()}
        targets |= {"values": leaves.values, "offsets_fine": self.fine.offsets}
        if self.coarse is not None:
            targets["offsets_coarse"] = self.coarse.offsets
        if isinstance(self.plan.optimizer, PrimalDual):
            targets["data_dual"] = self.fine.dual
        if len(leaves.limits):
            targets["smoothing_limits"] = leaves.limits
        # Everything is checked before the first array is copied, so that a refused state leaves the run as it was.
        for name, target in targets.items():
            check_shape(arrays, name, target.shape)
            check_numbers(arrays[name], name)
        progress = read_progress(arrays, epoch, self._steps_of_epoch)
        indicator_history = IndicatorHistory.from_arrays(arrays)
        for name, target in targets.items():
            target[...] = arrays[name]
        # Densities are not saved: they follow from the values.
        activate_leaves(leaves.kind, leaves.parameter, leaves.values, leaves.density)
        self._indicator_history = indicator_history
        self._step, leaves.count = (int(number) for number in arrays["counters"])
        self._progress = progress
        self._losses = [float(loss) for loss in arrays["losses"]]
        self.epoch = epoch
        self._place(leaves)

    @property
    def _steps_of_epoch(self) -> int:
        """Steps that an epoch takes."""
        return -(-self.plan.data.geometry.n_views // self.plan.options.views_per_step)

    def _epoch_plan(self) -> EpochPlan:
        """The steps of this epoch that are left, with its random numbers from where a pause left them."""
        plan, problem = self.plan, self.plan.data
        # A generator of its own for each epoch: a run that is continued draws what it would have drawn.
        rng = np.random.default_rng((problem.seed, self.epoch))
        order = rng.permutation(problem.geometry.n_views)
        # After a pause the view order is drawn again, and what the penalties had drawn by then is skipped.
        if self._progress.generator is not None:
            rng.bit_generator.state = self._progress.generator
        views = np.array_split(order, self._steps_of_epoch)
        if isinstance(plan.optimizer, PrimalDual):
            # The solver's groups are always the same; their order is drawn.
            groups = view_groups(order.size, self._steps_of_epoch)
            views = [groups[group] for group in order[order < len(groups)]]
        texture = plan.optimizer.texture if isinstance(plan.optimizer, PrimalDual) else None
        is_coarse = self.coarse is not None and self.epoch < plan.options.coarse_epochs
        return EpochPlan(
            level=self.coarse if is_coarse and self.coarse is not None else self.fine,
            regularizers=self._present_regularizers(),
            inside=self._inside,
            views=views[self._progress.step :],
            n_steps=len(views),
            first_step=self._step,
            rate=plan.rate(self.epoch),
            rng=rng,
            # Not in the middle of an epoch, so that one that was paused goes on as it would have.
            renews_limits=texture is not None and not self._progress.step and self.epoch >= texture.begin * self.epochs,
            begun=self._progress,
        )

    def _present_regularizers(self) -> list[WeightedRegularizer]:
        """The regularizers of this epoch; the same list while neither forest nor phase changes."""
        forest, convex = self.leaves.forest, self.epoch < self.plan.options.convex_epochs
        made = self._regularizers_made
        if made is None or made[0] is not forest or made[1] != convex:
            self._regularizers_made = made = (forest, convex, self.plan.regularizers(self.epoch, forest))
        return made[2]

    def _field(self, forest: Forest, density: NDArray[np.float32]) -> LeafField:
        options = self.plan.options
        # Clipped densities are stored as they are.
        activation = "identity" if options.activation == "clipped" else options.activation
        return LeafField(forest, density, activation, self.plan.optimizer, options.bend)

    def _place(self, leaves: LeafField) -> None:
        """Continue with another field, on the engine too."""
        self._inside = inside(leaves.forest, self.plan.region)
        self.engine.place(leaves)

    def _change_leaves(self) -> None:
        """Change the forest after an epoch, if the schedule says so."""
        options = self.plan.options
        # The epochs on large leaves are over: from here on those of the first forest.
        if self.epoch == options.large_leaf_epochs:
            self._move(self.plan.first_forest)
        if self.epoch in options.structure_epochs:
            if self._final_forest is None:
                self._restructure()
            else:
                self._move(self._final_forest)

    def _move(self, forest: Forest) -> None:
        """Resample the field to the leaves of another forest that some ray meets, if they are not the present ones."""
        forest, present = self._cull(forest), self.leaves.forest
        if not (np.array_equal(forest.level, present.level) and np.array_equal(forest.index, present.index)):
            self._place(self.engine.fetch().on(forest))

    def _cull(self, forest: Forest) -> Forest:
        """The forest without leaves that no unmasked ray meets; unchanged where no pixel counts at all."""
        problem = self.plan.data.scaled_by
        keep = seen(forest, problem.geometry, problem.mask)
        return select(forest, keep) if keep.any() else forest

    def _restructure(self) -> None:
        """Change the octree by its integer program, if the loss has stalled."""
        options = self.plan.options
        if len(self._losses) < 2 or self._losses[-1] < options.structure_stall * self._losses[-2]:
            return
        forest = self.leaves.forest
        # What former leaves contributed is remembered: the plan prefers measured contributions to predictions.
        contribution = self.engine.measure().contribution(forest)
        self._indicator_history.record(forest, contribution)
        # Roots are the margin's largest leaves, so levels count `coarser` to the region's own and `finer` beyond.
        planned = plan_update(
            forest,
            contribution,
            options.max_leaves,
            finest_level=options.coarser + options.finer,
            indicator_history=self._indicator_history,
            roi=self._inside,
            push_roi=options.push_roi,
        )
        self._move(planned)
