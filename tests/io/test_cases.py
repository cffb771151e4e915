"""Small inputs that users of other tools reported: each is read right, or told with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.io import check_angles, describe, load_series, read_angles, read_stack
from tomokit.io.angles import read_angle_file
from tomokit.io.mdoc import read_mdoc

ANGLES = np.arange(-60.0, 61.0, 6.0)


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases: {folder} is not a folder")
    return folder


def test_signed_bytes_are_the_intensities_of_the_same_series(cases: Path) -> None:
    reference = load_series(cases / "reference_float.mrc").images.astype(np.float64)
    series = load_series(cases / "imod_signed_bytes.st")
    stored = series.images.astype(np.float64)
    assert (stored.min(), stored.max()) == (0, 255)
    slope, offset = np.polyfit(reference.ravel(), stored.ravel(), 1)
    assert slope > 0
    np.testing.assert_allclose(stored, slope * reference + offset, atol=0.6)
    assert series.provenance["warnings"] == []


def test_a_signed_mask_is_one_of_0_and_1(cases: Path) -> None:
    np.testing.assert_array_equal(np.unique(read_stack(cases / "imod_signed_mask.mrc").pixels), [0, 1])
    series = load_series(cases / "reference_float.mrc", mask=cases / "imod_signed_mask.mrc")
    assert series.mask is not None
    assert 0.9 < series.mask.mean() < 1


@pytest.mark.parametrize(
    "name",
    ["montage_1.mdoc", "comma_stage.mdoc", "no_blanks.mdoc", "two_columns.rawtlt", "one_line.tlt", "unicode_minus.tlt"],
)  # fmt: skip
def test_angles_that_are_read(cases: Path, name: str) -> None:
    np.testing.assert_array_equal(read_angles(cases / name), ANGLES)
    series = load_series(cases / "reference_float.mrc", angles=cases / name)
    np.testing.assert_array_equal(series.geometry.tilt_deg, ANGLES)


def test_what_is_told_of_them(cases: Path) -> None:
    assert read_angle_file(cases / "two_columns.rawtlt").acquisition_order == tuple(range(1, 22))
    assert "StageZ (line 13)" in read_mdoc(cases / "comma_stage.mdoc").warnings[0]
    with pytest.raises(InputError, match=r"empty_tiltangle\.mdoc: \[ZValue = 4\], line 28: TiltAngle has no value"):
        read_angles(cases / "empty_tiltangle.mdoc")
    with pytest.raises(InputError, match="all 21 angles are 0"):
        check_angles(read_angles(cases / "all_zero.tlt"))


def test_the_extended_header_has_angles_and_pixel_size(cases: Path, tmp_path: Path) -> None:
    path = tmp_path / "alone.mrc"
    shutil.copy(cases / "fei_extended_header.mrc", path)
    series = load_series(path)
    np.testing.assert_array_equal(series.geometry.tilt_deg, ANGLES)
    assert series.pixel_size_angstrom == pytest.approx(33.6)
    facts = describe(path)
    assert facts["kind"] == "tilt stack"
    assert facts["extended_header"]["tilt_angles"] == 21
    assert facts["pixel_size_angstrom"] == pytest.approx(33.6)
