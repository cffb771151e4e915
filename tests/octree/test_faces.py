"""Shared faces against a comparison of every leaf with every other."""

from __future__ import annotations

import gc
import weakref

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.octree import Forest
from tomokit.octree.faces import is_balanced, shared_faces
from tomokit.octree.reference import vertices

IN_FACE = [(1, 2), (0, 2), (0, 1)]


def _touching_pairs(forest):
    finest = int(forest.level.max())
    edge = (1 << (finest - forest.level))[:, None]
    low, high = forest.index * edge, (forest.index + 1) * edge
    return {
        (axis, a, b)
        for axis, (p, q) in enumerate(IN_FACE)
        for a in range(forest.n_leaves)
        for b in range(forest.n_leaves)
        if high[a, axis] == low[b, axis]
        and all(min(high[a, r], high[b, r]) > max(low[a, r], low[b, r]) for r in (p, q))
    }


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_every_touching_pair_is_found_once(grow, seed):
    forest = grow(seed)
    faces = shared_faces(forest)
    found = list(zip(faces.axis.tolist(), faces.below.tolist(), faces.above.tolist(), strict=True))
    assert found == sorted(_touching_pairs(forest))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4, 6]))
def test_fine_vertices_lie_where_the_coarse_coordinates_say(grow, seed, n):
    forest = grow(seed, n=n)
    faces = shared_faces(forest)
    position = vertices(forest)
    for f in range(faces.n_faces):
        axis, fine, coarse = faces.axis[f], faces.fine[f], faces.coarse[f]
        assert {fine, coarse} == {faces.below[f], faces.above[f]}
        assert forest.level[fine] >= forest.level[coarse]
        side = n - 1 if faces.fine_is_below[f] else 0
        points = np.take(position[fine], side, axis=axis)
        steps = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1)
        at = faces.offset[f] + faces.scale[f] * steps
        assert at.min() >= 0
        assert at.max() <= n - 1
        expected = np.zeros((n, n, 3))
        expected[..., list(IN_FACE[axis])] = at * forest.spacing_px[coarse]
        expected[..., axis] = 0 if faces.fine_is_below[f] else forest.size_px[coarse]
        np.testing.assert_allclose(forest.corner_px[coarse] + expected, points, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_faces_of_a_leaf_are_those_that_name_it(grow, seed):
    forest = grow(seed)
    faces = shared_faces(forest)
    start, face = faces.by_leaf(forest.n_leaves)
    for leaf in range(forest.n_leaves):
        named = np.flatnonzero((faces.below == leaf) | (faces.above == leaf))
        np.testing.assert_array_equal(face[start[leaf] : start[leaf + 1]], named)


def test_faces_are_found_once_and_go_with_their_forest(grow):
    forest = grow(0)
    faces = shared_faces(forest)
    assert shared_faces(forest) is faces
    assert shared_faces(grow(0)) is not faces
    gone = weakref.ref(faces)
    del forest, faces
    gc.collect()
    assert gone() is None


def test_a_jump_of_two_levels_is_not_balanced():
    corner = [(0, 1, 0, 0)]
    halves = [(1, x, z, y) for x in (0, 1) for z in (0, 1) for y in (0, 1)]
    fine = [(2, 2 + x, z, y) for x in (0, 1) for z in (0, 1) for y in (0, 1)]

    def forest(rows):
        table = np.array(rows, np.int32)
        return Forest((0, 0, 0), 8.0, (2, 1, 1), 3, table[:, 0], table[:, 1:])

    assert is_balanced(forest(corner + halves))
    assert not is_balanced(forest(corner + [row for row in halves if row != (1, 1, 0, 0)] + fine))
    assert is_balanced(forest([(0, 0, 0, 0)]))
