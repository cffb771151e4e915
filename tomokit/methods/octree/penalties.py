"""The regularizers of a fit: fused terms for the pass over the leaves, and gradient arrays for all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.octree import Forest
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.plugin.settings import by_plugin_name, options_table
from tomokit.regularizers.fusion import FusedTerm, LocalVariation, SideGradient, ValueTable, fusable
from tomokit.regularizers.interface import Field, HasConvexForm, Regularizer, RegularizerOptions
from tomokit.regularizers.tv import TotalVariation


@dataclass
class PenaltyGradients:
    """What the penalties of one step add to the data term's gradient: at most one fused term of a kind, and arrays.

    Attributes
    ----------
    forest : Forest
        The leaves of the field.
    variation : LocalVariation or None
        Total variation of densities, which the pass measures.
    variation_name : str
        The regularizer that it belongs to.
    side_gradient : ndarray of float32, shape (n_leaves, 6, n, n) or with no leaves
        Gradient by the densities on the leaves' sides.
    table : ValueTable or None
        Tabulated gradient.
    table_is_raw : bool
        Whether it is a gradient by raw values, not by densities.
    by_density, by_value : ndarray of float32, shape (n_leaves, n, n, n) or with no leaves
        Gradients ``[leaf, x, z, y]`` of all other penalties, by density and by raw value.
    terms : dict
        Penalties by name, times the same factors as their gradients; but for the variation, which the pass measures.
    """

    forest: Forest
    variation: LocalVariation | None = None
    variation_name: str = TotalVariation.name
    side_gradient: NDArray[np.floating] = field(init=False)
    table: ValueTable | None = None
    table_is_raw: bool = False
    by_density: NDArray[np.float32] = field(init=False)
    by_value: NDArray[np.float32] = field(init=False)
    terms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with arrays of no leaves: what is not asked for takes no memory."""
        n = self.forest.n
        self.side_gradient = np.empty((0, 6, n, n), np.float32)
        self.by_density = np.empty((0, n, n, n), np.float32)
        self.by_value = np.empty((0, n, n, n), np.float32)

    def take(self, term: FusedTerm, name: str, raw: bool) -> bool:
        """Take a term, unless there is one of its kind already.

        Parameters
        ----------
        term : FusedTerm
        name : str
            The regularizer that it is of.
        raw : bool
            Whether it is by raw values.

        Returns
        -------
        bool
            Whether it was taken. The pass has variation and sides of densities alone.
        """
        if isinstance(term, LocalVariation) and self.variation is None and not raw:
            self.variation, self.variation_name = term, name
            return True
        if isinstance(term, SideGradient) and not len(self.side_gradient) and not raw:
            self.side_gradient = term.gradient
            return True
        if isinstance(term, ValueTable) and self.table is None:
            self.table, self.table_is_raw = term, raw
            return True
        return False

    def gradient(self, raw: bool) -> NDArray[np.float32]:
        """The array that a regularizer adds its gradient to, made of zeros when first asked for.

        Parameters
        ----------
        raw : bool
            Whether it is by raw values, not densities.

        Returns
        -------
        ndarray of float32, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``.
        """
        name = "by_value" if raw else "by_density"
        # Penalties by density go through the chain rule with the data term, those by raw value are added after it.
        if not len(getattr(self, name)):
            setattr(self, name, np.zeros(self.forest.values_shape, np.float32))
        gradient: NDArray[np.float32] = getattr(self, name)
        return gradient


@dataclass(frozen=True)
class WeightedRegularizer:
    """A regularizer of a fit with its options and weight.

    Attributes
    ----------
    regularizer : Regularizer
    options : RegularizerOptions
        The options that it was made with.
    weight : float
        Factor of the penalty in the loss, above zero.
    """

    regularizer: Regularizer
    options: RegularizerOptions
    weight: float

    @property
    def name(self) -> str:
        """The regularizer's name, as in ``--set regularizers.NAME.option=...``."""
        return self.regularizer.name

    @property
    def is_raw(self) -> bool:
        """Whether it penalizes raw values, not densities."""
        return bool(self.options.space == "raw")

    @property
    def scale(self) -> float:
        """Factor of the penalty in a step that evaluates it: the weight, times the steps between evaluations."""
        return float(self.weight * self.options.every)

    def is_due(self, step: int) -> bool:
        """Whether a step evaluates it.

        Parameters
        ----------
        step : int
            Steps taken so far in the whole fit.

        Returns
        -------
        bool
        """
        return bool(step % self.options.every == 0)


def make_regularizers(
    settings: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]], convex: bool = False
) -> list[WeightedRegularizer]:
    """Make the regularizers of a fit with their options and weights; those of weight zero are left out.

    Parameters
    ----------
    settings : mapping
        Options by regularizer name, as in ``--set regularizers.NAME.option=...``.
    defaults : mapping
        Options by name that stand where they are not given. These regularizers are always on; others, ours or a
        plugin's, only if an option of theirs is given.
    convex : bool
        Take the convex form of those that have one: of the concave total variation the isotropic one, which is its
        limit for small differences.

    Returns
    -------
    list of WeightedRegularizer
        Those of `defaults` first, then the others in the order of `settings`.

    Raises
    ------
    OptionError, PluginError
        If a name or an option is unknown.
    """
    # The order of the list is that of random draws, so it must not depend on how settings are spelt or sorted.
    registry = get_registry()
    settings = by_plugin_name(settings)
    chosen = []
    for name in [*defaults, *(name for name in settings if name not in defaults)]:
        cls = registry.get("regularizer", name)
        merged = {**defaults.get(name, {}), **options_table(settings.get(name, {}), f"regularizers.{name}")}
        options = build_options(cls.Options, merged, f"regularizers.{name}")
        # The convex form has other options, but the weight of the regularizer that it stands for.
        weight, regularizer = float(options.weight), cls(options)
        if convex and isinstance(regularizer, HasConvexForm):
            options = regularizer.convex_form()
            regularizer = cls(options)
        if weight > 0:
            chosen.append(WeightedRegularizer(regularizer, options, weight))
    return chosen


def check_solved_by_primal_dual(regularizers: Sequence[WeightedRegularizer]) -> None:
    """Refuse regularizers that the primal-dual solver does not solve.

    Parameters
    ----------
    regularizers : sequence of WeightedRegularizer
        Those that a fit may have.

    Raises
    ------
    OptionError
        For total variation of another variant than the isotropic one, or of values other than densities, and for what
        compares the sides of leaves, which are tied.
    """
    for weighted in regularizers:
        regularizer = weighted.regularizer
        field = f"method octree: regularizers.{weighted.name}"
        if isinstance(regularizer, TotalVariation) and regularizer.options.variant != "isotropic":
            raise OptionError(
                f"solver=primal-dual minimizes isotropic total variation alone, not {regularizer.options.variant}",
                field=f"{field}.variant",
                remedy="give isotropic, or solver=gradient",
            )
        offered = fusable(regularizer)
        if offered is not None and offered.needs_sides:
            raise OptionError(
                "solver=primal-dual ties the leaves' sides, so that there is nothing to compare",
                field=field,
                remedy="leave it out, or give solver=gradient",
            )


class Penalties:
    """All regularizers of an epoch on the host.

    Parameters
    ----------
    regularizers : list of WeightedRegularizer
        In the order in which they draw random numbers.
    """

    def __init__(self, regularizers: list[WeightedRegularizer]) -> None:
        self.regularizers = regularizers

    @property
    def needs_sides(self) -> bool:
        """Whether the pass has to keep the densities on the leaves' sides."""
        offered = (fusable(weighted.regularizer) for weighted in self.regularizers)
        return any(regularizer.needs_sides for regularizer in offered if regularizer is not None)

    def evaluate(
        self, leaves: LeafField, inside: NDArray[np.bool_], rng: np.random.Generator, step: int
    ) -> PenaltyGradients:
        """Values and gradients of the penalties that must be known before any leaf changes.

        Parameters
        ----------
        leaves : LeafField
            Values, densities and sides before the step.
        inside : ndarray of bool, shape (n_leaves,)
            Leaves in the region of interest.
        rng : numpy.random.Generator
            Drawn from by regularizers, in their order.
        step : int
            Steps taken so far in the whole fit.

        Returns
        -------
        PenaltyGradients
        """
        gradients = PenaltyGradients(leaves.forest)
        for weighted in self.regularizers:
            if not weighted.is_due(step):
                continue
            raw, scale = weighted.is_raw, weighted.scale
            penalized = Field(leaves.forest, leaves.values if raw else leaves.density, inside, rng, step)
            offered = fusable(weighted.regularizer)
            term = None if offered is None else offered.fused_term(penalized, leaves.sides, scale)
            if term is None:
                # Not fused: the regularizer adds to an array of the field's size itself.
                value = weighted.regularizer.value_and_gradient(penalized, gradients.gradient(raw), scale)
                gradients.terms[weighted.name] = scale * value
            elif not gradients.take(term, weighted.name, raw):
                # A second one of its kind, which the kernel has no room for.
                gradients.terms[weighted.name] = term.add_to(penalized.values, gradients.gradient(raw))
            elif term.value is not None:
                gradients.terms[weighted.name] = term.value
        return gradients
