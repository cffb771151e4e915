"""Bad input: one line on stderr, exit status 2, and the folder as it was."""

from __future__ import annotations

import re
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import warm_start

from tomokit.io import read_stack, write_stack

Cli = Callable[..., tuple[int, str, str]]
Interrupted = Callable[[list[str]], tuple[int, str, str]]


@pytest.fixture
def refused(cli: Cli, data: Path) -> Callable[..., str]:
    """Call ``reconstruct`` on the data, expect a refusal that leaves nothing, and give the line."""

    def call(*arguments: object, output: str = "out.mrc") -> str:
        before = {path.name: path.read_bytes() for path in data.iterdir()}
        basis = ("reconstruct", data / "tilts.mrc", "-o", data / output, "--method", "sirt")
        if "--thickness" not in arguments:
            basis = (*basis, "--thickness", 16)
        status, out, err = cli(*basis, "--set", "epochs=2", *arguments)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        assert {path.name: path.read_bytes() for path in data.iterdir()} == before
        return err

    return call


def images_of(data: Path) -> np.ndarray:
    return np.array(read_stack(data / "tilts.mrc").pixels)


def angles_of(data: Path) -> list[str]:
    return (data / "tilts.tlt").read_text().split()


def test_the_data_are_good_before_they_are_spoilt(cli: Cli, data: Path) -> None:
    status, _, err = cli(
        "reconstruct",
        data / "tilts.mrc",
        "-o",
        data / "o.mrc",
        "--method",
        "sirt",
        "--thickness",
        16,
        "--set",
        "epochs=1",
    )
    assert (status, err) == (0, "")


@pytest.mark.parametrize("kept", [0, 500, 1024, 5000])
def test_a_truncated_or_empty_stack(refused: Callable[..., str], data: Path, kept: int) -> None:
    stack = data / "tilts.mrc"
    stack.write_bytes(stack.read_bytes()[:kept])
    assert "tilts.mrc" in refused()


def test_a_stack_that_is_not_there(refused: Callable[..., str], data: Path) -> None:
    (data / "tilts.mrc").unlink()
    assert "tilts.mrc" in refused()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite(refused: Callable[..., str], data: Path, value: float) -> None:
    images = images_of(data)
    images[3, 4, 5] = value
    write_raw(data / "tilts.mrc", images)
    line = refused()
    assert "view 3: 1 of 1024 pixels" in line
    assert "--exclude 3" in line


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.s_[[2, 7], 4], "views 2,7: 64 of 2048 pixels are NaN or infinite; mask them with --mask, or leave them out "
         "with --exclude 2,7"),
        (np.s_[:, 4, 5], "every view: 21 of 21504 pixels are NaN or infinite; write the stack again, or give a --mask"),
        (np.s_[3:], "views 3-20: 18432 of 18432 pixels are NaN or infinite; the stack is damaged: write it again"),
        (np.s_[:], "every view: 21504 of 21504 pixels are NaN or infinite; the stack is damaged"),
    ],
)  # fmt: skip
def test_many_pixels_that_are_not_finite_are_no_few(
    refused: Callable[..., str], data: Path, bad: tuple[object, ...], said: str
) -> None:
    images = images_of(data)
    images[bad] = np.nan
    write_raw(data / "tilts.mrc", images)
    line = refused()
    assert said in line
    assert ("--exclude" in line) == ("--exclude" in said)


def test_pixels_that_are_not_finite_may_be_masked_or_excluded(cli: Cli, data: Path) -> None:
    images = images_of(data)
    mask = np.ones_like(images)
    images[3, 4, 5], mask[3, 4, 5] = np.nan, 0
    write_raw(data / "tilts.mrc", images)
    write_stack(data / "mask.mrc", mask)
    basis = ("reconstruct", data / "tilts.mrc", "--method", "sirt", "--thickness", 8, "--set", "epochs=1")
    assert cli(*basis, "-o", data / "a.mrc", "--mask", data / "mask.mrc")[0] == 0
    assert cli(*basis, "-o", data / "b.mrc", "--exclude", "3")[0] == 0
    for name in "ab":
        assert np.isfinite(read_stack(data / f"{name}.mrc").pixels).all()


@pytest.mark.parametrize("change", [-1, 1])
def test_angles_of_another_number(refused: Callable[..., str], data: Path, change: int) -> None:
    angles = angles_of(data)
    angles = angles[:-1] if change < 0 else [*angles, "66"]
    (data / "tilts.tlt").write_text("\n".join(angles))
    line = refused()
    assert "tilts.tlt" in line
    assert f"{21 + change} angles" in line


def test_no_angles(refused: Callable[..., str], data: Path) -> None:
    (data / "tilts.tlt").unlink()
    assert "--angles" in refused()


def test_duplicate_angles(refused: Callable[..., str], data: Path) -> None:
    angles = angles_of(data)
    angles[5] = angles[4]
    (data / "tilts.tlt").write_text("\n".join(angles))
    assert "tilts.tlt: views 4, 5 have the same angle -36; correct the file, or leave views out with --exclude 5" in (
        refused()
    )


def test_angles_that_are_no_tilt_series(refused: Callable[..., str], data: Path) -> None:
    (data / "tilts.tlt").write_text("0\n" * 21)
    assert "tilts.tlt: all 21 angles are 0: these are not the angles of a tilt series; give the right" in refused()
    (data / "tilts.tlt").write_text("".join(f"{view // 2}\n" for view in range(21)))
    line = refused()
    assert "views 0, 1 have the same angle 0" in line
    assert "--exclude" not in line


def test_unsorted_angles(refused: Callable[..., str], data: Path) -> None:
    angles = angles_of(data)
    angles[5], angles[9] = angles[9], angles[5]
    (data / "tilts.tlt").write_text("\n".join(angles))
    assert "--allow-unsorted" in refused()


@pytest.mark.parametrize("views", [[2], [2, 7], list(range(21))])
def test_views_that_are_all_masked(refused: Callable[..., str], data: Path, views: list[int]) -> None:
    mask = np.ones_like(images_of(data))
    mask[views] = 0
    write_stack(data / "mask.mrc", mask)
    line = refused("--mask", data / "mask.mrc")
    assert "mask.mrc" in line
    assert "masked" in line
    assert ("--exclude" in line) == (len(views) < 21)
    assert len(views) == 21 or f"--exclude {','.join(map(str, views))}" in line


@pytest.mark.parametrize("thickness", [0, -4])
def test_no_thickness(refused: Callable[..., str], thickness: int) -> None:
    assert "thickness: " in refused("--thickness", thickness)


def test_a_volume_that_does_not_fit_in_memory(refused: Callable[..., str]) -> None:
    line = refused("--thickness", 10**9)
    assert "32 x 32 x 1000000000 voxels" in line
    assert "TiB of memory" in line
    assert "is available" in line


@pytest.mark.parametrize("name", ["out.mrc", "out.png"])
def test_an_output_that_exists(refused: Callable[..., str], data: Path, name: str) -> None:
    (data / name).write_text("mine")
    assert f"{name}: exists already; give --overwrite" in refused()


def test_an_output_folder_that_is_not_there(refused: Callable[..., str]) -> None:
    assert "lost" in refused(output="lost/out.mrc")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "srt"), "tomokit: --method: no method of the name 'srt'; did you mean sirt"),
        (("--set", "epoch=3"), "did you mean epochs"),
        (("--set", "iterations=3"), "method sirt: no option 'iterations'; did you mean epochs?"),
        (("--set", "omega=1"), "did you mean relaxation?"),
        (("--set", "bin=2"), "give --bin"),
        (("--set", "hold-out=4"), "no option 'hold-out'"),
        (("--epochs", "3"), "give --set epochs=VALUE"),
        (("--lamda", "3"), "did you mean --set weight=VALUE"),
        (("--apix", "3"), "did you mean --pixel-size?"),
        (("--set", "epochs=none"), "method sirt: epochs"),
        (("--set", "epochs"), "--set"),
        (("--preset", "fast"), "--preset"),
        (("--backend", "cuda"), "--backend cpu"),
        (("--backend", "gpu"), "choose from auto"),
        (("--exclude", "0-20"), "--exclude"),
        (("--exclude", "21"), "no view 21"),
        (("--half", "odd", "--hold-out", "4"), "--hold-out"),
        (("--bin", "0"), "tomokit: --bin: 0 is out of bounds; give 1 to 64"),
        (("--bin", "33"), "tomokit: --bin: 33 for 32 x 32 pixels; give at most 8"),
        (("--seed", str(10**30)), "tomokit: --seed: "),
        (("--linearization", "sqrt"), "tomokit: --linearization: "),
        (("--percentiles", "5"), "tomokit: --percentiles: "),
        (("--percentiles", "60,40"), "--percentiles"),
        (("--threads", "99999"), "--threads"),
        (("--tilt-offset", "80"), "--tilt-offset: "),
        (("--pixel-size", "0"), "tomokit: --pixel-size: 0.0 is out of bounds; give at least 1e-06"),
        (("--config", "lost.toml"), "lost.toml"),
        (("--mask", "lost.mrc"), "lost.mrc"),
        (("--xf", "lost.xf"), "lost.xf"),
    ],
)
def test_options_that_make_no_sense(refused: Callable[..., str], arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(*arguments)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("coarse_epochs=3",), "coarse_epochs: 3 of 2 epochs"),
        (("leaf_px=4", "n=4", "max_leaves=7"), "max_leaves: leaves of 4 px take"),
        (("optimizer=adm",), "did you mean adam"),
        (("regularizers.tvv.weight=1",), "did you mean tv"),
        (("optimizer=sgd", "optimizers.sgd.lr=1e38"), "loss terms 'data', 'tv', 'density' are not finite in epoch 1"),
    ],
)
def test_an_octree_that_cannot_be_fitted(refused: Callable[..., str], settings: tuple[str, ...], said: str) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    assert said in refused("--method", "octree", *words)


def test_constant_images(refused: Callable[..., str], data: Path) -> None:
    write_raw(data / "tilts.mrc", np.full_like(images_of(data), 3))
    assert f"{data / 'tilts.mrc'}: no view to be fitted holds an image" in refused()


def test_views_that_only_their_transforms_and_binning_leave_out(refused: Callable[..., str], data: Path) -> None:
    """One column of pixels stays on the field, too few for any square of 4 x 4."""
    (data / "tilts.xf").write_text("1 0 0 1 0 0\n" * 20 + "1 0 0 1 31 0\n")
    line = refused("--xf", data / "tilts.xf", "--bin", 4)
    assert f"{data / 'tilts.xf'}: mask: every pixel of view 20 is masked after binning by 4" in line
    assert "--exclude 20" in line


def test_shapes_that_differ(cli: Cli, data: Path) -> None:
    status, out, err = cli("compare", data / "tilts.mrc", data / "truth.mrc")
    assert (status, out) == (2, "")
    assert err.startswith(f"tomokit: {data / 'tilts.mrc'}, {data / 'truth.mrc'}: shape: ")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(("--tilt-offset", 40), "--tilt-offset: "), (("--size", 10**9), "1000000000 x 32 pixels needs about ")],
)
def test_projections_that_make_no_sense(cli: Cli, data: Path, wrong: tuple[str, int], said: str) -> None:
    before = sorted(data.iterdir())
    status, out, err = cli("project", data / "truth.mrc", "--angles", data / "tilts.tlt", "-o", data / "p.mrc", *wrong)
    assert (status, out) == (2, "")
    assert said in err
    assert wrong[0] in err
    assert sorted(data.iterdir()) == before


def command(data: Path, *arguments: object) -> list[str]:
    basis = ["reconstruct", data / "tilts.mrc", "-o", data / "out.mrc", "--thickness", 16]
    return [str(word) for word in (*basis, "--method", "sirt", *arguments)]


@pytest.mark.parametrize("limit", [30_000, pytest.param(2_000, marks=pytest.mark.long)])
def test_a_disk_that_fills_up_while_writing(cli: Cli, data: Path, limit: int) -> None:
    """A limit on the size of files breaks a write off as a full disk does."""
    # Compiled code is cached in files, too: let that be done before.
    cli(*command(data, "--set", "epochs=1"), "--output", data.parent / "warm.mrc")
    before = sorted(path.name for path in data.iterdir())
    done = warm_start.run(["-m", "tomokit", *command(data, "--set", "epochs=1")], file_bytes=limit)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    # Record and picture come before the tomogram.
    assert re.search(r"out\.(provenance\.json|png|mrc): no room on the disk", done.stderr)
    assert sorted(path.name for path in data.iterdir()) == before


def test_a_disk_without_room_is_refused_before_starting(data: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tomokit-test", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs the rights to")
    try:
        words = command(data, "--set", "epochs=1")
        words[words.index("-o") + 1] = str(disk / "out.mrc")
        done = warm_start.run(["-m", "tomokit", *words, "--thickness", "20"])
        assert done.returncode == 2
        assert "is free on the disk" in done.stderr
        assert done.stderr.count("\n") == 1
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interrupt_leaves_nothing_and_exits_130(data: Path, interrupted: Interrupted) -> None:
    before = sorted(path.name for path in data.iterdir())
    assert interrupted(command(data, "--set", "epochs=1000000")) == (130, "", "tomokit: interrupted\n")
    assert sorted(path.name for path in data.iterdir()) == before


def write_raw(path: Path, images: np.ndarray) -> None:
    """Write by the reference library, which takes pixels that are not finite, with a warning."""
    import mrcfile

    with warnings.catch_warnings(), mrcfile.new(path, overwrite=True) as mrc:
        warnings.simplefilter("ignore")
        mrc.set_data(images.astype(np.float32))
        mrc.set_image_stack()
