"""Simulate a specimen, reconstruct it, and compare it with the truth, all in memory.

python examples/reconstruct_phantom.py [SIZE]
"""

from __future__ import annotations

import sys
from typing import Any

import tomokit


def main(size: int = 64) -> dict[str, Any]:
    """Reconstruct a phantom of ``size x size x size/2`` voxels; the measures of the result."""
    series, truth = tomokit.simulate_series((size // 2, size, size), range(-60, 61, 3), noise=0.05, seed=1)
    result = tomokit.reconstruct(series, thickness=size // 2, method="sirt", options={"epochs": 20}, hold_out=8)
    for entry in result.history:
        score = entry["held_out"]["correlation"]
        print(f"epoch {entry['epoch']:2d}  loss {entry['loss']:.5f}  held-out correlation {score:.4f}")
    measures = tomokit.compare(result.volume, truth)
    print(f"PSNR {measures['psnr_db']:.2f} dB, SSIM {measures['ssim']:.3f}")
    return measures


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
