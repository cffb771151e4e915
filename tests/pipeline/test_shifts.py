"""Residual shifts of views are exact in every method, in predictions, and in slabs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from beads import found_in_volume, project, raw_image

import tomokit
from tomokit.data import TiltSeries
from tomokit.geometry import TiltGeometry

TILT = np.arange(-60.0, 61.0, 5.0)
BEADS = np.array([[9.0, -6.0, 3.0], [-8.0, 7.0, -3.0]])
IDENTITY = np.array([1.0, 0, 0, 1, 0, 0])
EPOCHS = {"octree": 6, "sirt": 10, "sart": 3, "sart-tv": 3, "tv": 30}


@pytest.fixture(scope="module")
def shifted() -> TiltSeries:
    """Views of which each is moved by its own shift of up to 4 pixels along either axis."""
    rng = np.random.default_rng(1)
    shifts = rng.uniform(-4, 4, (2, TILT.size))
    images = [raw_image((44, 40), project(BEADS, t) + shift, IDENTITY) for t, shift in zip(TILT, shifts.T, strict=True)]
    return TiltSeries(np.array(images, np.float32), TiltGeometry(TILT, 40, 44, *shifts), 1.0)


def _reconstruct(series: TiltSeries, method: str, **options: object) -> tomokit.Reconstruction:
    given: dict[str, object] = {
        "thickness": 14,
        "linearization": "linear",
        "offsets": "zero",
        "backend": "cpu",
        **options,
    }
    epochs = {"epochs": EPOCHS[method]} if method in EPOCHS else {}
    return tomokit.reconstruct(series, method=method, options=epochs, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["wbp", "sirt", "sart", "sart-tv", "tv", "octree"])
def test_every_method_honours_them(shifted: TiltSeries, method: str) -> None:
    result = _reconstruct(shifted, method, hold_out=5)
    expected = BEADS[:, ::-1] + (np.array(result.volume.density.shape) - 1) / 2
    z, y, x = np.abs(found_in_volume(result.volume.density, expected) - expected).max(axis=0)
    # Along the beam the missing wedge and the prior have a say too.
    assert max(y, x) < 0.15
    assert z < 1
    # Predictions of views that were not fitted are moved too.
    predicted = result.summary["held_out"]["correlation"]
    still = replace(shifted, geometry=replace(shifted.geometry, shift_u_px=np.zeros(0), shift_v_px=np.zeros(0)))
    assert predicted > _reconstruct(still, method, hold_out=5).summary["held_out"]["correlation"] + 0.2
    assert predicted > 0.75


@pytest.mark.parametrize("method", ["wbp", "sirt"])
def test_slabs_honour_them_to_the_bit(shifted: TiltSeries, method: str, tmp_path: Path) -> None:
    files = []
    for slabs in (1, 3):
        out = tmp_path / f"{slabs}.mrc"
        _reconstruct(shifted, method, slabs=slabs, output=out, preview=False)
        files.append(out.read_bytes())
    assert files[0] == files[1]


def test_project_honours_them(shifted: TiltSeries) -> None:
    volume = np.zeros((14, 44, 40), np.float32)
    volume[7, 20, 25] = 1
    views = tomokit.project(volume, shifted.geometry).images
    u, v = shifted.geometry.locate([[25 - 19.5, 20 - 21.5, 7 - 6.5]])
    y, x = np.mgrid[:44, :40]
    for view, image in enumerate(views):
        found = (image * x).sum() / image.sum() - 19.5, (image * y).sum() / image.sum() - 21.5
        # A voxel's footprint is averaged over pixels across the tilt axis.
        assert found == pytest.approx((u[view, 0], v[view, 0]), abs=0.05)
        assert found[1] == pytest.approx(v[view, 0], abs=1e-5)
