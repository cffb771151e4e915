"""Angles by ``START:STOP:STEP`` and from the header, and pixel sizes from what lies beside the stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.errors import InputError, OptionError
from tomokit.io import describe, find_angles, load_series
from tomokit.io.angle_keyword import names_no_file, range_angles

Make = Callable[..., Path]
STACK = np.random.default_rng(5).normal(10, 1, (5, 6, 8))


@pytest.mark.parametrize(
    ("text", "expected"), [("-4:4:2", [-4, -2, 0, 2, 4]), ("4:-4:-2", [4, 2, 0, -2, -4]), ("-1:3:1.", [-1, 0, 1, 2, 3])]
)
def test_a_range_in_place_of_a_file(make_mrc: Make, text: str, expected: list[float]) -> None:
    path = make_mrc(STACK, 2, name="TS.mrc")
    for given in (text, Path(text)):
        series = load_series(path, angles=given)
        np.testing.assert_array_equal(series.geometry.tilt_deg, expected)
        assert series.provenance["angles"] == text
        assert set(series.provenance["sha256"]) == {"stack"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-60:60:3", r"--angles: -60:60:3 makes 41 angles, but TS\.mrc has 5 views; give another step"),
        ("-4:4:0", "--angles: .* step of zero"),
        ("-4:4:-2", "--angles: .* steps away from its end"),
        ("-100:100:50", "--angles: .* goes beyond 90"),
        ("1e:2:3", "--angles: .* is not three numbers"),
    ],
)
def test_a_range_that_does_not_fit(make_mrc: Make, text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load_series(make_mrc(STACK, 2, name="TS.mrc"), angles=text)


def test_what_names_no_file() -> None:
    assert names_no_file("header")
    assert names_no_file(Path("-60:60:3"))
    for name in (None, "a.tlt", "folder/header", "1:2", "a:b:c", "1:2:3:4", "-60:60:3.tlt"):
        assert not names_no_file(name)
    assert range_angles("header") is None


@pytest.mark.parametrize("name", ["TS.mrc", "TS.MRC", "TS.st", "TS.ST"])
@pytest.mark.parametrize("beside", ["TS.tlt", "TS.TLT", "TS.Rawtlt", "{}.mdoc", "{}.MDOC", "TS.MDOC", "TS.MRC.MDOC"])
def test_files_beside_in_upper_case(tmp_path: Path, name: str, beside: str) -> None:
    path = tmp_path / beside.format(name)
    path.write_text("0\n")
    assert find_angles(tmp_path / name) == path


def test_another_series_whose_name_differs_in_case_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "ts.tlt").write_text("0\n")
    with pytest.raises(InputError, match="no angle file beside it"):
        find_angles(tmp_path / "TS.mrc")
    (tmp_path / "TS.TLT").write_text("0\n")
    (tmp_path / "TS.rawtlt").write_text("0\n")
    assert find_angles(tmp_path / "TS.mrc").name == "TS.TLT"
    (tmp_path / "TS.tlt").write_text("0\n")
    assert find_angles(tmp_path / "TS.mrc").name == "TS.tlt"
    assert find_angles(tmp_path / "TS_ALI.MRC").name == "TS.tlt"


def _mdoc(path: Path, size: str = "8 6", pixel: str = "1.724") -> None:
    sections = "".join(f"\n[ZValue = {z}]\nTiltAngle = {2 * z - 4}\n" for z in range(5))
    path.write_text(f"PixelSpacing = {pixel}\nImageSize = {size}\n{sections}")


@pytest.mark.parametrize("beside", ["TS.mrc.mdoc", "TS.mdoc", "TS.mrc.MDOC"])
@pytest.mark.parametrize(
    ("cell", "size", "source"),
    [
        ((0, 0, 0), 1.724, "mdoc"),
        ((8, 6, 5), 1.724, "mdoc"),
        ((16, 12, 10), 2, "header"),
        ((27.2, 20.4, 17), 3.4, "header"),
    ],
)
def test_the_pixel_size_of_the_mdoc_where_the_header_has_none(
    make_mrc: Make, tmp_path: Path, beside: str, cell: tuple[float, ...], size: float, source: str
) -> None:  # fmt: skip
    path = make_mrc(STACK, 2, name="TS.mrc", cella=cell)
    _mdoc(tmp_path / beside)
    (tmp_path / "TS.tlt").write_text("-4\n-2\n0\n2\n4\n")
    series = load_series(path)
    assert series.pixel_size_angstrom == pytest.approx(size)
    assert series.provenance["pixel_size_source"] == source
    told = [text for text in series.provenance["warnings"] if "from the .mdoc" in text]
    assert bool(told) == (source == "mdoc")
    facts = describe(path)
    assert (facts["pixel_size_angstrom"], facts["pixel_size_by"]) == (pytest.approx(size), source)
    assert load_series(path, pixel_size_angstrom=9).pixel_size_angstrom == 9


def test_an_mdoc_of_images_of_another_size_gives_no_pixel_size(make_mrc: Make, tmp_path: Path) -> None:
    path = make_mrc(STACK, 2, name="TS.mrc", cella=(0, 0, 0))
    _mdoc(tmp_path / "TS.mdoc", size="5760 4092")
    (tmp_path / "TS.tlt").write_text("-4\n-2\n0\n2\n4\n")
    series = load_series(path)
    assert series.provenance["pixel_size_source"] == "none"
    assert "images of 5760 x 4092, these have 8 x 6; not taken" in series.provenance["warnings"][-1]
    _mdoc(tmp_path / "TS.mdoc", size="6 8", pixel="inf")
    assert load_series(path).provenance["pixel_size_source"] == "none"


def test_the_order_of_acquisition_is_kept(make_mrc: Make, tmp_path: Path) -> None:
    path = make_mrc(STACK, 2, name="TS.mrc")
    (tmp_path / "TS.rawtlt").write_text("-4 4\n-2 2\n0 1\n2 3\n4 5\n")
    series = load_series(path, exclude=[1])
    np.testing.assert_array_equal(series.geometry.tilt_deg, [-4, 0, 2, 4])
    assert series.provenance["acquisition_order"] == [4, 1, 3, 5]
    assert describe(path)["angles"]["acquisition_order"] == [4, 2, 1, 3, 5]
