"""The command ``tomokit contrast``: contrast and speckle of a volume, without a truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.output import AsJson, complain, show, table


def contrast(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="The volume to be judged.")],
    regions: Annotated[
        Path | None,
        typer.Option(
            metavar="R.json",
            help="Named regions of it, and pairs of them: features and background. Without them only isolated voxels "
            "are counted.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure contrast to noise, equivalent looks and isolated voxels of a volume."""
    from tomokit.data.json_numbers import finite_or_none
    from tomokit.metrics.contrast import (
        contrast_to_noise,
        equivalent_looks,
        isolated_per_thousand,
        mean_and_deviation,
    )
    from tomokit.metrics.regions import read_regions
    from tomokit.pipeline.volumes import as_volume

    read = as_volume(volume)
    for warning in read.provenance.get("warnings", []):
        complain(f"warning: {volume}: {warning}")
    density = read.density
    measured, pairs = {}, []
    if regions is not None:
        named = read_regions(regions, density.shape)
        measured = {name: mean_and_deviation(density, box) for name, box in named.boxes.items()}
        pairs = [(pair, contrast_to_noise(measured[pair[0]], measured[pair[1]])) for pair in named.pairs]
    result: dict[str, Any] = {
        "volume": str(volume),
        "regions": {
            name: {"mean": facts[0], "deviation": facts[1], "enl": finite_or_none(equivalent_looks(facts))}
            for name, facts in measured.items()
        },
        "pairs": [{"features": pair[0], "background": pair[1], "cnr": finite_or_none(cnr)} for pair, cnr in pairs],
        "isolated_per_thousand": isolated_per_thousand(density),
    }
    show(result, _report_text(result), json)


def _report_text(result: dict[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.4g}"

    lines = [f"isolated extreme voxels: {result['isolated_per_thousand']:.3g} per thousand"]
    rows: list[tuple[str, ...]] = [("region", "mean", "deviation", "ENL")]
    for name, facts in result["regions"].items():
        rows.append((name, number(facts["mean"]), number(facts["deviation"]), number(facts["enl"])))
    if result["regions"]:
        lines.append(table(rows))
    for pair in result["pairs"]:
        lines.append(f"CNR of {pair['features']} against {pair['background']}: {number(pair['cnr'])}")
    return "\n".join(lines)
