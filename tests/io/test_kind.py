"""Volumes and tilt stacks, told apart where the space group does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.io import describe
from tomokit.io.inspection import is_stack

Make = Callable[..., Path]
VALUES = np.arange(60, dtype=np.float64).reshape(5, 3, 4)
ANGLES = "-40\n-20\n0\n20\n40\n"


@pytest.mark.parametrize(
    "name", ["ts_rec.mrc", "TS_REC.MRC", "ts.rec", "TS.REC", "ts_rec_bin4.mrc", "ts.rec.mrc", "a-recon.mrc"]
)
@pytest.mark.parametrize("mz", [5, 1])
def test_tomograms_by_name(make_mrc: Make, name: str, mz: int) -> None:
    facts = describe(make_mrc(VALUES, 2, name=name, ispg=0, m=(4, 3, mz)))
    assert facts["kind"] == "volume"
    assert facts["warnings"] == []


def test_a_tomogram_of_space_group_0_by_its_sections(make_mrc: Make) -> None:
    facts = describe(make_mrc(VALUES, 2, name="a.mrc", ispg=0))
    assert (facts["kind"], facts["axes"][0]) == ("volume", "z")
    assert "mz" in facts["kind_by"]
    assert "if it is a tilt stack, put its angles beside it" in facts["warnings"][0]


def test_a_tomogram_by_its_label(make_mrc: Make, tmp_path: Path) -> None:
    (tmp_path / "a.tlt").write_text(ANGLES)
    labels = (b"SerialEM: Tilt axis angle = 85.3, binning = 1", b"TILT: Tomographic reconstruction   01-Jan-20")
    assert describe(make_mrc(VALUES, 2, name="a.mrc", labels=labels, nlabl=2))["kind"] == "volume"


@pytest.mark.parametrize("name", ["a.st", "A.ST", "a.ali", "a.ALI", "a.mrcs", "a.preali", "a.st.gz"])
def test_stacks_by_name(make_mrc: Make, name: str) -> None:
    assert describe(make_mrc(VALUES, 2, name=name, ispg=1))["kind"] == "tilt stack"


@pytest.mark.parametrize("beside", ["a.tlt", "a.TLT", "a.rawtlt", "a.RAWTLT"])
@pytest.mark.parametrize("name", ["a.mrc", "a.MRC"])
def test_a_stack_by_the_angles_beside_it(make_mrc: Make, tmp_path: Path, beside: str, name: str) -> None:
    (tmp_path / beside).write_text(ANGLES)
    path = make_mrc(VALUES, 2, name=name)
    facts = describe(path)
    assert (facts["kind"], facts["warnings"]) == ("tilt stack", [])
    assert facts["angles"]["file"] == beside
    assert is_stack(path)


def test_a_stack_by_one_section_a_volume_or_its_label(make_mrc: Make) -> None:
    assert describe(make_mrc(VALUES, 2, name="a.mrc", m=(4, 3, 1)))["kind"] == "tilt stack"
    facts = describe(make_mrc(VALUES, 2, name="a.mrc", labels=(b"Tilt axis angle = 85.3, binning = 2",), nlabl=1))
    assert facts["kind"] == "tilt stack"
    assert (facts["tilt_axis_deg"], facts["binning"]) == (85.3, 2)
