"""Mangled models, binary and text: each is read, or refused in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bead_series import BEADS, GEOMETRY, imod_model, model_points
from fuzzing import Tally, fuzz_settings
from hypothesis import example, given
from hypothesis import strategies as st

from tomokit.fiducials.model import describe_fiducials, model_tracks, read_fiducials

POINTS = len(BEADS) * GEOMETRY.n_views
WHOLE = imod_model(model_points())
HEAD = WHOLE.index(b"OBJT")
TEMPTING = (0, 1, -1, 2, 12, 1024, 2**24, 2**31 - 1, -(2**31), 0x7F800000, 0x7FC00000)
NAMES = (b"CONT", b"OBJT", b"MESH", b"IMAT", b"IEOF", b"SIZE", b"\0\0\0\0", b"IMOD")
WORDS = ("1", "2", "0", "-1", "3.50", "10.00", "nan", "inf", "1e300", "1,5", "x", "#", "1e999", "\u22123", ";", "0x1")


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counts = Tally()
    yield counts
    print(f"\n{counts}")


def _use(path: Path) -> int:
    """How many points the tracks have; all of them are places in views of the series."""
    described = describe_fiducials(path)
    json.dumps(described, allow_nan=False)
    tracks = model_tracks(read_fiducials(path), GEOMETRY)
    for track in tracks:
        assert np.isfinite(track.u_px).all()
        assert np.isfinite(track.v_px).all()
        assert (np.diff(track.views) > 0).all()
        assert 0 <= track.views[0] <= track.views[-1] < GEOMETRY.n_views
    points = sum(track.views.size for track in tracks)
    assert 0 < points <= described["points"]
    return points


CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.integers(0, len(WHOLE) // 4).map(lambda n: 4 * n),
            st.sampled_from(TEMPTING).map(lambda n: struct.pack(">I", n % 2**32)),
        ),
        st.tuples(st.integers(0, len(WHOLE) // 4).map(lambda n: 4 * n), st.sampled_from(NAMES)),
        st.tuples(st.integers(0, len(WHOLE)), st.binary(min_size=1, max_size=8)),
    ),
    max_size=4,
)


@fuzz_settings(120)
@example(changes=[], length=None)
@example(changes=[], length=300)
@given(changes=CHANGES, length=st.none() | st.integers(0, len(WHOLE)))
def test_mangled_binary_models(
    tmp_path_factory: pytest.TempPathFactory, tally: Tally, changes: list[tuple[int, bytes]], length: int | None
) -> None:
    content = bytearray(WHOLE)
    for at, new in changes:
        content[at : at + len(new)] = new
    path = tmp_path_factory.getbasetemp() / "mangled.fid"
    path.write_bytes(bytes(content[:length]))
    read = tally.run("binary models", lambda: _use(path))
    if not any(new for _, new in changes) and length is None:
        assert read == POINTS
    if length is not None and length < HEAD:
        assert read is None


LINES = st.lists(st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join), max_size=6)


@fuzz_settings(120)
@example(lines=[], rows=2, columns=2, end="\n", encoding="utf-8")
@example(lines=[], rows=2, columns=6, end="\r", encoding="utf-8-sig")
@example(lines=[], rows=2, columns=7, end="\n", encoding="utf-8")
@given(
    lines=LINES,
    rows=st.integers(0, 5),
    columns=st.integers(1, 7),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
)
def test_mangled_points_as_text(
    tmp_path_factory: pytest.TempPathFactory,
    tally: Tally,
    lines: list[str],
    rows: int,
    columns: int,
    end: str,
    encoding: str,
) -> None:
    good = [" ".join(["1"] * columns)] * rows
    path = tmp_path_factory.getbasetemp() / "mangled.txt"
    path.write_bytes(end.join(good + lines).encode(encoding, "replace"))
    read = tally.run("points as text", lambda: _use(path))
    if not any(lines) and rows and encoding != "utf-16":
        assert (read is not None) == (3 <= columns <= 6)


@fuzz_settings(60)
@given(content=st.binary(max_size=300))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, tally: Tally, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.mod"
    for head in (b"", b"IMODV1.2"):
        path.write_bytes(head + content)
        assert tally.run("any bytes", lambda: _use(path)) is None
