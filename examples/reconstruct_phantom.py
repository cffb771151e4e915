"""Simulate a specimen, reconstruct it epoch by epoch, and compare it with the truth, from Python.

python examples/reconstruct_phantom.py [SIZE]
"""

from __future__ import annotations

import sys

import numpy as np

from tomokit.data.linearization import choose_linearization
from tomokit.data.problem import Problem
from tomokit.metrics import compare
from tomokit.phantom import simulate_series
from tomokit.plugin.manager import get_registry


def main(size: int = 64) -> dict[str, float]:
    """Reconstruct a phantom of ``size x size x size/2`` voxels; the measures of the result."""
    series, truth = simulate_series((size // 2, size, size), np.arange(-60.0, 61.0, 3.0), noise=0.05, seed=1)

    # Images to projections; methods want the tilt axis last: [tilt, u, y].
    linearization = choose_linearization(series.images, kind="linear")
    projections = np.ascontiguousarray(linearization.apply(series.images).transpose(0, 2, 1))
    problem = Problem(projections, None, series.geometry, thickness_px=size // 2)

    sirt = get_registry().get("method", "sirt")()
    run = sirt.start(problem, sirt.Options(epochs=20))
    while run.epoch < run.epochs:
        terms = run.advance()
        print(f"epoch {run.epoch:2d}  loss {terms['loss']:.5f}")

    # Back to the units of the images, and to [z, y, x].
    volume = run.volume() * linearization.volume_scale(series.geometry.kappa)
    result = compare(np.ascontiguousarray(volume.transpose(1, 2, 0)), truth.values)
    print(f"PSNR {result['psnr_db']:.2f} dB, SSIM {result['ssim']:.3f}")
    return result


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
