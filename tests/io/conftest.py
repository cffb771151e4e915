"""MRC files made from the standard's byte offsets, independently of the code under test."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def _mrc_bytes(values: np.ndarray, mode: int, order: str = "<", **fields: Any) -> bytes:
    """An MRC file of `values` [z, y, x]; `fields` override the header, named as in the standard."""
    nz, ny, nx = values.shape
    f: dict[str, Any] = {
        "n": (nx, ny, nz), "mode": mode, "m": (nx, ny, nz), "cella": (2.0 * nx, 2.0 * ny, 2.0 * nz),
        "axes": (1, 2, 3), "stats": (0.0, 0.0, 0.0), "ispg": 0, "nsymbt": 0, "extended": b"",
        "imod": (0, 0), "origin": (0.0, 0.0, 0.0), "exttyp": b"", "layout": (0, 0), "labels": (), "map": b"MAP ",
        "machst": b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0", "nlabl": 0,
    }  # fmt: skip
    assert set(fields) <= set(f), "an unknown header field"
    f |= fields
    head = bytearray(1024)

    def put(offset: int, code: str, *numbers: Any) -> None:
        struct.pack_into(order + code, head, offset, *numbers)

    put(0, "3i", *f["n"])
    put(12, "i", f["mode"])
    put(28, "3i", *f["m"])
    put(40, "3f", *f["cella"])
    put(52, "3f", 90, 90, 90)
    put(64, "3i", *f["axes"])
    put(76, "3f", *f["stats"])
    put(88, "2i", f["ispg"], f["nsymbt"])
    head[104:108] = f["exttyp"].ljust(4, b"\0")
    put(128, "2h", *f["layout"])
    put(152, "2i", *f["imod"])
    put(196, "3f", *f["origin"])
    head[208:212] = f["map"]
    head[212:216] = f["machst"]
    put(220, "i", f["nlabl"])
    for index, label in enumerate(f["labels"]):
        head[224 + 80 * index : 304 + 80 * index] = label.ljust(80)
    pixels = values.astype(np.dtype(MODES.get(mode, "f4")).newbyteorder(order), casting="unsafe")
    return bytes(head) + f["extended"] + pixels.tobytes()


@pytest.fixture(scope="session")
def mrc_bytes() -> Callable[..., bytes]:
    """The bytes of an MRC file: ``mrc_bytes(values, mode, order="<", **header_fields)``."""
    return _mrc_bytes


@pytest.fixture
def make_mrc(tmp_path: Path) -> Callable[..., Path]:
    """Write an MRC file: ``make_mrc(values, mode, name="stack.mrc", **header_fields)``."""

    def make(values: np.ndarray, mode: int = 2, name: str = "stack.mrc", **fields: Any) -> Path:
        path = tmp_path / name
        path.write_bytes(_mrc_bytes(values, mode, **fields))
        return path

    return make
