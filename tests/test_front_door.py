"""What `import tomokit` offers: its names, when they are loaded, and that they give what the command line gives."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tomokit
from tomokit.commands.app import run
from tomokit.io import read_volume, write_stack

OPTIONS = {"sirt": {"epochs": 4}, "octree": {"epochs": 2}}
OF_THE_MACHINE = {"seconds", "peak_memory_bytes", "output", "preview", "provenance_file", "checkpoints", "history"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tilts.mrc`` with its angles, ``truth.mrc``; not to be written to."""
    place = tmp_path_factory.mktemp("front")
    words = ["--shape", "12,24,24", "--tilts=-60:60:10", "--noise", "0.05", "--seed", "1"]
    assert run(["simulate", str(place / "data"), *words]) == 0
    return place / "data"


@pytest.fixture
def series(folder: Path) -> tomokit.TiltSeries:
    return tomokit.load_series(folder / "tilts.mrc")


def by_command_line(folder: Path, output: Path, method: str, *words: str) -> dict:
    """The summary of the same job by the command line."""
    state = output.with_suffix(".h5")
    settings = [f"--set={name}={value}" for name, value in OPTIONS[method].items()]
    fixed = ["-o", str(output), "--method", method, "--thickness", "12", "--state", str(state), *settings, *words]
    assert run(["reconstruct", str(folder / "tilts.mrc"), *fixed]) == 0
    return json.loads(output.with_suffix(".provenance.json").read_text(encoding="utf-8"))


def test_every_name_that_is_promised_is_there_and_no_other_is_hidden() -> None:
    assert {name: hasattr(tomokit, name) for name in tomokit.__all__} == dict.fromkeys(tomokit.__all__, True)
    assert sorted(tomokit.__all__) == list(tomokit.__all__)
    assert set(tomokit.__all__) <= set(dir(tomokit))
    with pytest.raises(AttributeError, match="no attribute 'reconstuct'"):
        tomokit.reconstuct  # noqa: B018


def test_type_checkers_see_what_is_looked_up() -> None:
    tree = ast.parse(Path(tomokit.__file__).read_text(encoding="utf-8"))
    (branch,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in branch.body for alias in node.names}
    assert {name: f"tomokit.{module}" for name, module in tomokit._HOME.items()} == seen
    assert {*seen, "__version__"} == set(tomokit.__all__)
    for name, module in seen.items():
        assert getattr(importlib.import_module(module), name) is getattr(tomokit, name)


def test_importing_it_loads_nothing_and_takes_no_time() -> None:
    code = (
        "import sys, time; before = set(sys.modules); began = time.perf_counter(); import tomokit;"
        "print(time.perf_counter() - began); print(*(set(sys.modules) - before))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(5)
    ]
    loaded = set(runs[0][1].split())
    assert not {"numpy", "numba", "h5py", "scipy", "mrcfile", "matplotlib", "typer"} & loaded
    assert {name for name in loaded if name.startswith("tomokit")} == {"tomokit", "tomokit.version"}
    assert min(float(lines[0]) for lines in runs) < 0.05


@pytest.mark.parametrize("method", ["sirt", "octree"])
def test_the_volume_is_that_of_the_command_line_bit_for_bit(
    folder: Path, series: tomokit.TiltSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    record = by_command_line(folder, tmp_path / "cli.mrc", method, "--hold-out", "5", "--exclude", "0,3")
    expected = read_volume(tmp_path / "cli.mrc")
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    simulated, _ = tomokit.simulate_series((12, 24, 24), range(-60, 61, 10), noise=0.05, seed=1)
    for given in (folder / "tilts.mrc", str(folder / "tilts.mrc"), series, simulated):
        result = tomokit.reconstruct(
            given, thickness=np.int64(12), method=method, options=OPTIONS[method], hold_out=5, exclude=[0, 3]
        )
        np.testing.assert_array_equal(result.volume.density, expected.density)
        assert result.volume.density.dtype == np.float32
        assert result.volume.voxel_size_angstrom == expected.voxel_size_angstrom
        assert result.offsets.shape == (len(record["views"]["fitted"]),)
        assert result.history == result.summary["history"]
        assert result.summary["output"] is None
        assert result.summary["loss"] == record["loss"]
        json.dumps(result.summary, allow_nan=False)
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_written_is_what_the_command_line_writes(folder: Path, tmp_path: Path) -> None:
    by_command_line(folder, tmp_path / "a.mrc", "sirt")
    (tmp_path / "python").mkdir()
    output = tmp_path / "python" / "a.mrc"
    stack, options = folder / "tilts.mrc", OPTIONS["sirt"]
    result = tomokit.reconstruct(stack, thickness=12, method="sirt", options=options, output=output)
    for name in ("a.mrc", "a.provenance.json", "a.png"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert result.summary["output"] == str(output)
    assert {**result.provenance, "epochs": 4, "loss": result.summary["loss"], "output": "a.mrc"} == json.loads(
        output.with_suffix(".provenance.json").read_text(encoding="utf-8")
    )
    with pytest.raises(tomokit.OutputError, match="exists already"):
        tomokit.reconstruct(stack, thickness=12, method="sirt", options=options, output=output)
    in_memory = tomokit.load_series(stack)
    with pytest.raises(tomokit.OutputError, match="input of this job"):
        tomokit.reconstruct(in_memory, thickness=12, method="sirt", output=stack, overwrite=True)


def test_the_summary_has_the_keys_of_the_command_line(
    folder: Path, series: tomokit.TiltSeries, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-o", str(tmp_path / "a.mrc"), "--preset", "quick", "--thickness", "12", "--bin", "1", "--json"]
    assert run(["reconstruct", str(folder / "tilts.mrc"), *words]) == 0
    expected = json.loads(capsys.readouterr().out)
    from_file = tomokit.reconstruct(folder / "tilts.mrc", thickness=12, preset="quick", bin=1).summary
    in_memory = tomokit.reconstruct(series, thickness=12, preset="quick", bin=1).summary
    assert from_file.keys() == in_memory.keys() == expected.keys()
    as_read = json.loads(json.dumps(from_file))
    differing = {key for key, value in expected.items() if as_read[key] != value}
    assert differing <= OF_THE_MACHINE
    assert set(in_memory["inputs"]) == {"images", "tilt_deg", "shifts_px"}


def test_a_mask_in_memory_is_that_of_a_file(folder: Path, series: tomokit.TiltSeries, tmp_path: Path) -> None:
    mask = np.ones(series.images.shape, np.float32)
    mask[:, 5:9, 6:10] = 0
    write_stack(tmp_path / "mask.mrc", mask)
    spoilt = np.array(series.images)
    spoilt[:, 5:9, 6:10] = np.nan
    fields = {"geometry": series.geometry, "pixel_size_angstrom": series.pixel_size_angstrom}
    job = {"thickness": 12, "method": "sirt", "options": OPTIONS["sirt"], "bin": 2}
    expected = tomokit.reconstruct(folder / "tilts.mrc", mask=tmp_path / "mask.mrc", **job).volume.density
    of_arrays = tomokit.TiltSeries(spoilt.astype(np.float64), **fields)
    for given, extra in (
        (series, {"mask": mask}),
        (series, {"mask": mask[0].astype(bool)}),
        (series, {"mask": tmp_path / "mask.mrc"}),
        (tomokit.TiltSeries(np.array(series.images), mask=mask, **fields), {}),
        (of_arrays, {"mask": mask}),
    ):
        np.testing.assert_array_equal(tomokit.reconstruct(given, **extra, **job).volume.density, expected)
    with pytest.raises(tomokit.InputError, match="every view: 208 of 7488 pixels are NaN"):
        tomokit.reconstruct(of_arrays, **job)


def test_angles_are_moved_and_the_pixel_size_is_replaced(folder: Path, series: tomokit.TiltSeries) -> None:
    job = {"thickness": 12, "method": "wbp", "tilt_offset": 2.5, "pixel_size": 7.0}
    from_file, in_memory = (tomokit.reconstruct(given, **job) for given in (folder / "tilts.mrc", series))
    np.testing.assert_array_equal(in_memory.volume.density, from_file.volume.density)
    assert in_memory.volume.voxel_size_angstrom == from_file.volume.voxel_size_angstrom == 7.0
    assert not np.array_equal(
        from_file.volume.density, tomokit.reconstruct(series, thickness=12, method="wbp").volume.density
    )
    assert series.geometry.tilt_deg[0] == -60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--thickness: is not given"),
        ({"thickness": 12, "method": "sirrt"}, "did you mean sirt"),
        ({"thickness": 12, "options": {"epoch": 3}}, "did you mean epochs"),
        ({"thickness": 12, "preset": "quik"}, "did you mean quick"),
        ({"thickness": "thick"}, "reconstruct: thickness: 'thick' is not a whole number"),
        ({"thickness": 12, "angles": "tilts.tlt"}, "angles: is for a series in a file"),
        ({"thickness": 12, "state": "run.h5"}, "state: is for a series in a file"),
        ({"thickness": 12, "mask": np.ones((2, 2))}, "mask of shape"),
        ({"thickness": 12, "exclude": [13]}, "no view 13"),
        ({"thickness": 12, "state_epochs": 2}, "no state to save"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(series: tomokit.TiltSeries, options: dict, message: str) -> None:
    with pytest.raises(tomokit.TomokitError) as refused:
        tomokit.reconstruct(series, **options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_are_not_there_and_masks_that_are_arrays_are_refused(folder: Path) -> None:
    with pytest.raises(tomokit.InputError, match=r"none\.mrc"):
        tomokit.reconstruct(folder / "none.mrc", thickness=12)
    with pytest.raises(tomokit.OptionError, match="an array, where the series is a file"):
        tomokit.reconstruct(folder / "tilts.mrc", thickness=12, mask=np.ones((24, 24)))
    with pytest.raises(tomokit.StateError):
        tomokit.resume(folder / "none.h5")


def test_angles_out_of_order_are_taken_when_allowed(series: tomokit.TiltSeries) -> None:
    order = np.argsort(np.abs(series.geometry.tilt_deg), kind="stable")
    acquired = series.select(order)
    with pytest.raises(tomokit.InputError, match="not sorted"):
        tomokit.reconstruct(acquired, thickness=12, method="wbp")
    result = tomokit.reconstruct(acquired, thickness=12, method="wbp", allow_unsorted=True)
    assert any("not sorted" in warning for warning in result.summary["warnings"])
    twice = series.select([0, 1, 1])
    with pytest.raises(tomokit.InputError, match="have the same angle"):
        tomokit.reconstruct(twice, thickness=12, method="wbp")


def test_a_run_is_continued_to_the_same_bits_and_written_where_asked(folder: Path, tmp_path: Path) -> None:
    job = {"thickness": 12, "method": "sirt"}
    whole = tomokit.reconstruct(folder / "tilts.mrc", options={"epochs": 4}, **job)
    state = tmp_path / "run.h5"
    begun = tomokit.reconstruct(folder / "tilts.mrc", options={"epochs": 2}, state=state, **job)
    assert [path.suffix for path in tmp_path.iterdir()] == [".h5", ".h5"]
    assert run(["resume", str(state)]) == 2, "no output was ever named"
    result = tomokit.resume(state, epochs=4)
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3, 4]
    assert begun.history == result.history[:2]
    np.testing.assert_array_equal(result.volume.density, whole.volume.density)
    assert not (tmp_path / "out.mrc").exists()
    written = tomokit.resume(str(state), output=str(tmp_path / "out.mrc"))
    np.testing.assert_array_equal(read_volume(tmp_path / "out.mrc").density, whole.volume.density)
    assert written.summary["output"] == str(tmp_path / "out.mrc")


def test_a_projection_is_that_of_the_command_line_whatever_it_is_given(folder: Path, tmp_path: Path) -> None:
    truth, angles, output = folder / "truth.mrc", folder / "tilts.tlt", tmp_path / "views.mrc"
    assert run(["project", str(truth), "--angles", str(angles), "-o", str(output), "--tilt-offset", "1"]) == 0
    expected = tomokit.load_series(output, angles=angles)
    volume = read_volume(truth)
    tilt_deg = np.arange(-60, 61, 10)
    geometry = tomokit.TiltGeometry(tilt_deg, n_u=24, n_v=24)
    for given, by in (
        (truth, angles), (str(truth), str(angles)), (volume, tilt_deg), (volume.density, list(tilt_deg)),
        (volume.density.astype(np.float64), geometry),
    ):  # fmt: skip
        views = tomokit.project(given, by, tilt_offset=1)
        np.testing.assert_array_equal(views.images, expected.images)
        np.testing.assert_allclose(views.geometry.tilt_deg, tilt_deg + 1)
    assert tomokit.project(volume, tilt_deg).pixel_size_angstrom == volume.voxel_size_angstrom
    assert tomokit.project(volume, tilt_deg, size=30).images.shape == (13, 24, 30)
    again = tmp_path / "again.mrc"
    tomokit.project(truth, angles, tilt_offset=1.0, output=again)
    assert again.read_bytes() == output.read_bytes()
    with pytest.raises(tomokit.OutputError, match="exists already"):
        tomokit.project(truth, angles, output=again)


def test_a_projection_can_be_reconstructed_again(folder: Path) -> None:
    truth = read_volume(folder / "truth.mrc")
    views = tomokit.project(truth, np.arange(-60.0, 61.0, 5.0))
    found = tomokit.reconstruct(views, thickness=12, method="sirt", options={"epochs": 30})
    assert np.corrcoef(found.volume.density.ravel(), truth.density.ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    ("volume", "angles", "options", "message"),
    [
        (np.ones((3, 3)), [0.0], {}, "three axes"),
        (np.ones((3, 4, 5)), [0.0, 91.0], {}, "beyond 90 degrees"),
        (np.ones((3, 4, 5)), [np.nan], {}, "finite numbers"),
        (np.full((3, 4, 5), np.inf), [0.0], {}, "NaN or infinite"),
        (np.ones((3, 4, 5)), [0.0], {"backend": "gpu"}, "choose from"),
    ],
)
def test_projections_that_make_no_sense_are_refused(
    volume: np.ndarray, angles: list[float], options: dict, message: str
) -> None:
    with pytest.raises(tomokit.TomokitError, match=message):
        tomokit.project(volume, angles, **options)
    with pytest.raises(tomokit.OptionError, match="the detector's size"):
        tomokit.project(np.ones((3, 4, 5)), tomokit.TiltGeometry(np.zeros(1), 5, 4), size=5)


def test_measures_are_those_of_the_command_line_whatever_they_are_given(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, truth = tmp_path / "found.mrc", folder / "truth.mrc"
    found = tomokit.reconstruct(folder / "tilts.mrc", thickness=12, method="wbp", output=path).volume
    words = ["--scale", "fit", "--box", "2:10,0:24,3:20", "--json"]
    capsys.readouterr()
    assert run(["compare", str(path), str(truth), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    for judged, true in ((path, truth), (found, read_volume(truth)), (found.density, read_volume(truth).density)):
        measured = tomokit.compare(judged, true, scale="fit", box="2:10,0:24,3:20")
        assert measured == {key: told[key] for key in measured}
    with pytest.raises(tomokit.InputError, match=r"found\.mrc"):
        tomokit.compare(path, np.zeros((2, 2, 2)))
    with pytest.raises(tomokit.OptionError):
        tomokit.compare(found, truth, box="everywhere")


@pytest.mark.parametrize("name", ["pipeline.api", "pipeline.projection", "pipeline.comparison"])
def test_the_examples_in_the_docstrings_are_so(name: str) -> None:
    module = importlib.import_module(f"tomokit.{name}")
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried > 1
