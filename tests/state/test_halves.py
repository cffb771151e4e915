"""Two halves with a state: stopped anywhere and resumed they give the same files; what does not belong is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from tomokit.errors import InputError, OutputError
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.half_jobs import HALVES, evidence_paths, half_request
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resume import resume
from tomokit.pipeline.signals import Stop
from tomokit.state.read import read_state

Job = Callable[..., ReconstructionRequest]
StopAfter = Callable[[int], Stop]


def written(request: ReconstructionRequest) -> dict[str, bytes]:
    """All files of a job but its states, by name."""
    assert request.output is not None
    return {path.name: path.read_bytes() for path in request.output.parent.iterdir() if path.suffix != ".h5"}


@pytest.mark.parametrize("method", [pytest.param("octree", marks=pytest.mark.long), "sirt"])
def test_stopped_anywhere_and_resumed_it_gives_the_same_files(job: Job, stop_after: StopAfter, method: str) -> None:
    changes = {"options": {"epochs": 2}, "hold_out": None} if method == "sirt" else {}
    whole, broken = (job(method, folder, halves=True, **changes) for folder in ("whole", "broken"))
    reconstruct(whole)
    looks = 4 if method == "sirt" else 14
    summary = reconstruct(broken, stop=stop_after(looks - 2))
    stopped_in = []
    while summary["stopped_by"]:
        # Nothing that could be taken for a result, whichever of the three fits was stopped.
        assert written(broken) == {}
        assert summary["output"] is None
        stopped_in.append(summary["halves"] and summary["halves"]["stopped_in"])
        summary = resume(broken.state, stop=stop_after(looks))  # type: ignore[arg-type]
    assert set(stopped_in) == {None, *HALVES}
    files = written(broken)
    assert len(files) == 3 * 2 + len(evidence_paths(broken))
    assert files == written(whole)


@pytest.mark.long
def test_the_structure_is_that_of_the_fit_to_all_views(job: Job) -> None:
    request = job("octree", halves=True)
    reconstruct(request)
    whole, *halves = (read_state(one.state) for one in (request, *(half_request(request, half) for half in HALVES)))
    for half in halves:
        for name in ("forest_level", "forest_index"):
            assert (half.arrays[name] == whole.arrays[name]).all()
        # Scales, unit, weights: all that the fit made of its data.
        assert half.provenance["resolved_parameters"] == whole.provenance["resolved_parameters"]
        assert half.provenance["linearization"] == whole.provenance["linearization"]


def test_states_that_are_not_of_this_run_are_refused(job: Job, stop_after: StopAfter) -> None:
    request = job("sirt", halves=True)
    even, odd = (half_request(request, half).state for half in HALVES)
    assert request.state is not None
    assert even is not None
    assert odd is not None
    reconstruct(request, stop=stop_after(9))
    with pytest.raises(InputError, match="even half of a run with --halves"):
        resume(even, request.output)
    odd.write_bytes(even.read_bytes())
    with pytest.raises(InputError, match="not the state of the odd half"):
        resume(request.state)
    assert written(request) == {}
    odd.unlink()
    for previous in odd.parent.glob("run_odd*"):
        previous.unlink()
    assert resume(request.state)["stopped_by"] is None
    with pytest.raises(OutputError, match="exists already"):
        reconstruct(dataclasses.replace(request, output=odd.with_name("new.mrc")))
