"""What the page's script is given: volumes in grey levels, curves, views, regions and leaves, as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from tomokit.pipeline.held_out import ceiling_is_disproved
from tomokit.report.densities import Densities
from tomokit.report.grey_share import share
from tomokit.report.grey_volume import GreyVolume, grey_volume
from tomokit.report.plain import branch, number, numbers, whole_numbers
from tomokit.report.series_views import doses_used
from tomokit.report.subject import Subject

RING_WIDTH = 0.05
"""Cycles a pixel, of the rings in which held-out views are scored."""

_TRUST_SHARE = 0.2
_REST_BYTES = 500_000
"""For all that is neither a volume nor among the data: tables, style, script."""
_LEAST_BYTES = 200_000
"""Volumes get so much even where the page becomes larger by it."""


@dataclass(frozen=True)
class PageData:
    """Data of the page.

    Attributes
    ----------
    content : dict
        JSON-serializable: ``subjects``, and ``linked`` (``length`` or ``fraction``).
    streams : dict of str to bytes
        Volumes, compressed, by the identifier that `content` names.
    """

    content: dict[str, Any]
    streams: dict[str, bytes]


def page_data(subjects: list[Subject], regions: dict[str, dict[str, Any]], page_bytes: int) -> PageData:
    """Gather what the page draws.

    Parameters
    ----------
    subjects : list of Subject
    regions : dict
        By the label of a subject, what :func:`tomokit.report.regions.measured_regions` gave.
    page_bytes : int
        The most that the page may have: volumes get what the rest leaves.

    Returns
    -------
    PageData
    """
    entries = [_without_volumes(subject, regions) for subject in subjects]
    _drop_repeated_pictures(entries)
    # Base64 has four characters for three bytes.
    most_bytes = max(_LEAST_BYTES, (page_bytes - _REST_BYTES - len(json.dumps(entries))) * 3 // 4)
    rooms = share({s.label: s.densities.values for s in subjects if s.densities is not None}, most_bytes)
    streams: dict[str, bytes] = {}
    for subject, entry in zip(subjects, entries, strict=True):
        if subject.densities is None:
            continue
        each, least_bin = rooms[subject.label]
        own = each if subject.trust is None else int(each * (1 - _TRUST_SHARE))
        grey = _shown(subject, "the tomogram", subject.densities, own, None, least_bin)
        if grey is None:
            continue
        entry["volume"] = _described(grey, f"volume-{subject.label}", streams, subject.densities)
        if subject.trust is not None:
            over = _shown(subject, "trust map", subject.trust, each - len(grey.stream), grey.bin)
            if over is not None:
                entry["trust"] = _described(over, f"trust-{subject.label}", streams, subject.trust)
    known = [subject.densities.size_is_known for subject in subjects if subject.densities is not None]
    return PageData({"subjects": entries, "linked": "length" if known and all(known) else "fraction"}, streams)


def _without_volumes(subject: Subject, regions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "label": subject.label,
        "name": subject.path.name,
        "volume": None,
        "trust": None,
        "leaves": subject.leaves,
        "regions": regions.get(subject.label, {}).get("regions", []),
        "history": _history(subject),
        "rings": _rings(subject),
        "correlation": subject.correlation,
        "views": _views(subject),
        "filtered_by_dose": branch(subject.record, "series", "dose_weighting") is not None,
        "pictures": (subject.views or {}).get("pictures", []),
    }


def _drop_repeated_pictures(entries: list[dict[str, Any]]) -> None:
    """Of tomograms with the same views the first has the pictures: only those are drawn."""
    seen: list[Any] = []
    for entry in entries:
        if entry["views"] in seen:
            entry["pictures"] = []
        seen.append(entry["views"])


def _shown(
    subject: Subject, what: str, densities: Densities, most_bytes: int, pixel_bin: int | None, least_bin: int = 1
) -> GreyVolume | None:
    grey = subject.attempts.run(what, lambda: grey_volume(densities.values, most_bytes, pixel_bin, least_bin))
    if grey is not None and grey.not_finite:
        subject.attempts.warn(f"{what}: {grey.not_finite} voxels are not finite: shown as the lowest level")
    return grey


def _described(grey: GreyVolume, name: str, streams: dict[str, bytes], densities: Densities) -> dict[str, Any]:
    streams[name] = grey.stream
    return {
        "stream": name,
        "shape": list(grey.shape),
        "bin": grey.bin,
        "voxel": densities.voxel_size_angstrom * grey.bin,
        "known": densities.size_is_known,
        "low": grey.low,
        "high": grey.high,
        "levels": grey.levels,
        "window": list(grey.window),
        "units": densities.units,
    }


def _history(subject: Subject) -> dict[str, Any] | None:
    """Curves over epochs; a list for each, null where an epoch has no value."""
    history = subject.history
    if not history:
        return None
    terms = dict.fromkeys(name for entry in history for name in entry["terms"])
    return {
        "epoch": [entry["epoch"] for entry in history],
        "loss": [number(entry["loss"]) for entry in history],
        "terms": {name: [number(entry["terms"].get(name)) for entry in history] for name in terms},
        "correlation": [number(branch(entry, "held_out", "correlation")) for entry in history],
        "mean_ring": [number(branch(entry, "held_out", "mean_ring_correlation")) for entry in history],
    }


def _rings(subject: Subject) -> dict[str, Any] | None:
    """Ring correlation after the last epoch, and its ceiling, over frequency in cycles a pixel."""
    if not subject.history:
        return None
    measured = numbers(branch(subject.history[-1], "held_out", "ring_correlation"))
    if not measured:
        return None
    ceiling = numbers((subject.views or {}).get("ceiling"))
    usable = len(ceiling) == len(measured)
    disproved = usable and ceiling_is_disproved(measured, ceiling)
    densities = subject.densities
    size = densities.voxel_size_angstrom if densities is not None and densities.size_is_known else None
    return {
        "frequency": [round(RING_WIDTH * (i + 0.5), 6) for i in range(len(measured))],
        "measured": measured,
        "ceiling": ceiling if usable and not disproved else [],
        "disproved": disproved,
        "pixel_angstrom": size,
    }


def _views(subject: Subject) -> list[dict[str, Any]]:
    """Angle, role, mask and dose of each view; only those of which an angle is known."""
    rows = (subject.views or {}).get("views", [])
    used = sorted(
        view for key in ("fitted", "held_out") for view in whole_numbers(branch(subject.record, "views", key))
    )
    doses, recorded = doses_used(subject.record, used), numbers((subject.views or {}).get("doses"))
    if not doses:
        doses = {str(view): dose for view, dose in enumerate(recorded) if dose is not None}
    return [{**row, "dose": doses.get(str(row["view"]))} for row in rows if math.isfinite(row["tilt_deg"])]
