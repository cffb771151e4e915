"""Numba's kernels in its simulator; run by ``test_numba_kernels.py`` in a process of their own."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
from cases import Drawing, needs_compiler, small_problem
from forests import two_level_forest
from numba import config
from on_cpu import CpuDevice, teach_simulator

from tomokit.methods.octree.cuda import engine as cuda_engine
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.octree import Forest, error_indicators
from tomokit.octree.cuda.error_indicators import measure_indicators
from tomokit.octree.partition import split
from tomokit.plugin.manager import get_registry
from tomokit.plugin.registry import Entry
from tomokit.regularizers import reference
from tomokit.regularizers.cross_node import CrossNode, CrossNodeOptions
from tomokit.regularizers.cuda.cross_node import PairTables
from tomokit.regularizers.interface import Field

assert config.ENABLE_CUDASIM
teach_simulator()


def on_one(regularizer: CrossNode, forest: Forest, leaves: np.ndarray) -> PairTables:
    """The constraint between some leaves, all of them on one device."""
    partitions, inside = split(forest, 1), np.isin(np.arange(forest.n_leaves), leaves)
    return regularizer.gpu_tables(CpuDevice(), partitions, [0], inside)


def tabulated(tables: PairTables, values: np.ndarray, partner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grids, tables and means of values of the host."""
    device = tables.device
    tables.count(device.xp.asarray(values), 0, device.xp.asarray(tables.leaves[0].astype(np.int32)))
    tables.tabulate(device.xp.asarray(partner))
    return device.to_host(tables.grid), device.to_host(tables.table), device.to_host(tables.means)


@pytest.mark.parametrize("scale", [0.6, 2.5])
@pytest.mark.parametrize("kernel", ["dot", "gaussian"])
def test_tables_are_the_cpus(kernel: str, scale: float) -> None:
    forest = two_level_forest(5)
    values = np.random.default_rng(0).normal(0.3, scale, forest.values_shape).astype(np.float32)
    inside = np.zeros(forest.n_leaves, bool)
    inside[[1, 4, 6]] = True
    regularizer = CrossNode(CrossNodeOptions(bins=24, kernel=kernel, bandwidth=0.4))
    expected = regularizer.tabulate(Field(forest, values, inside, np.random.default_rng(3)))
    made = on_one(regularizer, forest, np.flatnonzero(inside))
    grid, table, means = tabulated(made, values, made.draw(np.random.default_rng(3), 1)[0])
    np.testing.assert_allclose(means.sum(), expected.value, rtol=1e-5)
    np.testing.assert_allclose(grid, expected.grid, rtol=1e-6)
    for partition in (slice(0, 4), slice(4, 8)):
        found, wanted = table[..., partition], expected.table[..., partition]
        assert np.linalg.norm(found - wanted) < 1e-4 * np.linalg.norm(wanted)


def test_the_penalty_is_the_quadratic_forms() -> None:
    forest = two_level_forest(5)
    values = np.random.default_rng(1).normal(0.3, 0.8, forest.values_shape).astype(np.float32)
    leaves = np.array([0, 5])
    regularizer = CrossNode(CrossNodeOptions(bins=64))
    _, _, means = tabulated(on_one(regularizer, forest, leaves), values, np.array([1, 0], np.int32))
    expected, _ = reference.cross_node(values.astype(float), leaves, leaves[::-1], "dot", 1.0)
    np.testing.assert_allclose(means.sum(), expected, rtol=2e-4)


def test_a_value_that_is_no_number_is_told() -> None:
    forest = two_level_forest(4)
    values = np.random.default_rng(2).normal(size=forest.values_shape).astype(np.float32)
    values[3, 1, 2, 1] = np.inf
    regularizer = CrossNode(CrossNodeOptions(bins=16))
    made = on_one(regularizer, forest, np.array([2, 3, 4]))
    _, _, means = tabulated(made, values, np.array([0, 2, 1], np.int32))
    np.testing.assert_array_equal(np.isnan(means), [False, True, True])


def test_equal_values_are_taken() -> None:
    forest = two_level_forest(4)
    values = np.full(forest.values_shape, 0.25, np.float32)
    values[1] = 0.5
    regularizer = CrossNode(CrossNodeOptions(bins=16))
    _, table, means = tabulated(on_one(regularizer, forest, np.array([0, 1])), values, np.array([1, 0], np.int32))
    np.testing.assert_allclose(means, 0.25, rtol=1e-5)
    assert np.isfinite(table).all()


def test_measures_are_the_cpus() -> None:
    values = np.random.default_rng(4).normal(50, 0.5, (4, 3, 3, 3)).astype(np.float32)
    values[2] *= -1
    device = CpuDevice()
    found, expected = measure_indicators(device, device.xp.asarray(values)), error_indicators.measure_indicators(values)
    np.testing.assert_allclose(found.error, expected.error, rtol=1e-4)
    np.testing.assert_allclose(found.density, expected.density, rtol=1e-6)


@needs_compiler
@pytest.mark.parametrize("count", [1, 2])
def test_a_fit_with_all_of_it_is_the_cpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"cnlc": {"weight": 1e-4, "bins": 16, "every": 2}, "tv": {"weight": 1e-3}, "boundary": {"weight": 1e-3}}
    options = OctreeOptions(
        epochs=3, coarse_epochs=1, n=6, leaf_px=12.0, coarser=0, finer=1, max_leaves=16, structure_epochs=(2,),
        structure_stall=0.0, views_per_step=3, regularizers=settings,
    )  # fmt: skip
    cpu = start_fit(small_problem(), options)
    devices = [CpuDevice(5 + i, is_strict=True) for i in range(count)]
    run = start_fit(small_problem("cuda"), options, devices)
    leaves = []
    for _ in range(options.epochs):
        leaves.append(cpu.leaves.forest.n_leaves)
        expected, found = cpu.advance(), run.advance()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=2e-3), name
    assert leaves[-1] != leaves[0]
    assert min(device.launches for device in devices) > 10
    volume, wanted = run.volume(), cpu.volume()
    assert np.linalg.norm(volume - wanted) < 5e-3 * np.linalg.norm(wanted)
    if count == 1:
        return
    # The same parts in turn on one device.
    monkeypatch.setattr(cuda_engine, "partitions_that_fit", lambda forest, *_: split(forest, count))
    turns = start_fit(run.plan.data, options, [CpuDevice(7)])
    for _ in range(options.epochs):
        turns.advance()
    assert len(turns.engine._on_devices().subdomains) == count
    for name, array in run.arrays().items():
        np.testing.assert_array_equal(turns.arrays()[name], array, err_msg=name)


@needs_compiler
def test_nothing_passes_through_the_host_within_an_epoch_with_the_constraint() -> None:
    options = OctreeOptions(
        epochs=3, coarse_epochs=0, n=6, leaf_px=12.0, coarser=0, finer=1, max_leaves=16, structure_epochs=(2,),
        structure_stall=0.0, views_per_step=3, regularizers={"cnlc": {"weight": 1e-4, "bins": 16}},
    )  # fmt: skip
    device = CpuDevice()
    run = start_fit(small_problem("cuda"), options, [device])
    run.advance()
    passed: list[tuple[int, ...]] = []
    n_leaves, n_pairs = run.leaves.forest.n_leaves, int(run._inside.sum())
    to_host, send = device.to_host, device.xp.asarray
    device.to_host = lambda array: passed.append(array.shape) or to_host(array)  # type: ignore[method-assign]
    device.xp.asarray = lambda array: passed.append(array.shape) or send(array)  # type: ignore[method-assign]
    run.pause = lambda: passed.append(()) or False
    run.advance()
    # Before the two steps offsets, partners, views, step sizes and totals go there; after them totals and offsets
    # come, and the leaves' measures, by which the structure is planned.
    expected = [(5,), (2, n_pairs), (5,), (2, 7), (6,), (), (6,), (5,), (n_leaves,), (n_leaves,)]
    assert passed[: len(expected)] == expected


@needs_compiler
@pytest.mark.parametrize("order", [("cnlc", "drawing"), ("drawing", "cnlc")])
def test_what_plugins_draw_comes_in_the_cpus_order(order: tuple[str, str]) -> None:
    from tomokit.methods.octree.method import start_fit

    settings = {"cnlc": {"weight": 1e-4, "bins": 16, "every": 2}, "drawing": {"weight": 10.0}}
    options = OctreeOptions(
        epochs=1, n=5, leaf_px=12.0, coarser=0, views_per_step=2, regularizers={name: settings[name] for name in order}
    )  # fmt: skip
    get_registry.cache_clear()
    get_registry().add(Entry.of("regularizer", Drawing, "tests", "0"))
    try:
        cpu, run = start_fit(small_problem(), options), start_fit(small_problem("cuda"), options, [CpuDevice()])
        expected, found = cpu.advance(), run.advance()
    finally:
        get_registry.cache_clear()
    assert found.keys() == expected.keys() >= set(order)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3), name
    volume, wanted = run.volume(), cpu.volume()
    assert np.linalg.norm(volume - wanted) < 1e-3 * np.linalg.norm(wanted)
