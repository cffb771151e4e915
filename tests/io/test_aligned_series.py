"""Raw views aligned by a whole alignment: beads land where the geometry and the frame of the specimen say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from beads import found_in_image, project, raw_image, transforms

from tomokit.errors import InputError, OptionError
from tomokit.geometry import Alignment, SpecimenFrame
from tomokit.geometry.x_tilt import fold_x_tilt
from tomokit.io import load_series
from tomokit.io.transforms import SPLINE_ORDER, align_images

Make = Callable[..., Path]
BEADS = np.array([[14.0, -8.0, 6.0], [-15.0, 7.0, -4.0], [3.0, 22.0, 7.0], [-6.0, -23.0, -8.0]])
TILT = np.array([-50.0, -25.0, 0.0, 20.0, 45.0])


def _alignment(x_tilt_deg: np.ndarray | float = 0.0, **fields: object) -> Alignment:
    used = np.ones(TILT.size, bool)
    made = Alignment(TILT, transforms(TILT.size), np.broadcast_to(x_tilt_deg, TILT.shape).astype(float), used)
    return replace(made, **fields)  # type: ignore[arg-type]


def _stack(make_mrc: Make, shape: tuple[int, int], alignment: Alignment) -> Path:
    images = [
        raw_image(shape, project(BEADS, tilt + alignment.tilt_offset_deg, x_tilt), row)
        for tilt, x_tilt, row in zip(alignment.tilt_deg, alignment.x_tilt_deg, alignment.transform, strict=True)
    ]
    return make_mrc(np.array(images, np.float32), 2, name="raw.mrc")


@pytest.mark.parametrize("raw", [(72, 80), (73, 81), (72, 81)])
@pytest.mark.parametrize("out", [None, (76, 75)])
@pytest.mark.parametrize("x_tilt", [0.0, 2.0, np.array([1.0, 3.0, 2.5, 1.2, 2.8])], ids=["none", "constant", "varying"])
def test_beads_lie_where_geometry_and_frame_say(
    make_mrc: Make, raw: tuple[int, int], out: tuple[int, int] | None, x_tilt: np.ndarray | float
) -> None:
    alignment = _alignment(x_tilt, tilt_offset_deg=4.0, aligned_shape=out)
    series = load_series(_stack(make_mrc, raw, alignment), alignment=alignment)
    assert series.images.shape[1:] == (out or raw)
    u, v = series.geometry.locate(series.frame.to_tilt_axis(BEADS))
    remainder = series.provenance["x_tilt_remainder"] * 9
    for view, image in enumerate(series.images):
        expected = np.stack([u[view], v[view]], axis=1)
        found = found_in_image(image, expected)
        np.testing.assert_allclose(found[:, 0], expected[:, 0], atol=0.02)
        np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=0.02 + remainder)


def test_a_tilt_about_x_that_varies_leaves_only_what_is_told() -> None:
    rng = np.random.default_rng(2)
    points, tilt, varying = rng.uniform(-200, 200, (50, 3)), np.linspace(-60, 60, 7), rng.uniform(-2, 2, 7)
    folded = fold_x_tilt(tilt, varying)
    frame = SpecimenFrame(1.3)
    turned = frame.to_tilt_axis(points)
    for view in range(7):
        moved = project(points, tilt[view], 1.3 + varying[view]) @ folded.image_matrix[view].T
        theta = np.deg2rad(folded.tilt_deg[view])
        stretched = turned[:, 0] * np.cos(theta) - turned[:, 2] * np.sin(theta)
        np.testing.assert_allclose(moved[:, 0], stretched, atol=1e-9)
        np.testing.assert_allclose(
            moved[:, 1], turned[:, 1] - turned[:, 2] * np.tan(np.deg2rad(varying[view])), atol=1e-9
        )
    assert folded.remainder_slope == pytest.approx(np.tan(np.deg2rad(np.abs(varying).max())))


def test_an_alignment_that_moves_nothing_leaves_the_pixels(make_mrc: Make) -> None:
    values = np.random.default_rng(1).normal(size=(5, 12, 16)).astype(np.float32)
    alignment = _alignment(transform=np.tile([1.0, 0, 0, 1, 0, 0], (5, 1)), shift_x_px=3.0, shift_z_px=-7.0)
    series = load_series(make_mrc(values, 2), alignment=alignment, x_tilt_deg=1.5)
    assert isinstance(series.images, np.memmap)
    assert series.mask is None
    assert series.frame == SpecimenFrame(1.5, (-3.0, 0.0, 7.0))
    assert series.provenance["alignment"] == "in memory"
    assert len(series.provenance["sha256"]["alignment"]) == 64


def test_views_that_the_alignment_leaves_out(make_mrc: Make) -> None:
    used = np.array([True, False, True, True, True])
    x_tilt = np.array([1.0, 40.0, 1.0, 1.0, 1.0])
    alignment = _alignment(x_tilt, used=used)
    series = load_series(_stack(make_mrc, (72, 80), alignment), alignment=alignment, exclude=[4])
    np.testing.assert_array_equal(series.geometry.tilt_deg, TILT[[0, 2, 3]])
    assert series.provenance["excluded_views"] == [1, 4]
    assert series.frame.x_tilt_deg == 1.0


def test_transforms_alone_are_the_same_by_either_option(make_mrc: Make, tmp_path: Path) -> None:
    alignment = _alignment()
    stack = _stack(make_mrc, (40, 44), alignment)
    np.savetxt(tmp_path / "raw.xf", alignment.transform)
    np.savetxt(tmp_path / "raw.tlt", TILT)
    one = load_series(stack, xf=tmp_path / "raw.xf")
    other = load_series(stack, alignment=tmp_path / "raw.xf")
    np.testing.assert_array_equal(one.images, other.images)
    assert other.provenance["alignment"] == "raw.xf"
    assert other.provenance["sha256"]["alignment"] == one.provenance["sha256"]["xf"]


def test_contradictions_are_refused(make_mrc: Make, tmp_path: Path) -> None:
    alignment = _alignment()
    stack = _stack(make_mrc, (40, 44), alignment)
    (tmp_path / "raw.xf").write_text("1 0 0 1 0 0\n" * 5)
    for options, message in (
        ({"xf": tmp_path / "raw.xf"}, "--xf: both are given"),
        ({"angles": "-50:45:5"}, "--angles: the alignment has angles"),
        ({"x_tilt_deg": 45.0}, "--x-tilt: 45 degrees"),
        ({"x_tilt_deg": float("nan")}, "--x-tilt: nan degrees"),
    ):
        with pytest.raises(OptionError, match=message):
            load_series(stack, alignment=alignment, **options)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no format of alignments"):
        load_series(stack, alignment=tmp_path / "raw.json")
    for wrong, message in (
        (replace(alignment, raw_shape=(44, 40)), "images of 40 x 44 pixels, but those of raw.mrc have 44 x 40"),
        (Alignment(TILT[:4], transforms(4), np.zeros(4), np.ones(4, bool)), "of 4 views, but raw.mrc has 5"),
    ):
        with pytest.raises(InputError, match=message):
            load_series(stack, alignment=wrong)


def test_what_the_interpolation_keeps_at_half_of_nyquist() -> None:
    """The choice of the spline: what a wave of 4 pixels keeps that is turned by 4 degrees and moved half a pixel."""
    n, angle = 128, np.deg2rad(4.0)
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    wave = np.cos(2 * np.pi * 0.25 * x).astype(np.float32)[None]
    row = np.array([[np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle), 0.5, 0.5]])
    # Where an aligned pixel comes from.
    back = np.linalg.inv(row[0, :4].reshape(2, 2)) @ np.stack([(x - 0.5).ravel(), (y - 0.5).ravel()])
    true = np.cos(2 * np.pi * 0.25 * back[0]).reshape(n, n)[20:-20, 20:-20]

    def measured(order: int) -> tuple[float, float]:
        got = align_images(wave, row, order=order)[0][0][20:-20, 20:-20].astype(float)
        return float((got * true).sum() / (true**2).sum()), float(
            np.sqrt(((got - true) ** 2).mean() / (true**2).mean())
        )

    assert SPLINE_ORDER == 5
    amplitude, error = measured(SPLINE_ORDER)
    assert amplitude == pytest.approx(0.9986, abs=5e-4)
    assert error < 0.0025
    cubic, cubic_error = measured(3)
    assert cubic == pytest.approx(0.9856, abs=1e-3)
    assert cubic_error > 0.015
    # The default is the quintic one.
    chosen = align_images(wave, row)[0]
    np.testing.assert_array_equal(chosen, align_images(wave, row, order=5)[0])
