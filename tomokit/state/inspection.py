"""The facts of a state as ``tomokit inspect`` shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tomokit.state.read import read_state
from tomokit.state.record import previous_path
from tomokit.state.seal import FORMAT_VERSION, StateError


def describe_state(path: Path) -> dict[str, Any]:
    """Verify a state file and describe what it holds.

    Parameters
    ----------
    path : Path
        The state file.

    Returns
    -------
    dict
        JSON-serializable: ``file``, ``kind`` (``"state"``), how far the run has come, what its result depends on, every
        array with its type and shape, and ``warnings``.

    Raises
    ------
    StateError
        If the file does not verify. A damaged predecessor is only a warning.
    """
    state = read_state(path)
    provenance, history, warnings = state.provenance, state.history, []
    before = previous_path(path.resolve())
    previous: dict[str, Any] | None = None
    if before.exists():
        try:
            previous = {"file": before.name, "epoch": read_state(before).epoch}
        except StateError as error:
            warnings.append(f"the state before it cannot be used: {error}")
    return {
        "file": path.name,
        "kind": "state",
        "format": FORMAT_VERSION,
        "verified": "every byte, and every array on its own",
        "tomokit": provenance["tomokit"],
        "method": provenance["method"],
        "backend": provenance["backend"],
        "seed": provenance["seed"],
        "epoch": state.epoch,
        "epochs": state.epochs,
        "finished": state.finished,
        "in_the_middle_of_an_epoch": state.paused,
        "loss": history[-1]["loss"] if history else None,
        "configuration": provenance["configuration"],
        "resolved_parameters": provenance["resolved_parameters"],
        "inputs": provenance["inputs"],
        "plugins": provenance["plugins"],
        "computed_on": state.job.get("computed_on", []),
        "arrays": {name: f"{array.dtype} {list(array.shape)}" for name, array in state.arrays.items()},
        "bytes": path.stat().st_size,
        "previous": previous,
        "warnings": warnings,
    }
