"""Faults of a geometry put into series, and what the geometry doctor tells of each: ``nox -s doctor``.

Two real series (where the shared data are), whole and with every other view, and phantoms of four kinds, moved out of
place by known shifts. A row for each series, a column for each fault; what is told beside the fault is a false alarm.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.tilted_series import images_of, specimen
from tomokit.diagnosis.examine import examine
from tomokit.diagnosis.geometry import Geometry
from tomokit.fiducials.model import model_tracks, read_fiducials
from tomokit.fiducials.tracks import Track
from tomokit.geometry import TiltGeometry
from tomokit.io.mrc_read import open_mrc, read_stack
from tomokit.io.transforms import align_images, read_xf

Stack = NDArray[np.float32]
Series = tuple[str, Stack, Stack | None, Geometry, list[Track]]
TOLD_BY = {
    "none": "",
    "negated": "hand tracks",
    "reversed": "hand tracks",
    "axis 90": "tilt axis",
    "axis 5": "tilt axis",
    "order": "order",
    "shifts x 2": "binning",
    "shifts / 2": "binning",
    "shifts x 4": "binning",
    "a view": "views",
}


def real_series(data: Path) -> Iterator[Series]:
    """EMPIAR-10499, raw with transforms, and EMPIAR-10643-40, aligned, with its mask and without."""
    folder = data / "empiar-10499"
    images = np.asarray(read_stack(folder / "tilts-raw.mrc").pixels, np.float32)
    geometry = Geometry(np.loadtxt(folder / "tilts-raw.tlt"), read_xf(folder / "final.xf"))
    yield "EMPIAR-10499", images, None, geometry, []
    yield "EMPIAR-10499, every other view", images[::2], None, _every_other(geometry), []
    folder = data / "empiar-10643-40"
    images = np.asarray(read_stack(folder / "tilts.mrc").pixels, np.float32)
    mask = np.asarray(open_mrc(folder / "mask.mrc").pixels, np.float32)
    tilt = np.loadtxt(folder / "tilts.tlt")
    tracks = model_tracks(read_fiducials(folder / "fiducials.txt"), TiltGeometry(tilt, n_u=820, n_v=820))
    geometry = Geometry.aligned(tilt)
    yield "EMPIAR-10643-40, mask, beads", images, mask, geometry, tracks
    yield "EMPIAR-10643-40", images, None, geometry, []
    yield "EMPIAR-10643-40, every other view", images[::2], None, _every_other(geometry), []


def phantoms(seeds: int) -> Iterator[Series]:
    """Phantoms of four kinds, whose views are moved out of place."""
    tilt = np.arange(-60.0, 61.0, 3.0)
    for kind in ("shells", "blobs", "beads", "few"):
        for seed in range(seeds):
            images = images_of(specimen(kind, seed), TiltGeometry(tilt, n_u=128, n_v=128), noise=0.5, seed=seed)
            geometry = Geometry.aligned(tilt)
            geometry.transform[:, 4:] = np.random.default_rng(seed).normal(0, 2.0, (tilt.size, 2))
            raw = align_images(images, geometry.with_shifts_scaled(-1.0).transform)[0]
            yield f"{kind} {seed}", raw, None, geometry, []


def _every_other(geometry: Geometry) -> Geometry:
    return Geometry(geometry.tilt_deg[::2], geometry.transform[::2])


def faulty(right: Geometry, fault: str, width: int) -> Geometry | None:
    """The geometry with a fault; None where it cannot have it."""
    tilt = right.tilt_deg
    if fault.startswith("shifts"):
        if not right.shifts_px.any():
            return None
        return right.with_shifts_scaled({"x 2": 2.0, "/ 2": 0.5, "x 4": 4.0}[fault.removeprefix("shifts ")])
    if fault == "a view":
        return right.moved(tilt.size // 2 - 3, np.array([0.018, -0.018]) * width)
    changed = {
        "none": right,
        "negated": right.with_angles(-tilt),
        "reversed": right.with_angles(tilt[::-1]),
        "axis 90": right.turned(90),
        "axis 5": right.turned(5),
        "order": right.with_angles(tilt[np.argsort(np.abs(tilt), kind="stable")]),
    }
    return changed[fault]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, default=os.environ.get("TOMOKIT_TEST_DATA"))
    chosen = parser.parse_args()
    every = [*(real_series(chosen.data) if chosen.data else ()), *phantoms(chosen.seeds)]
    print("| series | " + " | ".join(TOLD_BY) + " | seconds |\n|---" + "|---" * (len(TOLD_BY) + 1) + "|")
    alarms = missed = 0
    for name, images, mask, right, tracks in every:
        cells, began, n = [], time.perf_counter(), 0
        for fault, told_by in TOLD_BY.items():
            geometry = faulty(right, fault, min(images.shape[1:]))
            if geometry is None:
                cells.append("-")
                continue
            n += 1
            diagnosis = examine(images, mask, geometry, tracks=tracks)
            told = [one.name for one in diagnosis.judgements if one.findings]
            other = [one for one in told if one not in told_by and one != "plane"]
            hit = not told_by or any(one in told_by for one in told)
            open_ = not hit and told_by.startswith("hand")
            cells.append("" if not told_by else "told" if hit else "not decidable" if open_ else "MISSED")
            cells[-1] += f" (also {', '.join(other)})" if other else "" if told_by else "nothing told"
            alarms += bool(other)
            missed += not hit and not open_
            if fault == "none":
                cells[-1] += next((f"; level: {one.figures.get('tilt_deg', np.nan):.1f}, "
                                   f"{one.figures.get('x_tilt_deg', np.nan):.1f}"
                                   for one in diagnosis.judgements if one.name == "plane"), "")  # fmt: skip
        print(f"| {name} | " + " | ".join(cells) + f" | {(time.perf_counter() - began) / n:.1f} |", flush=True)
    print(f"\nfalse alarms: {alarms}; missed: {missed}")


if __name__ == "__main__":
    main()
