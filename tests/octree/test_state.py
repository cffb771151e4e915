"""Forests through arrays, and the canonical order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.octree import Forest
from tomokit.octree.lookup import cell_keys, find, find_owner
from tomokit.octree.state import from_arrays, to_arrays


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_arrays_give_the_same_forest_back(grow, seed):
    forest = grow(seed)
    back = from_arrays(to_arrays(forest))
    assert (back.origin_px, back.root_px, back.roots, back.n) == (
        forest.origin_px,
        forest.root_px,
        forest.roots,
        forest.n,
    )
    np.testing.assert_array_equal(back.level, forest.level)
    np.testing.assert_array_equal(back.index, forest.index)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_leaves_come_in_one_order_however_they_are_listed(grow, seed):
    forest = grow(seed)
    shuffle = np.random.default_rng(seed).permutation(forest.n_leaves)
    again = Forest(forest.origin_px, forest.root_px, forest.roots, 3, forest.level[shuffle], forest.index[shuffle])
    np.testing.assert_array_equal(again.index, forest.index)
    x, z, y = forest.index.T.tolist()
    listed = list(zip(forest.level.tolist(), y, x, z, strict=True))
    assert listed == sorted(listed)
    assert (np.diff(cell_keys(forest.level, forest.index)) > 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_leaves_are_found_by_their_cubes(grow, seed):
    forest = grow(seed)
    everyone = np.arange(forest.n_leaves)
    np.testing.assert_array_equal(find(forest, forest.level, forest.index), everyone)
    inner = 4 * forest.index.astype(np.int64) + np.random.default_rng(seed).integers(0, 4, (forest.n_leaves, 3))
    np.testing.assert_array_equal(find_owner(forest, forest.level + 2, inner), everyone)
    assert (find(forest, forest.level + 2, inner) == -1).all()
    assert find_owner(forest, [0, 3], [[-1, 0, 0], [0, -1, 0]]).tolist() == [-1, -1]


def test_arrays_that_are_no_forest_are_refused(grow):
    arrays = to_arrays(grow(2, holes=False))
    without = {name: value for name, value in arrays.items() if name != "level"}
    with pytest.raises(InputError, match="octree array level: missing; use a state file that is complete"):
        from_arrays(without)
    for name in ("origin_px", "roots", "root_px", "n", "index"):
        with pytest.raises(InputError, match=f"octree array {name}: shape"):
            from_arrays({**arrays, name: np.zeros((2, 2))})
    with pytest.raises(InputError, match="listed twice"):
        from_arrays({**arrays, "level": np.r_[arrays["level"], 0, 0], "index": np.r_[arrays["index"], [[0] * 3] * 2]})
    inner = np.r_[arrays["index"], 2 * arrays["index"][-1:]]
    with pytest.raises(InputError, match="lies in another"):
        from_arrays({**arrays, "level": np.r_[arrays["level"], arrays["level"][-1] + 1], "index": inner})


def test_a_tree_too_deep_for_keys_is_refused():
    with pytest.raises(InputError, match="too deep"):
        cell_keys([20], [[1 << 19, 0, 0]])
