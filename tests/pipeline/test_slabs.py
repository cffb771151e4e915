"""Volumes in slabs along the tilt axis, and of some rows only, through the whole job."""

from __future__ import annotations

import json
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import warm_start

import tomokit
from tomokit.commands.app import run
from tomokit.data import TiltSeries
from tomokit.data.problem import Problem
from tomokit.errors import OptionError, OutputError, ResourceError
from tomokit.geometry import TiltGeometry
from tomokit.io import read_volume, write_stack
from tomokit.io.volume_file import VolumeFile
from tomokit.pipeline import fit_memory, memory
from tomokit.pipeline.plan import make_plan
from tomokit.pipeline.prepare import prepare
from tomokit.pipeline.readers import MrcReader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.rows import binned_rows
from tomokit.plugin.manager import get_registry

N_Z, N_Y, N_X, N_VIEWS = 12, 37, 24, 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series in bright field with a mask; not to be written to."""
    folder = tmp_path_factory.mktemp("slabs")
    generator = np.random.default_rng(3)
    images = 100 * np.exp(-generator.random((N_VIEWS, N_Y, N_X)).cumsum(axis=1) / N_Y)
    write_stack(folder / "tilts.mrc", images.astype(np.float32), pixel_size_angstrom=3.0)
    (folder / "tilts.tlt").write_text("\n".join(map(str, np.linspace(-60, 60, N_VIEWS))))
    mask = (generator.random(images.shape) > 0.1).astype(np.float32)
    mask[:, 10:16, 8:12] = 0
    write_stack(folder / "mask.mrc", mask)
    return folder


Job = Callable[..., tuple[bytes, dict[str, Any]]]


@pytest.fixture
def job(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Job:
    """Run `reconstruct`: the bytes of the tomogram, and the summary."""

    def job(*words: object, method: str = "wbp") -> tuple[bytes, dict[str, Any]]:
        out = tmp_path / "o.mrc"
        arguments = [folder / "tilts.mrc", "-o", out, "--method", method, "--thickness", N_Z, "--overwrite", "--json"]
        epochs = ["--set", "epochs=2"] if method == "sirt" else []
        words = words if "--picture" in words else ("--no-preview", *words)
        words = tuple(word for word in words if word != "--picture")
        capsys.readouterr()
        assert run([str(word) for word in ("reconstruct", *arguments, *epochs, *words)]) == 0
        summary = json.loads(capsys.readouterr().out)
        assert not list(tmp_path.glob(".*")), "a temporary file is left"
        return out.read_bytes(), summary

    return job


CASES = {
    "log": ["--linearization", "log"],
    "linear": ["--linearization", "linear"],
    "masked": ["--linearization", "log", "--mask", "MASK"],
    "binned": ["--linearization", "log", "--bin", "2"],
    "held out": ["--linearization", "log", "--hold-out", "4"],
    "some rows": ["--linearization", "linear", "--y", "5:21"],
}


@pytest.mark.parametrize("method", ["wbp", "sirt"])
@pytest.mark.parametrize("case", CASES)
def test_files_are_the_same(job: Job, folder: Path, case: str, method: str, tmp_path: Path) -> None:
    words = [str(folder / "mask.mrc") if word == "MASK" else word for word in CASES[case]]
    whole, summary = job(*words, method=method)
    record = (tmp_path / "o.provenance.json").read_text()
    assert summary["slabs"] == 1
    for count in (2, 5):
        sliced, in_slabs = job(*words, "--slabs", count, method=method)
        assert in_slabs["slabs"] == count
        # The header too, with its extremes and its mean, and all that stands beside.
        assert sliced == whole
        assert (tmp_path / "o.provenance.json").read_text() == record
        for entry in (*summary["history"], *in_slabs["history"]):
            entry.pop("seconds", None)
        for key in ("history", "held_out", "loss", "linearization", "warnings"):
            assert in_slabs[key] == summary[key]


def test_the_picture_is_the_same(job: Job, tmp_path: Path) -> None:
    job("--picture", "--linearization", "log")
    whole = (tmp_path / "o.png").read_bytes()
    job("--picture", "--linearization", "log", "--slabs", 3)
    assert (tmp_path / "o.png").read_bytes() == whole


def test_slabs_are_chosen_where_memory_is_short(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = job("--linearization", "log")
    room = 4 * N_VIEWS * N_Y * N_X * 2 + 4 * N_Z * N_Y * N_X
    monkeypatch.setattr(fit_memory, "available_bytes", lambda: room)
    sliced, summary = job("--linearization", "log")
    assert summary["slabs"] > 1
    assert sliced == whole


@pytest.mark.parametrize(
    ("method", "extra", "binned"),
    # An odd number of rows that is binned moves the views by a quarter of a row, which couples the rows of SIRT.
    [("wbp", [], 1), ("wbp", [], 2), ("wbp", ["--mask", "MASK"], 1), ("wbp", ["--mask", "MASK"], 2), ("sirt", [], 1)],
)
def test_rows_alone_are_those_of_the_whole(
    job: Job, folder: Path, tmp_path: Path, method: str, extra: list[str], binned: int
) -> None:
    # Where no offset is fitted the rows of SIRT do not know of each other either.
    kind = "linear" if method == "sirt" else "log"
    words = ["--linearization", kind, "--bin", str(binned), "--offsets", "zero" if method == "sirt" else "auto"]
    words += [str(folder / "mask.mrc") if word == "MASK" else word for word in extra]
    job(*words, method=method)
    whole = read_volume(tmp_path / "o.mrc")
    values = np.array(whole.density)
    _, summary = job(*words, "--y", "6:22", method=method)
    part = read_volume(tmp_path / "o.mrc")
    first, stop = (6, 22) if binned == 1 else (3, 11)
    np.testing.assert_array_equal(part.density, values[:, first:stop])
    # Seen from the same origin they lie where they do in the whole.
    assert part.origin_angstrom == (0.0, first * part.voxel_size_angstrom, 0.0)
    assert whole.origin_angstrom == (0.0, 0.0, 0.0)
    assert summary["shape"] == [N_Z // binned, stop - first, N_X // binned]
    record = json.loads((tmp_path / "o.provenance.json").read_text())
    assert record["configuration"]["y"] == "6:22"


def test_other_methods_solve_the_problem_of_these_rows(job: Job, tmp_path: Path) -> None:
    _, summary = job("--linearization", "linear", "--y", "5:21", "--hold-out", "4", "--set", "epochs=1", method="sart")
    assert summary["shape"] == [N_Z, 16, N_X]
    assert read_volume(tmp_path / "o.mrc").origin_angstrom == (0.0, 15.0, 0.0)


@pytest.mark.parametrize("method", ["wbp", "sirt", "sart"])
def test_a_state_of_some_rows_is_resumed_and_exported(
    job: Job, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--linearization", "linear", "--y", "5:21", "--state", tmp_path / "s.h5"]
    words += ["--slabs", 3] if method != "sart" else ["--set", "epochs=2"]
    volume, _ = job(*words, method=method)
    again, exported = tmp_path / "again.mrc", tmp_path / "exported.mrc"
    assert run(["resume", str(tmp_path / "s.h5"), "-o", str(again)]) == 0
    assert again.read_bytes() == volume
    assert run(["export", str(tmp_path / "s.h5"), str(exported)]) == 0
    density = read_volume(exported)
    np.testing.assert_array_equal(density.density, read_volume(again).density)
    assert density.origin_angstrom == (0.0, 15.0, 0.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--slabs", "2", "--method", "sart"], "takes the volume as a whole"),
        (["--slabs", "38"], "38 slabs of 37 rows"),
        (["--slabs", "5", "--y", "0:4"], "5 slabs of 4 rows"),
        (["--slabs", "2", "--backend", "reference"], "not on backend reference"),
        (["--y", "5"], "no range of rows"),
        (["--y", "7:7"], "has no row"),
        (["--y", "30:38"], "the stack has 37 rows"),
        (["--y", "36:37", "--bin", "2"], "are cut off"),
    ],
)
def test_what_makes_no_sense_is_refused(
    folder: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.mrc"
    arguments = ["reconstruct", str(folder / "tilts.mrc"), "-o", str(out), "--thickness", "12", "--method", "wbp"]
    assert run([*arguments, *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_view_without_pixels_in_the_rows_is_refused(folder: Path, tmp_path: Path, capsys: Any) -> None:
    mask = np.ones((N_VIEWS, N_Y, N_X), np.float32)
    mask[4, 5:21] = 0
    write_stack(tmp_path / "mask.mrc", mask)
    words = ["reconstruct", str(folder / "tilts.mrc"), "-o", str(tmp_path / "o.mrc"), "--thickness", "12"]
    assert (
        run([*words, "--method", "wbp", "--mask", str(tmp_path / "mask.mrc"), "--y", "5:21", "--linearization", "log"])
        == 2
    )
    assert "every pixel of view 4 is masked in the rows of --y" in capsys.readouterr().err


def test_shifts_of_the_views_and_python(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    geometry = TiltGeometry(
        np.linspace(-60, 60, N_VIEWS), N_X, N_Y, np.linspace(-1, 1, N_VIEWS), np.linspace(1.4, -2.3, N_VIEWS)
    )
    series = TiltSeries(generator.random((N_VIEWS, N_Y, N_X), np.float32), geometry, 2.0)
    for method, options in (("wbp", {}), ("sirt", {"epochs": 2})):
        given = {"thickness": N_Z, "method": method, "options": options, "linearization": "linear"}
        whole = tomokit.reconstruct(series, **given)
        sliced = tomokit.reconstruct(series, **given, slabs=4)
        assert whole.volume.density.tobytes() == sliced.volume.density.tobytes()
        assert whole.history[0]["loss"] == sliced.history[0]["loss"]
    rows = tomokit.reconstruct(series, thickness=N_Z, method="wbp", linearization="linear", y=(4, 20))
    first = tomokit.reconstruct(series, thickness=N_Z, method="wbp", linearization="linear")
    np.testing.assert_array_equal(rows.volume.density, first.volume.density[:, 4:20])


def test_an_interrupt_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        assert len(list(tmp_path.glob(".o.mrc.*.part"))) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(VolumeFile, "fill", interrupt)
    words = ["reconstruct", str(folder / "tilts.mrc"), "-o", str(tmp_path / "o.mrc"), "--thickness", "12"]
    assert run([*words, "--method", "wbp", "--slabs", "3", "--linearization", "log"]) == 130
    assert not list(tmp_path.iterdir())


def test_a_signal_leaves_no_volume(folder: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from tomokit.commands.app import main; from tomokit.io.volume_file import VolumeFile\n"
        "VolumeFile.fill = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "main(sys.argv[1:])"
    )
    words = ["reconstruct", folder / "tilts.mrc", "-o", tmp_path / "o.mrc", "--thickness", "12", "--method", "wbp"]
    done = warm_start.run(["-c", code, *words, "--slabs", "3", "--linearization", "log"])
    assert done.returncode == -signal.SIGTERM
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_disk_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutputError, match=r"o\.mrc: no room on the disk .*; free some space"):
        VolumeFile(tmp_path / "o.mrc", (2, 3, 4))
    assert not list(tmp_path.iterdir())


def test_rows_and_sections_of_a_file(tmp_path: Path) -> None:
    file = VolumeFile(tmp_path / "o.mrc", (3, 5, 4))
    assert not file.mapped().any()
    density = np.arange(60, dtype=np.float32).reshape(4, 3, 5)  # [x, z, y]
    file.write_rows(0, density[:, :, :2])
    file.write_rows(2, density[:, :, 2:])
    np.testing.assert_array_equal(file.mapped(), density.transpose(1, 2, 0))
    np.testing.assert_array_equal(file.read_rows(1, 4), density[:, :, 1:4])
    with pytest.raises(OutputError, match="is not complete"):
        file.statistics  # noqa: B018
    file.fill(file, 0, (2.0, np.float32(0.5)))
    assert (file.statistics.minimum, file.statistics.maximum, file.statistics.mean) == (0.0, 59.0, 29.5)
    file.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "n_y", "factor", "rows"),
    [
        (None, 37, 1, (0, 37)),
        (None, 37, 4, (0, 9)),
        ("0:512", 512, 1, (0, 512)),
        (":3", 37, 1, (0, 3)),
        (" 35 : ", 37, 1, (35, 37)),
        ("3:5", 16, 4, (0, 2)),  # rounded outward to whole bins
        ("4:8", 16, 4, (1, 2)),
        ("0:2", 18, 4, (0, 1)),  # the first row of 18 is cut off: bins begin with the second
        ("5:6", 18, 4, (1, 2)),
        ("17:18", 19, 4, None),  # no bin has the last but one
    ],
)
def test_rows_of_the_binned_stack(text: str | None, n_y: int, factor: int, rows: tuple[int, int] | None) -> None:
    if rows is None:
        with pytest.raises(OptionError, match="cut off"):
            binned_rows(text, n_y, factor)
    else:
        assert binned_rows(text, n_y, factor) == rows


@pytest.mark.parametrize(("method", "least_gib"), [("wbp", 2.5), ("sirt", 5.0)])
def test_a_large_volume_fits_in_8_gib(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, least_gib: float
) -> None:
    """2048 x 2048 x 1000 voxels of 61 views: more than 40 GiB in one piece."""
    n_views, size, gib = 61, 2048, 1 << 30
    entry = get_registry().get("method", method)()
    request = ReconstructionRequest(tmp_path / "a.mrc", tmp_path / "o.mrc", method=method, thickness=1000)
    plan = make_plan(request, (n_views, size, size))
    least = fit_memory.least_bytes_of_fit(request, plan, entry, entry.Options(), "cpu")
    assert plan.bytes_of_problem(masked=False) + least < least_gib * gib
    # One value stands for all of the projections.
    stack = np.broadcast_to(np.float32(0), (n_views, size, size))
    problem = Problem(stack, None, TiltGeometry(np.linspace(-60, 60, n_views), size, size), 1000)

    def slabs_with(left_gib: float) -> int:
        for module in (memory, fit_memory):
            monkeypatch.setattr(module, "available_bytes", lambda *_: int(left_gib * gib))
        return fit_memory.choose_slabs(request, plan, problem, entry, entry.Options(), "cpu", "it")

    assert slabs_with(100) == 0
    assert 2 <= slabs_with(7) <= 32
    with pytest.raises(ResourceError, match=r"it in 128 slabs needs about .* GiB of memory, 1\.0 GiB is available"):
        slabs_with(1)


@pytest.mark.parametrize("words", [{"mask": True}, {"bin": 2, "hold_out": 4}])
def test_only_the_projections_are_kept(tmp_path: Path, words: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    shape = (31, 120, 110)
    # Half-precision pixels are converted, so that nothing of the stack is mapped.
    with mrcfile.new(tmp_path / "t.mrc") as stack:
        stack.set_data((50 + 5 * generator.random(shape)).astype(np.float16))
    (tmp_path / "t.tlt").write_text("\n".join(map(str, np.linspace(-60, 60, shape[0]))))
    options = {**words}
    masked = options.pop("mask", False)
    if masked:
        write_stack(tmp_path / "mask.mrc", (generator.random(shape) > 0.1).astype(np.float32))
        options["mask"] = tmp_path / "mask.mrc"
    request = ReconstructionRequest(tmp_path / "t.mrc", thickness=10, linearization="log", **options)
    plan = make_plan(request, shape)
    prepare(request, plan, MrcReader(), "cpu")  # imports
    tracemalloc.start()
    prepared = prepare(request, plan, MrcReader(), "cpu")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert prepared.problem.projections.any()
    assert kept < 1.01 * plan.bytes_of_problem(masked) + 100_000
