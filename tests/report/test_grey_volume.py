"""Volumes in grey levels: what the page will unpack is what was quantized, and it fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomokit.report.grey_share import share
from tomokit.report.grey_volume import decode, grey_volume, quantized

RNG = np.random.default_rng(3)
SMOOTH = np.cumsum(RNG.standard_normal((7, 9, 11)), axis=2).astype(np.float32)


def levels_of(values: np.ndarray, grey: object) -> np.ndarray:
    return np.stack([part for part, _ in quantized(values, grey.bin, grey.low, grey.high, grey.levels)])  # type: ignore[attr-defined]


@pytest.mark.parametrize("values", [SMOOTH, SMOOTH.astype(np.float16), (SMOOTH * 5).astype(np.int8)])
def test_unpacked_it_is_what_was_quantized(values: np.ndarray) -> None:
    grey = grey_volume(values, 10**6)
    assert (grey.shape, grey.bin, grey.levels, grey.not_finite) == ((7, 9, 11), 1, 256, 0)
    unpacked = decode(grey)
    np.testing.assert_array_equal(unpacked, levels_of(values, grey))
    step = (grey.high - grey.low) / grey.levels
    inside = (values > grey.low) & (values < grey.high)
    error = (grey.low + (unpacked + 0.5) * step - values)[inside]
    assert inside.mean() > 0.95
    assert np.abs(error).max() <= 0.5001 * step
    black, white = (grey.low + (level + 0.5) * step for level in grey.window)
    assert black == pytest.approx(np.percentile(values, 0.5), abs=2 * step)
    assert white == pytest.approx(np.percentile(values, 99.5), abs=2 * step)


def test_fewer_levels_and_then_fewer_voxels_where_there_is_less_room() -> None:
    noise = RNG.standard_normal((24, 32, 32)).astype(np.float32)
    whole = grey_volume(noise, 10**6)
    fewer = grey_volume(noise, int(0.8 * len(whole.stream)))
    binned = grey_volume(noise, int(0.2 * len(whole.stream)))
    assert (fewer.bin, binned.bin) == (1, 2)
    assert 24 <= fewer.levels < 256
    assert len(fewer.stream) <= 0.8 * len(whole.stream)
    assert len(binned.stream) <= 0.2 * len(whole.stream)
    means = noise.reshape(12, 2, 16, 2, 16, 2).mean(axis=(1, 3, 5))
    step = (binned.high - binned.low) / binned.levels
    expected = np.clip(np.floor((means.astype(np.float64) - binned.low) / step), 0, binned.levels - 1)
    assert np.abs(decode(binned) - expected).max() <= 1  # where rounding differs at the bound of a level
    assert binned.high < 0.6 * whole.high
    # Nothing is too small to be shown at all, nor without an end.
    tiny = grey_volume(noise[:1, :2, :3], 1)
    assert (tiny.shape, tiny.bin) == ((1, 2, 3), 1)


def test_volumes_share_a_page() -> None:
    noise = RNG.standard_normal((24, 48, 48)).astype(np.float32)
    volumes = {"noise": noise, "smooth": np.repeat(SMOOTH, 4, 2), "other": noise[:12, :24, :24]}
    alone = {name: len(grey_volume(values, 10**6).stream) for name, values in volumes.items()}
    for room in (10**6, sum(alone.values()) * 0.7, sum(alone.values()) * 0.3):
        rooms = share(volumes, int(room))
        assert sum(size for size, _ in rooms.values()) <= room
        made = {name: grey_volume(volumes[name], *(size, None, edge)) for name, (size, edge) in rooms.items()}
        assert sum(len(grey.stream) for grey in made.values()) <= room
        # Only the largest is averaged, and only where fewer levels do not do.
        assert [made[name].bin for name in volumes] == [2 if room < 0.5 * sum(alone.values()) else 1, 1, 1]
        fewest = min(grey.levels for grey in made.values())
        assert fewest == 256 if room == 10**6 else fewest < 256 or made["noise"].bin == 2
    assert share({"one": noise}, 7) == {"one": (7, 1)}


def test_where_the_edge_of_bins_is_given_it_is_kept() -> None:
    grey = grey_volume(RNG.standard_normal((8, 9, 10)).astype(np.float32), 10, pixel_bin=2)
    assert (grey.shape, grey.bin, grey.levels) == ((4, 4, 5), 2, 24)


def test_values_that_are_no_numbers_are_counted() -> None:
    values = SMOOTH.copy()
    values[2, 3, 4:7] = (np.nan, np.inf, -np.inf)
    grey = grey_volume(values, 10**6)
    assert grey.not_finite == 3
    assert decode(grey)[2, 3, 4:7].tolist() == [0, 0, 0]
    lost = grey_volume(np.full((2, 3, 4), np.nan, np.float32), 10**6)
    assert lost.not_finite == 24
    assert not decode(lost).any()


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, 3e38, -1e38])
def test_a_constant_volume(value: float) -> None:
    grey = grey_volume(np.full((3, 4, 5), value, np.float32), 10**6)
    assert grey.high > grey.low
    assert grey.window[0] < grey.window[1]
    assert np.unique(decode(grey)).size == 1


def test_one_voxel_that_differs_is_seen() -> None:
    values = np.zeros((20, 30, 30), np.float32)
    values[0, 3, 3] = 5
    levels = decode(grey_volume(values, 10**6))
    assert levels[0, 3, 3] > levels[1, 3, 3]


def test_a_stream_that_is_another_is_unpacked_as_another() -> None:
    """The check above could not fail otherwise."""
    grey = grey_volume(SMOOTH, 10**6)
    other = grey_volume(SMOOTH[:, ::-1], 10**6)
    assert (decode(replace(grey, stream=other.stream)) != decode(grey)).any()
