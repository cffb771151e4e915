"""What labels and an .mdoc record of the detector and the exposures."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.io.imaging import imaging_record


@pytest.mark.parametrize(
    ("label", "detector"),
    [
        ("STEM HAADF tilt series", "dark field"),
        ("Annular dark-field, 300 kV", "dark field"),
        ("bright field", "bright field"),
        ("ABF and HAADF", None),
        ("DF and BF mean nothing here", None),
        ("", None),
    ],
)
def test_labels(tmp_path: Path, label: str, detector: str | None) -> None:
    assert imaging_record(tmp_path / "a.mrc", [label], [0, 1]).get("detector") == detector


@pytest.mark.parametrize(
    ("fields", "detector"),
    [
        ("ChannelName = HAADF", "dark field"),
        ("ChannelName = DF4", "dark field"),
        ("ChannelName = BF", "bright field"),
        ("ChannelName = Ceta", None),
        ("NumSubFrames = 10", "bright field"),
        ("NumSubFrames = 0", None),
        ("NumSubFrames = many", None),
    ],
)
@pytest.mark.parametrize("name", ["a.mrc.mdoc", "a.mdoc", "a.MDOC"])
def test_channels(tmp_path: Path, fields: str, detector: str | None, name: str) -> None:
    (tmp_path / name).write_text(f"[ZValue = 0]\nTiltAngle = 1\n{fields}\n")
    assert imaging_record(tmp_path / "a.mrc", [], [0]).get("detector") == detector


def test_exposures_are_those_of_the_views_that_are_used(tmp_path: Path) -> None:
    times = (1.0, 1.2, 2.0)
    text = "".join(f"[ZValue = {z}]\nExposureTime = {time}\n" for z, time in enumerate(times))
    (tmp_path / "a.mdoc").write_text(text)
    assert imaging_record(tmp_path / "a.mrc", [], [0, 2]) == {"exposures": [1.0, 2.0]}
    # One view is not in it, or all are alike: nothing is known, nothing has to be mended.
    assert imaging_record(tmp_path / "a.mrc", [], [0, 3]) == {}
    assert imaging_record(tmp_path / "a.mrc", [], [1]) == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.text(alphabet="[]=ZValue CheNmxposurT0123.-\n\té", max_size=200))
def test_any_text_is_survived(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.mdoc").write_text(text, encoding="utf-8")
    assert set(imaging_record(tmp_path / "a.mrc", [text], [0, 1])) <= {"detector", "exposures"}
