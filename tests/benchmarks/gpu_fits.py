"""Whole fits on a GPU beside the CPU's: part of ``gpu.py``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from gpu_table import Row, Sizes, distance

from tomokit.data.problem import Problem
from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.memory import cuts_of, device_bytes
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.metrics import psnr
from tomokit.octree.partition import split
from tomokit.phantom import simulate_series

_ALL = {
    "structure_epochs": (2,), "structure_stall": 0.0, "finer": 1, "optimizer": "adam",
    "regularizers": {"cnlc": {"weight": 1e-5, "bins": 64}, "tv": {"weight": 3e-4}, "boundary": {"weight": 3e-4}},
}  # fmt: skip

PRIMAL_DUAL: dict[str, Any] = {
    "solver": "primal-dual", "activation": "clipped", "start": 0.0, "coarse_epochs": 0,
    "regularizers": {"tv": {"variant": "isotropic"}},
}  # fmt: skip
"""Options of the octree's other solver."""


def fits(device: Device, sizes: Sizes) -> Iterator[Row]:
    """Against the CPU, against each other, and in parts that take turns."""
    voxels, between = sizes.phantom
    series, truth = simulate_series(voxels, np.arange(-60.0, 61.0, between), 0.05, 3)
    projections = np.ascontiguousarray(series.images.transpose(0, 2, 1))
    projections /= projections.max()

    def problem(backend: str) -> Problem:
        return Problem(projections, None, series.geometry, voxels[0], seed=5, backend=backend)

    def on_device(options: OctreeOptions) -> OctreeRun:
        return start_fit(problem("cuda"), options, [device])

    def score(run: OctreeRun) -> float:
        values = run.volume().transpose(1, 2, 0)
        scale = float(np.vdot(values, truth.density) / np.vdot(values, values))
        return psnr(values * scale, truth.density)

    plain = OctreeOptions(**sizes.fit)
    every = OctreeOptions(**(sizes.fit | _ALL))
    tied = OctreeOptions(**(sizes.fit | PRIMAL_DUAL))
    for name, options in (
        ("whole fit", plain),
        ("fit with cnlc, structure update and Adam", every),
        ("fit by the primal-dual solver", tied),
    ):
        cpu, here = start_fit(problem("cpu"), options), on_device(options)
        for run in (cpu, here):
            _advance(run)
        of_cpu, found = score(cpu), score(here)
        holds = abs(of_cpu - found) <= 0.05
        yield Row(f"{name}, PSNR on the CPU and here", f"{of_cpu:.3f}, {found:.3f} dB", "0.05 dB", holds)
        again = on_device(options)
        _advance(again)
        kept = again.arrays()
        same = all(np.array_equal(array, kept[key]) for key, array in here.arrays().items())
        yield Row(f"{name}, the same bits when run again", "yes" if same else "no", "yes", same)
        del cpu, here, again, run

    plan = FitPlan.of_problem(problem("cuda"), plain)
    estimate = device_bytes(plan)
    taken = _memory_of(device, lambda: _advance(on_device(plain)))
    found = f"{estimate / 2**20:.1f}, {taken / 2**20:.1f} MiB"
    yield Row("device memory of a fit, estimate and what was taken", found, "110 %", taken <= 1.1 * estimate)
    yield from _in_turn(device, lambda: on_device(plain), score)


def several(devices: Sequence[Device], sizes: Sizes) -> Iterator[Row]:
    """All GPUs together, against the first one alone."""
    voxels, between = sizes.phantom
    series, _ = simulate_series(voxels, np.arange(-60.0, 61.0, between), 0.05, 3)
    projections = np.ascontiguousarray(series.images.transpose(0, 2, 1))
    projections /= projections.max()
    options = OctreeOptions(**(sizes.fit | _ALL | {"structure_epochs": ()}))
    volumes, times = [], []
    for chosen in ([devices[0]], devices):
        run = start_fit(Problem(projections, None, series.geometry, voxels[0], seed=5, backend="cuda"), options, chosen)
        run.advance()
        began = time.perf_counter()
        _advance(run, run.epochs - 1)
        times.append(time.perf_counter() - began)
        volumes.append(run.volume())
        partitions = run.resolved_parameters()["devices"]["partitions"]
        del run
    away = distance(volumes[1], volumes[0])
    holds = away <= 1e-2 and partitions > 1
    yield Row(f"fit on {len(devices)} GPUs, distance from one's volume", f"{away:.1e}", "1e-2", holds)
    yield Row(f"fit on {len(devices)} GPUs, time on one and on all", f"{times[0]:.2f}, {times[1]:.2f} s")


def _in_turn(device: Device, start: Callable[[], OctreeRun], score: Callable[[OctreeRun], float]) -> Iterator[Row]:
    """A fit that the device is told to hold half of."""
    whole = start()
    _advance(whole)
    expected = score(whole)
    ((_, half),) = cuts_of(split(whole.leaves.forest, 2), [device], whole.plan.data.geometry)
    enough = device_bytes(whole.plan, half)
    del whole
    with _limited(device, int(1.06 * enough)):
        run = start()
        _advance(run)
        found, kept = score(run), run.arrays()
        del run
        run = start()
        began = time.perf_counter()
        _advance(run)
        took = time.perf_counter() - began
        same = all(np.array_equal(array, kept[key]) for key, array in run.arrays().items())
        partitions = run.resolved_parameters()["devices"]["partitions"]
    what = f"fit in {partitions} parts in turn"
    agrees = partitions > 1 and abs(expected - found) <= 0.05
    yield Row(f"{what}, PSNR in one part and so", f"{expected:.3f}, {found:.3f} dB", "0.05 dB", agrees)
    yield Row(f"{what}, the same bits when run again", "yes" if same else "no", "yes", same)
    steps = run.epochs * -(-run.plan.data.geometry.n_views // run.plan.options.views_per_step)
    moved = 16 * run.leaves.values.size * (partitions - 1) / partitions * steps
    yield Row(
        f"{what}, its time and what it moved", f"{took:.2f} s, {moved / 1e9:.2f} GB, {moved / took / 1e9:.1f} GB/s"
    )


def _advance(run: Any, epochs: int | None = None) -> None:
    """So many epochs, or all."""
    for _ in range(run.epochs if epochs is None else epochs):
        run.advance()


def _memory_of(device: Device, work: Callable[[], Any]) -> int:
    """Most bytes that arrays take in a call, beyond those that are there before."""
    pool = getattr(device.xp, "get_default_memory_pool", None)
    if pool is None:
        before = device.xp.peak_bytes = device.xp.held_bytes
        work()
        return int(device.xp.peak_bytes - before)
    pool().free_all_blocks()
    before = pool().total_bytes()
    work()
    return int(pool().total_bytes() - before)


@contextmanager
def _limited(device: Any, free: int) -> Iterator[None]:
    """Let the device say that it has so much free when nothing of this is on it."""
    actual, before = device.free_bytes, device.free_bytes()
    device.free_bytes = lambda: free - max(before - actual(), 0)
    try:
        yield
    finally:
        del device.free_bytes
