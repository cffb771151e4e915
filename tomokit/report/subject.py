"""All that is known of one tomogram of a report, gathered from a state or a file and from what lies beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.report.attempts import Attempts
from tomokit.report.densities import Densities, read_tomogram, sample_state
from tomokit.report.fourier import Halves, correlation_of, find_halves
from tomokit.report.leaves import leaves_of
from tomokit.report.plain import branch, read_object
from tomokit.report.series_views import views_of_state
from tomokit.state.parts import StateParts, read_parts
from tomokit.state.read import newest_state
from tomokit.state.record import State
from tomokit.state.seal import DamagedState, looks_like_state

_MOST_RECORD_BYTES = 16 << 20
_PARTS = {
    "provenance": "settings and provenance", "job": "where the inputs are", "history": "the history of the fit",
    "density": "how the density follows from the arrays", "epoch": "how far the run has come",
    "epochs": "how long the run is", "paused": "whether an epoch is under way", "arrays": "the arrays",
}  # fmt: skip


@dataclass
class Subject:
    """One tomogram of a report.

    Attributes
    ----------
    label : str
        ``A`` to ``D``.
    path : Path
        What was given.
    attempts : Attempts
        What is missing of it, and what gives doubt.
    is_state : bool
        Whether `path` is the state of a run.
    record : dict
        Its provenance; of any content, empty where there is none.
    job : dict
        Where the files of a run are.
    history : list of dict
        What each epoch gave.
    epoch, epochs : int or None
        Epochs finished, and of the whole run.
    densities : Densities or None
        The tomogram.
    leaves : dict or None
        As of :func:`tomokit.report.leaves.leaves_of`.
    views : dict or None
        As of :func:`tomokit.report.series_views.views_of_state`.
    correlation : dict or None
        As of :func:`tomokit.report.fourier.correlation_of`.
    trust : Densities or None
        A map of what the tomogram can be trusted for.
    """

    label: str
    path: Path
    attempts: Attempts = field(default_factory=Attempts)
    is_state: bool = False
    record: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    epoch: int | None = None
    epochs: int | None = None
    densities: Densities | None = None
    leaves: dict[str, Any] | None = None
    views: dict[str, Any] | None = None
    correlation: dict[str, Any] | None = None
    trust: Densities | None = None

    @property
    def has_anything(self) -> bool:
        """Whether there is anything to be shown."""
        return bool(self.densities is not None or self.history or self.record or self.correlation)


def gather(label: str, path: Path, given: Halves, read_views: bool = True) -> Subject:
    """Find out all that is known of one tomogram.

    Parameters
    ----------
    label : str
        How the report calls it.
    path : Path
        The state of a run, or a tomogram.
    given : Halves
        What the user gave of it; what is not given is looked for beside the tomogram.
    read_views : bool
        Whether the tilt series is read.

    Returns
    -------
    Subject
        Complete or not: what could not be found out is told in it, and never raised.
    """
    subject = Subject(label, path)
    if not os.path.lexists(path):
        subject.attempts.lack("the file", "there is none of that name")
        beside = Halves()
    elif path.suffix.lower() == ".h5" or looks_like_state(path):
        subject.is_state = True
        beside = _gather_state(subject, read_views)
    else:
        _gather_tomogram(subject, path)
        beside = find_halves(path)
    halves = _chosen(given, beside)
    subject.correlation = subject.attempts.run("Fourier shell correlation", lambda: correlation_of(halves))
    for text in (subject.correlation or {}).get("warnings", []):
        subject.attempts.warn(text)
    if halves.trust is not None:
        trust = halves.trust
        subject.trust = subject.attempts.run("trust map", lambda: _trust(trust, subject.densities))
    return subject


def _gather_state(subject: Subject, read_views: bool) -> Halves:
    attempts, path = subject.attempts, subject.path
    parts = attempts.run("the state", lambda: _parts(path, attempts))
    if parts is None:
        return Halves()
    state = parts.state
    for name, reason in parts.missing.items():
        attempts.lack(_PARTS.get(name, f"the array {name.removeprefix('arrays/')}"), reason)
    for doubt in parts.doubts:
        attempts.warn(f"parts of the state contradict each other: {doubt}")
    subject.record, subject.job, subject.history = state.provenance, state.job, state.history
    if "epoch" not in parts.missing and "epochs" not in parts.missing:
        subject.epoch, subject.epochs = state.epoch, state.epochs
        if not state.finished:
            attempts.warn(f"the run is not finished: {state.epoch} of {state.epochs} epochs are done")
    if not state.history and "history" not in parts.missing:
        attempts.lack("curves of the fit", "the history has no epochs")
    output = _output_beside(state, path)
    subject.densities = attempts.run("the tomogram of the state", lambda: sample_state(state))
    if subject.densities is not None:
        _tell(subject.densities, attempts)
        stored = subject.densities.stored
        if stored is not None:
            subject.leaves = attempts.run("the leaves of the octree", lambda: leaves_of(state, stored))
    elif output is not None and output.is_file():
        attempts.warn(f"shown is {output.name}, which lies beside the state")
        subject.densities = attempts.run(output.name, lambda: read_tomogram(output, state.provenance))
    if read_views:
        subject.views = attempts.run("the tilt series", lambda: views_of_state(state, path))
        for text in (subject.views or {}).get("warnings", []):
            attempts.warn(text)
    else:
        attempts.lack("the tilt series", "it was not to be read")
    return Halves() if output is None else find_halves(output)


def _parts(path: Path, attempts: Attempts) -> StateParts:
    """The state, whole or in parts; that before it where it is not as it was written."""
    try:
        parts = read_parts(path)
    except DamagedState:
        state, used, warnings = newest_state(path)
        for text in warnings:
            attempts.warn(text)
        return replace(read_parts(used), state=state)
    return parts


def _output_beside(state: State, path: Path) -> Path | None:
    """The tomogram that the run was to write, if that is beside the state: no other place is believed."""
    place = branch(state.job, "files", "output", "from_here")
    if not isinstance(place, str) or os.path.basename(place) != place:
        return None
    return path.resolve().parent / place


def _gather_tomogram(subject: Subject, path: Path) -> None:
    from tomokit.pipeline.request import provenance_beside

    attempts = subject.attempts
    beside = provenance_beside(path)
    if beside is not None and beside.is_file():
        subject.record = attempts.run("provenance", lambda: read_object(beside, _MOST_RECORD_BYTES)) or {}
        output = subject.record.get("output")
        if isinstance(output, str) and output != path.name:
            attempts.warn(f"{beside.name} says that it is of {output}")
    else:
        attempts.lack("provenance", f"there is no {'record' if beside is None else beside.name} beside the tomogram")
    epochs = subject.record.get("epochs")
    if isinstance(epochs, int):
        subject.epoch = subject.epochs = epochs
    subject.densities = attempts.run("the tomogram", lambda: read_tomogram(path, subject.record))
    if subject.densities is not None:
        _tell(subject.densities, attempts)
    attempts.lack("curves of the fit, views and octree", "the state of the run has them, a tomogram has not")


def _tell(densities: Densities, attempts: Attempts) -> None:
    for text in densities.warnings:
        attempts.warn(text)
    if not densities.size_is_known:
        attempts.warn("the voxel size is not known: lengths are in voxels")


def _chosen(given: Halves, beside: Halves) -> Halves:
    """What the user gave, and what lies beside for the rest."""
    if given.first is not None or given.second is not None or given.correlation is not None:
        return replace(given, trust=given.trust or beside.trust)
    return replace(beside, trust=given.trust or beside.trust)


def _trust(path: Path, densities: Densities | None) -> Densities:
    found = read_tomogram(path, {})
    if densities is None:
        raise InputError("there is no tomogram that it could be laid over", file=path)
    if found.values.shape != densities.values.shape:
        size, wanted = (
            " x ".join(str(n) for n in reversed(shape)) for shape in (found.values.shape, densities.values.shape)
        )
        raise InputError(f"has {size} voxels, the tomogram {wanted} (x, y, z)", file=path)
    return found
