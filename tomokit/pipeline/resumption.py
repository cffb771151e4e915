"""What a resumed run goes on from, and what a state records so that its run can be resumed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomokit.pipeline.provenance import FILES, check_inputs
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.state.record import State


@dataclass(frozen=True)
class Resumed:
    """What a run goes on from.

    Attributes
    ----------
    state : State
    path : Path
        The state file as it was asked for.
    used : Path
        The file that was read: it, or its predecessor.
    warnings : list of str
        What is not as it was.
    """

    state: State
    path: Path
    used: Path
    warnings: list[str] = field(default_factory=list)


def make_job(request: ReconstructionRequest) -> dict[str, Any]:
    """What a state records of the place: where files are, by absolute path and from the state's folder."""
    if request.state is None:
        return {}
    folder = request.state.resolve().parent
    files = {}
    for role in (*FILES, "output"):
        path = getattr(request, role)
        if path is not None:
            whole = Path(os.path.abspath(path))
            files[role] = {"from_here": os.path.relpath(whole, folder), "absolute": str(whole)}
    kept = ("overwrite", "preview", "threads", "state_epochs", "state_seconds")
    return {"files": files, **{name: getattr(request, name) for name in kept}}


def check_same_inputs(request: ReconstructionRequest, resumed: Resumed, inputs: dict[str, str]) -> None:
    """Refuse to go on with files that are not those the state was made from."""
    files = {role: path for role in FILES if (path := getattr(request, role)) is not None}
    check_inputs(inputs, resumed.state.provenance["inputs"], files, resumed.path)
