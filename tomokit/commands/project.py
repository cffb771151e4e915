"""``tomokit project``: reproject a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tomokit.commands.output import AsJson, Overwrite, at_least, complain, show
from tomokit.errors import OptionError


def project(
    volume: Annotated[
        Path, typer.Argument(metavar="VOLUME", help="An MRC volume, or the folder of a tilt series with its tomogram.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.mrc", help="The tilt series.")],
    angles: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Tilt angles: .tlt, .rawtlt, .mdoc, START:STOP:STEP, or the folder of a tilt series; "
            "default: those of the folder that is given as VOLUME.",
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="X", callback=at_least(1), help="Columns of the views; default: the volume's.")
    ] = None,
    tilt_offset: Annotated[float, typer.Option(metavar="DEG", help="Degrees added to every angle.")] = 0.0,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Project a volume at given tilt angles.

    Each pixel is the line integral of density, in voxels; the pixel size is the volume's voxel size.
    In a folder the series is found as by reconstruct, its angles are those of its alignment with the offset that levels
    the specimen, and the volume is the one that bears its name.
    """
    from tomokit.io.output import check_is_no_input
    from tomokit.pipeline.folder import is_series_folder
    from tomokit.pipeline.folder_volume import angles_of_folder, volume_of_folder
    from tomokit.pipeline.projection import Angles
    from tomokit.pipeline.projection import project as run

    found = angles_of_folder(volume) if is_series_folder(volume) else None
    if found is not None:
        volume = volume_of_folder(volume, found)
        complain(f"the volume is {volume}")
    if angles is not None:
        found = angles_of_folder(angles) if is_series_folder(angles) else None
    at: Angles
    if found is not None:
        complain(f"the angles are those of {', '.join(map(str, found.files))}")
        check_is_no_input(output, [found.stack, *found.files])
        at, told = found.tilt_deg, found.warnings
    elif angles is not None:
        at, told = angles, ()
    else:
        raise OptionError("are not given", field="--angles", remedy="name their file, or the folder of the series")
    series = run(volume, at, size=size, tilt_offset=tilt_offset, output=output, overwrite=overwrite)
    geometry, warnings = series.geometry, [*told, *series.provenance["warnings"]]
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
