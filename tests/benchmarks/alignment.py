"""How well an alignment is refined: a phantom with known errors, and EMPIAR-10499 and 10643-40 where they are there.

    python tests/benchmarks/alignment.py [--phantom 128] [--data FOLDER] [--bin 4]

Of the phantom, what is left of errors of up to 3 pixels and half a degree. Of EMPIAR-10499, how far `start.xf` and its
refinement are from `final.xf`, root mean squares in raw pixels. Of both real series, correlation with held-out views.
What a move of the specimen explains is taken away throughout.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tomokit
from tomokit.geometry import TiltGeometry
from tomokit.io import read_xf
from tomokit.io.transforms import align_images
from tomokit.phantom import simulate_series
from tomokit.refinement.corrections import Corrections
from tomokit.refinement.levels import Level
from tomokit.refinement.refine import refine

Floats = NDArray[np.float64]


def phantom(n: int, step_deg: float, noise: float) -> None:
    """Refine shells of which views are displaced and angles wrong, and print what is left."""
    tilt = np.arange(-60.0, 61.0, step_deg)
    rng = np.random.default_rng(5)
    shift_u, shift_v = rng.uniform(-3, 3, (2, tilt.size))
    angles = rng.uniform(-0.5, 0.5, tilt.size)
    series, _ = simulate_series((n // 2, n, n), tilt + angles, noise=noise, seed=1)
    moves = np.column_stack([np.tile([1.0, 0, 0, 1], (tilt.size, 1)), shift_u, shift_v])
    images, _ = align_images(series.images / series.images.max(), moves)
    every = np.ones(tilt.size, bool)
    none = np.zeros(tilt.size)
    true = Corrections(shift_u, shift_v, angles, none, none).without_gauge(tilt + angles, every)
    views = np.ascontiguousarray(images.transpose(0, 2, 1))
    level = Level(views, None, TiltGeometry(tilt, n, n), every, n // 2, 1.0, False)
    for kinds in (("shifts",), ("shifts", "angles")):
        began = time.perf_counter()
        found = refine(level, kinds)
        left = [getattr(found.corrections, name) - getattr(true, name) for name in
                ("shift_u_px", "shift_v_px", "tilt_deg")]  # fmt: skip
        said = ", ".join(f"{name} {each.std():.3f} (most {np.abs(each).max():.3f})"
                         for name, each in zip(("u px", "v px", "degrees"), left, strict=True))  # fmt: skip
        print(f"phantom of {n} px, {tilt.size} views, noise {noise}: {','.join(kinds)}: left {said}; "
              f"{time.perf_counter() - began:.0f} s")  # fmt: skip


def distance(found: Floats, target: Floats, tilt_deg: Floats) -> tuple[float, float]:
    """How far aligned views are from where other transforms have them, across and along the axis, rms in pixels."""
    matrix = found[:, :4].reshape(-1, 2, 2) @ np.linalg.inv(target[:, :4].reshape(-1, 2, 2))
    shift = found[:, 4:] - np.einsum("nij,nj->ni", matrix, target[:, 4:])
    angle = np.deg2rad(tilt_deg)
    waves = np.stack([np.cos(angle), -np.sin(angle)], 1)
    across = shift[:, 0] - waves @ np.linalg.lstsq(waves, shift[:, 0], rcond=None)[0]
    return float(np.sqrt((across**2).mean())), float(shift[:, 1].std())


def real(data: Path, kinds: str, binning: int) -> None:
    """Refine both real series, and print distances and scores."""
    folder, aligned = data / "empiar-10499", data / "empiar-10643-40"
    options = {"bin": binning, "method": "sirt", "hold_out": 5, "preview": False}
    target, tilt = read_xf(folder / "final.xf"), np.loadtxt(folder / "tilts-raw.tlt")
    with tempfile.TemporaryDirectory() as place:
        for name in ("start.xf", "final.xf"):
            output = Path(place) / f"{name}.mrc"
            for refined in (None, kinds):
                summary = tomokit.reconstruct(
                    folder / "tilts-raw.mrc", xf=folder / name, thickness=300, refine=refined, output=output,
                    overwrite=True, **options,
                ).summary  # fmt: skip
                xf = folder / name if refined is None else output.with_name(f"{name}_refined.xf")
                across, along = distance(read_xf(xf), target, tilt)
                score, seconds = summary["held_out"]["correlation"], summary["seconds"]
                print(f"10499, {name}, refined {refined}: from final.xf {across:.2f} px across and {along:.2f} along; "
                      f"held out {score:.4f}, {seconds:.0f} s")  # fmt: skip
    for refined in (None, kinds):
        summary = tomokit.reconstruct(
            aligned / "tilts.mrc", mask=aligned / "mask.mrc", linearization="log", thickness=320, refine=refined,
            **options,
        ).summary  # fmt: skip
        print(f"10643-40, refined {refined}: held out {summary['held_out']['correlation']:.4f}, "
              f"{summary['seconds']:.0f} s")  # fmt: skip


def main() -> None:
    """Run what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantom", type=int, default=128, help="width of the phantom in pixels; 0 for none")
    parser.add_argument("--step", type=float, default=3.0)
    parser.add_argument("--noise", type=float, default=0.02)
    parser.add_argument("--refine", default="shifts", help="what is refined of the real series")
    parser.add_argument("--bin", type=int, default=4)
    parser.add_argument("--data", type=Path, default=os.environ.get("TOMOKIT_TEST_DATA"))
    chosen = parser.parse_args()
    if chosen.phantom:
        phantom(chosen.phantom, chosen.step, chosen.noise)
    if chosen.data is not None:
        real(chosen.data, chosen.refine, chosen.bin)


if __name__ == "__main__":
    main()
