"""What is done, but with a word of doubt: an assumed pixel size, a stack taken for a volume, angles of no series."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.io import read_angles, read_stack, read_volume, write_stack
from tomokit.io.mrc_read import open_mrc

Cli = Callable[..., tuple[int, str, str]]
SIRT = ("--method", "sirt", "--thickness", 8, "--set", "epochs=1")


def without_pixel_size(source: Path, target: Path, volume: bool) -> None:
    """The same pixels by the reference library, which leaves the cell at 0."""
    import mrcfile

    values = np.array(read_stack(source).pixels)
    with warnings.catch_warnings(), mrcfile.new(target) as mrc:
        warnings.simplefilter("ignore")
        mrc.set_data(values)
        (mrc.set_volume if volume else mrc.set_image_stack)()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written on pictures."""
    from matplotlib.figure import Figure

    found: list[str] = []
    text = Figure.text

    def listened(self: Figure, x: float, y: float, said: str, **style: object) -> object:
        found.append(said)
        return text(self, x, y, said, **style)

    monkeypatch.setattr(Figure, "text", listened)
    return found


@pytest.mark.parametrize("given", [False, True])
def test_an_assumed_pixel_size_is_not_told_as_a_fact(cli: Cli, data: Path, drawn: list[str], given: bool) -> None:
    without_pixel_size(data / "tilts.mrc", data / "bare.mrc", volume=False)
    call = ("reconstruct", data / "bare.mrc", "-o", data / "o.mrc", "--angles", data / "tilts.tlt", *SIRT)
    status, out, err = cli(*call, *(("--pixel-size", 4) if given else ()))
    assert status == 0
    assert ("32 x 32 x 8 voxels of 4 angstrom" in out) == given
    assert ("32 x 32 x 8 voxels, voxel size unknown" in out) == (not given)
    assert ("no pixel size" in err) == (not given)
    assert any("voxel size unknown" in said for said in drawn) == (not given)
    assert any(said.endswith(" voxels") for said in drawn) == (not given)
    assert any(said.endswith(" nm") for said in drawn) == given
    assert read_volume(data / "o.mrc").provenance["pixel_size_source"] == ("header" if given else "none")


def test_a_size_that_no_one_knows_stays_unknown_when_it_is_binned_exported_and_projected(cli: Cli, data: Path) -> None:
    without_pixel_size(data / "tilts.mrc", data / "bare.mrc", volume=False)
    call = ("reconstruct", data / "bare.mrc", "-o", data / "o.mrc", "--angles", data / "tilts.tlt", "--bin", 2)
    assert cli(*call, "--output-bin", 2, "--mode", "int16", *SIRT)[0] == 0
    assert cli("export", data / "o.mrc", data / "e.mrc", "--box", "0:2,1:5,2:6")[0] == 0
    assert cli("project", data / "o.mrc", "--angles", "-30:30:30", "-o", data / "p.mrc")[0] == 0
    for name in ("o.mrc", "e.mrc", "p.mrc"):
        header = open_mrc(data / name).header
        assert (header.pixel_size_angstrom, header.pixel_size_known) == (1, False), name
    # Where the part lies is told in voxels, from the first before they were binned.
    assert open_mrc(data / "e.mrc").header.origin_angstrom == (2.25, 1.25, 0.25)


def test_a_comparison_with_a_truth_of_unknown_voxel_size(cli: Cli, data: Path, drawn: list[str]) -> None:
    without_pixel_size(data / "truth.mrc", data / "bare.mrc", volume=True)
    for truth in ("bare.mrc", "truth.mrc"):
        drawn.clear()
        arguments = ("compare", data / "truth.mrc", data / truth, "--preview", data / "c.png", "--overwrite")
        assert cli(*arguments)[0] == 0
        assert any("voxel size unknown" in said for said in drawn) == (truth == "bare.mrc")


def test_projecting_a_tilt_stack_is_doubted(cli: Cli, data: Path) -> None:
    angles = ("--angles", data / "tilts.tlt")
    status, out, err = cli("project", data / "tilts.mrc", *angles, "-o", data / "p.mrc", "--json")
    assert status == 0
    assert "looks like a tilt stack" in json.loads(out)["warnings"][0]
    assert err.startswith(f"tomokit: warning: {data / 'tilts.mrc'}: looks like a tilt stack")
    assert cli("project", data / "truth.mrc", *angles, "-o", data / "q.mrc")[2] == ""


def series(data: Path, views: list[int], scale: float) -> tuple[object, ...]:
    """The call for these views of the data, with the angles scaled."""
    chosen = np.array(read_stack(data / "tilts.mrc").pixels)[views]
    write_stack(data / "some.mrc", chosen, pixel_size_angstrom=10)
    angles = scale * read_angles(data / "tilts.tlt")[views]
    (data / "some.tlt").write_text("".join(f"{angle:.6f}\n" for angle in angles))
    return ("reconstruct", data / "some.mrc", "-o", data / "o.mrc", *SIRT)


@pytest.mark.parametrize(
    ("views", "scale", "said"),
    [
        (list(range(21)), np.pi / 180, ["the angles span 2.09 degrees only; are they in radians?"]),
        (list(range(21)), 1 / 15, ["the angles span 8 degrees only"]),
        (list(range(21)), 1 / 12, []),
        ([0, 20], 1, ["2 views fitted: too few for a tomogram"]),
        ([10], 1, ["1 view fitted: too few for a tomogram"]),
        ([0, 10, 20], 1, []),
    ],
)
def test_angles_that_are_hardly_those_of_a_series(
    cli: Cli, data: Path, views: list[int], scale: float, said: list[str]
) -> None:
    status, _, err = cli(*series(data, views, scale))
    assert (status, err) == (0, "".join(f"tomokit: warning: {text}\n" for text in said))


def test_inspect_doubts_angles_in_radians(cli: Cli, data: Path) -> None:
    (data / "a.tlt").write_text("-1.0\n0\n1.0\n")
    assert "are they in radians?" in cli("inspect", data / "a.tlt")[1]
    assert "radians" not in cli("inspect", data / "tilts.tlt")[1]


def test_inspect_says_where_the_axis_of_an_mdoc_is(cli: Cli, data: Path) -> None:
    sections = "".join(f"[ZValue = {z}]\nTiltAngle = {angle}\n\n" for z, angle in enumerate((-30, 0, 30)))
    (data / "a.mdoc").write_text(f"PixelSpacing = 2\nImageFile = a.mrc\n\n[T = Tilt axis angle = 85.2]\n\n{sections}")
    text = cli("inspect", data / "a.mdoc")[1]
    assert "tilt axis deg: 85.2" in text
    assert "tilt axis: y after alignment only" in text
