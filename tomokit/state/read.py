"""Read a state, after everything in it has been verified against its digests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tomokit.state.record import TEXTS, State, contiguous_bytes, previous_path
from tomokit.state.seal import DamagedState, StateError, check_seal, opened


def read_state(path: Path) -> State:
    """Verify a state file and read the state in it.

    Parameters
    ----------
    path : Path
        The state file.

    Returns
    -------
    State
        Its arrays are mapped from the file and read when they are used; changes to them stay in memory.

    Raises
    ------
    DamagedState
        If the file is missing or not what was written.
    StateError
        If the file cannot be opened, or is of another version of the format.
    """
    with opened(path) as stream:
        check_seal(stream, path)
        return _read(stream, path)


def verify(path: Path) -> None:
    """Verify a state file against its seal, and every dataset in it against its own digest.

    Parameters
    ----------
    path : Path
        The state file.

    Raises
    ------
    DamagedState
        If the file is missing or not what was written; a damaged dataset is named.
    StateError
        If the file cannot be opened, or is of another version of the format.
    """
    read_state(path)


def newest_state(path: Path) -> tuple[State, Path, list[str]]:
    """Read the newest state that verifies: that of the file itself, or else of its predecessor.

    Parameters
    ----------
    path : Path
        The state file; its predecessor is looked for beside the file that a symbolic link points to.

    Returns
    -------
    state : State
        The state that was read.
    used : Path
        The file that it was read from.
    warnings : list of str
        Where that is the predecessor, one line that says why.

    Raises
    ------
    StateError
        If neither verifies, with the reason why `path` does not; or if `path` cannot be opened, or is whole but of
        another version of the format.
    """
    try:
        return read_state(path), path, []
    except DamagedState as error:
        previous = previous_path(path.resolve())
        try:
            state = read_state(previous)
        except StateError:
            raise error from None
        where = f"{previous}, epoch {state.epoch} of {state.epochs}"
        return state, previous, [f"{path}: {error.problem}; the state before it is used: {where}"]


def _read(stream: BinaryIO, path: Path) -> State:
    import h5py

    try:
        with h5py.File(stream, "r") as file:
            texts = {name: _read_json(path, file[name]) for name in TEXTS}
            arrays = {name: _map_array(stream, path, dataset) for name, dataset in file["arrays"].items()}
            epoch, epochs, paused = (int(file.attrs[name]) for name in ("epoch", "epochs", "paused"))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise DamagedState(f"no complete state ({error})", file=path) from error
    return State(epoch, epochs, bool(paused), **texts, arrays=arrays)


def _read_json(path: Path, dataset: Any) -> Any:
    text: bytes = dataset[()]
    _check_digest(path, dataset, hashlib.sha256(text).hexdigest())
    return json.loads(text)


def _map_array(stream: BinaryIO, path: Path, dataset: Any) -> NDArray[Any]:
    """An array that lies in one piece in the file, mapped; one without elements has no place there and is read."""
    offset = dataset.id.get_offset()
    if dataset.size == 0 or offset is None:
        array = np.asarray(dataset[()])
    else:
        # Copy on write: a run may go on in these arrays, and the file stays as it is.
        array = np.memmap(stream, dataset.dtype, "c", offset, dataset.shape)
    _check_digest(path, dataset, hashlib.sha256(contiguous_bytes(array).data).hexdigest())
    return array


def _check_digest(path: Path, dataset: Any, digest: str) -> None:
    if dataset.attrs["sha256"] != digest:
        raise DamagedState(
            "damaged: its SHA-256 is not the one beside it",
            file=path,
            field=dataset.name,
            remedy="use the state before it, or another copy",
        )
