"""A microscopist's folder: what is taken, what is ignored and why, what is refused, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from tomokit.commands.folder_table import found_text
from tomokit.errors import InputError
from tomokit.formats.dose_and_defocus import read_dose
from tomokit.formats.front import read_alignment
from tomokit.pipeline.config import build_request
from tomokit.pipeline.folder import find_series, is_series_folder
from tomokit.pipeline.folder_found import FoundSeries
from tomokit.pipeline.known_geometry import KnownGeometry, read_request_alignment

ANGLES = np.arange(-60.0, 61.0, 20.0)
VIEWS = ANGLES.size


def stack(path: Path, shape: tuple[int, int, int] = (VIEWS, 24, 32), size: float = 10.0, label: str = "") -> Path:
    with mrcfile.new(
        path, overwrite=True, data=np.random.default_rng(1).uniform(1, 2, shape).astype(np.float32)
    ) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = size
        if label:
            mrc.add_label(label)
    return path


def text(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


TURNED = "0.0 1.0 -1.0 0.0 1.5 -2.0"
TILT_COM = ("$tilt -StandardInput", "InputProjections TS_1_ali.mrc", "OutputFile TS_1_full_rec.mrc", "IMAGEBINNED 2",
            "TILTFILE TS_1.tlt", "THICKNESS 20", "OFFSET 2.5", "EXCLUDELIST 1,3", "SHIFT 4 -6",
            "XAXISTILT 1.5")  # fmt: skip
NEWST_COM = ("$newstack -StandardInput", "InputFile TS_1.st", "OutputFile TS_1_ali.mrc", "TransformFile TS_1.xf",
             "BinByFactor 2")  # fmt: skip


@pytest.fixture
def etomo(tmp_path: Path) -> Path:
    folder = tmp_path / "TS_1"
    folder.mkdir()
    stack(folder / "TS_1.st")
    text(folder / "TS_1.tlt", *ANGLES)
    text(folder / "TS_1.rawtlt", *ANGLES)
    text(folder / "TS_1.xf", *[TURNED] * VIEWS)
    text(folder / "TS_1.prexg", *["1 0 0 1 3 3"] * VIEWS)
    text(folder / "tilt.com", *TILT_COM)
    text(folder / "newst.com", *NEWST_COM)
    text(folder / "align.log", "something")
    return folder


def used(found: FoundSeries) -> dict[str, str]:
    return {piece.file: piece.used_for for piece in found.pieces}


def note(found: FoundSeries, name: str) -> str:
    return next(piece.note for piece in found.pieces if piece.file == name)


def test_a_raw_stack_with_its_final_alignment(etomo: Path) -> None:
    found = find_series(etomo)
    assert found.stack.name == "TS_1.st"
    taken = used(found)
    assert {name for name, use in taken.items() if use} == {"TS_1.st", "TS_1.xf", "TS_1.tlt", "tilt.com", "newst.com"}
    assert "final alignment" in note(found, "TS_1.prexg")
    assert found.settings["alignment"] == etomo / "TS_1.xf"
    assert found.settings["thickness"] == 20
    assert "THICKNESS 20" in note(found, "tilt.com")
    assert [piece.file for piece in found.pieces if piece.what == "other files"] == ["1 of them"]


def test_an_aligned_stack_goes_before_the_raw_one(etomo: Path) -> None:
    stack(etomo / "TS_1_ali.mrc", (VIEWS, 12, 16), 20.0)
    found = find_series(etomo)
    assert found.stack.name == "TS_1_ali.mrc"
    assert found.settings["aligned"] is True
    assert not {"xf", "alignment"} & set(found.settings)
    # Lengths of tilt.com are in raw pixels, those of the option in the aligned stack's.
    assert found.settings["thickness"] == 10
    assert found.settings["tilt_offset"] == 2.5
    assert found.settings["exclude_from_1"] == "1,3"
    assert found.settings["angles"].name == "TS_1.tlt"
    assert (found.settings["x_tilt"], found.settings["center"]) == (1.5, "-2,0,3")
    assert "aligned already" in note(found, "TS_1.st")
    assert "aligned already" in note(found, "TS_1.xf")


def test_two_series_are_refused_by_name(etomo: Path) -> None:
    stack(etomo / "TS_2.st")
    with pytest.raises(InputError, match=r"2 tilt series in it: TS_1.st, TS_2.st; give one of the stacks itself"):
        find_series(etomo)
    text(etomo / "TS_1.edf", "Setup.DatasetName=TS_1", "Setup.AxisType=Single Axis")
    assert find_series(etomo).stack.name == "TS_1.st"


def test_two_axes_are_told(tmp_path: Path) -> None:
    for name in ("TSa.st", "TSb.st"):
        stack(tmp_path / name)
    with pytest.raises(InputError, match="two axes of one specimen"):
        find_series(tmp_path)


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("TS_1.xf", [TURNED] * (VIEWS - 1), f"{VIEWS} angles, but TS_1.xf has {VIEWS - 1} views"),
        ("TS_1.tlt", ANGLES[1:], f"{VIEWS - 1} angles.*EXCLUDELIST"),
        ("tilt.com", [*TILT_COM, "EXCLUDELIST2 12"], "view 12 is excluded"),
    ],
)
def test_files_that_disagree_are_refused(etomo: Path, name: str, lines: list[str], message: str) -> None:
    text(etomo / name, *lines)
    with pytest.raises(InputError, match=message) as refused:
        find_series(etomo)
    assert "give the stack itself" in str(refused.value)


def test_a_stack_of_other_views_than_its_alignment_is_refused(etomo: Path) -> None:
    stack(etomo / "TS_1.st", (VIEWS + 2, 24, 32))
    with pytest.raises(InputError, match=f"an alignment of {VIEWS} views, but the stack has {VIEWS + 2}.*EXCLUDELIST"):
        find_series(etomo)


def test_an_alignment_of_other_sizes_is_refused(tmp_path: Path) -> None:
    stack(tmp_path / "ts.mrc")
    text(tmp_path / "ts.rawtlt", *ANGLES)
    rows = [f"{i} 0.0 1.0 0.0 0.0 1 1 1 0 {angle}" for i, angle in enumerate(ANGLES)]
    text(tmp_path / "ts.aln", "# AreTomo Alignment", f"# RawSize = 64 48 {VIEWS}",
         "# SEC ROT GMAG TX TY SMEAN SFIT SCALE BASE TILT", *rows)  # fmt: skip
    with pytest.raises(InputError, match="made for images of 64 x 48 pixels, but those of the stack have 32 x 24"):
        find_series(tmp_path)


def test_a_stack_that_is_binned_against_its_alignment_is_refused(etomo: Path) -> None:
    text(
        etomo / "tilt.com", *TILT_COM, "FULLIMAGE 100 130"
    )  # across the raw images of 32 x 24, and four times as large
    with pytest.raises(InputError, match=r"FULLIMAGE: made for images of 100 x 130 pixels.*binned by 4"):
        find_series(etomo)
    text(etomo / "tilt.com", *TILT_COM, "FULLIMAGE 25 32")
    assert find_series(etomo).settings["alignment"] == etomo / "TS_1.xf"


def test_transforms_by_their_names(tmp_path: Path) -> None:
    stack(tmp_path / "tilts-raw.mrc")
    text(tmp_path / "tilts-raw.tlt", *ANGLES)
    for name in ("start.xf", "final.xf"):
        text(tmp_path / name, *[TURNED] * VIEWS)
    found = find_series(tmp_path)
    assert used(found)["final.xf"]
    assert not used(found)["start.xf"]
    assert any("only .tlt" in warning for warning in found.warnings_of_alignment)
    (tmp_path / "final.xf").rename(tmp_path / "a.xf")
    text(tmp_path / "b.xf", *[TURNED] * VIEWS)
    with pytest.raises(InputError, match=r"a.xf and b.xf hold transforms.*--xf"):
        find_series(tmp_path)


def test_only_a_coarse_alignment_is_not_taken(etomo: Path) -> None:
    (etomo / "TS_1.xf").unlink()
    (etomo / "newst.com").unlink()
    found = find_series(etomo)
    assert "alignment" not in found.settings
    assert "no final alignment; --xf" in note(found, "TS_1.prexg")


def test_what_is_no_series(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tilt series in it"):
        find_series(tmp_path)
    stack(tmp_path / "TS_preali.mrc")
    with pytest.raises(InputError, match=r"TS_preali\.mrc is a coarse stack"):
        find_series(tmp_path)
    (tmp_path / "TS.st").write_bytes(b"no MRC")
    with pytest.raises(InputError, match=r"TS\.st cannot be read"):
        find_series(tmp_path)


def test_masks_beads_halves_and_volumes_are_told(etomo: Path) -> None:
    stack(etomo / "TS_1_ali.mrc", (VIEWS, 12, 16), 20.0)
    stack(etomo / "TS_1_mask.mrc", (VIEWS, 12, 16), 20.0)
    stack(etomo / "TS_1_EVN.mrc")
    stack(etomo / "old_mask.mrc", (3, 12, 16))
    (etomo / "TS_1.fid").write_bytes(b"IMODV1.2")
    (etomo / "TS_1_full_rec.mrc").write_bytes((etomo / "TS_1.st").read_bytes())
    found = find_series(etomo)
    assert found.settings["mask"].name == "TS_1_mask.mrc"
    assert "half of the frames" in note(found, "TS_1_EVN.mrc")
    assert "not the size" in note(found, "old_mask.mrc")
    assert f"give --mask-beads {etomo / 'TS_1.fid'} to mask them" in note(found, "TS_1.fid")
    assert "volume" in note(found, "TS_1_full_rec.mrc")


def test_explicit_options_go_before_what_was_found(etomo: Path) -> None:
    stack(etomo / "TS_1_ali.mrc", (VIEWS, 12, 16), 20.0)
    found = find_series(etomo)
    given = {"stack": etomo, "thickness": 6, "exclude": "4", "output": Path("o.mrc")}
    request = build_request(given, found=found)
    # Views that the files leave out stay out.
    assert (request.thickness, request.exclude, request.exclude_from_1) == (6, None, "1,3,5")
    assert request.tilt_offset == 2.5
    assert request.aligned
    assert request.stack == etomo / "TS_1_ali.mrc"
    config = text(etomo.parent / "c.toml", "tilt_offset = -1.0")
    assert build_request({"stack": etomo, "output": Path("o.mrc")}, config=config, found=found).tilt_offset == -1.0


def test_transforms_of_the_user_take_the_place_of_the_alignment(etomo: Path) -> None:
    found = find_series(etomo)
    given = {"stack": etomo, "output": Path("o.mrc")}
    assert build_request(given, found=found).alignment == etomo / "TS_1.xf"
    request = build_request(given | {"xf": etomo / "TS_1.prexg", "tilt_offset": -1.0}, found=found)
    assert (request.alignment, request.xf) == (None, etomo / "TS_1.prexg")
    # What the files say of the specimen stays.
    assert (request.tilt_offset, request.exclude_from_1, request.x_tilt) == (-1.0, "1,3", 1.5)
    assert request.thickness == 20


def aretomo(folder: Path, rot: float = 5.0) -> None:
    stack(folder / "ts.mrc")
    text(folder / "ts.rawtlt", *ANGLES)
    rows = [f"{i} {rot} 1.0 0.5 -1.0 1 1 1 0 {angle + 2}" for i, angle in enumerate(ANGLES[1:])]
    text(folder / "ts.aln", "# AreTomo Alignment", f"# RawSize = 32 24 {VIEWS}", "# DarkFrame = 0 0 -60.0",
         "# AlphaOffset = 2.0", "# Thickness = 12", "# SEC ROT GMAG TX TY SMEAN SFIT SCALE BASE TILT",
         *rows)  # fmt: skip


def test_a_folder_of_aretomo(tmp_path: Path) -> None:
    aretomo(tmp_path)
    found = find_series(tmp_path)
    assert found.settings == {"stack": tmp_path / "ts.mrc", "alignment": tmp_path / "ts.aln", "thickness": 12}
    assert any("dark to AreTomo" in text for text in found.warnings_of_alignment)


def test_two_alignments_are_compared(tmp_path: Path) -> None:
    aretomo(tmp_path)
    text(tmp_path / "ts.tlt", *(ANGLES + 2))
    alignment = read_alignment(tmp_path / "ts.aln").alignment
    text(tmp_path / "ts.xf", *(" ".join(f"{a:.7f}" for a in row) for row in alignment.transform))
    found = find_series(tmp_path)
    assert "says the same as ts.xf" in note(found, "ts.aln")
    aretomo(tmp_path, 12.0)
    with pytest.raises(InputError, match=r"ts.xf and ts.aln align the views differently.*--alignment"):
        find_series(tmp_path)


def test_which_folders_are_looked_into(tmp_path: Path) -> None:
    assert is_series_folder(tmp_path)
    (tmp_path / "volume.zarr").mkdir()
    assert not is_series_folder(tmp_path / "volume.zarr")
    assert not is_series_folder(stack(tmp_path / "a.mrc"))


@pytest.mark.parametrize("aligned", [False, True])
def test_the_fiducial_transforms_of_etomo_are_no_second_alignment(etomo: Path, aligned: bool) -> None:
    text(etomo / "TS_1_fid.xf", *[TURNED] * VIEWS)
    if aligned:
        stack(etomo / "TS_1_ali.mrc", (VIEWS, 12, 16), 20.0)
    found = find_series(etomo)
    assert "TS_1.xf is the final alignment" in note(found, "TS_1_fid.xf")
    assert found.settings["thickness"] == (10 if aligned else 20)


def mdoc(path: Path, angles: np.ndarray = ANGLES) -> Path:
    sections = [
        f"[ZValue = {view}]\nTiltAngle = {angle}\nExposureDose = 3\nPriorRecordDose = {3 * view}\n"
        for view, angle in enumerate(angles)
    ]
    return text(path, "PixelSpacing = 10\nVoltage = 300\n", *sections)


def test_the_options_that_use_a_dose_are_told_as_they_work(etomo: Path) -> None:
    mdoc(etomo / "TS_1.mrc.mdoc")
    assert "give --dose-weighting on to" in note(find_series(etomo), "TS_1.mrc.mdoc")
    assert read_dose(None, etomo / "TS_1.st", VIEWS).path == etomo / "TS_1.mrc.mdoc"
    stack(etomo / "TS_1_ali.mrc", (VIEWS, 12, 16), 20.0)
    assert f"give --dose-weighting on --dose {etomo / 'TS_1.mrc.mdoc'} to" in note(find_series(etomo), "TS_1.mrc.mdoc")


def test_what_is_given_takes_the_place_of_what_the_alignment_says(etomo: Path) -> None:
    text(etomo / "TS_1.xtilt", *np.linspace(0.2, 0.8, VIEWS))
    given = {"stack": etomo / "TS_1.st", "alignment": etomo / "TS_1.xf", "output": Path("o.mrc"), "thickness": 20}
    told: list[str] = []
    found = read_request_alignment(build_request(given), (VIEWS, 24, 32), told.append)
    assert found is not None
    assert found.tilt_offset_deg == 2.5
    assert found.frame.x_tilt_deg == pytest.approx(0.92)  # of the views that are kept
    assert not told
    request = build_request(given | {"x_tilt": 3.0, "tilt_offset": 0.0, "exclude": "4"})
    changed = read_request_alignment(request, (VIEWS, 24, 32), told.append)
    assert changed is not None
    assert changed.tilt_offset_deg == 0
    assert changed.frame.x_tilt_deg == pytest.approx(3.0)
    assert KnownGeometry.of(request, alignment=changed).frame == changed.frame
    # How they vary from view to view stays.
    assert np.allclose(np.diff(changed.x_tilt_deg), np.diff(found.x_tilt_deg))
    assert "--tilt-offset 0 takes the place of 2.5 degrees of TS_1.xf" in told[0]
    assert "--x-tilt 3 takes the place of 0.92 degrees of TS_1.xf" in told[1]
    assert "views 0, 2 (from 0) are left out too, by TS_1.xf and the files beside it" in told[2]


def test_views_in_order_of_acquisition_are_taken_where_the_mdoc_has_the_same_order(etomo: Path) -> None:
    order = np.array([3, 2, 4, 1, 5, 0, 6])
    text(etomo / "TS_1.tlt", *(ANGLES[order] + 0.3))
    text(etomo / "TS_1.rawtlt", *ANGLES[order])
    assert "allow_unsorted" not in find_series(etomo).settings
    mdoc(etomo / "TS_1.mrc.mdoc", ANGLES[order])
    found = find_series(etomo)
    assert found.settings["allow_unsorted"] is True
    assert [piece.file for piece in found.pieces if piece.what == "order"] == ["TS_1.mrc.mdoc"]
    mdoc(etomo / "TS_1.mrc.mdoc")
    assert "allow_unsorted" not in find_series(etomo).settings


def test_a_stack_with_transforms_alone_takes_the_angles_that_are_given(tmp_path: Path) -> None:
    stack(tmp_path / "stack.mrc")
    text(tmp_path / "stack.xf", *[TURNED] * VIEWS)
    with pytest.raises(InputError, match=r"no angles .* or give --angles"):
        find_series(tmp_path)
    assert find_series(tmp_path, Path("-60:60:20")).settings["alignment"] == tmp_path / "stack.xf"


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    stack(tmp_path / "TS_1.mrc")
    (tmp_path / "TS_1_Imod").mkdir()
    text(tmp_path / "TS_1_Imod" / "TS_1_st.xf", *[TURNED] * VIEWS)
    found = find_series(tmp_path)
    assert found.lacks_angles
    assert f"--alignment {tmp_path}/TS_1_Imod/TS_1_st.xf" in note(found, "TS_1_Imod")
    assert "still to be given: --angles F --thickness PX" in found_text(found)


def test_projects_of_warp_and_relion_are_refused_with_the_command(tmp_path: Path) -> None:
    warp, relion, session = (tmp_path / name for name in ("warp", "relion", "my session"))
    for folder in (warp / "tiltseries" / "tiltstack" / "TS_1", relion / "tilt_series", session / "TS_1"):
        folder.mkdir(parents=True)
    made = stack(warp / "tiltseries" / "tiltstack" / "TS_1" / "TS_1.st")
    columns = {"Angles": ANGLES, "Dose": ANGLES * 0, "AxisAngle": ANGLES * 0 + 85, "AxisOffsetX": ANGLES * 0,
               "AxisOffsetY": ANGLES * 0, "UseTilt": ["True"] * VIEWS}  # fmt: skip
    tables = "".join(f"<{name}>{chr(10).join(map(str, values))}</{name}>" for name, values in columns.items())
    xml = text(warp / "tiltseries" / "TS_1.xml", f'<TiltSeries AreAnglesInverted="False">{tables}</TiltSeries>')
    with pytest.raises(InputError, match="no tilt series") as refused:
        find_series(warp)
    assert str(refused.value).endswith(f"try tomokit reconstruct {made} --alignment {xml}")
    names = ("MicrographName", "TomoXTilt", "TomoYTilt", "TomoZRot", "TomoXShiftAngst", "TomoYShiftAngst")
    there = stack(tmp_path / "TS_1.mrc")
    star = text(relion / "tilt_series" / "TS_1.star", "data_TS_1", "", "loop_", *[f"_rln{name}" for name in names],
                *[f"{view + 1:06d}@TS_1.mrc 0 {angle} 85 0 0" for view, angle in enumerate(ANGLES)])  # fmt: skip
    with pytest.raises(InputError, match="no tilt series") as refused:
        find_series(relion)
    assert str(refused.value).endswith(f"try tomokit reconstruct {there} --alignment {star}")
    stack(session / "TS_1" / "TS_1.st")
    with pytest.raises(InputError, match=r"try tomokit reconstruct '.*my session/TS_1'"):
        find_series(session)


def test_order_and_dose_of_aretomo3_are_told(tmp_path: Path) -> None:
    stack(tmp_path / "TS_1.mrc")
    table = text(tmp_path / "TS_1_TLT.txt", *[f"{angle} {view + 1} 3.0" for view, angle in enumerate(ANGLES)])
    found = find_series(tmp_path)
    assert f"give --dose-weighting on --dose {table} to" in note(found, "TS_1_TLT.txt")
    assert not found.lacks_angles
