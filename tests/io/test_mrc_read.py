"""MRC in: every mode, and headers that lie."""

from __future__ import annotations

import bz2
import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.io import read_stack, read_volume
from tomokit.io.mrc_bytes import IMOD_STAMP
from tomokit.io.mrc_read import open_mrc

Make = Callable[..., Path]
Bytes = Callable[..., bytes]
RAMP = np.arange(24, dtype=np.float64).reshape(2, 3, 4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("mode", "shift"), [(0, -12), (1, -12), (2, -11.5), (6, 40000), (12, -11.5)])
def test_every_mode_in_both_byte_orders(make_mrc: Make, mode: int, shift: float, order: str) -> None:
    images = read_stack(make_mrc(RAMP + shift, mode, order=order))
    assert images.pixels.shape == (2, 3, 4)
    np.testing.assert_array_equal(images.pixels.astype(np.float64), RAMP + shift)
    assert images.pixel_size_angstrom == 2.0
    assert images.warnings == ()


@pytest.mark.parametrize(
    ("imod", "maximum", "expected"),
    [((IMOD_STAMP, 0), 0, 200), ((IMOD_STAMP, 1), 0, 72), ((0, 0), 200, 200), ((0, 0), 0, -56), ((7, 0), 100, -56)],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_and_unsigned_bytes(
    make_mrc: Make, imod: tuple[int, int], maximum: float, expected: int, order: str
) -> None:
    path = make_mrc(np.full((1, 2, 2), -56), 0, imod=imod, stats=(0.0, maximum, 0.0), order=order)
    assert (read_stack(path).pixels == expected).all()


def test_plain_files_are_mapped_and_not_writable(make_mrc: Make) -> None:
    values = read_stack(make_mrc(RAMP)).pixels
    assert isinstance(values, np.memmap)
    assert not values.flags.writeable


@pytest.mark.parametrize(("module", "name"), [(gzip, "s.mrc.gz"), (bz2, "s.mrc.bz2"), (gzip, "no-ending.mrc")])
def test_compressed(tmp_path: Path, mrc_bytes: Bytes, module: object, name: str) -> None:
    raw = mrc_bytes(RAMP, 1)
    path = tmp_path / name
    path.write_bytes(module.compress(raw))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(read_stack(path).pixels, RAMP)
    path.write_bytes(module.compress(raw)[:-9])  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="damaged or cut off"):
        read_stack(path)
    path.write_bytes(module.compress(raw[:-1]))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="need 1072 bytes, found 1071"):
        read_stack(path)


@pytest.mark.parametrize(
    ("fields", "size", "warning"),
    [
        ({"cella": (0, 0, 0)}, 1, "gives no pixel size"),
        ({"cella": (math.nan, 2, 2)}, 1, "gives no pixel size"),
        ({"cella": (-8, 6, 2)}, 1, "gives no pixel size"),
        ({"cella": (math.inf, 6, 2)}, 1, "gives no pixel size"),
        ({"cella": (1e-4, 1e-4, 2)}, 1, "gives no pixel size"),
        ({"cella": (8, 9, 4)}, 2, "not equal-sided"),
        ({"m": (0, 0, 0)}, 2, None),
        ({"m": (8, 6, -1)}, 1, None),
        ({"machst": b"\0\0\0\0"}, 2, "machine stamp 00 00 00 00 is wrong; read as little-endian"),
        ({"machst": b"\x11\x11\0\0"}, 2, "machine stamp 11 11 00 00 is wrong; read as little-endian"),
        ({"machst": b"\x44\x41\0\0"}, 2, None),
        ({"map": b"\0\0\0\0"}, 2, "identifier"),
        ({"ispg": 1}, 2, "space group 1 says a volume"),
        ({"ispg": -77}, 2, "space group -77"),
        ({"nlabl": 99}, 2, "99 labels"),
        ({"nlabl": -1}, 2, "-1 labels"),
        ({"axes": (0, 0, 0)}, 2, "axis order (0, 0, 0) is no order"),
        ({"nsymbt": -5}, 2, "extended header of -5 bytes"),
        ({"nsymbt": 2048}, 2, "no extended header where 2048 bytes were announced"),
        ({"nsymbt": 16, "extended": b"x" * 16}, 2, None),
        ({"origin": (math.nan, 0, 0)}, 2, "origin is not finite"),
    ],
)
def test_headers_that_lie_are_mended_with_a_warning(
    make_mrc: Make, fields: dict[str, object], size: float, warning: str | None
) -> None:
    images = read_stack(make_mrc(RAMP, 2, **fields))
    np.testing.assert_array_equal(images.pixels, RAMP)
    assert images.pixel_size_angstrom == size
    if warning is None:
        assert images.warnings == ()
    else:
        assert len(images.warnings) == 1
        assert warning in images.warnings[0]


def test_a_big_endian_file_with_a_little_endian_stamp(make_mrc: Make) -> None:
    images = read_stack(make_mrc(RAMP, 1, order=">", machst=b"\x44\x44\0\0"))
    np.testing.assert_array_equal(images.pixels, RAMP)
    assert "read as big-endian" in images.warnings[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"axes": (3, 2, 1)}, r"mapc, mapr, maps: axis order \(3, 2, 1\) is not supported; rewrite"),
        ({"mode": 4}, r"mode: mode 4 \(a Fourier transform\) cannot be read"),
        ({"mode": 101}, "4-bit"),
        ({"mode": 77}, r"mode 77 \(unknown\)"),
        ({"n": (4, 0, 2)}, "sizes 4, 0, 2 are not all positive"),
        ({"n": (4, -3, 2)}, "not all positive"),
        ({"n": (4, 3, 2), "map": b"nope", "mode": 9}, "not an MRC file"),
        ({"n": (2**31 - 1, 2**31 - 1, 2**31 - 1)}, "truncated"),
        ({"n": (4, 3, 3)}, "need 1168 bytes, found 1120"),
    ],
)
def test_headers_that_cannot_be_used(make_mrc: Make, fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_stack(make_mrc(RAMP, **({"mode": 2} | fields)))
    assert "stack.mrc" in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 3, 1023])
def test_files_too_short_for_a_header(tmp_path: Path, mrc_bytes: Bytes, length: int) -> None:
    path = tmp_path / "short.mrc"
    path.write_bytes(mrc_bytes(RAMP, 2)[:length])
    with pytest.raises(InputError, match=f"{length} bytes" if length else "the file is empty"):
        read_stack(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_stack(tmp_path / "none.mrc")
    with pytest.raises(InputError, match="directory"):
        read_stack(tmp_path)


def test_bytes_after_the_pixels_are_told(make_mrc: Make) -> None:
    path = make_mrc(RAMP)
    path.write_bytes(path.read_bytes() + b"tail!")
    assert read_stack(path).warnings == ("5 bytes more than the header says; ignored",)


@pytest.mark.parametrize("mode", [2, 12])
def test_pixels_that_are_not_finite_name_view_and_count(make_mrc: Make, mode: int) -> None:
    values = RAMP.copy()
    values[1, 0, :2] = np.nan, np.inf
    path = make_mrc(values, mode)
    with pytest.raises(InputError, match=r"view 1: 2 of 12 pixels are NaN or infinite; .*--exclude 1"):
        read_stack(path)
    with pytest.raises(InputError, match="section 1"):
        read_volume(path)
    assert read_stack(path, check_pixels=False).pixels.shape == (2, 3, 4)


def test_volume(make_mrc: Make) -> None:
    volume = read_volume(make_mrc(RAMP, 12, ispg=1, origin=(1.0, -2.0, 3.0)))
    assert volume.density.dtype == np.float32
    np.testing.assert_array_equal(volume.density, RAMP)
    assert volume.voxel_size_angstrom == 2.0
    assert volume.origin_angstrom == (1.0, -2.0, 3.0)
    assert volume.provenance["warnings"] == []
    assert isinstance(read_volume(make_mrc(RAMP, 2, ispg=1)).density, np.memmap)


def test_a_stack_read_as_a_volume_says_so_and_several_volumes_are_refused(make_mrc: Make) -> None:
    stack = make_mrc(RAMP, 2, ispg=0, m=(4, 3, 1))
    assert "looks like a tilt stack" in read_volume(stack).provenance["warnings"][0]
    with pytest.raises(InputError, match="ispg: holds 2 volumes"):
        read_volume(make_mrc(RAMP, 2, ispg=401, m=(4, 3, 1)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=6),
    cut=st.one_of(st.none(), st.integers(0, 1120)),
    mode=st.sampled_from([0, 1, 2, 6, 12]),
)
def test_corrupted_headers_raise_nothing_but_input_errors(
    tmp_path: Path, mrc_bytes: Bytes, changes: list[tuple[int, int]], cut: int | None, mode: int
) -> None:
    raw = bytearray(mrc_bytes(RAMP, mode))
    for offset, byte in changes:
        raw[offset] = byte
    path = tmp_path / "bad.mrc"
    path.write_bytes(raw if cut is None else raw[:cut])
    error: InputError | None = None
    try:
        images = read_stack(path)
    except InputError as caught:
        error = caught
    if error is not None:
        assert "bad.mrc" in str(error)
        assert "\n" not in str(error)
        return
    assert images.pixels.size > 0
    assert images.pixel_size_angstrom > 0
    assert all("\n" not in text for text in images.warnings)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=1500), st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh9"]))
def test_arbitrary_bytes_raise_nothing_but_input_errors(tmp_path: Path, raw: bytes, magic: bytes) -> None:
    path = tmp_path / "noise.mrc"
    path.write_bytes(magic + raw)
    with pytest.raises(InputError):
        open_mrc(path)
