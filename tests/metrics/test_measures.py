"""ErrorIndicators against their formulas, against scikit-image, and at the edges of their meaning."""

import json
import math

import numpy as np
import pytest

from tomokit.errors import InputError, OptionError
from tomokit.metrics import Box, blocks, compare_arrays, fit_scale, global_ssim, parse_box, psnr, rmse, windowed_ssim

ISOLATED = ("isolated_per_thousand", "isolated_per_thousand_truth")


def pair(shape=(20, 31, 25), seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(shape).astype(np.float32)
    truth[5:12, 8:20, 4:17] += 2
    return (truth + rng.normal(0, 0.3, shape)).astype(np.float32), truth


@pytest.fixture(params=[1, 3 * 31 * 25, 1 << 21])
def block_voxels(request, monkeypatch):
    """Slabs of one plane, of a few, and of everything."""
    monkeypatch.setattr(blocks, "_BLOCK_VOXELS", request.param)


@pytest.mark.usefixtures("block_voxels")
def test_psnr_is_its_formula():
    volume, truth = pair()
    error = np.sqrt(np.mean((volume.astype(np.float64) - truth) ** 2))
    assert rmse(volume, truth) == pytest.approx(error, rel=1e-12)
    assert psnr(volume, truth) == pytest.approx(20 * np.log10(float(truth.max()) / error), rel=1e-12)
    assert psnr(2 * truth, truth, scale=0.5, offset=0.1) == pytest.approx(20 * np.log10(float(truth.max()) / 0.1))


@pytest.mark.usefixtures("block_voxels")
@pytest.mark.parametrize("shape", [(20, 31, 25), (7, 9, 8), (8, 7, 7)])
def test_windowed_ssim_is_scikit_images(shape):
    metrics = pytest.importorskip("skimage.metrics")
    volume, truth = pair(shape)
    expected = metrics.structural_similarity(
        volume.astype(np.float64), truth.astype(np.float64), win_size=7, data_range=float(truth.max() - truth.min())
    )
    assert windowed_ssim(volume, truth) == pytest.approx(expected, abs=1e-9)
    assert windowed_ssim((volume - 3) / 2, truth, scale=2, offset=3) == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("block_voxels")
def test_global_ssim_is_its_formula():
    volume, truth = pair()
    box = Box((2, 5, 1), (15, 30, 24))
    r, g = (values[2:15, 5:30, 1:24].astype(np.float64).ravel() for values in (volume, truth))
    c1, c2 = (0.01 * np.ptp(truth)) ** 2, (0.03 * np.ptp(truth)) ** 2
    covariance = np.cov(r, g, bias=True)
    expected = (2 * r.mean() * g.mean() + c1) * (2 * covariance[0, 1] + c2)
    expected /= (r.mean() ** 2 + g.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    assert global_ssim(volume, truth, box) == pytest.approx(expected, rel=1e-6)
    assert global_ssim(volume, truth) != pytest.approx(expected, rel=1e-3)


@pytest.mark.usefixtures("block_voxels")
def test_fit_scale_is_least_squares():
    volume, truth = pair()
    flat, target = volume.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    (scale,), *_ = np.linalg.lstsq(flat[:, None], target, rcond=None)
    assert fit_scale(volume, truth) == pytest.approx((scale, 0.0), rel=1e-9)
    line, *_ = np.linalg.lstsq(np.stack([flat, np.ones_like(flat)], axis=1), target, rcond=None)
    assert fit_scale(volume, truth, affine=True) == pytest.approx(tuple(line), rel=1e-7)


def test_fit_scale_far_from_zero_keeps_its_digits():
    _, truth = pair()
    scale, offset = fit_scale(truth.astype(np.float64) * 1e-3 + 1e6, truth, affine=True)
    assert scale == pytest.approx(1e3, rel=1e-4)
    assert offset == pytest.approx(-1e9, rel=1e-4)


def test_fit_scale_of_a_volume_without_variation_is_zero():
    _, truth = pair()
    assert fit_scale(np.zeros_like(truth), truth) == (0.0, 0.0)
    scale, offset = fit_scale(np.full_like(truth, 4), truth, affine=True)
    assert scale == 0
    assert offset == pytest.approx(truth.mean(dtype=np.float64), rel=1e-6)


def test_compare_fits_away_scale_and_offset():
    volume, truth = pair()
    plain = compare_arrays(volume, truth, scale="affine")
    changed = compare_arrays(5 * volume - 3, truth, scale="affine")
    for name in ("psnr_db", "ssim", "ssim_global", "rmse"):
        assert changed[name] == pytest.approx(plain[name], rel=1e-5)
    assert changed["scale"] == pytest.approx(plain["scale"] / 5, rel=1e-5)
    assert compare_arrays(5 * volume, truth, scale=0.2)["psnr_db"] == pytest.approx(
        compare_arrays(volume, truth)["psnr_db"], rel=1e-5
    )
    fitted = compare_arrays(volume, truth, scale="fit")
    assert fitted["offset"] == 0
    assert compare_arrays(volume, truth)["psnr_db"] < fitted["psnr_db"] < plain["psnr_db"]


def test_compare_agrees_with_its_parts_and_restricts_only_the_global_similarity():
    volume, truth = pair()
    box = parse_box("0:20,0:31,3:9")
    result = compare_arrays(volume, truth, box=box)
    assert list(result) == ["psnr_db", "ssim", "ssim_global", "rmse", "scale", "offset", "box", *ISOLATED]
    assert result["psnr_db"] == psnr(volume, truth)
    assert result["ssim"] == windowed_ssim(volume, truth)
    assert result["ssim_global"] == global_ssim(volume, truth, box)
    assert result["box"] == "0:20,0:31,3:9"
    assert (result["scale"], result["offset"]) == (1.0, 0.0)


def test_identical_volumes_have_no_ratio_but_full_similarity():
    _, truth = pair()
    assert psnr(truth, truth) == math.inf
    result = compare_arrays(truth, truth)
    assert result["psnr_db"] is None
    assert result["ssim"] == pytest.approx(1)
    assert result["ssim_global"] == pytest.approx(1)
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_constant_truth_leaves_similarity_undefined(value):
    volume, _ = pair()
    truth = np.full_like(volume, value)
    result = compare_arrays(volume, truth)
    assert result["ssim"] is None
    assert result["ssim_global"] is None
    assert (result["psnr_db"] is None) == (value <= 0)
    json.dumps(result, allow_nan=False)


def test_thin_volumes_have_no_window():
    volume, truth = pair((6, 20, 20))
    with pytest.raises(InputError, match="6 x 20 x 20"):
        windowed_ssim(volume, truth)
    result = compare_arrays(volume, truth)
    assert result["ssim"] is None
    assert result["ssim_global"] is not None


@pytest.mark.parametrize("measure", [compare_arrays, psnr, rmse, windowed_ssim, global_ssim, fit_scale])
def test_bad_pairs_are_refused(measure):
    volume, truth = pair((8, 9, 10))
    with pytest.raises(InputError, match=r"8 x 9 x 10.*8 x 9 x 9"):
        measure(volume, truth[..., 1:])
    with pytest.raises(InputError, match="not the shape of a volume"):
        measure(volume[0], truth[0])
    for bad in (np.nan, np.inf):
        spoilt = volume.copy()
        spoilt[7, 8, 9] = bad
        with pytest.raises(InputError, match="volume holds NaN"):
            measure(spoilt, truth)
        with pytest.raises(InputError, match="truth holds NaN"):
            measure(volume, spoilt)


@pytest.mark.parametrize("scale", ["best", "", "nan", math.inf])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(OptionError, match="--scale"):
        compare_arrays(*pair(), scale=scale)


def test_a_number_as_text_is_a_scale():
    volume, truth = pair()
    assert compare_arrays(volume, truth, scale="0.5")["scale"] == 0.5


def test_a_box_beyond_the_volume_is_refused():
    with pytest.raises(OptionError, match="beyond the volume of 20 x 31 x 25"):
        compare_arrays(*pair(), box=parse_box("0:20,0:32,0:25"))


def test_memory_mapped_volumes_give_the_same(tmp_path):
    volume, truth = pair()
    np.save(tmp_path / "volume.npy", volume)
    mapped = np.load(tmp_path / "volume.npy", mmap_mode="r")
    assert compare_arrays(mapped, truth) == compare_arrays(volume, truth)
