"""IMOD transforms: the formula in both directions, and images moved by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.io import align_images, read_xf
from tomokit.io.transforms import transform_points

IDENTITY = np.array([[1.0, 0, 0, 1, 0, 0]])


def _blob(shape: tuple[int, int], xy: tuple[float, float], sigma: float = 3.0) -> np.ndarray:
    """A Gaussian at `xy` pixels from the image's centre, [y, x]."""
    y = np.arange(shape[0]) - (shape[0] - 1) / 2 - xy[1]
    x = np.arange(shape[1]) - (shape[1] - 1) / 2 - xy[0]
    return np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * sigma**2)).astype(np.float32)


def _rotation(degrees: float, scale: float = 1.0, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, s, c, dx, dy]])


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("shape", [(8, 9), (7, 12)])
def test_identity_changes_nothing(order: int, shape: tuple[int, int]) -> None:
    images = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    aligned, mask = align_images(images, np.repeat(IDENTITY, 2, axis=0), order=order)
    assert aligned.dtype == mask.dtype == np.float32
    np.testing.assert_allclose(aligned, images, atol=2e-6)
    assert (mask == 1).all()


def test_a_whole_pixel_shift_moves_to_larger_x_and_y() -> None:
    images = np.random.default_rng(1).normal(7, 1, size=(1, 6, 8)).astype(np.float32)
    aligned, mask = align_images(images, np.array([[1.0, 0, 0, 1, 2, -1]]))
    np.testing.assert_allclose(aligned[0, :5, 2:], images[0, 1:, :6], atol=1e-5)
    expected = np.zeros((6, 8))
    expected[:5, 2:] = 1
    np.testing.assert_array_equal(mask[0], expected)
    np.testing.assert_allclose(aligned[0][mask[0] == 0], images.mean(), rtol=1e-6)


@pytest.mark.parametrize("raw", [(64, 80), (65, 81), (64, 81)])
@pytest.mark.parametrize("out", [None, (90, 71), (63, 64)])
@pytest.mark.parametrize(
    "xf",
    [_rotation(30), _rotation(-84.2, dx=3.25, dy=-1.5), _rotation(4.3, 0.97, -6, 2), [[1.02, 0.1, -0.05, 0.9, 1, 2]]],
)
def test_a_blob_lands_where_the_formula_says(raw: tuple[int, int], out: tuple[int, int] | None, xf: np.ndarray) -> None:
    xf = np.asarray(xf, dtype=np.float64)
    start = (9.3, -6.1)
    x, y = transform_points(xf[0], [start])[0]
    a11, a12, a21, a22, dx, dy = xf[0]
    assert (x, y) == pytest.approx((a11 * 9.3 + a12 * -6.1 + dx, a21 * 9.3 + a22 * -6.1 + dy))
    aligned, mask = align_images(_blob(raw, start)[None], xf, out_shape=out)
    shape = aligned.shape[1:]
    window = _blob(shape, (x, y), sigma=8) > 0.01
    weight = aligned[0] * mask[0] * window  # the padding holds the view's mean, not the blob
    iy, ix = np.mgrid[: shape[0], : shape[1]]
    found = (weight * ix).sum() / weight.sum(), (weight * iy).sum() / weight.sum()
    assert found == pytest.approx((x + (shape[1] - 1) / 2, y + (shape[0] - 1) / 2), abs=0.005)


def test_there_and_back_again() -> None:
    """The inverse, composed by hand, brings a smooth image back."""
    image = _blob((96, 96), (8, 5), 5) + 0.5 * _blob((96, 96), (-12, 3), 4)
    forth = _rotation(25, 1.01, 3.5, -2.25)
    matrix = np.linalg.inv(forth[0, :4].reshape(2, 2))
    back = np.concatenate([matrix.ravel(), -matrix @ forth[0, 4:]])[None]
    there, _ = align_images(image[None], forth)
    again, mask = align_images(there, back)
    inner = mask[0] == 1
    assert inner.mean() > 0.6
    assert np.abs(again[0] - image)[24:-24, 24:-24].max() < 2e-3
    assert np.abs(there[0] - image).max() > 0.3


def test_quarter_turn_permutes_pixels() -> None:
    """x' = -y, y' = x about the centre: an exact permutation, on even and odd sizes."""
    for n in (6, 7):
        image = np.random.default_rng(n).normal(size=(1, n, n)).astype(np.float32)
        aligned, mask = align_images(image, np.array([[0.0, -1, 1, 0, 0, 0]]))
        np.testing.assert_allclose(aligned[0], np.rot90(image[0], -1), atol=1e-5)
        assert (mask == 1).all()


def test_larger_output_is_padded_and_masked() -> None:
    aligned, mask = align_images(np.full((1, 4, 4), 5.0), IDENTITY, out_shape=(8, 6))
    assert mask.sum() == 16
    assert (mask[0, 2:6, 1:5] == 1).all()
    np.testing.assert_allclose(aligned, 5, rtol=1e-6)


def test_counts_and_singular_transforms() -> None:
    with pytest.raises(InputError, match="1 transforms for 2 views"):
        align_images(np.zeros((2, 4, 4)), IDENTITY)
    with pytest.raises(InputError, match="xf of view 0: the transform cannot be inverted"):
        align_images(np.zeros((1, 4, 4)), np.zeros((1, 6)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 1 0\n", "line 1: 5 numbers where a transform has 6"),
        ("1 0 0 1 0 0\n1 1 1 1 0 0\n", "line 2: the transform cannot be inverted"),
        ("1 0 0 1 x 0\n", "line 1: 'x' is not a number"),
        ("1 0 0 1 0 1e400\n", "line 1: a number is not finite"),
        ("", "the file is empty"),
    ],
)
def test_bad_xf_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.xf"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_xf(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.one_of(st.binary(), st.text(alphabet="0123456789.-+e \n").map(str.encode)))
def test_arbitrary_text_raises_nothing_but_input_errors(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.xf"
    path.write_bytes(raw)
    xf = None
    try:
        xf = read_xf(path)
    except InputError as error:
        if "\n" in str(error):
            raise
    assert xf is None or (xf.shape[1] == 6 and np.isfinite(xf).all())


_SHIFTS = st.floats(-1e6, 1e6)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.floats(-180, 180), st.floats(0.5, 2), _SHIFTS, _SHIFTS), min_size=1, max_size=9))
def test_written_transforms_come_back_exactly(tmp_path: Path, rows: list[tuple[float, ...]]) -> None:
    xf = np.concatenate([_rotation(*row) for row in rows])
    path = tmp_path / "a.xf"
    path.write_text("\n".join(" ".join(repr(float(value)) for value in row) for row in xf))
    np.testing.assert_array_equal(read_xf(path), xf)
