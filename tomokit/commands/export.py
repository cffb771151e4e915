"""The command ``tomokit export``: sample the density of a state, or write a tomogram in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tomokit.commands import completion
from tomokit.commands.output import AsJson, Overwrite, complain, show
from tomokit.io.output_names import MODES, ORIENTATIONS, Mode, Orientation

if TYPE_CHECKING:
    from tomokit.pipeline.export import Box


def export(
    source: Annotated[
        Path,
        typer.Argument(metavar="STATE.h5|VOLUME.mrc", help="What `reconstruct --state` wrote, or a tomogram in MRC."),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUT.mrc", help="The volume, in the format that its name says: .mrc, .mrc.gz, .tif, .zarr."
        ),
    ],
    box: Annotated[
        str | None,
        typer.Option(
            metavar="z0:z1,y0:y1,x0:x1",
            help="Box to sample, in voxels of the tomogram, fractions too; default: all of it.",
            show_default=False,
        ),
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(
            metavar="A", help="Edge of the new voxels in ångström; default: the tomogram's.", show_default=False
        ),
    ] = None,
    orientation: Annotated[
        str,
        typer.Option(
            metavar="xyz|xzy",
            help="Axes of the MRC, the fastest first; xzy is how IMOD's tilt writes a .rec.",
            autocompletion=completion.one_of("xyz", "xzy"),
        ),
    ] = "xyz",
    mode: Annotated[
        str,
        typer.Option(
            metavar="float32|float16|int16|int8",
            help="Type of the numbers in the MRC; the scaling stands in its labels.",
            autocompletion=completion.one_of("float32", "float16", "int16", "int8"),
        ),
    ] = "float32",
    invert_contrast: Annotated[
        bool, typer.Option("--invert-contrast", help="Write densities with their sign changed.")
    ] = False,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Sample the density of a state, finished or not, or of a tomogram, in any box and at any spacing.

    The inputs of the reconstruction are not needed. An OME-Zarr, with a pyramid for viewers, may be larger than memory.
    """
    from tomokit.io.output_form import OutputForm
    from tomokit.pipeline.export import export as run

    form = OutputForm(
        cast(Orientation, _one_of(orientation, ORIENTATIONS, "--orientation")),
        cast(Mode, _one_of(mode, tuple(MODES), "--mode")),
        invert_contrast,
    )
    sampled_box = None if box is None else _parse_box(box)
    result = run(source, output, box=sampled_box, spacing_angstrom=spacing, overwrite=overwrite, form=form)
    n_z, n_y, n_x = result["shape"]
    size = f"of {result['voxel_size_angstrom']:g} angstrom" if result["voxel_size_is_known"] else "of unknown size"
    text = f"{output}: {n_x} x {n_y} x {n_z} voxels {size}"
    if result["state"] is not None:
        text += f", after epoch {result['epoch']} of {result['epochs']}"
    show(result, text, json, [output])
    for warning in result["warnings"]:
        complain(f"warning: {warning}")


def _one_of(given: str, choices: tuple[str, ...], option: str) -> str:
    from tomokit.errors import OptionError

    if given not in choices:
        raise OptionError(f"{given!r} is not one of {', '.join(choices)}", field=option, remedy="choose one of them")
    return given


def _parse_box(text: str) -> Box:
    from tomokit.errors import OptionError

    try:
        (z0, z1), (y0, y1), (x0, x1) = (tuple(map(float, part.split(":"))) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"{text!r} is not three ranges", field="--box", remedy="give z0:z1,y0:y1,x0:x1 in voxels of the tomogram"
        ) from None
    return (z0, z1), (y0, y1), (x0, x1)
