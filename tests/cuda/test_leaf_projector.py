"""The kernels over leaf grids, run by g++, against the float64 reference and the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
from cases import geometry, needs_compiler, two_level_forest
from on_cpu import CpuDevice

from tomokit.cuda.leaves import LeavesOnDevice
from tomokit.projector import reference_leaves
from tomokit.projector.leaves import LeafProjector

pytestmark = needs_compiler


@pytest.mark.parametrize("n", [4, 5, 9])
def test_forward_agrees_with_the_reference(n: int) -> None:
    forest, views = two_level_forest(n), geometry()
    rho = np.random.default_rng(0).random(forest.values_shape, dtype=np.float32)
    found = LeavesOnDevice(CpuDevice(1), forest, views)(rho)
    expected = reference_leaves.forward(rho, forest, views)
    assert np.linalg.norm(found - expected) < 2e-4 * np.linalg.norm(expected)
    assert ((expected > 1e-3 * expected.max()) <= (found > 0)).all()
    # The tables' own error is both backends', so they lie closer to each other.
    cpu = LeafProjector(forest, views)(rho)
    assert np.linalg.norm(found - cpu) < 1e-5 * np.linalg.norm(cpu)


def test_some_views_are_rows_of_all() -> None:
    forest, views = two_level_forest(), geometry()
    rho = np.random.default_rng(2).random(forest.values_shape, dtype=np.float32)
    projector = LeavesOnDevice(CpuDevice(), forest, views)
    np.testing.assert_array_equal(projector(rho)[[6, 1]], projector(rho, [6, 1]))
    np.testing.assert_allclose(projector(rho, [6], kappa=0.25), 0.25 * projector(rho, [6]), rtol=1e-6)


def test_rows_are_contracted_as_on_the_cpu() -> None:
    forest, views = two_level_forest(7), geometry()
    stack = np.random.default_rng(3).normal(size=(views.n_views, views.n_u, views.n_v)).astype(np.float32)
    projector, cpu = LeavesOnDevice(CpuDevice(2), forest, views), LeafProjector(forest, views)
    chosen = projector.chosen([7, 2, 0])
    found = projector.contract(stack[[7, 2, 0]], chosen, 0.5)
    expected = 0.5 * cpu.contract(stack[[7, 2, 0]], [7, 2, 0])
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_the_order_of_threads_does_not_matter() -> None:
    forest, views = two_level_forest(), geometry()
    rho = np.random.default_rng(4).random(forest.values_shape, dtype=np.float32)
    first, *others = (LeavesOnDevice(CpuDevice(seed), forest, views)(rho) for seed in range(3))
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_exposure_and_sums_of_the_residual(fitted: bool, masked: bool) -> None:
    forest, views = two_level_forest(), geometry(23, 37)
    rng = np.random.default_rng(5)
    rho = rng.random(forest.values_shape, dtype=np.float32)
    projector = LeavesOnDevice(CpuDevice(3), forest, views)
    data = rng.normal(2, 1, (views.n_views, views.n_u, views.n_v)).astype(np.float32)
    mask = (rng.random(data.shape) < 0.7).astype(np.float32) if masked else None
    if mask is not None:
        mask[3] = 0
    weight = np.ones(data.shape) if mask is None else mask.astype(np.float64)
    sums, totals = weight.sum(axis=(1, 2)), np.array([1.0, 2.0])
    exposure = rng.normal(size=views.n_views)
    before = exposure.copy()
    steps = np.array([3, 8, 0])
    chosen = projector.chosen(steps)
    residual, partial = projector.residual(projector.project(rho, chosen), chosen, 0.1, data, mask, exposure)
    offset = projector.fit_exposure(partial, chosen, sums, exposure, totals, fitted)
    left = 0.1 * reference_leaves.forward(rho, forest, views)[steps] - data[steps] + before[steps, None, None]
    np.testing.assert_allclose(residual, left, atol=1e-4)
    expected = (weight[steps] * left).sum(axis=(1, 2)) / np.maximum(sums[steps], 1) if fitted else np.zeros(3)
    np.testing.assert_allclose(offset, expected, atol=1e-5)
    np.testing.assert_allclose(exposure[steps], before[steps] - expected, atol=1e-5)
    untouched = np.delete(np.arange(views.n_views), steps)
    np.testing.assert_array_equal(exposure[untouched], before[untouched])
    squares = (weight[steps] * (left - expected[:, None, None]) ** 2).sum()
    np.testing.assert_allclose(totals, [1 + squares, 2 + sums[steps].sum()], rtol=2e-5)
