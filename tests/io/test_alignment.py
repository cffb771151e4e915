"""A raw stack is told from an aligned one by its name, its labels and what lies beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.io.alignment import AlignmentFacts, judge_alignment, off_vertical_deg
from tomokit.io.beside import series_names
from tomokit.io.companions import find_companions, read_command_file
from tomokit.io.mrc_read import open_mrc

MakeMrc = Callable[..., Path]
N = 5
TURNED = "0.0784591 -0.9969173 0.9969173 0.0784591 3.1 -2.0\n" * N
LEVEL = "1 0 0 1 0.2 -0.3\n" * N
SHIFTED = "0.9999 -0.0122 0.0122 0.9999 31 -12\n" * N
SERIALEM = "SerialEM: Acquired on a microscope", "    Tilt axis angle = 85.3, binning = 4  spot = 8  camera = 2"
NEWSTACK = "NEWSTACK: Images copied, transformed                    21-Oct-15  13:21:42"


def labelled(path: Path, *labels: str) -> Path:
    raw = bytearray(path.read_bytes())
    raw[220:224] = len(labels).to_bytes(4, "little")
    for k, label in enumerate(labels):
        raw[224 + 80 * k : 304 + 80 * k] = label.ljust(80).encode()[:80]
    path.write_bytes(raw)
    return path


def mdoc(path: Path, axis: float | None, size: float = 2.0, image: str = "ts.mrc") -> None:
    sections = "".join(f"[ZValue = {z}]\nTiltAngle = {10 * z}\n\n" for z in range(N))
    title = "" if axis is None else f"[T =     Tilt axis angle = {axis}, binning = 1  spot = 6  camera = 1]\n\n"
    path.write_text(f"PixelSpacing = {size}\nImageFile = {image}\n\n{title}{sections}")


@pytest.fixture
def judge(make_mrc: MakeMrc, tmp_path: Path) -> Callable[..., AlignmentFacts]:
    """Judge a stack of this name, with these labels, beside what the folder has."""

    def call(name: str = "ts.mrc", *labels: str) -> AlignmentFacts:
        path = labelled(make_mrc(np.ones((N, 8, 12), "f4"), name=name), *labels)
        return judge_alignment(open_mrc(path, with_pixels=False))

    return call


def test_a_stack_alone_is_taken_as_aligned(judge: Callable[..., AlignmentFacts]) -> None:
    facts = judge()
    assert (facts.aligned, facts.raw_by, facts.doubts("ts.mrc")) == ("unknown", (), [])
    facts.require_aligned("ts.mrc")


@pytest.mark.parametrize("axis", [-88.7, 84.6, 95, 175 - 90, -11])
def test_an_axis_far_off_vertical_is_refused(judge: Callable[..., AlignmentFacts], tmp_path: Path, axis: float) -> None:
    mdoc(tmp_path / "ts.mrc.mdoc", axis)
    facts = judge()
    assert facts.aligned == "no"
    with pytest.raises(InputError, match=r"ts\.mrc\.mdoc gives a tilt axis.*--xf.*--aligned"):
        facts.require_aligned("ts.mrc")
    assert facts.tilt_axis_deg == axis
    # The stack that was made of it is aligned, whatever the microscope's axis was.
    for name in ("ts_ali.mrc", "ts.ali", "ts_ali_bin4.mrc", "ts_aligned.mrc", "TS_Aligned.mrc"):
        facts = judge(name)
        assert (facts.aligned, facts.doubts(name)) == ("yes", [])
        facts.require_aligned(name)
    assert judge("ts.mrc", *SERIALEM, NEWSTACK).aligned == "yes"


@pytest.mark.parametrize(("axis", "doubted"), [(0, False), (180, False), (-179.2, False), (1.5, False), (4.3, True)])
def test_an_axis_near_vertical(
    judge: Callable[..., AlignmentFacts], tmp_path: Path, axis: float, doubted: bool
) -> None:
    mdoc(tmp_path / "ts.mrc.mdoc", axis)
    facts = judge()
    facts.require_aligned("ts.mrc")
    assert bool(facts.doubts("ts.mrc")) == doubted
    assert facts.doubts("ts.mrc", ["aligned"]) == facts.doubts("ts.mrc", ["xf"]) == []


def test_an_mdoc_of_another_name_that_names_the_stack(judge: Callable[..., AlignmentFacts], tmp_path: Path) -> None:
    mdoc(tmp_path / "session3.mdoc", 85, image="X:\\data\\ts.mrc")
    mdoc(tmp_path / "another.mdoc", 12, image="other.mrc")
    facts = judge()
    assert facts.tilt_axis_deg == 85
    assert facts.raw_by[0].startswith("session3.mdoc gives a tilt axis")


def test_the_label_of_the_microscope_gives_the_axis(judge: Callable[..., AlignmentFacts]) -> None:
    facts = judge("ts.mrc", *SERIALEM)
    assert (facts.aligned, facts.tilt_axis_deg) == ("no", 85.3)
    assert judge("ts.preali", *SERIALEM, NEWSTACK).aligned == "no"
    assert judge("ts.mrc", *SERIALEM, "not aligned").aligned == "no"


def test_transforms_beside_a_stack(judge: Callable[..., AlignmentFacts], tmp_path: Path) -> None:
    xf = tmp_path / "ts.xf"
    xf.write_text(TURNED)
    facts = judge("ts.st")
    assert facts.aligned == "no"
    assert facts.transforms == xf
    with pytest.raises(InputError, match=r"ts\.xf beside it turns its views by 85\.5 degrees.*--xf .*ts\.xf"):
        facts.require_aligned("ts.st")
    assert judge("ts.ali").doubts("ts.ali") == []
    assert "once more" in judge("ts.ali").doubts("ts.ali", ["xf"])[0]
    xf.write_text(SHIFTED)
    facts = judge("ts.st")
    facts.require_aligned("ts.st")
    assert "shifts them by up to 31 pixels" in facts.doubts("ts.st")[0]
    xf.write_text(LEVEL)
    (tmp_path / "ts.ali").unlink()
    assert judge("ts.st").doubts("ts.st") == []


def test_transforms_of_another_name_are_a_doubt_only(judge: Callable[..., AlignmentFacts], tmp_path: Path) -> None:
    (tmp_path / "final.xf").write_text(TURNED)
    (tmp_path / "other.xf").write_text(TURNED * 2)
    facts = judge()
    facts.require_aligned("ts.mrc")
    assert "final.xf beside it has a transform for each of its 5 views" in facts.doubts("ts.mrc")[0]


def test_other_files_of_an_alignment(judge: Callable[..., AlignmentFacts], tmp_path: Path) -> None:
    (tmp_path / "ts.edf").write_text("Setup.Binning=1.0\nSetup.ImageRotationA=83.9\n")
    assert judge().aligned == "no"
    (tmp_path / "ts.edf").unlink()
    (tmp_path / "ts.aln").write_text("# AreTomo Alignment\n# RawSize = 12 8 5\n# SEC ROT GMAG\n    1  -95.4040  1.0\n")
    assert judge().tilt_axis_deg == pytest.approx(-95.404)
    (tmp_path / "ts.aln").unlink()
    (tmp_path / "align.com").write_text("$tiltalign -StandardInput\nImageFile\tts.preali\nRotationAngle\t83.9\n")
    assert judge().aligned == "no"
    (tmp_path / "align.com").write_text("$tiltalign -StandardInput\nImageFile\tother.preali\nRotationAngle\t83.9\n")
    assert judge().doubts("ts.mrc") == []
    (tmp_path / "newst.com").write_text("$newstack -StandardInput\nInputFile\tts.mrc\nOutputFile\tts_ali.mrc\n")
    assert "newst.com makes ts_ali.mrc from it" in judge().doubts("ts.mrc")[0]
    (tmp_path / "newst.com").unlink()
    (tmp_path / "ts.prexg").write_text(SHIFTED)
    assert "ts.prexg" in judge().doubts("ts.mrc")[0]


def test_names_that_give_doubt(judge: Callable[..., AlignmentFacts], tmp_path: Path) -> None:
    assert judge("draw.mrc").doubts("draw.mrc") == []
    assert "by its name it is raw" in judge("ts_raw.mrc").doubts("ts_raw.mrc")[0]
    assert "aligned coarsely only" in judge("ts_preali.mrc").doubts("ts_preali.mrc")[0]
    judge("ts_ali.mrc")
    assert "ts_ali.mrc beside it is aligned by its name" in judge("ts.mrc").doubts("ts.mrc")[0]
    assert judge("ts_ali.mrc").doubts("ts_ali.mrc") == []


def test_what_etomo_has_and_is_not_used_is_told(judge: Callable[..., AlignmentFacts], tmp_path: Path) -> None:
    (tmp_path / "ts.xtilt").write_text("11.70\n" * N)
    (tmp_path / "tilt.com").write_text(
        "$tilt -StandardInput\nInputProjections ts_ali.mrc\nEXCLUDELIST 1-3,21\nOFFSET -4.5\nSHIFT 0.0 12.5\n"
        "XAXISTILT 0.0\n#LOCALFILE tslocal.xf\nTHICKNESS 16\n"
    )
    (line,) = judge("ts_ali.mrc").doubts("ts_ali.mrc")
    assert "ts.xtilt (x-axis tilts up to 11.7 degrees)" in line
    assert "OFFSET -4.5 of tilt.com (--tilt-offset=-4.5)" in line
    assert "EXCLUDELIST 1-3,21 of tilt.com (--exclude-from-1 1-3,21)" in line
    assert "SHIFT 0.0 12.5" in line
    assert not any(key in line for key in ("LOCALFILE", "XAXISTILT"))
    (line,) = judge("ts_ali.mrc").doubts("ts_ali.mrc", ["exclude", "tilt_offset"])
    assert not any(key in line for key in ("EXCLUDELIST", "OFFSET"))
    (tmp_path / "ts.xtilt").write_text("-0.01\n" * N)
    (tmp_path / "tilt.com").write_text("InputProjections other_ali.mrc\nOFFSET 5\n")
    assert judge("ts_ali.mrc").doubts("ts_ali.mrc") == []


@pytest.mark.parametrize(
    ("name", "size", "doubted"),
    [("ts.mrc", 2.0, False), ("ts.mrc", 2.01, False), ("ts.mrc", 1.724, True), ("ts.mrc", 1.0, True),
     ("ts_ali.mrc", 1.0, False), ("ts_ali.mrc", 0.5, False), ("ts_ali.mrc", 1.5, True), ("ts_ali.mrc", 4.0, True)],
)  # fmt: skip
def test_pixel_sizes_that_disagree(
    judge: Callable[..., AlignmentFacts], tmp_path: Path, name: str, size: float, doubted: bool
) -> None:
    mdoc(tmp_path / "ts.mrc.mdoc", None, size)
    lines = judge(name).doubts(name)
    assert len(lines) == doubted
    if doubted:
        assert f"2 angstrom in the header of {name}, {size:g} in ts.mrc.mdoc" in lines[0]
        assert f"--pixel-size {size:g}" in lines[0]
    assert judge(name).doubts(name, ["pixel_size"]) == []


def test_damaged_companions_count_as_absent(judge: Callable[..., AlignmentFacts], tmp_path: Path) -> None:
    for suffix in (".xf", ".xtilt", ".edf", ".aln", ".mrc.mdoc", ".prexg"):
        (tmp_path / f"ts{suffix}").write_bytes(b"\0\xff nonsense \n 1 2 x")
    for name in ("tilt.com", "newst.com", "align.com"):
        (tmp_path / name).write_bytes(b"\xff\xfe\0")
    (tmp_path / "ts.prexg").unlink()
    assert judge().doubts("ts.mrc") == []


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_command_files_of_any_bytes(raw: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tilt.com")
        path.write_bytes(raw)
        assert all(key == key.upper() for key in read_command_file(path))
        assert find_companions(Path(folder, "ts.mrc"), 3).mdoc is None


@given(st.floats(-720, 720))
def test_off_vertical_is_that_of_the_axis_either_way_up(axis: float) -> None:
    off = off_vertical_deg(axis)
    assert 0 <= off <= 90
    assert off == pytest.approx(off_vertical_deg(axis + 180), abs=1e-6)
    assert off == pytest.approx(off_vertical_deg(-axis), abs=1e-6)


def test_names_of_a_series() -> None:
    assert series_names("TS_01_ali.mrc.gz") == ["TS_01_ali", "TS_01"]
    assert series_names("TS_01.st") == ["TS_01"]


def test_real_folders(shared_data: Path) -> None:
    cases = shared_data / "cases"
    for name in ("raw_with_mdoc/ts.mrc", "raw_in_etomo_folder/ts.st"):
        path = cases / name
        facts = judge_alignment(open_mrc(path, with_pixels=False))
        with pytest.raises(InputError):
            facts.require_aligned(path)
        assert facts.doubts(path, ["aligned"])
    raw = shared_data / "empiar-10499" / "tilts-raw.mrc"
    assert "final.xf" in judge_alignment(open_mrc(raw, with_pixels=False)).doubts(raw)[0]
    aligned = shared_data / "empiar-10643-40" / "tilts.mrc"
    facts = judge_alignment(open_mrc(aligned, with_pixels=False))
    assert (facts.aligned, facts.doubts(aligned)) == ("yes", [])
