"""The key figures of the tomograms of a report, each as text with a sentence that explains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tomokit.report.plain import branch, number, ranges, whole_numbers
from tomokit.report.subject import Subject

NOT_KNOWN = "–"


@dataclass(frozen=True)
class Fact:
    """One row of the table of key figures.

    Attributes
    ----------
    name, explanation : str
        What it is, and what it means.
    values : tuple of str
        One for each tomogram.
    """

    name: str
    explanation: str
    values: tuple[str, ...]


def key_facts(subjects: list[Subject]) -> list[Fact]:
    """List the key figures of which at least one tomogram has a value.

    Parameters
    ----------
    subjects : list of Subject

    Returns
    -------
    list of Fact
    """
    facts = [Fact(name, told, tuple(find(subject) for subject in subjects)) for name, told, find in _FACTS]
    return [fact for fact in facts if any(value != NOT_KNOWN for value in fact.values)]


def length_text(angstrom: float) -> str:
    """Write a length for a reader.

    Parameters
    ----------
    angstrom : float

    Returns
    -------
    str
        In nanometres from 10 nm on, in ångström below.
    """
    return f"{angstrom / 10:.4g} nm" if angstrom >= 100 else f"{angstrom:.4g} Å"


def _method(subject: Subject) -> str:
    method = subject.record.get("method")
    return str(method) if isinstance(method, str) else NOT_KNOWN


def _voxels(subject: Subject) -> str:
    if subject.densities is None:
        return NOT_KNOWN
    n_z, n_y, n_x = subject.densities.values.shape
    return f"{n_x} × {n_y} × {n_z}"


def _voxel_size(subject: Subject) -> str:
    densities = subject.densities
    if densities is None:
        return NOT_KNOWN
    return f"{densities.voxel_size_angstrom:.4g} Å" if densities.size_is_known else "not known"


def _extent(subject: Subject) -> str:
    densities = subject.densities
    if densities is None or not densities.size_is_known:
        return NOT_KNOWN
    n_z, n_y, n_x = (f"{n * densities.voxel_size_angstrom / 10:.4g}" for n in densities.values.shape)
    return f"{n_x} × {n_y} × {n_z} nm"


def _epochs(subject: Subject) -> str:
    if subject.epoch is None:
        return NOT_KNOWN
    return f"{subject.epoch}" if subject.epoch == subject.epochs else f"{subject.epoch} of {subject.epochs}"


def _views(subject: Subject) -> str:
    fitted, held_out = (whole_numbers(branch(subject.record, "views", key)) for key in ("fitted", "held_out"))
    if not fitted:
        return NOT_KNOWN
    return f"{len(fitted)} fitted, {len(held_out)} held out"


def _left_out(subject: Subject) -> str:
    left = whole_numbers((subject.views or {}).get("left_out"))
    return ranges(left) if left else NOT_KNOWN


def _tilts(subject: Subject) -> str:
    tilts = [view["tilt_deg"] for view in (subject.views or {}).get("views", [])]
    return f"{min(tilts):.1f}° to {max(tilts):.1f}°" if tilts else NOT_KNOWN


def _loss(subject: Subject) -> str:
    loss = number(subject.history[-1]["loss"] if subject.history else subject.record.get("loss"))
    return NOT_KNOWN if loss is None else f"{loss:.4g}"


def _held_out(key: str) -> Callable[[Subject], str]:
    def find(subject: Subject) -> str:
        value = number(branch(subject.history[-1], "held_out", key)) if subject.history else None
        return NOT_KNOWN if value is None else f"{value:.4f}"

    return find


def _resolution(threshold: str) -> Callable[[Subject], str]:
    def find(subject: Subject) -> str:
        whole = _crossing_text(branch(subject.correlation, "crossings", threshold))
        inner = _crossing_text(branch(subject.correlation, "without_wedge", "crossings", threshold))
        return whole if inner == NOT_KNOWN else f"{inner}; missing wedge counted too, {whole}"

    return find


def _crossing_text(crossing: Any) -> str:
    if crossing is None:
        return NOT_KNOWN
    frequency, resolution = crossing["frequency"], crossing["resolution_angstrom"]
    if frequency is None or not frequency > 0:
        return crossing["found"] or NOT_KNOWN
    return f"{1 / frequency:.3g} voxels" if resolution is None else length_text(resolution)


def _images(subject: Subject) -> str:
    kind, reason = (branch(subject.record, "linearization", key) for key in ("kind", "reason"))
    return NOT_KNOWN if not isinstance(kind, str) else f"{kind}: {reason}" if isinstance(reason, str) else kind


def _leaves(subject: Subject) -> str:
    if subject.leaves is None:
        return NOT_KNOWN
    counts, vertices = subject.leaves["counts"], subject.leaves["vertices"]
    return f"{sum(counts)} of {vertices}³ vertices, {sum(1 for count in counts if count)} levels"


_FACTS: tuple[tuple[str, str, Callable[[Subject], str]], ...] = (
    ("Method", "How the density was fitted to the views.", _method),
    ("Size", "Voxels along x, y and z.", _voxels),
    ("Voxel", "Edge of a voxel.", _voxel_size),
    ("Extent", "Along x, y and z.", _extent),
    ("Views", "Held-out views are predicted and scored, not fitted.", _views),
    ("Views left out", "Counted from 0: excluded by the user, without an image, or not aligned.", _left_out),
    ("Tilt range", "Directions beyond it are the missing wedge.", _tilts),
    ("Images", "What pixels were taken for, and why.", _images),
    ("Leaves", "Cubes of the octree, each with a grid of its own.", _leaves),
    ("Epochs", "Passes over all fitted views.", _epochs),
    ("Loss", "What the fit minimizes, after the last epoch: compare within one method and one set of settings.", _loss),
    ("Held-out correlation", "Over pixels of views that were not fitted; coarse detail dominates it.",
     _held_out("correlation")),
    ("Mean ring correlation", "Over rings of frequency of those views, each ring with the same say.",
     _held_out("mean_ring_correlation")),
    ("Resolution, FSC 0.143", "Where two halves of the views agree that much.", _resolution("0.143")),
    ("Resolution, FSC 0.5", "The same, by a stricter threshold.", _resolution("0.5")),
    ("Resolution, half bit", "The same, by half a bit of information in each voxel of Fourier space.",
     _resolution("half_bit")),
)  # fmt: skip
