"""EMPIAR-10499 in a folder as a microscopist has it: raw stack, angles, two files of transforms and a tilt.com."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tomokit.pipeline.folder import find_series

TILT_COM = (
    "$setenv IMOD_OUTPUT_FORMAT MRC\n$tilt -StandardInput\nInputProjections tilts_ali.mrc\nOutputFile tilts_rec.mrc\n"
    "IMAGEBINNED 1\nTILTFILE tilts-raw.tlt\nTHICKNESS 300\nRADIAL 0.35 0.035\nXAXISTILT 0.0\nOFFSET 0.0\n"
    "SHIFT 0.0 0.0\nFULLIMAGE 652 630\nSUBSETSTART 0 0\n$if (-e ./savework) ./savework\n"
)


@pytest.fixture
def folder(shared_data: Path, tmp_path: Path) -> Path:
    source, folder = shared_data / "empiar-10499", tmp_path / "10499"
    folder.mkdir()
    for name in ("tilts-raw.tlt", "final.xf", "start.xf", "dose.txt", "defocus-um.txt"):
        shutil.copy(source / name, folder)
    os.symlink(source / "tilts-raw.mrc", folder / "tilts-raw.mrc")
    (folder / "tilt.com").write_text(TILT_COM)
    return folder


def test_its_files_are_found(folder: Path) -> None:
    found = find_series(folder)
    used = {piece.file for piece in found.pieces if piece.used_for}
    assert used == {"tilts-raw.mrc", "tilts-raw.tlt", "final.xf", "tilt.com"}
    assert found.settings["thickness"] == 300
    assert found.stack == folder / "tilts-raw.mrc"


@pytest.mark.long
def test_one_command_gives_the_tomogram(folder: Path, tmp_path: Path) -> None:
    import mrcfile

    from tomokit.commands.app import run

    output = tmp_path / "tomogram.mrc"
    assert run(["reconstruct", str(folder), "-o", str(output), "--method", "wbp", "--bin", "4"]) == 0
    with mrcfile.open(output) as mrc:
        assert mrc.data.shape == (75, 157, 163)
        assert mrc.voxel_size.x == pytest.approx(40)
        # Gold beads on both surfaces of the cell: far darker than anything else.
        density = mrc.data
        assert density.min() < density.mean() - 8 * density.std() or density.max() > density.mean() + 8 * density.std()
    assert output.with_suffix(".png").exists()
