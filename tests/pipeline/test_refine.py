"""`--refine` from the command line to the files: views are moved, transforms written, and runs go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tomokit
from tomokit.io import load_series, read_xf
from tomokit.io.mrc_write import write_stack
from tomokit.io.transforms import align_images
from tomokit.phantom import simulate_series
from tomokit.refinement.refine import Schedule, refine

Cli = Callable[..., tuple[int, str, str]]

TILT = np.arange(-60.0, 61.0, 6.0)
N = 48


def displaced(folder: Path, most_px: float) -> tuple[Path, np.ndarray]:
    """A raw stack of views, angles and transforms that leave each view displaced; by how much, across and along."""
    series, _ = simulate_series((24, N, N), TILT, noise=0.01, seed=4)
    rng = np.random.default_rng(7)
    error = rng.uniform(-most_px, most_px, (TILT.size, 2))
    turn = np.deg2rad(6.0)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    true = np.column_stack([np.tile(matrix.ravel(), (TILT.size, 1)), rng.uniform(-2, 2, (TILT.size, 2))])
    inverse = np.linalg.inv(matrix)
    back = np.column_stack([np.tile(inverse.ravel(), (TILT.size, 1)), -true[:, 4:] @ inverse.T])
    raw, _ = align_images(series.images, back, out_shape=(N + 12, N + 12))
    write_stack(folder / "raw.mrc", raw, pixel_size_angstrom=10.0, aligned=False)
    np.savetxt(folder / "raw.tlt", TILT, fmt="%.2f")
    given = true.copy()
    given[:, 4:] += error
    np.savetxt(folder / "given.xf", given, fmt="%.7f")
    return folder / "raw.mrc", error


def left_over(error: np.ndarray, given: np.ndarray, refined: np.ndarray) -> np.ndarray:
    """What of an error transforms have left, rms across and along, without what moves the specimen."""
    angle = np.deg2rad(TILT)
    left = error + refined[:, 4:] - given[:, 4:]
    waves = np.stack([np.cos(angle), -np.sin(angle)], 1)
    across = left[:, 0] - waves @ np.linalg.lstsq(waves, left[:, 0], rcond=None)[0]
    return np.array([across.std(), left[:, 1].std()])


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], np.ndarray]:
    """A run from the command line: its folder, its summary, and by how much its views were displaced."""
    from tomokit.commands.app import run

    folder = tmp_path_factory.mktemp("refined")
    stack, error = displaced(folder, 1.5)
    options = ["--xf", folder / "given.xf", "--thickness", 24, "--method", "wbp", "--linearization", "linear"]
    options += [
        "--refine",
        "shifts",
        "--hold-out",
        6,
        "--state",
        folder / "run.h5",
        "--no-preview",
        "--padding",
        "keep",
    ]
    with pytest.MonkeyPatch.context() as patch:
        # A short schedule: what the long one reaches is measured in tests/benchmarks/alignment.py.
        patch.setattr("tomokit.pipeline.refining.refine", partial(refine, schedule=Schedule((4, 3), 20, 5, 8)))
        assert run([str(each) for each in ("reconstruct", stack, "-o", folder / "out.mrc", *options)]) == 0
    return folder, json.loads((folder / "out.provenance.json").read_text()), error


def test_views_are_moved_back_and_the_files_say_how(refined: tuple[Path, dict, np.ndarray]) -> None:
    folder, record, error = refined
    given, found = read_xf(folder / "given.xf"), read_xf(folder / "out_refined.xf")
    before, after = left_over(error, given, given), left_over(error, given, found)
    assert (before > 0.7).all()
    assert (after < before / 2).all()
    np.testing.assert_allclose(found[:, :4], given[:, :4], atol=1e-6)
    np.testing.assert_allclose(np.loadtxt(folder / "out_refined.tlt"), TILT, atol=1e-6)
    refinement = record["series"]["refinement"]
    assert refinement["applied"]
    assert refinement["at_bound"] == []
    for scores in (refinement["prediction"], refinement["held_out"]):
        assert scores["after"] > scores["before"] + 0.05


def test_the_files_give_the_same_tomogram(refined: tuple[Path, dict, np.ndarray], cli: Cli) -> None:
    folder, _, _ = refined
    status, _, error = cli(
        "reconstruct", folder / "raw.mrc", "-o", folder / "again.mrc", "--xf", folder / "out_refined.xf", "--angles",
        folder / "out_refined.tlt", "--thickness", 24, "--method", "wbp", "--linearization", "linear", "--hold-out", 6,
        "--no-preview",
    )  # fmt: skip
    assert status == 0, error
    from tomokit.io import read_volume

    first, second = (read_volume(folder / name).density for name in ("out.mrc", "again.mrc"))
    inner = np.s_[4:-4, 6:-6, 6:-6]
    assert np.corrcoef(first[inner].ravel(), second[inner].ravel())[0, 1] > 0.999


def test_a_resumed_run_has_the_same_bits_and_refines_nothing(
    refined: tuple[Path, dict, np.ndarray], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _ = refined

    def refuse(*_: object) -> None:
        raise AssertionError("refined again")

    monkeypatch.setattr("tomokit.pipeline.opening.refine_alignment", refuse)
    status, _, error = cli("resume", folder / "run.h5", "-o", folder / "resumed.mrc")
    assert status == 0, error
    for ending in (".mrc", "_refined.xf", "_refined.tlt"):
        first, second = ((folder / f"{name}{ending}").read_bytes() for name in ("out", "resumed"))
        # The time of writing is no part of an MRC; labels name no output.
        assert first == second


def test_outputs_that_exist_are_refused_before_any_work(refined: tuple[Path, dict, np.ndarray], cli: Cli) -> None:
    folder, _, _ = refined
    (folder / "new_refined.xf").write_text("mine\n")
    status, _, error = cli(
        "reconstruct", folder / "raw.mrc", "-o", folder / "new.mrc", "--xf", folder / "given.xf", "--thickness", 24,
        "--refine", "shifts",
    )  # fmt: skip
    assert status == 2
    assert "new_refined.xf: exists already" in error
    assert not (folder / "new.mrc").exists()
    assert (folder / "new_refined.xf").read_text() == "mine\n"


def test_what_cannot_be_refined_is_refused(refined: tuple[Path, dict, np.ndarray], cli: Cli) -> None:
    folder, _, _ = refined
    job = (
        "reconstruct",
        folder / "raw.mrc",
        "-o",
        folder / "other.mrc",
        "--xf",
        folder / "given.xf",
        "--thickness",
        24,
    )
    for options, said in (
        (("--refine", "shift"), "'shift' cannot be refined"),
        (("--refine", "shifts", "--half", "even"), "--halves"),
        (("--refine", "shifts", "--exclude", "0-14"), "too few to refine"),
    ):
        status, _, error = cli(*job, *options)
        assert status == 2
        assert said in error
    assert not list(folder.glob("other*"))
    status, out, _ = cli(*job, "--refine", "angles,shifts", "--dry-run", "--json")
    assert status == 0
    assert json.loads(out)["parameters"]["refine"] == "angles,shifts"


@pytest.mark.long
def test_an_aligned_stack_is_resampled_and_masked_where_it_was(tmp_path: Path, cli: Cli) -> None:
    series, _ = simulate_series((16, N, N), TILT, noise=0.01, seed=4)
    error = np.random.default_rng(1).uniform(-1, 1, (TILT.size, 2))
    moved, _ = align_images(series.images, np.column_stack([np.tile([1.0, 0, 0, 1], (TILT.size, 1)), error]))
    write_stack(tmp_path / "ts.mrc", moved, pixel_size_angstrom=10.0)
    np.savetxt(tmp_path / "ts.tlt", TILT, fmt="%.2f")
    status, out, told = cli(
        "reconstruct", tmp_path / "ts.mrc", "-o", tmp_path / "out.mrc", "--thickness", 16, "--method", "wbp",
        "--linearization", "linear", "--refine", "shifts", "--padding", "keep", "--no-preview", "--json", "--aligned",
    )  # fmt: skip
    assert status == 0, told
    assert json.loads(out)["refinement"]["held_out"] is None
    found = read_xf(tmp_path / "out_refined.xf")
    none = np.tile([1.0, 0, 0, 1, 0, 0], (TILT.size, 1))
    assert (left_over(error, none, found) < 0.2).all()
    assert load_series(tmp_path / "ts.mrc", xf=tmp_path / "out_refined.xf").n_views == TILT.size


@pytest.mark.long
def test_a_series_in_memory_and_its_halves_share_one_alignment(tmp_path: Path) -> None:
    series, _ = simulate_series((16, N, N), TILT, noise=0.01, seed=4)
    error = np.random.default_rng(1).uniform(-1, 1, (TILT.size, 2))
    moved, _ = align_images(series.images, np.column_stack([np.tile([1.0, 0, 0, 1], (TILT.size, 1)), error]))
    result = tomokit.reconstruct(
        replace(series, images=moved), output=tmp_path / "out.mrc", thickness=16, method="wbp", linearization="linear",
        refine="shifts", halves=True, preview=False,
    )  # fmt: skip
    assert result.summary["refinement"]["applied"]
    assert sorted(path.name for path in tmp_path.glob("*.xf")) == ["out_refined.xf"]
    found = read_xf(tmp_path / "out_refined.xf")
    none = np.tile([1.0, 0, 0, 1, 0, 0], (TILT.size, 1))
    assert (left_over(error, none, found) < 0.2).all()
    assert result.fsc is not None
