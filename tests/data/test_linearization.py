"""The transform from images to projections, its scale, and the choice by the data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tomokit.data.interpretation import Interpretation
from tomokit.data.linearization import FLOOR, Linearization, choose_linearization
from tomokit.errors import InputError, OptionError

RNG = np.random.default_rng(1)


def blobs(shape: tuple[int, int, int] = (6, 48, 40)) -> np.ndarray:
    """Line integrals of a sparse specimen, 0 where there is nothing."""
    values = np.zeros(shape)
    _, n_y, n_x = shape
    y, x = np.mgrid[:n_y, :n_x]
    for centre_y, centre_x, radius in ((12, 10, 6), (30, 28, 8), (38, 8, 4)):
        values += np.sqrt(np.maximum(0, radius**2 - (y - centre_y) ** 2 - (x - centre_x) ** 2))
    return values


def test_log_is_the_formula_of_beer_and_lambert_scaled_to_one() -> None:
    images = RNG.uniform(10, 200, (3, 8, 9))
    linearization = choose_linearization(images, kind="log")
    expected = np.log(images.max() / images) / np.log(images.max() / images.min())
    p = linearization.apply(images)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, expected, atol=2e-6)
    assert p.min() == pytest.approx(0, abs=1e-6)
    assert p.max() == pytest.approx(1, abs=1e-6)


def test_log_clamps_to_a_part_of_the_range() -> None:
    images = np.array([[[0.0, -5.0, 10.0, 1.0]]])
    linearization = choose_linearization(images, kind="log")
    p = linearization.apply(images)
    assert np.isfinite(p).all()
    floor = FLOOR * (10 - -5)
    np.testing.assert_allclose(p[0, 0, :2], 1.0, atol=1e-6)
    assert p[0, 0, 3] == pytest.approx(np.log(10) / np.log(10 / floor), rel=1e-5)


def test_linear_scales_to_a_maximum_of_one_and_gives_the_units_back() -> None:
    images = blobs() * 7.0
    linearization = choose_linearization(images, kind="linear")
    p = linearization.apply(images)
    assert p.max() == pytest.approx(1)
    # kappa * integral(rho) = p; the volume rho * volume_scale has the input as its line integral.
    kappa, integral = 1 / 40, p / (1 / 40)
    np.testing.assert_allclose(integral * linearization.volume_scale(kappa), images, rtol=1e-5, atol=1e-5)


def test_invert_negates_and_scales() -> None:
    images = -blobs() + blobs().mean()
    linearization = choose_linearization(images, kind="invert")
    np.testing.assert_allclose(linearization.apply(images), images / images.min(), rtol=1e-5, atol=1e-6)
    assert linearization.volume_scale(0.25) == 0.25


@pytest.mark.parametrize("kind", ["log", "linear", "invert"])
def test_masked_pixels_have_no_say(kind: str) -> None:
    images = RNG.normal(0, 1, (4, 10, 12)) + (5 if kind == "log" else 0)
    mask = np.ones(images.shape, dtype=np.float32)
    mask[:, 2:5, 3:7] = 0
    spoilt = np.where(mask > 0, images, 1e6 * RNG.choice([-1, 1], images.shape))
    spoilt[0, 2, 3] = np.nan
    assert choose_linearization(spoilt, mask, kind=kind) == choose_linearization(
        np.where(mask > 0, images, 1), mask, kind=kind
    )


@pytest.mark.parametrize("kind", ["log", "linear"])
def test_percentiles_ignore_outliers(kind: str) -> None:
    images = RNG.uniform(10, 20, (4, 30, 30))
    images[0, 0, 0], images[1, 1, 1] = 1e-3, 1e5
    linearization = choose_linearization(images, kind=kind, percentiles=(1, 99))
    assert 10 <= linearization.imin < 10.5
    assert 19.5 < linearization.imax <= 20


@pytest.mark.parametrize("percentiles", [(-1, 50), (50, 50), (60, 40), (0, 101)])
def test_percentiles_that_are_no_range_are_refused(percentiles: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match="--percentiles"):
        choose_linearization(blobs(), percentiles=percentiles)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OptionError, match="--linearization"):
        choose_linearization(blobs(), kind="square")


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        (np.full((2, 4, 4), 3.0), "log"),
        (np.full((2, 4, 4), 3.0), "auto"),
        (-1 - RNG.random((2, 4, 4)), "log"),
        (-1 - RNG.random((2, 4, 4)), "linear"),
        (1 + RNG.random((2, 4, 4)), "invert"),
        (np.array([[[1.0, np.nan]]]), "linear"),
        (np.array([[[1.0, np.inf]]]), "log"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: np.ndarray, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_linearization(images, kind=kind)
    assert "images" in str(caught.value)


def test_no_pixel_that_counts_is_refused() -> None:
    with pytest.raises(InputError, match="mask"):
        choose_linearization(blobs(), np.zeros((6, 48, 40), dtype=np.float32))


def test_auto_says_who_chose_and_why() -> None:
    chosen = choose_linearization(blobs())
    assert chosen.chosen_by == "auto"
    assert "skewness" in chosen.reason
    given = choose_linearization(blobs(), kind="linear")
    assert (given.chosen_by, given.reason) == ("user", "")


def test_json_has_everything() -> None:
    linearization = Linearization("log", 1.0, 2.0, 0.5, "auto", "because")
    assert json.loads(json.dumps(linearization.to_json())) == {
        "kind": "log",
        "imin": 1.0,
        "imax": 2.0,
        "scale": 0.5,
        "chosen_by": "auto",
        "reason": "because",
        "offset": 0.0,
        "background": False,
        "volume_units": "scaled projection per pixel",
    }


def test_a_linearization_is_rebuilt_from_its_record() -> None:
    linearization = Linearization("linear", 1.0, 2.0, 2.0, "auto", "because", -32768.0, True)
    record = json.loads(json.dumps(linearization.to_json()))
    assert Linearization.from_json(record) == linearization
    # A state that was written before there was an offset.
    del record["offset"], record["background"]
    assert Linearization.from_json(record) == Linearization("linear", 1.0, 2.0, 2.0, "auto", "because")


def test_an_offset_is_taken_from_every_pixel() -> None:
    images = RNG.integers(10, 200, (3, 8, 9)).astype(np.float64)
    plain = choose_linearization(images, kind="log")
    moved = choose_linearization(images - 32768, interpretation=Interpretation("log", offset=-32768.0))
    np.testing.assert_allclose(moved.apply(images - 32768), plain.apply(images), atol=1e-3)
    assert (moved.imin, moved.imax) == pytest.approx((plain.imin, plain.imax))
