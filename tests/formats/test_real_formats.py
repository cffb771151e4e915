"""Files as the real programs wrote them: each read, or refused with a reason, and held against its partners."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.formats.front import read_acquisition, read_alignment
from tomokit.io import read_angles, read_xf
from tomokit.pipeline.inspection import describe

# What becomes of each file by the two readers and by `inspect`: what it is, or words of the refusal.
ALN, COM = "alnfile/test_data", "cryoet_alignment/tests/data"
NO_ALIGNMENT, NEITHER = "give an alignment", "neither dose nor defocus"
EXPECTED = {
    f"{ALN}/global_and_local.aln": ("AreTomo .aln", NEITHER, "alignment"),
    f"{ALN}/global_no_local.aln": ("AreTomo .aln", NEITHER, "alignment"),
    f"{ALN}/global_no_local.tlt": (NO_ALIGNMENT, NEITHER, "angles"),
    f"{ALN}/global_no_local.xf": ("IMOD", NEITHER, "transforms"),
    f"{COM}/convert/imod_1/newst.com": ("not beside it", NEITHER, "commands"),
    f"{COM}/convert/imod_1/tilt.com": ("not beside it", NEITHER, "commands"),
    f"{COM}/convert/imod_1/tilt_1.tlt": (NO_ALIGNMENT, NEITHER, "angles"),
    f"{COM}/convert/imod_1/tilt_1.xf": ("IMOD", NEITHER, "transforms"),
    f"{COM}/convert/imod_1/tilt_1.xtilt": (NO_ALIGNMENT, NEITHER, "x-axis tilts"),
    f"{COM}/newst.com": ("not beside it", NEITHER, "commands"),
    f"{COM}/tilt.com": ("not beside it", NEITHER, "commands"),
    f"{COM}/relion/matching_tomograms.star": ("3 tomograms", "3 tomograms", "3 tomograms"),
    f"{COM}/test.aln": ("RawSize says that the stack has 90", NEITHER, "RawSize says that the stack has 90"),
    f"{COM}/test_thickness.aln": ("RawSize says that the stack has 90", NEITHER, "RawSize says that the stack has 90"),
    f"{COM}/test.rawtlt": (NO_ALIGNMENT, NEITHER, "angles"),
    f"{COM}/test.xf": ("IMOD", NEITHER, "transforms"),
    f"{COM}/test_8col_CTF.txt": (NO_ALIGNMENT, "CTFFIND4 or AreTomo text", "acquisition"),
    f"{COM}/test_CTF.txt": (NO_ALIGNMENT, "CTFFIND4 or AreTomo text", "acquisition"),
    f"{COM}/warp/00254.xml": ("pixel size of the stack is not known", "Warp XML", "acquisition"),
    "etomofiles/test_data/TS_001/TS_001.edf": ("IMOD", NEITHER, "alignment"),
    "etomofiles/test_data/TS_001/TS_001.rawtlt": (NO_ALIGNMENT, NEITHER, "angles"),
    "etomofiles/test_data/TS_001/TS_001.st": ("binary", "binary", "tilt stack"),
    "etomofiles/test_data/TS_001/TS_001.tlt": (NO_ALIGNMENT, NEITHER, "angles"),
    "etomofiles/test_data/TS_001/TS_001.xf": ("IMOD", NEITHER, "transforms"),
    "etomofiles/test_data/TS_001/TS_001.xtilt": (NO_ALIGNMENT, NEITHER, "x-axis tilts"),
    "mdocfile/tests/test_data/frame_set_multiple.mdoc": (NO_ALIGNMENT, "a frame set", "mdoc"),
    "mdocfile/tests/test_data/frame_set_single.mdoc": (NO_ALIGNMENT, "a frame set", "mdoc"),
    "mdocfile/tests/test_data/montage_section.mdoc": (NO_ALIGNMENT, "a montage", "mdoc"),
    "mdocfile/tests/test_data/montage_section_multiple.mdoc": (NO_ALIGNMENT, "a montage", "mdoc"),
    "mdocfile/tests/test_data/tilt_series.mdoc": (NO_ALIGNMENT, "SerialEM .mdoc", "mdoc"),
    "yaiw/tests/test_data/align.log": ("a log", NEITHER, "no known kind"),
    "yaiw/tests/test_data/xf_file.xf": ("no angles", NEITHER, "transforms"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_file_is_read_or_refused_with_a_reason(formats: Path, name: str) -> None:
    path = formats / name
    readers = (lambda p: read_alignment(p).kind, lambda p: read_acquisition(p).kind, lambda p: describe(p)["kind"])
    for reader, expected in zip(readers, EXPECTED[name], strict=True):
        found, error = None, None
        try:
            found = reader(path)
        except InputError as refusal:
            error = refusal
        if error is None:
            assert found == expected
            continue
        assert expected in str(error)
        assert str(path) in str(error)
        assert error.remedy or expected == "binary"


def test_the_table_has_every_file(formats: Path) -> None:
    files = {path.relative_to(formats).as_posix() for path in formats.rglob("*") if path.is_file()}
    models = {name for name in files if name.endswith(".mod")}
    assert files - models == set(EXPECTED)


def test_aretomo_against_the_tlt_and_xf_of_its_series(formats: Path) -> None:
    found = read_alignment(formats / ALN / "global_no_local.aln")
    alignment = found.alignment
    assert np.array_equal(alignment.tilt_deg, read_angles(formats / ALN / "global_no_local.tlt"))
    assert alignment.used.all()
    assert alignment.raw_shape == (4096, 4096)
    assert alignment.tilt_offset_deg == 0  # AlphaOffset -7 is in the angles
    assert found.thickness_px == 2050
    xf = read_xf(formats / ALN / "global_no_local.xf")
    # The .xf of the series turns about the same angle the other way; AreTomo's own are as ours. Turns keep lengths.
    assert alignment.transform[:, [0, 3]] == pytest.approx(xf[:, [0, 3]], abs=1e-6)
    assert np.abs(alignment.transform[:, 1]) == pytest.approx(np.abs(xf[:, 1]), abs=1e-6)
    shifts = [np.hypot(*rows[:, 4:].T) for rows in (alignment.transform, xf)]
    assert shifts[0] == pytest.approx(shifts[1], abs=2e-3)


def test_aretomo_turns_its_axis_upright_and_takes_the_shift_off_first(formats: Path) -> None:
    alignment = read_alignment(formats / ALN / "global_no_local.aln").alignment
    rot, tx, ty = np.deg2rad(-95.404), 9.22, 103.933
    # A point on the axis, 100 pixels along it from where the shift moved it: counter-clockwise from y by ROT.
    raw = np.array([tx, ty]) + 100 * np.array([-np.sin(rot), np.cos(rot)])
    row = alignment.transform[0]
    assert row[:4].reshape(2, 2) @ raw + row[4:] == pytest.approx([0, 100], abs=1e-9)


def test_dark_frames_are_told_from_views(formats: Path) -> None:
    found = read_alignment(formats / ALN / "global_and_local.aln")
    alignment = found.alignment
    assert alignment.n_views == 51
    assert not alignment.used[:14].any()
    assert alignment.used[14:].all()
    # Dark frames have the angle of the stage; with AlphaOffset all steps are two degrees.
    assert np.diff(alignment.tilt_deg) == pytest.approx(np.full(50, 2.0), abs=0.02)
    uses = {use.name: use for use in found.fields}
    assert uses["# Local Alignment"].use == "not used"
    assert any("local" in text for text in found.warnings)


def test_aretomo_of_another_stack_is_refused(formats: Path) -> None:
    path = formats / ALN / "global_and_local.aln"
    stage = np.arange(-68.0, 33.0, 2.0)
    assert read_alignment(path, tilt_deg=stage).alignment.n_views == 51
    with pytest.raises(InputError, match="but at"):
        read_alignment(path, tilt_deg=stage[::-1].copy())
    with pytest.raises(InputError, match="51 views"):
        read_alignment(path, tilt_deg=stage[14:])
    with pytest.raises(InputError, match="4096 x 4096"):
        read_alignment(path, tilt_deg=stage, raw_shape=(2048, 2048))


def test_warp_against_the_xf_that_was_made_of_it(shared_data: Path, formats: Path) -> None:
    path = formats / COM / "warp/00254.xml"
    found = read_alignment(path, pixel_size_angstrom=10)
    xf = read_xf(shared_data / "empiar-10499/start.xf")
    assert found.alignment.transform == pytest.approx(xf, abs=5e-4)
    assert found.alignment.tilt_deg == pytest.approx(read_angles(shared_data / "empiar-10499/tilts-raw.tlt"), abs=0.02)
    assert found.acquisition is not None
    assert found.acquisition.prior_dose_e_per_a2 is not None
    assert found.acquisition.prior_dose_e_per_a2[[0, 20, 40]].tolist() == [117, 0, 120]
    stage = read_angles(shared_data / "empiar-10499/tilts-raw.tlt")
    assert read_alignment(path, pixel_size_angstrom=10, tilt_deg=stage).warnings == ()
    (told,) = read_alignment(path, pixel_size_angstrom=10, tilt_deg=stage[::-1].copy()).warnings
    assert "reverse order, or its angles have the other sign" in told
    (told,) = read_alignment(path, pixel_size_angstrom=10, tilt_deg=np.roll(stage, 9)).warnings
    assert "is it of this series?" in told
    assert found.acquisition.defocus_um is None  # a grid of zeros was not fitted
    assert found.acquisition.voltage_kv == 300


def test_etomo_project_leaves_out_its_views(formats: Path) -> None:
    folder = formats / "etomofiles/test_data/TS_001"
    found = read_alignment(folder / "TS_001.edf")
    assert [use.name for use in found.fields[:3]] == ["TS_001.xf", "TS_001.tlt", "TS_001.xtilt"]
    assert np.flatnonzero(~found.alignment.used).tolist() == [39]
    assert found.pixel_size_angstrom == pytest.approx(6.192)
    assert np.array_equal(found.alignment.transform, read_xf(folder / "TS_001.xf"))
    assert found.alignment.x_tilt_deg[0] == pytest.approx(0.01)  # the sign of XAXISTILT
    assert np.array_equal(read_alignment(folder / "TS_001.xf").alignment.used, found.alignment.used)


def test_relion_matrices_without_shifts_are_no_alignment(formats: Path) -> None:
    path = formats / COM / "relion/matching_tomograms.star"
    name = "24jul16a_Position_27_1.tomostar"
    with pytest.raises(InputError, match="without any shift"):
        read_alignment(path, name=name)
    acquisition = read_acquisition(path, name=name).acquisition
    assert acquisition.n_views == 31
    assert acquisition.defocus_um is not None
    assert acquisition.defocus_um[0].tolist() == pytest.approx([2.14055, 2.12803, 41])
    assert acquisition.prior_dose_e_per_a2 is not None
    assert acquisition.prior_dose_e_per_a2.max() == 116.1
    assert acquisition.dose_e_per_a2 is not None
    assert acquisition.dose_e_per_a2[0] == pytest.approx(3.87)
    assert (acquisition.voltage_kv, acquisition.amplitude_contrast) == (300, 0.07)


def test_ctf_texts(formats: Path) -> None:
    short = read_acquisition(formats / COM / "test_CTF.txt").acquisition
    assert short.defocus_um is not None
    assert short.defocus_um[0].tolist() == pytest.approx([2.595141, 2.446937, 88.08])
    eight = read_acquisition(formats / COM / "test_8col_CTF.txt")
    assert eight.acquisition.n_views == 31
    assert [use.note for use in eight.fields if use.name == "dfHand"] == ["-1: of the defocus gradient"]


def test_mdoc_gives_dose_and_order(formats: Path) -> None:
    found = read_acquisition(formats / "mdocfile/tests/test_data/tilt_series.mdoc")
    acquisition = found.acquisition
    assert acquisition.n_views == 41
    assert acquisition.order is not None
    assert sorted(acquisition.order) == list(range(41))
    assert acquisition.order[0] == 0  # its first section is the first exposure


def test_portal_json_against_the_files_that_it_was_made_of(formats: Path, tmp_path: Path) -> None:
    """The converter's formula, as its documentation has it: R from ROT, offsets as TX and TY, dark views left out."""
    aln = read_alignment(formats / ALN / "global_and_local.aln").alignment
    sections = []
    for view in np.flatnonzero(aln.used):
        matrix = aln.transform[view, :4].reshape(2, 2)
        offset = -matrix.T @ aln.transform[view, 4:]
        sections.append({"z_index": int(view), "tilt_angle": float(aln.tilt_deg[view]), "volume_x_rotation": 0.25,
                         "in_plane_rotation": matrix.T.tolist(), "x_offset": offset[0],
                         "y_offset": offset[1]})  # fmt: skip
    # TX and TY of the first row that is used, as they stand in the .aln.
    assert [sections[0]["x_offset"], sections[0]["y_offset"]] == pytest.approx([13.382, 21.802], abs=1e-9)
    path = tmp_path / "alignment.json"
    path.write_text(json.dumps({"alignment_type": "GLOBAL", "format": "ARETOMO3", "tilt_offset": 12.3,
                                "per_section_alignment_parameters": sections}))  # fmt: skip
    found = read_alignment(path, tilt_deg=np.arange(-68.0, 33.0, 2.0))
    assert found.alignment.transform == pytest.approx(aln.transform, abs=1e-9)
    assert np.array_equal(found.alignment.used, aln.used)
    assert found.alignment.tilt_deg[aln.used].tolist() == aln.tilt_deg[aln.used].tolist()
    assert found.alignment.x_tilt_deg[20] == -0.25
    assert any("12.3 is not added" in text for text in found.warnings)
