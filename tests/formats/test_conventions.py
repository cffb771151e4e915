"""Signs and centres, against the formula of each program on points of its own frame; and entries of command files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.formats.commands import read_commands
from tomokit.formats.front import read_acquisition, read_alignment
from tomokit.formats.tilt_com import read_newst_com, read_tilt_com

POINTS = np.random.default_rng(3).uniform(-40, 40, (6, 3))
TILT = np.array([-57.0, -20.0, 3.0, 41.0])


def rotation(axis: str, degrees: float) -> NDArray[np.float64]:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    rows = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}  # fmt: skip
    return np.array(rows[axis])


def aligned(points: NDArray[np.float64], tilt: float, x_tilt: float) -> NDArray[np.float64]:
    """Where tokomit's convention has points of the specimen: ``u = x cos - z sin`` after a turn about x."""
    x, y, z = rotation("x", x_tilt) @ points.T
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    return np.stack([x * cos - z * sin, y], axis=1)


@pytest.mark.parametrize("shape", [(630, 652), (631, 653)])
def test_relion(tmp_path: Path, shape: tuple[int, int]) -> None:
    z_rot, x_shift, y_shift, x_tilt, size = 85.5, 31.0, -12.0, 1.5, 2.0
    rows = "\n".join(f"{t} {z_rot} {x_shift} {y_shift} {x_tilt}" for t in TILT)
    path = tmp_path / "TS_1.star"
    labels = ["TomoYTilt", "TomoZRot", "TomoXShiftAngst", "TomoYShiftAngst", "TomoXTilt"]
    path.write_text("data_TS_1\n\nloop_\n" + "".join(f"_rln{name}\n" for name in labels) + rows + "\n")
    alignment = read_alignment(path, pixel_size_angstrom=size, raw_shape=shape).alignment
    mirrored = POINTS * [1, 1, -1]
    for view, tilt in enumerate(TILT):
        turn = rotation("z", z_rot) @ rotation("y", tilt) @ rotation("x", x_tilt)
        # RELION's pixel index of each point, from its centre n // 2.
        index = (turn @ POINTS.T)[:2].T + np.array([x_shift, y_shift]) / size + np.array(shape[::-1]) // 2
        row = alignment.transform[view]
        raw = index - (np.array(shape[::-1]) - 1) / 2
        found = raw @ row[:4].reshape(2, 2).T + row[4:]
        expected = aligned(mirrored, alignment.tilt_deg[view], alignment.x_tilt_deg[view])
        assert found == pytest.approx(expected, abs=1e-9)


def test_warp(tmp_path: Path) -> None:
    axis, x, y, level_x, level_y, size = -4.3, 71.0, -8.0, 2.5, -3.0, 1.6
    lists = {"Angles": TILT, "AxisAngle": [axis] * 4, "AxisOffsetX": [x] * 4, "AxisOffsetY": [y] * 4}
    body = "".join(f"<{k}>" + "\n".join(map(str, v)) + f"</{k}>" for k, v in lists.items())
    path = tmp_path / "ts.xml"
    path.write_text(f'<TiltSeries LevelAngleX="{level_x}" LevelAngleY="{level_y}">{body}</TiltSeries>')
    alignment = read_alignment(path, pixel_size_angstrom=size).alignment
    for view, tilt in enumerate(TILT):
        turn = rotation("z", axis) @ rotation("y", -(tilt + level_y)) @ rotation("x", level_x)
        raw = (turn @ POINTS.T)[:2].T + np.array([x, y]) / size
        row = alignment.transform[view]
        found = raw @ row[:4].reshape(2, 2).T + row[4:]
        whole = alignment.tilt_deg[view] + alignment.tilt_offset_deg
        assert found == pytest.approx(aligned(POINTS, whole, alignment.x_tilt_deg[view]), abs=1e-9)


COMMANDS = """# made by setup
$setenv IMOD_OUTPUT_FORMAT MRC
$tilt -StandardInput
InputProjections TS_ali.mrc
OutputFile\tTS_full_rec.mrc
imagebinned 2
TILTFILE ts.tlt
XTILTFILE ts.xtilt
THICKNESS 900
OFFSET -3.5 1.5
SHIFT 4.0 ^
  -12.0
XAXISTILT = 1.25
EXCLUDELIST 1,3-4
EXCLUDELIST2 6
# LOCALFILE commented.xf
LOCALFILE tslocal.xf
$if (-e ./savework) ./savework
"""


def imod_series(folder: Path, tilt_com: str = COMMANDS, newst: str = "") -> Path:
    (folder / "ts.tlt").write_text("".join(f"{a}\n" for a in range(-30, 31, 10)))
    (folder / "ts.xf").write_text("0 1 -1 0 5 -2\n" * 7)
    (folder / "ts.xtilt").write_text("0.25\n" * 7)
    (folder / "tilt.com").write_text(tilt_com)
    if newst:
        (folder / "newst.com").write_text(newst)
    return folder / "ts.xf"


NEWST = "$newstack -StandardInput\nInputFile ts.st\nOutputFile ts_ali.mrc\nTransformFile ts.xf\nBinByFactor 2\n"


@pytest.mark.parametrize("name", ["ts.xf", "tilt.com", "newst.com"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_imod_command_files(tmp_path: Path, name: str, end: str) -> None:
    imod_series(tmp_path, COMMANDS.replace("\n", end), f"{NEWST}SizeToOutputInXandY 40,30\n")
    found = read_alignment(tmp_path / name)
    alignment = found.alignment
    assert found.thickness_px == 900
    assert alignment.tilt_offset_deg == -3.5
    assert np.flatnonzero(~alignment.used).tolist() == [0, 2, 3, 5]
    # The axis 1.5 pixels to the right of the centre goes to the centre, and the tomogram stays where it was.
    assert alignment.transform[0].tolist() == [0, 1, -1, 0, 3.5, -2]
    assert (alignment.shift_x_px, alignment.shift_z_px) == (5.5, -12)
    assert alignment.x_tilt_deg.tolist() == [1.0] * 7
    assert alignment.aligned_shape == (60, 80)
    uses = {use.name: use.use for use in found.fields}
    assert uses["LOCALFILE of tilt.com"] == "not used"
    assert uses["imagebinned of tilt.com"] == "read"
    assert any("LOCALFILE tslocal.xf" in text for text in found.warnings)
    assert set(found.image_files) >= {"ts.st", "ts_ali.mrc"}


def test_lengths_in_pixels_of_a_binned_stack_are_told(tmp_path: Path) -> None:
    path = imod_series(tmp_path, COMMANDS.replace("imagebinned 2\n", ""), NEWST)
    found = read_alignment(path)
    assert found.thickness_px == 1800
    assert found.alignment.shift_z_px == -24
    assert any("multiplied by 2" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("THICKNESS 900", "THICKNESS 9,5"), "THICKNESS, line 9"),
        (("THICKNESS 900", "THICKNESS nan"), "not a finite number"),
        (("OFFSET -3.5 1.5", "OFFSET -3,5"), "decimal comma"),
        (("XAXISTILT = 1.25", "XAXISTILT = 1,25"), "decimals with a point"),
        (("XAXISTILT = 1.25", "XAXISTILT 1\nXAXISTILT 2"), "two values"),
        (("EXCLUDELIST2 6", "EXCLUDELIST2 9"), "view 9 is excluded, but there are 7"),
        (("EXCLUDELIST2 6", "EXCLUDELIST2 1-7"), "every view is excluded"),
        (("EXCLUDELIST2 6", "EXCLUDELIST2 5-2"), "no view or range"),
        (("OFFSET -3.5 1.5", "OFFSET 120"), "an offset of 120 degrees"),
        (("$tilt -Standard", "$ctfplotter -Standard"), "commands of ctfplotter"),
    ],
)
def test_doubtful_command_files_are_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "tilt.com"
    path.write_text(COMMANDS.replace(*change))
    imod_series(tmp_path, path.read_text())
    with pytest.raises(InputError, match=message):
        read_alignment(tmp_path / "ts.xf")


def test_views_that_disagree_are_explained(tmp_path: Path) -> None:
    path = imod_series(tmp_path)
    (tmp_path / "ts.tlt").write_text("1\n2\n3\n")
    with pytest.raises(InputError, match=r"3 angles, but ts.xf has 7 views.*EXCLUDELIST"):
        read_alignment(path)


def test_entries_may_be_abbreviated_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.com"
    path.write_text("$tilt -StandardInput\nTHICK 100 \\\n\nEXCLUDELIST2 1, &\n 2\n^ ,3\n")
    commands = read_commands(path, "tilt")
    assert commands.whole("THICKNESS", 0) == 100
    assert commands.views("EXCLUDELIST2") == {0, 1, 2}


def test_real_command_files(formats: Path) -> None:
    folder = formats / "cryoet_alignment/tests/data"
    tilt, newst = read_tilt_com(folder / "tilt.com", 2), read_newst_com(folder / "newst.com")
    assert (tilt.thickness_px, tilt.binned, tilt.tilt_file) == (900, 2, "mba2012-02-01-1.tlt")
    assert (newst.bin_by, newst.raw_stack, newst.aligned_shape) == (2, "mba2012-02-01-1.mrc", None)
    second = read_newst_com(folder / "convert/imod_1/newst.com")
    assert second.aligned_shape == (3832, 3712)


DEFOCUS_3 = "5 0 0. 0. 0. 3\n1 1 -30 -30 2000 1900 30 90\n2 2 0 0 2100 2000 31 91\n4 4 30 30 2300 2200 33 93\n"


def test_imod_defocus(tmp_path: Path) -> None:
    path = tmp_path / "ts.defocus"
    path.write_text(DEFOCUS_3)
    found = read_acquisition(path, n_views=4)
    defocus, phase = found.acquisition.defocus_um, found.acquisition.phase_shift_deg
    assert defocus is not None
    assert phase is not None
    assert defocus[2].tolist() == pytest.approx([2.2, 2.1, 32])  # between its neighbours
    assert phase.tolist() == pytest.approx([90, 91, 92, 93])
    assert "interpolated" in found.warnings[0]
    path.write_text("1 1 -30 -30 2000 2\n2 2 0 0 2100\n")
    second = read_acquisition(path).acquisition.defocus_um
    assert second is not None
    assert second.tolist() == [[2.0, 2.0, 0], [2.1, 2.1, 0]]
    path.write_text("0 0 -30 -30 2000\n1 1 0 0 2100\n")
    first = read_acquisition(path)
    assert first.kind.endswith("version 1")
    for text, message in (
        ("1 1 -30 -30 2000,5 2\n", "line 1"),
        ("1 1 -30 -30 20000000 2\n", "another unit"),
        ("5 0 0. 0. 0. 3\n1 1 -30 -30 2000\n", "version 3 has 8"),
        ("1 3 -30 -30 2000 2\n", "for view 3"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_acquisition(path, n_views=2)


def test_mdoc_order_by_dose_by_time_and_by_sections(tmp_path: Path) -> None:
    path = tmp_path / "ts.mdoc"
    angles, dose = [-3.0, 0.0, 3.0], ["2.5", "2,5", "2.5"]

    def written(more: list[str]) -> None:
        lines = [f"[ZValue = {z}]\nTiltAngle = {angles[z]}\nExposureDose = {dose[z]}\n{more[z]}" for z in (1, 0, 2)]
        path.write_bytes(("Voltage = 300\n\n" + "\n".join(lines)).replace("\n", "\r\n").encode())

    written(["PriorRecordDose = 5", "PriorRecordDose = 0", "PriorRecordDose = 2.5"])
    found = read_acquisition(path)
    assert found.acquisition.order is not None
    assert found.acquisition.order.tolist() == [2, 0, 1]
    assert any("decimal commas" in text for text in found.warnings)
    assert found.acquisition.voltage_kv == 300
    written([f"DateTime = 09-Jan-20  11:{minute}:42" for minute in (52, 50, 51)])
    found = read_acquisition(path)
    assert found.acquisition.prior_dose_e_per_a2 is not None
    assert found.acquisition.prior_dose_e_per_a2.tolist() == [5, 0, 2.5]
    assert any("summed by DateTime" in text for text in found.warnings)
    written(["", "", ""])
    found = read_acquisition(path)
    assert found.acquisition.order is not None
    assert found.acquisition.order.tolist() == [1, 0, 2]


def test_tomostar(tmp_path: Path) -> None:
    path = tmp_path / "ts.tomostar"
    path.write_text("data_\n\nloop_\n_wrpMovieName #1\n_wrpAngleTilt #2\n_wrpDose #3\n'a b.tif' -3 5\nb.tif 0 0\n")
    found = read_acquisition(path)
    assert found.acquisition.prior_dose_e_per_a2 is not None
    assert found.acquisition.prior_dose_e_per_a2.tolist() == [5, 0]
    assert found.tilt_deg == (-3, 0)
    with pytest.raises(InputError, match="no alignment"):
        read_alignment(path)
