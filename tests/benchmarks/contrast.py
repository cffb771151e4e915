"""What `--linearization auto` takes series of known contrast for: simulated ones of many kinds, and real ones.

python tests/benchmarks/contrast.py [--seed N] [--write docs/results/contrast.md]

Each series goes through :func:`tomokit.data.interpretation.interpret` as a reconstruction sends it. *Right* is a
decision without doubt, *doubtful* one that is said before the work, *refused* none at all, both options named. A wrong
one without a word makes the exit status 1. Seeds other than 0 have other specimens, fields of view and doses, which the
rule was not made by.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.data.interpretation import Interpretation, interpret
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.io.binning import bin_series
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.sampling import project_analytic
from tomokit.phantom.shells import random_shells

Stack = NDArray[np.floating]
Series = tuple[str, str, Stack, NDArray[np.float64]]
SHARED = Path(os.environ.get("TOMOKIT_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@dataclass(frozen=True)
class Field:
    """The geometry that specimens are projected in, and the thickness of what they lie in, in pixels."""

    tilt_deg: NDArray[np.float64]
    shape_zyx: tuple[int, int, int]
    rng: np.random.Generator

    @property
    def geometry(self) -> TiltGeometry:
        """As of an aligned series."""
        return TiltGeometry(self.tilt_deg, n_u=self.shape_zyx[2], n_v=self.shape_zyx[1])

    @property
    def path(self) -> Stack:
        """Path of the beam through a film, 1 at no tilt: ``[tilt, 1, 1]``."""
        return np.asarray(1 / np.cos(np.radians(self.tilt_deg)))[:, None, None]

    def shells(self) -> Stack:
        """Particles that are in every view, by the project's phantom; the thickest is 1."""
        found = project_analytic(random_shells(self.shape_zyx, int(self.rng.integers(1 << 30))), self.geometry, 1)
        return np.asarray(found / found.max(), dtype=np.float64)

    def balls(self, count: int, low: float, high: float, width: float = 1.0) -> Stack:
        """Balls of radii in parts of the height, over `width` fields; the thickest is about 1."""
        n_z, n_y, n_x = self.shape_zyx
        radius = np.minimum(self.rng.uniform(low, high, count) * n_y, n_z / 2 - 1)
        room = np.array([width * n_x / 2, n_y / 2, n_z / 2])
        centre = self.rng.uniform(-1, 1, (count, 3)) * room
        centre[:, 2] = np.clip(centre[:, 2], radius - n_z / 2, n_z / 2 - radius)
        density = self.rng.uniform(0.4, 1.0, count)
        balls = Ellipsoids(centre, radius[:, None] * np.ones(3), np.tile(np.eye(3), (count, 1, 1)), density)
        found = project_analytic(balls, self.geometry, 1)
        return np.asarray(found / np.percentile(found, 99.9), dtype=np.float64)

    def crowd(self) -> Stack:
        """A specimen that goes on beyond the field: many balls that overlap."""
        return self.balls(int(2500 * self.shape_zyx[2] / 96), 0.02, 0.05, width=2.4)

    def film(self, wedge: float = 0.0) -> Stack:
        """A film without end, of thickness 1, thicker to the right by `wedge`."""
        across = 1 + wedge * np.linspace(-1, 1, self.shape_zyx[2])
        return self.path * across * np.ones((1, self.shape_zyx[1], 1))

    def holes(self, count: int, radius: float) -> Stack:
        """What round holes through that film take from it; radius in parts of the height."""
        n_z, n_y, n_x = self.shape_zyx
        centres = self.rng.uniform(-0.35, 0.35, (count, 2)) * (n_x, n_y)
        depths = np.linspace(-n_z / 2, n_z / 2, max(9, n_z))
        y, x = np.arange(n_y)[:, None] - (n_y - 1) / 2, np.arange(n_x)[None, :] - (n_x - 1) / 2
        taken = np.zeros((self.tilt_deg.size, n_y, n_x))
        for i, tilt in enumerate(np.radians(self.tilt_deg)):
            for z in depths:
                inside = np.zeros((n_y, n_x), dtype=bool)
                for centre_x, centre_y in centres:
                    u = centre_x * np.cos(tilt) - z * np.sin(tilt)
                    inside |= ((x - u) / np.cos(tilt)) ** 2 + (y - centre_y) ** 2 < (radius * n_y) ** 2
                taken[i] += inside
            taken[i] *= 1 / (depths.size * np.cos(tilt))
        return taken

    def needle(self) -> Stack:
        """A rod along the tilt axis, with particles in it."""
        n_z, n_y, _ = self.shape_zyx
        rod = Ellipsoids(np.zeros((1, 3)), np.array([[n_z / 3, 20 * n_y, n_z / 3]]), np.eye(3)[None], np.ones(1))
        found = project_analytic(rod, self.geometry, 1)
        return np.asarray(found / found.max(), dtype=np.float64) + 0.5 * self.balls(12, 0.03, 0.08, width=0.2)


def bright_field(line: Stack, electrons: float, rng: np.random.Generator) -> Stack:
    """Counts behind a specimen of these line integrals."""
    return rng.poisson(electrons * np.exp(-line)).astype(np.float32)


def dark_field(line: Stack, electrons: float, rng: np.random.Generator) -> Stack:
    """Counts scattered by it."""
    return rng.poisson(electrons * np.maximum(line, 0)).astype(np.float32)


def normalized(images: Stack) -> Stack:
    """Views of mean 0 and deviation 1 each."""
    return (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)


def to_bytes(images: Stack, axes: tuple[int, ...]) -> Stack:
    """Stretched to 0 to 255 between percentiles, over these axes together."""
    low, high = np.percentile(images, (0.1, 99.9), axis=axes, keepdims=True)
    return np.clip(np.rint(255 * (images - low) / (high - low)), 0, 255)


def stored_as_int16(images: Stack) -> Stack:
    """Counts of 16 bits less 32768."""
    return np.clip(np.rint(images * 40000 / np.percentile(images, 99.9)), 0, 65535) - 32768


def simulated(seed: int) -> Iterator[Series]:
    """Series of both kinds, each with its name and the end of the grey scale that is dense."""
    rng = np.random.default_rng(seed)
    width = 96 if seed == 0 else int(rng.choice([64, 80, 112, 128]))
    height = 96 if seed == 0 else int(rng.choice([48, 64, 96]))
    thickness = 32 if seed == 0 else int(rng.choice([16, 24, 32]))
    dose = 30.0 if seed == 0 else float(rng.uniform(15, 60))
    strength = 1.0 if seed == 0 else float(rng.uniform(0.6, 1.8))
    field = Field(np.arange(-60, 61, 6.0), (thickness, height, width), rng)
    shells, film, crowd, one, path = field.shells(), field.film(), field.crowd(), field.holes(1, 0.2), field.path
    tilt = field.tilt_deg
    s = strength
    lines: dict[str, Stack] = {
        "shells": s * shells,
        "shells on film": s * (0.5 * shells + 0.3 * film),
        "thick film": s * (0.4 * shells + 1.2 * film),
        "fills the view": s * (0.3 * crowd + 0.3 * film),
        "lamella": s * (0.3 * crowd + 0.5 * field.film(0.5)),
        "one hole": s * (0.4 * shells + 0.5 * (film - one)),
        "seven holes": s * (0.3 * crowd + 0.5 * (film - field.holes(7, 0.1))),
        "pores": s * np.maximum(0.8 * film - 0.4 * field.balls(60, 0.04, 0.1, width=2.2), 0),
        "few particles": s * (0.6 * field.balls(5, 0.05, 0.1) + 0.1 * film),
        "needle": s * 0.7 * field.needle(),
        "beads": s * (0.2 * crowd + 0.3 * film) + 3 * (field.balls(6, 0.02, 0.03) > 0.3),
    }
    kinds: dict[str, tuple[str, Callable[..., Stack]]] = {
        "bright field": ("dark", bright_field),
        "dark field": ("bright", dark_field),
    }
    for name, (dense, image) in kinds.items():
        for specimen, line in lines.items():
            yield f"{name}, {specimen}", dense, image(line, dose, rng), tilt
        for electrons in (1, 2, 3, 5, 10, 100):
            for specimen in ("shells", "fills the view"):
                yield f"{name}, {specimen}, {electrons} e/px", dense, image(lines[specimen], electrons, rng), tilt
        for specimen in ("shells", "shells on film", "one hole"):
            counts = image(lines[specimen], dose, rng)
            label = f"{name}, {specimen}"
            gains, drops = (
                rng.uniform(0.8, 1.25, (tilt.size, 1, 1)),
                rng.uniform(0, 0.3 * counts.std(), (tilt.size, 1, 1)),
            )
            yield f"{label}, gains of views", dense, counts * gains, tilt
            yield f"{label}, offsets of views", dense, counts + drops, tilt
            yield f"{label}, zero-mean", dense, counts - counts.mean(), tilt
            yield f"{label}, views normalized", dense, normalized(counts), tilt
            yield f"{label}, views of mean 1", dense, counts / counts.mean((1, 2), keepdims=True), tilt
            yield f"{label}, bytes", dense, to_bytes(counts, (0, 1, 2)), tilt
            yield f"{label}, bytes by view", dense, to_bytes(counts, (1, 2)), tilt
            yield f"{label}, int16 - 32768", dense, stored_as_int16(counts), tilt
            yield f"{label}, longer exposures at tilt", dense, image(lines[specimen], dose * path, rng), tilt
        counts = image(lines["shells on film"], dose, rng)
        label = f"{name}, shells on film"
        vignette = 1 - 0.5 * np.hypot(*np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))) ** 2 / 2
        yield f"{label}, vignetting", dense, image(lines["shells on film"], dose * vignette, rng), tilt
        yield f"{label}, gradient", dense, counts * np.linspace(0.6, 1.4, width), tilt
        hot = counts.copy()
        hot[:, rng.integers(0, height, 8), rng.integers(0, width, 8)] += 100 * dose
        yield f"{label}, hot pixels", dense, hot, tilt
        border = counts + 5
        border[:, :, : width // 10] = 0
        border[::2, : height // 12] = 0
        yield f"{label}, black borders", dense, border, tilt
        yield f"{label}, 7 views", dense, counts[::3], tilt[::3]
        yield f"{label}, one-sided", dense, counts[10:], tilt[10:]
        yield f"{label}, to 36 degrees", dense, counts[4:17], tilt[4:17]
        yield f"{label}, one black view", dense, np.where(np.arange(tilt.size)[:, None, None] == 4, 0, counts), tilt
        for factor in (2, 4):
            small = bin_series(TiltSeries(counts.astype(np.float32), field.geometry), factor)
            yield f"{label}, binned by {factor}", dense, small.images, tilt
        dose_growth = counts * (1 - 0.12 * (path - 1))
        yield f"{label}, fading beam", dense, dose_growth, tilt
    for specimen in ("shells", "shells on film", "one hole"):
        pedestal = dark_field(lines[specimen] + 2, dose, rng)
        yield f"dark field, {specimen}, pedestal", "bright", pedestal, tilt
        yield f"dark field, {specimen}, pedestal, int16 - 32768", "bright", stored_as_int16(pedestal), tilt
        line = np.log(dose / np.maximum(bright_field(lines[specimen], dose, rng), 0.5))
        yield f"logarithm of bright field, {specimen}", "bright", line, tilt
        noise = 0.1 * lines[specimen].max() * rng.standard_normal(lines[specimen].shape)
        yield f"line integrals, {specimen}", "bright", lines[specimen] + noise, tilt


def real(shared: Path) -> Iterator[Series]:
    """The series in ../shared/data and their variants; none where the folder is absent."""
    from tomokit.io import load_series

    cryo = (
        ("EMPIAR-10643 40", "empiar-10643-40/tilts.mrc", {}),
        ("EMPIAR-10499, aligned", "empiar-10499/tilts-raw.mrc", {"xf": shared / "empiar-10499/final.xf"}),
        ("EMPIAR-10499, raw", "empiar-10499/tilts-raw.mrc", {}),
    )
    for name, path, options in cryo:
        if not (shared / path).is_file():
            continue
        series = load_series(shared / path, **options)
        tilt, images = series.geometry.tilt_deg, np.array(series.images)
        if series.mask is not None:
            images = np.where(series.mask > 0, images, 0)
        yield name, "dark", images, tilt
        yield f"{name}, even views", "dark", images[::2], tilt[::2]
        yield f"{name}, binned by 4", "dark", bin_series(TiltSeries(images, series.geometry), 4).images, tilt
        yield f"{name}, zero-mean", "dark", images - images.mean(), tilt
        yield f"{name}, views normalized", "dark", normalized(images), tilt
        middle = np.s_[:, 200:400, 200:400]
        yield f"{name}, a part", "dark", images[middle], tilt
        yield f"{name}, a part of normalized views", "dark", normalized(images)[middle], tilt
        yield f"{name}, negated", "bright", images.max() - images, tilt
        yield f"{name}, normalized and negated", "bright", -normalized(images), tilt
    if (shared / "shells-a/tilts-clean.mrc").is_file():
        series = load_series(shared / "shells-a/tilts-clean.mrc", angles=shared / "shells-a/tilts.tlt")
        clean = np.array(series.images)
        for sigma in (0.0, 0.02, 0.1, 0.5):
            noise = np.random.default_rng(int(1e4 * sigma)).normal(0, sigma, clean.shape) if sigma else 0.0
            yield f"shells-a, noise {sigma}", "bright", (clean + noise).astype(np.float32), series.geometry.tilt_deg
    cases = (
        ("reference_float.mrc", "dark"), ("haadf_int16_offset.mrc", "bright"), ("haadf_pedestal.mrc", "bright"),
        ("bright_field_hole.mrc", "dark"), ("imod_signed_bytes.st", "dark"),
    )  # fmt: skip
    for name, dense in cases:
        if (shared / "cases" / name).is_file():
            series = load_series(shared / "cases" / name)
            yield f"case {name}", dense, np.array(series.images), series.geometry.tilt_deg


def verdict(dense: str, images: Stack, tilt: NDArray[np.float64]) -> tuple[str, str, str]:
    """What was decided, by what evidence, and how that is to be called."""
    try:
        found: Interpretation = interpret(np.asarray(images, dtype=np.float32), None, tilt)
    except InputError as error:
        return "-", str(error).removeprefix("images: ").split("; give")[0], "refused"
    right = (found.kind == "linear") == (dense == "bright")
    doubted = any("in doubt" in text for text in found.warnings)
    evidence = found.reason.split("; the background")[0]
    if doubted:
        return found.kind, evidence, "doubtful" if right else "doubtful, and wrong"
    return found.kind, evidence, "right" if right else "WRONG"


def main() -> int:
    """Print the table, and the counts of each verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only-simulated", action="store_true")
    options = parser.parse_args()
    rows, counts = [], dict.fromkeys(("right", "doubtful", "refused", "doubtful, and wrong", "WRONG"), 0)
    for source in (simulated(options.seed), () if options.only_simulated else real(SHARED)):
        for name, dense, images, tilt in source:
            kind, evidence, called = verdict(dense, images, tilt)
            counts[called] += 1
            rows.append(f"| {name} | {dense} | `{kind}` | {evidence} | {called} |")
            print(rows[-1], flush=True)
    total = f"{len(rows)} series: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    print(total)
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        head, mark, _ = text.partition("<!-- table -->\n")
        table = "| series | dense | decided | evidence | |\n|---|---|---|---|---|\n" + "\n".join(rows)
        options.write.write_text(f"{head}{mark}\n{total}.\n\n{table}\n", encoding="utf-8")
    return 1 if counts["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
