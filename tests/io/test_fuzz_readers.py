"""Mangled and made-up inputs against every reader: each is read, or refused in one line."""

from __future__ import annotations

import bz2
import gzip
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import Tally, fuzz_settings
from hypothesis import given
from hypothesis import strategies as st

from tomokit.io import load_series, read_angles, read_volume, read_xf
from tomokit.io.mdoc import read_mdoc
from tomokit.io.mrc_bytes import IMOD_STAMP
from tomokit.pipeline.inspection import describe

Bytes = Callable[..., bytes]
RAMP = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
SUFFIXES = (".mrc", ".st", ".rec", ".tlt", ".rawtlt", ".xf", ".xtilt", ".mdoc", ".txt", ".mrc.gz", ".h5", "")

MAGIC = (
    b"", b"\x1f\x8b\x08\0", b"BZh9", b"\x89HDF\r\n\x1a\n", b"tomokit state\n", b"\xff\xfe", b"[ZValue = 0]\n", b"-3\n",
)  # fmt: skip
# Words of any header that decide something, by their offset, and the integers that tempt a reader.
WORDS = (0, 4, 8, 12, 28, 32, 36, 40, 44, 48, 64, 68, 72, 76, 80, 88, 92, 96, 104, 128, 152, 156, 196, 208, 212, 220)
TEMPTING = (0, 1, -1, 2, 3, 5, 12, 77, 1024, 2**15, 2**24, 2**31 - 1, -(2**31), 0x7F800000, 0x7FC00000, IMOD_STAMP)


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counts = Tally()
    yield counts
    print(f"\n{counts}")


def _described(path: Path) -> dict[str, Any]:
    facts = describe(path)
    json.dumps(facts, allow_nan=False)
    return facts


def _word(order: str, number: int) -> bytes:
    return struct.pack(f"{order}I", number % 2**32)


@st.composite
def mangled_mrc(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[int, bytes]], int | None, str]:
    """A stack of some kind: fields of its header, what is written over its bytes, its length, and its compression."""
    kind = draw(st.sampled_from(["", "FEI1", "FEI2", "SERI", "AGAR", "old"]))
    fields: dict[str, Any] = {
        "mode": draw(st.sampled_from([0, 1, 2, 6, 12])),
        "order": draw(st.sampled_from("<>")),
        "imod": draw(st.sampled_from([(0, 0), (IMOD_STAMP, 0), (IMOD_STAMP, 1)])),
    }
    if kind:
        extended = draw(st.binary(min_size=8, max_size=1600)) if kind != "old" else bytes(131072)
        fields |= {"extended": extended, "nsymbt": len(extended), "exttyp": b"" if kind == "old" else kind.encode()}
        fields["layout"] = draw(st.sampled_from([(0, 0), (2, 1), (8, 3), (0, 32), (3, 12)]))
    changes = draw(
        st.lists(
            st.one_of(
                st.tuples(
                    st.sampled_from(WORDS), st.sampled_from(TEMPTING).map(lambda n: struct.pack("<I", n % 2**32))
                ),
                st.tuples(
                    st.sampled_from(WORDS), st.sampled_from(TEMPTING).map(lambda n: struct.pack(">I", n % 2**32))
                ),
                st.tuples(st.integers(0, 1100), st.binary(min_size=1, max_size=4)),
            ),
            max_size=5,
        )
    )
    return fields, changes, draw(st.none() | st.integers(0, 3000)), draw(st.sampled_from(["", "", "gzip", "bzip2"]))


@fuzz_settings(80)
@given(made=mangled_mrc(), name=st.sampled_from(["s.mrc", "s.st", "s.rec", "s.MRC"]))
def test_mrc(
    tmp_path: Path, mrc_bytes: Bytes, tally: Tally, made: tuple[dict[str, Any], list[Any], int | None, str], name: str
) -> None:
    fields, changes, length, compression = made
    raw = bytearray(mrc_bytes(RAMP, **fields))
    for offset, patch in changes:
        raw[offset : offset + len(patch)] = patch
    del raw[len(raw) if length is None else length :]
    compress = {"gzip": gzip.compress, "bzip2": bz2.compress}.get(compression, bytes)
    path = tmp_path / name
    path.write_bytes(compress(bytes(raw)))
    tally.run("MRC, inspect", lambda: _described(path))
    tally.run("MRC, volume", lambda: read_volume(path))
    series = tally.run("MRC, tilt series", lambda: load_series(path, angles="-3:3:6"))
    if series is not None:
        assert np.isfinite(series.images).all()
        assert 0 < series.pixel_size_angstrom < 1e6
    path.unlink()


odd_numbers = st.sampled_from(
    ["nan", "inf", "1e999", "-0", "1d1", "9" * 5000, "1_0", "0x1", "٣", "\u221260", "-60,5", "1;2", "#", "+"]
)
numbers = st.floats(-95, 95).map(lambda a: f"{a:.2f}") | st.integers(-3, 60).map(str)
columns = st.sampled_from([1, 1, 2, 3, 6])
rows = columns.flatmap(lambda n: st.lists(st.lists(numbers, min_size=n, max_size=n), max_size=12))
odd_rows = st.lists(st.lists(numbers | odd_numbers, max_size=4), max_size=6)
texts = st.one_of(rows, rows, odd_rows).map(lambda table: "\n".join(" ".join(row) for row in table))


@fuzz_settings(150)
@given(
    raw=st.one_of(texts.map(str.encode), st.binary(max_size=300), texts.map(lambda text: text.encode("utf-16"))),
    suffix=st.sampled_from(SUFFIXES),
)
def test_text_of_numbers(tmp_path: Path, tally: Tally, raw: bytes, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(raw)
    tally.run("text, inspect", lambda: _described(path))
    tilt = tally.run("text, angles", lambda: read_angles(path))
    assert tilt is None or (np.abs(tilt) <= 90).all()
    tally.run("text, transforms", lambda: read_xf(path))
    path.unlink()


odd_values = st.text(max_size=8) | st.sampled_from(
    ["1", "-60.0", "60,5", "", "inf", "nan", "-1e400", "9" * 5000, "1 2 3", "900 0 1", "= =", "\u221260", "\x1b[31m"]
)
odd_keys = st.text(max_size=5) | st.sampled_from(
    ["TiltAngle", "PixelSpacing", "ImageSize", "Montage", "PieceCoordinates", "Binning", "ImageFile", "StageZ", "T"]
)
odd_lines = st.one_of(
    st.builds("[ZValue = {}]".format, odd_values),
    st.builds("{} = {}".format, odd_keys, odd_values),
    st.builds("{}={}".format, odd_keys, odd_values),
    st.sampled_from(
        ["[T = Tilt axis angle = 1e999, binning = 99999]", "[FrameSet = 0]", "[MontSection = 0]", "[", "]"]
    ),
    st.text(max_size=12),
)


@st.composite
def mangled_mdoc(draw: st.DrawFn) -> list[str]:
    """Lines of a tilt series, some of them replaced, left out or followed by others."""
    lines = ["PixelSpacing = 1.7", "ImageSize = 4 3", "", "[T = Tilt axis angle = 85.0, binning = 2  spot = 8]"]
    for z in range(draw(st.integers(0, 4))):
        lines += ["", f"[ZValue = {z}]", f"TiltAngle = {3 * z - 6}.0", "StageZ = 60.9"]
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(lines)))
        lines[place : place + draw(st.sampled_from([0, 1]))] = draw(st.lists(odd_lines, max_size=2))
    return lines


@fuzz_settings(150)
@given(lines=mangled_mdoc(), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_mdoc(tmp_path: Path, tally: Tally, lines: list[str], end: str) -> None:
    path = tmp_path / "t.mrc.mdoc"
    path.write_bytes(end.join(lines).encode("utf-8", "surrogatepass"))
    tally.run("mdoc, inspect", lambda: _described(path))
    facts = tally.run("mdoc, facts", lambda: read_mdoc(path))
    if facts is not None:
        sizes = (facts.pixel_size_angstrom, facts.tilt_axis_deg, facts.binning)
        assert all(size is None or np.isfinite(size) for size in sizes)
    tilt = tally.run("mdoc, angles", lambda: read_angles(path))
    assert tilt is None or (np.abs(tilt) <= 90).all()
    path.unlink()


@fuzz_settings(100)
@given(
    raw=st.binary(max_size=1200),
    magic=st.sampled_from(MAGIC),
    suffix=st.sampled_from(SUFFIXES),
)
def test_bytes_under_any_name(tmp_path: Path, tally: Tally, raw: bytes, magic: bytes, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(magic + raw)
    tally.run("bytes, inspect", lambda: _described(path))
    path.unlink()
