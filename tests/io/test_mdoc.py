"""Files of SerialEM's metadata, in every spelling that autodocs allow and users leave behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.io import read_angles
from tomokit.io.angles import read_angle_file
from tomokit.io.mdoc import read_mdoc

_FIXTURE = [HealthCheck.function_scoped_fixture]
_NOT_NEEDED = {
    "StageZ": "60{0}9",
    "StagePosition": "919{0}141 849{0}945",
    "Magnification": "33000",
    "MinMaxMean": "-23 1110 2{0}48245",
    "DateTime": "08-Oct-21  07:38:24",
    "SubFramePath": "D:\\frames\\a, b = c.tif",
    "FrameDosesAndNumber": "0{0}39 10 x",
    "MagIndex": "9" * 5000,
    "ExposureDose": "",
}


@st.composite
def mdocs(draw: st.DrawFn) -> tuple[str, list[float], dict[str, float], set[str]]:
    """A file of a tilt series: its text, the angles by ZValue, facts of its head, and fields with decimal commas."""
    n = draw(st.integers(1, 30))
    tilt = [round(draw(st.floats(-90, 90)), 4) for _ in range(n)]
    equals = draw(st.sampled_from(["=", " = ", "= ", " =", "  =  "]))
    point = draw(st.sampled_from([".", ","]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    section_name = draw(st.sampled_from(["ZValue", "zvalue", "ZVALUE"]))
    fields = draw(st.sets(st.sampled_from(sorted(_NOT_NEEDED))))
    facts = {"PixelSpacing": 1.724, "axis": draw(st.sampled_from([-88.7, 85.0, 0.0])), "binning": 2.0}
    head = [f"PixelSpacing{equals}1.724", "Voltage = 300", f"ImageFile{equals}ts.mrc", f"ImageSize{equals}48 32"]
    head += ["Montage = 1"] if draw(st.booleans()) and np.ptp(tilt) > 1 else []
    head = draw(st.permutations(head))
    title = f"[T{equals}    Tilt axis angle = {facts['axis']}, binning = 2  spot = 6  camera = 1 bidir = 0.0]"
    lines = [*head, "", "[T = SerialEM: Acquired on a microscope   30-May-21  22:34:28    ]", "", title]
    for z in draw(st.permutations(range(n))):
        entries = [
            f"TiltAngle{equals}{tilt[z]!r}",
            *(f"{key}{equals}{_NOT_NEEDED[key].format(point)}" for key in fields),
        ]
        lines += ["", f"[{section_name}{equals}{z}]", *draw(st.permutations(entries))]
    commas = {key for key in fields if point == "," and "{0}" in _NOT_NEEDED[key]}
    return end.join(lines), tilt, facts, commas


@settings(max_examples=150, deadline=None, suppress_health_check=_FIXTURE)
@given(made=mdocs(), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_any_spelling_of_a_tilt_series_is_read(
    tmp_path: Path, made: tuple[str, list[float], dict[str, float], set[str]], encoding: str
) -> None:
    text, tilt, facts, commas = made
    path = tmp_path / "ts.mrc.mdoc"
    path.write_bytes(text.encode(encoding))
    read = read_mdoc(path)
    assert read.kind == "tilt series"
    np.testing.assert_array_equal(read.tilt_deg, tilt)
    assert (read.pixel_size_angstrom, read.tilt_axis_deg, read.binning) == (1.724, facts["axis"], 2.0)
    assert (read.image_file, read.image_size) == ("ts.mrc", (48, 32))
    told = " ".join(read.warnings)
    assert all(f"{key} (line " in told for key in commas)
    assert bool(commas) == bool(read.warnings)
    np.testing.assert_array_equal(read_angles(path), tilt)


def _series(*sections: str, head: str = "") -> str:
    return head + "".join(f"\n[ZValue = {z}]\n{text}\n" for z, text in enumerate(sections))


def test_decimal_commas_of_angles_are_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mdoc"
    path.write_text(_series("TiltAngle = -60,5", "TiltAngle = 3", head="PixelSpacing = 1,724\n"))
    table = read_angle_file(path)
    np.testing.assert_array_equal(table.tilt_deg, [-60.5, 3])
    assert "TiltAngle has decimal commas, read as points (line 4: '-60,5')" in table.warnings
    assert read_mdoc(path).pixel_size_angstrom == 1.724


@pytest.mark.parametrize(
    "size", ["inf", "nan", "-1.7", "0", "wide", "", "1e999", "9" * 5000], ids=lambda size: size[:6]
)
def test_a_pixel_size_that_is_none_is_told_and_not_used(tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.mdoc"
    path.write_text(_series("TiltAngle = 3", head=f"PixelSpacing = {size}\n"))
    facts = read_mdoc(path)
    assert facts.pixel_size_angstrom is None
    assert "PixelSpacing" in facts.warnings[0]
    assert "line 1" in facts.warnings[0]


@pytest.mark.parametrize("n_faults", [1, 3])
@pytest.mark.parametrize("fault", ["TiltAngle =", "TiltAngle=", "", "TiltAngle = x", "TiltAngle = inf"])
def test_a_missing_angle_names_section_and_line(tmp_path: Path, fault: str, n_faults: int) -> None:
    sections = ["TiltAngle = 1"] * 4 + [fault] * n_faults
    path = tmp_path / "a.mdoc"
    path.write_text(_series(*sections))
    line = path.read_text().split("\n").index("[ZValue = 4]") + (2 if fault else 1)
    with pytest.raises(InputError, match=rf"a\.mdoc: \[ZValue = 4\], line {line}: ") as caught:
        read_angles(path)
    assert ("other section" in str(caught.value)) == (n_faults > 1)


def test_a_second_angle_that_says_the_same_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.mdoc"
    path.write_text(_series("TiltAngle = 1\nTiltAngle = 1"))
    np.testing.assert_array_equal(read_angles(path), [1])


@pytest.mark.parametrize("flag", ["", "Montage = 1\n"])
def test_pieces_make_a_montage_and_one_piece_a_view_does_not(tmp_path: Path, flag: str) -> None:
    path = tmp_path / "a.mdoc"
    one = [f"TiltAngle = {3 * z}\nPieceCoordinates = 0 0 {z}" for z in range(4)]
    path.write_text(_series(*one, head=flag))
    assert read_mdoc(path).kind == "tilt series"
    several = [f"TiltAngle = {3 * (z // 2)}\nPieceCoordinates = {900 * (z % 2)} 0 {z // 2}" for z in range(4)]
    path.write_text(_series(*several, head=flag))
    assert read_mdoc(path).kind == "montage"


def test_lines_that_say_nothing_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mdoc"
    path.write_text("a note\n" + _series("TiltAngle = 1", "TiltAngle = 2"))
    assert read_mdoc(path).warnings == ("line 1: neither a section nor `key = value`; ignored",)
