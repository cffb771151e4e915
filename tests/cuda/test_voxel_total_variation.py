"""Kernels of total variation on volumes, against the formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
from cases import divergence, dual_field, gradient, needs_compiler
from on_cpu import CpuDevice

from tomokit.methods.voxels.cuda.total_variation import VariationOnDevice
from tomokit.methods.voxels.total_variation import proximal

pytestmark = needs_compiler

# Axes of one voxel, and blocks along each axis that are not full.
SHAPES = [(5, 4, 7), (1, 6, 9), (6, 1, 1), (3, 3, 1), (1, 1, 1), (2, 9, 33), (35, 2, 40), (3, 17, 70)]


def volume(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_duals_step_and_are_projected(shape: tuple[int, int, int], signed: bool) -> None:
    d, q, r = volume(shape, 0), 0.5 * dual_field(shape, 1), -np.abs(volume(shape, 2))
    wanted = q + 0.7 * gradient(d)
    wanted /= np.maximum(1, np.sqrt((wanted**2).sum(axis=0)))
    wanted_sign = np.minimum(0, r + 1.3 * d.astype(np.float64)) if signed else r.copy()
    device = CpuDevice(1)
    there, q_there, r_there = map(device.xp.asarray, (d, q, r))
    VariationOnDevice(device).dual_step(there, q_there, 0.7, r_there if signed else None, 1.3)
    np.testing.assert_allclose(device.to_host(q_there), wanted, atol=5e-7)
    np.testing.assert_allclose(device.to_host(r_there), wanted_sign, atol=5e-7)


def test_the_sign_steps_alone_and_keeps_what_is_not_a_number() -> None:
    d, r = volume((3, 2, 5), 0), np.full((3, 2, 5), -0.25, np.float32)
    d[1, 1, 1] = np.nan
    wanted = np.minimum(0, np.float32(-0.25) + np.float32(0.5) * d)
    device = CpuDevice(1)
    there = device.xp.asarray(r)
    VariationOnDevice(device).dual_step(device.xp.asarray(d), None, 0.0, there, 0.5)
    found = device.to_host(there)
    np.testing.assert_array_equal(found, wanted)
    assert np.isnan(found[1, 1, 1])


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_divergence_is_added_to_another_array_or_in_place(shape: tuple[int, int, int], nonnegative: bool) -> None:
    device = CpuDevice(2)
    variation = VariationOnDevice(device)
    q, g, a = dual_field(shape, 3), volume(shape, 4), volume(shape, 5)
    wanted = g - 0.3 * divergence(q)
    q_there, given, added = map(device.xp.asarray, (q, g, a))
    out = device.xp.empty_like(given)
    variation.add_divergence(given, q_there, -0.3, nonnegative, out)
    np.testing.assert_allclose(device.to_host(out), np.maximum(wanted, 0) if nonnegative else wanted, atol=1e-6)
    out[...] = given
    variation.add_divergence(None, q_there, -0.3, nonnegative, out, added)
    wanted += a
    np.testing.assert_allclose(device.to_host(out), np.maximum(wanted, 0) if nonnegative else wanted, atol=1e-6)
    variation.add_divergence(given, None, -0.3, nonnegative, out)
    np.testing.assert_array_equal(device.to_host(out), np.maximum(g, 0) if nonnegative else g)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_value_is_the_sum_of_lengths_whatever_the_order_of_threads(shape: tuple[int, int, int]) -> None:
    d = volume(shape, 6)
    found = []
    for seed in range(3):
        device = CpuDevice(seed)
        totals = device.xp.full((2,), 5.0, np.float64)
        VariationOnDevice(device).add_value(device.xp.asarray(d), totals, 1)
        kept, summed = device.to_host(totals)
        assert kept == 5.0
        found.append(summed - 5.0)
    assert len(set(found)) == 1
    assert found[0] == pytest.approx(np.sqrt((gradient(d) ** 2).sum(axis=0)).sum(), rel=1e-6)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_proximal_map_is_the_cpus(weight: float, nonnegative: bool) -> None:
    shape = (9, 6, 37)
    g, q = volume(shape, 7), 0.1 * dual_field(shape, 8)
    wanted, wanted_dual = np.empty_like(g), q.copy()
    proximal(g, wanted_dual, weight, 20, nonnegative, wanted)
    device = CpuDevice(3)
    dual = device.xp.asarray(q)
    found = device.to_host(VariationOnDevice(device).proximal(device.xp.asarray(g), dual, weight, 20, nonnegative))
    q = device.to_host(dual)
    assert np.linalg.norm(found - wanted) <= 1e-6 * np.linalg.norm(wanted)
    assert np.linalg.norm(q - wanted_dual) <= 1e-6 * np.linalg.norm(wanted_dual)
