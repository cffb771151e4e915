"""The state file: what is in it, what is refused, and what a full disk does."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import warm_start

import tomokit
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resume import resume
from tomokit.pipeline.signals import Stop
from tomokit.state.read import newest_state, read_state
from tomokit.state.record import State, previous_path
from tomokit.state.seal import FORMAT_VERSION, SEAL_BYTES, DamagedState, StateError, seal_of
from tomokit.state.write import write_state

Job = Callable[..., ReconstructionRequest]
PROVENANCE = {
    "tomokit": tomokit.__version__, "method": "sirt", "backend": "cpu", "seed": 3, "configuration": {"options": {}},
    "resolved_parameters": {}, "inputs": {"stack": "0" * 64}, "plugins": [], "series": {},
    "views": {"fitted": [0, 1], "held_out": []},
    "linearization": {"kind": "linear", "imin": 0.0, "imax": 1.0, "scale": 1.0, "volume_units": "none"},
}  # fmt: skip
JOB = {"files": {}, "overwrite": False, "preview": True, "threads": None, "state_epochs": None, "state_seconds": None}
DENSITY = {
    "kind": "voxels", "array": "density", "margin_px": 0, "scale": 1.0, "least": None, "shape_xzy": [10, 2, 7],
    "voxel_size_angstrom": 2.0, "voxel_size_is_known": True, "units_scale": 1.0, "units": "none",
}  # fmt: skip


def a_state(epoch: int = 1, size: int = 100) -> State:
    """Arrays of several types, with no elements, of no axes, not in C order."""
    arrays = {
        "density": np.random.default_rng(epoch).random((size, 2, 7), dtype=np.float32),
        "nothing": np.zeros((0, 3)),
        "count": np.array(5),
        "turned": np.arange(12.0).reshape(3, 4).T,
    }
    history = [{"epoch": n, "loss": 1.0, "terms": {}, "held_out": None, "seconds": 0.1} for n in range(1, epoch + 1)]
    density = {**DENSITY, "shape_xzy": [size, 2, 7]}
    return State(epoch, 99, False, dict(PROVENANCE), dict(JOB), history, density, arrays)


def flip(path: Path, position: int, bit: int = 3) -> None:
    """Change one bit."""
    with path.open("r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ (1 << bit)]))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, state = tmp_path / "run.h5", a_state()
    write_state(path, state)
    found = read_state(path)
    assert (found.epoch, found.epochs, found.paused, found.provenance) == (1, 99, False, PROVENANCE)
    assert found.arrays.keys() == state.arrays.keys()
    for name, array in state.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    found.arrays["density"][...] = 0
    np.testing.assert_array_equal(read_state(path).arrays["density"], state.arrays["density"])


def test_h5py_alone_reads_it(job: Job) -> None:
    """As ``docs/state-format.md`` says."""
    request = job("sart-tv")
    reconstruct(request)
    with h5py.File(request.state) as file:
        assert (file.attrs["format"], file.attrs["format_version"]) == ("tomokit state", FORMAT_VERSION)
        assert (file.attrs["tomokit"], file.attrs["method"]) == (tomokit.__version__, "sart-tv")
        assert (file.attrs["epoch"], file.attrs["epochs"], file.attrs["paused"]) == (4, 4, False)
        provenance, history = json.loads(file["provenance"][()]), json.loads(file["history"][()])
        assert provenance["inputs"]["stack"] == hashlib.sha256(request.stack.read_bytes()).hexdigest()
        assert provenance["configuration"]["options"]["relaxation"] == 0.1
        assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
        assert set(file["arrays"]) == {"density", "offsets", "dual", "sweep"}
        for dataset in (*file["arrays"].values(), file["provenance"], file["job"], file["history"], file["density"]):
            data = dataset[()]
            whole = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
            assert dataset.attrs["sha256"].decode() == hashlib.sha256(whole).hexdigest()


def test_the_provenance_tells_nothing_of_the_machine(job: Job) -> None:
    import socket

    from PIL import Image

    request = job("octree", threads=1, preview=True)
    reconstruct(request)
    with h5py.File(request.state) as file:
        text = file["provenance"][()].decode("utf-8")
    for word in (str(request.stack.parent), str(request.state.parent), socket.gethostname(), "threads"):
        assert word not in text
    record = json.loads(request.provenance_path.read_text("utf-8"))
    assert record.items() >= json.loads(text).items()
    assert record["output"] == "out.mrc"
    assert request.preview_path is not None
    assert json.loads(Image.open(request.preview_path).info["Description"]) == record


def test_a_bit_flipped_anywhere_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_state(path, a_state())
    size = path.stat().st_size
    random = np.random.default_rng(0)
    places = [*range(SEAL_BYTES), *random.integers(SEAL_BYTES, size, 300).tolist(), size - 1]
    for place in places:
        bit = int(random.integers(8))
        flip(path, place, bit)
        with pytest.raises(DamagedState, match=r"run\.h5: (damaged|is no state)"):
            read_state(path)
        flip(path, place, bit)
    assert read_state(path).epoch == 1


def test_an_array_that_does_not_agree_with_its_digest_is_named(tmp_path: Path) -> None:
    """As if the disk had returned something else when the seal was made."""
    path = tmp_path / "run.h5"
    write_state(path, a_state())
    with h5py.File(path) as file:
        offset = file["arrays/density"].id.get_offset()
    flip(path, offset + 5)
    whole = path.read_bytes()
    path.write_bytes(seal_of(len(whole), hashlib.sha256(whole[SEAL_BYTES:]).hexdigest()) + whole[SEAL_BYTES:])
    with pytest.raises(DamagedState, match="/arrays/density: damaged"):
        read_state(path)


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "other", "gone"])
def test_where_the_newest_is_damaged_the_one_before_is_used(
    job: Job, stop_after: Callable[[int], Stop], same: Callable[..., None], harm: str
) -> None:
    reconstruct(job("sirt", "whole"))
    request = job("sirt", state_epochs=1)
    reconstruct(request, stop=stop_after(5))
    newest, before = (read_state(path).epoch for path in (request.state, previous_path(request.state)))
    assert newest == before + 1 >= 2
    kept = previous_path(request.state).read_bytes()
    if harm == "flip":
        flip(request.state, request.state.stat().st_size // 2)
    elif harm == "cut":
        os.truncate(request.state, request.state.stat().st_size - 7)
    elif harm == "empty":
        os.truncate(request.state, 0)
    elif harm == "other":
        request.state.write_bytes(request.stack.read_bytes())
    else:
        request.state.unlink()
    used, path, (warning,) = newest_state(request.state)
    assert (used.epoch, path) == (before, previous_path(request.state))
    assert str(request.state) in warning
    assert "run.previous.h5" in warning
    stopped = resume(request.state, stop=stop_after(0))
    # What was damaged has not become the predecessor.
    assert previous_path(request.state).read_bytes() == kept
    assert stopped["warnings"][-1] == warning
    assert resume(request.state)["epochs"] == 4
    same(read_state(request.state).arrays, read_state(job("sirt", "whole").state).arrays)


def test_another_version_of_the_format_is_refused_though_there_is_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_state(path, a_state(1))
    write_state(path, a_state(2))
    whole = path.read_bytes()
    path.write_bytes(seal_of(len(whole), hashlib.sha256(whole[SEAL_BYTES:]).hexdigest(), 7) + whole[SEAL_BYTES:])
    with pytest.raises(StateError, match=r"a state of format 7, but this version of tomokit reads format 2"):
        newest_state(path)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow beyond `size`: the same errors as of a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("told_before", [True, False])
def test_a_full_disk_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told_before: bool) -> None:
    """Whether the file system says so when it is asked, or only while HDF5 writes."""
    path = tmp_path / "run.h5"
    write_state(path, a_state(1))
    write_state(path, a_state(2))
    if not told_before:
        monkeypatch.delattr(os, "posix_fallocate")
    for size in (700, 5000, 50_000):
        with files_up_to(size), pytest.raises(OSError, match="File too large") as caught:
            write_state(path, a_state(3, 4000))
        assert caught.value.errno == errno.EFBIG
        assert [read_state(file).epoch for file in (path, previous_path(path))] == [2, 1]
        assert len(list(tmp_path.iterdir())) == 2


def test_a_run_goes_on_where_it_cannot_be_saved(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails to sync the first and the third state: two warnings, and the same tomogram."""
    reconstruct(job("sirt", "whole", state=None))
    request, calls, real = job("sirt", state_epochs=1), 0, os.fsync

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        # Of a state that succeeds: the file, the seal, the folder.
        if calls in (1, 5):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    summary = reconstruct(request)
    warnings = [line for line in summary["warnings"] if "could not be saved" in line]
    assert len(warnings) == summary["checkpoints"]["failed"] == 2
    assert "epoch 0 could not be saved (Input/output error); there is no state yet" in warnings[0]
    assert "epoch 2 could not be saved (Input/output error); the state before it is kept" in warnings[1]
    assert summary["checkpoints"]["written"] == 3
    assert read_state(request.state).epoch == 4
    assert request.output.read_bytes() == job("sirt", "whole").output.read_bytes()


def test_what_a_killed_process_left_is_removed(job: Job) -> None:
    request = job("sirt")
    left = request.state.with_name(".run.h5.0123abcd.part")
    other = request.state.with_name(".other.h5.0123abcd.part")
    for path in (left, other):
        path.write_bytes(b"half")
    reconstruct(request)
    assert not left.exists()
    assert other.exists()


def test_a_state_is_there_at_every_moment(tmp_path: Path) -> None:
    """While one process writes over and over, another one always finds a whole state under the name."""
    path = tmp_path / "run.h5"
    write_state(path, a_state(1))
    code = """
import sys; from pathlib import Path; from dataclasses import replace
from tomokit.state.read import read_state; from tomokit.state.write import write_state
path = Path(sys.argv[1]); state = read_state(path)
for epoch in range(2, 60): write_state(path, replace(state, epoch=epoch, history=state.history * epoch))
"""
    writer = warm_start.Started(["-c", code, path])
    seen = []
    while writer.poll() is None:
        seen.append(read_state(path).epoch)
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
