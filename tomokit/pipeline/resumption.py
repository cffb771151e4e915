"""What a resumed run goes on from, and what a state records so that its run can be resumed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.io.given_inputs import is_given_directly
from tomokit.pipeline.machine import Machine, record_of_run
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.provenance import check_inputs
from tomokit.pipeline.request import FILES, ReconstructionRequest
from tomokit.state.record import State


@dataclass(frozen=True)
class Resumed:
    """A state that a run goes on from, and the file that it came from.

    Attributes
    ----------
    state : State
        The run as it was saved.
    path : Path
        The state file as it was asked for.
    used : Path
        The file that was read: it, or its predecessor.
    warnings : list of str
        What is not as it was when the run began.
    """

    state: State
    path: Path
    used: Path
    warnings: list[str] = field(default_factory=list)

    @property
    def machines(self) -> list[Machine]:
        """Machines that the state's arrays were computed on; none where that is not known, or no step is done."""
        return list(self.state.job.get("computed_on", ())) if self.state.arrays else []


def make_job(request: ReconstructionRequest, resumed: Resumed | None = None) -> dict[str, Any]:
    """Record where the files of a job are, how it is saved and on what machines it is computed, for the state.

    Parameters
    ----------
    request : ReconstructionRequest
    resumed : Resumed, optional
        What the job goes on from.

    Returns
    -------
    dict
        JSON-serializable; ``files`` has each by its role, by absolute path and from the state's folder, so that folders
        may be moved together. Empty where no state is kept.
    """
    if request.state is None:
        return {}
    folder = request.state.resolve().parent
    files = {}
    for role in (*FILES, "output"):
        path = getattr(request, role)
        if path is not None and not is_given_directly(role, path):
            absolute = os.path.abspath(path)
            # The way from folder to folder, links resolved in both; the file itself may be a link.
            parent, name = os.path.split(absolute)
            from_here = os.path.relpath(os.path.join(os.path.realpath(parent), name), folder)
            files[role] = {"from_here": from_here, "absolute": absolute}
    kept = ("overwrite", "preview", "threads", "state_epochs", "state_seconds")
    machines = record_of_run([] if resumed is None else resumed.machines)
    return {"files": files, **{name: getattr(request, name) for name in kept}, "computed_on": machines}


def check_same_lattice(plan: Plan, resumed: Resumed) -> None:
    """Refuse to go on where a state's settings do not give its own tomogram and scores, before room is made for any.

    Parameters
    ----------
    plan : Plan
        What follows from the stack's header and the settings.
    resumed : Resumed
        The state.

    Raises
    ------
    InputError
        Naming what differs.
    """
    state, shape = resumed.state, plan.volume_shape
    expected = [shape.n_u, shape.thickness_px, shape.n_y]
    if state.density and state.density["shape_xzy"] != expected:
        sizes = [" x ".join(map(str, (x, y, z))) for x, z, y in (state.density["shape_xzy"], expected)]
        problem, field = f"a tomogram of {sizes[0]} voxels, where its stack and settings give {sizes[1]}", "/density"
    elif bool(state.provenance["views"]["held_out"]) != bool(plan.views.held_out):
        problem, field = "whether views are held out is not what its settings give", "/provenance views"
    else:
        return
    raise InputError(problem, file=resumed.used, field=field, remedy="use the state before it, or another copy")


def check_same_inputs(request: ReconstructionRequest, resumed: Resumed, inputs: dict[str, str]) -> None:
    """Refuse to go on with files that are not those the state was made from.

    Parameters
    ----------
    request : ReconstructionRequest
        Names the files.
    resumed : Resumed
        The state, which has their digests.
    inputs : dict of str to str
        SHA-256 by role, as found now.

    Raises
    ------
    InputError
        Naming the file that differs.
    """
    files = {role: path for role in FILES if (path := getattr(request, role)) is not None}
    check_inputs(inputs, resumed.state.provenance["inputs"], files, resumed.path)
