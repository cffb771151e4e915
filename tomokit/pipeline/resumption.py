"""What a resumed run goes on from, and what a state records so that its run can be resumed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.io.given_inputs import is_given_directly
from tomokit.pipeline.machine import Machine, moved_warnings, record_of_run
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.progress import Progress, Silent
from tomokit.pipeline.provenance import Provenance, check_inputs, check_plugins
from tomokit.pipeline.request import FILES, ReconstructionRequest
from tomokit.plugin.manager import get_registry
from tomokit.plugin.settings import give_way
from tomokit.state.read import newest_state
from tomokit.state.record import State
from tomokit.version import __version__


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


def read_resumed(path: Path, progress: Progress | None = None) -> Resumed:
    """Read a state that a run is to go on from.

    Parameters
    ----------
    path : Path
        The state; its predecessor is used where it does not verify.
    progress : Progress, optional
        Is told what is not as it was.

    Returns
    -------
    Resumed

    Raises
    ------
    InputError
        If the state is of another version.
    TomokitError
        If none verifies, or a plugin that it needs is missing.
    """
    state, used, warnings = newest_state(path)
    made_by = state.provenance["tomokit"]
    if made_by != __version__:
        raise InputError(
            f"made by tomokit {made_by}, this is {__version__}: the result would not be that of either",
            file=used,
            remedy=f"continue it with tomokit {made_by}; `tomokit export` can sample it as it is",
        )
    warnings += check_plugins(get_registry(), state.provenance["plugins"], used)
    resumed = Resumed(state, path, used, warnings)
    warnings += [f"{path}: {line}" for line in moved_warnings(resumed.machines)]
    for line in warnings:
        (progress or Silent()).warning(line)
    return resumed


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


def check_same_half(provenance: Provenance, resumed: Resumed) -> None:
    """Refuse to go on with the state of a half that belongs to another run.

    Parameters
    ----------
    provenance : dict
        The record of the half that is to be fitted.
    resumed : Resumed
        The state that lies where this half's is kept.

    Raises
    ------
    InputError
        If it was made by other settings, of other views or input.
    """
    found = resumed.state.provenance
    # A run may be continued to another number of epochs.
    if _without_epochs(found) != _without_epochs(provenance):
        raise InputError(
            f"is not the state of the {provenance['half']} half of this run",
            file=resumed.used,
            remedy="put it elsewhere: the half is then fitted anew",
        )


def _without_epochs(provenance: Provenance) -> Provenance:
    configuration = provenance["configuration"]
    options = {key: value for key, value in configuration["options"].items() if key != "epochs"}
    options = give_way(options, {"epochs": None})
    same = ("method", "backend", "seed", "inputs", "views", "linearization", "half")
    return {**{key: provenance.get(key) for key in same}, "configuration": {**configuration, "options": options}}
