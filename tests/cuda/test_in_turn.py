"""A fit whose subdomains use a device's buffers one after the other, as it cannot hold them together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import needs_compiler, small_problem
from on_cpu import CpuDevice

from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import ResourceError
from tomokit.gpu.discovery import use_devices
from tomokit.methods.octree.cuda.memory import cuts_of, device_bytes
from tomokit.methods.octree.cuda.subdomain import Subdomain
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.method import Octree, start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.methods.pausing import EpochPaused

pytestmark = [needs_compiler, pytest.mark.long]

OPTIONS = OctreeOptions(
    epochs=2, coarse_epochs=1, n=7, leaf_px=6.0, coarser=1, views_per_step=2, margin=0.0, max_leaves=80
)  # fmt: skip
SHAPE = (12, 48, 16)


def whole_bytes(problem: Problem, options: OctreeOptions) -> int:
    """Of the fit in one partition."""
    return device_bytes(FitPlan(options, ProblemShape.of(problem), problem.mask is not None))


def subdomains(run: OctreeRun) -> list[Subdomain]:
    """Its subdomains."""
    return run.engine._on_devices().subdomains


def in_turn(problem: Problem, options: OctreeOptions, share: float = 0.72, devices: int = 1) -> OctreeRun:
    """A run on devices each of which can hold a share of the fit."""
    memory = int(share * whole_bytes(problem, options))
    run = start_fit(problem, options, [CpuDevice(9 + i, memory, is_strict=True) for i in range(devices)])
    assert len(subdomains(run)) > devices
    return run


def beside_each_other(run: OctreeRun) -> OctreeRun:
    """The same in as many partitions, a device for each."""
    devices = [CpuDevice(20 + i, is_strict=True) for i in range(len(subdomains(run)))]
    several = start_fit(run.plan.data, run.plan.options, devices)
    assert len(subdomains(several)) == len(devices)
    return several


def assert_same(found: OctreeRun, expected: OctreeRun) -> None:
    """Bit for bit, in all that a run gives."""
    arrays = expected.arrays()
    for name, array in found.arrays().items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    np.testing.assert_array_equal(found.volume(), expected.volume())


def test_turns_give_the_bits_of_as_many_devices_and_the_fit_of_one_partition() -> None:
    found = in_turn(small_problem("cuda", SHAPE), OPTIONS)
    expected = beside_each_other(found)
    one = start_fit(found.plan.data, OPTIONS, [CpuDevice(1)])
    # From a uniform start neighbours would differ by rounding alone, and penalties have gradients by the sign of that.
    state = {name: array.copy() for name, array in one.arrays().items()}
    state["values"] += np.random.default_rng(6).normal(0, 0.3, state["values"].shape).astype(np.float32)
    for run in (found, expected, one):
        run.restore(0, state)
    for _ in range(OPTIONS.epochs):
        terms = found.advance()
        assert terms == expected.advance()
        for name, value in one.advance().items():
            assert terms[name] == pytest.approx(value, rel=1e-6), name
    assert_same(found, expected)
    volume, wanted = found.volume(), one.volume()
    assert np.linalg.norm(volume - wanted) < 1e-6 * np.linalg.norm(wanted)
    held = replace(found.plan.data.geometry, tilt_deg=found.plan.data.geometry.tilt_deg + 3)
    np.testing.assert_array_equal(found.predict(held), expected.predict(held))


@pytest.mark.parametrize(
    "settings",
    [
        {"regularizers": {"tv": {"space": "raw"}, "boundary": {"space": "raw", "every": 2}}, "optimizer": "adam"},
        {"regularizers": {"tv": {"weight": 1e-3}, "boundary": {"weight": 0.0}}, "optimizer": "sgd", "coarse_epochs": 0},
    ],
    ids=["raw", "alone"],
)
@pytest.mark.parametrize("masked", [True, False])
def test_other_penalties_optimizers_and_masks(settings: dict[str, Any], masked: bool) -> None:
    problem = small_problem("cuda", SHAPE)
    problem = problem if masked else replace(problem, mask=None, fit_offsets=False)
    found = in_turn(problem, replace(OPTIONS, **settings))
    expected = beside_each_other(found)
    assert found.advance() == expected.advance()
    assert_same(found, expected)


def test_several_devices_take_turns_too() -> None:
    found = in_turn(small_problem("cuda", SHAPE), replace(OPTIONS, epochs=1), 0.58, devices=2)
    assert len(subdomains(found)) == 4
    expected = beside_each_other(found)
    assert found.advance() == expected.advance()
    assert_same(found, expected)
    assert min(device.launches for device in found.engine.devices) > 10  # type: ignore[attr-defined]


def test_a_pause_within_an_epoch_changes_nothing() -> None:
    problem = small_problem("cuda", SHAPE)
    whole, rest = in_turn(problem, OPTIONS), in_turn(problem, OPTIONS)
    whole.advance()
    for _ in range(2):
        rest.pause = lambda: True
        with pytest.raises(EpochPaused):
            rest.advance()
        state = {name: array.copy() for name, array in rest.arrays().items()}
        rest = in_turn(problem, OPTIONS)
        rest.restore(0, state)
    terms = rest.advance()
    assert terms["loss"] == pytest.approx(whole._losses[-1], rel=1e-9)
    for name in ("values", "optimizer_mean_square", "offsets_coarse"):
        np.testing.assert_array_equal(rest.arrays()[name], whole.arrays()[name], err_msg=name)


@pytest.mark.parametrize(("share", "count"), [(0.72, 2), (0.58, 4)])
def test_the_estimate_covers_the_peak_and_a_step_moves_what_is_documented(share: float, count: int) -> None:
    problem = small_problem("cuda", SHAPE)
    run = in_turn(problem, OPTIONS, share)
    assert len(subdomains(run)) == count
    (device,) = run.engine.devices
    assert isinstance(device, CpuDevice)
    run.advance()
    sizes = [4 * item.partition.own.size * OPTIONS.n**3 for item in subdomains(run)]
    before, steps = device.moved_bytes, 3
    run.advance()
    # Values and mean squares of all but the first come, those of all but the last go; before the first step, all once.
    assert device.moved_bytes - before == 2 * (steps * (2 * sum(sizes) - sizes[0] - sizes[-1]) + sum(sizes))
    run.volume()
    ((_, cut),) = cuts_of([item.partition for item in subdomains(run)], [device], problem.geometry)
    estimate = device_bytes(FitPlan(OPTIONS, ProblemShape.of(problem), problem.mask is not None), cut)
    assert device.xp.peak_bytes <= estimate <= 1.6 * device.xp.peak_bytes
    assert estimate <= device.memory_bytes


def test_the_fewest_partitions_that_fit_are_taken_and_what_does_not_fit_in_any_is_refused() -> None:
    problem = small_problem("cuda", SHAPE)
    counts = [len(subdomains(in_turn(problem, OPTIONS, share))) for share in (0.95, 0.72, 0.6)]
    assert counts == [2, 2, 4]
    assert in_turn(problem, OPTIONS, 0.6).resolved_parameters()["devices"] == {"count": 1, "partitions": 4}
    device = CpuDevice(memory_bytes=int(0.72 * whole_bytes(problem, OPTIONS)))
    with use_devices([device]):
        taken = Octree().estimate_bytes_of(problem, OPTIONS)
    # Values and mean squares wait on the host.
    waiting = sum(2 * item.partition.own.size * OPTIONS.n**3 * 4 for item in subdomains(in_turn(problem, OPTIONS)))
    assert taken == Octree().estimate_bytes(ProblemShape.of(problem), OPTIONS) + waiting
    with pytest.raises(ResourceError, match=r"needs about .* GiB on the device, .* GiB in the \d+ parts .* are free"):
        in_turn(problem, OPTIONS, 0.2)
