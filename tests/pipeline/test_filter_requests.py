"""Files of dose and defocus as a job names them: what reaches the views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.geometry.alignment import Alignment
from tomokit.io import write_stack
from tomokit.pipeline.config import build_request
from tomokit.pipeline.filter_requests import read_filters
from tomokit.pipeline.filters import Filters


@pytest.fixture
def filters(tmp_path: Path):
    """The filters of a job with a stack of three views in this folder."""
    write_stack(tmp_path / "TS.mrc", np.zeros((3, 4, 4), np.float32), pixel_size_angstrom=5)

    def make(alignment: Alignment | None = None, **options: object) -> Filters:
        return read_filters(build_request({"stack": tmp_path / "TS.mrc", "thickness": 4, **options}), 3, alignment)

    return make


def test_axes_of_astigmatism_turn_with_the_alignment(filters, tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("2.0 1.8 10\n" * 3)
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    rows = [f"{cos} {-sin} {sin} {cos} 3 4", "1 0 0 1 0 0", f"{1.02 * cos} {1.02 * sin} {-1.02 * sin} {1.02 * cos} 0 0"]
    (tmp_path / "TS.xf").write_text("\n".join(rows) + "\n")
    given = {"ctf": tmp_path / "d.txt", "voltage": 300}
    aligned = filters(**given).acquisition.defocus_um
    np.testing.assert_allclose(aligned[:, 2], 10)
    turned = filters(**given, xf=tmp_path / "TS.xf").acquisition.defocus_um
    transform = np.array([[float(word) for word in row.split()] for row in rows])
    alignment = Alignment(np.zeros(3), transform, np.zeros(3), np.ones(3, bool))
    np.testing.assert_allclose(filters(alignment, **given).acquisition.defocus_um, turned)
    np.testing.assert_allclose(turned, [[2.0, 1.8, 40], [2.0, 1.8, 10], [2.0, 1.8, -20]], atol=1e-6)


def test_the_microscope_is_that_of_the_options_else_of_the_file(filters, tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("2.0\n" * 3)
    found = filters(ctf=tmp_path / "d.txt", voltage=200, cs=2.0, amplitude_contrast=0.1).optics
    assert (found.voltage_kv, found.spherical_aberration_mm, found.amplitude_contrast) == (200, 2.0, 0.1)
    sections = "".join(f"[ZValue = {z}]\nTiltAngle = {z}\nExposureDose = 3\n" for z in range(3))
    (tmp_path / "TS.mrc.mdoc").write_text("Voltage = 200\n" + sections)
    weighting = filters(dose_weighting="on")
    assert weighting.dose_kv == 200
    np.testing.assert_allclose(weighting.exposure_e_per_a2, [1.5, 4.5, 7.5])
    assert set(weighting.sha256) == {"dose"}
    assert filters(dose_weighting="on", dose=Path("2"), voltage=300).dose_kv == 300


def test_what_a_file_says_of_the_hand_is_told(filters, tmp_path: Path) -> None:
    (tmp_path / "a.defocus").write_text("16 0 0. 0. 0. 3\n" + "".join(f"{n} {n} 0 0 2700\n" for n in (1, 2, 3)))
    given = {"ctf": tmp_path / "a.defocus", "voltage": 300}
    assert any("a.defocus says of the hand: sign of the angles inverted" in text for text in filters(**given).warnings)
    inverted = filters(**given, defocus_gradient="inverted")
    assert (inverted.gradient, inverted.warnings) == (-1, [])
    assert filters(**given, defocus_gradient="off").gradient == 0


@pytest.mark.parametrize(("value", "unit"), [("27000", "angstrom or nanometres"), ("0.0027", "millimetres")])
def test_a_defocus_in_another_unit_is_refused(filters, tmp_path: Path, value: str, unit: str) -> None:
    (tmp_path / "d.txt").write_text(f"{value}\n" * 3)
    with pytest.raises(InputError, match=rf"d\.txt: a defocus of {value} micrometres: it is in {unit}; give micro"):
        filters(ctf=tmp_path / "d.txt", voltage=300)
