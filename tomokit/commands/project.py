"""The command ``tomokit project``: project a volume to a tilt series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tomokit.commands.output import AsJson, Overwrite, complain, show


def project(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="The MRC volume to project.")],
    angles: Annotated[Path, typer.Option(metavar="F", help="File of tilt angles: .tlt, .rawtlt or .mdoc.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.mrc", help="The tilt series to write.")],
    size: Annotated[
        int | None, typer.Option(metavar="X", min=1, help="Columns of the views; default: the volume's.")
    ] = None,
    tilt_offset: Annotated[float, typer.Option(metavar="DEG", help="Degrees added to every angle.")] = 0.0,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Project a volume at given tilt angles.

    Each pixel is the line integral of density, in voxels; the pixel size is the volume's voxel size.
    """
    import numpy as np

    from tomokit.geometry import TiltGeometry
    from tomokit.io import read_angles, read_volume, write_stack
    from tomokit.io.angles import offset_angles
    from tomokit.io.digest import file_digest
    from tomokit.io.inspection import is_stack
    from tomokit.io.output import check_output
    from tomokit.pipeline.memory import check_disk, check_memory
    from tomokit.projector import DenseProjector

    check_output(output, overwrite=overwrite, inputs=(volume, angles))
    tilt_deg = offset_angles(read_angles(angles), tilt_offset)
    read = read_volume(volume)
    n_z, n_y, n_x = read.values.shape
    geometry = TiltGeometry(tilt_deg, n_u=size or n_x, n_v=n_y)
    stack_bytes = 4 * geometry.n_views * geometry.n_u * n_y
    check_memory(
        2 * stack_bytes + 8 * read.values.size,
        f"projecting {n_x} x {n_y} x {n_z} voxels to {geometry.n_views} views of {geometry.n_u} x {n_y} pixels",
        "give a smaller volume" if size is None else "give a smaller --size",
    )
    check_disk(output, stack_bytes + 1024)
    # Files have [z, y, x] and [tilt, y, x]; the projector takes [x, z, y] and gives [tilt, x, y].
    density = np.ascontiguousarray(read.values.transpose(2, 0, 1), dtype=np.float32)
    views = DenseProjector(geometry, n_z, n_x=n_x)(density)
    images = np.ascontiguousarray(views.transpose(0, 2, 1))
    provenance = {
        "projected": volume.name,
        "sha256": file_digest(volume),
        "angles": angles.name,
        "angles sha256": file_digest(angles),
        "tilt_offset_deg": tilt_offset,
        "thickness_px": n_z,
    }
    write_stack(
        output, images, pixel_size_angstrom=read.voxel_size_angstrom, provenance=provenance, overwrite=overwrite
    )
    warnings = [f"{volume}: {text}" for text in read.provenance["warnings"]]
    if is_stack(volume):
        warnings.insert(0, f"{volume}: looks like a tilt stack; give a volume [z, y, x]")
    result = {
        "output": str(output),
        "shape": list(images.shape),
        "pixel_size_angstrom": float(read.voxel_size_angstrom),
        "tilt_deg": [float(angle) for angle in tilt_deg],
        "warnings": warnings,
    }
    show(result, f"{output}: {len(images)} views of {geometry.n_u} x {n_y}", json, [output])
    for warning in warnings:
        complain(f"warning: {warning}")
