"""The command ``fsc``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from tomokit.data import Volume
from tomokit.io import write_volume
from tomokit.pipeline import half_maps
from tomokit.pipeline.half_maps import FourierOptions, half_map_correlation

Cli = Callable[..., tuple[int, str, str]]
SHAPE = (16, 32, 28)


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    """A smooth volume of 5 ångström a voxel, with other noise in each half."""
    rng = np.random.default_rng(0)
    z, y, x = (np.arange(n) for n in SHAPE)
    waves = np.sin(z[:, None, None] / 2.5) + np.sin(y[:, None] / 3) + np.sin(x / 4)
    paths = (tmp_path / "even.mrc", tmp_path / "odd.mrc")
    for path in paths:
        values = waves + 7 + 0.7 * rng.standard_normal(SHAPE)
        write_volume(path, Volume(values.astype(np.float32), 5.0))
    return paths


def test_it_tells_crossings_and_writes_table_and_plot(cli: Cli, halves: tuple[Path, Path], tmp_path: Path) -> None:
    table, plot = tmp_path / "a.csv", tmp_path / "a.png"
    words = ("fsc", *halves, "--csv", table, "--plot", plot, "--edge", 3, "--tilt-range=-60,60")
    status, out, err = cli(*words, "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    curves = result["curves"]
    crossing = result["crossings"]["0.5"]
    assert crossing["resolution_angstrom"] == pytest.approx(5 / crossing["frequency"])
    assert 15 < crossing["resolution_angstrom"] < 90
    assert result["tilt_range_deg"] == [-60, 60]
    assert result["check"]["beyond_angstrom"] > crossing["resolution_angstrom"]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == len(curves["fsc"]) == 16
    assert list(rows[0]) == list(curves)
    assert float(rows[3]["fsc"]) == pytest.approx(curves["fsc"][3])
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert cli(*words)[0] == 2
    status, out, _ = cli(*words, "--overwrite")
    assert status == 0
    assert f"FSC 0.5: {crossing['resolution_angstrom']:.2f} angstrom" in out


def test_a_volume_with_itself(cli: Cli, halves: tuple[Path, Path]) -> None:
    status, out, err = cli("fsc", halves[0], halves[0], "--json")
    result = json.loads(out)
    assert (status, result["check"]) == (0, None)
    np.testing.assert_allclose(result["curves"]["fsc"], 1, rtol=1e-9)
    assert result["crossings"]["0.143"] == {"resolution_angstrom": None, "frequency": None, "found": "above to the end"}
    assert "the mask was not checked" in err


@pytest.mark.parametrize("mask", ["none", "sphere", "auto", "box", "file"])
def test_every_mask(halves: tuple[Path, Path], tmp_path: Path, mask: str) -> None:
    if mask == "file":
        core = np.zeros(SHAPE, np.float32)
        core[4:12, 8:24, 8:20] = 1
        mask = str(tmp_path / "m.mrc")
        write_volume(mask, Volume(core, 5.0))
    result = half_map_correlation(*halves, FourierOptions(mask=mask, edge_px=3))
    assert 0.01 < result["mask"]["share"] <= 1
    assert result["curves"]["fsc"][0] > 0.9
    assert abs(np.mean([value for value in result["curves"]["fsc"][8:] if value is not None])) < 0.15
    assert (result["check"] is None) == (mask == "none")


def test_what_does_not_belong_together_is_refused(cli: Cli, halves: tuple[Path, Path], tmp_path: Path) -> None:
    def volume(name: str, values: np.ndarray, size: float = 5.0) -> Path:
        write_volume(tmp_path / name, Volume(values.astype(np.float32), size))
        return tmp_path / name

    noise = np.random.default_rng(1).standard_normal(SHAPE)
    first = halves[0]
    for words, said in (
        ((first, volume("s.mrc", noise[:8])), "volumes of 28 x 32 x 16 and 28 x 32 x 8 voxels (x, y, z)"),
        ((first, volume("v.mrc", noise, 5.1)), "voxels of 5 and of 5.1"),
        ((first, volume("c.mrc", np.ones(SHAPE))), "c.mrc: density: is constant"),
        ((*halves, "--mask", volume("m.mrc", noise)), "m.mrc: mask: values from"),
        ((*halves, "--mask", volume("t.mrc", noise[:4])), "a mask of 28 x 32 x 4 in place of 28 x 32 x 16 voxels"),
        ((*halves, "--mask", tmp_path / "none.mrc"), "none.mrc"),
        ((*halves, "--tilt-range", "60"), "--tilt-range: '60' is not two angles"),
        ((*halves, "--tilt-range", "60,10"), "--tilt-range: 60 to 10 degrees is no range"),
        ((*halves, "--randomize-beyond", "9"), "9 ångström is not coarser than two voxels of 5"),
        ((*halves, "--edge", "-1"), "--edge: an edge of -1 voxels"),
        ((*halves, "--edge", "nan"), "--edge: an edge of nan voxels"),
        ((*halves, "--plot", tmp_path / "p.jpg"), "the picture is PNG"),
        ((*halves, "--csv", first), "is an input of this job"),
        ((*halves, "--csv", tmp_path / "a", "--plot", tmp_path / "a"), "one name"),
    ):
        status, out, err = cli("fsc", *words, "--overwrite")
        assert (status, out) == (2, ""), words
        assert said in err
        assert err.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_without_a_voxel_size_frequencies_are_told(cli: Cli, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.mrc" for name in "ab"]
    for seed, path in enumerate(paths):
        with mrcfile.new(path) as file:
            file.set_data(np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32))
            file.set_volume()
    status, out, err = cli("fsc", *paths, "--json")
    result = json.loads(out)
    assert (status, result["voxel_size_angstrom"]) == (0, None)
    assert set(result["curves"]["resolution_angstrom"]) == {None}
    assert "neither volume has a voxel size" in err
    assert "--randomize-beyond: no resolution" in cli("fsc", *paths, "--randomize-beyond", 50)[2]


def test_too_little_memory_is_told_before_the_work(
    cli: Cli, halves: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_maps, "_BYTES_PER_VOXEL", 1 << 46)
    status, _, err = cli("fsc", *halves)
    assert status == 2
    assert "the Fourier transforms of two volumes needs about" in err
