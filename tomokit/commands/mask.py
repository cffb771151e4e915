"""The command ``tomokit mask``: which pixels of a tilt series count, by its beads and its padding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tomokit.commands import completion
from tomokit.commands.folder_table import tell_found
from tomokit.commands.output import AsJson, Overwrite, complain, show


def mask(
    tilts: Annotated[
        Path,
        typer.Argument(
            metavar="TILTS",
            help="The aligned tilt series, the raw one with --xf alone or --alignment, or the folder that it lies in.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MASK.mrc", help="The mask: 1 = use, 0 = not.")],
    fiducials: Annotated[
        Path | None,
        typer.Option(metavar="F", help="Model of the beads: IMOD's .fid or .mod, or text of model2point."),
    ] = None,
    find: Annotated[bool, typer.Option("--find", help="Find the beads without a model.")] = False,
    radius: Annotated[
        float | None, typer.Option(metavar="PX", help="Radius of the discs in pixels; default: measured in the images.")
    ] = None,
    margin: Annotated[float, typer.Option(metavar="PX", help="Pixels added to the radius.")] = 0.0,
    angles: Annotated[
        Path | None,
        typer.Option(metavar="F", help="Tilt angles, as of reconstruct; default: those beside the stack."),
    ] = None,
    xf: Annotated[
        Path | None, typer.Option(metavar="F", help="IMOD transforms: what lies outside of the raw images is masked.")
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(metavar="F", help="An alignment of the raw stack, as of reconstruct: as of --xf."),
    ] = None,
    raw_size: Annotated[
        str | None,
        typer.Option(metavar="X,Y", help="Size of the raw images in pixels, with --xf where TILTS is aligned."),
    ] = None,
    merge: Annotated[
        Path | None, typer.Option(metavar="MASK2", help="Another mask: its zeros are zeros here too.")
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Take the stack as aligned, whatever its header and neighbours say.")
    ] = False,
    padding: Annotated[
        str,
        typer.Option(
            metavar="mask|keep",
            help="Edges of an aligned stack that are filled with a constant: masked, or kept.",
            autocompletion=completion.one_of("mask", "keep"),
        ),
    ] = "mask",
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Make a mask of beads and padding for a tilt series, or for the one that is found in a folder."""
    from tomokit.pipeline.beads import beads_text
    from tomokit.pipeline.config import build_request
    from tomokit.pipeline.folder import find_series, is_series_folder, named_fields
    from tomokit.pipeline.masking import make_mask

    given = {"stack": tilts, "angles": angles, "xf": xf, "alignment": alignment, "aligned": aligned or None}
    found = find_series(tilts, angles, {"mask", *named_fields(given)}) if is_series_folder(tilts) else None
    if found is not None:
        request = build_request(given, found=found)
        tell_found(found, request, makes_volume=False)
        tilts, angles, xf, alignment = request.stack, request.angles, request.xf, request.alignment
        aligned = request.aligned
    result = make_mask(
        tilts,
        output,
        fiducials=fiducials,
        find=find,
        radius_px=radius,
        margin_px=margin,
        angles=angles,
        xf=xf,
        alignment=alignment,
        raw_size=_size(raw_size),
        merge=merge,
        aligned=aligned,
        padding=padding,
        overwrite=overwrite,
    )
    n_views, n_y, n_x = result["shape"]
    text = f"{output}: {n_views} views of {n_x} x {n_y}, {result['used_fraction']:.2%} of the pixels used"
    if result["beads"]:
        text += f"\n{beads_text(result['beads'])}"
    if found is not None:
        result["found"] = found.to_json()
    show(result, text, json, [output])
    for warning in result["warnings"]:
        complain(f"warning: {warning}")


def _size(text: str | None) -> tuple[int, int] | None:
    """``X,Y`` as two whole numbers."""
    from tomokit.errors import OptionError

    if text is None:
        return None
    words = text.replace("x", ",").split(",")
    if len(words) != 2 or not all(word.strip().isascii() and word.strip().isdigit() for word in words):
        raise OptionError(f"{text!r} is not X,Y", field="--raw-size", remedy="give the raw size as in 4096,4096")
    return int(words[0]), int(words[1])
