"""The structure update: which leaves to split and which to merge, as an integer program.

Each leaf is kept, split into eight, or merged with its siblings, all of them or none; siblings are the leaves of one
parent, fewer than eight where some were culled. Wanted is the least sum of contributions (error times density, see
:mod:`tomokit.octree.error_indicators`) with at most ``max_leaves`` leaves. What a change would bring is predicted, 0.75
of a leaf's contribution after a split and 1.1 times the siblings' sum after a merge, unless the cubes in question have
been leaves before: then what was measured counts.

Levels of neighbours are not bound to each other here: neither the boundary term nor the projector needs a balanced
tree, and the budget is better spent where the error is.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.octree.cover import LeafBudgetError
from tomokit.octree.error_indicators import IndicatorHistory
from tomokit.octree.forest import Forest
from tomokit.octree.lookup import CHILDREN, cell_keys

SPLIT_FACTOR = 0.75
"""Predicted contribution of a leaf's children over its own."""
MERGE_FACTOR = 1.1
"""Predicted contribution of a parent over the sum of its children's."""
_TIE = 1e-6  # cost of a change, over the largest gain, so that of plans with equal sums the one that changes least wins
_SCALE = 1e4  # of the objective: HiGHS stops within an absolute tolerance of the optimum
_NODE_LIMIT = 20000  # of the branch-and-bound tree, which ends a search at the same place on any machine


@dataclass(frozen=True)
class Siblings:
    """The sets of leaves that can merge into their parents.

    Attributes
    ----------
    level : ndarray of int64, shape (n_sets,)
        Level of each parent.
    index : ndarray of int64, shape (n_sets, 3)
        Position ``(x, z, y)`` of each parent.
    set_of : ndarray of int64, shape (n_leaves,)
        The set that a leaf belongs to, or -1.
    """

    level: NDArray[np.int64]
    index: NDArray[np.int64]
    set_of: NDArray[np.int64]

    def sums(self, per_leaf: ArrayLike) -> NDArray[np.float64]:
        """Sum a quantity over the leaves of each set.

        Parameters
        ----------
        per_leaf : array_like, shape (n_leaves,)
            The quantity of each leaf.

        Returns
        -------
        ndarray of float64, shape (n_sets,)
        """
        chosen = self.set_of >= 0
        sums = np.bincount(self.set_of[chosen], np.asarray(per_leaf, float)[chosen], minlength=len(self.level))
        return sums.astype(np.float64)


def siblings(forest: Forest, coarsest_level: int = 0) -> Siblings:
    """Find the sets of siblings that can merge: their parent has no other leaves in it than they.

    Parameters
    ----------
    forest : Forest
    coarsest_level : int
        Parents of a lower level than this are left out.

    Returns
    -------
    Siblings
    """
    level, index = forest.level.astype(np.int64), forest.index.astype(np.int64)
    child = np.flatnonzero(level > coarsest_level)
    parent = cell_keys(level[child] - 1, index[child] >> 1)
    # Cubes that have leaves in them two levels down or more: as parents they are not free to become leaves.
    deeper: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for up in range(2, int(level.max(initial=0)) + 1):
        deep = level >= up
        deeper.append(cell_keys(level[deep] - up, index[deep] >> up))
    free = ~np.isin(parent, np.concatenate(deeper))
    _, first, set_of_child = np.unique(parent[free], return_index=True, return_inverse=True)
    member = child[free]
    set_of = np.full(forest.n_leaves, -1, np.int64)
    set_of[member] = set_of_child.ravel()
    return Siblings(level[member[first]] - 1, index[member[first]] >> 1, set_of)


def plan_update(
    forest: Forest,
    contribution: ArrayLike,
    max_leaves: int,
    *,
    finest_level: int,
    coarsest_level: int = 0,
    indicator_history: IndicatorHistory | None = None,
    roi: ArrayLike | None = None,
    push_roi: bool = False,
    time_limit_s: float = 20.0,
) -> Forest:
    """Plan one update of the forest and carry it out; each leaf changes by one level at most.

    Parameters
    ----------
    forest : Forest
        The forest before the update.
    contribution : array_like, shape (n_leaves,)
        What each leaf contributes to the error, not negative; see
        :meth:`tomokit.octree.error_indicators.ErrorIndicators.contribution`.
    max_leaves : int
        The most leaves allowed after the update.
    finest_level, coarsest_level : int
        Leaves are not split beyond the one nor merged beyond the other.
    indicator_history : IndicatorHistory, optional
        Contributions measured in earlier states.
    roi : array_like of bool, shape (n_leaves,), optional
        Leaves in the region of interest: no other leaves are split. None if all may be.
    push_roi : bool
        Put the number of leaves split in the region first, and merge none of it as long as that can be helped.
    time_limit_s : float
        Seconds after which HiGHS is stopped. The limit that is meant to end a search is one on nodes, which gives the
        same answer on any machine; this one is for emergencies.

    Returns
    -------
    Forest
        Of plans with equal sums the one that changes least, then the one that changes the first leaves. The same
        forest if no plan was found in time, with a ``RuntimeWarning``.

    Raises
    ------
    InputError
        If an array does not fit or a contribution is negative or not finite.
    LeafBudgetError
        If even merging all that can be merged leaves more than `max_leaves`.
    """
    value = np.asarray(contribution, np.float64)
    inside = np.ones(forest.n_leaves, bool) if roi is None else np.asarray(roi, bool)
    if value.shape != (forest.n_leaves,) or inside.shape != (forest.n_leaves,):
        raise InputError(f"{value.shape} contributions, {inside.shape} marks for {forest.n_leaves} leaves")
    if not (np.isfinite(value) & (value >= 0)).all():
        raise InputError("a leaf's contribution is negative or not finite")
    sets = siblings(forest, coarsest_level)
    # A set of s siblings becomes one leaf, so merging all sets is the least number of leaves that there can be.
    size = sets.sums(np.ones(forest.n_leaves)).astype(np.int64)
    least = forest.n_leaves - int((size - 1).sum())
    if least > max_leaves:
        raise LeafBudgetError(
            f"{max_leaves} leaves are allowed, the tree has {forest.n_leaves} and can merge to {least}",
            field="max_leaves",
            remedy=f"allow at least {least}",
        )
    candidates = np.flatnonzero(inside & (forest.level < finest_level))
    after_split, after_merge = _predict_contributions(
        forest, value, sets, candidates, indicator_history or IndicatorHistory()
    )
    gain = np.concatenate([after_split - value[candidates], after_merge - sets.sums(value)])
    program = _UpdateProgram(forest, sets, candidates, size, max_leaves, time_limit_s)
    # HiGHS stops within 1e-6 of the optimum; the scale lifts the steps between ties above that.
    largest = float(np.abs(gain).max(initial=0))
    objective = _SCALE * (gain / largest if largest > 0 else gain)
    # Every change costs a little, later ones a little more: among equals, few changes and those of the first leaves.
    objective += _SCALE * _TIE * (1 + np.arange(objective.size) / max(1, objective.size))
    chosen = program.solve(objective)
    if push_roi and chosen is not None:
        # First the most splits (a merge in the region weighs more than all of them), then the least sum among those.
        first = np.concatenate([-np.ones(candidates.size), (1.0 + candidates.size) * (sets.sums(inside) > 0)])
        pushed = program.solve(first)
        chosen = None if pushed is None else program.solve(objective, first, float(first @ pushed))
    if chosen is None:
        if forest.n_leaves > max_leaves:
            raise LeafBudgetError(
                f"{max_leaves} leaves are allowed, no plan to merge {forest.n_leaves} was found in {time_limit_s:g} s",
                field="max_leaves",
                remedy=f"allow {forest.n_leaves}",
            )
        warnings.warn("no plan for the octree was found in time; it stays as it is", RuntimeWarning, stacklevel=2)
        return forest
    return apply(forest, sets, candidates[chosen[: candidates.size]], np.flatnonzero(chosen[candidates.size :]))


def apply(forest: Forest, sets: Siblings, split: ArrayLike, merge: ArrayLike) -> Forest:
    """The forest after some leaves are split and some sets of siblings merged.

    Parameters
    ----------
    forest : Forest
    sets : Siblings
        The sets of this forest, from :func:`siblings`.
    split : array_like of int
        Numbers of the leaves that are split into eight.
    merge : array_like of int
        Numbers of the sets that are merged into their parents.

    Returns
    -------
    Forest
    """
    split, merge = np.asarray(split, np.int64), np.asarray(merge, np.int64)
    keep = ~np.isin(sets.set_of, merge) | (sets.set_of < 0)
    keep[split] = False
    children = (2 * forest.index[split].astype(np.int64)[:, None] + CHILDREN).reshape(-1, 3)
    level = np.concatenate([forest.level[keep], np.repeat(forest.level[split] + 1, 8), sets.level[merge]])
    index = np.concatenate([forest.index[keep], children, sets.index[merge]])
    return replace(forest, level=level.astype(np.int32), index=index.astype(np.int32))


def _predict_contributions(
    forest: Forest,
    value: NDArray[np.float64],
    sets: Siblings,
    candidates: NDArray[np.int64],
    indicator_history: IndicatorHistory,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contributions after splitting each candidate, and after merging each set; measured ones where there are any."""
    children = (2 * forest.index[candidates].astype(np.int64)[:, None] + CHILDREN).reshape(-1, 3)
    keys = cell_keys(np.repeat(forest.level[candidates] + 1, 8), children)
    known = indicator_history.recall(keys).reshape(-1, 8).sum(axis=1)
    after_split = np.where(np.isfinite(known), known, SPLIT_FACTOR * value[candidates])
    parents = indicator_history.recall(cell_keys(sets.level, sets.index))
    return after_split, np.where(np.isfinite(parents), parents, MERGE_FACTOR * sets.sums(value))


@dataclass(frozen=True)
class _UpdateProgram:
    """The constraints of an update: binary variables, one for each split and each merge; 0 keeps the leaves."""

    forest: Forest
    sets: Siblings
    candidates: NDArray[np.int64]
    size: NDArray[np.int64]
    max_leaves: int
    time_limit_s: float

    def solve(
        self, objective: NDArray[np.float64], bound: NDArray[np.float64] | None = None, at_most: float = 0.0
    ) -> NDArray[np.bool_] | None:
        """Which splits and merges, in one array, with ``bound @ x <= at_most`` if given; None if HiGHS found none."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        # Variables: first the candidates for a split, then the sets that may merge.
        n = objective.size
        if not n:
            return np.zeros(0, bool)
        # A split makes seven leaves more, a merge of s siblings s - 1 less.
        budget = np.concatenate([np.full(self.candidates.size, 7.0), -(self.size - 1.0)])
        set_of = self.sets.set_of[self.candidates]
        # A leaf that is split cannot merge: one row for each leaf that could do either.
        either = np.flatnonzero(set_of >= 0)
        rows = np.arange(either.size)
        columns = np.concatenate([either, self.candidates.size + set_of[either]])
        exclusive = coo_array((np.ones(2 * either.size), (np.tile(rows, 2), columns)), shape=(either.size, n)).tocsr()
        constraints = [LinearConstraint(budget[None, :], -np.inf, self.max_leaves - self.forest.n_leaves)]
        if either.size:
            constraints.append(LinearConstraint(exclusive, -np.inf, np.ones(either.size)))
        if bound is not None:
            # The bound is on a whole number; half of one is room for rounding.
            constraints.append(LinearConstraint(bound[None, :], -np.inf, at_most + 0.5))
        solution = milp(
            objective,
            integrality=np.ones(n),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"time_limit": self.time_limit_s, "node_limit": _NODE_LIMIT, "mip_rel_gap": 0.0},
        )
        return None if solution.x is None else np.round(solution.x).astype(bool)
