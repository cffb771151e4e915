"""The non-local constraint: against the quadratic form, its central differences, and its limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomokit.octree import Forest
from tomokit.regularizers import reference
from tomokit.regularizers.cross_node import KERNELS, CrossNode, CrossNodeOptions
from tomokit.regularizers.interface import Field

SWAPS = 3
"""A seed whose permutation of two swaps them."""


def evaluate(regularizer, field, scale=1.0, seed=9):
    gradient = np.zeros_like(field.values)
    field = replace(field, rng=np.random.default_rng(seed))
    return regularizer.value_and_gradient(field, gradient, scale), gradient


def pairs(field, seed=9):
    leaves = np.flatnonzero(field.inside)
    return leaves, leaves[np.random.default_rng(seed).permutation(leaves.size)]


def defined(options, field, values=None, seed=9):
    spread = options.temperature if options.kernel == "dot" else options.bandwidth
    values = (field.values if values is None else values).astype(np.float64)
    return reference.cross_node(values, *pairs(field, seed), options.kernel, spread)


def row_of(n: int, *leaves: np.ndarray) -> Field:
    """Leaves side by side along x, all in the region of interest."""
    count = len(leaves)
    index = np.stack([np.arange(count), np.zeros(count, int), np.zeros(count, int)], axis=1)
    forest = Forest((0.0, 0.0, 0.0), 4.0, (count, 1, 1), n, np.zeros(count, np.int32), index.astype(np.int32))
    return Field(forest, np.stack(leaves), np.ones(count, bool), np.random.default_rng(0))


@pytest.fixture
def two_leaves():
    """Two leaves of different spread, which ask each other (with the seed SWAPS)."""

    def make(spread: float, mean: float, dtype: type, n: int = 14) -> Field:
        rng = np.random.default_rng(5)
        shape = (n, n, n)
        first = mean + spread * rng.standard_normal(shape)
        second = mean + spread * (0.6 * rng.standard_normal(shape) + 1.5 * (rng.random(shape) < 0.2))
        return row_of(n, first.astype(dtype), second.astype(dtype))

    return make


@pytest.mark.parametrize(
    "options", [CrossNodeOptions(kernel="dot"), CrossNodeOptions(kernel="gaussian", bandwidth=0.4)]
)
def test_the_gradient_is_that_of_central_differences_of_the_definition(
    options, make_field, numerical_gradient, assert_same_vector
) -> None:
    field = make_field()
    _, gradient = evaluate(CrossNode(options), field)
    _, slope = defined(options, field)
    numerical = numerical_gradient(lambda v: defined(options, field, v)[0], field.values, stride=7)
    tried = np.isfinite(numerical)
    assert_same_vector(slope[tried], numerical[tried], 1e-6)
    assert_same_vector(gradient[tried], numerical[tried], 1e-4)
    assert_same_vector(gradient, slope, 1e-4)
    assert not gradient[~field.inside].any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("kernel", "width", "spread", "mean"),
    [
        ("dot", 1.0, 0.05, 0.0),
        ("dot", 1.0, 0.05, 1.0),
        ("dot", 1.0, 0.3, 1.0),
        ("dot", 1.0, 1.0, 0.0),
        ("dot", 1.0, 2.0, 0.0),
        ("dot", 0.2, 0.4, 1.0),
        ("dot", 5.0, 1.0, 0.5),
        ("gaussian", 0.01, 0.05, 1.0),
        ("gaussian", 0.25, 1.0, 0.0),
        ("gaussian", 0.25, 1.0, 50.0),
        ("gaussian", 1.0, 3.0, 0.0),
        ("gaussian", 5.0, 1.0, 0.0),
    ],
)
def test_linear_time_gives_what_the_quadratic_form_gives(
    kernel, width, spread, mean, dtype, two_leaves, assert_same_vector
) -> None:
    field = two_leaves(spread, mean, dtype, 10)
    options = CrossNodeOptions(kernel=kernel, temperature=width, bandwidth=width)
    leaves, partner = pairs(field, seed=SWAPS)
    assert (leaves != partner).all()
    value, gradient = evaluate(CrossNode(options), field, seed=SWAPS)
    expected, slope = defined(options, field, seed=SWAPS)
    assert value == pytest.approx(expected, rel=2e-5)
    for found, true in zip(gradient, slope, strict=True):
        assert np.linalg.norm(found - true) < 2e-3 * np.linalg.norm(true)


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_the_pull_on_the_partner_is_right_by_itself(kernel, two_leaves) -> None:
    # Each leaf asks the other: what it is due as the one that asks is taken off.
    field = two_leaves(1.0, 0.2, np.float64, 10)
    options = CrossNodeOptions(kernel=kernel, bandwidth=0.3)
    a, b = (field.values[i].ravel() for i in (0, 1))
    _, gradient = evaluate(CrossNode(options), field, seed=SWAPS)
    spread = options.temperature if kernel == "dot" else options.bandwidth
    _, by_asking, _ = reference.cross_node_pair(b, a, kernel, spread)
    _, _, by_asked = reference.cross_node_pair(a, b, kernel, spread)
    found = gradient[1].ravel() - by_asking
    assert np.linalg.norm(found - by_asked) < 2e-3 * np.linalg.norm(by_asked)
    assert np.vdot(found, by_asked) > 0.99999 * np.linalg.norm(found) * np.linalg.norm(by_asked)


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_a_leaf_may_ask_itself(kernel, two_leaves, assert_same_vector) -> None:
    field = two_leaves(0.6, 0.0, np.float64, 10)
    field.inside[1] = False
    options = CrossNodeOptions(kernel=kernel)
    value, gradient = evaluate(CrossNode(options), field)
    expected, slope = defined(options, field)
    assert value == pytest.approx(expected, rel=1e-5)
    assert_same_vector(gradient, slope, 1e-3)


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_leaves_of_equal_values_divide_nothing_by_zero(kernel, dtype) -> None:
    rng = np.random.default_rng(2)
    flat, rough = np.full((6, 6, 6), 0.5, dtype), rng.standard_normal((6, 6, 6)).astype(dtype)
    options = CrossNodeOptions(kernel=kernel)
    for field in (row_of(6, flat, rough), row_of(6, flat, (flat - 0.25).astype(dtype)), row_of(6, flat, flat.copy())):
        value, gradient = evaluate(CrossNode(options), field, seed=SWAPS)
        expected, slope = defined(options, field, seed=SWAPS)
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-6)
        if expected > 1e-9:
            np.testing.assert_allclose(gradient, slope, rtol=0, atol=2e-4 * np.abs(slope).max())
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("size", [1e-20, 1e-3, 30.0, 1e4])
def test_no_size_of_values_overflows(kernel, size) -> None:
    rng = np.random.default_rng(4)
    field = row_of(8, *(size * rng.standard_normal((2, 8, 8, 8))).astype(np.float32))
    options = CrossNodeOptions(kernel=kernel)
    value, gradient = evaluate(CrossNode(options), field, seed=SWAPS)
    # What happens within a spacing, 1/127 of the range, is not resolved: the step of the dot kernel, a Gaussian.
    expected = defined(options, field, seed=SWAPS)[0]
    assert value == pytest.approx(expected, rel=2e-2, abs=0 if kernel == "dot" else float(np.ptp(field.values)) / 127)
    assert np.isfinite(gradient).all()


def test_a_gap_wider_than_the_kernel_is_answered_from_its_nearer_side() -> None:
    rng = np.random.default_rng(6)
    asked = np.where(rng.random((8, 8, 8)) < 0.5, -3.0, 5.0) + 0.3 * rng.random((8, 8, 8))
    field = row_of(8, 4 * rng.random((8, 8, 8)) - 2, asked)
    options = CrossNodeOptions(kernel="gaussian", bandwidth=0.2, bins=256)
    value, gradient = evaluate(CrossNode(options), field, seed=SWAPS)
    expected, slope = defined(options, field, seed=SWAPS)
    assert value == pytest.approx(expected, rel=1e-3)
    assert np.linalg.norm(gradient - slope) < 0.04 * np.linalg.norm(slope)


def test_more_bins_come_closer(two_leaves) -> None:
    field = two_leaves(3.0, 0.0, np.float64)
    errors = []
    _, slope = defined(CrossNodeOptions(), field, seed=SWAPS)
    for bins in (32, 128, 512):
        _, gradient = evaluate(CrossNode(CrossNodeOptions(bins=bins)), field, seed=SWAPS)
        errors.append(np.linalg.norm(gradient - slope) / np.linalg.norm(slope))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_every_step_draws_other_partners_and_the_same_ones_from_the_same_seed(make_field) -> None:
    field = make_field()
    regularizer = CrossNode(CrossNodeOptions())
    values = [regularizer.value_and_gradient(field, np.zeros_like(field.values), 0.0) for _ in range(4)]
    assert len(set(values)) == 4
    assert evaluate(regularizer, field, seed=3)[0] == evaluate(regularizer, field, seed=3)[0]


def test_the_draw_does_not_depend_on_the_values(make_field) -> None:
    states = []
    for field in (make_field(seed=3), replace(make_field(seed=3), values=make_field(seed=4).values)):
        CrossNode(CrossNodeOptions()).value_and_gradient(field, np.zeros_like(field.values), 1.0)
        states.append(field.rng.random())
    assert states[0] == states[1]


def test_the_gradient_is_scaled_and_added(make_field) -> None:
    field = make_field()
    _, gradient = evaluate(CrossNode(CrossNodeOptions()), field)
    start = np.random.default_rng(0).standard_normal(gradient.shape)
    total = start.copy()
    CrossNode(CrossNodeOptions()).value_and_gradient(replace(field, rng=np.random.default_rng(9)), total, -2.5)
    np.testing.assert_allclose(total, start - 2.5 * gradient, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_nothing(kernel, dtype, make_field, on_threads) -> None:
    field = make_field(dtype)
    regularizer = CrossNode(CrossNodeOptions(kernel=kernel))
    (value, gradient), (value_of_two, gradient_of_two) = on_threads(lambda: evaluate(regularizer, field))
    assert value == value_of_two
    np.testing.assert_array_equal(gradient, gradient_of_two)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_not_hidden_and_spoils_nothing(wrong, make_field) -> None:
    field = make_field()
    field.values[0, 1, 2, 3] = wrong
    value, gradient = evaluate(CrossNode(CrossNodeOptions()), field)
    assert np.isnan(value)
    assert not gradient.any()


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("huge", [1e36, 3e38, np.nan])
def test_values_that_have_no_place_on_a_grid_are_not_looked_up(huge, kernel, make_field) -> None:
    """Differences of singles overflow at 3.4e38: such a place was an index once, far outside of the tables."""
    field = make_field(np.float32)
    field.values[0, 1, 2, 3], field.values[0, 3, 2, 1] = huge, -huge
    regularizer = CrossNode(CrossNodeOptions(kernel=kernel))
    value, _ = evaluate(regularizer, field)
    assert np.isnan(value) == (not huge < 1e37)
    term = regularizer.fused_term(field, np.empty((0, 6, 1, 1), np.float32), 1.0)
    assert (term.leaves.size == 0) == np.isnan(value)
    assert np.isnan(term.value) == np.isnan(value)


def test_no_leaf_inside_asks_nothing(make_field) -> None:
    field = replace(make_field(), inside=np.zeros(make_field().forest.n_leaves, bool))
    value, gradient = evaluate(CrossNode(CrossNodeOptions()), field)
    assert value == 0
    assert not gradient.any()
