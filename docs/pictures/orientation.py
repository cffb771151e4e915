"""Draw how a point moves with the tilt, and how rows along z run in volumes: docs/pictures/orientation.svg.

python docs/pictures/orientation.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
TILT_DEG = 40
POINT = (0.0, 0.62)
INK, RED, GREY = "#202020", "#c0392b", "#9a9a9a"
# An outline without any symmetry: a letter F, thick along z by one of its arms.
F_SHAPE = np.array([(-0.5, -0.8), (-0.5, 0.8), (0.5, 0.8), (0.5, 0.45), (-0.15, 0.45), (-0.15, 0.15), (0.3, 0.15),
                    (0.3, -0.2), (-0.15, -0.2), (-0.15, -0.8)])  # fmt: skip


def project(x: float, z: float, tilt_deg: float) -> float:
    """Column at which a point appears, from the centre: the equation of docs/conventions.md."""
    theta = np.deg2rad(tilt_deg)
    return float(x * np.cos(theta) - z * np.sin(theta))


def draw_view(axes: Axes, tilt_deg: float) -> None:
    """Draw the slab in the microscope, the beam along z, and where its marked point falls on the detector."""
    theta = np.deg2rad(tilt_deg)
    # With x to the right, z up and y into the page the specimen turns counter-clockwise at positive tilt.
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    slab = np.array([(-1.5, -0.62), (1.5, -0.62), (1.5, 0.62), (-1.5, 0.62), (-1.5, -0.62)]) @ turn.T
    axes.fill(*slab.T, facecolor="#eef2f5", edgecolor=INK, linewidth=1)
    for name, direction in (("x", (1.2, 0)), ("z", (0, 1.25))):
        end = turn @ direction
        axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0})
        axes.annotate(name, end * 1.14, color=GREY, ha="center", va="center", fontsize=10)
    axes.plot(0, 0, "o", mfc="white", mec=INK, ms=9)
    axes.plot(0, 0, "x", color=INK, ms=5)
    px, pz = turn @ POINT
    u = project(*POINT, tilt_deg)
    assert np.isclose(u, px)
    axes.plot([px, px], [pz, -2], ":", color=RED, linewidth=1)
    axes.plot(px, pz, "o", color=RED, ms=7)
    axes.plot([-1.9, 1.9], [-2, -2], color=INK, linewidth=3)
    axes.plot(u, -2, "o", color=RED, ms=7)
    axes.plot([0, 0], [-2.08, -1.92], color=INK)
    axes.annotate("", (1.75, 1.2), (1.75, 1.9), arrowprops={"arrowstyle": "<|-|>", "color": INK})
    axes.annotate("beam", (1.68, 1.6), ha="right", va="center", fontsize=9)
    where = "u = 0" if tilt_deg == 0 else "u = -z sin(tilt): to the left"
    axes.annotate(where, (0, -2.3), ha="center", va="top", fontsize=9, color=RED)
    axes.set_title(f"tilt {'0' if tilt_deg == 0 else f'+{tilt_deg:g}'} degrees", fontsize=10)
    axes.set_xlim(-2, 2)
    axes.set_ylim(-2.7, 2)


def draw_rows(axes: Axes, title: str, flipped: bool) -> None:
    """Draw an x-z section as a viewer shows it, row 0 at the bottom."""
    axes.fill([-1.5, 1.5, 1.5, -1.5], [-1.2, -1.2, 1.2, 1.2], facecolor="#eef2f5", edgecolor=INK, linewidth=1)
    shape = F_SHAPE * (1, -1 if flipped else 1)
    axes.fill(*shape.T, facecolor="#34495e")
    axes.plot(0.9, -0.9 if flipped else 0.9, "o", color=RED, ms=7)
    axes.annotate("z row 0", (-1.6, -1.2), ha="right", va="center", fontsize=8, color=GREY)
    axes.annotate("last", (-1.6, 1.2), ha="right", va="center", fontsize=8, color=GREY)
    axes.set_title(title, fontsize=10)
    axes.annotate("x", (0, -1.35), ha="center", va="top", fontsize=9, color=GREY)
    axes.set_xlim(-2.4, 2)
    axes.set_ylim(-2.2, 2)


def main() -> None:
    """Write the picture, the same bytes each time."""
    matplotlib.rcParams.update({"svg.hashsalt": "tomokit", "svg.fonttype": "path"})
    figure = Figure(figsize=(10.5, 3.1), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1])
    draw_view(axes[0], 0)
    draw_view(axes[1], TILT_DEG)
    draw_rows(axes[2], "tomokit; IMOD's tilt;\ntrimvol -yz", flipped=False)
    draw_rows(axes[3], "trimvol -rx;\nRELION, Warp", flipped=True)
    for each in axes:
        each.set_aspect("equal")
        each.set_axis_off()
    figure.savefig(HERE / "orientation.svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main()
