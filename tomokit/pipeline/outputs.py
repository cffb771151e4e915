"""The outputs of a reconstruction: checked before the work, written after it, all or none."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tomokit.data import Volume
from tomokit.errors import InputError, OptionError, OutputError
from tomokit.io.angle_keyword import names_no_file
from tomokit.io.volume_file import VolumeFile
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.state.record import previous_path


def check_outputs(request: ReconstructionRequest, going_on: bool = False) -> None:
    """Make sure that volume, preview, provenance and state can be written where they are asked for.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    going_on : bool
        Whether the state is there because the run is continued from it.

    Raises
    ------
    OutputError
        If one exists and may not be replaced, is one of the inputs, or its folder cannot be written to.
    OptionError
        If it is told how often to save a state, and there is no state.
    """
    from tomokit.io.output import check_output

    # The angles beside the stack are an input although the request does not name them.
    inputs = [*input_paths(request), *_angles_beside(request)]
    outputs = {"tomogram": request.output, "preview": request.preview_path, "provenance": request.provenance_path}
    for path in outputs.values():
        if path is not None:
            check_output(path, overwrite=request.overwrite, inputs=inputs)
    tomogram, preview = request.output, request.preview_path
    if tomogram is not None and preview is not None and preview.resolve() == tomogram.resolve():
        raise OutputError("would be the preview's name too", file=tomogram, remedy="name the volume .mrc")
    if request.state is None:
        if request.state_epochs is not None or request.state_seconds is not None:
            field = "--state-seconds" if request.state_epochs is None else "--state-epochs"
            raise OptionError("there is no state to save", field=field, remedy="give --state too")
        return
    previous = previous_path(request.state.resolve())
    for path in (request.state, previous):
        for what, output in outputs.items():
            if output is not None and path.resolve() == output.resolve():
                raise OutputError(f"is the {what} too", file=path, field="--state", remedy="give another name")
    try:
        check_output(request.state, overwrite=request.overwrite or going_on, inputs=inputs)
        # Whatever is there would be replaced by the second saving.
        check_output(previous, overwrite=request.overwrite or going_on, inputs=inputs)
    except OutputError as error:
        if error.problem == "exists already":
            error.remedy = "continue it by `tomokit resume`, or give --overwrite to begin anew"
        raise


def input_paths(request: ReconstructionRequest) -> list[Path]:
    """List the files that a request names as inputs.

    Parameters
    ----------
    request : ReconstructionRequest

    Returns
    -------
    list of Path
        Stack, angles, mask and transforms, those that are given.
    """
    angles = None if names_no_file(request.angles) else request.angles
    return [path for path in (request.stack, angles, request.mask, request.xf) if path is not None]


def _angles_beside(request: ReconstructionRequest) -> list[Path]:
    """The angle file that is read although the request names none: it must not be replaced either."""
    from tomokit.io.angles import find_angles

    if request.angles is not None:
        return []
    try:
        return [find_angles(request.stack)]
    except InputError:
        return []  # reading the series will say so, or its reader needs none


def write_outputs(
    request: ReconstructionRequest,
    volume: Volume,
    provenance: dict[str, Any],
    size_is_known: bool = True,
    made_in: VolumeFile | None = None,
) -> None:
    """Write the volume, its provenance, and its preview if one is wanted; if one fails, none is left.

    Provenance and preview, which are small, are made first under temporary names, then the volume is written, then they
    get their own names: only a rename can still fail once the volume is there.

    Parameters
    ----------
    request : ReconstructionRequest
        Where to write.
    volume : Volume
        Densities ``[z, y, x]`` in the units of the output; its own provenance goes into the header's labels.
    provenance : dict
        What the result depends on (see :func:`tomokit.pipeline.provenance.make_provenance`).
    size_is_known : bool
        Whether the voxel's edge was given, by the stack or the user, and not assumed; the preview says so.
    made_in : VolumeFile, optional
        The file beside the output that holds the densities already.

    Raises
    ------
    OutputError
        If no output was asked for, or one cannot be written.
    """
    from tomokit.io import new_file, write_volume
    from tomokit.preview import write_preview

    output, record_path = request.output, request.provenance_path
    if output is None or record_path is None:
        raise OutputError("no output was asked for")
    with ExitStack() as stack:
        text = json.dumps({"output": output.name, **provenance}, indent=2)
        record = stack.enter_context(new_file(record_path, request.overwrite))
        record.write_text(text + "\n", "utf-8")
        if request.preview_path is not None:
            # `new_file` gives the name when the block ends, after the volume is complete.
            temporary = stack.enter_context(new_file(request.preview_path, request.overwrite))
            drawn = temporary.with_name(temporary.name + ".png")
            stack.callback(drawn.unlink, missing_ok=True)
            known = volume.voxel_size_angstrom if size_is_known else None
            write_preview(
                drawn, volume.density, voxel_size_angstrom=known, title=output.name, overwrite=True, description=text
            )
            os.replace(drawn, temporary)
        write_volume(output, volume, overwrite=request.overwrite, made_in=made_in)
