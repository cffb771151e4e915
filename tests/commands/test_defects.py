"""Bad views, x-rays, raw stacks and results that say nothing, through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from tomokit.io import read_stack, read_volume, write_stack

Cli = Callable[..., tuple[int, str, str]]
WBP = ("--method", "wbp", "--thickness", 16, "--no-preview")


@pytest.fixture
def views(data: Path) -> np.ndarray:
    """The simulated views, to be spoilt."""
    return np.array(read_stack(data / "tilts.mrc").pixels)


@pytest.fixture
def fit(cli: Cli, data: Path) -> Callable[..., tuple[dict[str, object], np.ndarray]]:
    """Reconstruct these views: the summary and the volume."""

    def call(images: np.ndarray, *options: object) -> tuple[dict[str, object], np.ndarray]:
        write_stack(data / "tilts.mrc", images, pixel_size_angstrom=10, overwrite=True)
        arguments = (*WBP, *options, "--overwrite", "--json", "-o", data / "o.mrc")
        status, out, err = cli("reconstruct", data / "tilts.mrc", *arguments)
        assert status == 0, err
        summary = json.loads(out)
        assert [f"tomokit: warning: {text}" for text in summary["warnings"]] == err.splitlines()
        return summary, mrcfile.read(data / "o.mrc")

    return call


def test_a_black_view_is_left_out_under_its_own_number(fit, views: np.ndarray) -> None:
    clean, without = fit(views, "--exclude", "3", "--hold-out", 5)
    assert clean["warnings"] == []
    black = views.copy()
    black[3] = 0
    summary, volume = fit(black, "--hold-out", 5)
    assert summary["warnings"] == ["view 3 is constant (0): left out; --keep-views uses it as it is"]
    assert all(summary["views"][key] == clean["views"][key] for key in ("fitted", "held_out"))
    assert summary["provenance"]["left_out_views"] == [3]
    assert (volume == without).all()
    kept, spoilt = fit(black, "--hold-out", 5, "--keep-views")
    assert "used all the same" in kept["warnings"][0]
    assert 3 in kept["views"]["fitted"]
    assert (spoilt != without).any()
    # A held-out view that is black scores nothing.
    black = views.copy()
    black[[7, 12]] = 5
    summary, _ = fit(black, "--hold-out", 5)
    assert summary["views"]["held_out"] == [2, 17]
    assert summary["warnings"][0].startswith("view 7 is constant (5), view 12 is constant (5): left out")


def test_a_series_without_any_image_is_refused(cli: Cli, data: Path, views: np.ndarray) -> None:
    write_stack(data / "tilts.mrc", np.zeros_like(views), overwrite=True)
    status, _, err = cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", *WBP)
    assert status == 2
    assert "no view to be fitted holds an image" in err
    assert not (data / "o.mrc").exists()


def test_x_rays_are_replaced_and_told(fit, views: np.ndarray) -> None:
    clean, volume = fit(views, "--bin", 2)
    assert clean["warnings"] == []
    rng = np.random.default_rng(0)
    spoilt = views.copy()
    for image in spoilt:
        image[rng.integers(2, 30, 5), rng.integers(2, 30, 5)] += 50 * views.std()
    mended, replaced = fit(spoilt, "--bin", 2)
    assert "5 a view in" in mended["warnings"][0] or "4 to 5 a view" in mended["warnings"][0]
    assert sum(mended["provenance"]["replaced_pixels"].values()) >= 100
    kept, raw = fit(spoilt, "--bin", 2, "--x-rays", "keep")
    assert "kept as they are" in kept["warnings"][0]
    assert "replaced_pixels" not in kept["provenance"]
    close, far = (np.corrcoef(volume.ravel(), other.ravel())[0, 1] for other in (replaced, raw))
    assert close > 0.98
    assert far < 0.85


def test_x_rays_of_a_raw_stack_are_replaced_before_it_is_aligned(fit, data: Path, views: np.ndarray) -> None:
    (data / "some.xf").write_text("1 0 0 1 0.5 -0.5\n" * len(views))
    _, volume = fit(views, "--xf", data / "some.xf")
    spoilt = views.copy()
    spoilt[4, 10, 20] += 1e5 * views.std()
    summary, mended = fit(spoilt, "--xf", data / "some.xf")
    assert summary["provenance"]["replaced_pixels"] == {"4": 1}
    assert sum("isolated extreme pixel" in text for text in summary["warnings"]) == 1
    assert np.abs(mended - volume).max() < 0.2 * np.abs(volume).max()


def test_a_raw_stack_is_refused_before_its_pixels_are_read(cli: Cli, data: Path) -> None:
    (data / "tilts.xf").write_text("0 -1 1 0 0 0\n" * 21)
    stack = np.array(read_stack(data / "tilts.mrc").pixels)
    write_stack(data / "tilts.mrc", stack, overwrite=True)
    # What tomokit writes is aligned; the same pixels by another program are not known to be.
    assert cli("reconstruct", data / "tilts.mrc", "-o", data / "a.mrc", *WBP)[0] == 0
    with mrcfile.new(data / "tilts.mrc", overwrite=True) as mrc:
        mrc.set_data(stack)
        mrc.set_image_stack()
        mrc.voxel_size = 10
    status, _, err = cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", *WBP)
    assert status == 2
    assert "not aligned: tilts.xf beside it turns its views by 90 degrees" in err
    assert f"--xf {data / 'tilts.xf'}, or --aligned" in err
    assert not (data / "o.mrc").exists()
    assert cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", *WBP, "--aligned")[::2] == (0, "")
    assert cli("reconstruct", data / "tilts.mrc", "-o", data / "x.mrc", *WBP, "--xf", data / "tilts.xf")[0] == 0
    both = ("--aligned", "--xf", data / "tilts.xf")
    assert cli("reconstruct", data / "tilts.mrc", "-o", data / "y.mrc", *WBP, *both)[0] == 2
    (facts,) = json.loads(cli("inspect", data / "tilts.mrc", "--json")[1])["files"]
    assert facts["alignment"]["aligned"] == "no"
    assert facts["alignment"]["transforms"] == "tilts.xf"
    assert any("--xf" in text for text in facts["warnings"])


def test_volumes_state_their_orientation(cli: Cli, data: Path) -> None:
    assert cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", *WBP)[0] == 0
    for name in ("o.mrc", "truth.mrc"):
        (facts,) = json.loads(cli("inspect", data / name, "--json")[1])["files"]
        assert "trimvol -rx" in facts["convention"]["handedness"]
        assert any("orientation: z rows as of IMOD's tilt" in label for label in facts["labels"])


def test_a_point_above_the_middle_moves_as_stated_and_comes_back(cli: Cli, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "cases"
    for name in ("hand_point.mrc", "hand_point.tlt"):
        shutil.copy(folder / name, tmp_path / name)
    point = mrcfile.read(tmp_path / "hand_point.mrc")
    z, _, x = np.unravel_index(point.argmax(), point.shape)
    middle_z, middle_x = ((n - 1) / 2 for n in (point.shape[0], point.shape[2]))
    assert z > middle_z
    angles = ("--angles", tmp_path / "hand_point.tlt")
    assert cli("project", tmp_path / "hand_point.mrc", *angles, "-o", tmp_path / "p.mrc")[0] == 0
    views = mrcfile.read(tmp_path / "p.mrc")
    for view, tilt in zip(views, np.deg2rad([-45, 0, 45]), strict=True):
        columns = view.sum(axis=0)
        u = (columns * np.arange(columns.size)).sum() / columns.sum() - middle_x
        assert u == pytest.approx((x - middle_x) * np.cos(tilt) - (z - middle_z) * np.sin(tilt), abs=0.1)
    options = ("--method", "sirt", "--thickness", point.shape[0], "--set", "epochs=3", "--linearization", "linear")
    assert cli("reconstruct", tmp_path / "p.mrc", *angles, "-o", tmp_path / "o.mrc", *options)[0] == 0
    volume = mrcfile.read(tmp_path / "o.mrc")
    assert np.unravel_index(volume.argmax(), volume.shape) == np.unravel_index(point.argmax(), point.shape)


def test_results_that_say_nothing_are_doubted_or_refused(cli: Cli, data: Path, fit, views: np.ndarray) -> None:
    stack, output = data / "tilts.mrc", data / "n.mrc"
    mask = np.zeros((1, 32, 32), np.float32)
    mask[0, 10, 10] = 1
    write_stack(data / "mask.mrc", mask)
    status, _, err = cli("reconstruct", stack, "-o", output, *WBP, "--mask", data / "mask.mrc")
    assert status == 2
    assert "1 of the 1024 pixels of a view count" in err
    mask[0, 8:16, 8:16] = 1
    write_stack(data / "mask.mrc", mask, overwrite=True)
    summary, _ = fit(views, "--mask", data / "mask.mrc")
    assert any("the mask leaves 6.2% of the pixels; is it 1 where" in text for text in summary["warnings"])
    status, _, err = cli("reconstruct", stack, "-o", output, *WBP, "--bin", 32)
    assert status == 2
    assert "32 leaves 1 x 1 of 32 x 32 pixels" in err
    assert not output.exists()
    status, _, err = cli("simulate", data / "s", "--noise", "1e308")
    assert status == 2
    assert "--noise" in err
    summary, _ = fit(views, "--method", "tv", "--set", "epochs=3", "--set", "weight=1e6")
    assert any("the fit explains nothing" in text for text in summary["warnings"])
    rate = ("--thickness", "8", "--set", "epochs=2", "--set", "optimizers.adam.lr=1e10")
    status, _, err = cli("reconstruct", stack, "-o", output, "--method", "octree", *rate)
    assert status == 2
    assert "the fit has diverged: its data term" in err
    assert not output.exists()


def test_doubts_are_told_before_the_fit_begins(data: Path, views: np.ndarray) -> None:
    import tomokit
    from tomokit.pipeline.progress import Silent

    told: list[str] = []

    class Listener(Silent):
        def warning(self, text: str) -> None:
            told.append(text)

        def stage(self, text: str) -> None:
            told.append(f"stage {text.split()[0]}")

    views[3] = 0
    views[5, 9, 9] += 1e4
    write_stack(data / "tilts.mrc", views, overwrite=True)
    (data / "tilts.xtilt").write_text("4.2\n" * len(views))
    options = {"thickness": 8, "method": "sirt", "options": {"epochs": 1}, "linearization": "linear"}
    result = tomokit.reconstruct(data / "tilts.mrc", progress=Listener(), **options)
    before = told[: told.index("stage fitting")]
    assert before[-1] != "stage reading"
    for said in ("tilts.xtilt (x-axis tilts up to 4.2 degrees)", "view 3 is constant (0)", "1 isolated extreme pixel"):
        assert sum(said in text for text in before) == 1
    assert before[0].startswith("beside tilts.mrc but not used")
    assert result.summary["warnings"] == [text for text in told if not text.startswith("stage")]


def test_cases(cli: Cli, shared_data: Path, tmp_path: Path) -> None:
    cases = shared_data / "cases"
    status, out, err = cli("reconstruct", cases / "one_black_view.mrc", "-o", tmp_path / "b.mrc", *WBP, "--json")
    assert status == 0
    assert err == "tomokit: warning: view 3 is constant (0): left out; --keep-views uses it as it is\n"
    assert 3 not in json.loads(out)["views"]["fitted"]
    (facts,) = json.loads(cli("inspect", cases / "one_black_view.mrc", "--json")[1])["files"]
    assert facts["defects"] == {
        "views_without_image": [3], "doubtful_views": [], "views_with_isolated_pixels": [], "isolated_pixels": 0,
    }  # fmt: skip
    assert any("view 3 is constant (0): left out" in text for text in facts["warnings"])
    for name, said in (("raw_with_mdoc/ts.mrc", "-88.7 degrees"), ("raw_in_etomo_folder/ts.st", "ts.xf")):
        status, _, err = cli("reconstruct", cases / name, "-o", tmp_path / "r.mrc", *WBP)
        assert status == 2
        assert "not aligned" in err
        assert said in err
        assert "--xf" in err
    raw = cases / "raw_with_mdoc" / "ts.mrc"
    warned = cli("reconstruct", raw, "-o", tmp_path / "r.mrc", *WBP, "--aligned")[2]
    assert "pixel sizes disagree: 10 angstrom in the header of ts.mrc, 1.724 in ts.mrc.mdoc" in warned


def test_edges_that_were_filled_in_are_masked(cli: Cli, data: Path) -> None:
    views = np.array(read_stack(data / "tilts.mrc").pixels)
    rng = np.random.default_rng(0)
    views += rng.normal(0, 0.1 * views.std(), views.shape).astype(np.float32)
    # A corner, as of a raw image that was turned.
    corner = np.add.outer(np.arange(views.shape[1]), 2 * np.arange(views.shape[2])) < 24
    views[3][corner] = views[3].mean()
    mask = np.ones(views.shape, np.float32)
    mask[3][binary_dilation(corner, np.ones((3, 3)))] = 0
    write_stack(data / "tilts.mrc", views, pixel_size_angstrom=10, overwrite=True)
    write_stack(data / "mask.mrc", mask)
    fit = ("reconstruct", data / "tilts.mrc", *WBP)
    status, _, err = cli(*fit, "-o", data / "a.mrc")
    assert status == 0, err
    assert "view 3 is filled with a constant at the edges" in err
    assert "; masked" in err
    status, _, err = cli(*fit, "-o", data / "b.mrc", "--mask", data / "mask.mrc")
    assert (status, "filled with a constant" in err) == (0, False)
    status, _, err = cli(*fit, "-o", data / "c.mrc", "--padding", "keep")
    assert "kept as if it were an image" in err
    masked, given, kept = (np.asarray(read_volume(data / f"{name}.mrc").density) for name in "abc")
    np.testing.assert_array_equal(masked, given)
    assert not np.array_equal(masked, kept)
    # What `mask` writes is the same.
    assert cli("mask", data / "tilts.mrc", "-o", data / "made.mrc")[0] == 0
    np.testing.assert_array_equal(read_stack(data / "made.mrc").pixels, mask)
    status, _, err = cli("mask", data / "tilts.mrc", "-o", data / "none.mrc", "--padding", "keep")
    assert (status, "nothing is to be masked" in err) == (2, True)
