"""The Fourier shell correlation of a tomogram's halves: read, or computed from half tomograms, where they lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.io.output_names import path_beside, with_ending
from tomokit.pipeline.half_jobs import HALVES, TABLES
from tomokit.pipeline.naming import half_output
from tomokit.report.plain import number, numbers, read_object

_CURVES = ("fsc", "fsc_masked", "fsc_unmasked", "fsc_randomized", "half_bit")
_MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class Halves:
    """Where the halves of a tomogram are.

    Attributes
    ----------
    first, second : Path or None
        Half tomograms.
    correlation : Path or None
        What ``fsc --json`` printed of them.
    trust : Path or None
        A trust map of the tomogram.
    """

    first: Path | None = None
    second: Path | None = None
    correlation: Path | None = None
    trust: Path | None = None


def find_halves(tomogram: Path) -> Halves:
    """Find what ``reconstruct --halves`` writes beside a tomogram.

    Parameters
    ----------
    tomogram : Path
        Such as ``OUT.mrc``.

    Returns
    -------
    Halves
        ``OUT_even.mrc`` and ``OUT_odd.mrc``, both or none of them, or by the names of AreTomo or RELION;
        ``OUT_fsc.json`` and ``OUT_trust.mrc``.
    """
    correlation, trust = path_beside(tomogram, TABLES["fsc_json"]), with_ending(tomogram, "_trust")
    pairs = (tuple(half_output(tomogram, half, naming) for half in HALVES) for naming in ("none", "aretomo", "relion"))
    first, second = next((pair for pair in pairs if all(path.is_file() for path in pair)), (None, None))
    return Halves(first, second, correlation if correlation.is_file() else None, trust if trust.is_file() else None)


def correlation_of(halves: Halves) -> dict[str, Any] | None:
    """Get the correlation of halves.

    Parameters
    ----------
    halves : Halves
        A file of it is read; otherwise it is computed from both half tomograms.

    Returns
    -------
    dict or None
        ``from`` (what it was got from, in words), ``voxel_size_angstrom``, ``frequency``, the curves ``fsc``,
        ``fsc_masked``, ``fsc_unmasked``, ``fsc_randomized`` and ``half_bit`` that there are, ``crossings``,
        ``tilt_range_deg``, ``warnings``, and ``without_wedge``, the same without the missing wedge, or null. None where
        there are no halves.

    Raises
    ------
    InputError
        If a file cannot be read or is none of them.
    OptionError
        If one half alone is given.
    ResourceError
        If the transforms do not fit in memory.
    """
    if halves.correlation is not None:
        found = read_object(halves.correlation, _MOST_BYTES)
        parsed = _parsed(found, halves.correlation, f"read from {halves.correlation.name}")
        inner = found.get("without_wedge")
        if isinstance(inner, dict):
            parsed["without_wedge"] = _parsed(inner, halves.correlation, parsed["from"])
        return parsed
    if halves.first is None or halves.second is None:
        return None
    from tomokit.pipeline.half_maps import half_map_correlation

    found = half_map_correlation(halves.first, halves.second)
    origin = f"computed from {halves.first.name} and {halves.second.name}, faces tapered"
    return _parsed(json.loads(json.dumps(found)), halves.first, origin)


def _parsed(found: Mapping[str, Any], path: Path, origin: str) -> dict[str, Any]:
    """What is used of it, each field of the type that it has to be."""
    curves = found.get("curves")
    if not isinstance(curves, dict):
        raise InputError("has no curves", file=path, field="curves", remedy="give what `tomokit fsc --json` prints")
    frequency = numbers(curves.get("frequency"))
    fsc = numbers(curves.get("fsc"))
    if not frequency or None in frequency or len(fsc) != len(frequency):
        raise InputError("is no Fourier shell correlation", file=path, field="curves.frequency, curves.fsc")
    kept = {}
    for name in _CURVES:
        values = numbers(curves.get(name))
        if len(values) == len(frequency) and any(value is not None for value in values):
            kept[name] = values
    crossings = found.get("crossings")
    crossings = crossings if isinstance(crossings, dict) else {}
    tilts = numbers(found.get("tilt_range_deg"))
    warnings = found.get("warnings")
    return {
        "from": origin,
        "voxel_size_angstrom": number(found.get("voxel_size_angstrom")),
        "frequency": frequency,
        "curves": kept,
        "crossings": {
            name: {
                "frequency": number(crossing.get("frequency")),
                "resolution_angstrom": number(crossing.get("resolution_angstrom")),
                "found": str(crossing.get("found", ""))[:80],
            }
            for name in ("0.143", "0.5", "half_bit")
            if isinstance(crossing := crossings.get(name), dict)
        },
        "without_wedge": None,
        "tilt_range_deg": tilts if len(tilts) == 2 and None not in tilts else None,
        "warnings": [text for text in warnings if isinstance(text, str)] if isinstance(warnings, list) else [],
    }
