"""Total variation: its value, its dual pair and its proximal map, against definitions and optimality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.methods.voxels.total_variation import add_divergence, dual_step, proximal, total_variation

SHAPES = [(5, 4, 7), (1, 6, 9), (6, 1, 1), (3, 3, 1), (1, 1, 1)]
shapes = st.tuples(*[st.integers(1, 6)] * 3)


def gradient(d: np.ndarray) -> np.ndarray:
    """Forward differences with free boundaries, shape (3, n_x, n_z, n_y)."""
    q = np.zeros((3, *d.shape))
    q[0, :-1], q[1, :, :-1], q[2, :, :, :-1] = (np.diff(d, axis=axis) for axis in range(3))
    return q


def dual_field(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Random vectors, zero where there is no forward difference."""
    q = np.random.default_rng(seed).normal(size=(3, *shape))
    q[0, -1], q[1, :, -1], q[2, :, :, -1] = 0, 0, 0
    return q


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=st.integers(0, 1000))
def test_value_is_the_sum_of_gradient_lengths(shape, seed):
    d = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    naive = np.sqrt((gradient(d.astype(np.float64)) ** 2).sum(axis=0)).sum()
    assert total_variation(d) == pytest.approx(naive, rel=1e-6)


def test_value_of_a_box_is_its_surface_but_for_its_edges():
    d = np.zeros((12, 12, 12), np.float32)
    d[3:7, 3:8, 3:9] = 2
    faces = 2 * (4 * 5 + 5 * 6 + 4 * 6)
    # Voxels at the low faces' far edges, where two or three differences meet, count a root in place of a sum.
    assert total_variation(d) == pytest.approx(2 * faces, rel=0.1)
    assert total_variation(np.full_like(d, 7)) == 0


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=st.integers(0, 1000))
def test_divergence_is_the_exact_negative_transpose_of_the_gradient(shape, seed):
    q, d = dual_field(shape, seed), np.random.default_rng(seed + 1).normal(size=shape)
    divergence = np.empty(shape)
    add_divergence(np.zeros(shape), q, 1.0, False, divergence)
    assert np.vdot(divergence, d) == pytest.approx(-np.vdot(q, gradient(d)), abs=1e-12 * q.size)
    # And that gradient is the one that the dual step takes, while it stays within the unit ball.
    stepped = np.zeros((3, *shape))
    dual_step(d, stepped, 1e-3)
    np.testing.assert_allclose(stepped, 1e-3 * gradient(d), atol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
def test_dual_step_projects_onto_the_unit_ball(shape):
    q, d = 0.5 * dual_field(shape, 0), np.random.default_rng(1).normal(size=shape)
    wanted = q + 0.7 * gradient(d)
    wanted /= np.maximum(1, np.sqrt((wanted**2).sum(axis=0)))
    dual_step(d, q, 0.7)
    np.testing.assert_allclose(q, wanted, atol=1e-12)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_divergence_is_added_with_its_weight_in_place_or_not(nonnegative):
    shape = (4, 3, 5)
    q, g = dual_field(shape, 2), np.random.default_rng(3).normal(size=shape)
    plain, out = np.empty(shape), np.empty(shape)
    add_divergence(np.zeros(shape), q, 1.0, False, plain)
    add_divergence(g, q, 0.3, nonnegative, out)
    expected = g + 0.3 * plain
    np.testing.assert_allclose(out, np.maximum(expected, 0) if nonnegative else expected, atol=1e-14)
    add_divergence(g, q, 0.3, nonnegative, g)
    np.testing.assert_array_equal(g, out)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("weight", [0.02, 0.3, 5.0])
def test_proximal_map_closes_the_duality_gap(weight, nonnegative):
    shape = (7, 6, 8)
    rng = np.random.default_rng(0)
    g = np.zeros(shape)
    g[2:5, 1:4, 2:7] = 1
    g += rng.normal(0, 0.3, shape)
    q, d = np.zeros((3, *shape)), np.empty(shape)
    proximal(g, q, weight, 4000, nonnegative, d)
    assert np.sqrt((q**2).sum(axis=0)).max() <= 1 + 1e-12
    primal = 0.5 * np.sum((d - g) ** 2) + weight * np.sqrt((gradient(d) ** 2).sum(axis=0)).sum()
    # d minimizes the Lagrangian at q: 1/2 |g|^2 - 1/2 |d|^2, d the (clipped) g + w div q.
    dual = 0.5 * np.sum(g**2) - 0.5 * np.sum(d**2)
    start = 0.5 * np.sum(np.maximum(g, 0) ** 2 if nonnegative else g**2)
    assert -1e-9 * start < primal - dual < 1e-3 * start
    assert not nonnegative or d.min() >= 0


def test_proximal_map_continues_from_its_dual():
    g = np.random.default_rng(0).normal(size=(6, 5, 7)).astype(np.float32)
    once, twice, q = np.empty_like(g), np.empty_like(g), np.zeros((3, *g.shape), np.float32)
    proximal(g, q, 0.2, 40, False, once)
    q[...] = 0
    for _ in range(4):
        proximal(g, q, 0.2, 10, False, twice)
    np.testing.assert_array_equal(once, twice)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_no_weight_changes_nothing_but_the_sign(nonnegative):
    g = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    out = np.empty_like(g)
    proximal(g, np.zeros((3, *g.shape), np.float32), 0.0, 5, nonnegative, out)
    np.testing.assert_array_equal(out, np.maximum(g, 0) if nonnegative else g)


def test_much_weight_leaves_the_mean():
    g = np.random.default_rng(0).normal(1, 0.2, size=(5, 4, 6))
    out = np.empty_like(g)
    proximal(g, np.zeros((3, *g.shape)), 100.0, 3000, False, out)
    np.testing.assert_allclose(out, g.mean(), atol=1e-3)
