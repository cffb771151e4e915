"""A whole fit on the tests' device: the same as on the CPU, repeatable, refused where it cannot be done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import needs_compiler, small_problem
from on_cpu import CpuDevice
from pausing import check_pauses

from tomokit.data.problem import ProblemShape
from tomokit.errors import InputError, OptionError, ResourceError
from tomokit.methods.octree.cuda.memory import device_bytes
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.metrics import psnr

pytestmark = needs_compiler

OPTIONS = OctreeOptions(
    epochs=3, coarse_epochs=1, n=6, leaf_px=10.0, coarser=1, views_per_step=2, margin=0.3, max_leaves=40
)  # fmt: skip


def fit(device: CpuDevice, options: OctreeOptions = OPTIONS, epochs: int = 3) -> OctreeRun:
    """So many epochs."""
    run = start_fit(small_problem("cuda"), options, [device])
    for _ in range(epochs):
        run.advance()
    return run


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """Relative distance."""
    return bool(np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected))


@pytest.mark.parametrize(
    "options",
    [OPTIONS, replace(OPTIONS, coarse_epochs=0, large_leaves=0.4, convex=0.7)],
    ids=["coarse", "large"],
)
def test_every_epoch_is_the_cpus(options: OctreeOptions) -> None:
    cpu, device = start_fit(small_problem(), options), start_fit(small_problem("cuda"), options, [CpuDevice(3)])
    for _ in range(options.epochs):
        expected, found = cpu.advance(), device.advance()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-3), name
        assert close(device.offsets(), cpu.offsets(), 1e-3)
    assert device.epoch == cpu.epoch == 3
    volume, wanted = device.volume(), cpu.volume()
    assert close(volume, wanted, 3e-3)
    assert psnr(volume, wanted) > 45
    held = replace(small_problem().geometry, tilt_deg=small_problem().geometry.tilt_deg + 3)
    assert close(device.predict(held), cpu.predict(held), 1e-3)


def test_the_same_bits_in_any_order_of_threads() -> None:
    first, second = fit(CpuDevice(1), epochs=2), fit(CpuDevice(2), epochs=2)
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, second.arrays()[name], err_msg=name)


def test_stop_and_go_on_gives_the_same_bits() -> None:
    whole, half = fit(CpuDevice(4)), fit(CpuDevice(5), epochs=1)
    rest = start_fit(small_problem("cuda"), OPTIONS, [CpuDevice(6)])
    rest.restore(1, {name: array.copy() for name, array in half.arrays().items()})
    for _ in range(2):
        rest.advance()
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, rest.arrays()[name], err_msg=name)
    with pytest.raises(InputError):
        rest.restore(1, {})


def test_a_pause_within_an_epoch_changes_nothing() -> None:
    check_pauses(fit(CpuDevice(4), epochs=2), OPTIONS)


def test_the_cpu_goes_on_from_a_state_of_the_device() -> None:
    begun, cpu = fit(CpuDevice(4), epochs=1), start_fit(small_problem(), OPTIONS)
    cpu.restore(1, begun.arrays())
    begun.advance()
    cpu.advance()
    assert close(cpu.volume(), begun.volume(), 3e-3)


def test_what_ceases_to_be_a_number_is_told() -> None:
    options = replace(OPTIONS, coarse_epochs=0, optimizer="sgd", optimizers={"sgd": {"lr": 1e35}})
    run = start_fit(small_problem("cuda"), options, [CpuDevice()])
    assert not np.isfinite(run.advance()["loss"])


def test_nothing_passes_through_the_host_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    device = CpuDevice()
    run = fit(device, epochs=1)
    run.advance()
    passed: list[tuple[int, ...]] = []
    to_host, send = device.to_host, device.xp.asarray
    monkeypatch.setattr(device, "to_host", lambda array: passed.append(array.shape) or to_host(array))
    monkeypatch.setattr(device.xp, "asarray", lambda array: passed.append(array.shape) or send(array))
    run.pause = lambda: passed.append(()) or False
    before, moved = device.launches, device.moved_bytes
    run.advance()
    assert device.launches - before > 10
    # Before the three steps offsets, views, step sizes and totals go there; after them the totals and offsets come.
    assert passed == [(5,), (5,), (3, 7), (5,), (), (), (5,), (5,)]
    assert device.moved_bytes == moved


def test_the_data_take_no_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    device, given = CpuDevice(), small_problem("cuda")
    passed, put = [], device.xp.asarray
    # CuPy's asarray takes it, and keeps it.
    monkeypatch.setattr(device.xp, "asarray", lambda array: passed.append(array.shape) or put(array))
    fit(device, epochs=1)
    coarse = tuple(-(-size // 2) for size in given.projections.shape[1:])
    assert passed
    assert not {given.projections.shape, (given.geometry.n_views, *coarse)} & set(passed)


def test_the_estimate_covers_the_peak_and_not_much_more() -> None:
    for settings in ({}, {"optimizer": "adam", "coarse_epochs": 3}, {"regularizers": {"tv": {"space": "raw"}}}):
        options, device = replace(OPTIONS, **settings), CpuDevice()
        fit(device, options)
        problem = small_problem()
        estimate = device_bytes(FitPlan(options, ProblemShape.of(problem), problem.mask is not None))
        assert device.xp.peak_bytes <= estimate <= 1.6 * device.xp.peak_bytes, settings


def test_a_fit_that_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(ResourceError, match=r"needs about .* GiB on the device, .* GiB are free"):
        start_fit(small_problem("cuda"), OPTIONS, [CpuDevice(memory_bytes=1 << 16)])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"regularizers": {"cnlc": {"bins": 2048}}}, "2048 nodes"),
        ({"regularizers": {"nothing": {}}}, "nothing"),
    ],
)
def test_what_has_no_kernel_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(Exception, match=told):
        start_fit(small_problem("cuda"), replace(OPTIONS, **settings), [CpuDevice()])


def test_another_backends_problem_is_refused() -> None:
    with pytest.raises(OptionError, match="cpu"):
        start_fit(small_problem(), OPTIONS, [CpuDevice()])
