"""The command ``tomokit inspect``: what files are, and by which convention they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.failures import MENDABLE, kind_of
from tomokit.commands.folder_table import found_text
from tomokit.commands.output import AsJson, complain, error_facts, show
from tomokit.commands.progress import ProgressForm, TerminalProgress
from tomokit.errors import InputError, OptionError


def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="MRC, .tlt, .rawtlt, .xf, .mdoc, .aln, .com, .star, .xml or other files of a tilt series, states of "
            "runs, or a folder of a tilt series.",
        ),
    ],
    pixels: Annotated[
        bool | None,
        typer.Option(
            "--pixels/--no-pixels",
            help="Read every pixel too, for extremes, mean, bad views and spoilt pixels; by default if they take at "
            "most 32 MiB.",
            show_default=False,
        ),
    ] = None,
    geometry: Annotated[
        bool,
        typer.Option(
            "--geometry",
            help="Judge the angles and transforms of a series by its images: order, tilt axis, binning, hand, "
            "views out of place, level. Nothing is changed.",
        ),
    ] = False,
    angles: Annotated[
        str | None, typer.Option(metavar="F", help="With --geometry: angles, as of `reconstruct`.", show_default=False)
    ] = None,
    xf: Annotated[
        Path | None,
        typer.Option(metavar="F", help="With --geometry: transforms from raw to aligned views.", show_default=False),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(metavar="F", help="With --geometry: an alignment, as of `reconstruct`.", show_default=False),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="F", help="With --geometry: mask of an aligned stack.", show_default=False)
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="With --geometry: views to leave out, from 0.", show_default=False),
    ] = None,
    fiducials: Annotated[
        Path | None,
        typer.Option(
            metavar="auto|F",
            help="With --geometry: a model of beads in aligned views, or auto to find them.",
            show_default=False,
        ),
    ] = None,
    write_fix: Annotated[
        Path | None,
        typer.Option(
            metavar="PREFIX",
            help="With --geometry: write mended angles and transforms to PREFIX.tlt and PREFIX.xf.",
            show_default=False,
        ),
    ] = None,
    progress: ProgressForm = "auto",
    json: AsJson = False,
) -> None:
    """Say what each file is, and by which convention it is read; of a folder, what `reconstruct` would take of it.

    Of a large stack the header alone is read, so that it is answered at once; --pixels reads all of it. Files that
    cannot be read are told after the others, on stderr. --geometry reads a series and judges its geometry by evidence.
    """
    settings = {"angles": angles, "xf": xf, "alignment": alignment, "mask": mask, "exclude": exclude}
    if geometry:
        _judge_geometry(files, settings, fiducials, write_fix, progress, json)
        return
    useless = next(
        (key for key, value in {**settings, "fiducials": fiducials, "write-fix": write_fix}.items() if value), None
    )
    if useless:
        raise OptionError("has a say in judging a geometry only", field=f"--{useless}", remedy="give --geometry too")
    from tomokit.pipeline.folder import find_series, is_series_folder
    from tomokit.pipeline.inspection import describe

    described: list[dict[str, Any]] = []
    refused: list[InputError] = []
    tables: dict[int, str] = {}
    for path in files:
        try:
            if is_series_folder(path):
                found = find_series(path)
                tables[len(described)] = found_text(found)
                described.append({"file": path.name, "kind": "tilt series folder", **found.to_json()})
            elif pixels:
                with TerminalProgress(progress) as told:
                    told.stage(f"reading {path.name}")
                    described.append(describe(path, pixels=True, tell=told.part))
            else:
                described.append(describe(path, pixels=pixels))
        except InputError as error:
            refused.append(error)
    result: dict[str, Any] = {"files": described}
    if refused:
        errors = [error_facts(error, kind_of(error), str(error), MENDABLE) for error in refused]
        result |= {"error": errors[0], "errors": errors}
    if described or json:
        texts = [tables.get(index) or _facts_text(facts) for index, facts in enumerate(described)]
        show(result, "\n\n".join(texts), json)
    for facts in described:
        for warning in facts["warnings"] if facts["kind"] == "tilt series folder" else ():
            complain(f"warning: {warning}")
    for refusal in refused:
        complain(str(refusal))
    if refused:
        raise typer.Exit(MENDABLE)


def _judge_geometry(
    files: list[Path],
    given: dict[str, Any],
    fiducials: Path | None,
    write_fix: Path | None,
    progress: str,
    json: bool,
) -> None:
    from tomokit.commands.diagnosis_text import diagnosis_text
    from tomokit.pipeline.doctor import examine_series

    if len(files) != 1:
        raise OptionError("judges one series at a time", field="--geometry", remedy="give one stack or folder")
    with TerminalProgress(progress) as told:
        examined = examine_series(
            files[0],
            given,
            fiducials=fiducials,
            tell=lambda name: told.stage(f"judging by the images: {name}"),
            warn=told.warning,
        )
    written = [] if write_fix is None else examined.write_fix(write_fix)
    result = {"file": files[0].name, **examined.to_json(), "written": [str(path) for path in written]}
    if written:
        result["command"] = examined.command(write_fix)
    show(result, diagnosis_text(examined, files[0], written), json)


def _facts_text(facts: dict[str, Any], indent: str = "") -> str:
    """Facts as ``key: value`` lines, nested ones indented."""
    lines = []
    unread = facts.get("pixels_read") is False
    for key, value in facts.items():
        if unread and key in ("minimum", "maximum", "mean", "rms"):
            # One line in place of four that say nothing.
            if key == "minimum":
                lines.append(f"{indent}pixels' extremes, mean, rms: not read (--pixels)")
            continue
        label = key.replace("_", " ")
        if isinstance(value, dict):
            lines += [f"{indent}{label}:", _facts_text(value, indent + "  ")]
        elif isinstance(value, (list, tuple)):
            lines.append(f"{indent}{label}: {', '.join(map(str, value)) if value else 'none'}")
        else:
            lines.append(f"{indent}{label}: {value}")
    return "\n".join(line for line in lines if line)
