"""Angles, pixel size and tilt axis in extended headers, written here by their descriptions."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.io import describe, load_series
from tomokit.io.mrc_read import open_mrc

Make = Callable[..., Path]
Bytes = Callable[..., bytes]
_FIXTURE = [HealthCheck.function_scoped_fixture]
ITEM_BYTES = {1: 2, 2: 6, 4: 4, 8: 2, 16: 2, 32: 4, 64: 2, 128: 4}

angles = st.lists(st.integers(-8900, 8900).map(lambda n: n / 100), min_size=2, max_size=9, unique=True)
orders = st.sampled_from(["<", ">"])


def _stack(n: int) -> np.ndarray:
    return np.arange(n * 6, dtype=np.float64).reshape(n, 2, 3)


def fei_record(order: str, tilt: float, pixel: float, axis: float, size: int, mask: int, version: bytes) -> bytes:
    """A record of FEI1 or FEI2: offsets in bytes from the specification."""
    record = bytearray(size)
    struct.pack_into(order + "2i", record, 0, size, 0 if size < 800 else 2)
    struct.pack_into("<I", record, 8, mask)
    record[68 : 68 + len(version)] = version
    struct.pack_into(order + "d", record, 100, tilt)
    struct.pack_into(order + "d", record, 140, axis)
    struct.pack_into(order + "2d", record, 156, pixel, pixel)
    return bytes(record)


@settings(max_examples=60, deadline=None, suppress_health_check=_FIXTURE)
@given(
    tilt=angles,
    order=orders,
    kind=st.sampled_from([(b"FEI1", 768), (b"FEI2", 888), (b"FEI2", 1024)]),
    axis=st.sampled_from([0.0, 85.5, -94.0, 355.0]),
    announced=st.booleans(),
    radians=st.booleans(),
    compressed=st.booleans(),
)
def test_fei1_and_fei2(
    tmp_path: Path, mrc_bytes: Bytes, tilt: list[float], order: str, kind: tuple[bytes, int], axis: float,
    announced: bool, radians: bool, compressed: bool,
) -> None:  # fmt: skip
    exttyp, size = kind
    unit = np.deg2rad if radians else float
    version = b"4.4.0.4981" if radians else b"5.6.0"
    mask = (1 << 7 | 1 << 12 | 1 << 14) if announced else 0
    extended = b"".join(fei_record(order, unit(a), 3.36e-10, unit(axis), size, mask, version) for a in tilt)
    extended += bytes(4096)
    raw = mrc_bytes(_stack(len(tilt)), 1, order=order, exttyp=exttyp, nsymbt=len(extended), extended=extended)
    path = tmp_path / "ts.mrc"
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    found = open_mrc(path).extended
    assert found is not None
    assert found.tilt_deg is not None
    np.testing.assert_allclose(found.tilt_deg, tilt, atol=1e-5)
    assert found.pixel_size_angstrom == pytest.approx(3.36)
    if axis or announced:
        assert found.tilt_axis_deg == pytest.approx({0.0: 0.0, 85.5: -85.5, -94.0: 94.0, 355.0: 5.0}[axis])
    else:
        assert found.tilt_axis_deg is None


@settings(max_examples=60, deadline=None, suppress_health_check=_FIXTURE)
@given(
    tilt=angles,
    order=orders,
    nint=st.sampled_from([0, 3]),
    nreal=st.sampled_from([1, 12, 32]),
    label=st.sampled_from([b"Fei Company (C) Copyright 2003", b"FEI", b"other"]),
    exttyp=st.sampled_from([b"", b"AGAR"]),
)
def test_records_of_reals(
    tmp_path: Path, mrc_bytes: Bytes, tilt: list[float], order: str, nint: int, nreal: int, label: bytes, exttyp: bytes
) -> None:
    extended = b""
    for a in [*tilt, *[0.0] * (40 - len(tilt))]:
        reals = [a, *[0.0] * 9, 84.0, 2.5e-10, 5e4, *[0.0] * 19][:nreal]
        extended += struct.pack(f"{order}{nint}i{nreal}f", *[7] * nint, *reals)
    fields = {"exttyp": exttyp, "layout": (nint, nreal), "labels": (label,), "nlabl": 1}
    path = tmp_path / "ts.mrc"
    path.write_bytes(mrc_bytes(_stack(len(tilt)), 1, order=order, nsymbt=len(extended), extended=extended, **fields))
    found = open_mrc(path).extended
    assert found is not None
    assert found.tilt_deg is not None
    np.testing.assert_allclose(found.tilt_deg, tilt, atol=1e-5)
    assert found.pixel_size_angstrom == (None if nreal < 12 else pytest.approx(2.5))
    assert found.tilt_axis_deg == (None if nreal < 12 else 84 if label == b"other" else -84)


@settings(max_examples=60, deadline=None, suppress_health_check=_FIXTURE)
@given(
    tilt=angles,
    order=orders,
    items=st.sets(st.sampled_from(sorted(set(ITEM_BYTES) - {1}))),
    exttyp=st.sampled_from([b"", b"SERI"]),
    one_piece=st.booleans(),
)
def test_serialems(
    tmp_path: Path, mrc_bytes: Bytes, tilt: list[float], order: str, items: set[int], exttyp: bytes, one_piece: bool
) -> None:
    flags = 1 | sum(items)
    extended = b""
    for index, a in enumerate(tilt):
        extended += struct.pack(order + "h", round(a * 100))
        for item in sorted(items):
            place = (0, 0, index) if one_piece else (900 * index, 0, 0)
            extended += struct.pack(order + "3h", *place) if item == 2 else bytes(ITEM_BYTES[item])
    layout = (2 + sum(ITEM_BYTES[item] for item in items), flags)
    fields = {"exttyp": exttyp, "layout": layout, "nsymbt": len(extended), "extended": extended}
    path = tmp_path / "ts.mrc"
    path.write_bytes(mrc_bytes(_stack(len(tilt)), 1, order=order, **fields))
    found = open_mrc(path).extended
    assert found is not None
    if 2 in items and not one_piece:
        assert found.tilt_deg is None
    else:
        np.testing.assert_allclose(found.tilt_deg, tilt, atol=1e-9)


@pytest.mark.parametrize("tilt", [[0, 0, 0], [12, 12, 12], [1, 2, 1e30], [np.nan, 1, 2], [100, 3, 2]])
def test_angles_that_make_no_sense_are_none(make_mrc: Make, tilt: list[float]) -> None:
    extended = b"".join(struct.pack("<32f", a, *[0] * 31) for a in tilt)
    path = make_mrc(_stack(3), 1, exttyp=b"AGAR", layout=(0, 32), nsymbt=len(extended), extended=extended)
    found = open_mrc(path).extended
    assert found is not None
    assert found.tilt_deg is None
    with pytest.raises(InputError, match=r"there are no angles in its extended header \(Agard's\); give a file"):
        load_series(path, angles="header")


def _fei(tilt: list[float], pixel: float = 3.36e-10) -> dict[str, object]:
    extended = b"".join(struct.pack("<12f", a, *[0] * 10, pixel) + bytes(80) for a in tilt)
    return {
        "nsymbt": 131072, "extended": extended.ljust(131072, b"\0"), "labels": (b"Fei Company (C) 2003",), "nlabl": 1,
        "cella": (3, 2, len(tilt)), "map": bytes(4), "machst": b"\0\0\0\0",
    }  # fmt: skip


def test_a_stack_without_files_beside_it_takes_what_its_header_has(make_mrc: Make, tmp_path: Path) -> None:
    path = make_mrc(_stack(3), 1, name="TS.mrc", **_fei([-3, 0, 3]))
    series = load_series(path)
    np.testing.assert_array_equal(series.geometry.tilt_deg, [-3, 0, 3])
    assert series.pixel_size_angstrom == pytest.approx(3.36)
    assert series.provenance["angles"] == "header of TS.mrc"
    assert series.provenance["pixel_size_source"] == "extended header"
    assert set(series.provenance["sha256"]) == {"stack"}
    told = " | ".join(series.provenance["warnings"])
    assert "no angle file beside it: the angles of its extended header" in told
    assert "pixel size 3.36 angstrom from the extended header" in told
    facts = describe(path)
    assert facts["kind"] == "tilt stack"
    assert facts["angles"]["count"] == 3
    assert facts["extended_header"]["layout"] == "Thermo Fisher's older one"
    assert (facts["pixel_size_angstrom"], facts["pixel_size_by"]) == (pytest.approx(3.36), "extended header")
    # A file beside it counts more, and the header when it is asked for.
    (tmp_path / "TS.tlt").write_text("-4\n0\n4\n")
    np.testing.assert_array_equal(load_series(path).geometry.tilt_deg, [-4, 0, 4])
    asked = load_series(path, angles="header")
    np.testing.assert_array_equal(asked.geometry.tilt_deg, [-3, 0, 3])
    assert not any("no angle file" in text for text in asked.provenance["warnings"])


def test_a_header_of_another_kind_has_no_angles(make_mrc: Make) -> None:
    path = make_mrc(_stack(3), 1, name="TS.mrc", exttyp=b"CCP4", nsymbt=80, extended=b"x" * 80)
    assert open_mrc(path).extended is None
    assert describe(path)["extended_header"] == "CCP4"
    with pytest.raises(InputError, match="no angle file beside it"):
        load_series(path)
    with pytest.raises(InputError, match="there is no extended header of a known kind"):
        load_series(path, angles="header")


@settings(max_examples=150, deadline=None, suppress_health_check=_FIXTURE)
@given(
    extended=st.binary(max_size=2000),
    exttyp=st.sampled_from([b"", b"FEI1", b"FEI2", b"SERI", b"AGAR", b"CCP4", b"\xff\xfe"]),
    layout=st.tuples(st.integers(-5, 40), st.integers(-5, 40)) | st.sampled_from([(2, 1), (8, 3), (12, 7), (0, 32)]),
    n=st.integers(1, 3),
    fei=st.booleans(),
)
def test_arbitrary_extended_headers_raise_nothing(
    tmp_path: Path, mrc_bytes: Bytes, extended: bytes, exttyp: bytes, layout: tuple[int, int], n: int, fei: bool
) -> None:
    fields = {"exttyp": exttyp, "layout": layout, "labels": (b"FEI",) if fei else (), "nlabl": int(fei)}
    path = tmp_path / "ts.mrc"
    path.write_bytes(mrc_bytes(_stack(n), 1, nsymbt=len(extended), extended=extended, **fields))
    found = open_mrc(path).extended
    if found is not None and found.tilt_deg is not None:
        assert found.tilt_deg.shape == (n,)
        assert (np.abs(found.tilt_deg) <= 90).all()
    assert describe(path)["shape"] == [n, 2, 3]
