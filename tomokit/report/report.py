"""A report from the files that a user names: gathered, rendered, and written as one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomokit.errors import InputError, OptionError
from tomokit.report.facts import key_facts
from tomokit.report.fourier import Halves
from tomokit.report.page import PageText, render
from tomokit.report.page_data import page_data
from tomokit.report.plain import branch
from tomokit.report.regions import measured_regions
from tomokit.report.subject import Subject, gather
from tomokit.report.tables import provenance_rows, settings_rows

MOST_SUBJECTS = 4
"""More would be too narrow beside each other."""

_LABELS = "ABCD"


@dataclass(frozen=True)
class ReportRequest:
    """What a report is made of.

    Attributes
    ----------
    paths : sequence of Path
        Up to four states and tomograms.
    halves : sequence of Halves
        What the user gave of them: of the first, the second and so on; may be shorter.
    regions : Path or None
        Named regions, as of ``tomokit contrast``.
    title : str or None
        Headline; by default the names of the files.
    most_megabytes : float
        The most that the file may have, in millions of bytes.
    read_views : bool
        Whether tilt series are read.
    """

    paths: Sequence[Path]
    halves: Sequence[Halves] = ()
    regions: Path | None = None
    title: str | None = None
    most_megabytes: float = 20.0
    read_views: bool = True


@dataclass(frozen=True)
class Report:
    """A report that was made.

    Attributes
    ----------
    html : bytes
        The page.
    summary : dict
        JSON-serializable: ``tomograms`` (``label``, ``file``, ``shape``, ``shown`` with ``bin``, ``levels`` and
        ``shape``, ``missing``, ``warnings``) and ``bytes``.
    """

    html: bytes
    summary: dict[str, Any] = field(default_factory=dict)


def make_report(request: ReportRequest) -> Report:
    """Make a report of all that can be found out.

    Parameters
    ----------
    request : ReportRequest

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If nothing at all can be shown.
    OptionError
        If there are no tomograms or more than four, more halves than tomograms, or no room.
    """
    _check(request)
    subjects = []
    for place, path in enumerate(request.paths):
        given = request.halves[place] if place < len(request.halves) else Halves()
        subjects.append(gather(_LABELS[place], path, given, request.read_views))
    if not any(subject.has_anything for subject in subjects):
        first = subjects[0]
        # What lies beside it, or would be in another kind of file, is not what was asked for.
        own = [line for line in first.attempts.missing if line.startswith(("the file:", "the state:", "the tomogram:"))]
        reason = next(iter((*own, *first.attempts.missing)), "nothing is known of it")
        raise InputError(f"nothing can be shown: {reason}", file=first.path, remedy="give a state or a tomogram")
    regions = _regions(request.regions, subjects)
    data = page_data(subjects, regions, int(request.most_megabytes * 1e6))
    title = request.title or " · ".join(path.name for path in request.paths)
    text = PageText(title, subjects, key_facts(subjects), settings_rows(subjects), provenance_rows(subjects), regions)
    html = render(text, data)
    entries = [
        {
            "label": subject.label,
            "file": str(subject.path),
            "shape": None if subject.densities is None else list(subject.densities.values.shape),
            "shown": _shown(entry["volume"]),
            "missing": subject.attempts.missing,
            "warnings": subject.attempts.warnings,
        }
        for subject, entry in zip(subjects, data.content["subjects"], strict=True)
    ]
    return Report(html, {"tomograms": entries, "bytes": len(html)})


def input_files(request: ReportRequest) -> list[Path]:
    """List what a report reads, which it must not replace.

    Parameters
    ----------
    request : ReportRequest

    Returns
    -------
    list of Path
    """
    given = [path for halves in request.halves
             for path in (halves.first, halves.second, halves.correlation, halves.trust)]  # fmt: skip
    return [*request.paths, *(path for path in (*given, request.regions) if path is not None)]


def _check(request: ReportRequest) -> None:
    if not 1 <= len(request.paths) <= MOST_SUBJECTS:
        raise OptionError(f"{len(request.paths)} tomograms", remedy=f"give up to {MOST_SUBJECTS} states or tomograms")
    if len(request.halves) > len(request.paths):
        raise OptionError(
            f"halves or maps of {len(request.halves)} tomograms, of which there are {len(request.paths)}",
            remedy="give them in the order of the tomograms",
        )
    if not 1 <= request.most_megabytes <= 2000:
        raise OptionError(f"{request.most_megabytes:g} megabytes", field="--max-size", remedy="give from 1 to 2000")


def _regions(path: Path | None, subjects: list[Subject]) -> dict[str, dict[str, Any]]:
    found = {}
    for subject in subjects:
        densities = subject.densities
        if path is None or densities is None:
            continue
        measured = subject.attempts.run("regions", lambda d=densities: measured_regions(d.values, path))  # type: ignore[misc]
        if measured is not None:
            found[subject.label] = measured
    return found


def _shown(volume: dict[str, Any] | None) -> dict[str, Any] | None:
    if volume is None:
        return None
    return {key: branch(volume, key) for key in ("shape", "bin", "levels")}
