"""X-rays and defective pixels are found and mended, and nothing of a specimen is."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.data.defect_report import tell_spots
from tomokit.data.defects import Defects, find_defects
from tomokit.data.spots import find_spots
from tomokit.geometry import TiltGeometry
from tomokit.phantom import simulate_series

TILT = np.arange(-60, 61, 6.0)
N, SIZE = TILT.size, 64
GEOMETRY = TiltGeometry(TILT, SIZE, SIZE)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """Projections of a specimen with noise of a twentieth of their largest."""
    series, _ = simulate_series((16, SIZE, SIZE), TILT, noise=0.05)
    return series.images


def found(images: np.ndarray, mask: np.ndarray | None = None) -> Defects:
    return find_defects(images, GEOMETRY, mask, thickness_px=16)


def spoil(images: np.ndarray, height: float, fixed: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Five pixels of each view made higher, at places of their own or at the same; the images, and which were."""
    rng = np.random.default_rng(seed)
    where = np.zeros(images.shape, bool)
    for view in range(N):
        rng = np.random.default_rng(seed) if fixed else rng
        # Off the axis, where a point of the specimen would stay in its place too.
        columns = rng.permutation(np.r_[1:28, 36:63])[:5]
        where[view, rng.integers(0, SIZE, 5), columns] = True
    return np.where(where, images + np.float32(height), images).astype(np.float32), where


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("sds", [30, -30, 1000])
def test_spoilt_pixels_are_found_and_mended(clean: np.ndarray, fixed: bool, sds: float) -> None:
    images, where = spoil(clean, sds * clean.std(), fixed)
    mended = found(images).mend(images.copy())
    changed = mended != images
    assert (changed & ~where).sum() <= 3
    assert (where & ~changed).sum() <= 3
    # What took their place is what was there, within noise and structure.
    assert np.abs(mended - clean)[where & changed].max() < 3 * clean.std()


def test_spots_of_touching_pixels_and_their_lobes_are_mended(clean: np.ndarray) -> None:
    from scipy.ndimage import shift

    xray = np.zeros((SIZE, SIZE), np.float32)
    xray[20, 20] = xray[20, 21] = xray[45, 10] = 100 * clean.std()
    images = clean.copy()
    images[4] += shift(xray, (0.4, 0.5), order=3, mode="nearest")
    mended = found(images).mend(images.copy())
    assert np.abs(mended - clean)[4].max() < 10 * clean.std()
    assert (mended[5] == clean[5]).all()


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_a_clean_series_is_left_alone(noise: float) -> None:
    series, _ = simulate_series((16, SIZE, SIZE), TILT, noise=noise, seed=3)
    for images in (series.images, 1000 * np.exp(-series.images / series.images.max()), -series.images):
        assert found(images) == Defects()


@pytest.mark.parametrize("electrons", [0.003, 0.05, 0.5, 1, 3, 30])
def test_counting_noise_is_left_alone(electrons: float) -> None:
    images = np.random.default_rng(0).poisson(electrons, (4, 300, 300)).astype(np.float32)
    assert all(not find_spots(image) for image in images)


@pytest.mark.parametrize("sigma_px", [0.3, 0.6, 0.9, 1.2, 2.0])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_points_of_the_specimen_are_left_alone(clean: np.ndarray, sigma_px: float, noise: float) -> None:
    """Particles as small as a pixel, bright or dark, over a field."""
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    x, y, z = rng.uniform(-24, 24, 6), rng.uniform(6, SIZE - 7, 6), rng.uniform(-8, 8, 6)
    pixels = np.arange(SIZE)
    images = np.zeros((N, SIZE, SIZE), np.float32) + noise * rng.standard_normal((N, SIZE, SIZE)).astype(np.float32)
    for view, theta in enumerate(np.deg2rad(TILT)):
        for px, py, pz in zip(x, y, z, strict=True):
            u = px * np.cos(theta) - pz * np.sin(theta) + (SIZE - 1) / 2
            along_u, along_v = (np.diff(norm.cdf(np.append(pixels, SIZE) - 0.5, c, sigma_px)) for c in (u, py))
            images[view] += along_v[:, None] * along_u[None, :] * max(1, 6 * sigma_px**2)
    images += clean / 20
    assert found(images).spots == {}
    assert found(5 - images).spots == {}


def test_a_bead_is_no_spot() -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    rng = np.random.default_rng(0)
    for radius_px in (2.5, 4.0, 8.0):
        depth = np.sqrt(np.maximum(0, radius_px**2 - (rows - 30.3) ** 2 - (columns - 20.8) ** 2))
        image = 100 * np.exp(-depth / 4) + rng.normal(0, 1, (SIZE, SIZE))
        assert not [spot for spot in find_spots(image.astype(np.float32)) or [] if spot.strong]


def test_masked_pixels_are_left_alone(clean: np.ndarray) -> None:
    images, where = spoil(clean, 1000 * clean.std(), fixed=False)
    assert found(images, (~where).astype(np.float32)).spots == {}


def test_read_only_images_are_mended_in_a_copy_and_others_in_place(clean: np.ndarray) -> None:
    images, _ = spoil(clean, 1000 * clean.std(), fixed=False)
    kept = images.copy()
    images.flags.writeable = False
    defects = found(images)
    assert (defects.mend(images) != kept).any()
    assert (images == kept).all()
    images.flags.writeable = True
    assert defects.mend(images) is images
    assert sum(defects.replaced(range(N)).values()) == (images != kept).sum()


def test_a_view_of_too_many_spots_is_told_and_left_alone(clean: np.ndarray) -> None:
    images = clean.copy()
    images[6].ravel()[::131] += 1000 * clean.std()
    defects = found(images)
    assert (defects.spots, defects.crowded) == ({}, [6])
    assert tell_spots(defects, list(range(N)), True) == [
        "view 6 has more isolated extreme pixels than x-rays make: all kept as they are"
    ]


def test_views_of_a_few_pixels_have_no_spots() -> None:
    for shape in ((1, 1), (3, 40), (7, 7)):
        image = np.zeros(shape, np.float32)
        image[0, 0] = 1e6
        assert find_spots(image) == []
