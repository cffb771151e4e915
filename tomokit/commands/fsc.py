"""The command ``tomokit fsc``: Fourier shell correlation of two halves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.output import AsJson, Overwrite, complain, show
from tomokit.errors import OptionError, OutputError


def fsc(
    half1: Annotated[Path, typer.Argument(metavar="HALF1", help="A volume made of one half of the views.")],
    half2: Annotated[Path, typer.Argument(metavar="HALF2", help="The one made of the other half, of the same shape.")],
    mask: Annotated[
        str,
        typer.Option(
            metavar="box|none|sphere|auto|F",
            help="Soft mask of both: the volume with tapered faces, nothing, the largest sphere, where there is "
            "structure, or an MRC volume of 0 to 1.",
        ),
    ] = "box",
    edge: Annotated[float, typer.Option(metavar="PX", help="Width of the mask's soft edge in voxels.")] = 8.0,
    tilt_range: Annotated[
        str | None,
        typer.Option(
            metavar="MIN,MAX", help="Least and greatest tilt in degrees: the missing wedge beyond them has no say."
        ),
    ] = None,
    check_mask: Annotated[
        bool, typer.Option("--check-mask/--no-check-mask", help="Take out what the mask adds, by random phases.")
    ] = True,
    randomize_beyond: Annotated[
        float | None,
        typer.Option(
            metavar="A",
            help="Resolution in angstrom beyond which phases are random for that; default: where the correlation "
            "without mask falls below 0.8.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the random phases.")] = 0,
    csv: Annotated[Path | None, typer.Option(metavar="F", help="Write the curves to this file as a table.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the curves into this file.")] = None,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Correlate two halves of a tomogram by spatial frequency: resolution by Fourier shell correlation."""
    from tomokit.io.output import check_file, check_output
    from tomokit.io.output_set import new_outputs
    from tomokit.pipeline.fsc_files import as_csv, draw
    from tomokit.pipeline.half_map_inputs import MASKS
    from tomokit.pipeline.half_maps import FourierOptions, half_map_correlation

    inputs = [half1, half2, *([] if mask in MASKS else [Path(mask)])]
    for output in (csv, plot):
        if output is not None:
            check_output(output, overwrite=overwrite, inputs=inputs)
    if plot is not None and plot.suffix.lower() not in (".png", ""):
        raise OutputError(f"the picture is PNG, not {plot.suffix}", file=plot, remedy="name it .png")
    if csv is not None and plot is not None and csv.resolve() == plot.resolve():
        raise OptionError("the table and the picture have one name", field="--csv", remedy="give two")
    options = FourierOptions(
        mask=mask,
        edge_px=edge,
        tilt_range_deg=None if tilt_range is None else _parse_range(tilt_range),
        randomize_angstrom=randomize_beyond,
        check_mask=check_mask,
        seed=seed,
    )
    found = half_map_correlation(half1, half2, options)
    for warning in found["warnings"]:
        complain(f"warning: {warning}")
    contents: list[tuple[Path, bytes]] = []
    if csv is not None:
        contents.append((csv, as_csv(found).encode()))
    if plot is not None:
        contents.append((plot, draw(found, f"{half1.name} and {half2.name}")))
    with new_outputs() as outputs:
        for path, content in contents:
            with outputs.new(path, check_file, "replace" if overwrite else "refuse") as temporary:
                temporary.write_bytes(content)
    written = [path for path, _ in contents]
    result = {
        "half1": str(half1),
        "half2": str(half2),
        **found,
        "csv": None if csv is None else str(csv),
        "plot": None if plot is None else str(plot),
    }
    show(result, _report_text(result), json, written)


def _parse_range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"{text!r} is not two angles", field="--tilt-range", remedy="give MIN,MAX, such as --tilt-range=-60,60"
        ) from None
    return low, high


def _report_text(result: dict[str, Any]) -> str:
    from tomokit.pipeline.fsc_files import THRESHOLD_NAMES

    lines = []
    for name, crossing in result["crossings"].items():
        title, frequency = f"FSC {THRESHOLD_NAMES[name]}", crossing["frequency"]
        if frequency is None:
            lines.append(f"{title}: {crossing['found']}")
            continue
        resolution = crossing["resolution_angstrom"]
        size = f"{1 / frequency:.2f} voxels" if resolution is None else f"{resolution:.2f} angstrom"
        lines.append(f"{title}: {size} ({frequency:.4f} cycles a voxel)")
    mask, check = result["mask"], result["check"]
    if mask["kind"] != "none":
        lines.append(f"mask {mask['kind']}: {100 * mask['share']:.1f} % of the volume")
    if check is not None:
        beyond = check["beyond_angstrom"]
        where = f"{check['beyond_frequency']:.4f} cycles a voxel" if beyond is None else f"{beyond:.2f} angstrom"
        most = "nothing" if check["by_mask_alone"] is None else f"at most {check['by_mask_alone']:.3f}"
        lines.append(f"with random phases beyond {where} the mask alone correlates by {most}, which is taken out")
    if result["tilt_range_deg"]:
        low, high = result["tilt_range_deg"]
        lines.append(f"only what tilts of {low:g} to {high:g} degrees measure")
    lines += [f"{result['csv']}: table"] * bool(result["csv"]) + [f"{result['plot']}: plot"] * bool(result["plot"])
    return "\n".join(lines)
