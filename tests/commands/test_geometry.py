"""``inspect --geometry``: faults are told with the command that mends them, and nothing is changed unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bead_series import BEADS, TILT_DEG, bead_series

from tests.support.tilted_series import images_of, specimen
from tomokit.diagnosis.geometry import Geometry
from tomokit.fiducials.tracks import fit_tracks
from tomokit.geometry import TiltGeometry
from tomokit.io import write_stack
from tomokit.io.mrc_read import open_mrc
from tomokit.pipeline.doctor import _tracks

Cli = Callable[..., tuple[int, str, str]]
TILT = np.arange(-60.0, 61.0, 6.0)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    images = images_of(specimen("blobs", 3, 64), TiltGeometry(TILT, n_u=64, n_v=64))
    write_stack(folder / "ts.mrc", images)
    np.savetxt(folder / "ts.tlt", TILT, fmt="%.2f")
    return folder


def judged(cli: Cli, *words: object) -> dict:
    status, out, err = cli("inspect", *words, "--geometry", "--json", "--progress", "none")
    assert status == 0, err
    return json.loads(out)


def test_nothing_is_told_of_a_right_geometry(cli: Cli, series: Path) -> None:
    told = judged(cli, series / "ts.mrc")
    assert told["findings"] == []
    assert told["command"] == ""
    says = {one["name"]: one["decided"] for one in told["judgements"]}
    assert says["order"]
    assert not says["hand"]
    assert sorted(path.name for path in series.iterdir()) == ["ts.mrc", "ts.tlt"]


def test_a_fault_is_told_and_mended_only_where_that_is_asked_for(cli: Cli, series: Path, tmp_path: Path) -> None:
    crossed = tmp_path / "crossed.xf"
    crossed.write_text("0 -1 1 0 0 0\n" * TILT.size)
    status, out, _ = cli("inspect", series / "ts.mrc", "--geometry", "--xf", crossed, "--progress", "none")
    assert status == 0
    assert "the tilt axis is 90 degrees off vertical" in out
    assert "--write-fix" in out
    assert [path.name for path in tmp_path.iterdir()] == ["crossed.xf"]
    told = judged(cli, series / "ts.mrc", "--xf", crossed, "--write-fix", tmp_path / "mended")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crossed.xf", "mended.tlt", "mended.xf"]
    assert f"--angles {tmp_path / 'mended.tlt'} --xf {tmp_path / 'mended.xf'}" in told["command"]
    again = judged(cli, series / "ts.mrc", "--angles", tmp_path / "mended.tlt", "--xf", tmp_path / "mended.xf")
    assert [one["what"] for one in again["findings"] if "axis" in one["what"]] == []


def test_a_record_beside_the_stack_is_held_against_the_angles(cli: Cli, series: Path, tmp_path: Path) -> None:
    negated = tmp_path / "negated.tlt"
    np.savetxt(negated, -TILT, fmt="%.2f")
    (finding,) = judged(cli, series / "ts.mrc", "--angles", negated)["findings"]
    assert "ts.tlt" in finding["what"]
    assert finding["certainty"] == "likely"


def test_a_folder_is_judged_as_it_would_be_reconstructed(cli: Cli, series: Path) -> None:
    assert judged(cli, series)["findings"] == []


def test_options_of_the_geometry_alone_are_refused_without_it(cli: Cli, series: Path) -> None:
    status, _, err = cli("inspect", series / "ts.mrc", "--write-fix", "x")
    assert status == 2
    assert "--geometry" in err
    status, _, err = cli("inspect", series / "ts.mrc", series / "ts.tlt", "--geometry")
    assert status == 2
    assert "one series at a time" in err


def test_too_few_views_are_refused(cli: Cli, series: Path) -> None:
    status, _, err = cli("inspect", series / "ts.mrc", "--geometry", "--exclude", "0-17")
    assert status == 2
    assert "3 views are too few" in err


def test_files_are_not_replaced(cli: Cli, series: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "negated.tlt", -TILT, fmt="%.2f")
    words = ("inspect", series / "ts.mrc", "--geometry", "--angles", tmp_path / "negated.tlt")
    status, _, err = cli(*words, "--write-fix", tmp_path / "negated")
    assert status != 0
    assert "exists already" in err


def test_beads_that_are_found_are_tracks_of_the_aligned_views(tmp_path: Path) -> None:
    images = bead_series(depth=7)
    write_stack(tmp_path / "ts.mrc", images)
    stack, views = open_mrc(tmp_path / "ts.mrc"), np.arange(len(TILT_DEG))
    told: list[str] = []
    tracks = _tracks(Path("auto"), Geometry.aligned(TILT_DEG), stack, views, None, told.append)
    assert told == []
    places = np.array([fit.xyz_px for fit in fit_tracks(tracks, TILT_DEG)])
    assert len(places) == len(BEADS)
    for bead in BEADS:
        assert np.abs(places - bead).max(axis=1).min() < 1
    write_stack(tmp_path / "none.mrc", bead_series(beads=np.zeros((0, 3))))
    stack = open_mrc(tmp_path / "none.mrc")
    assert _tracks(Path("auto"), Geometry.aligned(TILT_DEG), stack, views, None, told.append) == []
    assert "no beads found" in told[0]
