"""Binning keeps points where they are, and masked pixels out."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.data import TiltSeries
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.io import bin_series


def _series(images: np.ndarray, mask: np.ndarray | None = None, **shifts: np.ndarray) -> TiltSeries:
    n, n_y, n_x = images.shape
    geometry = TiltGeometry(np.linspace(-10, 10, n), n_u=n_x, n_v=n_y, **shifts)
    return TiltSeries(images.astype(np.float32), geometry, 2.0, None if mask is None else mask.astype(np.float32))


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("n_y", "n_x"), [(60, 60), (61, 63), (59, 62), (64, 57)])
def test_a_blob_stays_at_its_specimen_point(n_y: int, n_x: int, factor: int) -> None:
    """Of points projected through the geometry, before and after binning."""
    point = np.array([[3.7, -4.2, 6.0]])
    shifts = {"shift_u_px": np.array([1.5, -0.75, 0.0]), "shift_v_px": np.array([0.0, 0.5, -2.25])}
    geometry = TiltGeometry(np.array([-40.0, 0.0, 40.0]), n_u=n_x, n_v=n_y, **shifts)
    u, v = geometry.locate(point)
    y, x = np.mgrid[:n_y, :n_x]
    y, x = y - (n_y - 1) / 2, x - (n_x - 1) / 2
    images = np.exp(-((x - u[:, :, None]) ** 2 + (y - v[:, :, None]) ** 2) / (2 * 4.0**2))
    binned = bin_series(TiltSeries(images.astype(np.float32), geometry, 2.0), factor)
    assert binned.images.shape == (3, n_y // factor, n_x // factor)
    assert binned.pixel_size_angstrom == 2 * factor
    u_b, v_b = binned.geometry.locate(point / factor)
    rows, columns = np.mgrid[: binned.images.shape[1], : binned.images.shape[2]]
    for view in range(3):
        weight = binned.images[view].astype(np.float64)
        found_u = (weight * columns).sum() / weight.sum() - (weight.shape[1] - 1) / 2
        found_v = (weight * rows).sum() / weight.sum() - (weight.shape[0] - 1) / 2
        assert found_u == pytest.approx(u_b[view, 0], abs=2e-3)
        assert found_v == pytest.approx(v_b[view, 0], abs=2e-3)


def test_means_are_plain_without_a_mask() -> None:
    images = np.arange(2 * 4 * 6, dtype=float).reshape(2, 4, 6)
    binned = bin_series(_series(images), 2)
    assert binned.mask is None
    assert binned.images[0, 0, 0] == np.mean([0, 1, 6, 7])
    np.testing.assert_allclose(binned.images.mean(axis=(1, 2)), images.mean(axis=(1, 2)))


@pytest.mark.parametrize("bad", [1e30, np.nan, np.inf])
def test_masked_pixels_never_leak(bad: float) -> None:
    rng = np.random.default_rng(2)
    images, mask = rng.normal(5, 1, (3, 12, 15)), rng.random((3, 12, 15)) > 0.4
    spoilt = np.where(mask, images, bad)
    binned, other = bin_series(_series(spoilt, mask), 3), bin_series(_series(images, mask), 3)
    np.testing.assert_array_equal(binned.images, other.images)
    assert np.isfinite(binned.images).all()
    assert binned.images.min() > images[mask].min()
    assert binned.images.max() < images[mask].max()


def test_mask_and_fill_of_bins() -> None:
    images = np.array([[[1.0, 3, 8, 9, 0, 0], [5, 7, 9, 9, 0, 0]]])
    mask = np.array([[[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]])
    binned = bin_series(_series(images, mask), 2)
    assert binned.mask is not None
    np.testing.assert_array_equal(binned.mask[0], [[1, 0, 0]])
    # Half used, a quarter used, none used: means of what is used, then the mean of the view.
    np.testing.assert_allclose(binned.images[0], [[2, 8, 4]])


def test_factor_one_and_provenance() -> None:
    series = _series(np.zeros((1, 8, 8)))
    assert bin_series(series, 1) is series
    assert bin_series(bin_series(series, 2), 2).provenance["bin"] == 4


@pytest.mark.parametrize("factor", [0, -2, 1.5, 9])
def test_bad_factors(factor: float) -> None:
    with pytest.raises(OptionError, match="--bin"):
        bin_series(_series(np.zeros((1, 8, 9))), factor)  # type: ignore[arg-type]
