"""Specimens that lie tilted about x, and boxes anywhere: the tomogram has everything where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from beads import found_in_volume, project, raw_image, transforms

import tomokit
from tomokit.data import TiltSeries
from tomokit.data.levelling import Levelling, mean_density
from tomokit.errors import OptionError
from tomokit.geometry import Alignment, SpecimenFrame, TiltGeometry
from tomokit.geometry.centres import imod_tilt_centre
from tomokit.io import load_series, read_volume, write_stack
from tomokit.pipeline.export import export

TILT = np.arange(-60.0, 61.0, 4.0)
BEADS = np.array([[14.0, -8.0, 6.0], [-15.0, 7.0, -5.0], [3.0, 20.0, 4.0], [-6.0, -20.0, -3.0]])
"""Level positions (x, y, z) in pixels from the tilt axis."""


def _series(
    shape: tuple[int, int], x_tilt: np.ndarray | float = 0.0, tilt_deg: np.ndarray = TILT, points: np.ndarray = BEADS
) -> TiltSeries:
    """Aligned views, tilted about x as the frame says."""
    identity = np.array([1.0, 0, 0, 1, 0, 0])
    tilts = np.broadcast_to(x_tilt, tilt_deg.shape)
    views = [raw_image(shape, project(points, t, a), identity) for t, a in zip(tilt_deg, tilts, strict=True)]
    geometry = TiltGeometry(tilt_deg, n_u=shape[1], n_v=shape[0])
    return TiltSeries(np.array(views, np.float32), geometry, 2.0, frame=SpecimenFrame(float(np.mean(tilts))))


def _errors(volume: np.ndarray, centre: tuple[float, float, float] = (0, 0, 0), points: np.ndarray = BEADS) -> float:
    """How far beads are from where they are, in voxels, the worst."""
    middle = (np.array(volume.shape) - 1) / 2
    expected = (points - np.array(centre))[:, ::-1] + middle
    return float(np.abs(found_in_volume(volume, expected) - expected).max())


def _reconstruct(series: TiltSeries | Path, **options: object) -> tomokit.Reconstruction:
    given = {
        "thickness": 24,
        "method": "wbp",
        "linearization": "linear",
        "offsets": "zero",
        "backend": "cpu",
        **options,
    }
    return tomokit.reconstruct(series, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(64, 56), (65, 57)], ids=["even", "odd"])
@pytest.mark.parametrize("x_tilt", [0.0, 3.0, -6.0])
def test_beads_of_raw_images_lie_where_they_are(tmp_path: Path, shape: tuple[int, int], x_tilt: float) -> None:
    """Rotation, shift and magnification of every view, a pretilt and a tilt about x: to 0.15 pixels in 3-D."""
    rows, pretilt = transforms(TILT.size), 5.0
    views = [raw_image((70, 71), project(BEADS, t + pretilt, x_tilt), row) for t, row in zip(TILT, rows, strict=True)]
    write_stack(tmp_path / "raw.mrc", np.array(views, np.float32), pixel_size_angstrom=2.0)
    used = np.ones(TILT.size, bool)
    alignment = Alignment(TILT, rows, np.full(TILT.size, x_tilt), used, pretilt, aligned_shape=shape)
    series = load_series(tmp_path / "raw.mrc", alignment=alignment)
    result = _reconstruct(series)
    assert result.volume.density.shape == (24, *shape)
    assert _errors(result.volume.density) < 0.15


@pytest.mark.parametrize("method", ["wbp", "sirt", "octree"])
def test_every_method_levels(method: str) -> None:
    options = {"epochs": 12} if method == "sirt" else {"epochs": 6} if method == "octree" else {}
    result = _reconstruct(_series((64, 56), 5.0), method=method, options=options)
    assert result.volume.density.shape == (24, 64, 56)
    assert _errors(result.volume.density) < 0.3
    level = result.provenance["level"]
    assert level["x_tilt_deg"] == 5.0
    assert result.volume.provenance["x tilt"] == "levelled by 5 degrees"


def test_a_slab_with_pretilt_and_tilt_about_x_is_level() -> None:
    """A plane of points at z = 4, pretilted by 10 degrees and turned by 2 about x: fitted, it is level."""
    rng = np.random.default_rng(0)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-24, 25, 12.0), np.arange(-28, 29, 14.0)))
    points = np.stack([x + rng.uniform(-2, 2, x.size), y + rng.uniform(-2, 2, x.size), np.full(x.size, 4.0)], axis=1)
    # The stage's angles: those of the specimen are 10 degrees more.
    views = [raw_image((76, 70), project(points, t, 2.0), np.array([1.0, 0, 0, 1, 0, 0])) for t in TILT]
    series = TiltSeries(np.array(views, np.float32), TiltGeometry(TILT - 10, 70, 76), 1.0)

    def plane(**options: float) -> np.ndarray:
        volume = _reconstruct(series, thickness=36, **options).volume.density
        middle = (np.array(volume.shape) - 1) / 2
        slope = np.tan(np.deg2rad([10.0, 2.0])) if not options else (0, 0)
        # Where a specimen that is not levelled has these points, to look for them.
        seen = points.copy()
        seen[:, 2] += slope[0] * points[:, 0] + slope[1] * points[:, 1]
        found = found_in_volume(volume, seen[:, ::-1] + middle, half=4) - middle
        design = np.stack([found[:, 2], found[:, 1], np.ones(x.size)], axis=1)
        return np.linalg.lstsq(design, found[:, 0], rcond=None)[0]

    slope_x, slope_y, height = plane(tilt_offset=10.0, x_tilt=2.0)
    assert abs(np.rad2deg(np.arctan(slope_x))) < 0.1
    assert abs(np.rad2deg(np.arctan(slope_y))) < 0.1
    assert height == pytest.approx(4.0, abs=0.1)
    # The measure tells: without the options the plane is tilted by what they say.
    slope_x, slope_y, _ = plane()
    assert np.rad2deg(np.arctan(slope_x)) == pytest.approx(10, abs=0.7)
    assert np.rad2deg(np.arctan(slope_y)) == pytest.approx(2, abs=0.4)


def test_tilts_about_x_that_vary_are_folded_told_and_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    x_tilt = 3 + rng.uniform(-1.0, 1.0, TILT.size)
    rows = transforms(TILT.size, 2.0)
    views = [raw_image((70, 71), project(BEADS, t, a), row) for t, a, row in zip(TILT, x_tilt, rows, strict=True)]
    write_stack(tmp_path / "raw.mrc", np.array(views, np.float32), pixel_size_angstrom=2.0)
    alignment = Alignment(TILT, rows, x_tilt, np.ones(TILT.size, bool))
    result = _reconstruct(load_series(tmp_path / "raw.mrc", alignment=alignment))
    assert _errors(result.volume.density) < 0.2
    (told,) = [text for text in result.summary["warnings"] if "x-axis tilts vary" in text]
    assert "up to 0.29 pixels off" in told
    with pytest.raises(OptionError, match=r"--x-tilt-error: x-axis tilts vary by up to 1\.03 degrees"):
        _reconstruct(load_series(tmp_path / "raw.mrc", alignment=alignment), x_tilt_error=0.2)


@pytest.mark.parametrize("x_tilt", [0.0, 4.0])
@pytest.mark.parametrize(
    ("center", "size"),
    [((4.0, -6.0, 3.0), (40, 44, 22)), ((3.5, 2.0, -2.25), (41, 45, 25)), ((0.0, 0.0, 5.0), None)],
)
def test_a_box_anywhere(x_tilt: float, center: tuple[float, float, float], size: tuple[int, int, int] | None) -> None:
    series = _series((64, 56), x_tilt)
    whole = _reconstruct(series, thickness=36).volume
    sizes = {"size": size, "thickness": None} if size else {"thickness": 30}
    part = _reconstruct(series, center=center, **sizes).volume
    n_x, n_y, n_z = size or (56, 64, 30)
    assert part.density.shape == (n_z, n_y, n_x)
    # Rows are those of the views where nothing is turned.
    snapped = center[1] if x_tilt or (center[1] + (64 - n_y) / 2) % 1 == 0 else center[1] + 0.5
    middle = (center[0], snapped, center[2])
    inside = np.array([[14.0, -8.0, 6.0], [-6.0, -20.0, -3.0]] if center[1] < 0 else BEADS[:2])
    assert _errors(part.density, middle, inside) < 0.2
    # Parts and whole overlay each other by their origins.
    origin = np.array(middle) - (np.array([n_x, n_y, n_z]) - 1) / 2 + (np.array([56, 64, n_z]) - 1) / 2
    np.testing.assert_allclose(np.array(part.origin_angstrom) / 2.0, origin, atol=1e-9)
    assert whole.origin_angstrom == (0.0, 0.0, 0.0)


def test_a_box_that_is_only_smaller_is_a_part_of_the_whole() -> None:
    series = _series((64, 56))
    whole = _reconstruct(series).volume.density
    part = _reconstruct(series, size=(40, 20, 24), center=(2, -4, 0), thickness=None).volume
    np.testing.assert_array_equal(part.density, whole[:, 18:38, 10:50])
    assert part.origin_angstrom == (20.0, 36.0, 0.0)


@pytest.mark.parametrize("n", [24, 25])
def test_a_volume_on_the_voxels_of_imod(n: int) -> None:
    """IMOD's tilt has the centre of an odd thickness half a voxel lower: a centre of 0.5 gives its very sections."""
    centre_z = (n - 1) / 2 - imod_tilt_centre(n)
    assert centre_z == (0.5 if n % 2 else 0)
    volume = _reconstruct(_series((64, 56)), thickness=n, center=(0, 0, centre_z)).volume.density
    # Where IMOD has the beads: from 1, at z + THICKNESS / 2 + 0.5 with a division of whole numbers.
    expected = np.stack([BEADS[:, 2] + n // 2 + 0.5 - 1, BEADS[:, 1] + 31.5, BEADS[:, 0] + 27.5], axis=1)
    assert np.abs(found_in_volume(volume, expected) - expected).max() < 0.15


def test_binning_keeps_the_places() -> None:
    series = _series((66, 58), 4.0)
    part = _reconstruct(series, bin=2, center=(4, 2, -2), size=(48, 48, 24), thickness=None).volume
    assert part.density.shape == (12, 24, 24)
    expected = (BEADS[:2] - [4, 2, -2])[:, ::-1] / 2 + (np.array([12, 24, 24]) - 1) / 2
    assert np.abs(found_in_volume(part.density, expected) - expected).max() < 0.15


@pytest.mark.parametrize("options", [{"x_tilt": 4.0}, {"size": "40,48,20", "center": "3.5,-4,2"}])
def test_slabs_change_no_bit(tmp_path: Path, options: dict[str, object]) -> None:
    series = _series((64, 56), 0.0)
    thickness = None if "size" in options else 24
    files = []
    for slabs in (1, 2, 4):
        out = tmp_path / f"{slabs}.mrc"
        result = _reconstruct(series, output=out, slabs=slabs, thickness=thickness, preview=False, **options)
        assert result.summary["slabs"] == slabs
        files.append(out.read_bytes())
    assert files[0] == files[1] == files[2]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("method", ["sirt", "octree"])
@pytest.mark.parametrize("box", [{"x_tilt": 4.0, "thickness": 24}, {"size": "40,48,20", "center": "3.5,-4,2"}])
def test_export_of_a_state_is_the_tomogram(tmp_path: Path, method: str, box: dict[str, object]) -> None:
    series = _series((64, 56), 0.0)
    write_stack(tmp_path / "ts.mrc", series)
    np.savetxt(tmp_path / "ts.tlt", TILT)
    out, state = tmp_path / "o.mrc", tmp_path / "run.h5"
    _reconstruct(
        tmp_path / "ts.mrc", method=method, options={"epochs": 2}, output=out, state=state,
        **{"thickness": None, "aligned": True, **box},
    )  # fmt: skip
    made, written = read_volume(out), export(state, tmp_path / "e.mrc")
    exported = read_volume(tmp_path / "e.mrc")
    np.testing.assert_array_equal(exported.density, made.density)
    assert exported.origin_angstrom == made.origin_angstrom
    assert written["shape"] == list(made.density.shape)
    # A box of it at another spacing lies where it should: the same point in both.
    export(state, tmp_path / "f.mrc", box=((2, 12), (10, 30), (5, 25)), spacing_angstrom=1.0)
    fine = read_volume(tmp_path / "f.mrc").density
    assert fine.shape == (20, 40, 40)
    means = fine.reshape(10, 2, 20, 2, 20, 2).mean(axis=(1, 3, 5))
    assert np.corrcoef(means.ravel(), made.density[2:12, 10:30, 5:25].ravel())[0, 1] > 0.97


def test_a_resumed_run_levels_too(tmp_path: Path) -> None:
    write_stack(tmp_path / "ts.mrc", _series((64, 56), 4.0))
    np.savetxt(tmp_path / "ts.tlt", TILT)
    given = {"method": "sirt", "aligned": True, "x_tilt": 4.0}
    whole = _reconstruct(tmp_path / "ts.mrc", options={"epochs": 3}, **given).volume
    _reconstruct(tmp_path / "ts.mrc", options={"epochs": 2}, state=tmp_path / "run.h5", **given)
    resumed = tomokit.resume(tmp_path / "run.h5", epochs=3).volume
    np.testing.assert_array_equal(resumed.density, whole.density)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "40,40,20"}, "--thickness: does not go with --size"),
        ({"size": "40,40,20", "thickness": None, "y": "2:20"}, "--y: does not go with --size"),
        ({"center": "0,0,3", "y": "2:20"}, "--y: does not go with --center"),
        ({"size": "40,40", "thickness": None}, "--size: '40,40' is not X,Y,Z"),
        ({"size": "40,40,inf", "thickness": None}, "--size: .* is no size"),
        ({"size": "40,40,0", "thickness": None}, "--size: .* is no size"),
        ({"size": "57,40,10", "thickness": None}, "--size: 57,40 where the views have 56 x 64"),
        ({"center": "0,nan,0"}, "--center: .* is no place"),
        ({"center": "0,3,0"}, "--center: the box goes beyond the views along y: rows 3 to 66 of 64"),
        ({"center": "0,300,0", "x_tilt": 2.0}, "--center: the box lies beside the views"),
        ({"x_tilt": 60.0}, "--x-tilt: 60 degrees"),
        ({"thickness": None}, "--thickness: is not given"),
    ],
)
def test_what_is_no_box_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _reconstruct(_series((64, 56)), **options)


def test_levelling_is_a_spline_about_x() -> None:
    """Against SciPy's own spline, and at any block."""
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(0)
    volume = rng.normal(size=(20, 90, 7)).astype(np.float32)
    for shape, tilt, first in (((14, 80, 5), 2.0, 1), ((40, 100, 7), -8.0, 0)):
        levelling = Levelling(tilt, shape, (9.8, 44.2), first)
        assert Levelling.from_json(levelling.to_json()) == levelling
        level = levelling.apply(volume, 7.0)
        section, row = levelling.positions(np.arange(shape[0])[:, None], np.arange(shape[1])[None, :])
        outside = (section < -0.5) | (section > 19.5) | (row < -0.5) | (row > 89.5)
        for column in range(shape[2]):
            plane = volume[:, :, column + first].astype(float)
            at = [np.clip(section, 0, 19), np.clip(row, 0, 89)]
            expected = np.where(outside, 7.0, map_coordinates(plane, at, order=3, mode="mirror"))
            np.testing.assert_allclose(level[:, :, column], expected, atol=3e-6)
    assert mean_density(volume) == pytest.approx(float(volume.mean(dtype=float)))
