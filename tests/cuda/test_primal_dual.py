"""The primal-dual solver on the tests' device, kernel by kernel and as a whole fit, against the CPU's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cases import jumping_forest, needs_compiler, small_problem
from on_cpu import CpuDevice

from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import ResourceError
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.methods.octree.cuda.memory import device_bytes
from tomokit.methods.octree.cuda.primal_dual_field import PrimalDualField, StepLengths
from tomokit.methods.octree.cuda.texture import mean_gradients
from tomokit.methods.octree.cuda.ties import TiesOnDevice, launches_of
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.method import Octree, start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.penalties import PenaltyGradients
from tomokit.methods.octree.primal_dual import PrimalDualSteps
from tomokit.methods.octree.primal_dual_step import PrimalDualArrays, PrimalDualLengths, step_leaves
from tomokit.methods.octree.run import OctreeRun
from tomokit.methods.octree.solver import SAFETY, STATE_ARRAYS, VARIATION_NORM, PrimalDual, Texture
from tomokit.methods.octree.step_arrays import penalty_arrays, residual_arrays
from tomokit.methods.octree.texture import mean_gradients as mean_gradients_on_cpu
from tomokit.methods.octree.ties import Ties
from tomokit.methods.pausing import EpochPaused
from tomokit.octree import Forest
from tomokit.octree.partition import split
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.projector.leaves import LeafProjector
from tomokit.regularizers.cuda.interface import GradientsOnGpu, ValueTableOnGpu
from tomokit.regularizers.fusion import ValueTable
from tomokit.testing.trees import two_level_forest

pytestmark = needs_compiler

OPTIONS = OctreeOptions(
    solver="primal-dual", activation="clipped", start=0.0, epochs=3, n=6, leaf_px=10.0, coarser=1, views_per_step=2,
    margin=0.3, max_leaves=40, regularizers={"tv": {"variant": "isotropic"}}, negative_penalty=1.0,
    texture_strength=0.3, texture_begin=0.3, tilt_weights=1.5,
)  # fmt: skip


def start(device: CpuDevice | None, options: OctreeOptions = OPTIONS, **changes: Any) -> OctreeRun:
    """A run on a device or the CPU."""
    given = replace(small_problem("cpu" if device is None else "cuda"), **changes)
    return start_fit(given, options, None if device is None else [device])


def copied(run: OctreeRun) -> dict[str, np.ndarray]:
    """The run's arrays as a state has them."""
    return {name: array.copy() for name, array in run.arrays().items()}


@dataclass
class Whole:
    """A finished run, the terms of its epochs, and its state after each."""

    run: OctreeRun
    terms: list[dict[str, float]]
    states: list[dict[str, np.ndarray]]


def finish(run: OctreeRun) -> Whole:
    """All epochs."""
    terms, states = [], []
    for _ in range(run.epochs):
        terms.append(run.advance())
        states.append(copied(run))
    return Whole(run, terms, states)


@pytest.fixture(scope="module")
def on_cpu() -> Whole:
    return finish(start(None))


@pytest.fixture(scope="module")
def on_device() -> Whole:
    return finish(start(CpuDevice(3)))


@pytest.fixture(scope="module")
def begun() -> tuple[OctreeRun, CpuDevice, int]:
    """A run of one epoch, its device, and the most memory that it took by then."""
    device = CpuDevice()
    run = start(device)
    run.advance()
    return run, device, device.xp.peak_bytes


def assert_same_fit(found: Whole, expected: Whole) -> None:
    """To rounding, in all that a run gives."""
    for mine, theirs in zip(found.terms, expected.terms, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            assert mine[name] == pytest.approx(value, rel=1e-5), name
    for mine_arrays, their_arrays in zip(found.states, expected.states, strict=True):
        assert mine_arrays.keys() == their_arrays.keys()
        for name in (
            "values",
            "data_dual",
            "offsets_fine",
            "smoothing_limits",
            *(f"optimizer_{name}" for name in STATE_ARRAYS),
        ):
            if name in their_arrays:
                assert_close(mine_arrays[name], their_arrays[name], 1e-5)
    assert_close(found.run.volume(), expected.run.volume(), 1e-5)


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Relative distance."""
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("forest", [two_level_forest, jumping_forest])
def test_ties_are_the_cpus(forest: Callable[[int], Forest]) -> None:
    for n in (4, 5):
        made = forest(n)
        ties, begun = Ties.of(made), np.random.default_rng(n).standard_normal(made.values_shape).astype(np.float32)
        assert ties.jumps.n_faces
        for kept_negative in (1.0, 0.0, 0.25):
            expected, bits = begun.copy(), []
            ties.apply(expected, kept_negative)
            for seed in (1, 2):
                device = CpuDevice(seed)
                values = device.xp.asarray(begun)
                TiesOnDevice(device, made).apply(values, kept_negative)
                bits.append(device.to_host(values))
            assert_close(bits[0], expected, 3e-7)
            np.testing.assert_array_equal(*bits)
            assert ((bits[0] == 0) == (expected == 0)).all()


def test_what_is_not_a_number_is_not_clipped() -> None:
    device, forest = CpuDevice(), two_level_forest(4)
    values = device.xp.full(forest.values_shape, np.nan, np.float32)
    TiesOnDevice(device, forest).apply(values, 0.0)
    assert np.isnan(device.to_host(values)).all()


def test_copies_of_shared_vertices_are_counted() -> None:
    device, forest = CpuDevice(), jumping_forest(5)
    tied = Ties.of(forest).tied
    expected = np.ones(forest.values_shape, np.float32)
    for axis in range(3):
        along = np.moveaxis(expected, 1 + axis, 1)
        along[tied[:, 2 * axis], 0] *= 2
        along[tied[:, 2 * axis + 1], -1] *= 2
    values = device.xp.full(forest.values_shape, 1.0, np.float32)
    TiesOnDevice(device, forest).multiply(values)
    np.testing.assert_array_equal(device.to_host(values), expected)
    assert expected.max() == 8


def test_faces_of_a_launch_have_no_leaf_in_common_and_each_leaf_sees_them_in_order() -> None:
    forest = jumping_forest(4)
    faces = Ties.of(forest).jumps
    launches = launches_of(faces, forest.n_leaves)
    assert sorted(np.concatenate(launches)) == list(range(faces.n_faces))
    for launch in launches:
        leaves = np.concatenate([faces.fine[launch], faces.coarse[launch]])
        assert np.unique(leaves).size == leaves.size
    order = np.concatenate(launches)
    for leaf in range(forest.n_leaves):
        mine = order[(faces.fine[order] == leaf) | (faces.coarse[order] == leaf)]
        assert (np.diff(mine) > 0).all()


@pytest.mark.parametrize(("n", "px"), [(6, 10.0), (5, 40.0)])  # ragged cells, and one for each vertex
def test_mean_gradients_are_the_cpus(n: int, px: float) -> None:
    small = two_level_forest(n)
    forest = replace(small, root_px=px * 2 ** int(small.level.max()))
    density = np.random.default_rng(n).standard_normal(forest.values_shape).astype(np.float32)
    device = CpuDevice(2)
    found = mean_gradients(device, device.xp.asarray(density), forest)
    assert found.shape[1] == {6: 2, 5: 4}[n]
    np.testing.assert_allclose(found, mean_gradients_on_cpu(density, forest), rtol=2e-6)


@pytest.mark.parametrize("is_penalized", [False, True])
def test_a_step_of_the_leaves_is_the_cpus(is_penalized: bool) -> None:
    rng, forest, geometry = np.random.default_rng(1), two_level_forest(6), small_problem().geometry
    n_leaves, shape, views, ties = forest.n_leaves, forest.values_shape, np.array([3, 0, 4]), Ties.of(forest)
    # A bound and one weight of total variation, or a price of what is negative and limits that differ.
    texture, kept_negative = (Texture(0.3, 0.03, 3.0, 0.3), 0.4) if is_penalized else (None, 0.0)
    solver, half_weight, groups = PrimalDual(0.1, nonnegative=True, texture=texture), 0.5, 7
    change = rng.standard_normal((3, geometry.n_u, geometry.n_v)).astype(np.float32)
    step = (1e-3 * rng.random(n_leaves)).astype(np.float32)
    tv_step = (6.0 * rng.random(n_leaves)).astype(np.float32)
    fields = [LeafField(forest, rng.random(shape, np.float32), "identity", solver)]
    for name in STATE_ARRAYS:
        fields[0].state[name][...] = rng.standard_normal(shape)
    for name, axis in (("dual_x", 1), ("dual_z", 2), ("dual_y", 3)):
        np.moveaxis(fields[0].state[name], axis, 0)[-1] = 0
    fields.append(LeafField(forest, fields[0].density.copy(), "identity", solver))
    fields[1].state = {name: array.copy() for name, array in fields[0].state.items()}
    cpu, host = fields
    host.limits[...] = rng.uniform(0.3, 1.0, host.limits.shape)

    penalties, gradients, device = PenaltyGradients(forest), GradientsOnGpu(), CpuDevice(5)
    put = device.xp.asarray
    if is_penalized:
        for raw in (False, True):
            penalties.gradient(raw)[...] = rng.standard_normal(shape)
        gradients.by_density, gradients.by_value = put(penalties.by_density), put(penalties.by_value)
        leaves = np.array([1, 4, 7])
        grid, table = np.tile([-0.5, 0.4], (3, 1)), rng.standard_normal((3, 6, 8)).astype(np.float32)
        penalties.take(ValueTable(leaves, grid, table, 0.8, 0.0), "cnlc", raw=False)
        row = np.full(n_leaves, -1, np.int32)
        row[leaves] = np.arange(3)
        gradients.table = ValueTableOnGpu(put(row), put(grid.astype(np.float32)), put(table), 0.8, False)
    weight = (half_weight * tv_step).astype(np.float32)
    rate = (SAFETY / (VARIATION_NORM * step.astype(float) * weight)).astype(np.float32)
    projector, variation = LeafProjector(forest, geometry), np.zeros(n_leaves)
    step_leaves(
        PrimalDualArrays(cpu.density, *(cpu.state[name] for name in STATE_ARRAYS)),
        residual_arrays(projector, projector.contract(change, views), views),
        penalty_arrays(penalties),
        PrimalDualLengths(step, weight, rate, ties.tied, float(groups), half_weight, kept_negative, host.limits),
        variation,
    )

    (partition,) = split(forest, 1)
    buffers = DeviceBuffers(device, forest.n, [n_leaves], (*PrimalDualField.BUFFERS, *host.state))
    field, there = PrimalDualField(buffers, host, solver, partition), LeavesOnDevice(device, forest, geometry)
    gradients.variation_step, gradients.variation = put(tv_step), field.working("variation", field.blocks)
    lengths = StepLengths(put(step), TiesOnDevice(device, forest).tied, groups, half_weight)
    chosen = there.chosen(views)
    field.step(there, there.contract(put(change), chosen), chosen, gradients, lengths, kept_negative)
    field.fetch(host)
    assert_close(host.density, cpu.density, 1e-6)
    for name in STATE_ARRAYS:
        assert_close(host.state[name], cpu.state[name], 1e-6)
    assert host.values is host.density
    assert (host.density.min() < 0) == (cpu.density.min() < 0)
    measured = device.to_host(gradients.variation)
    np.testing.assert_allclose(measured.sum(axis=1), variation * tv_step, rtol=1e-5)


def test_every_epoch_is_the_cpus(on_cpu: Whole, on_device: Whole) -> None:
    assert_same_fit(on_device, on_cpu)
    assert on_cpu.run.leaves.density.min() < 0 < on_cpu.run.leaves.density.max()
    limits = on_cpu.states[0]["smoothing_limits"], on_cpu.states[1]["smoothing_limits"]
    assert limits[0].min() == 1
    assert 0.3 <= limits[1].min() < 0.8


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (
            {"large_leaves": 0.4, "activation": "identity", "negative_penalty": None, "texture_strength": 1.0},
            {"mask": None, "fit_offsets": False},
        ),
        ({"regularizers": {"tv": {"variant": "isotropic", "every": 2}}, "coarser": 0}, {"fit_offsets": False}),
        ({"negative_penalty": None}, {}),
        ({"structure_epochs": (1,), "structure_stall": 0.0, "leaf_px": 20.0, "finer": 1}, {}),
        ({"depth_margin": 0.3}, {}),
    ],
    ids=["large", "held", "bounded", "structure", "deep"],
)
def test_other_options_and_leaves_that_change(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    options = replace(OPTIONS, **settings)
    assert_same_fit(finish(start(CpuDevice(3), options, **changes)), finish(start(None, options, **changes)))


def test_the_norm_is_that_of_the_cpu(on_cpu: Whole, on_device: Whole) -> None:
    there = on_device.run.engine._on_devices().subdomains[0]._primal_dual  # type: ignore[attr-defined]
    projector = LeafProjector(on_cpu.run.leaves.forest, on_cpu.run.plan.data.geometry)
    host = PrimalDualSteps(on_cpu.run.leaves, projector, on_cpu.run.fine, 3)
    assert there._norm() == pytest.approx(host._norm(), rel=1e-6)


def test_the_same_bits_in_another_order_of_threads_and_from_a_state(on_device: Whole) -> None:
    rest = start(CpuDevice(4))
    rest.restore(1, on_device.states[0])
    rest.pause = lambda: True
    with pytest.raises(EpochPaused):
        rest.advance()
    paused = copied(rest)
    rest = start(CpuDevice(5))
    rest.restore(1, paused)
    rest.advance()
    for name, array in on_device.states[1].items():
        if name != "losses":  # a mean over the steps, which a pause rounds
            np.testing.assert_array_equal(rest.arrays()[name], array, err_msg=name)


@pytest.mark.parametrize("begins_on_device", [False, True])
def test_a_state_goes_on_elsewhere(on_cpu: Whole, on_device: Whole, begins_on_device: bool) -> None:
    begun, other = (on_device, start(None)) if begins_on_device else (on_cpu, start(CpuDevice(1)))
    other.restore(2, begun.states[1])
    other.advance()
    assert_close(other.arrays()["values"], begun.states[2]["values"], 1e-5)


def test_nothing_passes_through_the_host_within_an_epoch(
    begun: tuple[OctreeRun, CpuDevice, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, device, _ = begun
    passed: list[tuple[int, ...]] = []
    to_host, send = device.to_host, device.xp.asarray
    monkeypatch.setattr(device, "to_host", lambda array: passed.append(array.shape) or to_host(array))
    monkeypatch.setattr(device.xp, "asarray", lambda array: passed.append(array.shape) or send(array))
    run.pause = lambda: passed.append(()) or False
    moved = device.moved_bytes
    run.advance()
    # Before the three steps offsets go there, mean gradients come, limits by them, views and totals go; after the steps
    # the totals and offsets come.
    limits = run.leaves.limits
    assert passed == [(5,), (len(limits), 2, 2, 2), (5,), (4,), (), (), (4,), (5,)]
    assert device.moved_bytes == moved + limits.nbytes


def test_the_estimate_covers_the_peak_and_not_much_more(begun: tuple[OctreeRun, CpuDevice, int]) -> None:
    _, _, peak = begun
    estimate = device_bytes(FitPlan(OPTIONS, ProblemShape.of(small_problem()), is_masked=True))
    assert peak <= estimate <= 1.6 * peak


def test_it_stays_whole_on_the_first_gpu_and_is_refused_with_the_reason_where_it_does_not_fit() -> None:
    assert Octree().cuda_unsupported_reason(OPTIONS) is None
    given: Problem = small_problem("cuda")
    run = start_fit(given, OPTIONS, [CpuDevice(1), CpuDevice(2)])
    assert run.resolved_parameters()["devices"] == {"count": 1, "partitions": 1}
    with pytest.raises(ResourceError, match=r"GiB on the device, where solver=primal-dual keeps all leaves on one"):
        start_fit(given, OPTIONS, [CpuDevice(memory_bytes=1 << 16)] * 2)
