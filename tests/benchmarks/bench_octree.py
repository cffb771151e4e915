"""Where a step of the octree fit spends its time, how far that is from the machine's limits, and what it grows with.

    python tests/benchmarks/bench_octree.py [--repeats 5] [--small] [--plot cost.png]

The step is that of the publication's real series: 820 x 820 pixels, a slab of 308 px, leaves of 42^3, one view,
softplus and RMSprop, then with each prior added. Floors: values, densities and the optimizer's memory read and written
once, at the rate of a copy; one multiply-add to each of the four columns that a vertex' footprint meets, at the rate
of multiply-adds; both rates are measured here. Cost is for a step with total variation and boundary consistency, over
leaves, over views, and over detector columns with leaves in proportion, each varied alone.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numba
import numpy as np
from numba import njit, prange

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.host_engine import HostEngine
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import make_regularizers
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.pausing import EpochProgress
from tomokit.octree.cover import Region, cover
from tomokit.octree.culling import select
from tomokit.optimizers.rules import Rmsprop

PRIORS: dict[str, dict[str, Any]] = {
    "tv": {"weight": 2.5e-4},
    "boundary": {"weight": 3e-4},
    "cnlc": {"weight": 1e-6},
}


class Step:
    """A step on some leaves of a slab.

    Parameters
    ----------
    width, height : int
        Detector columns and rows.
    thickness : int
    n, leaf_px
        Of the leaves.
    n_leaves : int or None
        Only so many of them.
    views : int
        Views of the step.
    """

    def __init__(
        self, width: int, height: int, thickness: int, n: int, leaf_px: float, n_leaves: int | None, views: int
    ) -> None:
        rng = np.random.default_rng(0)
        angles = np.linspace(-60.0, 60.0, 2 * views + 1)[1::2] + 0.3
        geometry = TiltGeometry(angles, width, height)
        projections = rng.random((views, width, height), dtype=np.float32)
        self.level = PyramidLevel(Problem(projections, None, geometry, thickness), 1, geometry.kappa)
        forest = cover(Region(width, height, thickness), 0.0, n, leaf_px, 1)
        if n_leaves is not None:
            forest = select(forest, np.arange(forest.n_leaves) < n_leaves)
        density = rng.random(forest.values_shape, dtype=np.float32)
        self.leaves = LeafField(forest, density, "softplus", Rmsprop(Rmsprop.Options(lr=1e-4, eps=1e-15)))
        self.leaves.keep_sides()
        self.inside = np.ones(forest.n_leaves, bool)
        self.views = np.arange(views)
        self.engine = HostEngine(self.leaves)

    def forward(self) -> None:
        """Projection and residual."""
        predicted = self.engine._projector_of(self.level)(self.leaves.density, self.views)
        self.level.replace_by_residuals(predicted, self.views)

    def whole(self, *names: str) -> Callable[[], None]:
        """Priors of these names evaluated, forward, backward and update."""
        regularizers = make_regularizers({}, {name: PRIORS[name] for name in names})

        def work() -> None:
            rng = np.random.default_rng(0)
            plan = EpochPlan(self.level, regularizers, self.inside, [self.views], 1, 0, 1.0, rng, EpochProgress())
            self.engine.begin(plan)
            self.engine.step(0)

        return work


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median of several calls, after one that compiles."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


@njit(parallel=True, fastmath=True)
def _copy(source: Any, target: Any) -> None:
    for i in prange(source.size):
        target[i] = source[i]


@njit(parallel=True, fastmath=True)
def _multiply_add(rows: Any, rounds: int) -> None:
    for i in prange(rows.shape[0]):
        row = rows[i]
        for k in range(rounds):
            factor = np.float32(k & 1)
            for j in range(row.size):
                row[j] += factor * row[j]


def limits(repeats: int) -> tuple[float, float]:
    """Bytes a second of a copy that fits no cache, and multiply-adds a second on rows that lie in the first one."""
    source = np.ones(64 << 20, np.float32)
    target = np.ones_like(source)
    copied = 8 * source.size / seconds(lambda: _copy(source, target), repeats)
    threads, rounds = numba.get_num_threads(), 1 << 20
    rows = np.zeros((threads, 512), np.float32)
    return copied, rows.size * rounds / seconds(lambda: _multiply_add(rows, rounds), repeats)


def split(repeats: int, small: bool) -> None:
    """Print what each part of a step takes."""
    width, thickness, leaf, count = (205, 77, 26.0, 60) if small else (820, 308, 77.0, 352)
    step = Step(width, width, thickness, 42, leaf, count, 1)
    values = step.leaves.values.size
    copied, added = limits(repeats)
    print(f"{values / 1e6:.1f} M values, {step.leaves.forest.n_leaves} leaves, {numba.get_num_threads()} threads")
    print(f"copy {copied / 1e9:.1f} GB/s, multiply-add {added / 1e9:.1f} G/s", flush=True)
    forward = seconds(step.forward, repeats)
    times = {"forward": forward}
    before = seconds(step.whole(), repeats)
    times["backward, update"] = before - forward
    names: list[str] = []
    for name in PRIORS:
        names.append(name)
        now = seconds(step.whole(*names), repeats)
        times[name], before = now - before, now
    # Footprints span some four columns of one view; a column is one multiply-add to a vertex.
    floors = {
        "forward": (4 * values, 4 * values),
        "backward, update": (4 * values * 6, 4 * values),
        "tv": (0, 10 * values),
    }
    print(f"{'part':<18}{'ms':>8}{'bytes ms':>10}{'adds ms':>9}", flush=True)
    for name, taken in times.items():
        moved, worked = floors.get(name, (0, 0))
        print(f"{name:<18}{1e3 * taken:>8.1f}{1e3 * moved / copied:>10.1f}{1e3 * worked / added:>9.1f}")
    print(f"{'whole step':<18}{1e3 * before:>8.1f}", flush=True)


def growth(repeats: int, small: bool) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of a step over leaves, views and detector width, each varied alone."""
    width, thickness, n = (128, 64, 16) if small else (512, 128, 32)
    leaf = thickness / 4
    most = cover(Region(width, width, thickness), 0.0, n, leaf, 1).n_leaves
    found: dict[str, list[tuple[float, float]]] = {"leaves": [], "views": [], "detector width": []}
    for part in (1, 2, 3, 4):
        step = Step(width, width, thickness, n, leaf, most * part // 4, 2)
        found["leaves"].append((most * part // 4, 1e3 * seconds(step.whole("tv", "boundary"), repeats)))
    for views in (1, 2, 4, 6, 8):
        step = Step(width, width, thickness, n, leaf, None, views)
        found["views"].append((views, 1e3 * seconds(step.whole("tv", "boundary"), repeats)))
    for part in (1, 2, 3, 4, 6):
        wide = width * part // 4
        step = Step(wide, width, thickness, n, leaf, None, 2)
        found["detector width"].append((wide, 1e3 * seconds(step.whole("tv", "boundary"), repeats)))
    for name, rows in found.items():
        x, y = np.array(rows).T
        slope, intercept = np.polyfit(x, y, 1)
        off = np.abs(y - (slope * x + intercept)).max() / y.max()
        print(f"{name}: " + ", ".join(f"{a:g}: {b:.1f} ms" for a, b in rows))
        print(
            f"  {slope:.4g} ms each, {intercept:.1f} ms at none, off the line by {100 * off:.1f} % at most", flush=True
        )
    return found


def plot(found: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """The three curves with their lines."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for axis, (name, rows) in zip(axes, found.items(), strict=True):
        x, y = np.array(rows).T
        axis.plot(x, y, "o", color="C0")
        ends = np.array([0.0, x.max()])
        axis.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color="0.6", zorder=0)
        axis.set(xlabel=name, ylim=(0, None), xlim=(0, None))
    axes[0].set_ylabel("one step, ms")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="sizes that take seconds")
    parser.add_argument("--plot", type=Path, help="picture of the cost over leaves, views and detector width")
    arguments = parser.parse_args()
    split(arguments.repeats, arguments.small)
    found = growth(arguments.repeats, arguments.small)
    if arguments.plot is not None:
        plot(found, arguments.plot)


if __name__ == "__main__":
    main()
