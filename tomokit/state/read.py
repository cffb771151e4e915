"""Read a state, with everything in it held against its digests first."""

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
    """The state in a file, if it verifies.

    Returns
    -------
    State
        Its arrays are mapped from the file and read when they are used; what is changed in them stays in memory.

    Raises
    ------
    StateError
        As :func:`verify`.
    """
    with opened(path) as stream:
        check_seal(stream, path)
        return _read(stream, path)


def verify(path: Path) -> None:
    """Hold a file against its seal, and all that it holds against its own digests.

    Raises
    ------
    DamagedState
        Naming the dataset that is not what it was.
    StateError
        If the file cannot be read, or is of another version of the format.
    """
    read_state(path)


def newest_state(path: Path) -> tuple[State, Path, list[str]]:
    """The newest state that verifies: the file itself, or else its predecessor.

    Returns
    -------
    state : State
    used : Path
        The file that it is from.
    warnings : list of str
        Why it is not `path`, if it is not.

    Raises
    ------
    StateError
        If neither verifies, for the reason of `path`; or if it is whole, but of another version of the format.
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
            texts = {name: _text(path, file[name]) for name in TEXTS}
            arrays = {name: _array(stream, path, item) for name, item in file["arrays"].items()}
            epoch, epochs, paused = (int(file.attrs[name]) for name in ("epoch", "epochs", "paused"))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise DamagedState(f"no complete state ({error})", file=path) from error
    return State(epoch, epochs, bool(paused), **texts, arrays=arrays)


def _text(path: Path, dataset: Any) -> Any:
    text: bytes = dataset[()]
    _compare(path, dataset, hashlib.sha256(text).hexdigest())
    return json.loads(text)


def _array(stream: BinaryIO, path: Path, dataset: Any) -> NDArray[Any]:
    """An array that lies in one piece in the file, mapped; one without elements has no place there."""
    offset = dataset.id.get_offset()
    if dataset.size == 0 or offset is None:
        array = np.asarray(dataset[()])
    else:
        array = np.memmap(stream, dataset.dtype, "c", offset, dataset.shape)
    _compare(path, dataset, hashlib.sha256(contiguous_bytes(array).data).hexdigest())
    return array


def _compare(path: Path, dataset: Any, digest: str) -> None:
    if dataset.attrs["sha256"] != digest:
        raise DamagedState(
            "damaged: its SHA-256 is not the one beside it",
            file=path,
            field=dataset.name,
            remedy="use the state before it, or another copy",
        )
