"""States that are sealed but not what a state has to be, and what a state may not decide by itself."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mangled_states import replace_text, seal, store

from tomokit.errors import InputError, OptionError, OutputError
from tomokit.pipeline import machine
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.export import export
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resume import load_resumption, resume
from tomokit.state.inspection import describe_state
from tomokit.state.read import read_state
from tomokit.state.record import previous_path
from tomokit.state.seal import DamagedState, StateError

Job = Callable[..., ReconstructionRequest]


@pytest.fixture
def finished(job: Job) -> Path:
    """A finished run by SIRT, its tomogram removed, with no predecessor to fall back on."""
    request = job("sirt", options={"epochs": 1})
    reconstruct(request)
    for path in (request.output, request.provenance_path, previous_path(request.state)):
        path.unlink()
    return request.state


def edit(path: Path, name: str, change: Callable[[Any], object]) -> None:
    """Change one of the texts of a state in place, and seal it again."""
    with h5py.File(path, "r+") as file:
        value = json.loads(file[name][()])
        change(value)
        replace_text(file, name, json.dumps(value))
    seal(path)


@pytest.mark.parametrize(
    ("name", "keys", "value", "words"),
    [
        ("provenance", ("seed",), "0", "/provenance seed: input should be a valid integer"),
        ("provenance", ("method",), "a\x1b[2J", "control characters"),
        ("provenance", ("views", "fitted"), [-1], r"/provenance views.fitted.0: input should be greater"),
        ("provenance", ("inputs",), {}, r"/provenance inputs: dictionary should have at least 1 item"),
        ("provenance", ("configuration", "thickness"), 10**30, "a number of more than 64 bits"),
        ("job", ("files", "output", "absolute"), "a\0b", "/job: is not what a state has"),
        ("job", ("state_seconds",), float("nan"), "/job state_seconds: input should be"),
        ("history", (0, "loss"), float("inf"), r"/history 0.loss: input should be a finite number"),
        ("history", (0, "held_out"), None, "does not score the views that were held out"),
        ("history", (0, "held_out", "ring_correlation"), [0.5, "x"], "/history 0.held_out.ring_correlation.1"),
        ("history", (0, "held_out", "mean_ring_correlation"), float("nan"), "mean_ring_correlation: input should be"),
        ("density", ("kind",), "cloud", "/density: input tag 'cloud'"),
        ("density", ("shape_xzy",), [4096, 4096, 4096], r"/arrays/density: shape"),
        ("density", ("voxel_size_angstrom",), 0, "voxel_size_angstrom: input should be greater than 0"),
    ],
)  # fmt: skip
def test_a_field_that_is_no_such_field_is_named(
    finished: Path, name: str, keys: tuple[Any, ...], value: object, words: str
) -> None:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    edit(finished, name, change)
    with pytest.raises(DamagedState, match=words):
        read_state(finished)
    with pytest.raises(DamagedState):
        resume(finished, finished.with_name("again.mrc"))
    assert not finished.with_name("again.mrc").exists()


def in_another_file(file: Any, name: str) -> None:
    file.create_dataset(name, (10,), "u1", external=[("/etc/hostname", 0, 10)])


def virtual(file: Any, name: str) -> None:
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (10,))
    file.create_virtual_dataset(name, layout)


def soft_link(file: Any, name: str) -> None:
    file[name] = h5py.SoftLink("/history")


def external_link(file: Any, name: str) -> None:
    file[name] = h5py.ExternalLink("other.h5", "/history")


def huge_and_empty(file: Any, name: str) -> None:
    file.create_dataset(name, (1 << 40,), "f4")


def huge_in_chunks(file: Any, name: str) -> None:
    file.create_dataset(name, (1 << 20, 1 << 20), "f4", chunks=(64, 64))


def compressed(file: Any, name: str) -> None:
    file.create_dataset(name, data=np.zeros(1000), compression="gzip")


def long_text(file: Any, name: str) -> None:
    file.create_dataset(name, (), f"S{1 << 30}")


def big_endian(file: Any, name: str) -> None:
    file.create_dataset(name, data=np.zeros(5, ">f4"))


def group(file: Any, name: str) -> None:
    file.create_group(name)


@pytest.mark.parametrize("place", ["arrays/density", "arrays/extra", "history"])
@pytest.mark.parametrize(
    "make",
    [
        in_another_file, virtual, soft_link, external_link, huge_and_empty, huge_in_chunks, compressed, long_text,
        big_endian, group,
    ],
)  # fmt: skip
def test_only_arrays_and_texts_in_one_piece_are_read(
    finished: Path, place: str, make: Callable[[Any, str], None]
) -> None:
    with h5py.File(finished, "r+") as file:
        if place in file:
            del file[place]
        make(file, place)
    seal(finished)
    with pytest.raises(DamagedState, match=f"/{place}: "):
        read_state(finished)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_density_that_is_not_finite_is_never_written(finished: Path, value: float) -> None:
    with h5py.File(finished, "r+") as file:
        density = file["arrays/density"][()]
        density[3, 4, 5] = value
        del file["arrays/density"]
        store(file["arrays"], "density", density)
    seal(finished)
    output = finished.with_name("again.mrc")
    for write in (resume, export):
        with pytest.raises(InputError, match=r"run\.h5: .*density: has (values|densities) that are not finite"):
            write(finished, output)
    assert not output.exists()


def test_a_scale_that_overflows_is_not_written(finished: Path) -> None:
    edit(finished, "density", lambda density: density.update(units_scale=1e300))
    with pytest.raises(InputError, match="in the units of the output is not finite"):
        export(finished, finished.with_name("again.mrc"))
    assert not finished.with_name("again.mrc").exists()


@pytest.mark.parametrize("method", ["octree", "sart"])
def test_counters_of_another_run_are_refused(job: Job, stop_after: Callable[[int], Any], method: str) -> None:
    request = job(method)
    reconstruct(request, stop=stop_after(3))
    state = read_state(request.state)
    name = {"octree": "epoch_progress", "sart": "sweep"}[method]
    if method == "octree":
        progress = json.loads(state.arrays[name].tobytes())
        spoilt = np.frombuffer(json.dumps({**progress, "step": 10**9}).encode(), np.uint8)
    else:
        spoilt = np.array([10.0**9, 0.0])
    with h5py.File(request.state, "r+") as file:
        del file["arrays"][name]
        store(file["arrays"], name, spoilt)
    seal(request.state)
    with pytest.raises(InputError, match=f"{name}: 1000000000|{name}: 1e"):
        resume(request.state)


def test_states_of_before_texts_had_a_length_are_read(finished: Path) -> None:
    """Texts and digests as strings of variable length, and no record of machines."""
    before = read_state(finished)
    with h5py.File(finished, "r+") as file:
        for name in ("provenance", "job", "history", "density"):
            value = json.loads(file[name][()])
            if name == "job":
                del value["computed_on"]
            replace_text(file, name, json.dumps(value, indent=1))
        for dataset in file["arrays"].values():
            dataset.attrs["sha256"] = dataset.attrs["sha256"].decode()
    seal(finished)
    after = read_state(finished)
    assert (after.provenance, after.history, after.density) == (before.provenance, before.history, before.density)
    summary = resume(finished, finished.with_name("again.mrc"))
    assert summary["warnings"] == []


def test_an_output_elsewhere_has_to_be_confirmed(job: Job, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    request = dataclasses.replace(job("sirt", options={"epochs": 1}), output=elsewhere / "out.mrc")
    reconstruct(request)
    for path in elsewhere.iterdir():
        path.unlink()
    with pytest.raises(OptionError, match=r"--output: .*elsewhere/out\.mrc, which is not beside the state; confirm it"):
        resume(request.state)
    assert list(elsewhere.iterdir()) == []
    assert resume(request.state, request.output)["output"] == str(request.output)


@pytest.mark.parametrize("name", ["out.mrc", "out.provenance.json"])
def test_a_link_to_elsewhere_is_no_output_beside(finished: Path, tmp_path: Path, name: str) -> None:
    finished.with_name(name).symlink_to(tmp_path / "victim")
    with pytest.raises(OptionError, match="--output"):
        resume(finished)
    assert not (tmp_path / "victim").exists()


def test_a_state_cannot_say_that_files_are_replaced(finished: Path) -> None:
    edit(finished, "job", lambda job: job.update(overwrite=True))
    edit(finished, "provenance", lambda record: record["configuration"].update(overwrite=True, output="/tmp/x.mrc"))
    output = finished.with_name("out.mrc")
    output.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        resume(finished)
    assert output.read_text() == "precious"
    assert resume(finished, overwrite=True)["output"] == str(output)


def test_a_tomogram_of_another_size_is_refused_before_room_is_made(finished: Path) -> None:
    edit(finished, "provenance", lambda record: record["configuration"].update(thickness=48))
    with pytest.raises(InputError, match=r"32 x 32 x 16 voxels, where its stack and settings give 32 x 32 x 48"):
        resume(finished, finished.with_name("again.mrc"))


def test_a_pipe_is_no_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.h5")
    with pytest.raises(StateError, match="is a pipe or a device"):
        read_state(tmp_path / "run.h5")


def test_another_kind_of_processor_is_warned_of(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here,) = read_state(finished).job["computed_on"]
    assert here == machine.describe_machine()
    assert describe_state(finished)["computed_on"] == [here]
    assert load_resumption(finished)[1].warnings == []
    there = {**here, "processor": "abacus", "versions": {**here["versions"], "numba": "0.1"}}
    monkeypatch.setattr(machine, "describe_machine", lambda: there)
    (warning,) = load_resumption(finished)[1].warnings
    assert f"processor {here['processor']}, now abacus; numba {here['versions']['numba']}, now 0.1" in warning
    # What it goes on with is recorded after what it began with.
    resume(finished, finished.with_name("again.mrc"), epochs=2)
    assert read_state(finished).job["computed_on"] == [here, there]


def test_other_instruction_sets_are_told_by_name() -> None:
    here = {"processor": "a", "features": ["+avx", "+avx2"], "versions": {}}
    assert machine.differences(here, {**here, "features": ["+avx"]}) == "a processor that differs in avx2"
    assert machine.differences(here, here) == ""


def test_a_state_from_before_there_were_rings_is_resumed(finished: Path) -> None:
    def without_rings(history: list[dict[str, Any]]) -> None:
        for entry in history:
            del entry["held_out"]["ring_correlation"], entry["held_out"]["mean_ring_correlation"]

    edit(finished, "history", without_rings)
    summary = resume(finished, finished.with_name("again.mrc"))
    assert summary["held_out"]["ring_correlation"] is None
    assert summary["held_out"]["correlation"] == summary["history"][0]["held_out"]["correlation"]
    longer = resume(finished, finished.with_name("longer.mrc"), epochs=2)
    assert "ring_correlation" not in longer["history"][0]["held_out"]
    assert len(longer["history"][1]["held_out"]["ring_correlation"]) == 10
