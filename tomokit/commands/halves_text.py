"""What the halves of a tomogram gave, as text."""

from __future__ import annotations

from typing import Any


def halves_text(halves: dict[str, Any]) -> list[str]:
    """Tell the resolution by the halves of a tomogram, and what the maps say.

    Parameters
    ----------
    halves : dict
        ``halves`` of the summary of a job that is complete.

    Returns
    -------
    list of str
        Lines.
    """
    counts = " and ".join(f"{len(halves[half]['views'])} {half}" for half in ("even", "odd"))
    lines = [f"halves of {counts} views: {_crossings(halves['fsc'])}"]
    if halves["fsc_without_wedge"] is not None:
        lines.append(f"  without the missing wedge: {_crossings(halves['fsc_without_wedge'])}")
    agreement, coverage = halves["maps"]["agreement"], halves["maps"]["coverage"]
    resolution = coverage["resolution_angstrom"]
    finest = f"{coverage['resolution_px']:.3g} voxels" if resolution is None else f"{resolution:.4g} angstrom"
    lines.append(
        f"  share of signal by their agreement: mean {agreement['mean']:.2f}, above chance ({agreement['chance']:.2f}) "
        f"in {100 * agreement['share_above_chance']:.0f} % of the voxels"
    )
    lines.append(
        f"  directions covered by views, to {finest}: mean {coverage['mean']:.2f}, least {coverage['least']:.2f}"
    )
    names = {"agreement": "share of signal", "noise": "noise", "coverage": "directions covered",
             "trust": "directions covered times share of signal",
             "fsc_json": "correlation", "fsc_csv": "its table", "fsc_plot": "its plot"}  # fmt: skip
    lines += [f"{halves[half]['output']}: {half} views" for half in ("even", "odd") if halves[half]["output"]]
    lines += [f"{path}: {names[name]}" for name, path in halves["files"].items()]
    return lines


def _crossings(fsc: dict[str, Any]) -> str:
    from tomokit.pipeline.fsc_files import THRESHOLD_NAMES

    parts = []
    for name, crossing in fsc["crossings"].items():
        frequency, resolution = crossing["frequency"], crossing["resolution_angstrom"]
        if frequency is None:
            value = crossing["found"]
        else:
            value = f"{1 / frequency:.2f} voxels" if resolution is None else f"{resolution:.1f} angstrom"
        parts.append(f"FSC {THRESHOLD_NAMES[name]} {value}")
    return ", ".join(parts)
