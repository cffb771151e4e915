"""``tomokit project``: reproject a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tomokit.commands.output import AsJson, Overwrite, at_least, complain, show


def project(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="An MRC volume.")],
    angles: Annotated[Path, typer.Option(metavar="F", help="Tilt angles: .tlt, .rawtlt, .mdoc, or START:STOP:STEP.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.mrc", help="The tilt series.")],
    size: Annotated[
        int | None, typer.Option(metavar="X", callback=at_least(1), help="Columns of the views; default: the volume's.")
    ] = None,
    tilt_offset: Annotated[float, typer.Option(metavar="DEG", help="Degrees added to every angle.")] = 0.0,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Project a volume at given tilt angles.

    Each pixel is the line integral of density, in voxels; the pixel size is the volume's voxel size.
    """
    from tomokit.pipeline.projection import project as run

    series = run(volume, angles, size=size, tilt_offset=tilt_offset, output=output, overwrite=overwrite)
    geometry, warnings = series.geometry, series.provenance["warnings"]
    result = {
        "output": str(output),
        "shape": list(series.images.shape),
        "pixel_size_angstrom": float(series.pixel_size_angstrom),
        "tilt_deg": [float(angle) for angle in geometry.tilt_deg],
        "warnings": warnings,
    }
    show(result, f"{output}: {geometry.n_views} views of {geometry.n_u} x {geometry.n_v}", json, [output])
    for warning in warnings:
        complain(f"warning: {warning}")
