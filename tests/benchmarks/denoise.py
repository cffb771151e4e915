"""Denoising by networks trained on halves, against methods with priors: on a slab with a truth, on a real series.

    python tests/benchmarks/denoise.py [--cases 48,128,128@1,shells-a@0.2] [--runs wbp,sirt,tv,octree]
        [--pairs sirt/wbp] [--steps 1200] [--threads 2] [--keep FOLDER] [--write docs/results/denoise.md]
    python tests/benchmarks/denoise.py --series FOLDER [--rows 210:610] [--bin 4] ...

A pair INPUT/TARGET is ``tomokit denoise INPUT.mrc --target TARGET.mrc`` of what ``tomokit reconstruct --halves
--hold-out 5`` made by these methods. Phantoms are those of ``crowded.py``, and some rows of that of ``quality.py``;
scores are those of the former. On the series every volume is projected onto the views that were held out, and is scored
as fits are: correlation over pixels, and by rings of 0.05 cycles a pixel. With --keep volumes stay, and what is
there is not made again. The plugin tomokit-denoise has to be installed.
"""

from __future__ import annotations

import argparse
import itertools
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from crowded import score
from numpy.typing import NDArray
from quality import shells
from scipy import fft

from tomokit.geometry import TiltGeometry
from tomokit.io import read_volume, write_stack, write_text
from tomokit.metrics.contrast import isolated_per_thousand
from tomokit.metrics.fourier_shells import shell_correlation
from tomokit.phantom import Faults, parse_shape, parse_tilts, simulate_experiment
from tomokit.pipeline.config import build_request
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.held_out import HeldOut
from tomokit.pipeline.progress import Silent
from tomokit.projector import DenseProjector

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "empiar-10643-40"
SHELLS_ROWS = (96, 160)
"""Of the 256 rows of shells-a along the tilt axis, which are all alike."""

MARKS = {"phantom": "<!-- phantom -->\n", "series": "<!-- series -->\n"}
HEADS = {
    "phantom": "| case | volume | PSNR dB | correlation | SSIM | FSC by quarters | isolated ‰ | seconds |",
    "series": "| volume | correlation | mean over rings | rings of 0.05 cycles a pixel | isolated ‰ | seconds |",
}


class Projected:
    """A finished volume in the place of a run, for the scores of held-out views.

    Parameters
    ----------
    volume : ndarray of float32, shape (n_z, n_y, n_x)
    """

    def __init__(self, volume: NDArray[np.float32]) -> None:
        self._density = np.ascontiguousarray(volume.transpose(2, 0, 1))

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Line integrals, in any unit: the scores have none.

        Parameters
        ----------
        geometry : TiltGeometry

        Returns
        -------
        ndarray of float32, shape (n_views, n_u, n_v)
        """
        n_x, n_z, _ = self._density.shape
        return np.asarray(DenseProjector(geometry, n_z, n_x)(self._density), np.float32)


def request_of(stack: dict[str, Any], name: str, output: Path, halves: bool, threads: int) -> Any:
    """The job of a name METHOD, METHOD:PRESET or METHOD@STRENGTH."""
    word = re.fullmatch(r"([\w-]+?)(?::([\w-]+))?(?:@([\d.]+))?", name)
    if word is None:
        raise SystemExit(f"no method {name!r}: give METHOD, METHOD:PRESET or METHOD@STRENGTH")
    method, preset, strength = word.groups()
    wanted = {**stack, "output": output, "method": method, "hold_out": "5", "preview": False, "overwrite": True}
    wanted |= {"halves": halves, "threads": threads}
    if method == "wbp":
        wanted.pop("offsets", None)
    return build_request(wanted, settings=[] if strength is None else [f"strength={strength}"], preset=preset)


def made(stack: dict[str, Any], name: str, folder: Path, halves: bool, threads: int) -> tuple[Path, float]:
    """The volume of a method, with its halves where they are wanted, and the seconds that it took."""
    output = folder / f"{re.sub(r'[^A-Za-z0-9]', '-', name)}{'-halves' if halves else ''}.mrc"
    record = output.with_suffix(".seconds")
    if not record.exists():
        record.write_text(str(reconstruct(request_of(stack, name, output, halves, threads))["seconds"]))
    return output, float(record.read_text())


def denoised(stack: dict[str, Any], pair: str, folder: Path, steps: int, threads: int) -> tuple[Path, float]:
    """The volume of a pair INPUT/TARGET, and the seconds of training and application."""
    from tomokit_denoise.denoise import DenoisingJob, denoise
    from tomokit_denoise.find_halves import find_halves
    from tomokit_denoise.training import TrainingOptions

    given, target = (made(stack, name, folder, True, threads)[0] for name in pair.split("/"))
    output = folder / f"{re.sub(r'[^A-Za-z0-9]', '-', pair)}-{steps}.mrc"
    record = output.with_suffix(".seconds")
    if not record.exists():
        job = DenoisingJob(
            find_halves([given]), output, None if target == given else find_halves([target]),
            TrainingOptions(steps=steps), device="cpu", threads=threads,
            save_model=output.with_suffix(".pt"), overwrite=True,
        )  # fmt: skip
        began = time.perf_counter()
        denoise(job, Silent())
        record.write_text(str(time.perf_counter() - began))
    return output, float(record.read_text())


def agreement(pair: str, folder: Path, volume: Path) -> str:
    """How well each half predicts the other, before and after, where the network was not trained: lines of a table.

    Fourier shell correlation over all directions in bands of 0.1 cycles a voxel: of the target's halves, of what the
    network is given with the target's other half, and of what it makes of that with the same.
    """
    from tomokit_denoise.blocks import denoised_half
    from tomokit_denoise.find_halves import find_halves
    from tomokit_denoise.halves import open_halves
    from tomokit_denoise.model_file import read_model
    from tomokit_denoise.patches import HELD_OUT_SHARE

    given, target = (
        open_halves(*find_halves([folder / f"{re.sub(r'[^A-Za-z0-9]', '-', name)}-halves.mrc"]))
        for name in pair.split("/")
    )
    network, _ = read_model(volume.with_suffix(".pt"))
    n_z, n_y, n_x = given.shape
    kept = slice(n_y - n_y // HELD_OUT_SHARE, n_y), slice(0, n_x)
    block = slice(0, n_z), *kept
    made = [denoised_half(network, given, half, block, "cpu") for half in (0, 1)]
    before, target_halves = ([each.read(half, block) for half in (0, 1)] for each in (given, target))
    lines = []
    for name, halves in (
        (f"halves of {pair.split('/')[1]}", target_halves),
        (f"of {pair.split('/')[0]}", before),
        ("denoised", made),
    ):
        bands = np.mean([_bands(halves[half], target_halves[1 - half]) for half in (0, 1)], axis=0)
        lines.append(f"| {name} | " + " ".join(f"{band:.2f}" for band in bands) + " |")
    return "\n".join(lines)


def _bands(first: NDArray[np.float32], second: NDArray[np.float32]) -> list[float]:
    window = np.ones(())
    for axis, n in enumerate(first.shape):
        window = window * np.expand_dims(np.hanning(n + 2)[1:-1], tuple({0, 1, 2} - {axis}))
    spectra = [fft.rfftn((each - each.mean()) * window) for each in (first, second)]
    shells_found = shell_correlation(spectra[0], spectra[1], first.shape)
    edges = np.linspace(0, 0.5, 6)
    return [
        float(np.average(shells_found.correlation[inside], weights=shells_found.voxels[inside]))
        for inside in (
            (shells_found.frequency > low) & (shells_found.frequency <= high) for low, high in itertools.pairwise(edges)
        )
    ]


def phantom(case: str, folder: Path) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """The series of a case as a job, and its truth."""
    if case.startswith("shells-a@"):
        series, whole, _ = shells(float(case.split("@")[1]))
        rows = slice(*SHELLS_ROWS)
        truth, job = np.asarray(whole.density)[:, rows], {"y": f"{rows.start}:{rows.stop}"}
    else:
        shape, seed = parse_shape(case.split("@")[0]), int(case.split("@")[1])
        faults = Faults(snr=0.9, offsets=0.5)
        found = simulate_experiment(shape, parse_tilts("-60:60:3"), seed, specimen="crowded", faults=faults)
        series, truth, job = found.series, np.asarray(found.truth.density), {"offsets": "fit"}
    if not (folder / "tilts.tlt").exists():
        write_stack(folder / "tilts.mrc", series)
        write_text(folder / "tilts.tlt", "".join(f"{angle:g}\n" for angle in series.geometry.tilt_deg))
    return {"stack": folder / "tilts.mrc", "thickness": truth.shape[0], "linearization": "linear", **job}, truth


def real(arguments: argparse.Namespace) -> dict[str, Any]:
    """The real series as a job."""
    return {
        "stack": arguments.series / "tilts.mrc",
        "mask": arguments.series / "mask.mrc",
        "linearization": "log",
        "thickness": 320,
        "bin": arguments.bin,
        "y": arguments.rows,
    }


def held_out(stack: dict[str, Any]) -> HeldOut:
    """The views of a series that no volume was fitted to."""
    from tomokit.pipeline.opening import open_job
    from tomokit.pipeline.readers import find_reader

    request = build_request({**stack, "method": "sirt", "hold_out": "5", "preview": False})
    views = open_job(request, find_reader(request.stack), Silent()).prepared.held_out
    if views is None:
        raise SystemExit("no view was held out")
    return views


def main() -> None:
    """Print one line per volume."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="48,128,128@1,shells-a@0.2")
    parser.add_argument("--runs", default="wbp,sirt,tv,octree")
    parser.add_argument("--pairs", default="sirt/wbp")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--series", type=Path, help=f"a real series in place of phantoms, such as {SHARED}")
    parser.add_argument("--rows", default="210:610", help="rows of the series along the tilt axis")
    parser.add_argument("--bin", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="folder for series, truth and volumes")
    parser.add_argument("--picture", type=Path, help="slices of all volumes of the last case, beside each other")
    parser.add_argument("--write", type=Path, help="a page whose table is replaced")
    arguments = parser.parse_args()
    kind = "phantom" if arguments.series is None else "series"
    lines = [HEADS[kind], "|" + "---|" * (HEADS[kind].count("|") - 1)]
    print("\n".join(lines), flush=True)
    agreements: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        keep = arguments.keep or Path(temporary)
        for case in [""] if arguments.series else re.findall(r"(?:\d+,\d+,\d+|shells-a)@[\d.]+", arguments.cases):
            folder = keep / (case.replace(",", "x") or "series")
            folder.mkdir(parents=True, exist_ok=True)
            stack, truth = (real(arguments), None) if arguments.series else phantom(case, folder)
            views = held_out(stack) if truth is None else None
            pictured = {} if truth is None else {"truth": truth}
            names = [word for word in f"{arguments.runs},{arguments.pairs}".split(",") if word]
            for name in names:
                if "/" in name:
                    path, seconds = denoised(stack, name, folder, arguments.steps, arguments.threads)
                else:
                    path, seconds = made(stack, name, folder, False, arguments.threads)
                volume = np.array(read_volume(path).density)
                pictured[name if "/" not in name else f"denoise {name}"] = volume
                label = f"`denoise` {name}" if "/" in name else f"`{name}`"
                if truth is not None:
                    lines.append(phantom_row(case, label, score(volume, truth), seconds))
                elif views is not None:
                    lines.append(series_row(label, views.score(Projected(volume)), volume, seconds))  # type: ignore[arg-type]
                print(lines[-1], flush=True)
                if "/" in name:
                    agreements.append(agreement(name, folder, path))
        if arguments.picture is not None:
            draw(pictured, arguments.picture)
    print("\n".join(["", *agreements]), flush=True)
    if arguments.write is not None:
        before, _, after = arguments.write.read_text(encoding="utf-8").split(MARKS[kind])
        text = MARKS[kind] + "\n".join(lines) + "\n" + MARKS[kind]
        arguments.write.write_text(before + text + after, encoding="utf-8")


def phantom_row(case: str, label: str, found: dict[str, Any], seconds: float) -> str:
    """One line of the table of phantoms."""
    name, number = case.replace(",", " x ").split("@")
    kind = "noise" if name == "shells-a" else "seed"
    bands = ", ".join(f"{band:.2f}" for band in found["bands"])
    return (
        f"| {name}, {kind} {number} | {label} | {found['psnr_db']:.2f} | {found['correlation']:.3f} "
        f"| {found['ssim']:.3f} | {bands} | {found['isolated']:.1f} | {seconds:.0f} |"
    )


def series_row(label: str, found: dict[str, Any], volume: NDArray[np.float32], seconds: float) -> str:
    """One line of the table of the real series."""
    rings = " ".join(f"{ring:.2f}" for ring in found["ring_correlation"] if ring is not None)
    return (
        f"| {label} | {found['correlation']:.4f} | {found['mean_ring_correlation']:.3f} | {rings} "
        f"| {isolated_per_thousand(volume):.1f} | {seconds:.0f} |"
    )


def draw(volumes: dict[str, NDArray[np.float32]], picture: Path) -> None:
    """A slice in the middle and one across it of each volume, dense is dark, each in its own grey scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_z, n_y, n_x = next(iter(volumes.values())).shape
    # Extents are in inches of 60 voxels.
    figure = Figure(
        figsize=(len(volumes) * n_x / 60, (n_y + n_z) / 60 + 0.4), dpi=100, facecolor="white", layout="constrained"
    )
    axes = figure.subplots(2, len(volumes), squeeze=False, height_ratios=(n_y, n_z))
    for column, (name, volume) in zip(axes.T, volumes.items(), strict=True):
        low, high = np.percentile(volume[n_z // 4 : -(n_z // 4)], (1, 99.7))
        for place, section in zip(column, (volume[n_z // 2], volume[:, n_y // 2]), strict=True):
            place.imshow(section, cmap="gray_r", vmin=low, vmax=high, origin="lower", interpolation="nearest")
            place.set_axis_off()
        column[0].set_title(name, fontsize=9)
    FigureCanvasAgg(figure)
    figure.savefig(picture)


if __name__ == "__main__":
    main()
