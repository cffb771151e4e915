"""A fit cut along the tilt axis over several devices, against the same fit on one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import needs_compiler, small_problem
from forests import geometry, two_level_forest
from on_cpu import CpuDevice

from tomokit.data.problem import Problem
from tomokit.methods.octree.cuda.detector_rows import rows_of
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.octree import Forest
from tomokit.octree.partition import split
from tomokit.projector import reference_leaves

OPTIONS = OctreeOptions(
    epochs=2, coarse_epochs=1, n=6, leaf_px=6.0, coarser=1, views_per_step=2, margin=0.3, max_leaves=80
)  # fmt: skip


def long_forest() -> Forest:
    """Two roots by one by five, one of them split twice."""
    index = np.array([[x, 0, y] for x in range(2) for y in range(5)])
    corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    halves = index[2] * 2 + corners
    quarters = halves[7] * 2 + corners
    level = np.r_[np.zeros(9), np.ones(7), np.full(8, 2)]
    return Forest(
        (-8.0, -4.0, -20.0), 8.0, (2, 1, 5), 4, level, np.r_[np.delete(index, 2, axis=0), halves[:7], quarters]
    )


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_every_leaf_is_in_one_partition_and_ghosts_are_its_neighbours(count: int) -> None:
    forest = long_forest()
    partitions = split(forest, count)
    assert len(partitions) <= count
    assert len(partitions) >= min(count, 3)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([partition.own for partition in partitions])), np.arange(forest.n_leaves)
    )
    for partition in partitions:
        np.testing.assert_array_equal(partition.forest.index, forest.index[partition.own])
        assert not np.isin(partition.ghosts, partition.own).any()
        y = forest.corner_px[partition.own, 2]
        assert (y >= partition.low_px).all()
        assert (y + forest.size_px[partition.own] <= partition.high_px).all()
        # All that touches a cut from the other side, and nothing else.
        low, high = forest.corner_px[:, 2], forest.corner_px[:, 2] + forest.size_px
        touching = np.flatnonzero((high == partition.low_px) | (low == partition.high_px))
        np.testing.assert_array_equal(partition.ghosts, touching)


@pytest.mark.parametrize(("pixel", "masked"), [(1, True), (2, False)])
def test_every_row_is_in_one_partition_with_its_own_leaves(pixel: int, masked: bool) -> None:
    forest = long_forest()
    views = geometry(23, 45)
    rng = np.random.default_rng(0)
    data = rng.random((views.n_views, 23, 45), dtype=np.float32)
    mask = (rng.random(data.shape) > 0.3).astype(np.float32) if masked else None
    whole = Problem(data, mask, views, 8)
    weight = np.ones_like(data) if mask is None else mask
    found, predicted = np.zeros(views.n_views), np.zeros(views.n_views)
    density = rng.random(forest.values_shape)
    scaled = forest.in_pixels(pixel)
    expected = weight * reference_leaves.forward(density, scaled, views)
    for partition in split(forest, 3):
        own = rows_of(whole, partition, pixel)
        own_data, own_mask = own.images()
        assert own_mask is not None
        found += (own_mask * own_data).sum(axis=(1, 2))
        mine = reference_leaves.forward(density[partition.own], partition.forest.in_pixels(pixel), own.geometry)
        # Nothing of a partition's leaves is projected beyond its rows.
        predicted += (own_mask * mine).sum(axis=(1, 2))
    np.testing.assert_allclose(found, (weight * data).sum(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(predicted, expected.sum(axis=(1, 2)), rtol=1e-5)


@needs_compiler
@pytest.mark.parametrize("space", ["rho", "raw"])
@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.1, 0.1)])
def test_a_step_from_any_field_is_that_of_one_device(weights: tuple[float, float], space: str) -> None:
    tv, boundary = ({"weight": weight, "space": space} for weight in weights)
    options = replace(
        OPTIONS, coarse_epochs=0, views_per_step=5, optimizer="sgd", optimizers={"sgd": {"lr": 1e3}},
        regularizers={"tv": tv, "boundary": boundary},
    )  # fmt: skip
    problem = small_problem("cuda", (12, 40, 20))
    runs = [start_fit(problem, options, [CpuDevice(seed) for seed in seeds]) for seeds in ((1,), (2, 3, 4))]
    state = {name: array.copy() for name, array in runs[0].arrays().items()}
    state["values"] = np.random.default_rng(0).normal(0, 0.5, state["values"].shape).astype(np.float32)
    for run in runs:
        run.restore(0, state)
    expected, found = (run.advance() for run in runs)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    moved, wanted = (run.arrays()["values"].astype(float) - state["values"] for run in (runs[1], runs[0]))
    assert np.linalg.norm(moved - wanted) < 1e-4 * np.linalg.norm(wanted)


@pytest.mark.long
@needs_compiler
def test_several_devices_give_the_fit_of_one() -> None:
    problem = small_problem("cuda", (12, 40, 20))
    one = start_fit(problem, OPTIONS, [CpuDevice(1)])
    devices = [CpuDevice(seed, is_strict=True) for seed in (2, 3, 4)]
    several = start_fit(problem, OPTIONS, devices)
    for _ in range(OPTIONS.epochs):
        expected, found = one.advance(), several.advance()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-3), name
    assert min(device.launches for device in devices) > 10
    np.testing.assert_allclose(several.offsets(), one.offsets(), rtol=1e-3)
    held = replace(problem.geometry, tilt_deg=problem.geometry.tilt_deg + 3)
    for found_array, expected_array in ((several.volume(), one.volume()), (several.predict(held), one.predict(held))):
        assert np.linalg.norm(found_array - expected_array) < 3e-3 * np.linalg.norm(expected_array)


@needs_compiler
def test_a_forest_of_one_row_is_fitted_on_one_of_the_devices() -> None:
    assert len(split(two_level_forest(), 4)) == 2
    devices = [CpuDevice(), CpuDevice()]
    options = replace(OPTIONS, leaf_px=40.0, coarser=0, epochs=1, coarse_epochs=0, margin=0.0)
    run = start_fit(small_problem("cuda"), options, devices)
    run.advance()
    assert devices[0].launches > 0
    assert devices[1].launches == 0
