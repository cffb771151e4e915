"""``mask`` and ``reconstruct --mask-beads``: what is masked, what is said of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bead_series import BEADS, GEOMETRY, TILT_DEG, bead_series, imod_model, model_points

from tomokit.io import load_series, read_stack, read_volume, write_stack

Cli = Callable[..., tuple[int, str, str]]
SIRT = ("--method", "sirt", "--thickness", 32, "--linearization", "log", "--set", "epochs=2", "--no-preview")


@pytest.fixture
def beads(tmp_path: Path) -> Path:
    """Folder with ``tilts.mrc``, ``tilts.tlt`` and ``beads.fid``."""
    write_stack(tmp_path / "tilts.mrc", bead_series(depth=7), pixel_size_angstrom=8.0)
    np.savetxt(tmp_path / "tilts.tlt", TILT_DEG, fmt="%.2f")
    (tmp_path / "beads.fid").write_bytes(imod_model(model_points()))
    return tmp_path


def _share_covered(mask: np.ndarray, radius: float) -> float:
    """Which fraction of the pixels within this radius of the beads is masked."""
    u, v = GEOMETRY.locate(BEADS)
    rows, columns = np.mgrid[:120, :128]
    near = np.array(
        [
            [np.hypot(rows - y - 59.5, columns - x - 63.5) < radius for x, y in zip(us, vs, strict=True)]
            for us, vs in zip(u, v, strict=True)
        ]
    ).any(axis=1)
    return float(np.mean(mask[near] == 0))


@pytest.mark.parametrize("words", [("--find",), ("--fiducials", "beads.fid")])
def test_beads_are_masked(cli: Cli, beads: Path, words: tuple[str, ...]) -> None:
    words = tuple(str(beads / word) if word.endswith(".fid") else word for word in words)
    status, out, err = cli("mask", beads / "tilts.mrc", "-o", beads / "mask.mrc", *words, "--json")
    assert (status, err) == (0, "")
    facts = json.loads(out)
    assert facts["beads"]["beads"] == len(BEADS)
    assert facts["beads"]["contrast"] == "dark"
    written = read_stack(beads / "mask.mrc")
    assert written.header.mode == 0
    assert set(np.unique(written.pixels)) == {0, 1}
    assert facts["used_fraction"] == pytest.approx(written.pixels.mean())
    assert _share_covered(written.pixels, 4.0) == 1
    assert load_series(beads / "tilts.mrc", mask=beads / "mask.mrc").mask is not None


def test_radius_and_margin_are_those_that_are_given(cli: Cli, beads: Path) -> None:
    used = []
    for name, words in (("a", ("--radius", 5)), ("b", ("--radius", 3, "--margin", 2)), ("c", ("--radius", 7))):
        call = ("mask", beads / "tilts.mrc", "-o", beads / f"{name}.mrc", "--fiducials", beads / "beads.fid", "--json")
        status, out, _ = cli(*call, *words)
        assert status == 0
        used.append(json.loads(out)["used_fraction"])
    assert used[0] == pytest.approx(used[1], abs=1e-4)
    assert used[2] < used[0]


def test_padding_and_another_mask_are_merged(cli: Cli, beads: Path) -> None:
    other = np.ones((11, 120, 128), np.float32)
    other[:, :, :9] = 0
    write_stack(beads / "other.mrc", other)
    (beads / "t.xf").write_text("1 0 0 1 0 14\n" * 11)
    call = (
        "mask",
        beads / "tilts.mrc",
        "-o",
        beads / "mask.mrc",
        "--merge",
        beads / "other.mrc",
        "--xf",
        beads / "t.xf",
    )
    assert cli(*call, "--raw-size", "128,120")[0] == 0
    pixels = read_stack(beads / "mask.mrc").pixels
    assert (pixels[:, :14] == 0).all()
    assert (pixels[:, :, :9] == 0).all()
    assert (pixels[:, 14:, 9:] == 1).all()


def test_a_raw_stack_is_aligned_first(cli: Cli, beads: Path) -> None:
    (beads / "t.xf").write_text("1 0 0 1 0 3\n" * 11)
    call = ("mask", beads / "tilts.mrc", "-o", beads / "mask.mrc", "--xf", beads / "t.xf", "--find", "--json")
    status, out, _ = cli(*call)
    assert status == 0
    assert json.loads(out)["beads"]["beads"] == len(BEADS)
    pixels = read_stack(beads / "mask.mrc").pixels
    assert (pixels[:, :3] == 0).all()
    assert _share_covered(np.roll(pixels, -3, axis=1), 3.5) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing is to be masked"),
        (("--find", "--fiducials", "beads.fid"), "--find"),
        (("--find", "--radius", "-1"), "--radius"),
        (("--find", "--margin", "nan"), "--margin"),
        (("--find", "--raw-size", "10,10"), "--raw-size"),
        (("--find", "--xf", "t.xf", "--raw-size", "10"), "10,10"[:2]),
        (("--fiducials", "tilts.tlt"), "tilts.tlt"),
        (("--fiducials", "missing.fid"), "missing.fid"),
        (("--fiducials", "beads.fid", "--radius", "60"), "would mask"),
        (("--fiducials", "turned.fid"), "do not fit the angles"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_written(
    cli: Cli, beads: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(beads)
    turned = [points[:, [1, 0, 2]] for points in model_points()]
    (beads / "turned.fid").write_bytes(imod_model(turned))
    before = sorted(beads.iterdir())
    status, out, err = cli("mask", "tilts.mrc", "-o", "mask.mrc", *words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert sorted(beads.iterdir()) == before


def test_no_bead_found_is_an_error_of_mask_and_a_warning_of_reconstruct(cli: Cli, beads: Path) -> None:
    write_stack(beads / "tilts.mrc", bead_series(beads=np.zeros((0, 3))), overwrite=True)
    status, _, err = cli("mask", beads / "tilts.mrc", "-o", beads / "mask.mrc", "--find")
    assert status == 2
    assert "no bead is found" in err
    status, _, err = cli("reconstruct", beads / "tilts.mrc", "-o", beads / "o.mrc", *SIRT, "--mask-beads", "auto")
    assert status == 0
    assert "no beads found" in err


def test_an_output_that_exists_and_an_input_are_kept(cli: Cli, beads: Path) -> None:
    (beads / "mask.mrc").write_text("mine")
    for name, words in (("mask.mrc", ()), ("tilts.mrc", ("--overwrite",)), ("beads.fid", ("--overwrite",))):
        call = ("mask", beads / "tilts.mrc", "-o", beads / name, "--fiducials", beads / "beads.fid")
        assert cli(*call, *words)[0] == 2
    assert (beads / "mask.mrc").read_text() == "mine"
    assert cli("mask", beads / "tilts.mrc", "-o", beads / "mask.mrc", "--find", "--overwrite")[0] == 0


def test_reconstruct_masks_what_mask_does(cli: Cli, beads: Path) -> None:
    assert cli("mask", beads / "tilts.mrc", "-o", beads / "mask.mrc", "--find")[0] == 0
    volumes = []
    for name, words in (("a", ("--mask", beads / "mask.mrc")), ("b", ("--mask-beads", "auto"))):
        status, out, _ = cli("reconstruct", beads / "tilts.mrc", "-o", beads / f"{name}.mrc", *SIRT, *words, "--json")
        assert status == 0
        volumes.append(read_volume(beads / f"{name}.mrc").density)
    assert np.array_equal(*volumes)
    record = json.loads((beads / "b.provenance.json").read_text())["series"]["beads"]
    assert (record["by"], record["beads"]) == ("auto", len(BEADS))
    assert json.loads(out)["parameters"]["mask_beads"] == "auto"


def test_the_extremes_of_beads_have_no_say_in_the_scale(cli: Cli, beads: Path) -> None:
    imin = []
    for name, words in (("a", ()), ("b", ("--mask-beads", beads / "beads.fid"))):
        status, out, _ = cli("reconstruct", beads / "tilts.mrc", "-o", beads / f"{name}.mrc", *SIRT, *words, "--json")
        assert status == 0
        imin.append(json.loads(out)["linearization"]["imin"])
    assert imin[0] < 2 < 4 < imin[1]


@pytest.mark.parametrize("given", ["auto", "beads.fid"])
def test_a_run_is_resumed_with_the_same_beads(cli: Cli, beads: Path, given: str) -> None:
    word = given if given == "auto" else beads / given
    call = ("reconstruct", beads / "tilts.mrc", *SIRT, "--mask-beads", word, "--exclude", "2")
    assert cli(*call, "-o", beads / "whole.mrc", "--set", "epochs=4")[0] == 0
    assert cli(*call, "-o", beads / "part.mrc", "--state", beads / "run.h5")[0] == 0
    assert cli("resume", beads / "run.h5", "-o", beads / "resumed.mrc", "--epochs", "4")[0] == 0
    whole, resumed = (read_volume(beads / f"{name}.mrc").density for name in ("whole", "resumed"))
    assert np.array_equal(whole, resumed)
    if given != "auto":
        (beads / given).write_bytes(imod_model(model_points()[:3]))
        status, _, err = cli("resume", beads / "run.h5", "-o", beads / "again.mrc", "--epochs", "6")
        assert status == 2
        assert "beads.fid" in err


def test_inspect_says_what_a_model_is(cli: Cli, beads: Path) -> None:
    lines = [f"1 1 {x:.2f} {y:.2f} {view:.0f}" for x, y, view in model_points()[0]]
    (beads / "beads.txt").write_text("\n".join(lines))
    status, out, _ = cli("inspect", beads / "beads.fid", beads / "beads.txt", "--json")
    assert status == 0
    binary, text = json.loads(out)["files"]
    assert (binary["kind"], binary["format"], binary["points"]) == ("fiducials", "IMOD model", 55)
    assert (text["kind"], text["format"], text["points"]) == ("fiducials", "model2point text", 11)
