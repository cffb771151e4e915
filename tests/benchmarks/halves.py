"""Fourier shell correlation of the halves of EMPIAR-10643-40 by several methods: one figure, one table.

python tests/benchmarks/halves.py [--series FOLDER] [--bin N] [--folder F] [--write docs/results/halves.md]
    [--picture docs/pictures/halves.png] [--maps docs/pictures/halves-maps.png]

Each method runs as ``tomokit reconstruct tilts.mrc --mask mask.mrc --linearization log --thickness 320 --bin N --halves
--method METHOD`` does. What a folder that is given holds already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import tomokit

METHODS = ("octree", "tv", "sart-tv", "sirt", "wbp")
COLOURS = ("#1b3f73", "#2a8f6a", "#c07a1c", "#a03050", "#777777")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "empiar-10643-40"
MARK = "<!-- table -->\n"


def run(series: Path, folder: Path, binning: int) -> dict[str, dict[str, Any]]:
    """What every method's halves gave, by its name; ``seconds`` added."""
    found = {}
    for method in METHODS:
        result = folder / f"{method}-bin{binning}.json"
        if not result.exists():
            began = time.perf_counter()
            tomokit.reconstruct(
                series / "tilts.mrc",
                mask=series / "mask.mrc",
                linearization="log",
                thickness=320,
                bin=binning,
                method=method,
                halves=True,
                output=folder / f"{method}-bin{binning}.mrc",
                overwrite=True,
            )
            evidence = json.loads((folder / f"{method}-bin{binning}_fsc.json").read_text())
            evidence["seconds"] = time.perf_counter() - began
            result.write_text(json.dumps(evidence))
        found[method] = json.loads(result.read_text())
        print(method, f"{found[method]['seconds']:.0f} s", flush=True)
    return found


def draw(found: dict[str, dict[str, Any]], binning: int, picture: Path) -> None:
    """All curves over frequency, over all directions and over those that views measure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, 2, sharey=True)
    for panel, key, title in (
        (axes[0], None, "all directions"),
        (axes[1], "without_wedge", "without the missing wedge"),
    ):
        for (method, evidence), colour in zip(found.items(), COLOURS, strict=True):
            curves = (evidence if key is None else evidence[key])["curves"]
            panel.plot(curves["frequency"], _numbers(curves["fsc"]), color=colour, label=method, linewidth=1.6)
        panel.plot(curves["frequency"], _numbers(curves["half_bit"]), ":", color="black", label="half bit", linewidth=1)
        for level in (0, 0.143, 0.5):
            panel.axhline(level, color="#cccccc", linewidth=0.8, zorder=0)
        panel.set(xlim=(0, 0.5), ylim=(-0.1, 1.03), xlabel="spatial frequency, cycles per voxel")
        panel.set_title(title, fontsize=10)
    axes[0].set_ylabel("Fourier shell correlation of even and odd views")
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=9, frameon=False, loc="outside lower center", ncols=6)
    figure.suptitle(f"EMPIAR-10643-40, binned by {binning}", fontsize=11)
    figure.savefig(picture)


def draw_maps(folder: Path, binning: int, picture: Path) -> None:
    """Tomogram and maps of two methods, one without a prior, in a section along the slab and one across it."""
    import mrcfile
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    methods, maps = ("wbp", "octree"), ("", "_agreement", "_noise", "_coverage", "_trust")
    figure = Figure(figsize=(13, 9.2), dpi=80, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(4, len(maps), height_ratios=(2.5, 1, 2.5, 1))
    for top, method in zip((0, 2), methods, strict=True):
        for column, name in enumerate(maps):
            with mrcfile.open(folder / f"{method}-bin{binning}{name}.mrc") as file:
                volume = np.array(file.data)
            n_z, n_y, _ = volume.shape
            share = name in ("_agreement", "_coverage", "_trust")
            low, high = (0, 1) if share else np.percentile(volume[n_z // 4 : -n_z // 4], (1 if not name else 0, 99))
            for row, section in ((top, volume[n_z // 2]), (top + 1, volume[:, n_y // 2])):
                panel = axes[row, column]
                shown = panel.imshow(section, origin="lower", vmin=low, vmax=high, cmap="viridis" if name else "gray")
                panel.set_axis_off()
            axes[top, column].set_title(f"{method}{': ' + name[1:] if name else ''}", fontsize=10)
            bar = figure.colorbar(shown, ax=axes[top : top + 2, column], location="bottom", shrink=0.8, aspect=30)
            bar.ax.tick_params(labelsize=7)
            if not share:
                bar.set_ticks([])
    figure.savefig(picture)


def table(found: dict[str, dict[str, Any]]) -> str:
    """Crossings and what the maps say, as Markdown."""
    lines = [
        "| method | 0.5 | 0.143 | 0.5, all directions | mean of five bands | share of signal: mean | above chance | "
        "seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, evidence in found.items():
        sharp, agreement = evidence["without_wedge"], evidence["maps"]["agreement"]
        cells = [_crossing(sharp, "0.5"), _crossing(sharp, "0.143"), _crossing(evidence, "0.5"), _rings(sharp)]
        above = f"{100 * agreement['share_above_chance']:.0f} % (beyond {agreement['chance']:.2f})"
        cells += [f"{agreement['mean']:.2f}", above]
        lines.append(f"| `{method}` | {' | '.join(cells)} | {evidence['seconds']:.0f} |")
    return "\n".join(lines) + "\n"


def _crossing(fsc: dict[str, Any], name: str) -> str:
    crossing = fsc["crossings"][name]
    return crossing["found"] if crossing["frequency"] is None else f"{1 / crossing['frequency']:.1f}"


def _rings(fsc: dict[str, Any]) -> str:
    """The mean correlation of five bands, each a fifth of the frequencies up to Nyquist's."""
    values = _numbers(fsc["curves"]["fsc"])
    fifth = len(values) / 5
    means = []
    for band in range(5):
        part = [value for value in values[round(band * fifth) : round((band + 1) * fifth)] if value == value]
        means.append(f"{sum(part) / len(part):.2f}" if part else "-")
    return " ".join(means)


def _numbers(values: list[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def main() -> None:
    """Run, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path, default=SHARED)
    parser.add_argument("--bin", type=int, default=4)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--maps", type=Path, help="picture of the maps")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        found = run(given.series, folder, given.bin)
        if given.maps:
            draw_maps(folder, given.bin, given.maps)
    text = table(found)
    print(text)
    if given.picture:
        draw(found, given.bin, given.picture)
    if given.write:
        page = given.write.read_text()
        given.write.write_text(page[: page.index(MARK) + len(MARK)] + "\n" + text)


if __name__ == "__main__":
    main()
