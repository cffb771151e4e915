"""`reconstruct` and `export` write a tomogram in the form, and under the name, that is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

Cli = Callable[..., tuple[int, str, str]]
WBP = ("--method", "wbp", "--thickness", "16", "--no-preview", "--json")


def _data(path: Path) -> np.ndarray:
    with mrcfile.open(path) as file:
        return file.data.copy()


def test_the_form_of_the_tomogram(simulated: Path, tmp_path: Path, cli: Cli) -> None:
    stack, plain, formed = simulated / "tilts.mrc", tmp_path / "p.mrc", tmp_path / "f.rec"
    assert cli("reconstruct", stack, "-o", plain, *WBP)[0] == 0
    form = ("--orientation", "xzy", "--mode", "int16", "--invert-contrast", "--output-bin", "2")
    status, out, _ = cli("reconstruct", stack, "-o", formed, *WBP, *form)
    assert status == 0
    assert json.loads(out)["stored"] == {"orientation": "xzy", "mode": "int16", "invert": True, "bin": 2}
    means = -_data(plain).reshape(8, 2, 16, 2, 16, 2).mean(axis=(1, 3, 5))
    record = json.loads((tmp_path / "f.rec.provenance.json").read_text())["stored"]
    back = _data(formed) / record["factor"] + record["zero"]
    np.testing.assert_allclose(back, means.transpose(1, 0, 2), atol=1.1 / record["factor"])
    assert record["orientation"] == "xzy"
    with mrcfile.open(plain) as one, mrcfile.open(formed) as other:
        assert float(other.voxel_size.x) == pytest.approx(2 * float(one.voxel_size.x))
    # In slabs it is the same file.
    slabs = tmp_path / "s" / "f.rec"
    slabs.parent.mkdir()
    assert cli("reconstruct", stack, "-o", slabs, *WBP, *form, "--slabs", "3")[0] == 0
    assert slabs.read_bytes() == formed.read_bytes()
    assert {path.name for path in slabs.parent.iterdir()} == {"f.rec", "f.rec.provenance.json"}


def test_export_in_another_form(simulated: Path, tmp_path: Path, cli: Cli) -> None:
    state, out = tmp_path / "run.h5", tmp_path / "e.mrc"
    words = ("--method", "sirt", "--thickness", "16", "--set", "epochs=1", "--no-preview", "--state", state)
    assert cli("reconstruct", simulated / "tilts.mrc", "-o", tmp_path / "p.mrc", *words)[0] == 0
    status, _, err = cli("export", state, out, "--orientation", "xzy", "--mode", "int8", "--invert-contrast")
    assert status == 0, err
    assert _data(out).shape == (32, 16, 32)
    assert _data(out).dtype == np.int8
    assert json.loads((tmp_path / "e.provenance.json").read_text())["exported"]["form"]["mode"] == "int8"
    for words in (("--mode", "int9"), ("--orientation", "yxz")):
        status, _, err = cli("export", state, tmp_path / "x.mrc", *words)
        assert status == 2
        assert words[0] in err


@pytest.mark.parametrize(
    ("naming", "name"), [("aretomo", "tilts_Vol.mrc"), ("relion", "rec_tilts.mrc"), ("warp", "tilts_{:.2f}Apx.mrc")]
)
def test_names_of_other_programs(simulated: Path, tmp_path: Path, cli: Cli, naming: str, name: str) -> None:
    words = ("--naming", naming, "--pixel-size", "5.2", "--bin", "2")
    status, out, err = cli("reconstruct", simulated / "tilts.mrc", "-o", tmp_path, *WBP, *words)
    assert status == 0, err
    assert json.loads(out)["output"] == str(tmp_path / name.format(10.4))
    assert (tmp_path / name.format(10.4)).is_file()


def test_what_contradicts_itself_is_refused_before_the_work(simulated: Path, tmp_path: Path, cli: Cli) -> None:
    for output, words, message in (
        ("o.tif", ("--mode", "int8"), "--mode: int8 is for MRC"),
        ("o.zarr", ("--orientation", "xzy"), "--orientation: xzy is for MRC"),
        ("o.mrc", ("--output-bin", "20"), "--output-bin: 20 for 32 x 32 x 16 voxels; give at most 16"),
        ("o.mrc", ("--naming", "relion"), "--naming: relion names the tomogram, and --output is no folder"),
        ("o.mrc", ("--mode", "int9"), "--mode"),
    ):
        status, _, err = cli("reconstruct", simulated / "tilts.mrc", "-o", tmp_path / output, *WBP[:-1], *words)
        assert status == 2
        assert message in err
        assert not list(tmp_path.iterdir())
