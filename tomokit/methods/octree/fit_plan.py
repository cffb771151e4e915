"""The fit plan: what follows from a problem and the options, worked out once before the first step.

Estimates of memory, the run, its engine and the provenance read the same plan, so that none of them can think of
another forest, optimizer or weight than the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.octree import setup
from tomokit.methods.octree.layout import Layout, lay_out
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.penalties import (
    WeightedRegularizer,
    check_solved_by_primal_dual,
    make_regularizers,
)
from tomokit.methods.octree.solver import PrimalDual
from tomokit.methods.octree.weights import FOLLOW_NOISE, Scales
from tomokit.octree import Forest
from tomokit.octree.cover import Region
from tomokit.optimizers.interface import Optimizer, count_state_arrays

_LARGE_LEAVES_COST, _HALF_RESOLUTION_COST = 1 / 3, 1 / 2


@dataclass(frozen=True)
class FitPlan:
    """A fit as its problem and options determine it; what takes time is worked out when first asked for.

    Attributes
    ----------
    options : OctreeOptions
    shape : ProblemShape
        Sizes of the problem; with its noise where that has been measured.
    is_masked : bool
        Whether some pixels carry no weight.
    problem : Problem or None
        None before the data have been read: then noise, scales and weights are not known.
    measured_scales : Scales or None
        What the projections say of densities and noise; None without a problem.
    """

    options: OctreeOptions
    shape: ProblemShape
    is_masked: bool = False
    problem: Problem | None = None
    measured_scales: Scales | None = None

    @classmethod
    def of_shape(cls, shape: ProblemShape, options: OctreeOptions) -> FitPlan:
        """The plan of a fit before its data have been read, as far as sizes determine it.

        Parameters
        ----------
        shape : ProblemShape
        options : OctreeOptions

        Returns
        -------
        FitPlan
        """
        return cls(options.for_specimen(shape.fit_offsets), shape)

    @classmethod
    def of_problem(cls, problem: Problem, options: OctreeOptions) -> FitPlan:
        """The complete plan; noise and contrast of the projections are measured, which takes seconds.

        Parameters
        ----------
        problem : Problem
        options : OctreeOptions

        Returns
        -------
        FitPlan

        Raises
        ------
        OptionError, PluginError
            If an optimizer, a regularizer or an option of one is unknown.
        """
        options = options.for_specimen(problem.fit_offsets)
        scales = Scales.of(problem, options.unit)
        shape = replace(ProblemShape.of(problem), relative_noise=scales.relative_noise)
        plan = cls(options, shape, problem.mask is not None, problem, scales)
        # Names and options of plugins are refused here, before anything is computed with them.
        for resolved in ("optimizer", "possible_regularizers"):
            getattr(plan, resolved)
        return plan

    @property
    def data(self) -> Problem:
        """The problem, of a plan that has one.

        Raises
        ------
        ValueError
            If the plan was made before the data were read: a fault of the caller.
        """
        if self.problem is None:
            raise ValueError("the plan of a shape alone knows no data")
        return self.problem

    @property
    def scales(self) -> Scales:
        """Unit of density and noise of the projections, of a plan that has a problem.

        Raises
        ------
        ValueError
            As :attr:`data`.
        """
        if self.measured_scales is None:
            raise ValueError("the plan of a shape alone knows no scales")
        return self.measured_scales

    @cached_property
    def optimizer(self) -> Optimizer | PrimalDual:
        """The optimizer with its options, or the solver in its place; those given for others are checked too."""
        return setup.make_optimizer(self.options)

    @cached_property
    def remembered_arrays(self) -> int:
        """Number of arrays of the field's size that the optimizer remembers."""
        return count_state_arrays(self.optimizer)

    @cached_property
    def region(self) -> Region:
        """The region of interest: the box that the volume shows, in pixels."""
        return setup.region_of(self.shape)

    @cached_property
    def first_forest(self) -> Forest:
        """The first forest, before leaves that no ray meets are culled.

        Raises
        ------
        LeafBudgetError
            If ``max_leaves`` is too small.
        """
        return setup.make_forest(self.shape, self.options)

    @cached_property
    def layout(self) -> Layout:
        """How many leaves and slabs there are at most.

        Raises
        ------
        LeafBudgetError
            If ``max_leaves`` is too small even without a margin.
        """
        return lay_out(self.shape, self.options)

    @cached_property
    def possible_regularizers(self) -> list[WeightedRegularizer]:
        """All regularizers that the fit may have; those whose weight follows from the noise have weight 1 here."""
        possible = make_regularizers(self.options.regularizers, {name: {"weight": 1.0} for name in self._follow_noise})
        if isinstance(self.optimizer, PrimalDual):
            check_solved_by_primal_dual(possible)
        return possible

    @property
    def _follow_noise(self) -> tuple[str, ...]:
        """Regularizers whose weights follow the noise: leaves that are tied have no boundaries to be held together."""
        return FOLLOW_NOISE[:1] if isinstance(self.optimizer, PrimalDual) else FOLLOW_NOISE

    def regularizers(self, epoch: int, forest: Forest) -> list[WeightedRegularizer]:
        """The regularizers of an epoch; weights that follow the noise depend on the forest too.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        forest : Forest
            The leaves in that epoch.

        Returns
        -------
        list of WeightedRegularizer
            In the order in which they draw random numbers; without those of weight zero.
        """
        # A total variation that is concave at the end begins convex, so that the fit does not stop in a poor minimum.
        options, scales = self.options, self.scales
        convex = epoch < options.convex_epochs
        strength = options.strength * (options.convex_strength if convex else 1.0)
        # In convex epochs too: convex_strength has no say where the specimen fills the field.
        if scales.fills_field and options.field_filling_strength is not None:
            strength = options.field_filling_strength
        defaults = scales.defaults(forest, strength)
        followed = {name: defaults[name] for name in self._follow_noise}
        return make_regularizers(options.regularizers, followed, convex)

    def epoch_costs(self) -> list[float]:
        """Foresee what each epoch takes, relative to one on the finest leaves at full resolution.

        Returns
        -------
        list of float
            One for each epoch. Large leaves have an eighth as many values but the same pixels: measured on a volume of
            128 x 128 x 48, an epoch of them takes a third. At half resolution it is the other way round.
        """
        options = self.options
        return [
            (_LARGE_LEAVES_COST if epoch < options.large_leaf_epochs else 1.0)
            * (_HALF_RESOLUTION_COST if epoch < options.coarse_epochs else 1.0)
            for epoch in range(options.epochs)
        ]

    def rate(self, epoch: int) -> float:
        """Factor of the learning rate in an epoch.

        Parameters
        ----------
        epoch : int
            Counted from 0.

        Returns
        -------
        float
            1 unless the specimen fills the field or the epoch is among the last ones.
        """
        options = self.options
        rate = options.field_filling_rate if self.scales.fills_field else 1.0
        return rate * (options.decay if epoch >= options.epochs - options.decays else 1.0)
