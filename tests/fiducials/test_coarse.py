"""Models of Etomo's coarsely aligned stack: taken to the aligned views, whatever is binned, and only where they fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bead_series import BEADS, GEOMETRY, bead_series, imod_model, model_points

from tomokit.data import TiltSeries
from tomokit.errors import InputError
from tomokit.fiducials.coarse import align_model
from tomokit.fiducials.model import read_fiducials
from tomokit.pipeline.beads import beads_of, mask_beads

N = GEOMETRY.n_views


def transforms(angle_deg: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = np.deg2rad(angle_deg + rng.normal(0, 0.5, N))
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c, -s, s, c, *rng.normal(0, 12, (2, N))], axis=1)


COARSE, FINAL = transforms(0.0, 1), transforms(85.0, 2)


def coarse_points(size: tuple[int, int], raw_per_pixel: float, raw_per_model_pixel: float) -> list[np.ndarray]:
    """Where the beads of the aligned views are in the coarsely aligned ones, by the formula the other way round."""
    contours = []
    for points in model_points():
        moved = []
        for x, y, view in points:
            at = int(view)
            aligned = (np.array([x, y]) - np.array([GEOMETRY.n_u, GEOMETRY.n_v]) / 2) * raw_per_pixel
            raw = np.linalg.solve(FINAL[at, :4].reshape(2, 2), aligned - FINAL[at, 4:])
            coarse = COARSE[at, :4].reshape(2, 2) @ raw + COARSE[at, 4:]
            moved.append([*(coarse / raw_per_model_pixel + np.array(size) / 2), view])
        contours.append(np.array(moved))
    return contours


def etomo(folder: Path, raw_per_pixel: float, raw_per_model_pixel: float) -> Path:
    raw = (int(GEOMETRY.n_v * raw_per_pixel), int(GEOMETRY.n_u * raw_per_pixel))  # the views lie across the raw ones
    size = (int(raw[0] / raw_per_model_pixel), int(raw[1] / raw_per_model_pixel))
    contours = coarse_points(size, raw_per_pixel, raw_per_model_pixel)
    (folder / "TS.fid").write_bytes(imod_model(contours, (*size, N)))
    for suffix, rows in (("prexg", COARSE), ("xf", FINAL)):
        np.savetxt(folder / f"TS.{suffix}", rows, fmt="%.7f")
    command = f"$newstack -StandardInput\nTransformFile TS.xf\nBinByFactor {raw_per_pixel:.0f}\n"
    (folder / "newst.com").write_text(command)
    return folder / "TS.fid"


def series() -> TiltSeries:
    return TiltSeries(images=bead_series(), geometry=GEOMETRY)


@pytest.mark.parametrize(("raw_per_pixel", "raw_per_model_pixel"), [(1.0, 1.0), (2.0, 1.0), (2.0, 2.0)])
def test_points_are_taken_to_the_aligned_views(
    tmp_path: Path, raw_per_pixel: float, raw_per_model_pixel: float
) -> None:
    model = read_fiducials(etomo(tmp_path, raw_per_pixel, raw_per_model_pixel))
    moved = align_model(
        model, COARSE, FINAL, shape=(GEOMETRY.n_v, GEOMETRY.n_u), raw_per_pixel=raw_per_pixel,
        raw_per_model_pixel=raw_per_model_pixel,
    )  # fmt: skip
    for contour, points in zip(moved.contours, model_points(), strict=True):
        np.testing.assert_allclose(contour.points, points, atol=1e-3)


@pytest.mark.parametrize("binned", [1.0, 2.0])
def test_the_beads_of_an_aligned_stack_are_those_of_its_coarse_model(tmp_path: Path, binned: float) -> None:
    beads = beads_of(series(), etomo(tmp_path, binned, 1.0))
    assert beads is not None
    assert "taken to the aligned views by TS.prexg and TS.xf" in beads.warnings[0]
    np.testing.assert_allclose([bead.fit.xyz_px for bead in beads.beads], BEADS, atol=0.3)


def test_the_beads_of_a_raw_stack_go_through_its_own_alignment(tmp_path: Path) -> None:
    path = etomo(tmp_path, 1.0, 1.0)
    (tmp_path / "TS.xf").unlink()
    raw = (N, GEOMETRY.n_u, GEOMETRY.n_v)
    masked, told = mask_beads(series(), path, list(range(N)), raw, FINAL)
    assert "by TS.prexg" in told[0]
    assert masked.provenance["beads"]["beads"] == len(BEADS)


def test_a_model_of_the_aligned_views_stays_as_it_is(tmp_path: Path) -> None:
    path = etomo(tmp_path, 1.0, 1.0)
    path.write_bytes(imod_model(model_points()))
    beads = beads_of(series(), path)
    assert beads is not None
    assert beads.warnings == []
    np.testing.assert_allclose([bead.fit.xyz_px for bead in beads.beads], BEADS, atol=0.3)


def test_without_the_coarse_transforms_it_is_refused_with_the_other_way(tmp_path: Path) -> None:
    path = etomo(tmp_path, 1.0, 1.0)
    (tmp_path / "TS.prexg").unlink()
    with pytest.raises(InputError, match="--mask-beads auto, which finds beads without a model"):
        mask_beads(series(), path, list(range(N)), (N, GEOMETRY.n_u, GEOMETRY.n_v), FINAL)
