"""Culling against pixels and points projected one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.octree.culling import seen, select
from tomokit.octree.reference import vertices


def _geometry(rng, n_views=3, n_u=11, n_v=9):
    tilt = rng.uniform(-75, 75, n_views)
    return TiltGeometry(tilt, n_u, n_v, rng.uniform(-2, 2, n_views), rng.uniform(-2, 2, n_views))


def _seen_by_corners(forest, geometry, mask):
    found = []
    for corner, size in zip(forest.corner_px, forest.size_px, strict=True):
        corners = corner + size * np.array(list(itertools.product((0, 1), repeat=3)))
        u, v = geometry.locate(corners[:, [0, 2, 1]])
        t, i, j = np.nonzero(mask > 0)
        pixel_u, pixel_v = i - (geometry.n_u - 1) / 2, j - (geometry.n_v - 1) / 2
        under_u = (u.min(axis=1)[t] < pixel_u + 0.5) & (u.max(axis=1)[t] > pixel_u - 0.5)
        under_v = (v.min(axis=1)[t] < pixel_v + 0.5) & (v.max(axis=1)[t] > pixel_v - 0.5)
        found.append(bool((under_u & under_v).any()))
    return np.array(found)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 0.05, 0.3]))
def test_seen_leaves_are_those_over_an_unmasked_pixel(grow, seed, share):
    rng = np.random.default_rng(seed)
    forest, geometry = grow(seed), _geometry(rng)
    mask = (rng.random((3, 11, 9)) < share) * rng.uniform(0.1, 1, (3, 11, 9)).astype(np.float32)
    np.testing.assert_array_equal(seen(forest, geometry, mask), _seen_by_corners(forest, geometry, mask))
    everything = np.ones_like(mask)
    np.testing.assert_array_equal(seen(forest, geometry), _seen_by_corners(forest, geometry, everything))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_no_point_over_an_unmasked_pixel_is_culled(grow, seed):
    rng = np.random.default_rng(seed)
    forest, geometry = grow(seed, n=7), _geometry(rng)
    mask = (rng.random((3, 11, 9)) < 0.1).astype(np.float32)
    points = vertices(forest)[:, 1:-1, 1:-1, 1:-1].reshape(-1, 3)
    u, v = geometry.locate(points[:, [0, 2, 1]])
    i, j = np.round(u + 5).astype(int), np.round(v + 4).astype(int)
    within = (i >= 0) & (i < 11) & (j >= 0) & (j < 9)
    view = np.broadcast_to(np.arange(3)[:, None], i.shape)
    lit = within & (mask[view, np.clip(i, 0, 10), np.clip(j, 0, 8)] > 0)
    lit_leaf = lit.any(axis=0).reshape(forest.n_leaves, -1).any(axis=1)
    assert seen(forest, geometry, mask)[lit_leaf].all()


def test_selected_leaves_keep_their_order(grow):
    forest = grow(7, splits=6)
    keep = np.arange(forest.n_leaves) % 3 > 0
    chosen = select(forest, keep)
    np.testing.assert_array_equal(chosen.level, forest.level[keep])
    np.testing.assert_array_equal(chosen.index, forest.index[keep])
    with pytest.raises(InputError, match="marks"):
        select(forest, keep[1:])


def test_a_mask_of_another_shape_is_refused(grow):
    with pytest.raises(InputError, match="mask: mask of shape"):
        seen(grow(0), TiltGeometry(np.zeros(2), 4, 4), np.ones((2, 4, 5)))
