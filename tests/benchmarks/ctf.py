"""A crowded slab seen through a known contrast transfer function: what each correction recovers, against the truth.

    python tests/benchmarks/ctf.py [--shape 40,96,96] [--seed 1] [--pixel-size 5] [--defocus 3] [--snr 2] [--counting]
        [--runs tv,octree] [--corrections none,flip,model,model-from-peak] [--keep FOLDER]

41 views of -60 to 60 degrees, none held out, the defocus changing across the tilt. Each reconstruction is what
``tomokit reconstruct --offsets fit [--ctf defocus.txt --voltage 300 --ctf-correction C]`` does. The Fourier shell
correlation with the truth, in the middle 0.7 of the height and where views measure, is averaged between the zeros that
the transfer function has on the tilt axis. With --counting views are counts of electrons, 3 to the square ångström, and
taken by their logarithm.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tomokit.data.ctf import Optics
from tomokit.io import read_volume, write_stack, write_text, write_volume
from tomokit.metrics.fourier_shells import shell_correlation
from tomokit.phantom import Faults, parse_shape, parse_tilts, simulate_experiment
from tomokit.pipeline.config import build_request
from tomokit.pipeline.driver import reconstruct

OPTICS = Optics(300.0)


def zeros(defocus_um: float, pixel_size_angstrom: float) -> list[float]:
    """Frequencies of the zeros up to Nyquist's in cycles per pixel, the aberration left out: it moves none by 1 %."""
    wavelength, found = OPTICS.wavelength_angstrom, []
    for number in itertools.count(1):
        phase = number * math.pi - math.asin(OPTICS.amplitude_contrast)
        k = math.sqrt(phase / (math.pi * wavelength * defocus_um * 1e4)) * pixel_size_angstrom
        if k >= 0.5:
            return found
        found.append(k)
    raise AssertionError


def spectrum(volume: NDArray[np.float32]) -> tuple[NDArray[np.complex128], tuple[int, int, int]]:
    """Of the middle of the slab, under windows that keep the faces of the box out of it."""
    cut = round(0.15 * volume.shape[0])
    inner = volume[cut : volume.shape[0] - cut].astype(np.float64)
    window = np.ones(())
    for axis, n in enumerate(inner.shape):
        ramp = np.clip(np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / (0.1 * n), 0, 1)
        window = window * np.expand_dims(np.sin(np.pi / 2 * ramp) ** 2, tuple({0, 1, 2} - {axis}))
    return fft.rfftn((inner - inner.mean()) * window), inner.shape


def run(name: str, correction: str, folder: Path, thickness: int, counting: bool) -> dict[str, Any]:
    """Reconstruct and correlate."""
    word = re.fullmatch(r"([\w-]+?)(?:@([\d.]+))?", name)
    if word is None:
        raise SystemExit(f"no run {name!r}: give METHOD or METHOD@STRENGTH")
    method, strength = word.groups()
    output = folder / f"{re.sub(r'[^a-z0-9.]', '-', name)}-{correction}.mrc"
    wanted: dict[str, Any] = {
        "stack": folder / "tilts.mrc",
        "output": output,
        "method": method,
        "thickness": thickness,
        "linearization": "log" if counting else "linear",
        "offsets": "fit",
        "preview": False,
        "overwrite": True,
    }
    if correction != "none":
        wanted |= {"ctf": folder / "defocus.txt", "voltage": OPTICS.voltage_kv, "ctf_correction": correction}
    own = [] if strength is None else [f"strength={strength}"]
    summary = reconstruct(build_request(wanted, settings=own))
    (first, shape), (second, _) = (
        spectrum(np.asarray(read_volume(path).density)) for path in (output, folder / "truth.mrc")
    )
    shells = shell_correlation(first, second, shape, (-60.0, 60.0))
    return {
        "seconds": summary["seconds"],
        "frequency": shells.frequency.tolist(),
        "correlation": shells.correlation.tolist(),
        "voxels": shells.voxels.tolist(),
    }


def between(found: dict[str, Any], edges: list[float]) -> list[float]:
    """Mean correlation between the edges."""
    frequency, correlation, voxels = (np.array(found[name]) for name in ("frequency", "correlation", "voxels"))
    return [
        float(np.average(correlation[inside], weights=voxels[inside]))
        for inside in ((frequency > low) & (frequency <= high) for low, high in itertools.pairwise(edges))
    ]


def main() -> None:
    """Print one line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="40,96,96")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pixel-size", type=float, default=5.0)
    parser.add_argument("--defocus", type=float, default=3.0)
    parser.add_argument("--snr", type=float, default=2.0)
    parser.add_argument("--counting", action="store_true")
    parser.add_argument("--runs", default="tv,octree")
    parser.add_argument("--corrections", default="none,flip,model,model-from-peak")
    parser.add_argument("--keep", type=Path, help="folder for series, truth and volumes; what it has is not repeated")
    arguments = parser.parse_args()
    shape, pixel = parse_shape(arguments.shape), arguments.pixel_size
    at = zeros(arguments.defocus, pixel)
    edges = [0.0, *at, 0.5]
    names = [f"1/{pixel / low:.1f} to 1/{pixel / high:.1f}" for low, high in itertools.pairwise(edges[1:])]
    head = f"| run | correction | up to 1/{pixel / edges[1]:.1f} Å | " + " | ".join(names) + " | seconds |"
    print(head, "|" + "---|" * (head.count("|") - 1), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "truth.mrc").exists():
            noise: dict[str, Any] = {"snr": arguments.snr, "offsets": 0.5}
            if arguments.counting:
                noise = {"counting": True, "dose_e_per_a2": 3.0}
            found = simulate_experiment(
                shape,
                parse_tilts("-60:60:3"),
                arguments.seed,
                specimen="crowded",
                faults=Faults(defocus_um=arguments.defocus, optics=OPTICS, **noise),
                pixel_size_angstrom=pixel,
            )
            write_stack(folder / "tilts.mrc", found.series)
            write_text(folder / "tilts.tlt", "".join(f"{angle:g}\n" for angle in found.series.geometry.tilt_deg))
            write_text(folder / "defocus.txt", f"{arguments.defocus:g}\n" * found.series.n_views)
            write_volume(folder / "truth.mrc", found.truth)
        for name, correction in itertools.product(arguments.runs.split(","), arguments.corrections.split(",")):
            record = folder / f"{name}-{correction}.json"
            if not record.exists():
                record.write_text(json.dumps(run(name, correction, folder, shape[0], arguments.counting)))
            told = json.loads(record.read_text())
            values = " | ".join(f"{value:.3f}" for value in between(told, edges))
            print(f"| `{name}` | {correction} | {values} | {told['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
