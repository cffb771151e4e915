"""What a resumed run goes on from, and what a state records so that its run can be resumed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomokit.io.angle_keyword import names_no_file
from tomokit.pipeline.provenance import FILES, check_inputs
from tomokit.pipeline.request import ReconstructionRequest
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


def make_job(request: ReconstructionRequest) -> dict[str, Any]:
    """Record where the files of a job are, and how it is saved, for the state.

    Parameters
    ----------
    request : ReconstructionRequest

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
        if path is not None and not (role == "angles" and names_no_file(path)):
            absolute = os.path.abspath(path)
            files[role] = {"from_here": os.path.relpath(absolute, folder), "absolute": absolute}
    kept = ("overwrite", "preview", "threads", "state_epochs", "state_seconds")
    return {"files": files, **{name: getattr(request, name) for name in kept}}


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
