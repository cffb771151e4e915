"""The command ``tomokit reconstruct``: a tomogram from a tilt series."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands import completion
from tomokit.commands.folder_table import found_text, tell_found
from tomokit.commands.output import AsJson, Overwrite, complain, show
from tomokit.commands.progress import ProgressForm, TerminalProgress
from tomokit.commands.telling import stopping, tell
from tomokit.errors import OptionError
from tomokit.pipeline.request import ReconstructionRequest

_HELP = {item.name: item.metadata.get("help", "") for item in dataclasses.fields(ReconstructionRequest)}


def _option(field: str, metavar: str | None = None, complete: Any = None) -> Any:
    """An option named after a field of the request, with the field's help.

    It is None where it is not given: the configuration file, the preset or the default then decides.
    """
    if complete is None and metavar is not None and "|" in metavar:
        complete = completion.one_of(*metavar.split("|"))
    name = f"--{field.replace('_', '-')}"
    return typer.Option(name, metavar=metavar, help=_HELP[field], show_default=False, autocompletion=complete)


def reconstruct(
    tilts: Annotated[
        Path, typer.Argument(metavar="TILTS", help="The tilt series, an MRC stack, or the folder that it lies in.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.mrc",
            help="The tomogram to write; of a folder by default NAME_tomokit.mrc in it, NAME that of the series.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[str | None, _option("method", "NAME", completion.methods)] = None,
    thickness: Annotated[int | None, _option("thickness", "PX")] = None,
    angles: Annotated[Path | None, _option("angles", "F")] = None,
    allow_unsorted: Annotated[bool, typer.Option("--allow-unsorted", help=_HELP["allow_unsorted"])] = False,
    mask: Annotated[Path | None, _option("mask", "F")] = None,
    xf: Annotated[Path | None, _option("xf", "F")] = None,
    alignment: Annotated[Path | None, _option("alignment", "F")] = None,
    mask_beads: Annotated[Path | None, _option("mask_beads", "F")] = None,
    aligned: Annotated[bool, typer.Option("--aligned", help=_HELP["aligned"])] = False,
    tilt_offset: Annotated[float | None, _option("tilt_offset", "DEG")] = None,
    x_tilt: Annotated[float | None, _option("x_tilt", "DEG")] = None,
    x_tilt_error: Annotated[float | None, _option("x_tilt_error", "PX")] = None,
    pixel_size: Annotated[float | None, _option("pixel_size", "A")] = None,
    linearization: Annotated[
        str | None,
        typer.Option(
            "--linearization",
            "--transform",
            metavar="auto|log|linear|invert",
            help=_HELP["linearization"],
            show_default=False,
            autocompletion=completion.one_of("auto", "log", "linear", "invert"),
        ),
    ] = None,
    percentiles: Annotated[str | None, _option("percentiles", "LOW,HIGH")] = None,
    offsets: Annotated[str | None, _option("offsets", "auto|fit|zero")] = None,
    bin: Annotated[int | None, _option("bin", "N")] = None,
    y: Annotated[str | None, _option("y", "A:B")] = None,
    center: Annotated[str | None, _option("center", "X,Y,Z")] = None,
    size: Annotated[str | None, _option("size", "X,Y,Z")] = None,
    orientation: Annotated[str | None, _option("orientation", "xyz|xzy")] = None,
    mode: Annotated[str | None, _option("mode", "float32|float16|int16|int8")] = None,
    invert_contrast: Annotated[bool, typer.Option("--invert-contrast", help=_HELP["invert_contrast"])] = False,
    output_bin: Annotated[int | None, _option("output_bin", "N")] = None,
    naming: Annotated[str | None, _option("naming", "none|aretomo|relion|warp")] = None,
    halves: Annotated[bool, typer.Option("--halves", help=_HELP["halves"])] = False,
    half: Annotated[str | None, _option("half", "even|odd")] = None,
    exclude: Annotated[str | None, _option("exclude", "0,3,7-9")] = None,
    exclude_from_1: Annotated[str | None, _option("exclude_from_1", "1,4,8-10")] = None,
    hold_out: Annotated[str | None, _option("hold_out", "N|N:K")] = None,
    refine: Annotated[str | None, _option("refine", "shifts,angles,...")] = None,
    keep_views: Annotated[bool, typer.Option("--keep-views", help=_HELP["keep_views"])] = False,
    padding: Annotated[str | None, _option("padding", "mask|keep")] = None,
    x_rays: Annotated[str | None, _option("x_rays", "replace|keep")] = None,
    dose: Annotated[str | None, _option("dose", "FILE_OR_E")] = None,
    dose_weighting: Annotated[str | None, _option("dose_weighting", "off|on")] = None,
    ctf: Annotated[Path | None, _option("ctf", "F")] = None,
    ctf_correction: Annotated[str | None, _option("ctf_correction", "flip|model|model-from-peak")] = None,
    voltage: Annotated[float | None, _option("voltage", "KV")] = None,
    cs: Annotated[float | None, _option("cs", "MM")] = None,
    amplitude_contrast: Annotated[float | None, _option("amplitude_contrast", "A")] = None,
    defocus_gradient: Annotated[str | None, _option("defocus_gradient", "on|inverted|off")] = None,
    view_weights: Annotated[str | None, _option("view_weights", "off|noise|tilt")] = None,
    seed: Annotated[int | None, _option("seed", "N")] = None,
    backend: Annotated[str | None, _option("backend", "auto|cpu|cuda|reference")] = None,
    threads: Annotated[int | None, _option("threads", "N")] = None,
    slabs: Annotated[int | None, _option("slabs", "N")] = None,
    state: Annotated[Path | None, _option("state", "RUN.h5")] = None,
    state_epochs: Annotated[int | None, _option("state_epochs", "N")] = None,
    state_seconds: Annotated[float | None, _option("state_seconds", "S")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An option of the method, as in `tomokit plugins list --verbose`; repeatable.",
            autocompletion=completion.settings,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Named settings to start from.",
            show_default=False,
            autocompletion=completion.presets,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="C.toml", help="File of settings, laid over those of the preset.", show_default=False),
    ] = None,
    no_preview: Annotated[bool, typer.Option("--no-preview", help="Write no picture beside the tomogram.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what was found and what would be done, and stop there.")
    ] = False,
    progress: ProgressForm = "auto",
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Reconstruct a tomogram from a tilt series, or from the folder that Etomo, AreTomo or another program left.

    In a folder the stack, its alignment, angles, mask and commands are found, and told in a table before the work.
    Settings come from the preset, then the configuration file, then the command line, then --set: the last one wins.
    With --state, SIGTERM, SIGINT, SIGUSR1 and SIGHUP stop the job after its current step: the state is saved, and the
    exit status is 75.
    """
    from tomokit.pipeline.config import build_request
    from tomokit.pipeline.driver import reconstruct as run
    from tomokit.pipeline.folder import find_series, is_series_folder, named_fields
    from tomokit.pipeline.naming import with_default_output, with_named_output
    from tomokit.pipeline.readers import find_reader
    from tomokit.refinement.corrections import parse_kinds

    chosen = named_fields({"xf": xf, "alignment": alignment, "mask": mask})
    found = find_series(tilts, angles, chosen) if is_series_folder(tilts) else None
    if output is None and found is None and not dry_run:
        raise OptionError("is not given", field="--output", remedy="name the tomogram, such as -o OUT.mrc")
    if dry_run and found is None:
        find_reader(tilts).shape(tilts)  # refused here as it would be without --dry-run
    given = {
        "stack": tilts, "output": output, "method": method, "thickness": thickness, "angles": angles, "mask": mask,
        "xf": xf, "alignment": alignment, "x_tilt": x_tilt, "x_tilt_error": x_tilt_error, "center": center,
        "size": size, "orientation": orientation, "mode": mode, "invert_contrast": invert_contrast or None,
        "output_bin": output_bin, "naming": naming,
        "tilt_offset": tilt_offset, "pixel_size": pixel_size, "linearization": linearization,
        "percentiles": percentiles, "offsets": offsets, "bin": bin, "halves": halves or None, "half": half,
        "exclude": exclude,
        "exclude_from_1": exclude_from_1, "mask_beads": mask_beads,
        "refine": refine,
        "hold_out": hold_out, "seed": seed, "backend": backend, "threads": threads, "y": y, "slabs": slabs,
        "state": state, "state_epochs": state_epochs, "state_seconds": state_seconds,
        "preview": False if no_preview else None, "allow_unsorted": allow_unsorted or None, "aligned": aligned or None,
        "keep_views": keep_views or None, "padding": padding, "x_rays": x_rays,
        "overwrite": overwrite,
        "dose": dose, "dose_weighting": dose_weighting, "ctf": ctf, "ctf_correction": ctf_correction,
        "voltage": voltage, "cs": cs,
        "amplitude_contrast": amplitude_contrast, "defocus_gradient": defocus_gradient, "view_weights": view_weights,
    }  # fmt: skip
    request = build_request(given, settings=set_ or (), config=config, preset=preset, found=found)
    request = with_named_output(request if found is None else with_default_output(request, found.folder))
    if request.refine is not None:
        parse_kinds(request.refine)
    if dry_run:
        would = {"dry_run": True, "found": None if found is None else found.to_json(), "stack": str(request.stack),
                 "output": None if request.output is None else str(request.output),
                 "method": request.method, "parameters": request.settings()}  # fmt: skip
        text = f"{tilts} is a stack, not a folder"
        if found is not None:
            text = f"{found_text(found, request)}\nthe tomogram would be {request.output}"
        if request.refine is not None:
            text += f"\nthe alignment would be refined first: {request.refine}"
        show(would, text, json)
        for warning in () if found is None else (*found.warnings, *found.warnings_of_alignment):
            complain(f"warning: {warning}")
        return
    if found is not None:
        tell_found(found, request)
        if output is None:
            complain(f"the tomogram will be {request.output}")
    with TerminalProgress(progress) as told, stopping(request.state, json) as stop:
        summary = run(request, told, stop)
    if found is not None:
        summary = {**summary, "found": found.to_json()}
    tell(summary, json, told.told)
