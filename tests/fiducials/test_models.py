"""Models of fiducials: binary as IMOD writes them, and text of model2point in all its layouts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bead_series import BEADS, GEOMETRY, imod_model, model_points

from tomokit.errors import InputError
from tomokit.fiducials.model import describe_fiducials, model_tracks, read_fiducials
from tomokit.fiducials.tracks import fit_tracks


def _text(path: Path, columns: str, whole: bool = False, zero: bool = False) -> Path:
    """A file of model2point: ``oc`` with object and contour, ``c`` with contour, ``v`` with a value."""
    lines = []
    for number, points in enumerate(model_points(), start=0 if zero else 1):
        for x, y, view in points:
            words = ["0" if zero else "1"] * ("o" in columns) + [str(number)] * ("c" in columns)
            words += [f"{round(x)}", f"{round(y)}"] if whole else [f"{x:.2f}", f"{y:.2f}"]
            words += [f"{view:.0f}" if whole else f"{view:.2f}"] + ["0.7312"] * ("v" in columns)
            lines.append(" ".join(words))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("columns", ["oc", "c", "ocv", "cv"])
@pytest.mark.parametrize("zero", [False, True])
def test_text_with_contours_is_read_as_tracks_of_the_beads(tmp_path: Path, columns: str, zero: bool) -> None:
    model = read_fiducials(_text(tmp_path / "points.txt", columns, zero=zero))
    assert [contour.number for contour in model.contours] == [1, 2, 3, 4, 5]
    fits = fit_tracks(model_tracks(model, GEOMETRY), GEOMETRY.tilt_deg)
    np.testing.assert_allclose([fit.xyz_px for fit in fits], BEADS, atol=0.02)


@pytest.mark.parametrize("columns", ["", "v"])
def test_text_without_contours_is_linked_to_the_same_tracks(tmp_path: Path, columns: str) -> None:
    tracks = model_tracks(read_fiducials(_text(tmp_path / "points.txt", columns)), GEOMETRY)
    assert sorted(track.views.size for track in tracks) == [11] * 5
    found = sorted(tuple(np.round(fit.xyz_px, 1)) for fit in fit_tracks(tracks, GEOMETRY.tilt_deg))
    np.testing.assert_allclose(found, sorted(map(tuple, BEADS)), atol=0.1)


def test_whole_numbers_are_right_to_half_a_pixel(tmp_path: Path) -> None:
    tracks = model_tracks(read_fiducials(_text(tmp_path / "points.txt", "oc", whole=True)), GEOMETRY)
    for fit, bead in zip(fit_tracks(tracks, GEOMETRY.tilt_deg), BEADS, strict=True):
        np.testing.assert_allclose(fit.xyz_px, bead, atol=0.6)


def test_a_point_in_the_middle_of_the_first_pixel_lies_at_its_centre(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("1 1 0.50 0.50 0.00\n")
    (track,) = model_tracks(read_fiducials(path), GEOMETRY)
    assert (track.u_px[0], track.v_px[0]) == (-63.5, -59.5)


def test_a_binary_model_has_the_same_points_as_its_text(tmp_path: Path) -> None:
    path = tmp_path / "beads.fid"
    path.write_bytes(imod_model(model_points()))
    model = read_fiducials(path)
    assert model.size_px == (128, 120, 11)
    for contour, points in zip(model.contours, model_points(), strict=True):
        np.testing.assert_allclose(contour.points, points, atol=1e-4)
    facts = describe_fiducials(path)
    json.dumps(facts, allow_nan=False)
    assert (facts["kind"], facts["format"], facts["contours"], facts["points"]) == ("fiducials", "IMOD model", 5, 55)
    assert facts["views"] == [0, 10]


def test_views_that_are_left_out_have_no_points(tmp_path: Path) -> None:
    path = tmp_path / "beads.fid"
    path.write_bytes(imod_model(model_points()))
    used = [0, 2, 4, 6, 8, 10]
    tracks = model_tracks(read_fiducials(path), GEOMETRY.select(used), n_views=11, views=used)
    assert [track.views.tolist() for track in tracks] == [[0, 1, 2, 3, 4, 5]] * 5
    fits = fit_tracks(tracks, GEOMETRY.tilt_deg[used])
    np.testing.assert_allclose([fit.xyz_px for fit in fits], BEADS, atol=1e-3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"1 2\n", "2 numbers"),
        (b"1 1 2 3 4\n1 1 2 3\n", "line 2"),
        (b"1 1 2.5 3.5 4.5\n", "whole number"),
        (b"1 1 nan 3 4\n", "not finite"),
        (b"one two three\n", "not a number"),
        (b"IMODV1.2", "ends at byte 8"),
        (b"IMODV9.9" + bytes(400), "version"),
        (imod_model([]), "without points"),
        (imod_model(model_points())[:-300], "ends at byte"),
        (imod_model(model_points()).replace(b"CONT\0\0\0\x0b", b"CONT\x7f\0\0\0", 1), "points of a contour"),
        (imod_model([np.array([[1, np.nan, 0]])]), "not finite"),
    ],
)
def test_what_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.fid"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        read_fiducials(path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("points", "words"),
    [([[3, 4, 11]], "view 11"), ([[3, 4, -1]], "view -1"), ([[3, 4, 1.5]], "between two views")],
)
def test_points_beyond_the_stack_are_refused(tmp_path: Path, points: list[list[float]], words: str) -> None:
    path = tmp_path / "beads.fid"
    path.write_bytes(imod_model([np.array(points, float)]))
    with pytest.raises(InputError, match=words):
        model_tracks(read_fiducials(path), GEOMETRY)


def test_a_model_of_images_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "beads.fid"
    path.write_bytes(imod_model(model_points(), size=(256, 240, 11)))
    with pytest.raises(InputError, match="256 x 240"):
        model_tracks(read_fiducials(path), GEOMETRY)


@pytest.mark.parametrize(
    ("name", "contours", "points"),
    [
        ("two_contour_example.mod", 2, 25),
        ("meshed_curvature_example.mod", 22, 1176),
        ("point_sizes_example.mod", 5, 18),
    ],
)
def test_models_of_imod_itself(shared_data: Path, name: str, contours: int, points: int) -> None:
    model = read_fiducials(shared_data / "formats/imodmodel/tests/test_data" / name)
    assert len(model.contours) == contours
    assert sum(len(contour.points) for contour in model.contours) == points
