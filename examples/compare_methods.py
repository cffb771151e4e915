"""Reconstruct one tilt series by several methods, and score each by views that it was not given.

python examples/compare_methods.py TILTS.mrc THICKNESS [BIN]
"""

from __future__ import annotations

import sys

import tomokit

METHODS = {"wbp": {}, "sirt": {"epochs": 30}, "tv": {"epochs": 30}}


def main(stack: str, thickness: int, bin: int = 1) -> dict[str, float]:
    """Correlation of the predicted with the measured held-out views, by method."""
    series = tomokit.load_series(stack)
    correlations = {}
    for method, options in METHODS.items():
        result = tomokit.reconstruct(
            series, thickness=thickness, bin=bin, method=method, options=options, hold_out=10, seed=0
        )
        correlations[method] = result.summary["held_out"]["correlation"]
        print(f"{method:5s} held-out correlation {correlations[method]:.4f}, {result.summary['seconds']:.1f} s")
    return correlations


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
