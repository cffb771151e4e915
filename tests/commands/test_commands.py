"""Each command does what it says, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit import __version__
from tomokit.commands import telling
from tomokit.io import read_angles, read_stack, read_volume

Cli = Callable[..., tuple[int, str, str]]
SIRT = ("--method", "sirt", "--thickness", 16, "--set", "epochs=4")


def as_json(result: tuple[int, str, str]) -> dict:
    """The one object on stdout; nothing else may be there."""
    status, out, err = result
    assert (status, err) == (0, "")
    assert out.count("\n") == 1
    return json.loads(out)


def test_simulate_writes_three_files_that_belong_together(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    result = as_json(
        cli("simulate", folder, "--shape", "12,20,24", "--tilts=-30:30:10", "--noise", 0, "--seed", 3, "--json")
    )
    assert sorted(path.name for path in folder.iterdir()) == ["tilts.mrc", "tilts.tlt", "truth.mrc"]
    assert (result["views"], result["shape"]) == (7, [12, 20, 24])
    np.testing.assert_allclose(read_angles(folder / "tilts.tlt"), np.arange(-30, 31, 10))
    assert read_stack(folder / "tilts.mrc").pixels.shape == (7, 20, 24)
    assert read_volume(folder / "truth.mrc").density.shape == (12, 20, 24)


def test_simulate_is_the_same_for_the_same_seed_only(cli: Cli, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cli("simulate", tmp_path / name, "--shape", "12,20,24", "--tilts=-30:30:10", "--seed", seed)
    a, b, c = (read_stack(tmp_path / name / "tilts.mrc").pixels for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_simulate_into_a_full_folder_writes_nothing_unless_told(cli: Cli, data: Path) -> None:
    (data / "tilts.mrc").unlink()
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    arguments = ("simulate", data, "--shape", "12,20,24", "--tilts=-30:30:10")
    status, _, err = cli(*arguments)
    assert status == 2
    assert "tilts.tlt" in err
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before
    assert cli(*arguments, "--overwrite")[0] == 0
    assert read_stack(data / "tilts.mrc").pixels.shape == (7, 20, 24)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--shape", "3,4"),
        ("--tilts", "1:2"),
        ("--tilts=-120:120:5",),
        ("--noise", "-1"),
        ("--seed", "-1"),
        ("--shape", "99999,99999,99999"),
    ],
)
def test_simulate_refuses_nonsense_and_makes_no_folder(cli: Cli, tmp_path: Path, wrong: tuple[str, str]) -> None:
    status, out, err = cli("simulate", tmp_path / "d", "--shape", "12,20,24", "--tilts=-30:30:10", *wrong)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "d").exists()


def test_inspect_tells_kinds_apart(cli: Cli, simulated: Path) -> None:
    files = [simulated / name for name in ("tilts.mrc", "truth.mrc", "tilts.tlt")]
    described = as_json(cli("inspect", *files, "--json"))["files"]
    assert [one["kind"] for one in described] == ["tilt stack", "volume", "angles"]
    _, text, _ = cli("inspect", *files)
    assert "kind: tilt stack" in text
    assert "sign: u = x cos(theta) - z sin(theta)" in text


def test_reconstruct_writes_volume_and_preview(cli: Cli, data: Path) -> None:
    out = data / "out.mrc"
    summary = as_json(cli("reconstruct", data / "tilts.mrc", "-o", out, *SIRT, "--hold-out", 8, "--json"))
    assert summary["epochs"] == 4
    assert summary["held_out"]["views"] == [4, 12, 20]
    assert len(summary["held_out"]["ring_correlation"]) == len(summary["held_out"]["ceiling"]) == 10
    assert read_volume(out).density.shape == (16, 32, 32)
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_reconstruct_says_in_words_what_it_did(cli: Cli, data: Path) -> None:
    status, text, err = cli(
        "reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", *SIRT, "--hold-out", 8, "--no-preview"
    )
    assert (status, err) == (0, "")
    for said in (
        "32 x 32 x 16 voxels of 10 angstrom",
        "method sirt on cpu: 4 epochs",
        "linearization linear",
        "correlation",
        "by rings of 0.05 cycles a pixel ",
    ):
        assert said in text
    assert not (data / "o.png").exists()


def test_reconstruct_takes_settings_from_a_file_under_those_of_the_command_line(cli: Cli, data: Path) -> None:
    config = data / "c.toml"
    config.write_text("method = 'sirt'\nthickness = 8\n[options]\nepochs = 2\nrelaxation = 0.5\n", encoding="utf-8")
    call = ("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--config", config, "--thickness", 12)
    summary = as_json(cli(*call, "--set", "epochs=3", "--json"))
    assert summary["shape"][0] == 12
    assert summary["parameters"]["options"] | {"epochs": 3, "relaxation": 0.5} == summary["parameters"]["options"]


def test_two_runs_with_one_seed_are_bit_for_bit_the_same(cli: Cli, data: Path) -> None:
    for name in ("a", "b"):
        cli("reconstruct", data / "tilts.mrc", "-o", data / f"{name}.mrc", *SIRT, "--seed", 4, "--no-preview")
    np.testing.assert_array_equal(read_volume(data / "a.mrc").density, read_volume(data / "b.mrc").density)


def test_the_reprojection_of_a_reconstruction_is_the_input(cli: Cli, data: Path) -> None:
    stack = data / "tilts.mrc"
    cli("reconstruct", stack, "-o", data / "o.mrc", "--method", "sirt", "--thickness", 16, "--set", "epochs=60")
    views = as_json(cli("project", data / "o.mrc", "--angles", data / "tilts.tlt", "-o", data / "again.mrc", "--json"))
    assert views["shape"] == [21, 32, 32]
    again, images = (read_stack(path).pixels for path in (data / "again.mrc", stack))
    # What is left is the noise, 0.05 of the maximum.
    assert np.sqrt(np.mean((again - images) ** 2)) < 0.08 * images.max()
    assert np.corrcoef(again.ravel(), images.ravel())[0, 1] > 0.95


def test_projecting_the_truth_gives_the_noise_free_series(cli: Cli, data: Path) -> None:
    cli("project", data / "truth.mrc", "--angles", data / "tilts.tlt", "-o", data / "p.mrc")
    projected, images = (read_stack(path).pixels for path in (data / "p.mrc", data / "tilts.mrc"))
    noise = (projected - images).std() / projected.max()
    assert noise == pytest.approx(0.05, rel=0.15)
    assert read_stack(data / "p.mrc").pixel_size_angstrom == pytest.approx(10)


def test_project_onto_a_wider_detector(cli: Cli, data: Path) -> None:
    for size in (32, 40):
        cli("project", data / "truth.mrc", "--angles", data / "tilts.tlt", "-o", data / f"{size}.mrc", "--size", size)
    narrow, wide = (read_stack(data / f"{size}.mrc").pixels for size in (32, 40))
    np.testing.assert_allclose(wide[:, :, 4:-4], narrow, atol=1e-4)


def test_compare_measures_and_draws(cli: Cli, data: Path) -> None:
    truth = data / "truth.mrc"
    same = as_json(cli("compare", truth, truth, "--json"))
    assert same["psnr_db"] is None
    assert cli("compare", truth, truth)[1].startswith("PSNR infinite, RMSE 0\n")
    assert same["ssim"] == pytest.approx(1)
    cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", *SIRT)
    result = as_json(
        cli(
            "compare",
            data / "o.mrc",
            truth,
            "--scale",
            "fit",
            "--box",
            "4:12,8:24,8:24",
            "--preview",
            data / "c.png",
            "--json",
        )
    )
    assert result["psnr_db"] > 5
    assert result["box"] == "4:12,8:24,8:24"
    assert (data / "c.png").read_bytes().startswith(b"\x89PNG")
    _, text, _ = cli("compare", data / "o.mrc", truth, "--scale", "fit")
    assert f"PSNR {result['psnr_db']:.4g} dB" in text


def test_plugins_list_has_name_kind_origin_version_and_summary(cli: Cli) -> None:
    listed = as_json(cli("plugins", "list", "--json"))["plugins"]
    sirt = next(one for one in listed if one["name"] == "sirt")
    assert (sirt["kind"], sirt["origin"], sirt["version"]) == ("method", "tomokit", __version__)
    assert any(option["name"] == "epochs" for option in sirt["options"])
    _, text, _ = cli("plugins", "list")
    assert sirt["summary"] in text
    assert "epochs" not in text
    _, text, _ = cli("plugins", "list", "--verbose")
    default = next(option["default"] for option in sirt["options"] if option["name"] == "epochs")
    assert f"epochs = {default}  (int, 1 to 1000000)" in text


@pytest.mark.parametrize(("ceiling", "said"), [(0.75, "allows about 0.75 -"), (0.5, "hides what their noise allows")])
def test_a_ceiling_that_is_wrong_is_not_told(ceiling: float, said: str) -> None:
    held = {"ring_correlation": [0.7, None], "mean_ring_correlation": 0.7, "ceiling": [ceiling, None]}
    assert telling._rings_text(held).endswith(said)
