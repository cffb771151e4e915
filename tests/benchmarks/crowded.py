"""Reconstructions of a crowded slab whose views have offsets and noise, against its true density.

    python tests/benchmarks/crowded.py [--cases 48,128,128@1,64,192,192@2] [--runs tv@0.45,octree,measured@0.3]
        [--snr 0.9] [--offsets 0.5] [--set k=v] [--keep FOLDER] [--write docs/results/crowded.md]

A case is a shape Z,Y,X and a seed; a run is METHOD, METHOD:PRESET or METHOD@STRENGTH, or measured@FREQUENCY: the truth
itself, of which nothing is left but what lies between the tilts and below that many cycles a pixel. 41 views of -60 to
60 degrees, of which every fifth is held out; each reconstruction is what ``tomokit reconstruct --transform linear
--offsets fit --hold-out 5`` does. Offsets leave the level unknown, so the reconstruction is scaled and shifted to fit
the truth best before both are compared, in the middle 0.7 of the height: the slab without its surfaces. Bands of the
Fourier shell correlation with the truth are quarters of the frequencies up to Nyquist's, where views measure. With
--keep volumes stay in a folder, and runs that it has are not repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tomokit.io import read_volume, write_stack, write_text, write_volume
from tomokit.metrics.contrast import isolated_per_thousand
from tomokit.metrics.error import fit_scale, psnr
from tomokit.metrics.fourier_shells import shell_correlation
from tomokit.metrics.similarity import windowed_ssim
from tomokit.phantom import Faults, parse_shape, parse_tilts, simulate_experiment
from tomokit.pipeline.config import build_request
from tomokit.pipeline.driver import reconstruct

RUNS = "wbp,tv@0.25,tv@0.45,tv@0.65,octree,measured@0.5,measured@0.3"
CASES = "48,128,128@1,48,128,128@2,48,128,128@3"
BANDS = 4
HEAD = "| case | run | held out | PSNR dB | correlation | SSIM | FSC by quarters | isolated ‰ | seconds |"
MARK = "<!-- table -->\n"


def score(volume: NDArray[np.float32], truth: NDArray[np.float32]) -> dict[str, Any]:
    """How like the truth a volume is inside the slab, after the affine map that makes the error least."""
    cut = round(0.15 * truth.shape[0])
    inner, true = (np.ascontiguousarray(a[cut : truth.shape[0] - cut], np.float64) for a in (volume, truth))
    scale, offset = fit_scale(inner, true, affine=True)
    mapped = scale * inner + offset
    # Windows keep the faces of the box, which the volumes do not end at, out of the spectra.
    window = np.ones(())
    for axis, n in enumerate(true.shape):
        ramp = np.clip(np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / (0.1 * n), 0, 1)
        window = window * np.expand_dims(np.sin(np.pi / 2 * ramp) ** 2, tuple({0, 1, 2} - {axis}))
    spectra = [fft.rfftn((a - a.mean()) * window) for a in (mapped, true)]
    shells = shell_correlation(spectra[0], spectra[1], true.shape, (-60.0, 60.0))
    edges = np.linspace(0, 0.5, BANDS + 1)
    return {
        "psnr_db": psnr(inner, true, scale=scale, offset=offset),
        "correlation": float(np.corrcoef(inner.ravel(), true.ravel())[0, 1]),
        "ssim": windowed_ssim(inner, true, scale=scale, offset=offset),
        "bands": [
            float(np.average(shells.correlation[inside], weights=shells.voxels[inside]))
            for inside in (
                (shells.frequency > low) & (shells.frequency <= high) for low, high in itertools.pairwise(edges)
            )
        ],
        "isolated": isolated_per_thousand(volume),
    }


def measured(truth: NDArray[np.float32], highest: float) -> NDArray[np.float32]:
    """The truth without the missing wedge of tilts to 60 degrees, and without frequencies above `highest`."""
    k_z, k_y, k_x = np.meshgrid(*[fft.fftfreq(n) for n in truth.shape], indexing="ij", sparse=True)
    is_seen = np.abs(k_z) <= np.tan(np.radians(60)) * np.abs(k_x) + 1e-9
    is_seen = is_seen & (k_x**2 + k_y**2 + k_z**2 <= highest**2)
    return np.asarray(fft.ifftn(fft.fftn(truth) * is_seen).real, np.float32)


def run(name: str, stack: Path, thickness: int, output: Path, settings: list[str]) -> dict[str, Any]:
    """Reconstruct, and say what the held-out views say, and how long it took."""
    word = re.fullmatch(r"([\w-]+?)(?::([\w-]+))?(?:@([\d.]+))?", name)
    if word is None:
        raise SystemExit(f"no run {name!r}: give METHOD, METHOD:PRESET or METHOD@STRENGTH")
    method, preset, strength = word.groups()
    wanted = {
        "stack": stack,
        "output": output,
        "method": method,
        "thickness": thickness,
        "linearization": "linear",
        "offsets": "fit",
        "hold_out": "5",
        "preview": False,
        "overwrite": True,
    }
    if method == "wbp":
        del wanted["offsets"]
    own = [] if strength is None else [f"strength={strength}"]
    summary = reconstruct(build_request(wanted, settings=[*settings, *own], preset=preset))
    return {"held_out": summary["held_out"]["correlation"], "seconds": summary["seconds"]}


def row(case: str, name: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    bands = ", ".join(f"{band:.2f}" for band in found["bands"])
    held_out = "" if np.isnan(found["held_out"]) else f"{found['held_out']:.3f}"
    return (
        f"| {case} | `{name}` | {held_out} | {found['psnr_db']:.2f} | {found['correlation']:.3f} "
        f"| {found['ssim']:.3f} | {bands} | {found['isolated']:.2f} | {found['seconds']:.0f} |"
    )


def main() -> None:
    """Print one line per case and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--runs", default=RUNS)
    parser.add_argument("--snr", type=float, default=0.9)
    parser.add_argument("--offsets", type=float, default=0.5)
    parser.add_argument("--set", action="append", default=[], help="an option of the methods, as on the command line")
    parser.add_argument("--keep", type=Path, help="folder for series, truth and volumes")
    parser.add_argument("--write", type=Path, help="a page whose table is replaced")
    arguments = parser.parse_args()
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for case in re.findall(r"\d+,\d+,\d+@\d+", arguments.cases):
            shape, seed = parse_shape(case.split("@")[0]), int(case.split("@")[1])
            label = f"{case.replace(',', 'x')}-{arguments.snr:g}-{arguments.offsets:g}"
            folder = (arguments.keep or Path(temporary)) / label
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "truth.mrc").exists():
                faults = Faults(snr=arguments.snr, offsets=arguments.offsets)
                found = simulate_experiment(shape, parse_tilts("-60:60:3"), seed, specimen="crowded", faults=faults)
                write_stack(folder / "tilts.mrc", found.series)
                angles = found.series.geometry.tilt_deg
                write_text(folder / "tilts.tlt", "".join(f"{angle:g}\n" for angle in angles))
                write_volume(folder / "truth.mrc", found.truth)
            truth = np.asarray(read_volume(folder / "truth.mrc").density)
            for name in arguments.runs.split(","):
                plain = re.sub(r"\W", "-", " ".join([name, *arguments.set]))
                output, record = folder / f"{plain}.mrc", folder / f"{plain}.scores.json"
                if name.startswith("measured@"):
                    whole = {"held_out": float("nan"), "seconds": 0.0}
                    record.write_text(json.dumps(whole | score(measured(truth, float(name.split("@")[1])), truth)))
                if not record.exists():
                    told = run(name, folder / "tilts.mrc", shape[0], output, arguments.set)
                    told |= score(np.asarray(read_volume(output).density), truth)
                    record.write_text(json.dumps(told))
                case_text = f"{' x '.join(map(str, shape))}, seed {seed}"
                lines.append(row(case_text, " ".join([name, *arguments.set]), json.loads(record.read_text())))
                print(lines[-1], flush=True)
    if arguments.write is not None:
        before, _, after = arguments.write.read_text(encoding="utf-8").split(MARK)
        arguments.write.write_text(before + MARK + "\n".join(lines) + "\n" + MARK + after, encoding="utf-8")


if __name__ == "__main__":
    main()
