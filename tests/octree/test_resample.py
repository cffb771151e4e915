"""The field on a new forest: what is exact, what is kept, what is copied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.octree import Forest
from tomokit.octree.lookup import CHILDREN, find, find_owner
from tomokit.octree.reference import evaluate, leaf_mass, vertices
from tomokit.octree.resample import resample, restrict
from tomokit.octree.structure import apply, siblings


def _split(forest, rng, times=1):
    for _ in range(times):
        chosen = np.flatnonzero(rng.random(forest.n_leaves) < 0.4)
        forest = apply(forest, siblings(forest), chosen, [])
    return forest


def _octants(n):
    parent = Forest((0, 0, 0), 8.0, (1, 1, 1), n, np.array([0]), np.array([[0, 0, 0]]))
    return parent, apply(parent, siblings(parent), [0], [])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4, 5]), st.integers(1, 2))
def test_splitting_changes_nothing_but_the_leaves(grow, seed, n, times):
    rng = np.random.default_rng(seed)
    old = grow(seed, n=n, deepest=2)
    new = _split(old, rng, times)
    values = rng.standard_normal(old.values_shape)
    finer = resample(values, old, new)
    low = np.array(old.origin_px)
    points = rng.uniform(low, low + old.root_px * np.array(old.roots), (100, 3))
    np.testing.assert_allclose(evaluate(finer, new, points), evaluate(values, old, points), atol=1e-12)
    owner = find_owner(old, new.level, new.index)
    mass = np.bincount(owner, leaf_mass(finer, new), minlength=old.n_leaves)
    np.testing.assert_allclose(mass, leaf_mass(values, old), atol=1e-10)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4, 5]), st.integers(1, 2))
def test_merging_what_was_split_gives_it_back(grow, seed, n, times):
    rng = np.random.default_rng(seed)
    old = grow(seed, n=n, deepest=2)
    values = rng.random(old.values_shape)
    new = _split(old, rng, times)
    back = resample(resample(values, old, new), new, old)
    np.testing.assert_allclose(back, values, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4, 7]))
def test_merging_keeps_mass_and_positivity(seed, n):
    parent, children = _octants(n)
    rng = np.random.default_rng(seed)
    # Mostly zero: a plain least-squares fit undershoots here.
    values = rng.random(children.values_shape) ** 4 * (rng.random(children.values_shape) < 0.2)
    merged = resample(values, children, parent)
    np.testing.assert_allclose(leaf_mass(merged, parent), leaf_mass(values, children).sum(), rtol=1e-12)
    assert merged.min() >= 0


@pytest.mark.parametrize("n", [2, 3, 6])
def test_merging_fits_in_the_least_squares_sense(n):
    rng = np.random.default_rng(n)
    # The interpolation from the parent's vertices to the fine lattice, and the mass matrix on it, written out.
    fine = 2 * n - 1
    interpolate = np.array([np.interp(np.arange(fine) / 2, np.arange(n), row) for row in np.eye(n)]).T
    mass = np.diag(np.r_[2.0, np.full(fine - 2, 4.0), 2.0]) + np.eye(fine, k=1) + np.eye(fine, k=-1)
    line = np.linalg.solve(interpolate.T @ mass @ interpolate, interpolate.T @ mass)
    # A smooth background keeps the fit above the least value, so that nothing is cut off.
    lattice = rng.random((fine, fine, fine)) + 50 * np.sin(np.arange(fine) / fine)
    lattice[0, 0, 0] = -1e3
    blocks = np.stack([lattice[tuple(slice(o * (n - 1), o * (n - 1) + n) for o in child)] for child in CHILDREN])
    expected = np.einsum("ai,bj,ck,ijk->abc", line, line, line, lattice)
    assert expected.min() > lattice.min()
    np.testing.assert_allclose(restrict(blocks, np.ones(8, bool)), expected, rtol=1e-10)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 5]))
def test_linear_fields_survive_any_change(grow, seed, n):
    rng = np.random.default_rng(seed)
    old = grow(seed, n=n, holes=False)
    slope = rng.uniform(-1, 1, 3)
    new = replace(grow(seed, n=n, holes=False, splits=0), origin_px=old.origin_px, root_px=old.root_px)
    new = _split(new, rng, 2)
    np.testing.assert_allclose(resample(vertices(old) @ slope, old, new), vertices(new) @ slope, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_leaves_in_both_forests_are_copied_bit_for_bit(grow, seed):
    rng = np.random.default_rng(seed)
    old = grow(seed, splits=6)
    sets = siblings(old)
    merge = np.flatnonzero(rng.random(len(sets.level)) < 0.5)
    split = np.flatnonzero((rng.random(old.n_leaves) < 0.3) & ~np.isin(sets.set_of, merge))
    new = apply(old, sets, split, merge)
    values = rng.standard_normal(old.values_shape).astype(np.float32)
    found = resample(values, old, new)
    assert found.dtype == np.float32
    same = find(old, new.level, new.index)
    assert found[same >= 0].tobytes() == values[same[same >= 0]].tobytes()
    assert np.isfinite(found).all()


def test_a_missing_sibling_continues_its_neighbours():
    parent, children = _octants(4)
    values = np.repeat(np.arange(1.0, 9.0), 64).reshape(8, 4, 4, 4)
    lonely = replace(children, level=children.level[:1], index=children.index[:1])
    np.testing.assert_allclose(resample(values[:1], lonely, parent), 1, rtol=1e-12)
    # The upper corner is gone. Of the field x its sibling below continues x = 4, those beside it the ramp itself.
    some = replace(children, level=children.level[:7], index=children.index[:7])
    assert children.index[7].tolist() == [1, 1, 1]
    ramp = vertices(some)[..., 0]
    merged = resample(ramp, some, parent)
    missing = 4**3 * (4 + 6 + 6) / 3
    np.testing.assert_allclose(leaf_mass(merged, parent), leaf_mass(ramp, some).sum() + missing, rtol=1e-12)


def test_a_place_that_held_nothing_is_filled():
    _, children = _octants(3)
    some = replace(children, level=children.level[:4], index=children.index[:4])
    found = resample(np.ones(some.values_shape), some, children, fill=0.25)
    assert (found[:4] == 1).all()
    assert (found[4:] == 0.25).all()


def test_constants_stay_constant_to_the_last_bit_but_one():
    parent, children = _octants(6)
    for constant in (0.0, 0.1, -3.7):
        found = resample(np.full(children.values_shape, constant), children, parent)
        np.testing.assert_allclose(found, constant, rtol=1e-15)


def test_forests_over_other_roots_are_refused(grow):
    forest = grow(3)
    other = replace(forest, root_px=forest.root_px * 2)
    with pytest.raises(InputError, match="root_px: the forests differ"):
        resample(np.zeros(forest.values_shape), forest, other)
    with pytest.raises(InputError, match="values of shape"):
        resample(np.zeros((1, 3, 3, 3)), forest, forest)
