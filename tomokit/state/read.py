"""Read a state, after everything in it has been verified against its digests."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from tomokit.state.record import TEXTS, State, previous_path
from tomokit.state.seal import REMEDY, DamagedState, StateError, check_seal, opened


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

    from tomokit.state.consistency import check_consistent
    from tomokit.state.schema import parse_text
    from tomokit.state.storage import StateFile

    try:
        with h5py.File(stream, "r") as file:
            stored = StateFile(file, stream, path)
            texts = {name: parse_text(name, stored.text(name), path) for name in TEXTS}
            epoch, epochs, paused = (stored.number(name) for name in ("epoch", "epochs", "paused"))
            state = State(epoch, epochs, bool(paused), **texts, arrays=stored.arrays())
    except DamagedState:
        raise
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError, MemoryError) as error:
        # Whatever HDF5 and h5py make of a structure that is none.
        raise DamagedState(f"no complete state ({error})", file=path, remedy=REMEDY) from error
    check_consistent(state, path)
    return state
