"""The regularizers of a fit: which of them go into the fused pass, and what the others leave for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.regularizers.boundary import Boundary
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.interface import Field, Regularizer, is_built_in
from tomokit.regularizers.tv import TotalVariation


@dataclass
class PenaltyGradients:
    """What the fused pass adds to the data term's gradient in one step.

    Attributes
    ----------
    tv_weight : ndarray of float64, shape (n_leaves,)
    tv_variant, tv_delta, tv_stencil
        See :func:`tomokit.regularizers.tv_kernel.tv_leaf`.
    sides : ndarray of float32, shape (n_leaves, 6, n, n) or with no leaves
        Gradient of boundary consistency.
    pair_leaves : ndarray of int64, shape (n_pairs,)
        Leaves that take part in the cross-node constraint.
    pair_of, pair_grid, pair_table, pair_scale, pair_raw
        Its tables, and the row of each leaf in them.
    extra, extra_raw : ndarray of float32, shape (n_leaves, n, n, n) or with no leaves
        Gradients of all others, by density and by raw value.
    terms : dict
        Penalties by name, times the same factors as their gradients; but for total variation, which the pass itself
        measures.
    """

    tv_weight: NDArray[np.float64]
    tv_variant: int
    tv_delta: float
    tv_stencil: int
    sides: NDArray[np.float32]
    pair_leaves: NDArray[np.int64]
    pair_of: NDArray[np.int64]
    pair_grid: NDArray[np.float64]
    pair_table: NDArray[np.float32]
    pair_scale: float
    pair_raw: bool
    extra: NDArray[np.float32]
    extra_raw: NDArray[np.float32]
    terms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Weighted:
    """A regularizer in a fit.

    Attributes
    ----------
    regularizer : Regularizer
    options : object
        What it was made with: ``every`` and ``space`` are asked for.
    weight : float
    """

    regularizer: Regularizer
    options: Any
    weight: float


def make_regularizers(
    settings: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]], convex: bool = False
) -> list[Weighted]:
    """Regularizers, their options and weights; those of weight zero are left out.

    Parameters
    ----------
    settings : mapping
        Options by regularizer name, as in ``--set regularizers.NAME.option=...``.
    defaults : mapping
        Options by name that stand where they are not given. These regularizers are always on; others, ours or a
        plugin's, only if an option of theirs is given.
    convex : bool
        Take the concave total variation for the isotropic one, whose limit for small differences it is.

    Raises
    ------
    OptionError, PluginError
        If a name or an option is unknown.
    """
    registry = get_registry()
    settings = by_name(settings)
    chosen = []
    for name in [*defaults, *(name for name in settings if name not in defaults)]:
        cls = registry.get("regularizer", name)
        own = {**defaults.get(name, {}), **table(settings.get(name, {}), f"regularizers.{name}")}
        options: Any = build_options(cls.Options, own, f"regularizers.{name}")
        if convex and cls is TotalVariation and options.variant == "concave":
            options = replace(options, variant="isotropic")
        weight = float(options.weight)
        if weight > 0:
            chosen.append(Weighted(cls(options), options, weight))
    return chosen


def by_name(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of plugins, which have hyphens where the keys of settings have underscores.

    Raises
    ------
    OptionError
        If a name is given in both spellings.
    """
    named = {key.replace("_", "-"): value for key, value in settings.items()}
    if len(named) < len(settings):
        raise OptionError("a name is given with hyphens and with underscores", field=", ".join(settings))
    return named


def table(settings: object, where: str) -> dict[str, Any]:
    """Settings below a name.

    Raises
    ------
    OptionError
        If they are a single value.
    """
    if not isinstance(settings, Mapping):
        raise OptionError(f"{settings!r} is not a table", field=where, remedy=f"set what is below it: {where}.OPTION=")
    return dict(settings)


class Penalties:
    """All regularizers of a fit.

    Parameters
    ----------
    regularizers : list of Weighted
    """

    def __init__(self, regularizers: list[Weighted]) -> None:
        self.regularizers = regularizers

    @property
    def needs_sides(self) -> bool:
        """Whether the fused pass has to keep the leaves' sides."""
        return any(is_fused_boundary(item) for item in self.regularizers)

    def evaluate(
        self, leaves: LeafField, inside: NDArray[np.bool_], rng: np.random.Generator, step: int
    ) -> PenaltyGradients:
        """Everything that must be known before any leaf changes.

        Parameters
        ----------
        leaves : LeafField
        inside : ndarray of bool, shape (n_leaves,)
            Leaves in the region of interest.
        rng : numpy.random.Generator
            Drawn from by regularizers, in their order.
        step : int
            Steps taken so far in the whole fit.
        """
        forest = leaves.forest
        penalty_gradients = _nothing(forest.n_leaves, forest.n)
        for chosen in self.regularizers:
            item, options = chosen.regularizer, chosen.options
            if step % options.every:
                continue
            scale = chosen.weight * options.every
            if is_built_in(item, TotalVariation) and options.space == "rho":
                penalty_gradients.tv_weight = scale * item.leaf_weights(forest)
                penalty_gradients.tv_variant, penalty_gradients.tv_delta, penalty_gradients.tv_stencil = (
                    item.variant,
                    options.delta,
                    item.stencil(step),
                )
                continue
            raw = options.space == "raw"
            seen = Field(forest, leaves.values if raw else leaves.density, inside, rng, step)
            if is_built_in(item, Boundary) and is_fused_boundary(chosen):
                penalty_gradients.sides = np.empty_like(leaves.sides)
                value = item.compare(forest, leaves.sides, penalty_gradients.sides, scale)
            elif is_built_in(item, CrossNode):
                tables = item.tabulate(seen)
                penalty_gradients.pair_leaves = tables.leaves
                penalty_gradients.pair_of = np.full(forest.n_leaves, -1, np.int64)
                penalty_gradients.pair_of[tables.leaves] = np.arange(tables.leaves.size)
                penalty_gradients.pair_grid, penalty_gradients.pair_table = tables.grid, tables.table
                penalty_gradients.pair_scale, penalty_gradients.pair_raw = scale, raw
                value = tables.value
            else:
                name = "extra_raw" if raw else "extra"
                if not len(getattr(penalty_gradients, name)):
                    setattr(penalty_gradients, name, np.zeros(forest.values_shape, np.float32))
                value = item.value_and_gradient(seen, getattr(penalty_gradients, name), scale)
            penalty_gradients.terms[item.name] = scale * value
        return penalty_gradients


def is_fused_boundary(chosen: Weighted) -> bool:
    """Whether this is boundary consistency of densities, whose gradient the fused pass adds from the sides."""
    return is_built_in(chosen.regularizer, Boundary) and chosen.options.space == "rho"


def _nothing(n_leaves: int, n: int) -> PenaltyGradients:
    return PenaltyGradients(
        tv_weight=np.zeros(n_leaves),
        tv_variant=0,
        tv_delta=1.0,
        tv_stencil=0,
        sides=np.empty((0, 6, n, n), np.float32),
        pair_leaves=np.empty(0, np.int64),
        pair_of=np.empty(0, np.int64),
        pair_grid=np.empty((0, 2)),
        pair_table=np.empty((0, 1, 8), np.float32),
        pair_scale=0.0,
        pair_raw=False,
        extra=np.empty((0, n, n, n), np.float32),
        extra_raw=np.empty((0, n, n, n), np.float32),
    )
