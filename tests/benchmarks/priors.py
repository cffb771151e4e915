"""Priors of second differences beside total variation, on voxels, judged by held-out views of a real series.

    python tests/benchmarks/priors.py STACK --thickness 300 [--xf F] [--mask F] [--linearization log] [--bin 2]
        [--rows 48] [--epochs 12] [--runs tv@0.6,joint:0.6@0.35,separate:0.5@0.45]

The middle rows along the tilt axis are fitted on voxels of one detector pixel, with every fifth view held out, by the
solver of the octree's preset ``primal-dual``: stochastic in the views, their duals filtered by a ramp and weighed by
tilt, offsets solved for, negative densities at a price; one weight everywhere, and no room above and below. What is
minimized beside the data is w times the sum over voxels of

    tv                 |grad d|
    joint:G            sqrt(|grad d|^2 + G^2 |H d|^2)
    separate:G         |grad d| + G |H d|
    cell:G             sqrt(|c d|^2 + G^2 |m d|^2 + G^4 (t d)^2), over cells of 2 x 2 x 2 voxels

H d the three second differences and, times the square root of 2, the three mixed ones; c, m and t the means in a cell
of its differences along one axis, of those along two and of that along three: what is not constant in a cell, and
nothing of other cells. G in voxels; w is what follows @ times the noise's own weight. Each line has the correlation of
held-out views, its mean over rings of 0.05 cycles a pixel, isolated extreme voxels in a thousand, the rings, and
seconds.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.contrast import tv_weight
from tomokit.data.margin import margin_px
from tomokit.data.problem import Problem, ProblemShape
from tomokit.geometry import TiltGeometry
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.octree.solver import NORM_ITERATIONS, SAFETY, norm_probe, steepest_group, view_groups
from tomokit.methods.octree.view_duals import ViewDuals
from tomokit.metrics.contrast import isolated_per_thousand
from tomokit.pipeline.config import build_request
from tomokit.pipeline.held_out import HeldOut
from tomokit.pipeline.opening import open_job
from tomokit.pipeline.progress import Silent
from tomokit.pipeline.readers import find_reader
from tomokit.projector import DenseProjector

Array = NDArray[np.float32]
FIRST, SECOND = 12, 144
"""Squared norms of the gradient and of the second differences."""


@shared_out(fastmath={"contract", "reassoc", "nsz"})
def step_first(share: Share, d: Array, q: Array, rate: float) -> None:
    """Step of the duals of the gradient, kept to length 1."""
    n_x, n_z, n_y = d.shape
    for x in items_of(share, n_x):
        for z in range(n_z):
            for y in range(n_y):
                here = d[x, z, y]
                a = q[0, x, z, y] + rate * (d[min(x + 1, n_x - 1), z, y] - here)
                b = q[1, x, z, y] + rate * (d[x, min(z + 1, n_z - 1), y] - here)
                c = q[2, x, z, y] + rate * (d[x, z, min(y + 1, n_y - 1)] - here)
                shrink = np.float32(1) / np.sqrt(max(np.float32(1), a * a + b * b + c * c))
                q[0, x, z, y], q[1, x, z, y], q[2, x, z, y] = a * shrink, b * shrink, c * shrink


@shared_out(fastmath={"contract", "reassoc", "nsz"})
def step_both(share: Share, d: Array, q: Array, rate: float, second: float, joined: bool) -> None:
    """Step of the duals of first and second differences, kept to length 1 together or each for itself."""
    n_x, n_z, n_y = d.shape
    one, root = np.float32(1), np.float32(np.sqrt(2))
    for x in items_of(share, n_x):
        for z in range(n_z):
            for y in range(n_y):
                here = d[x, z, y]
                has_x, has_z, has_y = x + 1 < n_x, z + 1 < n_z, y + 1 < n_y
                to_x = d[x + 1, z, y] - here if has_x else here - here
                to_z = d[x, z + 1, y] - here if has_z else here - here
                to_y = d[x, z, y + 1] - here if has_y else here - here
                a, b, c = q[0, x, z, y] + rate * to_x, q[1, x, z, y] + rate * to_z, q[2, x, z, y] + rate * to_y
                xx = to_x - here + d[x - 1, z, y] if has_x and x > 0 else here - here
                zz = to_z - here + d[x, z - 1, y] if has_z and z > 0 else here - here
                yy = to_y - here + d[x, z, y - 1] if has_y and y > 0 else here - here
                xz = root * (d[x + 1, z + 1, y] - here - to_x - to_z) if has_x and has_z else here - here
                xy = root * (d[x + 1, z, y + 1] - here - to_x - to_y) if has_x and has_y else here - here
                zy = root * (d[x, z + 1, y + 1] - here - to_z - to_y) if has_z and has_y else here - here
                longer = rate * second
                e, f, g = q[3, x, z, y] + longer * xx, q[4, x, z, y] + longer * zz, q[5, x, z, y] + longer * yy
                h, i, j = q[6, x, z, y] + longer * xz, q[7, x, z, y] + longer * xy, q[8, x, z, y] + longer * zy
                squares = a * a + b * b + c * c
                others = e * e + f * f + g * g + h * h + i * i + j * j
                first = one / np.sqrt(max(one, squares + others if joined else squares))
                other = first if joined else one / np.sqrt(max(one, others))
                q[0, x, z, y], q[1, x, z, y], q[2, x, z, y] = a * first, b * first, c * first
                q[3, x, z, y], q[4, x, z, y], q[5, x, z, y] = e * other, f * other, g * other
                q[6, x, z, y], q[7, x, z, y], q[8, x, z, y] = h * other, i * other, j * other


@shared_out(fastmath={"contract", "reassoc", "nsz"})
def pull_of(share: Share, q: Array, second: float, pull: Array) -> None:
    """The transposed differences of the duals."""
    n_x, n_z, n_y = pull.shape
    root = np.float32(np.sqrt(2))
    for x in items_of(share, n_x):
        for z in range(n_z):
            for y in range(n_y):
                p = -q[0, x, z, y] - q[1, x, z, y] - q[2, x, z, y]
                if x > 0:
                    p += q[0, x - 1, z, y]
                if z > 0:
                    p += q[1, x, z - 1, y]
                if y > 0:
                    p += q[2, x, z, y - 1]
                if q.shape[0] > 3:
                    s = -2 * (q[3, x, z, y] + q[4, x, z, y] + q[5, x, z, y])
                    m = q[6, x, z, y] + q[7, x, z, y] + q[8, x, z, y]
                    if x + 1 < n_x:
                        s += q[3, x + 1, z, y]
                    if z + 1 < n_z:
                        s += q[4, x, z + 1, y]
                    if y + 1 < n_y:
                        s += q[5, x, z, y + 1]
                    if x > 0:
                        s += q[3, x - 1, z, y]
                        m -= q[6, x - 1, z, y] + q[7, x - 1, z, y]
                    if z > 0:
                        s += q[4, x, z - 1, y]
                        m -= q[6, x, z - 1, y] + q[8, x, z - 1, y]
                    if y > 0:
                        s += q[5, x, z, y - 1]
                        m -= q[7, x, z, y - 1] + q[8, x, z, y - 1]
                    if x > 0 and z > 0:
                        m += q[6, x - 1, z - 1, y]
                    if x > 0 and y > 0:
                        m += q[7, x - 1, z, y - 1]
                    if z > 0 and y > 0:
                        m += q[8, x, z - 1, y - 1]
                    p += second * (s + root * m)
                pull[x, z, y] = p


@shared_out(fastmath={"contract", "reassoc", "nsz"})
def step_cells(share: Share, d: Array, q: Array, rate: float, second: float) -> None:
    """Step of the seven duals of each cell, whose first voxel has them, kept to length 1 together."""
    n_x, n_z, n_y = d.shape
    one, quarter, half = np.float32(1), np.float32(0.25), np.float32(0.5)
    for x in items_of(share, n_x - 1):
        for z in range(n_z - 1):
            for y in range(n_y - 1):
                # Sums and differences along y, then z, then x.
                s00, s01 = d[x, z, y] + d[x, z, y + 1], d[x, z + 1, y] + d[x, z + 1, y + 1]
                s10, s11 = d[x + 1, z, y] + d[x + 1, z, y + 1], d[x + 1, z + 1, y] + d[x + 1, z + 1, y + 1]
                t00, t01 = d[x, z, y + 1] - d[x, z, y], d[x, z + 1, y + 1] - d[x, z + 1, y]
                t10, t11 = d[x + 1, z, y + 1] - d[x + 1, z, y], d[x + 1, z + 1, y + 1] - d[x + 1, z + 1, y]
                mixed, triple = half * second * rate, second * second * rate
                a = q[0, x, z, y] + quarter * rate * (s10 + s11 - s00 - s01)
                b = q[1, x, z, y] + quarter * rate * (s01 + s11 - s00 - s10)
                c = q[2, x, z, y] + quarter * rate * (t00 + t01 + t10 + t11)
                e = q[3, x, z, y] + mixed * (s11 - s10 - s01 + s00)
                f = q[4, x, z, y] + mixed * (t10 + t11 - t00 - t01)
                g = q[5, x, z, y] + mixed * (t01 + t11 - t00 - t10)
                h = q[6, x, z, y] + triple * (t11 - t10 - t01 + t00)
                squares = a * a + b * b + c * c + e * e + f * f + g * g + h * h
                shrink = one / np.sqrt(max(one, squares))
                q[0, x, z, y], q[1, x, z, y], q[2, x, z, y] = a * shrink, b * shrink, c * shrink
                q[3, x, z, y], q[4, x, z, y], q[5, x, z, y] = e * shrink, f * shrink, g * shrink
                q[6, x, z, y] = h * shrink


@shared_out(fastmath={"contract", "reassoc", "nsz"})
def pull_of_cells(share: Share, q: Array, second: float, pull: Array) -> None:
    """The transposed differences of the cells' duals."""
    n_x, n_z, n_y = pull.shape
    quarter, half = np.float32(0.25), np.float32(0.5)
    for x in items_of(share, n_x):
        for z in range(n_z):
            for y in range(n_y):
                p = q[0, x, z, y] * 0
                for i in range(2):
                    for j in range(2):
                        for k in range(2):
                            u, v, w = x - i, z - j, y - k
                            if u < 0 or v < 0 or w < 0 or u >= n_x - 1 or v >= n_z - 1 or w >= n_y - 1:
                                continue
                            of_x, of_z, of_y = np.float32(2 * i - 1), np.float32(2 * j - 1), np.float32(2 * k - 1)
                            p += quarter * (of_x * q[0, u, v, w] + of_z * q[1, u, v, w] + of_y * q[2, u, v, w])
                            p += half * second * (of_x * of_z * q[3, u, v, w] + of_x * of_y * q[4, u, v, w])
                            p += half * second * of_z * of_y * q[5, u, v, w]
                            p += second * second * of_x * of_z * of_y * q[6, u, v, w]
                pull[x, z, y] = p


class Fit:
    """A fit on voxels by one prior.

    Parameters
    ----------
    problem : Problem
    prior : {"tv", "joint", "separate", "cell"}
    second : float
        G, in voxels.
    strength : float
        Weight over that of the noise.
    """

    def __init__(self, problem: Problem, prior: str, second: float, strength: float) -> None:
        geometry = problem.geometry
        self._problem, self._prior, self._second = problem, prior, second
        self._margin = margin_px(ProblemShape.of(problem), None)
        self.shape = (geometry.n_u + 2 * self._margin, problem.thickness_px, geometry.n_v)
        self._groups = view_groups(geometry.n_views, -(-geometry.n_views // 2))
        projector = DenseProjector(geometry, self.shape[1], n_x=self.shape[0])
        self._projectors = [projector.views(views) for views in self._groups]
        self._level, self._duals = PyramidLevel(problem, 1, 1.0), ViewDuals(problem, 0.6, 1.5)
        self._weight = strength * tv_weight(problem)
        self._step = SAFETY / (2 * len(self._groups) * self._norm())
        bound = FIRST if prior == "tv" else FIRST + second**2 * SECOND
        if prior == "cell":
            # By frequency: 4 of one axis, 16 of two, 64 of three at Nyquist's, and no two of them at once.
            bound = max(4.0, 16 * second**2, 64 * second**4)
        self._rate = SAFETY / (2 * bound * self._step * self._weight)
        self._kept = np.float32(1 / (1 + self._step * self._weight))
        self.density, self._pulled, self._pull = np.zeros((3, *self.shape), np.float32)
        self._q = np.zeros(({"tv": 3, "cell": 7}.get(prior, 9), *self.shape), np.float32)

    def _norm(self) -> float:
        """As of :class:`tomokit.methods.octree.primal_dual.PrimalDualSteps`."""
        views = steepest_group(self._groups, self._problem.geometry.tilt_rad, self._duals.weights)
        projector = next(made for made, own in zip(self._projectors, self._groups, strict=True) if own is views)
        roots, field, growth = self._duals.roots(views), norm_probe(self.shape), 1.0
        for _ in range(NORM_ITERATIONS):
            field /= np.float32(np.linalg.norm(field))
            field = np.asarray(projector.T(self._duals.filter(projector(field) * roots, roots)), np.float32)
            growth = float(np.linalg.norm(field))
        return growth

    def epoch(self) -> None:
        """Take a step by each group of views."""
        for views, projector in zip(self._groups, self._projectors, strict=True):
            change = np.asarray(projector(self.density), np.float32)
            self._level.replace_by_residuals(change, views)
            self._duals.step(self._level.dual, change, views)
            answer = projector.T(change)
            if self._prior == "tv":
                step_first(self.density, self._q, self._rate)
            elif self._prior == "cell":
                step_cells(self.density, self._q, self._rate, self._second)
            else:
                step_both(self.density, self._q, self._rate, self._second, self._prior == "joint")
            before = self._pull.copy()
            if self._prior == "cell":
                pull_of_cells(self._q, self._second, self._pull)
            else:
                pull_of(self._q, self._second, self._pull)
            downhill = self._pulled + np.float32(1 + len(self._groups)) * answer
            downhill += np.float32(self._weight) * (2 * self._pull - before)
            self._pulled += answer
            self.density -= np.float32(self._step) * downhill
            np.multiply(self.density, self._kept, out=self.density, where=self.density < 0)

    def predict(self, geometry: TiltGeometry) -> Array:
        """Project to other views."""
        return np.asarray(DenseProjector(geometry, self.shape[1], n_x=self.shape[0])(self.density), np.float32)

    def volume_zyx(self) -> Array:
        """The tomogram without its margin."""
        inner = self.density[self._margin : self.shape[0] - self._margin]
        return np.ascontiguousarray(inner.transpose(1, 2, 0))


def read(arguments: argparse.Namespace) -> tuple[Problem, HeldOut]:
    """The middle rows of the series, as ``tomokit reconstruct`` reads them."""
    reader = find_reader(arguments.stack)
    n_y, half = reader.shape(arguments.stack)[1], arguments.rows * arguments.bin // 2
    wanted: dict[str, Any] = {
        "stack": arguments.stack, "thickness": arguments.thickness, "bin": arguments.bin, "hold_out": "5",
        "linearization": arguments.linearization, "y": f"{n_y // 2 - half}:{n_y // 2 + half}",
        "output": Path("priors.mrc"), "overwrite": True, "offsets": "fit",
    }  # fmt: skip
    wanted |= {name: getattr(arguments, name) for name in ("mask", "xf") if getattr(arguments, name) is not None}
    prepared = open_job(build_request(wanted, preset=None, caller="reconstruct"), reader, Silent()).prepared
    assert prepared.held_out is not None
    return prepared.problem, prepared.held_out


def main() -> None:
    """Print one line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", type=Path)
    parser.add_argument("--thickness", type=int, required=True, help="in pixels of the stack")
    parser.add_argument("--xf", type=Path)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--linearization", default="auto")
    parser.add_argument("--bin", type=int, default=2)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--runs", default="tv@0.6,joint:0.6@0.35,joint:1@0.3,separate:0.5@0.45")
    arguments = parser.parse_args()
    problem, held_out = read(arguments)
    for name in arguments.runs.split(","):
        found = re.fullmatch(r"(tv|joint|separate|cell)(?::([\d.]+))?@([\d.]+)", name)
        if found is None:
            raise SystemExit(
                f"no run {name!r}: give tv@STRENGTH, joint:G@STRENGTH, separate:G@STRENGTH or cell:G@STRENGTH"
            )
        began = time.perf_counter()
        fit = Fit(problem, found[1], float(found[2] or 0), float(found[3]))
        for _ in range(arguments.epochs):
            fit.epoch()
        score = held_out.score(fit)  # type: ignore[arg-type]
        rings = " ".join(f"{ring:.3f}" for ring in score["ring_correlation"])
        isolated = isolated_per_thousand(fit.volume_zyx())
        print(
            f"{name:>20} {score['correlation']:.4f} {score['mean_ring_correlation']:.3f} {isolated:5.1f} | {rings} "
            f"| {time.perf_counter() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
