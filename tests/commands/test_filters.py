"""Dose weighting, phase flipping and weights of views through the command line: applied, recorded, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from tomokit.io import read_stack, write_stack

Cli = Callable[..., tuple[int, str, str]]
N_VIEWS = 21


@pytest.fixture
def fit(cli: Cli, data: Path) -> Callable[..., tuple[dict, np.ndarray]]:
    """Reconstruct the simulated views: the summary and the volume."""

    def call(*options: object) -> tuple[dict, np.ndarray]:
        arguments = (
            "--method",
            "sirt",
            "--thickness",
            16,
            "--no-preview",
            "--set",
            "epochs=2",
            "--json",
            "--overwrite",
        )
        status, out, err = cli("reconstruct", data / "tilts.mrc", *arguments, *options, "-o", data / "o.mrc")
        assert status == 0, err
        return json.loads(out), mrcfile.read(data / "o.mrc")

    return call


@pytest.fixture
def refused(cli: Cli, data: Path) -> Callable[..., str]:
    """What the command says when it refuses; nothing is left behind."""

    def call(*options: object) -> str:
        arguments = ("--method", "sirt", "--thickness", 16, *options, "-o", data / "o.mrc")
        status, _, err = cli("reconstruct", data / "tilts.mrc", *arguments)
        assert status == 2, err
        assert not (data / "o.mrc").exists()
        return err

    return call


@pytest.fixture
def dose(data: Path) -> Path:
    """Accumulated dose of a dose-symmetric scheme of 3 e/A^2 a view, as it lies in the stack's order."""
    order = np.argsort(np.argsort(np.abs(np.arange(N_VIEWS) - 10.1)))
    np.savetxt(data / "dose.txt", 3.0 * order)
    return data / "dose.txt"


@pytest.fixture
def defocus(data: Path) -> Path:
    np.savetxt(data / "defocus.txt", np.linspace(2.0, 3.0, N_VIEWS))
    return data / "defocus.txt"


def test_weighting_by_dose_dampens_late_views_and_is_recorded(fit, dose: Path, cli: Cli, data: Path) -> None:
    _, plain = fit()
    summary, weighted = fit("--dose-weighting", "on", "--dose", dose, "--pixel-size", 2, "--voltage", 300)
    record = summary["provenance"]["dose_weighting"]
    assert record["exposure_e_per_a2"][10] == 1.5
    assert sorted(record["exposure_e_per_a2"]) == [3 * n + 1.5 for n in range(N_VIEWS)]
    assert "dose" in summary["inputs"]
    assert any("accumulated dose before each view" in text for text in summary["warnings"])
    assert np.abs(np.diff(weighted, axis=2)).mean() < 0.8 * np.abs(np.diff(plain, axis=2)).mean()
    assert weighted.mean() == pytest.approx(plain.mean(), rel=0.05)
    labels = str(mrcfile.mmap(data / "o.mrc").header.label)
    assert "dose-weighted at 300 kV" in labels
    assert "dose-weighted at 300 kV" in cli("inspect", data / "o.mrc")[1]
    assert json.loads((data / "o.provenance.json").read_text())["series"]["dose_weighting"] == record


def test_views_keep_their_dose_and_defocus_whatever_is_left_out(fit, dose: Path, defocus: Path) -> None:
    given = ("--dose-weighting", "on", "--dose", dose, "--ctf", defocus, "--voltage", 300)
    whole = fit(*given)[0]["provenance"]
    for choice in (("--exclude", "0,3,7-9"), ("--half", "odd"), ("--hold-out", 5)):
        summary, _ = fit(*given, *choice)
        used = sorted(summary["views"]["fitted"] + summary["views"]["held_out"])
        for name, of in (("dose_weighting", "exposure_e_per_a2"), ("ctf", "defocus_um")):
            assert summary["provenance"][name][of] == [whole[name][of][view] for view in used]


def test_flipping_phases_is_recorded_and_shows(fit, defocus: Path, data: Path) -> None:
    # So small that the gradient tells even in a field of 32 pixels.
    _, plain = fit("--pixel-size", 0.8)
    given = ("--pixel-size", 0.8, "--ctf", defocus, "--voltage", 300, "--cs", 2.0)
    summary, flipped = fit(*given)
    record = summary["provenance"]["ctf"]
    assert record["defocus_um"][20] == [3.0, 3.0, 0.0]
    assert (record["voltage_kv"], record["spherical_aberration_mm"], record["amplitude_contrast"]) == (300, 2.0, 0.07)
    assert (flipped != plain).any()
    assert "CTF phases flipped at 300 kV" in str(mrcfile.mmap(data / "o.mrc").header.label)
    assert (fit(*given, "--defocus-gradient", "off")[1] != flipped).any()
    # The same with threads, and from a file of settings beside the defocus.
    assert (fit(*given, "--threads", 1)[1] == flipped).all()
    (data / "c.toml").write_text("ctf = 'defocus.txt'\nvoltage = 300\ncs = 2.0\npixel-size = 0.8\n")
    assert (fit("--config", data / "c.toml")[1] == flipped).all()


def test_masked_pixels_do_not_reach_the_views(fit, data: Path, dose: Path, defocus: Path) -> None:
    images = np.array(read_stack(data / "tilts.mrc").pixels)
    mask = np.ones(images.shape, np.float32)
    mask[:, 8:14, 8:14] = 0
    write_stack(data / "mask.mrc", mask)
    given = ("--dose-weighting", "on", "--dose", dose, "--ctf", defocus, "--voltage", 300, "--mask", data / "mask.mrc")
    given = (*given, "--x-rays", "keep", "--linearization", "linear", "--offsets", "zero")
    volumes = []
    for value in (0.0, 37.0):
        images[mask == 0] = value
        write_stack(data / "tilts.mrc", images, pixel_size_angstrom=10, overwrite=True)
        volumes.append(fit(*given)[1])
    np.testing.assert_array_equal(*volumes)


def test_a_run_that_is_resumed_has_the_same_bits(fit, cli: Cli, data: Path, dose: Path, defocus: Path) -> None:
    given = ("--dose-weighting", "on", "--dose", dose, "--ctf", defocus, "--voltage", 300, "--view-weights", "tilt")
    _, whole = fit(*given)
    state = data / "run.h5"
    fit(*given, "--set", "epochs=1", "--state", state)
    status, _, err = cli("resume", state, "--epochs", 2, "-o", data / "again.mrc")
    assert status == 0, err
    np.testing.assert_array_equal(mrcfile.read(data / "again.mrc"), whole)
    np.savetxt(defocus, np.full(N_VIEWS, 2.5))
    status, _, err = cli("resume", state, "--epochs", 3, "-o", data / "other.mrc")
    assert status == 2
    assert "defocus.txt: is not the ctf that run.h5 was made from" in err


def test_weights_of_views_count_in_the_fit(fit) -> None:
    equal, plain = fit()
    summary, weighted = fit("--view-weights", "tilt")
    weights = summary["provenance"]["view_weights"]["weights"]
    assert weights[0] / weights[10] == pytest.approx(0.5)
    assert np.mean(weights) == pytest.approx(1)
    assert (weighted != plain).any()
    # In the same units: a weighted mean of squares, not of squares of weighted residuals.
    assert summary["history"][0]["loss"] == pytest.approx(equal["history"][0]["loss"], rel=0.3)
    noise = fit("--view-weights", "noise", "--hold-out", 5)[0]
    assert len(noise["provenance"]["view_weights"]["weights"]) == len(noise["views"]["fitted"])


def test_what_cannot_be_done_is_refused_with_a_remedy(refused, data: Path, dose: Path, defocus: Path) -> None:
    assert "--voltage: is not given; give it in kV" in refused("--ctf", defocus)
    assert "give --ctf too" in refused("--cs", 2.7)
    assert "no .mdoc lies beside tilts.mrc" in refused("--dose-weighting", "on")
    assert "not the order in which they were taken" in refused("--dose-weighting", "on", "--dose", "3.0")
    both = ("--dose-weighting", "on", "--dose", dose, "--view-weights", "noise")
    assert "give --view-weights tilt" in refused(*both)
    assert "--method sart or sart-tv or sirt or tv" in refused("--view-weights", "tilt", "--method", "wbp")
    np.savetxt(defocus, np.full(N_VIEWS, 27000.0))
    assert "it is in angstrom or nanometres; give micrometres" in refused("--ctf", defocus, "--voltage", 300)
    np.savetxt(defocus, np.full(N_VIEWS - 1, 2.0))
    assert "20 lines, where the stack has 21 views" in refused("--ctf", defocus, "--voltage", 300)
    np.savetxt(dose, np.r_[np.zeros(11), np.arange(10) ** 2])
    assert "neither as single doses are" in refused("--dose-weighting", "on", "--dose", dose)


def test_a_size_that_is_not_known_and_a_stack_that_is_flipped_are_refused(refused, data: Path, defocus: Path) -> None:
    with mrcfile.open(data / "tilts.mrc", "r+") as file:
        file.header.label[1] = b"ctfPhaseFlip: CTF correction"
        file.header.nlabl = 2
    assert "is phase-flipped already, as its label says" in refused("--ctf", defocus, "--voltage", 300)
    with mrcfile.open(data / "tilts.mrc", "r+") as file:
        file.header.label[1] = b"something else"
        file.header.cella = (0, 0, 0)
    assert "needs the size of a pixel, which is not known; give --pixel-size" in refused(
        "--ctf", defocus, "--voltage", 300
    )


def test_flipping_that_changes_nothing_is_told(fit, defocus: Path) -> None:
    given = ("--ctf", defocus, "--voltage", 300, "--pixel-size")
    assert any("flipping phases changes next to nothing" in text for text in fit(*given, 20)[0]["warnings"])
    summary, _ = fit(*given, 5)
    assert not any("next to nothing" in text for text in summary["warnings"])
    assert summary["provenance"]["ctf"]["first_zero_angstrom"][20] == pytest.approx(24.575, abs=1e-3)


def test_the_summary_says_what_was_done(cli: Cli, data: Path, dose: Path, defocus: Path) -> None:
    given = ("--dose-weighting", "on", "--dose", dose, "--ctf", defocus, "--voltage", 200, "--view-weights", "tilt")
    arguments = ("--method", "sirt", "--thickness", 16, "--set", "epochs=1", "--no-preview", "-o", data / "o.mrc")
    status, out, err = cli("reconstruct", data / "tilts.mrc", *arguments, *given)
    assert status == 0, err
    assert "views dose-weighted at 200 kV, CTF phases flipped at 200 kV, weighted by tilt" in (out + err).splitlines()


def test_slabs_change_no_bit_of_weighted_views(fit, dose: Path) -> None:
    given = ("--dose-weighting", "on", "--dose", dose, "--view-weights", "tilt")
    np.testing.assert_array_equal(fit(*given, "--slabs", 3)[1], fit(*given)[1])


def test_a_dose_that_is_not_used_is_told(fit, dose: Path) -> None:
    assert any("--dose-weighting on" in text for text in fit("--dose", dose)[0]["warnings"])


def test_views_are_predicted_through_their_ctf(fit, defocus: Path, data: Path) -> None:
    given = ("--pixel-size", 3, "--ctf", defocus, "--voltage", 300, "--hold-out", 5)
    flipped = fit(*given)[0]
    summary, modelled = fit(*given, "--ctf-correction", "model")
    assert summary["provenance"]["ctf"] == {**flipped["provenance"]["ctf"], "correction": "model"}
    assert "views: predicted through their CTF at 300 kV" in str(mrcfile.mmap(data / "o.mrc").header.label)
    # Data without any contrast transfer are worse predicted through one.
    assert summary["held_out"]["correlation"] < fit("--pixel-size", 3, "--hold-out", 5)[0]["held_out"]["correlation"]
    for more in (("--amplitude-contrast", 0.5), ("--cs", 10), ("--defocus-gradient", "off", "--pixel-size", 0.8)):
        assert (fit(*given, "--ctf-correction", "model", *more)[1] != modelled).any()
    assert (fit(*given, "--ctf-correction", "model", "--threads", 1)[1] == modelled).all()
    summary, of_the_rest = fit(*given, "--ctf-correction", "model-from-peak")
    assert summary["provenance"]["ctf"]["correction"] == "model-from-peak"
    assert "predicted through their CTF from its first peak at 300 kV" in str(mrcfile.mmap(data / "o.mrc").header.label)
    assert (of_the_rest != modelled).any()
    (data / "c.toml").write_text("ctf = 'defocus.txt'\nvoltage = 300\nctf-correction = 'model'\npixel-size = 3\n")
    assert (fit("--hold-out", 5, "--config", data / "c.toml")[1] == modelled).all()


def test_a_run_through_the_ctf_goes_on_to_the_same_bits_and_in_slabs(fit, cli: Cli, data: Path, defocus: Path) -> None:
    given = ("--pixel-size", 3, "--ctf", defocus, "--voltage", 300, "--ctf-correction", "model")
    _, whole = fit(*given)
    np.testing.assert_array_equal(fit(*given, "--slabs", 3)[1], whole)
    state = data / "run.h5"
    fit(*given, "--set", "epochs=1", "--state", state)
    status, _, err = cli("resume", state, "--epochs", 2, "-o", data / "again.mrc")
    assert status == 0, err
    np.testing.assert_array_equal(mrcfile.read(data / "again.mrc"), whole)


def test_what_cannot_model_the_ctf_is_refused_with_a_remedy(refused, defocus: Path) -> None:
    model = ("--ctf-correction", "model")
    assert "there is none; give --ctf too" in refused(*model)
    given = ("--ctf", defocus, "--voltage", 300, "--pixel-size", 3, *model)
    for method in ("wbp", "sart"):
        said = refused(*given, "--method", method)
        assert f"the method {method} does not predict views through their contrast transfer" in said
        assert "give --ctf-correction flip, or --method octree or sirt or tv" in said
    assert "no CUDA kernels; give --backend cpu" in refused(*given, "--backend", "cuda")


def test_pixels_too_large_for_the_ctf_and_astigmatism_aslant_are_told(fit, defocus: Path) -> None:
    given = ("--ctf", defocus, "--voltage", 300, "--ctf-correction", "model", "--set", "epochs=1", "--pixel-size")
    assert any("no contrast is reversed in the prediction" in text for text in fit(*given, 20)[0]["warnings"])
    assert not any("astigmatism" in text for text in fit(*given, 5)[0]["warnings"])
    defocus.write_text("3.0 2.8 45\n" * N_VIEWS)
    assert any("astigmatism along the diagonals is not modelled" in text for text in fit(*given, 5)[0]["warnings"])
