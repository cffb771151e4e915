"""`tomokit reconstruct FOLDER` and `inspect FOLDER` from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(data: Path) -> Path:
    (data / "truth.mrc").rename(data / "tilts_rec.mrc")
    return data


def test_dry_run_tells_and_writes_nothing(cli: Cli, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    status, out, _ = cli("reconstruct", folder, "--dry-run")
    assert status == 0
    assert "tilts.mrc" in out
    # As wide as the terminal is said to be.
    assert "a volume, not a tilt" in " ".join(out.split())
    status, out, _ = cli("reconstruct", folder, "--dry-run", "--json", "--thickness", 16)
    assert status == 0
    told = json.loads(out)
    assert told["found"]["stack"] == str(folder / "tilts.mrc")
    assert told["parameters"]["thickness"] == 16
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_gives_the_tomogram_of_its_stack(cli: Cli, folder: Path, tmp_path: Path) -> None:
    options = ("--method", "wbp", "--thickness", 16, "--no-preview")
    status, out, err = cli("reconstruct", folder, "-o", tmp_path / "a.mrc", *options, "--json")
    assert status == 0, err
    assert json.loads(out)["found"]["pieces"]
    assert "tilts_rec.mrc" in err
    status, _, err = cli("reconstruct", folder / "tilts.mrc", "-o", tmp_path / "b.mrc", *options)
    assert status == 0, err
    first, second = ((tmp_path / name).read_bytes()[1024:] for name in ("a.mrc", "b.mrc"))
    assert first == second


def test_a_state_of_a_folder_is_resumed(cli: Cli, folder: Path, tmp_path: Path) -> None:
    options = ("--method", "sirt", "--set", "epochs=2", "--thickness", 16, "--no-preview")
    state = tmp_path / "run.h5"
    status, _, err = cli("reconstruct", folder, "-o", tmp_path / "a.mrc", *options, "--state", state)
    assert status == 0, err
    status, _, err = cli("resume", state, "-o", tmp_path / "b.mrc")
    assert status == 0, err
    assert np.array_equal(*((np.fromfile(tmp_path / name, np.float32, offset=1024)) for name in ("a.mrc", "b.mrc")))


def test_an_alignment_is_applied_and_recorded(cli: Cli, folder: Path, tmp_path: Path) -> None:
    angles = np.loadtxt(folder / "tilts.tlt")
    (folder / "tilts.xf").write_text("1 0 0 1 0.25 -0.5\n" * angles.size)
    (folder / "tilt.com").write_text("$tilt -StandardInput\nTILTFILE tilts.tlt\nTHICKNESS 16\nEXCLUDELIST 2\n")
    with mrcfile.open(folder / "tilts.mrc", mode="r+") as mrc:
        mrc.header.nlabl = 0  # which said that tomokit made it aligned
        mrc.header.label[:] = b""
    state = tmp_path / "run.h5"
    options = ("--method", "sirt", "--set", "epochs=1", "--no-preview", "--json")
    status, out, err = cli("reconstruct", folder, "-o", tmp_path / "a.mrc", *options, "--state", state)
    assert status == 0, err
    summary = json.loads(out)
    assert summary["parameters"]["alignment"] == str(folder / "tilts.xf")
    assert summary["provenance"]["alignment"] == ["tilts.xf", "tilts.tlt", "tilt.com"]
    assert summary["provenance"]["excluded_views"] == summary["views"]["excluded"] == [1]
    assert summary["shape"][0] == 16
    assert "but not used" not in err
    # Of the files beside the alignment the state keeps digests too.
    (folder / "tilt.com").write_text("$tilt -StandardInput\nTILTFILE tilts.tlt\nTHICKNESS 16\nEXCLUDELIST 3\n")
    status, _, err = cli("resume", state, "-o", tmp_path / "b.mrc")
    assert status == 2
    assert "SHA-256 differs" in err


def test_refusals_name_what_to_do(cli: Cli, folder: Path) -> None:
    shutil.copy(folder / "tilts.mrc", folder / "other.mrc")
    status, _, err = cli("reconstruct", folder, "-o", folder / "a.mrc", "--thickness", 16)
    assert status == 2
    assert "2 tilt series in it: other.mrc, tilts.mrc" in err
    assert "Traceback" not in err


def test_inspect_shows_the_same_table(cli: Cli, folder: Path) -> None:
    status, out, _ = cli("inspect", folder)
    assert status == 0
    assert "used for" in out
    status, out, _ = cli("inspect", folder, "--json")
    facts = json.loads(out)["files"][0]
    assert facts["kind"] == "tilt series folder"
    assert facts["settings"]["stack"] == str(folder / "tilts.mrc")


def test_a_dry_run_refuses_what_is_not_there(cli: Cli, tmp_path: Path) -> None:
    status, _, err = cli("reconstruct", tmp_path / "nothing", "--dry-run")
    assert status == 2
    assert "cannot be read (No such file or directory)" in err


def test_what_is_told_can_be_pasted(cli: Cli, folder: Path) -> None:
    spaced = folder.rename(folder.parent / "my series")
    (spaced / "tilts.xf").write_text("".join("1 0 0 1 0.5 0\n" for _ in np.loadtxt(spaced / "tilts.tlt")))
    status, out, err = cli("reconstruct", spaced, "--dry-run")
    assert status == 0, err
    assert f"--angles='{spaced / 'tilts.tlt'}'" in out


def test_the_table_says_what_options_take_the_place_of(cli: Cli, folder: Path) -> None:
    (folder / "tilts.xf").write_text("1 0 0 1 0.5 0\n" * np.loadtxt(folder / "tilts.tlt").size)
    status, out, err = cli("reconstruct", folder, "--dry-run", "--angles", "0:20:1", "--thickness", 16)
    assert status == 0, err
    assert "as if given: --aligned\nby your options: --angles=0:20:1 in place of " in out
    (folder / "tilt.com").write_text("$tilt -StandardInput\nTILTFILE tilts.tlt\nTHICKNESS 16\nXAXISTILT 2\n")
    status, out, err = cli("reconstruct", folder, "--dry-run", "--x-tilt", 0)
    assert "by your options: --x-tilt=0.0 in place of 2.0" in out


def test_an_x_axis_tilt_of_0_is_an_answer(cli: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / "tilts.xtilt").write_text("3.0\n" * np.loadtxt(folder / "tilts.tlt").size)
    command = ("reconstruct", folder / "tilts.mrc", "-o", tmp_path / "a.mrc", "--method", "wbp", "--thickness", 16,
               "--no-preview", "--overwrite", "--aligned")  # fmt: skip
    assert "x-axis tilts up to 3 degrees" in cli(*command)[2]
    assert "x-axis tilts" not in cli(*command, "--x-tilt", 0)[2]


def test_without_an_output_the_tomogram_lies_in_the_folder_and_replaces_nothing(cli: Cli, folder: Path) -> None:
    command = ("reconstruct", folder, "--method", "wbp", "--thickness", 16, "--no-preview")
    status, out, err = cli(*command)
    assert status == 0, err
    made = folder / "tilts_tomokit.mrc"
    assert str(made) in out
    assert f"the tomogram will be {made}" in err
    before = made.read_bytes()
    status, _, err = cli(*command)
    assert (status, "exists already" in err) == (2, True)
    assert made.read_bytes() == before
    # With a program's manner of naming the folder is where it goes too.
    assert cli(*command, "--naming", "aretomo")[0] == 0
    assert (folder / "tilts_Vol.mrc").exists()
    status, _, err = cli("reconstruct", folder / "tilts.mrc", "--method", "wbp", "--thickness", 16)
    assert (status, "--output" in err) == (2, True)


@pytest.fixture
def raw_folder(folder: Path) -> Path:
    """A raw stack with an alignment that moves its views, and leaves out the third."""
    angles = np.loadtxt(folder / "tilts.tlt")
    (folder / "tilts.xf").write_text("1 0 0 1 3 0\n" * angles.size)
    (folder / "tilt.com").write_text(
        "$tilt -StandardInput\nTILTFILE tilts.tlt\nTHICKNESS 16\nOFFSET 2\nEXCLUDELIST 3\n"
    )
    with mrcfile.open(folder / "tilts.mrc", mode="r+") as mrc:
        mrc.header.nlabl = 0
        mrc.header.label[:] = b""
    return folder


def test_the_mask_of_a_folder_is_that_of_its_alignment(cli: Cli, raw_folder: Path) -> None:
    made = raw_folder / "m.mrc"
    status, out, err = cli("mask", raw_folder, "-o", made, "--json")
    assert status == 0, err
    assert "thickness PX" not in err
    told = json.loads(out)
    assert told["views_left_out"] == [2]
    assert told["found"]["settings"]["alignment"] == str(raw_folder / "tilts.xf")
    mask = np.asarray(mrcfile.read(made))
    assert not mask[2].any()
    # Moved by 3 pixels, the first three columns come from outside of the raw views.
    assert not mask[:, :, :3].any()
    assert np.delete(mask, 2, 0)[:, :, 3:].all()
    # What is masked here is of aligned views, and is used by the next reconstruction, whatever it is called.
    status, out, _ = cli("reconstruct", raw_folder, "--dry-run", "--json")
    assert json.loads(out)["found"]["settings"]["mask"] == str(made)
    assert cli("mask", raw_folder, "-o", raw_folder / "again.mrc")[0] == 0
    status, _, err = cli("reconstruct", raw_folder, "--dry-run")
    assert (status, "again.mrc and m.mrc both fit" in err) == (2, True)
    assert cli("reconstruct", raw_folder, "--dry-run", "--mask", made)[0] == 0


def test_a_folder_gives_the_angles_and_the_volume_to_project(cli: Cli, raw_folder: Path) -> None:
    angles = np.loadtxt(raw_folder / "tilts.tlt")
    status, out, err = cli("project", raw_folder, "-o", raw_folder / "p.mrc", "--json")
    assert status == 0, err
    assert f"the volume is {raw_folder / 'tilts_rec.mrc'}" in err
    np.testing.assert_allclose(json.loads(out)["tilt_deg"], angles + 2)
    call = ("project", raw_folder / "tilts_rec.mrc", "--angles", raw_folder, "--json")
    first = json.loads(cli(*call, "-o", raw_folder / "q.mrc")[1])
    assert first["tilt_deg"] == json.loads(out)["tilt_deg"]
    # Neither the stack nor the projections count as a tilt series that was recorded; the stack is not replaced.
    status, _, err = cli(*call, "-o", raw_folder / "tilts.mrc", "--overwrite")
    assert (status, "is an input of this job" in err) == (2, True)
    status, _, err = cli("project", raw_folder / "tilts_rec.mrc", "-o", raw_folder / "r.mrc")
    assert (status, "--angles" in err) == (2, True)
    shutil.copy(raw_folder / "tilts_rec.mrc", raw_folder / "tilts_full_rec.mrc")
    status, _, err = cli("project", raw_folder, "-o", raw_folder / "r.mrc")
    assert (status, "2 volumes in it" in err) == (2, True)


def test_a_volume_with_sections_along_y_is_not_projected_as_it_is(cli: Cli, raw_folder: Path) -> None:
    volume = np.zeros((32, 8, 32), np.float32)
    with mrcfile.new(raw_folder / "tilts_rec.mrc", overwrite=True) as mrc:
        mrc.set_data(volume)
        mrc.set_volume()
    status, _, err = cli("project", raw_folder, "-o", raw_folder / "p.mrc")
    assert status == 2
    assert "they lie along y" in err


def test_transforms_that_are_given_settle_which_are_final(cli: Cli, raw_folder: Path) -> None:
    for name in ("a.xf", "b.xf"):
        shutil.copy(raw_folder / "tilts.xf", raw_folder / name)
    (raw_folder / "tilts.xf").unlink()
    status, _, err = cli("reconstruct", raw_folder, "--dry-run")
    assert (status, "which are final" in err) == (2, True)
    status, out, err = cli("reconstruct", raw_folder, "--dry-run", "--xf", raw_folder / "a.xf", "--json")
    assert status == 0, err
    assert json.loads(out)["parameters"]["xf"] == str(raw_folder / "a.xf")
