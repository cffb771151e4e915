"""The structure update against every plan there is."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.octree import Forest
from tomokit.octree.cover import LeafBudgetError, Region, cover, inside
from tomokit.octree.error_indicators import IndicatorHistory
from tomokit.octree.lookup import CHILDREN, cell_keys, check_disjoint
from tomokit.octree.structure import apply, plan_update, siblings


def _tree(kept=None):
    """Three roots along x; the first one split, a child of that split again, with only `kept` of the grandchildren."""
    leaves = [(0, 1, 0, 0), (0, 2, 0, 0)]
    leaves += [(1, *child) for child in CHILDREN[1:]]
    leaves += [(2, *child) for child in CHILDREN[: 8 if kept is None else kept]]
    table = np.array(leaves, np.int32)
    return Forest((0, 0, 0), 8.0, (3, 1, 1), 3, table[:, 0], table[:, 1:])


def _two_sets(kept):
    """Two roots split, of one of which only `kept` leaves are left, and one whole root."""
    leaves = (
        [(0, 2, 0, 0)]
        + [(1, *child) for child in CHILDREN]
        + [(1, *(child + np.array([2, 0, 0]))) for child in CHILDREN]
    )
    table = np.array(leaves[: 9 + kept], np.int32)
    return Forest((0, 0, 0), 8.0, (3, 1, 1), 3, table[:, 0], table[:, 1:])


def _key(level, index):
    return int(cell_keys([level], [index])[0])


def _sum_after(old, value, new, indicator_history):
    """Predicted sum of a plan, from the definition: what became of each leaf."""
    old_keys, new_keys = set(cell_keys(old.level, old.index).tolist()), set(cell_keys(new.level, new.index).tolist())
    total, merged = 0.0, {}
    for level, index, one in zip(old.level.tolist(), old.index.astype(int), value, strict=True):
        parent = _key(level - 1, index >> 1) if level else None
        children = [_key(level + 1, 2 * index + child) for child in CHILDREN]
        if _key(level, index) in new_keys:
            total += one
        elif children[0] in new_keys:
            known = [indicator_history.saved.get(key) for key in children]
            total += 0.75 * one if None in known else sum(known)
        else:
            assert parent in new_keys - old_keys
            merged.setdefault(parent, []).append(one)
    return total + sum(indicator_history.saved.get(parent, 1.1 * sum(ones)) for parent, ones in merged.items())


def _best(forest, value, max_leaves, finest, coarsest, indicator_history, may_split):
    sets = siblings(forest, coarsest)
    able = np.flatnonzero(may_split & (forest.level < finest))
    best = np.inf
    for merge in itertools.product((False, True), repeat=len(sets.level)):
        free = [leaf for leaf in able if sets.set_of[leaf] < 0 or not merge[sets.set_of[leaf]]]
        for count in range(len(free) + 1):
            gone = sum(int((sets.set_of == s).sum()) - 1 for s, on in enumerate(merge) if on)
            if forest.n_leaves + 7 * count - gone > max_leaves:
                continue
            for split in itertools.combinations(free, count):
                new = apply(forest, sets, list(split), np.flatnonzero(merge))
                best = min(best, _sum_after(forest, value, new, indicator_history))
    return best


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([8, 3]), st.integers(0, 24), st.booleans())
def test_no_plan_is_better(seed, kept, spare, remembering):
    rng = np.random.default_rng(seed)
    forest = _two_sets(kept)
    value = rng.lognormal(0, 2, forest.n_leaves) * 0.125**forest.level
    # At most six leaves may split, which keeps the number of plans small.
    may_split = np.isin(np.arange(forest.n_leaves), rng.permutation(forest.n_leaves)[:6])
    indicator_history = IndicatorHistory()
    if remembering:
        indicator_history.saved[_key(0, np.array([0, 0, 0]))] = float(rng.lognormal())
        leaf = int(np.flatnonzero(may_split)[0])
        for child in CHILDREN:
            indicator_history.saved[_key(forest.level[leaf] + 1, 2 * forest.index[leaf].astype(int) + child)] = (
                value[leaf] / 20
            )
    max_leaves = forest.n_leaves - 5 + spare if kept == 8 else forest.n_leaves + spare
    new = plan_update(forest, value, max_leaves, finest_level=2, indicator_history=indicator_history, roi=may_split)
    check_disjoint(new)
    assert new.n_leaves <= max_leaves
    found = _sum_after(forest, value, new, indicator_history)
    best = _best(forest, value, max_leaves, 2, 0, indicator_history, may_split)
    assert found == pytest.approx(best, rel=1e-5)


def test_only_siblings_that_are_all_leaves_can_merge():
    forest = _tree()
    sets = siblings(forest)
    # The grandchildren, not the children: one of those is split.
    assert list(zip(sets.level, map(tuple, sets.index), strict=True)) == [(1, (0, 0, 0))]
    assert (sets.set_of >= 0).sum() == 8
    assert (forest.level[sets.set_of >= 0] == 2).all()
    assert len(siblings(forest, coarsest_level=2).level) == 0
    merged = apply(forest, sets, [], [0])
    assert np.bincount(merged.level).tolist() == [2, 8]
    assert siblings(merged).index.tolist() == [[0, 0, 0]]


def test_what_is_left_of_siblings_merges():
    forest = _tree(kept=3)
    sets = siblings(forest)
    assert np.bincount(sets.set_of + 1).tolist() == [9, 3]
    assert apply(forest, sets, [], [0]).n_leaves == forest.n_leaves - 2


def test_levels_stay_within_their_bounds():
    forest = _tree()
    value = np.ones(forest.n_leaves)
    new = plan_update(forest, value, 1000, finest_level=2)
    assert (new.level >= 1).all()
    assert new.level.max() == 2
    tight = plan_update(forest, value, forest.n_leaves, finest_level=2, coarsest_level=2)
    np.testing.assert_array_equal(tight.level, forest.level)


def test_a_full_budget_moves_leaves_to_where_the_error_is():
    forest = _two_sets(8)
    value = np.where(forest.index[:, 0] < 2, 0.01, 1.0)
    value[forest.level == 0] = 50.0
    new = plan_update(forest, value, forest.n_leaves, finest_level=1)
    assert {(int(level), *map(int, index)) for level, index in zip(new.level, new.index, strict=True)} == {
        (0, 0, 0, 0),
        *((1, *(child + np.array([2, 0, 0]))) for child in CHILDREN),
        *((1, *(child + np.array([4, 0, 0]))) for child in CHILDREN),
    }


def test_without_error_nothing_changes():
    forest = _two_sets(8)
    new = plan_update(forest, np.zeros(forest.n_leaves), 100, finest_level=3)
    np.testing.assert_array_equal(new.level, forest.level)


def test_of_equal_plans_the_first_leaves_are_changed():
    forest = cover(Region(40, 40, 20), 0, 3, 10, 0)
    new = plan_update(forest, np.full(forest.n_leaves, 0.3), forest.n_leaves + 7 * 5, finest_level=1)
    whole = new.level == 0
    np.testing.assert_array_equal(new.index[whole], forest.index[5:])


def test_the_region_is_pushed_to_the_finest_level_first():
    region = Region(40, 40, 20)
    forest = cover(region, 40, 3, 10, 1)
    roi = inside(forest, region)
    rng = np.random.default_rng(0)
    value = rng.lognormal(0, 2, forest.n_leaves) * np.where(roi, 1e-3, 1e3)
    room = forest.n_leaves + 7 * 9
    pushed = plan_update(forest, value, room, finest_level=2, roi=roi, push_roi=True)
    assert (pushed.level == 2).sum() == 8 * 9
    assert inside(pushed, region).sum() == roi.sum() + 63
    free = plan_update(forest, value, room, finest_level=2)
    assert (free.level == 2).sum() < 8 * 9
    # With less room than leaves the region is merged all the same.
    dense = cover(region, 0, 3, 10, 1)
    less = plan_update(dense, np.ones(dense.n_leaves), 18, finest_level=1, push_roi=True)
    assert less.n_leaves <= 18


def test_a_realistic_tree_fills_its_budget_and_twice_the_same_way():
    region = Region(820, 820, 308)
    forest = cover(region, 410, 3, 308 / 3, 1)
    value = np.random.default_rng(1).lognormal(0, 1.5, forest.n_leaves) * 0.125**forest.level
    first = plan_update(forest, value, 400, finest_level=3, roi=inside(forest, region))
    again = plan_update(forest, value, 400, finest_level=3, roi=inside(forest, region))
    assert 393 < first.n_leaves <= 400
    np.testing.assert_array_equal(first.index, again.index)
    # It pays to split only if it beats merging: no leaf with a larger contribution was left for a smaller one.
    split = ~np.isin(cell_keys(forest.level, forest.index), cell_keys(first.level, first.index))
    assert value[split].max() == value[inside(forest, region)].max()


def test_a_budget_that_no_merging_can_meet_is_refused():
    forest = _two_sets(8)
    with pytest.raises(
        LeafBudgetError, match="2 leaves are allowed, the tree has 17 and can merge to 3; allow at least 3"
    ):
        plan_update(forest, np.ones(17), 2, finest_level=2)
    assert plan_update(forest, np.ones(17), 3, finest_level=2).n_leaves == 3


def test_without_a_plan_in_time_the_tree_stays_and_says_so():
    forest = cover(Region(820, 820, 308), 410, 3, 77, 1)
    value = np.random.default_rng(1).lognormal(0, 1.5, forest.n_leaves)
    with pytest.warns(RuntimeWarning, match="stays as it is"):
        same = plan_update(forest, value, forest.n_leaves + 1, finest_level=2, time_limit_s=0.0)
    np.testing.assert_array_equal(same.index, forest.index)
    with pytest.raises(LeafBudgetError, match="no plan to merge"):
        plan_update(forest, value, forest.n_leaves - 1, finest_level=2, time_limit_s=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan_update(forest, value, forest.n_leaves + 1, finest_level=2)


def test_contributions_that_are_no_numbers_are_refused():
    forest = _tree()
    value = np.ones(forest.n_leaves)
    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(InputError, match="negative or not finite"):
            plan_update(forest, np.r_[bad, value[1:]], 100, finest_level=2)
    with pytest.raises(InputError, match="contributions"):
        plan_update(replace(forest, level=forest.level[1:], index=forest.index[1:]), value, 100, finest_level=2)
