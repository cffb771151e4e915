"""The kernels over leaf grids, run by g++, against the float64 reference and the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
from cases import needs_compiler
from forests import geometry, two_level_forest
from numpy.typing import ArrayLike
from on_cpu import CpuDevice

from tomokit.geometry import TiltGeometry
from tomokit.octree import Forest
from tomokit.projector import reference_leaves
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.projector.leaves import LeafProjector

pytestmark = needs_compiler


def forward(
    seed: int, forest: Forest, views: TiltGeometry, rho: np.ndarray, some: ArrayLike | None = None, kappa: float = 1.0
) -> np.ndarray:
    """Line integrals, there and back."""
    device = CpuDevice(seed)
    return device.to_host(LeavesOnDevice(device, forest, views)(device.xp.asarray(rho), some, kappa))


@pytest.mark.parametrize("n", [4, 5, pytest.param(9, marks=pytest.mark.long)])
def test_forward_agrees_with_the_reference(n: int) -> None:
    forest, views = two_level_forest(n), geometry()
    rho = np.random.default_rng(0).random(forest.values_shape, dtype=np.float32)
    found = forward(1, forest, views, rho)
    expected = reference_leaves.forward(rho, forest, views)
    assert np.linalg.norm(found - expected) < 2e-4 * np.linalg.norm(expected)
    assert ((expected > 1e-3 * expected.max()) <= (found > 0)).all()
    # The tables' own error is both backends', so they lie closer to each other.
    cpu = LeafProjector(forest, views)(rho)
    assert np.linalg.norm(found - cpu) < 1e-5 * np.linalg.norm(cpu)


def test_some_views_are_rows_of_all() -> None:
    forest, views = two_level_forest(), geometry()
    rho = np.random.default_rng(2).random(forest.values_shape, dtype=np.float32)
    found = forward(0, forest, views, rho)
    np.testing.assert_array_equal(found[[6, 1]], forward(0, forest, views, rho, [6, 1]))
    np.testing.assert_allclose(forward(0, forest, views, rho, [6], 0.25), 0.25 * found[[6]], rtol=1e-6)


def test_rows_are_contracted_as_on_the_cpu() -> None:
    forest, views = two_level_forest(7), geometry()
    stack = np.random.default_rng(3).normal(size=(views.n_views, views.n_u, views.n_v)).astype(np.float32)
    device, cpu = CpuDevice(2), LeafProjector(forest, views)
    projector = LeavesOnDevice(device, forest, views)
    chosen = projector.chosen([7, 2, 0])
    found = device.to_host(projector.contract(device.xp.asarray(stack[[7, 2, 0]]), chosen, 0.5))
    expected = 0.5 * cpu.contract(stack[[7, 2, 0]], [7, 2, 0])
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_the_order_of_threads_does_not_matter() -> None:
    forest, views = two_level_forest(), geometry()
    rho = np.random.default_rng(4).random(forest.values_shape, dtype=np.float32)
    first, *others = (forward(seed, forest, views, rho) for seed in range(3))
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_exposure_and_sums_of_the_residual(fitted: bool, masked: bool) -> None:
    forest, views = two_level_forest(), geometry(23, 37)
    rng = np.random.default_rng(5)
    rho = rng.random(forest.values_shape, dtype=np.float32)
    device = CpuDevice(3)
    projector, put = LeavesOnDevice(device, forest, views), device.xp.asarray
    data = rng.normal(2, 1, (views.n_views, views.n_u, views.n_v)).astype(np.float32)
    mask = (rng.random(data.shape) < 0.7).astype(np.float32) if masked else None
    if mask is not None:
        mask[3] = 0
    weight = np.ones(data.shape) if mask is None else mask.astype(np.float64)
    sums, before = weight.sum(axis=(1, 2)), rng.normal(size=views.n_views)
    steps = np.array([3, 8, 0])
    chosen, there, summed = projector.chosen(steps), put(before), put(np.array([1.0, 2.0]))
    kept = None if mask is None else put(mask)
    left_there, partial = projector.residual(projector.project(put(rho), chosen), chosen, 0.1, put(data), kept, there)
    solved = projector.fit_offsets(partial, chosen, put(sums), there, summed, fitted)
    residual, offset, offsets, totals = (device.to_host(array) for array in (left_there, solved, there, summed))
    left = 0.1 * reference_leaves.forward(rho, forest, views)[steps] - data[steps] + before[steps, None, None]
    np.testing.assert_allclose(residual, left, atol=1e-4)
    expected = (weight[steps] * left).sum(axis=(1, 2)) / np.maximum(sums[steps], 1) if fitted else np.zeros(3)
    np.testing.assert_allclose(offset, expected, atol=1e-5)
    np.testing.assert_allclose(offsets[steps], before[steps] - expected, atol=1e-5)
    untouched = np.delete(np.arange(views.n_views), steps)
    np.testing.assert_array_equal(offsets[untouched], before[untouched])
    squares = (weight[steps] * (left - expected[:, None, None]) ** 2).sum()
    np.testing.assert_allclose(totals, [1 + squares, 2 + sums[steps].sum()], rtol=2e-5)
