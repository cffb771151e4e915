"""What the images of a series are taken for: right, doubted or refused, and never wrong without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.data import TiltSeries
from tomokit.data.evidence import gather
from tomokit.data.interpretation import Interpretation, interpret
from tomokit.data.linearization import choose_linearization
from tomokit.data.recognition import recognize
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.io.binning import bin_series
from tomokit.phantom.sampling import project_analytic
from tomokit.phantom.shells import random_shells

TILTS = np.arange(-60.0, 61.0, 6.0)
PATH = (1 / np.cos(np.radians(TILTS)))[:, None, None]
SHAPE = (20, 48, 64)


@pytest.fixture(scope="module")
def shells() -> np.ndarray:
    """Line integrals of particles that are in every view, at most 1."""
    found = project_analytic(random_shells(SHAPE, 4), TiltGeometry(TILTS, n_u=SHAPE[2], n_v=SHAPE[1]), 1)
    return np.asarray(found / found.max(), dtype=np.float64)


def bright_field(line: np.ndarray, electrons: float = 30, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).poisson(electrons * np.exp(-line)).astype(np.float32)


def dark_field(line: np.ndarray, electrons: float = 30, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).poisson(electrons * np.maximum(line, 0)).astype(np.float32)


def with_hole(film: np.ndarray) -> np.ndarray:
    """A film with one round hole in the middle of the field, which closes as the tilt grows."""
    y, x = np.arange(SHAPE[1])[:, None] - 20, np.arange(SHAPE[2])[None, :] - 30
    inside = (x / np.cos(np.radians(TILTS))[:, None, None]) ** 2 + y**2 < 10**2
    return np.where(inside, 0, film)


def normalized(images: np.ndarray) -> np.ndarray:
    return (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)


def told(found: Interpretation) -> bool:
    return any("in doubt" in text and "--linearization" in text for text in found.warnings)


@pytest.mark.parametrize("electrons", [2, 3, 10, 100])
@pytest.mark.parametrize("film", [0.0, 0.4, 1.5])
def test_bright_field_is_intensities_at_any_dose(shells: np.ndarray, electrons: float, film: float) -> None:
    found = interpret(bright_field(shells + film * PATH, electrons), None, TILTS)
    assert (found.kind, found.offset) == ("log", 0)
    # The film alone makes it certain; without one, two electrons a pixel may leave a doubt.
    assert not told(found) or (film == 0 and electrons < 10)


@pytest.mark.parametrize("electrons", [3, 10, 100])
@pytest.mark.parametrize("film", [0.0, 0.4, 1.5])
def test_dark_field_is_linear_and_a_film_asks_for_offsets(shells: np.ndarray, electrons: float, film: float) -> None:
    found = interpret(dark_field(shells + film * PATH, electrons), None, TILTS)
    assert (found.kind, found.background) == ("linear", film > 0)


@pytest.mark.parametrize("electrons", [2, 10, 100])
def test_bright_field_with_a_hole_brighter_than_its_support(shells: np.ndarray, electrons: float) -> None:
    found = interpret(bright_field(0.4 * shells + with_hole(0.6 * PATH), electrons), None, TILTS)
    assert found.kind == "log"


@pytest.mark.parametrize("pedestal", [0, 3])
def test_dark_field_with_a_hole_darker_than_its_support(shells: np.ndarray, pedestal: float) -> None:
    images = dark_field(0.4 * shells + with_hole(0.6 * PATH) + pedestal)
    try:
        found = interpret(images, None, TILTS)
    except InputError as error:
        assert "--linearization linear" in str(error)  # noqa: PT017
    else:
        assert told(found)
        assert found.kind == "linear" or pedestal


def test_longer_exposures_at_high_tilt_are_doubted_or_known(shells: np.ndarray) -> None:
    images = bright_field(0.5 * shells + 0.2 * PATH, 30 * PATH)
    assert told(interpret(images, None, TILTS))
    known = interpret(images, None, TILTS, exposure=PATH.ravel())
    assert known.kind == "log"
    assert not told(known)


@pytest.mark.parametrize("image", [bright_field, dark_field])
@pytest.mark.parametrize(
    "change",
    [
        normalized,
        lambda images: images - images.mean(),
        lambda images: images / images.mean((1, 2), keepdims=True),
        lambda images: images - 500.0,
    ],
)
def test_views_that_have_lost_their_zero_are_told_right_or_doubted(
    shells: np.ndarray, image: Callable[..., np.ndarray], change: Callable[[np.ndarray], np.ndarray]
) -> None:
    for line in (shells, 0.5 * shells + 0.4 * PATH, with_hole(0.6 * PATH)):
        try:
            found = interpret(change(image(line)), None, TILTS)
        except InputError:
            continue
        assert (found.kind == "linear") == (image is dark_field) or told(found)


def test_normalized_cryo_series_stay_dark_with_a_word() -> None:
    # A crowd whose skewness tells nothing, as in ice.
    images = np.random.default_rng(3).standard_normal((21, 64, 64)) + np.random.default_rng(4).standard_normal((64, 64))
    found = interpret(normalized(images), None, TILTS)
    assert found.kind == "invert"
    assert told(found)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("film", [0.0, 0.4])
@pytest.mark.parametrize("image", [bright_field, dark_field])
def test_the_answer_is_the_same_for_binned_images(
    shells: np.ndarray, factor: int, film: float, image: Callable[..., np.ndarray]
) -> None:
    series = TiltSeries(image(shells + film * PATH, 20), TiltGeometry(TILTS, n_u=SHAPE[2], n_v=SHAPE[1]))
    found = interpret(bin_series(series, factor).images, None, TILTS)
    assert found.kind == ("log" if image is bright_field else "linear")


@settings(max_examples=20, deadline=None)
@given(st.integers(-20, 40), st.booleans(), st.floats(0, 2))
def test_a_factor_changes_nothing(power: int, dark: bool, film: float) -> None:
    line = np.abs(np.sin(np.arange(21 * 24 * 30).reshape(21, 24, 30) ** 1.3)) ** 3 + film * PATH
    images = (bright_field if dark else dark_field)(line, 500)
    plain, scaled = (gather(factor * images, None, TILTS) for factor in (1.0, 2.0**power))
    assert scaled.level == pytest.approx(plain.level)
    assert recognize(scaled) == recognize(plain)


@pytest.mark.parametrize("spoil", ["hot", "border", "black"])
@pytest.mark.parametrize("image", [bright_field, dark_field])
def test_hot_pixels_borders_and_a_black_view_do_not_decide(
    shells: np.ndarray, spoil: str, image: Callable[..., np.ndarray]
) -> None:
    images = image(0.5 * shells + 0.6 * PATH, 200)
    if spoil == "hot":
        images[:, [3, 20, 41], [50, 9, 33]] += 1e5
    elif spoil == "border":
        images[:, :, :7] = 0
        images[::2, :5] = 0
    else:
        images[4] = 0
    found = interpret(images, None, TILTS)
    assert found.kind == ("log" if image is bright_field else "linear")
    assert not told(found)


def test_counts_stored_minus_32768_are_as_they_were(shells: np.ndarray) -> None:
    counts = np.rint(5000 + 50_000 * shells + np.random.default_rng(1).normal(0, 300, shells.shape))
    found = interpret(np.clip(counts, 0, 65535) - 32768, None, TILTS)
    assert (found.kind, found.background) == ("linear", False)
    assert found.offset == pytest.approx(5000 - 32768, abs=500)
    assert "added again" in found.warnings[0]
    intensities = interpret(np.rint(40_000 * np.exp(-shells) - 32768), None, TILTS)
    assert (intensities.kind, intensities.offset) == ("log", -32768)
    # Fractions, values beyond 16 bits, and whole numbers about zero are no such counts.
    for images in (counts / 3 - 32768, counts - 40_000, np.rint(1000 * normalized(bright_field(shells)))):
        assert not any("added again" in text for text in interpret(images, None, TILTS).warnings)


@pytest.mark.parametrize("kind", ["log", "linear", "invert"])
def test_what_the_user_says_is_obeyed(shells: np.ndarray, kind: str) -> None:
    for images in (bright_field(shells), dark_field(shells), normalized(bright_field(shells))):
        found = interpret(images, None, TILTS, kind=kind)
        assert (found.kind, found.chosen_by) == (kind, "user")
        assert not told(found)


@pytest.mark.parametrize("level", [0.0, 0.3, 5.0, -0.3])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_pedestal_below_line_integrals_is_subtracted(shells: np.ndarray, level: float, noise: float) -> None:
    images = shells + level + np.random.default_rng(2).normal(0, noise, shells.shape)
    found = interpret(images, None, TILTS, kind="linear")
    assert found.offset == pytest.approx(level, abs=0.02)
    assert (found.background, "subtracted" in found.reason) == (False, level != 0)


def test_a_film_below_line_integrals_asks_for_offsets(shells: np.ndarray) -> None:
    for line in (shells + 0.5 * PATH, shells + with_hole(0.5 * PATH), shells + 0.5 + 0.3 * PATH):
        found = interpret(line, None, TILTS, kind="linear")
        assert (found.offset, found.background) == (0, True)


def test_what_cannot_be_told_is_refused_with_both_options() -> None:
    images = 100 + np.random.default_rng(1).standard_normal((11, 40, 40))
    with pytest.raises(InputError, match="--linearization log if dark is dense, --linearization linear if bright is"):
        interpret(images, None, TILTS[::2])


def test_the_record_of_a_detector_decides_what_images_do_not() -> None:
    images = 100 + np.random.default_rng(1).standard_normal((11, 40, 40))
    for recorded, kind in (("dark field", "linear"), ("bright field", "log")):
        found = interpret(images, None, TILTS[::2], recorded=recorded)
        assert found.kind == kind
        assert f"recorded as {recorded}" in found.reason
        assert not told(found)


def test_a_record_against_the_images_is_doubted(shells: np.ndarray) -> None:
    assert told(interpret(bright_field(shells + PATH), None, TILTS, recorded="dark field"))


@pytest.mark.parametrize("noise", [0, 0.02, 0.1, 0.5])
def test_line_integrals_over_nothing_are_certain(shells: np.ndarray, noise: float) -> None:
    found = interpret(shells + noise * np.random.default_rng(3).standard_normal(shells.shape), None, TILTS)
    assert (found.kind, found.background, found.warnings) == ("linear", False, ())


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (2, 3, 3), (3, 9, 1), (6, 4, 200)])
def test_images_of_any_size_get_an_answer(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(1).random(shape) + np.arange(shape[2])
    for kind in ("auto", "linear"):
        try:
            interpret(images, None, np.linspace(-60, 60, shape[0]), kind=kind)
        except InputError as error:
            assert "--linearization" in str(error)  # noqa: PT017


def _read(path: Path, every: int) -> np.ndarray:
    import mrcfile

    if not path.is_file():
        pytest.skip(f"no {path}")
    with mrcfile.mmap(path, permissive=True) as mrc:
        return np.asarray(mrc.data[::every], dtype=np.float32)


@pytest.mark.parametrize("name", ["empiar-10643-40/tilts", "empiar-10499/tilts-raw"])
def test_real_intensities_are_certain(shared_data: Path, name: str) -> None:
    images, tilts = _read(shared_data / f"{name}.mrc", 4), np.loadtxt(shared_data / f"{name}.tlt")[::4]
    assert (interpret(images, None, tilts).kind, told(interpret(images, None, tilts))) == ("log", False)
    assert interpret(images - images.mean(), None, tilts).kind == "invert"
    assert interpret(normalized(images), None, tilts).kind == "invert"
    # Without angles, and for a part of the views, the sign is the same.
    assert choose_linearization(images - images.mean()).kind == "invert"


@pytest.mark.parametrize("noise", [0, 0.02, 0.05, 0.2, 0.5])
def test_simulated_shells_are_certain(shared_data: Path, noise: float) -> None:
    images = _read(shared_data / "shells-a/tilts-clean.mrc", 10)
    tilts = np.loadtxt(shared_data / "shells-a/tilts.tlt")[::10]
    noisy = images + np.random.default_rng(int(1e4 * noise)).normal(0, noise, images.shape) if noise else images
    found = interpret(noisy, None, tilts)
    assert (found.kind, found.background, found.warnings) == ("linear", False, ())
