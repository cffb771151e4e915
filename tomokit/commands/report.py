"""The command ``tomokit report``: what is known of tomograms, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tomokit.commands.output import AsJson, Overwrite, complain, show

if TYPE_CHECKING:
    from tomokit.report.fourier import Halves


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="STATE.h5|OUT.mrc...",
            help="Up to four states of `reconstruct --state`, or tomograms with their .provenance.json beside them.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="REPORT.html", help="The page.")],
    half1: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="F", help="Tomogram of one half of the views, for the Fourier shell correlation; once for each "
            "tomogram, in their order. Default: OUT_even.mrc beside OUT.mrc.", show_default=False,
        ),
    ] = None,
    half2: Annotated[
        list[Path] | None,
        typer.Option(metavar="F", help="That of the other half. Default: OUT_odd.mrc.", show_default=False),
    ] = None,
    fsc: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="F.json", help="What `fsc --json` printed, in place of halves. Default: OUT_fsc.json.",
            show_default=False,
        ),
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MAP.mrc", help="Map of what was measured, laid over the slices. Default: OUT_trust.mrc.",
            show_default=False,
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(metavar="R.json", help="Named regions, as of `contrast`: drawn and measured.", show_default=False),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Headline; default: the names of the files.", show_default=False)
    ] = None,
    max_size: Annotated[
        float,
        typer.Option(
            metavar="MB", help="The most that the page may have, in millions of bytes: volumes get fewer grey levels, "
            "then fewer voxels, until they fit."
        ),
    ] = 20.0,
    views: Annotated[
        bool,
        typer.Option(
            "--views/--no-views", help="Read the tilt series again: for angles, masks, and the ceiling of its noise."
        ),
    ] = True,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Make one HTML file of all that is known of up to four tomograms: slices, curves, views, settings.

    The file is complete: it loads nothing, and opens in a browser without a server.
    """
    from tomokit.io.output import check_file, check_output
    from tomokit.io.output_names import check_name
    from tomokit.io.output_set import new_outputs
    from tomokit.report.report import ReportRequest, input_files, make_report

    request = ReportRequest(
        paths, _given(half1 or [], half2 or [], fsc or [], trust or []), regions, title, max_size, views
    )
    check_name(output, "a report", (".html", ".htm"), "--output")
    check_output(output, overwrite=overwrite, inputs=input_files(request))
    made = make_report(request)
    with new_outputs() as outputs, outputs.new(output, check_file, "replace" if overwrite else "refuse") as temporary:
        temporary.write_bytes(made.html)
    result = {"output": str(output), **made.summary}
    lines = [f"{output}: {made.summary['bytes'] / 1e6:.1f} MB"]
    for entry in made.summary["tomograms"]:
        for text in entry["missing"]:
            complain(f"missing: {entry['file']}: {text}")
        shown = entry["shown"]
        told = "no slices"
        if shown is not None:
            n_z, n_y, n_x = shown["shape"]
            binned = f", means over {shown['bin']}^3 voxels" if shown["bin"] > 1 else ""
            told = f"slices of {n_x} x {n_y} x {n_z} voxels{binned} in {shown['levels']} grey levels"
        lines.append(f"{entry['label']} {entry['file']}: {told}, {len(entry['warnings'])} warnings")
    show(result, "\n".join(lines), json, [output])


def _given(half1: list[Path], half2: list[Path], fsc: list[Path], trust: list[Path]) -> list[Halves]:
    """What was given of each tomogram, in their order."""
    from tomokit.errors import OptionError
    from tomokit.report.fourier import Halves

    if len(half1) != len(half2):
        raise OptionError(
            f"{len(half1)} and {len(half2)} halves", field="--half1, --half2", remedy="give both of each tomogram"
        )

    def at(paths: list[Path], place: int) -> Path | None:
        return paths[place] if place < len(paths) else None

    count = max(len(half1), len(fsc), len(trust))
    return [Halves(at(half1, i), at(half2, i), at(fsc, i), at(trust, i)) for i in range(count)]
