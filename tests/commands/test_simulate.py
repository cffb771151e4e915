"""``tomokit simulate`` with a crowded specimen and faults: its files, and other commands that use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.formats.serialem import read_mdoc_acquisition
from tomokit.io import read_angles, read_stack, read_volume
from tomokit.io.transforms import read_xf

Cli = Callable[..., tuple[int, str, str]]
SMALL = ("--shape", "12,24,24", "--tilts=-40:40:10", "--seed", 2)
FAULTS = (
    "--offsets", 0.5, "--drift", 0.2, "--gain", 0.02, "--defocus", 2, "--voltage", 200, "--shift-error", 1,
    "--tilt-error", 0.3, "--axis-rotation", 5, "--dose", 3, "--fading", "--hot-pixels", 1, "--snr", 2,
    "--pixel-size", 8,
)  # fmt: skip


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tomokit.commands.app import run

    folder = tmp_path_factory.mktemp("faulty") / "data"
    words = ["simulate", folder, *SMALL, "--specimen", "crowded", "--gold", 1, *FAULTS]
    assert run([str(word) for word in words]) == 0
    return folder


def test_the_truth_of_every_fault_is_beside_the_series(faulty: Path) -> None:
    assert sorted(path.name for path in faulty.iterdir()) == [
        "defocus.txt", "simulation.json", "tilts.mrc", "tilts.mrc.mdoc", "tilts.tlt", "truth.mrc", "truth.tlt",
        "truth.xf",
    ]  # fmt: skip
    record = json.loads((faulty / "simulation.json").read_text())
    np.testing.assert_allclose(read_angles(faulty / "tilts.tlt"), np.arange(-40, 41, 10))
    np.testing.assert_allclose(read_angles(faulty / "truth.tlt"), record["true_tilt_deg"], atol=1e-8)
    xf = read_xf(faulty / "truth.xf")
    np.testing.assert_allclose(-xf[:, 4:], record["true_shift_px"], atol=1e-4)
    np.testing.assert_allclose(np.arctan2(xf[:, 1], xf[:, 0]), np.deg2rad(5), atol=1e-6)
    assert np.loadtxt(faulty / "defocus.txt").tolist() == [2.0] * 9
    dose = read_mdoc_acquisition(faulty / "tilts.mrc.mdoc").acquisition
    assert dose.order is not None
    assert dose.order.tolist() == record["order"] == [7, 6, 3, 2, 0, 1, 4, 5, 8]
    assert dose.prior_dose_e_per_a2 is not None
    np.testing.assert_array_equal(dose.prior_dose_e_per_a2, 3 * dose.order)
    assert dose.voltage_kv == 200
    assert len(record["gold_xyz_px"]) == record["gold"] == 1
    assert record["faults"]["offsets"] == 0.5
    assert read_volume(faulty / "truth.mrc").voxel_size_angstrom == pytest.approx(8)


def test_a_misaligned_series_is_refused_as_raw_and_taken_with_its_true_transforms(
    faulty: Path, tmp_path: Path, cli: Cli
) -> None:
    words = ("reconstruct", faulty / "tilts.mrc", "--method", "wbp", "--thickness", 12, "--no-preview")
    status, _, err = cli(*words, "-o", tmp_path / "a.mrc")
    assert status == 2
    assert "truth.xf" in err
    truths = ("--xf", faulty / "truth.xf", "--angles", faulty / "truth.tlt")
    filters = ("--dose-weighting", "on", "--ctf", faulty / "defocus.txt", "--voltage", 200, "--transform", "linear")
    status, out, err = cli(*words, "-o", tmp_path / "b.mrc", *truths, *filters, "--json")
    assert status == 0, err
    assert json.loads(out)["shape"] == [12, 24, 24]


def test_counts_are_written_as_counts(tmp_path: Path, cli: Cli) -> None:
    words = ("simulate", tmp_path / "d", *SMALL, "--counting", "--dose", 4, "--mean-free-path", 1000, "--json")
    status, out, _ = cli(*words)
    assert status == 0
    assert json.loads(out)["simulation"]["units"] == "electrons"
    pixels = np.asarray(read_stack(tmp_path / "d" / "tilts.mrc").pixels)
    np.testing.assert_array_equal(pixels, np.round(pixels))
    assert 300 < pixels.max() < 600


def test_overwriting_leaves_nothing_of_an_earlier_simulation(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "d"
    assert cli("simulate", folder, *SMALL, "--shift-error", 1, "--dose", 1)[0] == 0
    (folder / "notes.txt").write_text("mine")
    status, _, err = cli("simulate", folder, *SMALL)
    assert (status, "exists" in err) == (2, True)
    assert cli("simulate", folder, *SMALL, "--overwrite")[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "tilts.mrc", "tilts.tlt", "truth.mrc"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--specimen", "sponge"),
        ("--specimen", "crowded", "--tilts=-85:85:5"),
        ("--gold", 2),
        ("--snr", 1, "--noise", 0.1),
        ("--counting",),
        ("--fading",),
        ("--counting", "--dose", 3, "--noise", 0.1),
        ("--mtf", 0.5),
        ("--mean-free-path", 2000),
        ("--cs", 2),
        ("--voltage", 200),
        ("--amplitude-contrast", 0.1),
        ("--defocus-gradient", "off"),
        ("--defocus", 3, "--counting", "--dose", 3, "--amplitude-contrast", 0),
        ("--defocus", "nan"),
        ("--order", "random"),
        ("--pixel-size", 0),
        ("--shift-error", 100),
        ("--dose", 1e30, "--counting"),
    ],
)
def test_options_that_contradict_each_other_are_refused_in_one_line(
    wrong: tuple[str, ...], tmp_path: Path, cli: Cli
) -> None:
    status, out, err = cli("simulate", tmp_path / "d", *SMALL, *wrong)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "d").exists()
