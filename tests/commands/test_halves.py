"""``reconstruct --halves`` on the command line: files, JSON, names, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from tomokit.pipeline.half_jobs import HALVES, evidence_paths
from tomokit.pipeline.naming import half_output
from tomokit.pipeline.request import ReconstructionRequest

Cli = Callable[..., tuple[int, str, str]]
JOB = ("--method", "sirt", "--thickness", 16, "--set", "epochs=3", "--halves", "--no-preview")


def test_it_writes_halves_correlation_and_maps_as_one_set(cli: Cli, data: Path) -> None:
    out = data / "out.mrc"
    words = ("reconstruct", data / "tilts.mrc", "-o", out, *JOB)
    status, text, err = cli(*words, "--json")
    assert status == 0, err
    summary = json.loads(text)["halves"]
    paths = evidence_paths(ReconstructionRequest(data / "tilts.mrc", out, preview=False))
    assert summary["files"] == {name: str(path) for name, path in paths.items()}
    tomograms = [data / f"out{half}.mrc" for half in ("", "_even", "_odd")]
    maps = [paths[name] for name in ("agreement", "noise", "coverage", "trust")]
    for path in (*tomograms, *maps):
        assert mrcfile.validate(path)
    for half in ("even", "odd"):
        record = json.loads((data / f"out_{half}.provenance.json").read_text())
        assert (record["half"], record["views"]["fitted"]) == (half, summary[half]["views"])
        with mrcfile.open(data / f"out_{half}.mrc") as file:
            assert any(f"half: {half} views" in str(label) for label in file.header.label)
    with mrcfile.open(paths["coverage"]) as file:
        assert any("share of directions across y, 0 to 1" in str(label) for label in file.header.label)
        assert np.isclose(file.voxel_size.x, 10)
        assert 0 <= file.data.min() < file.data.max() <= 1
    # The correlation is what `fsc` gives of the files.
    curves = json.loads(paths["fsc_json"].read_text())["curves"]
    status, text, _ = cli("fsc", data / "out_even.mrc", data / "out_odd.mrc", "--json")
    assert json.loads(text)["curves"]["fsc"] == pytest.approx(curves["fsc"], nan_ok=True)
    rows = list(csv.DictReader(paths["fsc_csv"].read_text().splitlines()))
    assert float(rows[2]["fsc"]) == pytest.approx(curves["fsc"][2])
    assert "fsc_without_wedge" in rows[0]
    expected = {path: path.read_bytes() for path in data.iterdir()}
    assert "exists already" in cli(*words)[2]
    # Ended by force between two names, the set lacks the tomogram: the same command goes over what is its own.
    for name in ("out.mrc", "out_coverage.mrc"):
        (data / name).unlink()
    status, text, err = cli(*words)
    assert status == 0, err
    assert "halves of 11 even and 10 odd views: FSC 0.143" in text
    assert {path: path.read_bytes() for path in data.iterdir()} == expected
    # Of another job it is not its own.
    out.unlink()
    assert cli(*words, "--seed", 7)[0] == 2


@pytest.mark.parametrize(
    "taken", ["out_even.mrc", "out_odd.provenance.json", "out_noise.mrc", "out_fsc.csv", "run_even.h5"]
)
def test_what_is_there_is_not_replaced(cli: Cli, data: Path, taken: str) -> None:
    (data / taken).write_text("mine")
    before = sorted(data.iterdir())
    words = ("reconstruct", data / "tilts.mrc", "-o", data / "out.mrc", "--state", data / "run.h5", *JOB)
    status, _, err = cli(*words)
    assert (status, f"{data / taken}" in err, "exists already" in err) == (2, True, True)
    assert sorted(data.iterdir()) == before
    assert (data / taken).read_text() == "mine"


@pytest.mark.parametrize(
    ("naming", "tomogram", "halves"),
    [
        ("none", "out.rec.gz", ("out_even.rec.gz", "out_odd.rec.gz")),
        ("aretomo", "tilts_Vol.mrc", ("tilts_EVN_Vol.mrc", "tilts_ODD_Vol.mrc")),
        ("relion", "rec_tilts.mrc", ("rec_tilts_half1.mrc", "rec_tilts_half2.mrc")),
        ("warp", "tilts_10.00Apx.mrc", ("tilts_10.00Apx_even.mrc", "tilts_10.00Apx_odd.mrc")),
    ],
)
def test_names_are_those_of_other_programs(naming: str, tomogram: str, halves: tuple[str, str]) -> None:
    found = [half_output(Path("a.b") / tomogram, half, naming) for half in HALVES]
    assert found == [Path("a.b") / name for name in halves]


def test_maps_have_the_orientation_and_the_binning_of_the_tomogram(cli: Cli, data: Path) -> None:
    for name in ("out.rec", "out_even.rec", "out_noise.rec", "out.rec_fsc.json"):
        (data / name).write_text("replaced")
    words = ("reconstruct", data / "tilts.mrc", "-o", data / "out.rec", "--thickness", 16, "--halves", "--overwrite")
    form = ("--method", "wbp", "--orientation", "xzy", "--output-bin", 2, "--mode", "int8")
    assert cli(*words, *form)[0] == 0
    for name in ("out.rec.png", "out_odd.rec.png", "out.rec_fsc.png"):
        assert (data / name).read_bytes().startswith(b"\x89PNG")
    for name, kind in (("out.rec", np.int8), ("out_odd.rec", np.int8), ("out_agreement.rec", np.float32)):
        with mrcfile.open(data / name, permissive=True) as file:
            assert (file.data.shape, file.data.dtype) == ((16, 8, 16), kind)


def test_a_dry_run_says_that_there_would_be_halves(cli: Cli, data: Path) -> None:
    before = sorted(data.iterdir())
    status, text, _ = cli("reconstruct", data / "tilts.mrc", "-o", data / "out.mrc", *JOB, "--dry-run", "--json")
    assert (status, json.loads(text)["parameters"]["halves"]) == (0, True)
    assert sorted(data.iterdir()) == before
