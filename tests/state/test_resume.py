"""A run that is stopped and resumed gives the bits of one that never was."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tomokit.errors import OptionError, OutputError, PluginError
from tomokit.io import read_volume
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resume import resume
from tomokit.pipeline.signals import Stop
from tomokit.state.read import read_state
from tomokit.state.record import previous_path

Job = Callable[..., ReconstructionRequest]
StopAfter = Callable[[int], Stop]
Same = Callable[[Any, Any], None]


def untimed(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


@pytest.mark.parametrize("method", ["octree", "sart-tv", "sart", "sirt", "tv"])
def test_stopped_anywhere_and_resumed_it_gives_the_same_bits(
    job: Job, stop_after: StopAfter, same: Same, method: str
) -> None:
    whole = job(method, "whole")
    expected = reconstruct(whole)
    stops = 0
    broken = job(method, "broken")
    # So many looks are a few steps, or one or two epochs of a method whose epochs have no steps.
    looks = 3 if method in ("sirt", "tv") else 7
    summary = reconstruct(broken, stop=stop_after(looks - 2))
    moments = []
    while summary["stopped_by"]:
        assert summary["output"] is None
        assert not broken.output.exists()
        state = read_state(broken.state)
        moments.append((state.epoch, state.paused))
        stops += 1
        summary = resume(broken.state, stop=stop_after(looks))
    assert stops >= 2
    if method in ("octree", "sart-tv", "sart"):
        assert any(paused for _, paused in moments)
    if method == "octree":
        # Updates of the structure on either side of a stop.
        assert {epoch for epoch, _ in moments} >= {0, 2, 4}
    same(read_state(broken.state).arrays, read_state(whole.state).arrays)
    np.testing.assert_array_equal(read_volume(broken.output).density, read_volume(whole.output).density)
    assert untimed(summary["history"]) == untimed(expected["history"])
    records = [json.loads(request.provenance_path.read_text("utf-8")) for request in (whole, broken)]
    assert records[0] == records[1]


def test_the_octree_changes_in_that_job(job: Job, stop_after: StopAfter) -> None:
    request = job("octree")
    leaves = [entry["terms"]["leaves"] for entry in reconstruct(request)["history"]]
    assert leaves[0] != leaves[1] or leaves[1] != leaves[2]
    assert leaves[0] != leaves[-1]


def test_saving_in_the_middle_changes_nothing(job: Job, same: Same) -> None:
    plain, saving = job("sart-tv", "plain"), job("sart-tv", "saving", state_seconds=0.0, state_epochs=1)
    reconstruct(plain)
    summary = reconstruct(saving)
    steps = 4 * 12
    assert summary["checkpoints"]["written"] > steps
    assert summary["checkpoints"]["failed"] == 0
    same(read_state(saving.state).arrays, read_state(plain.state).arrays)


def test_by_epochs_it_is_saved_after_each_and_the_one_before_is_kept(job: Job) -> None:
    request = job("sirt", state_epochs=1)
    assert reconstruct(request)["checkpoints"]["written"] == 5
    assert [read_state(path).epoch for path in (request.state, previous_path(request.state))] == [4, 3]
    assert sorted(path.name for path in request.state.parent.iterdir()) == [
        "out.mrc", "out.provenance.json", "run.h5", "run.previous.h5",
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["sirt", "sart-tv", "tv"])
def test_a_finished_run_is_extended(job: Job, same: Same, method: str) -> None:
    short, long = job(method, "short", options={"epochs": 2}), job(method, "long", options={"epochs": 5})
    reconstruct(short)
    with pytest.raises(OutputError, match="exists already"):
        resume(short.state, epochs=5)
    resume(short.state, epochs=5, overwrite=True)
    reconstruct(long)
    same(read_state(short.state).arrays, read_state(long.state).arrays)
    assert read_state(short.state).provenance == read_state(long.state).provenance
    with pytest.raises(OptionError, match=r"--epochs.*4 where 5 are done"):
        resume(short.state, epochs=4, overwrite=True)


def test_a_finished_run_writes_its_tomogram_again(job: Job) -> None:
    request = job("sirt")
    reconstruct(request)
    saved, first = request.state.read_bytes(), read_volume(request.output).density.copy()
    again = request.output.with_name("again.mrc")
    assert resume(request.state, again)["epochs"] == 4
    np.testing.assert_array_equal(read_volume(again).density, first)
    assert request.state.read_bytes() == saved


def test_the_folder_may_move(job: Job, stop_after: StopAfter, series: Path, tmp_path: Path) -> None:
    """To another place, as on another machine: the inputs beside it, and nothing where it was."""
    request = job("sirt")
    here = request.state.parent
    for name in ("tilts.mrc", "tilts.tlt"):
        (here / name).write_bytes(series.with_name(name).read_bytes())
    reconstruct(dataclasses.replace(request, stack=here / "tilts.mrc"), stop=stop_after(2))
    there = tmp_path / "there"
    here.rename(there)
    resume(there / "run.h5")
    assert (there / "out.mrc").exists()
    assert not here.exists()


def test_a_run_with_fewer_threads_than_were_asked_for_goes_on(job: Job, stop_after: StopAfter, same: Same) -> None:
    from tomokit.pipeline.backend import most_threads

    reconstruct(job("sart", "whole"))
    request = job("sart", threads=most_threads())
    reconstruct(request, stop=stop_after(9))
    resume(request.state, threads=1)
    same(read_state(request.state).arrays, read_state(job("sart", "whole").state).arrays)


def test_a_state_that_is_there_is_not_begun_anew_unasked(job: Job) -> None:
    request = job("sirt")
    reconstruct(request)
    for path in (request.output, request.provenance_path):
        path.unlink()
    with pytest.raises(OutputError, match=r"run\.h5: exists already; continue it by `tomokit resume`"):
        reconstruct(request)
    reconstruct(dataclasses.replace(request, overwrite=True))
    assert read_state(previous_path(request.state)).epoch == 0


def test_options_of_a_state_need_one(job: Job) -> None:
    with pytest.raises(OptionError, match="--state-epochs: there is no state"):
        reconstruct(job("sirt", state=None, state_epochs=1))


def test_the_state_has_a_name_of_its_own(job: Job) -> None:
    request = job("sirt")
    for name in ("out.mrc", "out.provenance.json"):
        with pytest.raises(OutputError, match="--state"):
            reconstruct(dataclasses.replace(request, state=request.output.with_name(name)))
    with pytest.raises(OutputError, match="input of this job"):
        reconstruct(dataclasses.replace(request, state=request.stack, overwrite=True))


def test_a_job_that_fails_before_anything_is_saved_leaves_nothing(job: Job) -> None:
    request = job("octree", options={"optimizers": {"rmsprop": {"lr": 1e38}}, "epochs": 3, "coarse_epochs": 0})
    with pytest.raises(OptionError, match="not finite in epoch 1"):
        reconstruct(request)
    assert list(request.state.parent.iterdir()) == []


def test_a_plugin_that_is_missing_is_named(
    job: Job, stop_after: StopAfter, same: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optimizer of a plugin is found again by its name, and asked for where it is not installed."""
    from tomokit.optimizers.rules import Adam
    from tomokit.plugin.manager import get_registry
    from tomokit.plugin.registry import Entry

    class Mine(Adam):
        name = "mine"
        summary = "Adam by another name"

    def install(version: str) -> None:
        get_registry.cache_clear()
        get_registry().add(Entry.of("optimizer", Mine, "tomokit-mine", version))

    try:
        install("1.0")
        reconstruct(job("octree", "whole", options={"optimizer": "mine", "epochs": 2}))
        request = job("octree", options={"optimizer": "mine", "epochs": 2})
        reconstruct(request, stop=stop_after(9))
        get_registry.cache_clear()
        with pytest.raises(
            PluginError, match=r"run\.h5: needs the optimizer 'mine' of plugin tomokit-mine 1\.0, which"
        ):
            resume(request.state)
        install("1.1")
        summary = resume(request.state)
        assert any("made with tomokit-mine 1.0, continued with 1.1" in line for line in summary["warnings"])
        same(read_state(request.state).arrays, read_state(job("octree", "whole").state).arrays)
    finally:
        get_registry.cache_clear()


def test_a_method_of_a_plugin_that_is_missing_is_named(job: Job) -> None:
    from tomokit.methods.voxels.sirt import Sirt
    from tomokit.plugin.manager import get_registry
    from tomokit.plugin.registry import Entry

    class Mine(Sirt):
        name = "mine"

    try:
        get_registry.cache_clear()
        get_registry().add(Entry.of("method", Mine, "tomokit-mine", "1.0"))
        request = dataclasses.replace(job("sirt"), method="mine")
        reconstruct(request)
        get_registry.cache_clear()
        with pytest.raises(PluginError, match=r"needs the method 'mine' of plugin tomokit-mine 1\.0"):
            resume(request.state)
    finally:
        get_registry.cache_clear()


def test_a_method_of_one_pass_has_a_state_too(job: Job) -> None:
    request = job("sirt", options={})
    request = dataclasses.replace(request, method="wbp")
    reconstruct(request)
    again = request.output.with_name("again.mrc")
    resume(request.state, again)
    np.testing.assert_array_equal(read_volume(again).density, read_volume(request.output).density)
    with pytest.raises(OptionError, match="--epochs: method wbp has no number of epochs"):
        resume(request.state, again, epochs=2, overwrite=True)


def test_settings_that_were_left_open_are_recorded(job: Job) -> None:
    for method in ("octree", "sart-tv", "tv"):
        request = job(method, method)
        reconstruct(request)
        resolved_parameters = read_state(request.state).provenance["resolved_parameters"]
        weight = (
            resolved_parameters["regularizers"]["tv"]["weight"] if method == "octree" else resolved_parameters["weight"]
        )
        assert weight > 0
