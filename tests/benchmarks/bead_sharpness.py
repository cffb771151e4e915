"""How sharp gold beads are in tomograms by one alignment or another: ``nox -s beads``.

    python tests/benchmarks/bead_sharpness.py [--method wbp] [--bin 2] [--data FOLDER] [--transforms A.xf B.xf]

The beads of EMPIAR-10499 are found in the views as each transform aligns them, and those count that are found by
both. Each is measured in a tomogram by each transform: its brightest voxel above the median around it, over the robust
deviation there, and its full width at half that height along x, y and z, between voxels by linear interpolation.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

import tomokit
from tomokit.geometry import centre
from tomokit.io import load_series
from tomokit.pipeline.beads import beads_of

TRANSFORMS = ("start.xf", "final.xf")
THICKNESS_PX = 300
SAME_PX = 12.0
"""Beads that are nearer than this by both transforms are one."""
SEARCHED, AROUND = 3, 10
"""Voxels from where a bead is expected in which its brightest is looked for, and its surroundings."""

Floats = NDArray[np.float64]


def width(profile: Floats, peak: int) -> float:
    """Full width at half of the value at `peak`, in samples; NaN where the profile does not fall to it."""
    half, sides = profile[peak] / 2, []
    for side in (profile[peak::-1], profile[peak:]):
        below = np.flatnonzero(side < half)
        if not below.size:
            return np.nan
        at = int(below[0])
        sides.append(at - 1 + (side[at - 1] - half) / (side[at - 1] - side[at]))
    return float(sum(sides))


def measure(density: NDArray[np.float32], expected_zyx: Floats) -> Floats:
    """Contrast of a bead to its surroundings, and its widths along x, y and z in voxels; NaN at the faces."""
    at = np.rint(expected_zyx).astype(int)
    if (at < AROUND).any() or (at + AROUND >= density.shape).any():
        return np.full(4, np.nan)
    around = density[tuple(slice(i - AROUND, i + AROUND + 1) for i in at)].astype(np.float64)
    around -= np.median(around)
    near = (slice(AROUND - SEARCHED, AROUND + SEARCHED + 1),) * 3
    peak = np.unravel_index(int(around[near].argmax()), around[near].shape)
    z, y, x = (int(i) + AROUND - SEARCHED for i in peak)
    deviation = 1.4826 * np.median(np.abs(around))
    widths = [width(around[z, y], x), width(around[z, :, x], y), width(around[:, y, x], z)]
    return np.array([around[z, y, x] / deviation, *widths])


def of_both(first: Floats, second: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places in both lists of the beads that are one, after the shift that most of them agree on."""
    shifts = (second[:, None] - first[None]).reshape(-1, 3)
    best = max(shifts, key=lambda shift: int((cdist(first + shift, second).min(1) < SAME_PX).sum()))
    distance = cdist(first + best, second)
    nearest = distance.argmin(1)
    kept = np.flatnonzero((distance.min(1) < SAME_PX) & (distance[:, nearest].argmin(0) == np.arange(len(first))))
    return kept, nearest[kept]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="wbp")
    parser.add_argument("--bin", type=int, default=2)
    parser.add_argument("--transforms", nargs=2, default=TRANSFORMS, help="in the folder of the series, or elsewhere")
    parser.add_argument("--data", type=Path, default=os.environ.get("TOMOKIT_TEST_DATA"))
    chosen = parser.parse_args()
    if chosen.data is None:
        parser.error("give --data, or set TOMOKIT_TEST_DATA")
    folder = chosen.data / "empiar-10499"
    places, told = [], []
    for name in chosen.transforms:
        series = load_series(folder / "tilts-raw.mrc", xf=folder / name)
        beads = beads_of(series, None)
        if beads is None:
            raise SystemExit(f"no beads by {name}")
        places.append(np.array([bead.fit.xyz_px for bead in beads.beads]))
        told.append(f"{len(beads.beads)} | {beads.rms_px:.2f}")
    figures = []
    for name, xyz, kept in zip(chosen.transforms, places, of_both(*places), strict=True):
        made = tomokit.reconstruct(
            folder / "tilts-raw.mrc", xf=folder / name, thickness=THICKNESS_PX, bin=chosen.bin, method=chosen.method
        )
        density = made.volume.density
        middle = np.array([centre(n) for n in density.shape])
        figures.append(np.array([measure(density, place[::-1] / chosen.bin + middle) for place in xyz[kept]]))
    whole = np.isfinite(figures[0]).all(1) & np.isfinite(figures[1]).all(1)
    size = made.volume.voxel_size_angstrom
    print(f"{chosen.method}, bin {chosen.bin}: {whole.sum()} beads by both transforms, medians; widths in angstrom\n")
    print("| transforms | beads found | their positions, rms px | peak, deviations | width x | y | z |")
    print("|---|---|---|---|---|---|---|")
    for name, text, found in zip(chosen.transforms, told, figures, strict=True):
        contrast, *widths = np.median(found[whole], axis=0)
        print(f"| `{name}` | {text} | {contrast:.1f} | " + " | ".join(f"{size * w:.1f}" for w in widths) + " |")
    better = figures[1][whole] / figures[0][whole]
    names = ("peak higher", "narrower in x", "in y", "in z")
    counts = [int((better[:, 0] > 1).sum()), *(int((better[:, axis] < 1).sum()) for axis in (1, 2, 3))]
    said = ", ".join(f"{name}: {n} of {whole.sum()}" for name, n in zip(names, counts, strict=True))
    print(f"\nBy `{chosen.transforms[1]}` {said}; median ratio of the peaks {np.median(better[:, 0]):.2f}.")


if __name__ == "__main__":
    main()
