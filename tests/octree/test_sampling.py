"""Sampling on lattices and locating points, against the reference."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.octree.cover import Region, cover
from tomokit.octree.reference import evaluate, vertices
from tomokit.octree.sampling import locate, sample, sample_means, sample_volume


def _points(x, z, y):
    return np.array(list(itertools.product(x, z, y)))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 5]), st.booleans())
def test_sampling_agrees_with_the_reference(grow, seed, n, on_faces):
    rng = np.random.default_rng(seed)
    forest = grow(seed, n=n, deepest=2)
    values = rng.standard_normal(forest.values_shape)
    extent = forest.root_px * np.array(forest.roots)
    count = (7, 6, 9)
    if on_faces:
        # Every plane of the lattice lies on faces, the outermost included; sums of halves are exact.
        forest = type(forest)((-8.0, 4.0, 0.5), 4.0, forest.roots, n, forest.level, forest.index)
        start, step, count = np.array(forest.origin_px), np.ones(3), tuple(4 * r + 1 for r in forest.roots)
    else:
        start = np.array(forest.origin_px) - rng.uniform(0, 3, 3)
        step = (extent + 5) / count * rng.uniform(0.8, 1.1, 3)
    lattice = [start[axis] + step[axis] * np.arange(count[axis]) for axis in range(3)]
    lattice_arguments = [item for axis in range(3) for item in (start[axis], step[axis], count[axis])]
    found = sample(values, forest, *lattice_arguments, fill=-7.0)
    expected = evaluate(values, forest, _points(*lattice), fill=-7.0).reshape(count)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 6]))
def test_linear_functions_are_reproduced_and_ones_add_up_to_one(grow, seed, n):
    rng = np.random.default_rng(seed)
    forest = grow(seed, n=n, holes=False)
    slope = rng.uniform(-1, 1, 3)
    high = np.array(forest.origin_px) + forest.root_px * np.array(forest.roots)
    start = np.array(forest.origin_px) + 0.01
    step = (high - 0.01 - start) / (11, 12, 13)
    arguments = [item for axis in range(3) for item in (start[axis], step[axis], 12 + axis)]
    ones = sample(np.ones(forest.values_shape), forest, *arguments, fill=0.0)
    np.testing.assert_allclose(ones, 1, atol=1e-6)
    plane = sample((vertices(forest) @ slope).astype(np.float32), forest, *arguments, fill=np.nan)
    lattice = [start[axis] + step[axis] * np.arange(12 + axis) for axis in range(3)]
    np.testing.assert_allclose(plane.ravel(), _points(*lattice) @ slope, atol=3e-5)


def test_means_are_those_of_eight_points_of_each_box(grow):
    forest = grow(3, n=4)
    values = np.random.default_rng(0).standard_normal(forest.values_shape)
    start, step, count = np.array(forest.origin_px) - 0.3, np.array([0.7, 0.9, 0.8]), (9, 8, 11)
    arguments = [item for axis in range(3) for item in (start[axis], step[axis], count[axis])]
    # In a lattice twice as fine each box has two points along each axis, a quarter from its faces.
    fine = [start[axis] + step[axis] * (np.arange(2 * count[axis]) / 2 - 0.25) for axis in range(3)]
    points = evaluate(values, forest, _points(*fine)).reshape(9, 2, 8, 2, 11, 2)
    np.testing.assert_allclose(sample_means(values, forest, *arguments), points.mean((1, 3, 5)), atol=2e-6)


def test_voxels_of_two_vertices_have_their_mean():
    forest = cover(Region(8, 8, 8), 0, 9, 8)
    values = np.zeros(forest.values_shape)
    values[:, ::2, ::2, ::2] = 8  # in the middle of cubes of eight vertices, whose mean is 1
    assert forest.spacing_px.max() == 1
    np.testing.assert_allclose(sample_means(values, forest, -2, 2, 3, -2, 2, 3, -2, 2, 3), 1, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_points_are_located_by_the_rule_of_ownership(grow, seed):
    rng = np.random.default_rng(seed)
    forest = grow(seed)
    exact = type(forest)((-8.0, 4.0, 0.5), 4.0, forest.roots, 3, forest.level, forest.index)
    anywhere = rng.uniform(-1, 13, (80, 3)) + exact.origin_px
    on_faces = rng.integers(0, 25, (80, 3)) / 2 + exact.origin_px
    points = np.concatenate([anywhere, on_faces])
    # The reference evaluates a field whose value is its leaf's number.
    numbers = np.broadcast_to(np.arange(exact.n_leaves)[:, None, None, None], exact.values_shape)
    expected = np.round(evaluate(numbers, exact, points, fill=-1))
    assert (expected >= 0).any()
    np.testing.assert_array_equal(locate(exact, points), expected)


def test_volume_has_its_voxels_at_pixel_centres():
    forest = cover(Region(8, 6, 4), 0, 5, 4)
    position = vertices(forest)
    for axis, size in enumerate((8, 4, 6)):
        volume = sample_volume(position[..., axis], forest, 8, 4, 6)
        assert volume.shape == (8, 4, 6)
        line = np.moveaxis(volume, axis, 0).reshape(size, -1)
        np.testing.assert_allclose(line, (np.arange(size) - (size - 1) / 2)[:, None] + 0 * line, atol=1e-6)


def test_any_number_of_threads_gives_the_same_samples(grow):
    forest = grow(5, n=6)
    values = np.random.default_rng(0).random(forest.values_shape, np.float32)
    arguments = (-20, 0.37, 150, -20, 0.41, 140, -20, 0.29, 180)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = sample(values, forest, *arguments)
        numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
        two = sample(values, forest, *arguments)
    finally:
        numba.set_num_threads(before)
    assert one.any()
    np.testing.assert_array_equal(one, two)


def test_values_of_another_forest_and_empty_spacings_are_refused(grow):
    forest = grow(1)
    with pytest.raises(InputError, match="values of shape"):
        sample(np.zeros((1, 2, 2, 2)), forest, 0, 1, 2, 0, 1, 2, 0, 1, 2)
    with pytest.raises(InputError, match="spacing"):
        sample(np.zeros(forest.values_shape), forest, 0, 1, 2, 0, 0, 2, 0, 1, 2)
