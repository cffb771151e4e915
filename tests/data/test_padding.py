"""Edges that aligning has filled in are found for what they are, and nothing else is taken for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tomokit.data.padding import find_padding, tell_padding
from tomokit.io.mrc_read import open_mrc, read_stack
from tomokit.io.transforms import align_images

SHAPE = (96, 120)


def aligned(
    turn_deg: float, shift: tuple[float, float], seed: int = 0, fill: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A noisy view as ``newstack`` would align it, its mean where there is no image; and where that is."""
    raw = np.random.default_rng(seed).normal(100, 10, (1, *SHAPE)).astype(np.float32)
    cos, sin = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    view, inside = align_images(raw, np.array([[cos, -sin, sin, cos, *shift]]), order=1)
    outside = inside[0] == 0
    view[0][outside] = raw.mean() if fill is None else fill
    return view[0], outside


@settings(max_examples=25, deadline=None, database=None)
@given(
    turn=st.floats(-45, 45),
    shift=st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
    fill=st.sampled_from([None, 0.0, -50.0, 500.0]),
)
def test_what_lies_outside_of_the_raw_image_is_found(
    turn: float, shift: tuple[float, float], fill: float | None
) -> None:
    view, outside = aligned(turn, shift, fill=fill)
    found = find_padding(view)
    # Zero may be the empty space of line integrals. Strips of a pixel, or a few, may be missed, never overstated.
    wide = np.count_nonzero(outside) > 6 * sum(SHAPE)
    if fill == 0 or not outside.any():
        assert found is None
    elif found is None:
        assert not wide
    else:
        assert found[outside].all()
        grown = np.pad(outside, 2)
        near = np.any([np.roll(grown, (y, x), (0, 1)) for y in (-2, -1, 0, 1, 2) for x in (-2, -1, 0, 1, 2)], axis=0)
        assert not found[~near[2:-2, 2:-2]].any()


def test_what_is_masked_already_is_not_told() -> None:
    view, outside = aligned(7, (3, -5))
    assert find_padding(view, ~outside) is None
    half = ~outside
    half[:10] = True
    assert find_padding(view, half) is not None


@pytest.mark.parametrize("kind", ["noise", "constant", "bytes", "saturated", "slab", "ball", "background", "low noise"])
def test_nothing_else_is_taken_for_padding(kind: str) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    ball = np.sqrt(np.maximum(40.0**2 - (x - 60) ** 2 - (y - 48) ** 2, 0))
    views = {
        "noise": rng.normal(0, 1, SHAPE),
        "constant": np.full(SHAPE, 3.0),
        "bytes": np.clip(rng.normal(30, 20, SHAPE), 0, 255).round(),
        "saturated": np.clip(200 + x + rng.normal(0, 20, SHAPE), 0, 255).round(),
        "slab": np.where((x > 30) & (x < 90), 30 + rng.normal(0, 1, SHAPE), 0),
        "ball": ball,
        "background": 5 - ball / 10,
        "low noise": rng.normal(10, 0.4, SHAPE).round(),
    }
    assert find_padding(views[kind].astype(np.float32)) is None


def test_real_padding_is_that_of_the_authors_mask(shared_data: Path) -> None:
    views = read_stack(shared_data / "empiar-10643-40/tilts.mrc", check_pixels=False).pixels
    mask = open_mrc(shared_data / "empiar-10643-40/mask.mrc").pixels
    for view in (0, 20, 40):
        found = find_padding(np.asarray(views[view], np.float32))
        assert found is not None
        assert found.mean() > 0.01
        # Up to the pixels beside it.
        assert np.count_nonzero(found & (mask[view] > 0)) < 0.01 * np.count_nonzero(found)
    raw = read_stack(shared_data / "empiar-10499/tilts-raw.mrc", check_pixels=False).pixels
    assert all(find_padding(np.asarray(raw[view], np.float32)) is None for view in (0, 20, 40))


def test_what_is_told() -> None:
    assert tell_padding([0.0, 0.0], [0, 1], True) == []
    (told,) = tell_padding([0.0, 0.02, 0.04], [0, 1, 5], True)
    assert "3.0% of the pixels on average, 4.0% at most; masked" in told
    assert "kept" in tell_padding([0.1], [3], False)[0]
