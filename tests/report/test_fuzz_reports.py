"""Mangled states behind a valid seal: a report of each is a whole page of what is left, or a refusal in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from fuzzing import Tally, fuzz_settings
from hypothesis import given
from hypothesis import strategies as st
from mangled_states import mangle

from tomokit.report.report import ReportRequest, make_report


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counts = Tally()
    yield counts
    print(f"\n{counts}")


@fuzz_settings(10)
@given(number=st.integers(0, 2**64 - 1))
def test_a_mangled_state_is_reported_or_refused(
    made: Path, tmp_path_factory: pytest.TempPathFactory, tally: Tally, number: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mangled"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    state = folder / "run.h5"
    print(mangle(made / "run.h5", state, Random(number)))
    if number % 3:
        for name in ("tilts.mrc", "tilts.tlt"):
            shutil.copy(made / name, folder)
    report = tally.run("report", lambda: make_report(ReportRequest([state])))
    if report is not None:
        (entry,) = report.summary["tomograms"]
        assert report.html.endswith(b"</html>\n")
        assert entry["shown"] or entry["missing"]
        text = report.html.decode("utf-8")
        data = json.loads(text.split('id="report-data">')[1].split("</script>")[0])
        assert len(data["subjects"]) == 1
