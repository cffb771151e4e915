"""What the CUDA backend gives and takes on a GPU, in one table.

    python tests/benchmarks/gpu.py [--small] [--tests-device] [--series FOLDER]

Results against the CPU's: projection and adjoint within 1e-5, a whole fit within 0.05 dB, the same bits from run to
run. Times: medians between events, beside their floors, which are the bytes that must be moved over the bandwidth that
a copy reaches here, and the operations over the rate that a kernel of nothing but multiply-adds reaches here. Then one
series at full size. ``--tests-device`` runs the small sizes without a GPU, by g++, to try the script; its times mean
nothing and are not judged.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "cuda"))

from tomokit.cuda.dense import DenseOnDevice
from tomokit.cuda.device import Device, devices, use_devices
from tomokit.cuda.leaves import LeavesOnDevice
from tomokit.cuda.memory import device_bytes
from tomokit.cuda.octree_run import OctreeRunOnDevice
from tomokit.errors import TomokitError
from tomokit.fit.options import OctreeOptions
from tomokit.fit.run import OctreeRun
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem, ProblemShape
from tomokit.metrics import psnr
from tomokit.octree import Forest
from tomokit.phantom import simulate_series
from tomokit.projector import DenseProjector
from tomokit.projector.leaves import LeafProjector

FLOAT = 4
MULTIPLY_ADDS = """
extern "C" __global__ void multiply_adds(float* out, float x, int count) {
    float a = threadIdx.x, b = a + 1.0f, c = a + 2.0f, d = a + 3.0f;
    float e = a + 4.0f, f = a + 5.0f, g = a + 6.0f, h = a + 7.0f;
    for (int i = 0; i < count; ++i) {
        a = a * x + b; b = b * x + c; c = c * x + d; d = d * x + e;
        e = e * x + f; f = f * x + g; g = g * x + h; h = h * x + a;
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = a + b + c + d + e + f + g + h;
}
"""


@dataclass(frozen=True)
class Sizes:
    """How large the problems are."""

    dense: tuple[int, int]  # edge of the volume and views
    leaves: tuple[int, int, tuple[int, int, int]]  # n, edge of a leaf in pixels, leaves along x, z, y
    views: int
    copied: int
    blocks: int
    repeats: int
    phantom: tuple[int, int, int]
    epochs: int


FULL = Sizes((512, 61), (42, 58, (16, 3, 8)), 41, 1 << 30, 132 * 64, 9, (64, 256, 256), 20)
SMALL = Sizes((24, 5), (6, 8, (2, 1, 2)), 4, 1 << 20, 2, 2, (12, 24, 24), 2)


@dataclass(frozen=True)
class Row:
    """One line of the table; without a bound it only informs."""

    what: str
    found: str
    bound: str = ""
    holds: bool | None = None


def seconds(device: Device, work: Callable[[], Any], repeats: int) -> float:
    """Median time of a call: between events where there are any, by the clock otherwise."""
    work()
    runtime = getattr(device.xp, "cuda", None)
    times = []
    for _ in range(repeats):
        if runtime is None:
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
            continue
        start, end = runtime.Event(), runtime.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(runtime.get_elapsed_time(start, end) / 1000)
    return float(np.median(times))


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative L2 distance."""
    return float(np.linalg.norm(found.astype(np.float64) - expected) / np.linalg.norm(expected))


def grid_forest(n: int, edge: float, leaves: tuple[int, int, int]) -> Forest:
    """Equal leaves, centred."""
    index = np.stack(np.meshgrid(*map(range, leaves), indexing="ij"), -1).reshape(-1, 3)
    x, z, y = (-count * edge / 2 for count in leaves)
    return Forest((x, z, y), edge, leaves, n, np.zeros(len(index)), index)


def rates(device: Device, sizes: Sizes) -> tuple[float, float]:
    """Bytes a second of a copy (read and written), and operations a second of multiply-adds."""
    source = device.xp.zeros(sizes.copied // FLOAT, np.float32)
    target = device.xp.zeros(sizes.copied // FLOAT, np.float32)

    def copy() -> None:
        target[...] = source

    bandwidth = 2 * sizes.copied / seconds(device, copy, sizes.repeats)
    kernel, count = device.compile(MULTIPLY_ADDS)["multiply_adds"], 4096  # type: ignore[attr-defined]
    out = device.xp.zeros(sizes.blocks * 256, np.float32)

    def calculate() -> None:
        kernel((sizes.blocks, 1, 1), (256, 1, 1), (out, 0.999, count))

    return bandwidth, 2 * 8 * count * out.size / seconds(device, calculate, sizes.repeats)


def results(device: Device, sizes: Sizes) -> Iterator[Row]:
    """Against the CPU."""
    rng = np.random.default_rng(0)
    edge, n_views = min(sizes.dense[0], 128), min(sizes.dense[1], 31)
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), edge, edge, rng.normal(size=n_views))
    volume, stack = rng.random((edge, edge // 2, edge), np.float32), rng.random((n_views, edge, edge), np.float32)
    cpu = DenseProjector(geometry, edge // 2)
    dense = DenseOnDevice(device, geometry, edge, edge // 2)
    put = device.xp.asarray
    for name, found, expected in (
        ("dense forward", dense.forward(put(volume)), cpu(volume)),
        ("dense adjoint", dense.adjoint(put(stack)), cpu.T(stack)),
    ):
        away = distance(device.to_host(found), expected)
        yield Row(f"{name}, distance from the CPU", f"{away:.1e}", "1e-5", away <= 1e-5)
    n, _, leaves = sizes.leaves
    forest = grid_forest(n, edge / leaves[0], leaves)
    rho = rng.random(forest.values_shape, np.float32)
    away = distance(
        device.to_host(LeavesOnDevice(device, forest, geometry)(put(rho))), LeafProjector(forest, geometry)(rho)
    )
    yield Row("octree forward, distance from the CPU", f"{away:.1e}", "1e-5", away <= 1e-5)
    series, truth = simulate_series(sizes.phantom, np.arange(-60.0, 61.0, 3.0), 0.05, 3)
    projections = np.ascontiguousarray(series.images.transpose(0, 2, 1))
    projections /= projections.max()
    scores, kept = {}, []
    options = OctreeOptions(epochs=sizes.epochs)
    for backend in ("cpu", "cuda", "cuda"):
        problem = Problem(projections, None, series.geometry, sizes.phantom[0], seed=5, backend=backend)
        run = OctreeRun(problem, options) if backend == "cpu" else OctreeRunOnDevice(problem, options, [device])
        for _ in range(sizes.epochs):
            run.advance()
        values = run.volume().transpose(1, 2, 0)
        scale = float(np.vdot(values, truth.values) / np.vdot(values, values))
        scores[backend] = psnr(values * scale, truth.values)
        if backend == "cuda":
            kept.append(run.arrays())
    away = abs(scores["cpu"] - scores["cuda"])
    yield Row(
        "whole fit, PSNR on the CPU and here", "{cpu:.3f}, {cuda:.3f} dB".format(**scores), "0.05 dB", away <= 0.05
    )
    same = all(np.array_equal(array, kept[1][name]) for name, array in kept[0].items())
    yield Row("the same bits when run again", "yes" if same else "no", "yes", same)
    held = getattr(device, "peak_bytes", None)
    if held is not None:
        estimate, peak = device_bytes(ProblemShape.of(problem), options, masked=False), held()
        yield Row("device memory, estimate and peak of all so far", f"{estimate >> 20}, {peak >> 20} MiB")


def judged(name: str, took: float, floor: float, sizes: Sizes) -> Row:
    """A time beside its floor; only full sizes are held to the bound."""
    found = f"{took * 1e3:.3f} ms, floor {floor * 1e3:.3f} ms, {took / floor:.1f} times"
    return Row(name, found, "3 times", took <= 3 * floor if sizes is FULL else None)


def dense_times(device: Device, sizes: Sizes, bandwidth: float, rate: float) -> Iterator[Row]:
    """Projection and adjoint of a cube."""
    edge, n_views = sizes.dense
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), edge, edge)
    dense = DenseOnDevice(device, geometry, edge, edge)
    volume, stack = device.xp.zeros((edge,) * 3, np.float32), device.xp.zeros((n_views, edge, edge), np.float32)
    # A voxel and a pixel overlap over 1 + c + s pixels.
    reach = float((1 + np.abs(np.cos(geometry.tilt_rad)) + np.abs(np.sin(geometry.tilt_rad))).sum())
    floor = max(FLOAT * (volume.size + stack.size) / bandwidth, 2.0 * volume.size * reach / rate)
    for name, work in (("forward", lambda: dense.forward(volume)), ("adjoint", lambda: dense.adjoint(stack))):
        yield judged(f"dense {name}, {edge}^3, {n_views} views", seconds(device, work, sizes.repeats), floor, sizes)


def octree_time(device: Device, sizes: Sizes, bandwidth: float, rate: float) -> Row:
    """An epoch's time over its steps, of one view each."""
    n, edge, leaves = sizes.leaves
    n_u, n_v, thickness = (edge * count for count in (leaves[0], leaves[2], leaves[1]))
    geometry = TiltGeometry(np.linspace(-60, 60, sizes.views), n_u, n_v)
    data = np.random.default_rng(1).random((sizes.views, n_u, n_v), np.float32)
    most = int(np.prod(leaves))
    options = OctreeOptions(epochs=99, n=n, leaf_px=edge, coarser=0, margin=0.0, max_leaves=most)
    run = OctreeRunOnDevice(Problem(data, None, geometry, thickness, backend="cuda"), options, [device])
    vertices = run.leaves.values.size
    took = seconds(device, run.advance, sizes.repeats) / sizes.views
    cos, sin = np.abs(np.cos(geometry.tilt_rad)), np.abs(np.sin(geometry.tilt_rad))
    taps = float(np.mean(2 * edge / (n - 1) * (cos + sin) + 1))
    # Read: values, density twice, mean square; written: values, density, mean square. Two operations each way a tap.
    floor = max(FLOAT * 7 * vertices / bandwidth, 4.0 * vertices * taps / rate)
    return judged(f"octree step of one view, {vertices / 1e6:.1f} M values", took, floor, sizes)


def times(device: Device, sizes: Sizes) -> Iterator[Row]:
    """Beside their floors."""
    bandwidth, rate = rates(device, sizes)
    yield Row("bandwidth of a copy", f"{bandwidth / 1e9:.0f} GB/s")
    yield Row("rate of multiply-adds", f"{rate / 1e12:.1f} Tflop/s")
    yield from dense_times(device, sizes, bandwidth, rate)
    yield octree_time(device, sizes, bandwidth, rate)


def full_series(folder: Path, device: Device) -> Row:
    """EMPIAR-10643-40 at full size with the publication's settings."""
    from tomokit.run.config import build_request
    from tomokit.run.driver import reconstruct

    what = "EMPIAR-10643-40, full size, paper-real with cnlc"
    if not (folder / "tilts.mrc").is_file():
        return Row(what, f"no series at {folder}", "10 s")
    with tempfile.TemporaryDirectory() as scratch:
        files = {"stack": folder / "tilts.mrc", "mask": folder / "mask.mrc", "output": Path(scratch) / "tomogram.mrc"}
        given = {**files, "transform": "log", "thickness": 320, "backend": "cuda", "preview": False}
        with use_devices([device]):
            summary = reconstruct(build_request(given, preset="paper-real"))
    fitted = sum(entry["seconds"] for entry in summary["history"])
    found = f"{fitted:.2f} s of fitting, {summary['seconds']:.2f} s in all (published: 2016 s on an RTX A6000)"
    return Row(what, found, "10 s, aim 2 s", fitted <= 10)


def table(rows: list[Row]) -> str:
    """As Markdown."""
    said = {None: "", True: "holds", False: "DOES NOT HOLD"}
    lines = ["| what | found | bound | |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {row.what} | {row.found} | {row.bound} | {said[row.holds]} |" for row in rows)])


def main() -> int:
    """Print the table; 1 if a bound does not hold, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="sizes that take seconds")
    parser.add_argument("--tests-device", action="store_true", help="no GPU: kernels by g++, small sizes")
    parser.add_argument(
        "--series", type=Path, default=Path(__file__).parents[3] / "shared" / "data" / "empiar-10643-40"
    )
    arguments = parser.parse_args()
    sizes = SMALL if arguments.small or arguments.tests_device else FULL
    if arguments.tests_device:
        from on_cpu import CpuDevice

        device: Device = CpuDevice()
    else:
        try:
            device = devices()[0]
        except TomokitError as error:
            print(error, file=sys.stderr)
            return 2
    with device:
        rows = [*results(device, sizes), *times(device, sizes)]
    if not (arguments.small or arguments.tests_device):
        rows.append(full_series(arguments.series, device))
    print(table(rows))
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
