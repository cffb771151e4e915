"""What `describe` says of made files; real ones are in test_real_files."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.io import describe

Make = Callable[..., Path]
RAMP = np.arange(24, dtype=np.float64).reshape(2, 3, 4)


def test_stack_with_the_angles_beside_it(make_mrc: Make, tmp_path: Path) -> None:
    path = make_mrc(RAMP, 2, name="TS.mrc")
    (tmp_path / "TS.tlt").write_text("-30\n30\n")
    facts = json.loads(json.dumps(describe(path, pixels=True), allow_nan=False))
    assert facts["kind"] == "tilt stack"
    assert (facts["axes"], facts["shape"]) == (["tilt", "y", "x"], [2, 3, 4])
    assert (facts["minimum"], facts["maximum"], facts["mean"]) == (0, 23, 11.5)
    assert facts["rms"] == pytest.approx(RAMP.std())
    assert (facts["mode"], facts["pixels"], facts["ispg"], facts["pixel_size_angstrom"]) == (2, "float32", 0, 2)
    assert facts["angles"] == {
        "file": "TS.tlt", "count": 2, "minimum_deg": -30, "maximum_deg": 30, "step_deg": 60, "sorted": True
    }  # fmt: skip
    assert facts["warnings"] == []
    for key in ("tilt_axis", "sign", "centre", "handedness", "excluded_views"):
        assert key in facts["convention"]


def test_volume_and_evidence(make_mrc: Make) -> None:
    assert describe(make_mrc(RAMP, 2, name="a.mrc", ispg=1))["kind"] == "volume"
    assert describe(make_mrc(RAMP, 2, name="a.rec", ispg=0))["kind"] == "volume"
    named = describe(make_mrc(RAMP, 2, name="a.st", ispg=1))
    assert (named["kind"], named["kind_by"]) == ("tilt stack", "the name's ending .st")


def test_faults_that_do_not_stop_a_description_are_warnings(make_mrc: Make, tmp_path: Path) -> None:
    values = RAMP.copy()
    values[0, 0, 0] = np.nan
    path = make_mrc(values, 2, name="TS.mrc", cella=(0, 0, 0))
    (tmp_path / "TS.tlt").write_text("1\n2\n3\n")
    facts = describe(path, pixels=True)
    text = " | ".join(facts["warnings"])
    assert "no pixel size" in text
    assert "1 pixels are NaN" in text
    assert "3 angles, but TS.mrc has 2 views" in text
    assert facts["pixel_size_angstrom"] is None
    assert (facts["minimum"], facts["maximum"]) == (1, 23)
    values[:] = np.nan
    facts = describe(make_mrc(values, 2, name="all.mrc"), pixels=True)
    assert facts["minimum"] is None


def test_without_pixels_the_header_alone_is_read(make_mrc: Make, tmp_path: Path) -> None:
    path = make_mrc(RAMP, 2, name="TS.mrc")
    facts, whole = describe(path, pixels=False), describe(path)
    assert facts.keys() == whole.keys()
    unread = ("minimum", "maximum", "mean", "rms")
    assert [facts[key] for key in unread] == [None] * 4
    assert (facts["pixels_read"], whole["pixels_read"]) == (False, True)
    differing = {key for key in facts if facts[key] != whole[key]}
    assert differing - {"defects"} == {*unread, "pixels_read"}
    # Of a hole as large as a stack of many gigabytes only the header is looked at.
    large = tmp_path / "large.mrc"
    header = np.frombuffer(path.read_bytes()[:1024], np.uint8).copy()
    header[:12].view("<i4")[:] = 4096, 4096, 200
    large.write_bytes(header.tobytes())
    os.truncate(large, 1024 + 4096 * 4096 * 200 * 4)
    began = time.process_time()
    facts = describe(large)
    assert (facts["shape"], facts["pixels_read"], facts["maximum"]) == ([200, 4096, 4096], False, None)
    assert time.process_time() - began < 1


def test_what_the_header_says_of_the_pixels_is_told_as_the_headers(make_mrc: Make, tmp_path: Path) -> None:
    path = make_mrc(RAMP, 2, name="TS.mrc")
    raw = bytearray(path.read_bytes())
    raw[76:88] = np.array([-5, 9, 1], "<f4").tobytes()
    raw[216:220] = np.array([2.5], "<f4").tobytes()
    path.write_bytes(raw)
    assert describe(path)["header_statistics"] == {"minimum": -5, "maximum": 9, "mean": 1, "rms": 2.5}
    for low, high, mean in ((0, -1, -2), (0, 0, 0), (1, 2, 3), (np.nan, 1, 0)):
        raw[76:88] = np.array([low, high, mean], "<f4").tobytes()
        path.write_bytes(raw)
        assert describe(path)["header_statistics"] is None


def test_a_compressed_stack_is_not_decompressed_for_its_header(make_mrc: Make, tmp_path: Path) -> None:
    path = make_mrc(RAMP, 2, name="TS.mrc")
    packed = tmp_path / "packed.mrc.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert describe(packed, pixels=False)["shape"] == [2, 3, 4]
    packed.write_bytes(gzip.compress(path.read_bytes()[:1030]))
    assert describe(packed, pixels=False)["shape"] == [2, 3, 4]
    with pytest.raises(InputError, match="truncated"):
        describe(packed, pixels=True)
    packed.write_bytes(gzip.compress(path.read_bytes())[:40])
    with pytest.raises(InputError, match="damaged or cut off"):
        describe(packed, pixels=False)


def test_text_is_told_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "angles.txt").write_text("-1\n0.5\n1\n" * 1)
    (tmp_path / "moves.txt").write_text("1 0 0 1 2 -3\n" * 3)
    (tmp_path / "prose.txt").write_text("hello world\n" * 200)
    assert describe(tmp_path / "angles.txt")["kind"] == "angles"
    moves = describe(tmp_path / "moves.txt")
    assert moves["kind"] == "transforms"
    assert (moves["rotation_deg"], moves["magnification"], moves["shift_y_px"]) == ([0, 0], [1, 1], [-3, -3])
    with pytest.raises(InputError, match="a text file of no known kind; known are"):
        describe(tmp_path / "prose.txt")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 8)
    with pytest.raises(InputError, match="not an MRC file"):
        describe(tmp_path / "noise.bin")
    with pytest.raises(InputError, match="No such file"):
        describe(tmp_path / "none")


def test_rotation_has_the_sign_of_the_formula(tmp_path: Path) -> None:
    c, s = np.cos(np.deg2rad(30)), np.sin(np.deg2rad(30))
    (tmp_path / "a.xf").write_text(f"{c} {-s} {s} {c} 0 0\n")
    assert describe(tmp_path / "a.xf")["rotation_deg"] == pytest.approx([30, 30])
