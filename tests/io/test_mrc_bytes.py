"""Bytes of mode 0: IMOD's stamp, the standard, and headers that contradict either."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from tomokit.io import describe, load_series, read_stack, read_volume
from tomokit.io.mrc_bytes import IMOD_STAMP

Make = Callable[..., Path]
Bytes = Callable[..., bytes]
_FIXTURE = [HealthCheck.function_scoped_fixture]


def _waves() -> np.ndarray:
    """Images of 4 views that are smooth and use the whole range of unsigned bytes."""
    y, x = np.mgrid[:24, :32]
    return np.stack([np.round(127.5 + 120 * np.sin(x / 6 + view) * np.cos(y / 9)) for view in range(4)])


@settings(max_examples=60, deadline=None, suppress_health_check=_FIXTURE)
@given(
    values=nps.arrays(np.uint8, nps.array_shapes(min_dims=3, max_dims=3, max_side=6)),
    order=st.sampled_from(["<", ">"]),
    other_flags=st.sampled_from([0, 2, 4, 14]),
    signed=st.booleans(),
    compressed=st.booleans(),
)
def test_bytes_under_imods_stamp_are_what_imod_shows(
    tmp_path: Path, mrc_bytes: Bytes, values: np.ndarray, order: str, other_flags: int, signed: bool, compressed: bool
) -> None:
    stored = values.astype(int) - 128 if signed else values.view(np.int8)
    raw = mrc_bytes(stored, 0, order=order, imod=(IMOD_STAMP, other_flags | signed))
    path = tmp_path / "ts.st"
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    images = read_stack(path)
    np.testing.assert_array_equal(images.pixels, values)
    assert images.warnings == ()
    facts = describe(path)
    assert (facts["minimum"], facts["maximum"]) == (values.min(), values.max())
    assert facts["mean"] == pytest.approx(values.mean())
    assert "IMOD" in facts["bytes_by"]
    np.testing.assert_array_equal(read_volume(path).density, values)


@pytest.mark.parametrize("name", ["mask.mrc", "mask.mrc.gz"])
@pytest.mark.parametrize("imod", [(IMOD_STAMP, 1), (0, 0)])
def test_masks_of_the_two_lowest_bytes(make_mrc: Make, tmp_path: Path, imod: tuple[int, int], name: str) -> None:
    stack = make_mrc(np.ones((3, 4, 5)), 2, name="TS.mrc")
    (tmp_path / "TS.tlt").write_text("-3\n0\n3\n")
    mask = np.ones((1, 4, 5), dtype=int)
    mask[0, 1, 2:] = 0
    path = make_mrc(mask - 128, 0, name=name, imod=imod)
    series = load_series(stack, mask=path)
    assert series.mask is not None
    np.testing.assert_array_equal(series.mask, np.repeat(mask, 3, axis=0))
    assert bool(series.provenance["warnings"]) == (imod == (0, 0))


def test_a_mask_of_shifted_words(make_mrc: Make, tmp_path: Path) -> None:
    stack = make_mrc(np.ones((3, 4, 5)), 2, name="TS.mrc")
    (tmp_path / "TS.tlt").write_text("-3\n0\n3\n")
    mask = np.ones((3, 4, 5), dtype=int)
    mask[2, 1] = 0
    series = load_series(stack, mask=make_mrc(mask - 32768, 1, name="m.mrc"))
    assert series.mask is not None
    np.testing.assert_array_equal(series.mask, mask)
    assert "a mask of -32768 and -32767, read as 0 and 1" in series.provenance["warnings"][0]


@pytest.mark.parametrize(
    ("imod", "stats", "warning"),
    [
        ((IMOD_STAMP, 1), (0.0, 200.0, 100.0), "says signed bytes, the header has a maximum of 200"),
        ((IMOD_STAMP, 0), (-20.0, 100.0, 10.0), "says unsigned bytes, the header has a minimum of -20"),
        ((IMOD_STAMP, 1), (-128.0, 127.0, 10.0), None),
        ((IMOD_STAMP, 0), (0.0, 255.0, 10.0), None),
        ((IMOD_STAMP, 1), (0.0, -1.0, -2.0), None),
    ],
)
def test_a_stamp_that_the_statistics_contradict_is_told(
    make_mrc: Make, imod: tuple[int, int], stats: tuple[float, ...], warning: str | None
) -> None:
    images = read_stack(make_mrc(np.ones((1, 2, 2)), 0, imod=imod, stats=stats))
    assert [warning in text for text in images.warnings] == ([] if warning is None else [True])


def test_unsigned_bytes_that_nothing_announces_are_doubted(make_mrc: Make) -> None:
    waves = _waves()
    images = read_stack(make_mrc(waves.astype(np.uint8).view(np.int8), 0))
    assert images.pixels.dtype == np.int8
    assert "neighbouring pixels agree as unsigned ones only" in images.warnings[0]
    assert read_stack(make_mrc(waves - 128, 0)).warnings == ()
    assert read_stack(make_mrc(np.where(waves > 128, 127, -128), 0)).warnings == ()
    noise = np.random.default_rng(1).integers(-128, 128, (2, 20, 20))
    assert read_stack(make_mrc(noise, 0)).warnings == ()
