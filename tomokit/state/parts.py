"""The parts of a state one by one, for what can do with some of them: a report says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from tomokit.state.consistency import check_consistent
from tomokit.state.record import TEXTS, State
from tomokit.state.seal import DamagedState, StateError, check_seal, opened

T = TypeVar("T")

_STRANGE = (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError, MemoryError)
"""What HDF5 and h5py raise for a structure that is none."""


@dataclass(frozen=True)
class StateParts:
    """What could be read of a state.

    Attributes
    ----------
    state : State
        Texts that could not be read are empty, numbers 0, and arrays that could not be read are not there.
    missing : dict of str to str
        Why, by the part: ``provenance``, ``job``, ``history``, ``density``, ``epoch``, ``arrays/NAME``.
    doubts : list of str
        What contradicts what among the parts.
    """

    state: State
    missing: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def read_parts(path: Path) -> StateParts:
    """Read each part of a state that can be read.

    Parameters
    ----------
    path : Path
        The state file.

    Returns
    -------
    StateParts

    Raises
    ------
    DamagedState
        If the file is not as it was written: nothing in it can be believed then, and HDF5 does not survive every
        structure that is damaged.
    StateError
        If it cannot be opened, or is of another version of the format.
    """
    import h5py

    from tomokit.state.schema import parse_text
    from tomokit.state.storage import StateFile

    missing: dict[str, str] = {}

    def part(name: str, read: Callable[[], T], instead: T) -> T:
        try:
            return read()
        except DamagedState as error:
            place = f"{error.field}: " if error.field and error.field != f"/{name}" else ""
            missing[name] = f"{place}{error.problem}"
        except StateError as error:
            missing[name] = str(error)
        except _STRANGE as error:
            missing[name] = f"cannot be read ({error})"
        return instead

    with opened(path) as stream:
        check_seal(stream, path)
        try:
            file = h5py.File(stream, "r")
        except _STRANGE as error:
            raise DamagedState(f"no complete state ({error})", file=path) from error
        with file:
            stored = StateFile(file, stream, path)
            texts: dict[str, Any] = {}
            for name in TEXTS:
                empty: Any = [] if name == "history" else {}
                texts[name] = part(name, lambda name=name: parse_text(name, stored.text(name), path), empty)  # type: ignore[misc]
            epoch, epochs, paused = (
                part(name, lambda name=name: stored.number(name), 0)  # type: ignore[misc]
                for name in ("epoch", "epochs", "paused")
            )
            arrays: dict[str, NDArray[Any]] = {}
            names: list[str] = []
            for name in part("arrays", stored.array_names, names):
                array = part(f"arrays/{name}", lambda name=name: stored.array(name), None)  # type: ignore[misc]
                if array is not None:
                    arrays[name] = array
    state = State(epoch, epochs, bool(paused), **texts, arrays=arrays)
    doubts = []
    if not missing:
        try:
            check_consistent(state, path)
        except DamagedState as error:
            doubts.append(f"{error.field}: {error.problem}")
    return StateParts(state, missing, doubts)
