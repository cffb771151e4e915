"""Fourier shell correlation as a table and as a picture."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from typing import Any

import numpy as np

THRESHOLD_NAMES = {"0.143": "0.143", "0.5": "0.5", "half_bit": "half bit"}

_LINES = (
    ("fsc_unmasked", "without mask", "#999999", "-"),
    ("fsc_randomized", "random phases, masked", "#d08020", "-"),
    ("fsc_masked", "masked", "#4477aa", "--"),
    ("fsc", "", "#1b3f73", "-"),
    ("half_bit", "half bit", "#aa3344", ":"),
)


def as_csv(result: dict[str, Any], without_wedge: dict[str, Any] | None = None) -> str:
    """Write the curves as a table, a line for each shell.

    Parameters
    ----------
    result : dict
        What :func:`tomokit.pipeline.half_maps.half_map_correlation` returns.
    without_wedge : dict, optional
        The same over the range of tilts alone: more columns, whose names end so.

    Returns
    -------
    str
        CSV with a line of names; empty where there is no value.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    curves = dict(result["curves"])
    if without_wedge is not None:
        added = ("fsc", "half_bit", "voxels", "effective_voxels")
        curves |= {f"{name}_without_wedge": without_wedge["curves"][name] for name in added}
    writer.writerow(curves)
    for row in zip(*curves.values(), strict=True):
        writer.writerow(["" if value is None else f"{value:.9g}" for value in row])
    return text.getvalue()


def draw(result: dict[str, Any], title: str, without_wedge: dict[str, Any] | None = None) -> bytes:
    """Draw the curves over frequency, with the resolution in ångström above.

    Parameters
    ----------
    result : dict
        What :func:`tomokit.pipeline.half_maps.half_map_correlation` returns.
    title : str
        Headline.
    without_wedge : dict, optional
        The same over the range of tilts alone, drawn beside it.

    Returns
    -------
    bytes
        A picture in PNG format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves, voxel_size = result["curves"], result["voxel_size_angstrom"]
    figure = Figure(figsize=(8, 5.2), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    frequency = np.array(curves["frequency"])
    best = "masked, less what the mask adds" if result["check"] else "masked"
    for key, name, colour, style in _LINES:
        values = np.array([np.nan if value is None else value for value in curves[key]], float)
        unmasked_only = result["mask"]["kind"] == "none" and key in ("fsc_masked", "fsc_unmasked")
        if not np.isfinite(values).any() or unmasked_only or (key == "fsc_masked" and not result["check"]):
            continue
        label = name or ("without mask" if result["mask"]["kind"] == "none" else best)
        axes.plot(frequency, values, style, color=colour, label=label, linewidth=2 if key == "fsc" else 1.3)
    if without_wedge is not None:
        values = np.array([np.nan if value is None else value for value in without_wedge["curves"]["fsc"]], float)
        low, high = without_wedge["tilt_range_deg"]
        label = f"without the wedge, {low:.0f}° to {high:.0f}°"
        axes.plot(frequency, values, "-", color="#3a8a5a", label=label, linewidth=1.6)
    for level in (0, 0.143, 0.5):
        axes.axhline(level, color="#bbbbbb", linewidth=0.8, zorder=0)
    for name, crossing in result["crossings"].items():
        if crossing["frequency"] is not None:
            resolution = crossing["resolution_angstrom"]
            where = f"{crossing['frequency']:.3f} cycles/voxel" if resolution is None else f"{resolution:.1f} Å"
            height = float(np.interp(crossing["frequency"], frequency, curves["half_bit"]))
            at = height if name == "half_bit" else float(name)
            axes.plot(crossing["frequency"], at, "o", color="#1b3f73", markersize=5)
            axes.annotate(
                f"{THRESHOLD_NAMES[name]}: {where}", (crossing["frequency"], at), (7, -12 if name == "0.143" else 5),
                textcoords="offset points",
                fontsize=8.5,
            )  # fmt: skip
    axes.set(xlim=(0, 0.5), ylim=(min(-0.1, *axes.get_ylim()) if axes.get_ylim()[0] < -0.1 else -0.1, 1.05))
    axes.set_xlabel("spatial frequency, cycles per voxel")
    axes.set_ylabel("Fourier shell correlation")
    if voxel_size is not None:
        above = axes.secondary_xaxis("top")
        ticks = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
        above.set_xticks(ticks, [f"{voxel_size / tick:.3g}" for tick in ticks])
        above.set_xlabel("resolution, Å")
    if result["tilt_range_deg"]:
        low, high = result["tilt_range_deg"]
        title = f"{title}, tilts {low:g} to {high:g} degrees"
    # A file name may hold a dollar sign, which is no mathematics, or characters that no font has.
    figure.suptitle(title.encode("utf-8", "replace").decode("utf-8"), fontsize=11, parse_math=False)
    figure.legend(fontsize=8.5, loc="outside lower center", ncols=3, frameon=False)
    stream = BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
