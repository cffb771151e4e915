"""PSNR of the octree over the vertices of a leaf, and over the options of the cross-node constraint.

    python tests/benchmarks/trends.py vertices [--noise 0.05] [--seeds 301,302]
    python tests/benchmarks/trends.py cnlc [--preset paper-synthetic] [--vertices 24,34]

Phantoms of ``tomokit simulate``, 32 x 128 x 128, 61 views, scaled to a maximum of 1. The preset's number of leaves is
divided by eight, since so is the volume of the publication's synthetic series of 64 x 256 x 256: with 40 leaves of 24^3
there is one vertex to a voxel. A figure is the mean over the seeds; ``+-`` is half the range.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from tomokit.data.problem import Problem
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.metrics import compare_arrays
from tomokit.phantom import parse_tilts, simulate_series
from tomokit.pipeline.config import read_preset
from tomokit.plugin.options import build_options
from tomokit.plugin.settings import merge

SHAPE = (32, 128, 128)
LEAVES = 40
VERTICES = (12, 16, 20, 24, 28, 34)
PUBLISHED = {"weight": 1e-6, "kernel": "dot", "temperature": 1.0, "space": "raw"}


def psnr(seed: int, noise: float, preset: str, changes: Mapping[str, Any]) -> float:
    """Of one fit, in dB."""
    series, truth = simulate_series(SHAPE, parse_tilts("-60:60:2"), noise, seed)
    projections = np.ascontiguousarray(series.images.transpose(0, 2, 1))
    scale = float(projections.max())
    problem = Problem(projections / np.float32(scale), None, series.geometry, SHAPE[0])
    run = start_fit(problem, build_options(OctreeOptions, merge(read_preset(preset)["options"], changes), preset))
    for _ in range(run.epochs):
        run.advance()
    volume = run.volume().transpose(1, 2, 0) * (problem.geometry.kappa * scale)
    return float(compare_arrays(volume, truth.density)["psnr_db"])


def mean(arguments: argparse.Namespace, changes: Mapping[str, Any]) -> str:
    """Mean over the seeds, and half the range."""
    found = [psnr(int(seed), arguments.noise, arguments.preset, changes) for seed in arguments.seeds.split(",")]
    return f"{np.mean(found):6.2f} +-{(max(found) - min(found)) / 2:5.2f}"


def leaves(arguments: argparse.Namespace, n: int) -> dict[str, Any]:
    """An octree of the preset's kind for this volume."""
    return {"n": n, "max_leaves": LEAVES} if arguments.preset != "default" else {"n": n, "leaf_px": 32.0}


def over_vertices(arguments: argparse.Namespace) -> None:
    """PSNR over n, with and without the cross-node constraint as published."""
    print(f"{'n':>4}{'without':>16}{'with cnlc':>16}", flush=True)
    for n in VERTICES:
        row = []
        for weight in (0.0, PUBLISHED["weight"]):
            changes = {**leaves(arguments, n), "regularizers": {"cnlc": {**PUBLISHED, "weight": weight}}}
            row.append(mean(arguments, changes))
        print(f"{n:>4}{row[0]:>16}{row[1]:>16}", flush=True)


def over_options(arguments: argparse.Namespace) -> None:
    """PSNR over the constraint's options, one line each, for every n."""
    weights = (0.0, 1e-6, 1e-5, 1e-4)
    kernels = (("dot", "temperature", (1.0, 0.1)), ("gaussian", "bandwidth", (0.25, 0.1)))
    columns = "".join(f"{weight:>16g}" for weight in weights)
    print(f"{'n':>4} {'space':<5} {'kernel':<8} {'width':>5}{columns}", flush=True)
    for n in map(int, arguments.vertices.split(",")):
        without = mean(arguments, {**leaves(arguments, n), "regularizers": {"cnlc": {"weight": 0.0}}})
        for space, (kernel, name, widths) in itertools.product(("raw", "rho"), kernels):
            for width in widths:
                row = [without]
                for weight in weights[1:]:
                    chosen = {"weight": weight, "kernel": kernel, name: width, "space": space}
                    row.append(mean(arguments, {**leaves(arguments, n), "regularizers": {"cnlc": chosen}}))
                print(f"{n:>4} {space:<5} {kernel:<8} {width:>5g}{''.join(f'{cell:>16}' for cell in row)}", flush=True)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("vertices", "cnlc"))
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--seeds", default="301,302")
    parser.add_argument("--preset", default="paper-synthetic")
    parser.add_argument("--vertices", default="24,34")
    arguments = parser.parse_args()
    (over_vertices if arguments.study == "vertices" else over_options)(arguments)


if __name__ == "__main__":
    main()
