"""Speed of the dense projector pair, as a ratio to ``scipy.sparse @ dense`` over the same geometry in the same run.

    python tests/benchmarks/bench_projector.py [--repeats 7] [--small] [--json FILE]

The yardstick is a CSR matrix of all views, float32 weights and int32 indices, times the volume ``[x z, y]`` as a
dense matrix (adjoint: the CSR of its transpose times the stack), on one thread: all that SciPy has. The matrices come
from the float64 reference, so each run also compares the results. Ours and the yardstick take turns, and medians are
compared, so that what else the machine does meets both; the ratio of CPU times on one thread stands even where others
want the cores. A voxel-projection is one voxel seen in one view.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

# One thread, then two, of Numba's alone; and they are not to spin while the yardstick runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numba
import numpy as np
from scipy.sparse import csr_array, vstack

from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector
from tomokit.projector.reference import view_matrix

# Columns, rows, thickness, angles; the floor of the first is what the project asks for.
SIZES = {
    "512 x 512 x 128, 61 views": (512, 512, 128, np.linspace(-60, 60, 61)),
    "256 x 256 x 64, 94 views": (256, 256, 64, np.arange(-70, 70, 1.5)),
}
SMALL = {"64 x 64 x 32, 31 views": (64, 64, 32, np.linspace(-60, 60, 31))}


def stacked_matrix(geometry: TiltGeometry, n_x: int, n_z: int) -> csr_array:
    """Weights of all views, shape ``(n_views n_u, n_x n_z)``, float32 and int32."""
    views = [view_matrix(geometry, view, n_x, n_z).astype(np.float32) for view in range(geometry.n_views)]
    matrix = csr_array(vstack(views, format="csr"))
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU time of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def take_turns(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Median wall and CPU time of each work, done in turns: A B C A B C ..."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: np.median(values, axis=0) for name, values in times.items()}


def on_threads(count: int, work: Callable[[], object]) -> Callable[[], object]:
    """The work on so many of Numba's threads."""

    def run() -> object:
        numba.set_num_threads(count)
        return work()

    return run


def measure(name: str, size: tuple[int, int, int, np.ndarray], repeats: int) -> list[dict[str, object]]:
    """Both directions of one size, at one thread and at two."""
    n_u, n_v, thickness, tilt = size
    geometry = TiltGeometry(tilt, n_u, n_v)
    projector = DenseProjector(geometry, thickness)
    rng = np.random.default_rng(0)
    volume = rng.random(projector.volume_shape, np.float32)
    stack = rng.random(projector.stack_shape, np.float32)
    matrix = stacked_matrix(geometry, n_u, thickness)
    transposed = csr_array(matrix.T.tocsr())
    columns, rows = volume.reshape(-1, n_v), stack.reshape(-1, n_v)
    most = min(2, int(numba.config.NUMBA_NUM_THREADS))
    pairs: dict[str, tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]] = {
        "forward": (lambda: projector(volume), lambda: matrix @ columns),
        "adjoint": (lambda: projector.T(stack), lambda: transposed @ rows),
    }
    results = []
    for direction, (ours, yardstick) in pairs.items():
        expected = yardstick()
        got = ours().reshape(expected.shape)
        difference = float(np.linalg.norm(got - expected) / np.linalg.norm(expected))
        assert difference < 1e-5, difference
        del expected, got
        works = {"sparse": yardstick, "1": on_threads(1, ours)}
        if most > 1:
            works["2"] = on_threads(2, ours)
        medians = take_turns(works, repeats)
        times = {key: float(wall) for key, (wall, _) in medians.items()}
        giga = volume.size * geometry.n_views / 1e9
        results.append(
            {
                "size": name,
                "direction": direction,
                "sparse_seconds": times["sparse"],
                "sparse_gvps": giga / times["sparse"],
                "seconds": times["1"],
                "gvps": giga / times["1"],
                "ratio": times["sparse"] / times["1"],
                "cpu_ratio": float(medians["sparse"][1] / medians["1"][1]),
                "cpu_gvps": giga / float(medians["1"][1]),
                "two_threads_seconds": times.get("2"),
                "two_threads_speedup": times["1"] / times["2"] if "2" in times else None,
                "gvps_per_core_at_two": giga / times["2"] / 2 if "2" in times else None,
                "difference": difference,
            }
        )
    return results


def table(results: list[dict[str, object]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| size | direction | sparse, s | ours, s | sparse, GVP/s | ours, GVP/s | ratio | of CPU time "
        "| 2 threads, s | speed-up |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        two = "| |" if r["two_threads_seconds"] is None else "{two_threads_seconds:.3f} | {two_threads_speedup:.2f} |"
        line = "| {size} | {direction} | {sparse_seconds:.3f} | {seconds:.3f} | {sparse_gvps:.2f} | {gvps:.2f} "
        lines.append((line + "| {ratio:.2f} | {cpu_ratio:.2f} | " + two).format(**r))
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table and perhaps write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each, in turns (medians count)")
    parser.add_argument("--small", action="store_true", help="a size that takes a second, to try the script")
    parser.add_argument("--json", type=Path, help="also write the results here")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    results = []
    for name, size in (SMALL if arguments.small else SIZES).items():
        results += measure(name, size, arguments.repeats)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.2f} before, numba {numba.__version__}")
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps({"load": load, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
