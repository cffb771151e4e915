"""A tilt series from its files, and every way in which they can disagree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.data import TiltSeries
from tomokit.errors import InputError, OptionError
from tomokit.io import load_series

Make = Callable[..., Path]
STACK = np.random.default_rng(5).normal(10, 1, (4, 6, 8)).astype(np.float32)


@pytest.fixture
def stack(make_mrc: Make, tmp_path: Path) -> Path:
    (tmp_path / "TS.tlt").write_text("-3\n0\n3\n6\n")
    return make_mrc(STACK, 2, name="TS.mrc")


def test_stack_and_default_angles(stack: Path) -> None:
    series = load_series(stack, tilt_offset_deg=1.5)
    assert isinstance(series, TiltSeries)
    assert isinstance(series.images, np.memmap)
    np.testing.assert_array_equal(series.images, STACK)
    np.testing.assert_array_equal(series.geometry.tilt_deg, [-1.5, 1.5, 4.5, 7.5])
    assert (series.geometry.n_v, series.geometry.n_u) == (6, 8)
    assert series.pixel_size_angstrom == 2
    assert series.mask is None
    assert series.source == stack
    provenance = series.provenance
    assert provenance["stack"] == "TS.mrc"
    assert provenance["angles"] == "TS.tlt"
    assert provenance["pixel_size_source"] == "header"
    assert provenance["warnings"] == []
    assert provenance["sha256"]["stack"] == hashlib.sha256(stack.read_bytes()).hexdigest()
    assert str(stack.parent) not in str(provenance)


@pytest.mark.parametrize("mode", [0, 1, 6, 12])
def test_other_modes_become_float32(make_mrc: Make, tmp_path: Path, mode: int) -> None:
    (tmp_path / "TS.tlt").write_text("-3\n0\n3\n6\n")
    series = load_series(make_mrc(np.round(STACK), mode, name="TS.mrc"))
    assert series.images.dtype == np.float32
    np.testing.assert_array_equal(series.images, np.round(STACK))


def test_pixel_size(make_mrc: Make, tmp_path: Path) -> None:
    (tmp_path / "TS.tlt").write_text("-3\n0\n3\n6\n")
    path = make_mrc(STACK, 2, name="TS.mrc", cella=(0, 0, 0))
    unknown = load_series(path)
    assert (unknown.pixel_size_angstrom, unknown.provenance["pixel_size_source"]) == (1, "none")
    assert "no pixel size" in unknown.provenance["warnings"][0]
    given = load_series(path, pixel_size_angstrom=4.2)
    assert (given.pixel_size_angstrom, given.provenance["pixel_size_source"]) == (4.2, "option")
    assert given.provenance["warnings"] == []


def test_excluded_views_leave_and_are_not_checked(make_mrc: Make, tmp_path: Path) -> None:
    (tmp_path / "TS.tlt").write_text("-3\n0\n0\n6\n")
    values = STACK.copy()
    values[1] = np.nan
    series = load_series(make_mrc(values, 2, name="TS.mrc"), exclude=[1])
    np.testing.assert_array_equal(series.images, STACK[[0, 2, 3]])
    np.testing.assert_array_equal(series.geometry.tilt_deg, [-3, 0, 6])
    assert series.provenance["excluded_views"] == [1]


def test_masks(stack: Path, make_mrc: Make) -> None:
    mask = np.ones(STACK.shape)
    mask[1, 2] = 0
    mask[2, 3] = 0.25
    series = load_series(stack, mask=make_mrc(mask, 2, name="m.mrc"))
    assert series.mask is not None
    assert series.mask.dtype == np.float32
    np.testing.assert_array_equal(series.mask, mask > 0.5)
    common = load_series(stack, mask=make_mrc(mask[1:2], 0, name="one.mrc"), exclude=[0])
    assert common.mask is not None
    np.testing.assert_array_equal(common.mask, np.repeat(mask[1:2], 3, axis=0))


def test_all_masked_views_are_named(stack: Path, make_mrc: Make) -> None:
    mask = np.ones(STACK.shape)
    mask[[1, 3]] = 0
    path = make_mrc(mask, 0, name="m.mrc")
    # Two of so few views are no remedy.
    with pytest.raises(InputError, match=r"m\.mrc: every pixel of views 1,3 is masked; mend the mask: 1 = use"):
        load_series(stack, mask=path)
    mask[1] = 1
    with pytest.raises(InputError, match=r"every pixel of view 3 is masked; leave it out with --exclude 3, or mend"):
        load_series(stack, mask=make_mrc(mask, 0, name="n.mrc"))
    assert load_series(stack, mask=path, exclude=[1, 3]).n_views == 2
    with pytest.raises(InputError, match="every pixel of every view is masked"):
        load_series(stack, mask=make_mrc(0 * mask, 0, name="m.mrc"))


def test_transforms_that_leave_nothing_on_the_field(stack: Path, make_mrc: Make, tmp_path: Path) -> None:
    xf, mask = tmp_path / "TS.xf", make_mrc(np.ones((1, 6, 8)), 0, name="m.mrc")
    xf.write_text("1 0 0 1 99 0\n" * 4)
    with pytest.raises(InputError, match=r"TS\.xf: every view is moved off the field; give the --xf of this stack"):
        load_series(stack, xf=xf, mask=mask)
    xf.write_text("1 0 0 1 0 0\n" * 3 + "1 0 0 1 0 -99\n")
    with pytest.raises(InputError, match=r"TS\.xf: view 3 is moved off the field; .* --exclude 3"):
        load_series(stack, xf=xf)
    assert load_series(stack, xf=xf, exclude=[3]).n_views == 3


def test_a_mask_of_another_shape(stack: Path, make_mrc: Make) -> None:
    with pytest.raises(InputError, match=r"m\.mrc: a mask of 8 x 6 x 3 pixels, but TS\.mrc needs 8 x 6 x 4"):
        load_series(stack, mask=make_mrc(STACK[:3], 2, name="m.mrc"))


def test_pixels_that_are_not_finite_may_hide_under_the_mask(make_mrc: Make, tmp_path: Path) -> None:
    (tmp_path / "TS.tlt").write_text("-3\n0\n3\n6\n")
    values, mask = STACK.copy(), np.ones(STACK.shape)
    values[2, 1, :3] = np.nan, np.inf, -np.inf
    path = make_mrc(values, 2, name="TS.mrc")
    with pytest.raises(InputError, match=r"TS\.mrc: view 2: 3 of 48 pixels are NaN or infinite; .*--exclude 2"):
        load_series(path)
    mask[2, 1, :3] = 0
    series = load_series(path, mask=make_mrc(mask, 0, name="m.mrc"))
    np.testing.assert_allclose(series.images[2, 1, :3], STACK[2][mask[2] > 0].mean(), rtol=1e-6)
    np.testing.assert_array_equal(series.images[mask > 0], STACK[mask > 0])
    mask[2, 1, 1] = 1
    with pytest.raises(InputError, match="view 2"):
        load_series(path, mask=make_mrc(mask, 0, name="m.mrc"))
    (tmp_path / "a.xf").write_text("1 0 0 1 0 0\n" * 4)
    with pytest.raises(InputError, match="view 2"):
        load_series(path, xf=tmp_path / "a.xf")


def test_transforms_align_and_mask(stack: Path, tmp_path: Path, make_mrc: Make) -> None:
    xf = tmp_path / "a.xf"
    xf.write_text("1 0 0 1 2 0\n" * 4)
    series = load_series(stack, xf=xf)
    assert series.mask is not None
    np.testing.assert_allclose(series.images[:, :, 2:], STACK[:, :, :-2], atol=1e-5)
    assert (series.mask[:, :, :2] == 0).all()
    assert (series.mask[:, :, 2:] == 1).all()
    assert series.provenance["xf"] == "a.xf"
    # The mask belongs to the aligned images, of whatever size.
    mask = np.ones((4, 6, 10))
    mask[:, 0] = 0
    wide = load_series(stack, xf=xf, out_shape=(6, 10), mask=make_mrc(mask, 0, name="m.mrc"), exclude=[0])
    assert wide.images.shape == (3, 6, 10)
    assert wide.mask is not None
    assert (wide.mask[:, 1:, 3:] == 1).all()
    assert wide.mask.sum() == 3 * 5 * 7
    with pytest.raises(OptionError, match="give --xf"):
        load_series(stack, out_shape=(6, 10))


def test_counts_that_disagree(stack: Path, tmp_path: Path) -> None:
    (tmp_path / "three.tlt").write_text("1\n2\n3\n")
    with pytest.raises(InputError, match=r"three\.tlt: 3 angles, but TS\.mrc has 4 views; give the right --angles"):
        load_series(stack, angles=tmp_path / "three.tlt")
    (tmp_path / "three.xf").write_text("1 0 0 1 0 0\n" * 3)
    with pytest.raises(InputError, match=r"three\.xf: 3 transforms, but TS\.mrc has 4 views; give the right --xf"):
        load_series(stack, xf=tmp_path / "three.xf")


def test_unsorted_angles_keep_the_order_of_the_stack(stack: Path, tmp_path: Path) -> None:
    path = tmp_path / "u.tlt"
    path.write_text("0\n3\n-3\n6\n")
    series = load_series(stack, angles=path)
    np.testing.assert_array_equal(series.geometry.tilt_deg, [0, 3, -3, 6])
    assert "not sorted" in series.provenance["warnings"][0]
    with pytest.raises(InputError, match=r"u\.tlt: the angles are not sorted"):
        load_series(stack, angles=path, allow_unsorted=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude": [4]}, "--exclude: there is no view 4; views are 0 to 3"),
        ({"exclude": [-1]}, "there is no view -1"),
        ({"exclude": [0, 1, 2, 3]}, "--exclude: leaves no view"),
        ({"tilt_offset_deg": 85}, "--tilt-offset: an offset of 85 puts angles beyond 90 degrees"),
        ({"tilt_offset_deg": float("nan")}, "beyond 90 degrees"),
        ({"pixel_size_angstrom": 0}, "pixel_size_angstrom: 0 is not a positive number"),
    ],
)
def test_options_that_make_no_sense(stack: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load_series(stack, **options)  # type: ignore[arg-type]
