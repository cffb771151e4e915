"""Mangled files of other programs: each is read to finite numbers, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzzing import Tally, fuzz_settings
from hypothesis import given
from hypothesis import strategies as st

from tomokit.formats.front import read_acquisition, read_alignment
from tomokit.formats.records import AcquisitionFile, AlignmentFile
from tomokit.pipeline.inspection import describe

VIEWS = 5
TILT = [-20.0, -10.0, 0.0, 10.0, 20.0]


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counts = Tally()
    yield counts
    print(f"\n{counts}")


def aln() -> str:
    rows = "".join(f"{i:5d}  85.5000  1.00000  {i}.5  -2.25  1.00  1.00  1.00  0.00  {t + 3:.2f}\n"
                   for i, t in enumerate(TILT[1:]))  # fmt: skip
    return (
        "# AreTomo Alignment / Priims bprmMn\n# RawSize = 64 48 5\n# NumPatches = 4\n# DarkFrame =   0   0   -20.00\n"
        "# AlphaOffset =     3.00\n# BetaOffset =     0.00\n# Thickness = 40\n# SEC     ROT         GMAG       TX    TY"
        f"  SMEAN  SFIT  SCALE  BASE  TILT\n{rows}# Local Alignment\n   0   0  -58.42 -80.00 -10.07   2.43   1.0\n"
    )


def star() -> str:
    labels = ["MicrographName", "TomoXTilt", "TomoYTilt", "TomoZRot", "TomoXShiftAngst", "TomoYShiftAngst",
              "MicrographPreExposure", "DefocusU", "DefocusV", "DefocusAngle"]  # fmt: skip
    rows = "".join(f"a{i}.mrc 0.0 {t} 85.5 10.0 -4.0 {i * 3} 21000 20900 41\n" for i, t in enumerate(TILT))
    return (
        "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n_rlnVoltage\nts 2.0 300\n\ndata_ts\n\nloop_\n"
        + "".join(f"_rln{name} #{i + 1}\n" for i, name in enumerate(labels))
        + rows
    )


def xml() -> str:
    lists = {"Angles": TILT, "Dose": [0, 3, 6, 9, 12], "UseTilt": ["True"] * 5, "AxisAngle": [-4.3] * 5,
             "AxisOffsetX": [12.5] * 5, "AxisOffsetY": [-3.0] * 5}  # fmt: skip
    body = "".join(f"<{key}>" + "\n".join(map(str, values)) + f"</{key}>\n" for key, values in lists.items())
    grid = '<GridCTF><Node X="0" Y="0" Z="0" Value="2.5" /></GridCTF>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<TiltSeries LevelAngleX="1">\n{body}{grid}</TiltSeries>\n'


def portal() -> str:
    sections = [
        {"z_index": i, "tilt_angle": t, "volume_x_rotation": 0, "in_plane_rotation": [[0.0, -1.0], [1.0, 0.0]],
         "x_offset": 1.5, "y_offset": 2}
        for i, t in enumerate(TILT)
    ]  # fmt: skip
    return json.dumps({"alignment_type": "GLOBAL", "per_section_alignment_parameters": sections}, indent=1)


TILT_COM = (
    "# comment\n$tilt -StandardInput\nInputProjections ts_ali.mrc\nIMAGEBINNED 2\nTILTFILE ts.tlt\nXTILTFILE ts.xtilt\n"
    "THICKNESS 40\nOFFSET 1.5\nSHIFT 2.0 -3.0\nXAXISTILT 1.0\nEXCLUDELIST2 2\nFULLIMAGE 64 48\n$if (-e x) x\n"
)
NEWST_COM = (
    "$newstack -StandardInput\nInputFile ts.st\nOutputFile ts_ali.mrc\nTransformFile ts.xf\n"
    "SizeToOutputInXandY 32,24\nBinByFactor 2\n"
)
EDF = "#Wed\nSetup.DatasetName=ts\nSetup.PixelSize=0.2\nSetup.AxisA.ExcludeProjections=3\nSetup.ImageRotationA=84\n"
MDOC = "Voltage = 300\n\n[T = Tilt axis angle = 85.0, binning = 1]\n" + "".join(
    f"\n[ZValue = {i}]\nTiltAngle = {t}\nExposureDose = 3.0\nPriorRecordDose = {3 * i}\n"
    f"DateTime = 09-Jan-20  11:0{i}:00\n"
    for i, t in enumerate(TILT)
)
DEFOCUS = "1 0 0. 0. 0. 3\n" + "".join(f"{i + 1} {i + 1} {t} {t} 2000 1900 30\n" for i, t in enumerate(TILT))
CTF = "# Columns: #1 number\n" + "".join(f"{i + 1} 21717.3 20740.8 52.0 0.0 0.11 9.6\n" for i in range(5))
TOMOSTAR = "data_\n\nloop_\n_wrpMovieName #1\n_wrpAngleTilt #2\n_wrpDose #3\n" + "".join(
    f"a.tif {t} {3 * i}\n" for i, t in enumerate(TILT)
)
XF = "0.5 0.866 -0.866 0.5 3.25 -1.5\n" * VIEWS
TLT = "".join(f"{t}\n" for t in TILT)
FILES = {
    "ts.aln": aln(), "ts.star": star(), "ts.xml": xml(), "ts.json": portal(), "tilt.com": TILT_COM,
    "newst.com": NEWST_COM, "ts.edf": EDF, "ts.mdoc": MDOC, "ts.defocus": DEFOCUS, "ts_CTF.txt": CTF,
    "ts.tomostar": TOMOSTAR, "ts.xf": XF, "ts.tlt": TLT, "ts.xtilt": "0.5\n" * VIEWS,
}  # fmt: skip

odd_words = st.sampled_from(
    ["nan", "inf", "-Infinity", "1e999", "1e30", "9" * 400, "1,5", "-60,5", "", "\u221212", "1_0", "0x1f", "٣", "#",
     "/", "^", "$", '"', "<", "&lt;", "{", "[", "true", "null", "-1", "0", "100", "1-3", "data_", "loop_"]
)  # fmt: skip
names = st.sampled_from(sorted(FILES))
MAGIC = ("<a>", "{", "data_\n", "$tilt\n", "# AreTomo Alignment\n", "")


@st.composite
def mangled(draw: st.DrawFn, name: str) -> bytes:
    """A file of one kind with a word replaced, lines cut, doubled or moved, columns added, another code or line end."""
    lines = FILES[name].split("\n")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["word", "word", "word", "cut", "drop", "double", "swap", "column", "text"]))
        words = lines[at].split(" ")
        if change == "word":
            words[draw(st.integers(0, len(words) - 1))] = draw(odd_words)
            lines[at] = " ".join(words)
        elif change == "cut":
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
        elif change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.insert(at, lines[at])
        elif change == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif change == "column":
            lines[at] += draw(st.sampled_from([" 1.0", " x", "\t7", ", 3"]))
        else:
            lines.insert(at, draw(st.text(max_size=12)))
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines)
    raw = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")
    return raw[: draw(st.one_of(st.none(), st.integers(0, len(raw))))] + draw(
        st.sampled_from([b"", b"", b"\xe9\xff", b"\0"])
    )


def check_alignment(found: AlignmentFile) -> None:
    alignment = found.alignment
    assert (np.abs(alignment.tilt_deg) <= 90).all()
    assert np.isfinite(alignment.transform).all()
    assert np.abs(alignment.transform).max() < 1e12
    assert alignment.used.any()
    assert found.thickness_px is None or 0 < found.thickness_px < 1e9
    assert all(path.exists() for path in found.files)
    json.dumps(found.to_json(), allow_nan=False)


def check_acquisition(found: AcquisitionFile) -> None:
    acquisition = found.acquisition
    if acquisition.order is not None:
        assert sorted(acquisition.order) == list(range(acquisition.n_views))
    json.dumps(found.to_json(), allow_nan=False)


@fuzz_settings(200)
@given(data=st.data(), name=names)
def test_one_mangled_file_among_whole_ones(tmp_path: Path, tally: Tally, data: st.DataObject, name: str) -> None:
    for other, text in FILES.items():
        (tmp_path / other).write_text(text)
    raw = data.draw(mangled(name))
    (tmp_path / name).write_bytes(raw)
    for asked in {name, "ts.xf", "tilt.com"}:
        path = tmp_path / asked
        found = tally.run(f"{name}: alignment {Path(asked).suffix}", lambda path=path: read_alignment(
            path, pixel_size_angstrom=2.0))  # fmt: skip
        if found is not None:
            check_alignment(found)
    acquired = tally.run(f"{name}: acquisition", lambda: read_acquisition(tmp_path / name))
    if acquired is not None:
        check_acquisition(acquired)
    facts = tally.run(f"{name}: inspect", lambda: describe(tmp_path / name))
    if facts is not None:
        json.dumps(facts, allow_nan=False)


# A changed digit is another number to any reader; what replaces a number by no number has to be refused or told.
NUMBERS = {
    "ts.aln": ("  13.00\n", "TILT"), "ts.star": (" 10.0 -4.0 9 ", "shift"), "ts.xml": ("-3.0", "offset"),
    "ts.json": ('"tilt_angle": 10.0', "angle"), "tilt.com": ("OFFSET 1.5", "offset"), "ts.xf": ("3.25 -1.5", "shift"),
    "ts.tlt": ("-10.0", "angle"), "ts.xtilt": ("0.5", "x tilt"),
}  # fmt: skip


@pytest.mark.parametrize("bad", ["nan", "inf", "1e999", "abc", "", "12,345,6"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_none_is_never_read(tmp_path: Path, name: str, bad: str) -> None:
    from tomokit.errors import InputError

    for other, text in FILES.items():
        (tmp_path / other).write_text(text)
    whole = read_alignment(tmp_path / ("ts.xf" if name in ("ts.tlt", "ts.xtilt", "tilt.com") else name),
                           pixel_size_angstrom=2.0)  # fmt: skip
    place = NUMBERS[name][0]
    number = place.split()[-1] if name != "ts.star" else "10.0"
    text = FILES[name]
    at = text.index(place) + place.index(number)
    (tmp_path / name).write_text(text[:at] + bad + text[at + len(number) :])
    asked = tmp_path / ("ts.xf" if name in ("ts.tlt", "ts.xtilt", "tilt.com") else name)
    if bad == "" and name == "tilt.com":
        assert read_alignment(asked).alignment.tilt_offset_deg == 0  # an entry without a value is the default
        assert whole.alignment.tilt_offset_deg == 1.5
        return
    with pytest.raises(InputError):
        read_alignment(asked, pixel_size_angstrom=2.0)


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    from tomokit.errors import InputError

    (tmp_path / name).write_bytes(b"")
    for reader in (read_alignment, read_acquisition):
        with pytest.raises(InputError, match="empty"):
            reader(tmp_path / name)


@fuzz_settings(60)
@given(raw=st.binary(max_size=400), magic=st.sampled_from(MAGIC), name=names)
def test_bytes_under_any_name(tmp_path: Path, tally: Tally, raw: bytes, magic: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(magic.encode() + raw)
    tally.run("bytes: alignment", lambda: read_alignment(path))
    tally.run("bytes: acquisition", lambda: read_acquisition(path))
    tally.run("bytes: inspect", lambda: describe(path))
    for file in tmp_path.iterdir():
        file.unlink()
