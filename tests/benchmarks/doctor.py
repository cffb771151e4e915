"""Faults of a geometry put into series, and what the geometry doctor tells of each: ``nox -s doctor``.

Two real series (where the shared data are), whole and with every other view, and phantoms, thin and thick, with gold
beads and without, moved out of place by known shifts; those with beads with and without tracks of them. A row for each
series, a column for each fault; what is told beside the fault is a false alarm. Real series cannot be given a pretilt.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.tilted_series import bead_places, images_of, specimen, tilted
from tomokit.diagnosis.bead_tracks import as_aligned
from tomokit.diagnosis.examine import examine
from tomokit.diagnosis.finding import Diagnosis
from tomokit.diagnosis.geometry import Geometry
from tomokit.fiducials.model import model_tracks, read_fiducials
from tomokit.fiducials.tracks import Track, predict
from tomokit.geometry import TiltGeometry
from tomokit.io.mrc_read import open_mrc, read_stack
from tomokit.io.transforms import align_images, read_xf
from tomokit.phantom.ellipsoids import Ellipsoids

Stack = NDArray[np.float32]
Series = tuple[str, Stack, Stack | None, Geometry, list[Track]]
KINDS = ("thin", "thick", "thin with beads", "thick with beads", "shells", "beads", "few")
PRETILT_DEG = 10.0
TOLD_BY = {
    "none": "",
    "negated": "hand tracks",
    "reversed": "hand tracks",
    "axis 90": "tilt axis",
    "axis 180": "hand tracks",
    "axis 5": "tilt axis",
    "order": "order",
    "shifts x 2": "binning",
    "shifts / 2": "binning",
    "shifts x 4": "binning",
    "a view": "views",
    "pretilt 10": "plane",
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


def phantoms(seeds: int) -> Iterator[tuple[Series, Series]]:
    """Phantoms whose views are moved out of place: level ones, and the same with a pretilt."""
    tilt = np.arange(-60.0, 61.0, 3.0)
    for kind in KINDS:
        for seed in range(seeds):
            made = [_phantom(kind, seed, tilt, pretilt) for pretilt in (0.0, PRETILT_DEG)]
            yield made[0], made[1]
            if kind.endswith("with beads"):
                named = [(f"{name}, tracks", *rest, _tracks(kind, seed, tilt, pretilt))
                         for (name, *rest, _), pretilt in zip(made, (0.0, PRETILT_DEG), strict=True)]  # fmt: skip
                yield named[0], named[1]


def _phantom(kind: str, seed: int, tilt: NDArray[np.float64], pretilt_deg: float) -> Series:
    name = {"thin": "blobs"}.get(kind, kind)
    turned = tilted(specimen(name, seed), pretilt_deg, 0.0)
    images = images_of(turned, TiltGeometry(tilt, n_u=128, n_v=128), noise=0.5, seed=seed)
    geometry = Geometry.aligned(tilt)
    geometry.transform[:, 4:] = np.random.default_rng(seed).normal(0, 2.0, (tilt.size, 2))
    return f"{kind} {seed}", align_images(images, geometry.with_shifts_scaled(-1.0).transform)[0], None, geometry, []


def _tracks(kind: str, seed: int, tilt: NDArray[np.float64], pretilt_deg: float) -> list[Track]:
    """Where the beads are seen by the right geometry, to half a pixel."""
    xyz = bead_places(kind, seed)
    n = len(xyz)
    points = Ellipsoids(xyz, np.ones((n, 3)), np.tile(np.eye(3), (n, 1, 1)), np.ones(n))
    places = tilted(points, pretilt_deg, 0.0).centre_xyz_px
    rng, views = np.random.default_rng(seed), np.arange(tilt.size)
    seen = [predict(place, tilt) for place in places]
    return [Track(views, u + rng.normal(0, 0.3, u.size), v + rng.normal(0, 0.3, v.size)) for u, v in seen]


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
        "axis 180": right.turned(180),
        "axis 5": right.turned(5),
        "order": right.with_angles(tilt[np.argsort(np.abs(tilt), kind="stable")]),
        "pretilt 10": right,
    }
    return changed[fault]


def verdict(diagnosis: Diagnosis, told_by: str) -> tuple[str, bool, bool]:
    """What a cell says, whether there is a false alarm in it, and whether the fault was taken for right."""
    told = [one.name for one in diagnosis.judgements if one.findings]
    other = [name for name in told if name not in told_by]
    said = f" (also {', '.join(other)})" if other else ""
    if not told_by:
        return said.strip() or "nothing told", bool(other), False
    about = [one for one in diagnosis.judgements if one.name in told_by]
    if any(one.findings for one in about):
        return f"told{said}", bool(other), False
    if not all(one.decided for one in about):
        return f"open{said}", bool(other), False
    return f"MISSED{said}", bool(other), True


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--faults", default=",".join(TOLD_BY), help="only these, separated by commas")
    parser.add_argument("--series", default="", help="only series whose names begin so")
    parser.add_argument("--data", type=Path, default=os.environ.get("TOMOKIT_TEST_DATA"))
    chosen = parser.parse_args()
    faults = {fault: TOLD_BY[fault] for fault in chosen.faults.split(",")}
    print("| series | " + " | ".join(faults) + " | level | seconds |\n|---" + "|---" * (len(faults) + 2) + "|")
    alarms = missed = 0
    real = ((series, None) for series in (real_series(chosen.data) if chosen.data else ()))
    for series, pretilted in itertools.chain(real, phantoms(chosen.seeds)):
        name, _, _, right, _ = series
        if not name.startswith(chosen.series):
            continue
        cells, planes, began, n = [], [], time.perf_counter(), 0
        for fault, told_by in faults.items():
            used = pretilted if fault == "pretilt 10" else series
            geometry = None if used is None else faulty(right, fault, min(used[1].shape[1:]))
            if used is None or geometry is None:
                cells.append("-")
                continue
            n += 1
            diagnosis = examine(used[1], used[2], geometry, tracks=as_aligned(used[4], right, geometry))
            text, alarm, wrong = verdict(diagnosis, told_by)
            cells.append(text)
            alarms, missed = alarms + alarm, missed + wrong
            if fault in ("none", "pretilt 10"):
                figures = next(one.figures for one in diagnosis.judgements if one.name == "plane")
                planes.append(f"{figures.get('tilt_deg', np.nan):.1f}, {figures.get('x_tilt_deg', np.nan):.1f}")
        seconds = f"{(time.perf_counter() - began) / n:.1f}"
        print(f"| {name} | " + " | ".join([*cells, "; ".join(planes), seconds]) + " |", flush=True)
    print(f"\nfalse alarms: {alarms}; missed: {missed}")


if __name__ == "__main__":
    main()
