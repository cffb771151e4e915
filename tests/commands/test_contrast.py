"""Contrast from the command line: series that were once taken for the wrong kind without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.io import read_volume, write_stack

Cli = Callable[..., tuple[int, str, str]]

CASES = {
    # name: kind, whether a doubt is told, and whether a constant is subtracted
    "reference_float.mrc": ("log", False, False),
    "imod_signed_bytes.st": ("log", False, False),
    "bright_field_hole.mrc": ("log", True, False),
    "haadf_pedestal.mrc": ("linear", True, True),
    "haadf_int16_offset.mrc": ("linear", True, True),
}


def reconstruct(cli: Cli, stack: Path, output: Path, *options: object) -> tuple[dict, str]:
    """The summary, and what was said beside it."""
    call = ("reconstruct", stack, "-o", output, "--thickness", 16, "--method", "wbp", "--no-preview", "--json")
    status, out, err = cli(*call, "--overwrite", *options)
    assert status == 0, err
    return json.loads(out), err


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data / "cases"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_taken_for_what_it_is(cli: Cli, cases: Path, tmp_path: Path, name: str) -> None:
    kind, doubtful, moved = CASES[name]
    summary, err = reconstruct(cli, cases / name, tmp_path / "o.mrc")
    found = summary["linearization"]
    assert (found["kind"], found["chosen_by"]) == (kind, "auto")
    assert ("in doubt" in err) == doubtful
    assert (found["offset"] != 0) == moved
    # The same specimen in all: dense is bright in every volume.
    volume = read_volume(tmp_path / "o.mrc").density
    reconstruct(cli, cases / "reference_float.mrc", tmp_path / "r.mrc")
    reference = read_volume(tmp_path / "r.mrc").density
    least = 0.5 if "hole" in name else 0.9
    assert np.corrcoef(volume.ravel(), reference.ravel())[0, 1] > least


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("options", [("--bin", 2), ("--bin", 4), ("--hold-out", 5), ("--half", "odd"), ("--y", "8:24")])
def test_no_option_changes_the_answer(
    cli: Cli, cases: Path, tmp_path: Path, name: str, options: tuple[object, ...]
) -> None:
    found = reconstruct(cli, cases / name, tmp_path / "o.mrc", *options)[0]["linearization"]
    assert found["kind"] == CASES[name][0]
    assert not found["background"]


def test_a_pedestal_spoils_nothing(cli: Cli, data: Path) -> None:
    views = read_volume(data / "tilts.mrc").density
    truth = read_volume(data / "truth.mrc").density
    scores = []
    for name, pedestal in (("none", 0.0), ("some", 0.6 * float(views.max()))):
        write_stack(data / "s.mrc", views + np.float32(pedestal), pixel_size_angstrom=10, overwrite=True)
        (data / "s.tlt").write_bytes((data / "tilts.tlt").read_bytes())
        options = ("--method", "sirt", "--set", "epochs=5")
        summary, _ = reconstruct(cli, data / "s.mrc", data / f"{name}.mrc", *options)
        assert summary["linearization"]["offset"] == pytest.approx(pedestal, abs=0.03 * float(views.max()))
        scores.append(np.corrcoef(read_volume(data / f"{name}.mrc").density.ravel(), truth.ravel())[0, 1])
    assert scores[1] > scores[0] - 0.03


def test_what_cannot_be_told_is_refused_and_writes_nothing(cli: Cli, data: Path) -> None:
    noise = 100 + np.random.default_rng(1).standard_normal((21, 32, 32)).astype(np.float32)
    write_stack(data / "n.mrc", noise)
    (data / "n.tlt").write_bytes((data / "tilts.tlt").read_bytes())
    before = sorted(path.name for path in data.iterdir())
    call = ("reconstruct", data / "n.mrc", "-o", data / "o.mrc", "--thickness", 8, "--method", "wbp")
    status, out, err = cli(*call)
    assert (status, out) == (2, "")
    assert f"{data / 'n.mrc'}: images: whether dark or bright in them is dense cannot be told" in err
    assert "--linearization log if dark is dense, --linearization linear if bright is dense" in err
    assert sorted(path.name for path in data.iterdir()) == before
    assert cli(*call, "--linearization", "log")[0] == 0


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ("ChannelName = HAADF Detector", "linear"),
        ("ChannelName = BF-S", "log"),
        ("NumSubFrames = 8\nSubFramePath = frames.tif", "log"),
    ],
)
def test_an_mdoc_that_names_the_detector_decides(cli: Cli, data: Path, fields: str, kind: str) -> None:
    noise = 100 + np.random.default_rng(1).standard_normal((3, 32, 32)).astype(np.float32)
    write_stack(data / "n.mrc", noise)
    sections = "".join(f"[ZValue = {z}]\nTiltAngle = {20 * z}\n{fields}\n\n" for z in range(3))
    (data / "n.mrc.mdoc").write_text(f"PixelSpacing = 2\nImageFile = n.mrc\n\n{sections}")
    (data / "n.tlt").write_text("0\n20\n40\n")
    found = reconstruct(cli, data / "n.mrc", data / "o.mrc")[0]["linearization"]
    assert found["kind"] == kind
    assert "recorded as" in found["reason"]
