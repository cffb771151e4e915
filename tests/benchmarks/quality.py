"""PSNR and SSIM of every method on a phantom with known truth, at several noise levels.

    python tests/benchmarks/quality.py [--methods sart-tv,tv] [--noise 0.02,0.05,0.2] [--seeds 101,102] [--set k=v]

Without --seeds the data set ``shells-a`` beside the repository is used; with them, phantoms of the same size: those of
``tomokit simulate`` or, with --overlapping, simpler ones like ``shells-a``. Each reconstruction is what
``tomokit reconstruct`` does.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from overlapping_shells import overlapping_shells

from tomokit.data import TiltSeries, Volume
from tomokit.geometry import TiltGeometry
from tomokit.io import read_angles, read_stack, read_volume, write_stack, write_text
from tomokit.metrics import compare_arrays
from tomokit.phantom import parse_tilts, simulate_series
from tomokit.pipeline.config import build_request
from tomokit.pipeline.driver import reconstruct

SHARED = Path(os.environ.get("TOMOKIT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
VOXELS_PER_UNIT = 66.73  # of shells-a: one unit of projection is so many voxels of density 1


def shells(noise: float) -> tuple[TiltSeries, Volume, float]:
    """The shared phantom with noise added as its README says, its truth, and the scale of its densities."""
    folder = SHARED / "shells-a"
    clean = np.asarray(read_stack(folder / "tilts-clean.mrc").pixels, np.float64)
    noisy = clean + np.random.default_rng(int(1e4 * noise)).normal(0, noise, clean.shape)
    geometry = TiltGeometry(read_angles(folder / "tilts.tlt"), clean.shape[2], clean.shape[1])
    return TiltSeries(noisy.astype(np.float32), geometry), read_volume(folder / "truth.mrc"), VOXELS_PER_UNIT


def cases(
    noises: list[float], seeds: list[int], overlapping: bool
) -> Iterator[tuple[str, float, TiltSeries, Volume, float]]:
    """Name, noise, series, truth and scale of every case."""
    for noise in noises:
        if not seeds:
            yield ("shells-a", noise, *shells(noise))
        for seed in seeds:
            if overlapping:
                series, truth = overlapping_shells(seed, noise)
            else:
                series, truth = simulate_series((64, 256, 256), parse_tilts("-70:69.5:1.5"), noise, seed)
            yield (f"seed {seed}", noise, series, truth, 1.0)


def main() -> None:
    """Print one line per case and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="wbp,sirt,sart-tv,tv,octree")
    parser.add_argument("--noise", default="0.02,0.05,0.2")
    parser.add_argument("--seeds", default="")
    parser.add_argument("--overlapping", action="store_true", help="the seeds are of phantoms like shells-a")
    parser.add_argument("--preset", help="default: the one named default")
    parser.add_argument("--set", action="append", default=[], help="an option of the method, as on the command line")
    arguments = parser.parse_args()
    noises = [float(word) for word in arguments.noise.split(",")]
    seeds = [int(word) for word in arguments.seeds.split(",") if word]
    print(f"{'case':<12}{'noise':>6}  {'method':<9}{'PSNR dB':>8}{'SSIM':>7}{'seconds':>9}", flush=True)
    for name, noise, series, truth, scale in cases(noises, seeds, arguments.overlapping):
        with tempfile.TemporaryDirectory() as folder:
            stack, angles = Path(folder) / "tilts.mrc", Path(folder) / "tilts.tlt"
            write_stack(stack, series)
            write_text(angles, "".join(f"{angle:.2f}\n" for angle in series.geometry.tilt_deg))
            for method in arguments.methods.split(","):
                request = build_request(
                    {
                        "stack": stack,
                        "output": Path(folder) / f"{method}.mrc",
                        "method": method,
                        "thickness": truth.density.shape[0],
                        "preview": False,
                    },
                    settings=arguments.set,
                    preset=arguments.preset,
                )
                summary = reconstruct(request)
                scores = compare_arrays(read_volume(request.output).density, truth.density, scale=scale)
                print(
                    f"{name:<12}{noise:>6.2f}  {method:<9}{scores['psnr_db']:>8.2f}{scores['ssim']:>7.3f}"
                    f"{summary['seconds']:>9.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
