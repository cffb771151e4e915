"""What the CUDA backend gives and takes on a GPU, in one table.

    python tests/benchmarks/gpu.py [--small] [--tests-device] [--series FOLDER]

Results against the CPU's: projection and adjoint within 1e-5, dense methods within 1e-4, a whole fit within 0.05 dB,
the same bits from run to run. Times: medians between events, beside their floors, which are the bytes that must be
moved over the bandwidth that a copy reaches here, and the operations over the rate that a kernel of nothing but
multiply-adds reaches here. Then one series at full size. Rows are printed as they are found, and a section that fails
does not take the others with it.
``--small`` does the same with small sizes and a small series; ``--tests-device`` does that without a GPU, by g++ and
Numba's simulator, to try every line of the script. Times of small sizes mean nothing and are not judged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from gpu_dense import dense_methods, dense_times, tv_times
from gpu_fits import PRIMAL_DUAL, fits, several
from gpu_table import FLOAT, FULL, SMALL, Row, Sizes, distance, judged, seconds, show

from tomokit.data.problem import Problem
from tomokit.errors import TomokitError
from tomokit.geometry import TiltGeometry
from tomokit.gpu.device import Device
from tomokit.gpu.discovery import devices, use_devices
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.octree import Forest
from tomokit.phantom import simulate_series
from tomokit.projector import DenseProjector
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.projector.cuda.voxels import VoxelProjectorInSlabs, VoxelProjectorOnDevice
from tomokit.projector.leaves import LeafProjector

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


def projections(device: Device, sizes: Sizes) -> Iterator[Row]:
    """Against the CPU's."""
    rng = np.random.default_rng(0)
    edge, n_views = min(sizes.dense[0], 128), min(sizes.dense[1], 31)
    shifts = rng.normal(size=(2, n_views))
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), edge, edge, shifts[0])
    volume, stack = rng.random((edge, edge // 2, edge), np.float32), rng.random((n_views, edge, edge), np.float32)
    cpu = DenseProjector(geometry, edge // 2)
    dense = VoxelProjectorOnDevice(device, geometry, edge, edge // 2)
    put = device.xp.asarray
    for name, found, expected in (
        ("dense forward", dense.forward(put(volume)), cpu(volume)),
        ("dense adjoint", dense.adjoint(put(stack)), cpu.T(stack)),
    ):
        away = distance(device.to_host(found), expected)
        yield Row(f"{name}, distance from the CPU", f"{away:.1e}", "1e-5", away <= 1e-5)
    shifted = TiltGeometry(geometry.tilt_deg, edge, edge, *shifts)
    slabs, cpu = (
        VoxelProjectorInSlabs([device], shifted, volume.shape, most_rows=max(edge // 3, 1)),
        DenseProjector(shifted, edge // 2),
    )
    away = max(distance(slabs.forward(volume), cpu(volume)), distance(slabs.adjoint(stack), cpu.T(stack)))
    yield Row("dense in slabs, shifted along y, distance from the CPU", f"{away:.1e}", "1e-5", away <= 1e-5)
    n, _, leaves = sizes.leaves
    forest = grid_forest(n, edge / leaves[0], leaves)
    rho = rng.random(forest.values_shape, np.float32)
    away = distance(
        device.to_host(LeavesOnDevice(device, forest, geometry)(put(rho))), LeafProjector(forest, geometry)(rho)
    )
    yield Row("octree forward, distance from the CPU", f"{away:.1e}", "1e-5", away <= 1e-5)


def octree_time(
    device: Device, sizes: Sizes, bandwidth: float, rate: float, name: str, settings: dict[str, Any], arrays: int
) -> Row:
    """An epoch's time over its steps, of one view each, which read and write so many arrays of the field's size."""
    n, edge, leaves = sizes.leaves
    n_u, n_v, thickness = (edge * count for count in (leaves[0], leaves[2], leaves[1]))
    geometry = TiltGeometry(np.linspace(-60, 60, sizes.views), n_u, n_v)
    data = np.random.default_rng(1).random((sizes.views, n_u, n_v), np.float32)
    most = int(np.prod(leaves))
    layout = {"n": n, "leaf_px": edge, "coarser": 0, "margin": 0.0, "max_leaves": most}
    options = OctreeOptions(**({"epochs": 99, "coarse_epochs": 0, "views_per_step": 1} | layout | settings))
    run = start_fit(Problem(data, None, geometry, thickness, backend="cuda"), options, [device])
    vertices = run.leaves.values.size
    took = seconds(device, run.advance, sizes.repeats) / sizes.views
    cos, sin = np.abs(np.cos(geometry.tilt_rad)), np.abs(np.sin(geometry.tilt_rad))
    taps = float(np.mean(2 * edge / (n - 1) * (cos + sin) + 1))
    # Two operations each way a tap.
    floor = max(FLOAT * arrays * vertices / bandwidth, 4.0 * vertices * taps / rate)
    return judged(f"{name} of one view, {vertices / 1e6:.1f} M values", took, floor, sizes)


def times(device: Device, sizes: Sizes) -> Iterator[Row]:
    """Beside their floors."""
    bandwidth, rate = rates(device, sizes)
    yield Row("bandwidth of a copy", f"{bandwidth / 1e9:.0f} GB/s")
    yield Row("rate of multiply-adds", f"{rate / 1e12:.1f} Tflop/s")
    yield from dense_times(device, sizes, bandwidth, rate)
    yield from tv_times(device, sizes, bandwidth, rate)
    # Read: values, density twice, mean square; written: values, density, mean square.
    yield octree_time(device, sizes, bandwidth, rate, "octree step", {}, 7)
    # Read: density twice, pulls of data and variation, three duals; written: each of these once.
    yield octree_time(device, sizes, bandwidth, rate, "octree primal-dual step", PRIMAL_DUAL, 13)


def whole_series(folder: Path, device: Device, sizes: Sizes) -> Row:
    """EMPIAR-10643-40 at full size with the publication's settings, or another series in its place."""
    from tomokit.pipeline.config import build_request
    from tomokit.pipeline.driver import reconstruct

    what = f"{'EMPIAR-10643-40, full size' if sizes is FULL else 'a small series'}, paper-real with cnlc"
    if not (folder / "tilts.mrc").is_file():
        return Row(what, f"no series at {folder}", "10 s")
    summaries = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as scratch, use_devices([device]):
            given: dict[str, Any] = {
                "stack": folder / "tilts.mrc", "mask": folder / "mask.mrc", "output": Path(scratch) / "tomogram.mrc",
                "linearization": "log", "thickness": sizes.thickness, "backend": "cuda", "preview": False,
            }  # fmt: skip
            request = build_request(given, settings=sizes.settings, preset="paper-real")
            summaries.append(reconstruct(request))
    # Kernels are compiled in the first one.
    first, fitted = (sum(entry["seconds"] for entry in summary["history"]) for summary in summaries)
    found = (
        f"{fitted:.2f} s of fitting, {first:.2f} s the first time, {summaries[1]['seconds']:.2f} s in all "
        "(published: 2016 s on an RTX A6000)"
    )
    return Row(what, found, "10 s, aim 2 s", fitted <= 10 if sizes.judges_times else None)


def small_series(folder: Path) -> None:
    """Write a series in the place of the real one."""
    series, _ = simulate_series((12, 24, 24), np.arange(-60.0, 61.0, 20.0), 0.05, 3)
    images = np.ascontiguousarray(series.images, np.float32)
    mask = np.ones_like(images)
    mask[:, 4:8, 10:14] = 0
    for name, array in (("tilts", np.exp(-images / images.max())), ("mask", mask)):
        with mrcfile.new(folder / f"{name}.mrc") as file:
            file.set_data(array.astype(np.float32))
            file.voxel_size = 4.0
    np.savetxt(folder / "tilts.tlt", series.geometry.tilt_deg)


def main() -> int:
    """Print the table; 1 if a bound does not hold, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="sizes that take seconds, and a small series")
    parser.add_argument("--tests-device", action="store_true", help="no GPU: kernels by g++, small sizes")
    parser.add_argument(
        "--series", type=Path, default=Path(__file__).parents[3] / "shared" / "data" / "empiar-10643-40"
    )
    arguments = parser.parse_args()
    sizes = SMALL if arguments.small or arguments.tests_device else FULL
    if arguments.tests_device:
        if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
            # Numba reads it when it is imported.
            return subprocess.call([sys.executable, *sys.argv], env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"})
        sys.path.append(str(Path(__file__).parents[1] / "cuda"))
        from on_cpu import CpuDevice, teach_simulator

        teach_simulator()
        every: list[Device] = [CpuDevice(), CpuDevice(1, is_strict=True)]
    else:
        try:
            every = devices()
        except TomokitError as error:
            print(error, file=sys.stderr)
            return 2
    device = every[0]
    with tempfile.TemporaryDirectory() as scratch, device:
        series = arguments.series
        if sizes is SMALL:
            series = Path(scratch) / "small"
            series.mkdir()
            small_series(series)
        sections = [
            ("projections", lambda: projections(device, sizes)),
            ("dense methods", lambda: dense_methods(device, sizes)),
            ("fits", lambda: fits(device, sizes)),
            *([("several GPUs", lambda: several(every, sizes))] if len(every) > 1 else []),
            ("times", lambda: times(device, sizes)),
            ("series", lambda: [whole_series(series, device, sizes)]),
        ]
        good = show(sections)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
