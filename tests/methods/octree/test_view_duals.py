"""The data's duals of the primal-dual solver: the filter, the weights of views, and what a step keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.methods.octree.solver import norm_probe, steepest_group, view_groups
from tomokit.methods.octree.view_duals import FLOOR, REACH, ViewDuals, filter_across, filter_taps, weights_by_tilt


def matrix(taps: np.ndarray, n_u: int) -> np.ndarray:
    """The filter as a matrix over columns."""
    apart = np.abs(np.subtract.outer(np.arange(n_u), np.arange(n_u)))
    return np.where(apart <= REACH, taps.astype(np.float64)[np.minimum(apart, REACH)], 0)


def weighed(problem: Problem, fit_offsets: bool = True) -> Problem:
    """With a mask of zeros and of weights between."""
    mask = np.random.default_rng(5).uniform(0.2, 1.5, problem.projections.shape).astype(np.float32)
    mask[:, 10:14, 20:30] = 0
    mask[3] = 0
    return replace(problem, mask=mask, fit_offsets=fit_offsets)


def test_the_filter_is_a_ramp_with_a_floor() -> None:
    k = np.linspace(0, np.pi, 200)
    taps = filter_taps(0.5).astype(np.float64)
    answer = taps[0] + 2 * (taps[1:, None] * np.cos(np.arange(1, REACH + 1)[:, None] * k)).sum(axis=0)
    ramp = 0.5 * (FLOOR + (1 - FLOOR) * k / np.pi)
    # What the missing cosines would add is largest at either end.
    np.testing.assert_allclose(answer, ramp, atol=0.5 * 0.027)
    assert answer.min() > 0
    assert answer.max() <= 0.5


@pytest.mark.parametrize("n_u", [5, 40])
def test_filtering_is_by_that_matrix_which_is_positive(n_u: int) -> None:
    taps = filter_taps(0.6)
    images = np.random.default_rng(0).standard_normal((2, n_u, 7)).astype(np.float32)
    filtered = np.empty_like(images)
    filter_across(images, taps, filtered)
    by_matrix = matrix(taps, n_u)
    np.testing.assert_allclose(filtered, np.einsum("ab,vby->vay", by_matrix, images), atol=2e-6)
    assert np.linalg.eigvalsh(by_matrix).min() > 0


@pytest.mark.parametrize("fit_offsets", [False, True])
def test_a_step_is_that_of_the_formula_in_double_precision(problem: Problem, fit_offsets: bool) -> None:
    given = weighed(problem, fit_offsets)
    rng, views = np.random.default_rng(1), np.array([1, 3, 9])
    duals = ViewDuals(given, 0.6, 1.5)
    assert given.mask is not None
    dual = (rng.standard_normal(given.projections.shape) * (given.mask > 0)).astype(np.float32)
    residuals = rng.standard_normal((3, *dual.shape[1:])).astype(np.float32) * given.mask[views]
    w = np.cos(given.geometry.tilt_rad) ** 1.5
    w /= w.mean()
    s = np.sqrt(w[views, None, None] * given.mask[views])
    filter_matrix = matrix(filter_taps(0.6), dual.shape[1])
    before = dual[views].astype(np.float64)
    pull = np.divide(w[views, None, None] * residuals - before, s, out=np.zeros_like(before), where=s > 0)
    expected = before + s * np.einsum("ab,vby->vay", filter_matrix, pull)
    if fit_offsets:
        spread = s * np.einsum("ab,vby->vay", filter_matrix, s)
        total = spread.sum(axis=(1, 2), keepdims=True)
        expected -= np.where(total > 0, expected.sum(axis=(1, 2), keepdims=True) / np.maximum(total, 1e-9), 0) * spread
    others = np.delete(dual, views, axis=0)
    duals.step(dual, residuals, views)
    np.testing.assert_allclose(dual[views], expected, atol=3e-5)
    np.testing.assert_allclose(residuals, expected - before, atol=3e-5)
    np.testing.assert_array_equal(np.delete(dual, views, axis=0), others)
    assert np.all(dual[views][given.mask[views] == 0] == 0)


def test_a_dual_that_is_the_weighted_residual_stays(problem: Problem) -> None:
    given, views = weighed(problem), np.arange(4)
    duals = ViewDuals(given, 0.6, 1.0)
    assert given.mask is not None
    residuals = np.random.default_rng(2).standard_normal((4, *given.projections.shape[1:])) * given.mask[views]
    total = given.mask[views].sum(axis=(1, 2), keepdims=True)
    # At the best offset its sum is zero.
    residuals -= given.mask[views] * residuals.sum(axis=(1, 2), keepdims=True) / np.maximum(total, 1e-9)
    dual = np.zeros_like(given.projections)
    dual[views] = duals.weights[views][:, None, None] * residuals
    before = dual.copy()
    duals.step(dual, residuals.astype(np.float32), views)
    np.testing.assert_allclose(dual, before, atol=1e-5)


def test_weights_are_one_on_average_over_the_whole_series(problem: Problem) -> None:
    whole = weights_by_tilt(problem, 1.5)
    assert whole.mean() == pytest.approx(1)
    assert whole[np.argmin(np.abs(problem.geometry.tilt_deg))] == whole.max()
    np.testing.assert_allclose(weights_by_tilt(problem.part([2, 5]), 1.5), whole[[2, 5]], rtol=1e-6)
    np.testing.assert_array_equal(weights_by_tilt(problem, 0.0), 1)


def test_the_norm_is_measured_where_rays_are_longest_from_noise_that_is_the_same_each_time() -> None:
    tilts = np.radians([-60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 55.0])
    groups = view_groups(7, 3)
    assert 0 in steepest_group(groups, tilts, np.ones(7))
    weights = np.ones(7)
    weights[[0, 6]] = 0.1
    assert 0 not in steepest_group(groups, tilts, weights)
    np.testing.assert_array_equal(norm_probe((2, 3, 3, 3)), norm_probe((2, 3, 3, 3)))
