"""The outputs of a reconstruction: checked and locked before the work, written after it, all or none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomokit.data import Volume
from tomokit.errors import InputError, OptionError, OutputError, TomokitError
from tomokit.geometry import ORIENTATION
from tomokit.io.given_inputs import is_given_directly
from tomokit.io.output_form import FormedSections, OutputForm
from tomokit.io.volume_file import VolumeFile
from tomokit.pipeline.own_outputs import is_own_output
from tomokit.pipeline.request import FILES, ReconstructionRequest
from tomokit.state.record import previous_path

if TYPE_CHECKING:
    from tomokit.io.output_set import Existing, OutputSet

_REFINED = ("refined transforms", "refined angles")
_STATE_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")


@contextmanager
def locked_outputs(request: ReconstructionRequest) -> Iterator[None]:
    """Let no other run write the tomogram or the state of a job while the context lasts.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.

    Yields
    ------
    None

    Raises
    ------
    OutputError
        If another run is writing one of them, or its folder takes no files.
    """
    from tomokit.io.locks import locked

    with ExitStack() as held:
        for path, what, field in ((request.output, "tomogram", None), (request.state, "state", "--state")):
            # What cannot be written at all is told by the checks, in better words.
            if path is not None and _has_place(path):
                held.enter_context(locked(path, what, field))
        yield


def _has_place(path: Path) -> bool:
    try:
        target = path.resolve()
        return bool(target.name) and os.access(target.parent, os.W_OK | os.X_OK)
    except (OSError, RuntimeError, ValueError):
        return False


def check_outputs(
    request: ReconstructionRequest,
    going_on: bool = False,
    job: Mapping[str, Any] | None = None,
    is_part: bool = False,
) -> dict[Path, Existing]:
    """Make sure that volume, preview, provenance and state can be written where they are asked for.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    going_on : bool
        Whether the state is there because the run is continued from it.
    job : mapping, optional
        What a record says of this job (see :func:`tomokit.pipeline.provenance.job_record`): what it wrote itself before
        it was ended may be there.
    is_part : bool
        Whether this tomogram belongs to another, which is not there: then its own record beside it says whose it is.

    Returns
    -------
    dict of Path to {"refuse", "replace", "same"}
        What is done about each of volume, preview and provenance if it is there when it is written.

    Raises
    ------
    OutputError
        If one exists and may not be replaced, is one of the inputs, has a name for something else, or its folder cannot
        be written to.
    OptionError
        If it is told how often to save a state, and there is no state.
    """
    from tomokit.io.output import check_output
    from tomokit.io.output_names import check_name
    from tomokit.io.volume_write import check_volume_output

    # The angles beside the stack are an input although the request does not name them.
    inputs = [*input_paths(request), *_angles_beside(request)]
    outputs = {"tomogram": request.output, "preview": request.preview_path, "provenance": request.provenance_path}
    named = {what: path for what, path in outputs.items() if path is not None}
    named |= dict(zip(_REFINED, request.refined_paths, strict=False))
    existing = _existing(request, named, going_on or is_part, {} if job is None else job, inputs)
    if request.output is not None and not request.form.is_plain:
        request.form.check(request.output)
    for what, path in named.items():
        check = check_volume_output if what == "tomogram" else check_output
        check(path, overwrite=existing[path] != "refuse", inputs=inputs)
    if request.state is None:
        if request.state_epochs is not None or request.state_seconds is not None:
            field = "--state-seconds" if request.state_epochs is None else "--state-epochs"
            raise OptionError("there is no state to save", field=field, remedy="give --state too")
        return existing
    previous = previous_path(request.state.resolve())
    for path in (request.state, previous):
        for what, output in named.items():
            if path.resolve() == output.resolve():
                raise OutputError(f"is the {what} too", file=path, field="--state", remedy="give another name")
    try:
        check_output(request.state, overwrite=request.overwrite or going_on, inputs=inputs)
        # Whatever is there would be replaced by the second saving.
        check_output(previous, overwrite=request.overwrite or going_on, inputs=inputs)
    except OutputError as error:
        if error.problem == "exists already":
            error.remedy = "continue it by `tomokit resume`, or give --overwrite to begin anew"
        raise
    check_name(request.state, "a state is written as HDF5", _STATE_SUFFIXES, "--state")
    return existing


def _existing(
    request: ReconstructionRequest,
    named: Mapping[str, Path],
    going_on: bool,
    job: Mapping[str, Any],
    inputs: list[Path],
) -> dict[Path, Existing]:
    """What is done about each output that is there."""
    if request.overwrite:
        return dict.fromkeys(named.values(), "replace")
    from tomokit.io.digest import file_digest

    @cache
    def digests() -> dict[Path, str]:
        return {path: file_digest(path) for path in inputs}

    own = {what for what, path in named.items() if job and is_own_output(path, job, digests, request.stack)}
    if "provenance" in own:
        # They have no room for a record: the one beside them is theirs.
        own |= set(_REFINED)
    existing: dict[Path, Existing] = {path: "replace" if what in own else "refuse" for what, path in named.items()}
    if "tomogram" in named:
        # It has its name last: where it is there the set was complete, and only a run that goes on may find it so.
        is_own = going_on and bool(own & {"provenance", "tomogram"})
        existing[named["tomogram"]] = "same" if is_own else "refuse"
    return existing


def input_paths(request: ReconstructionRequest) -> list[Path]:
    """List the files that a request names as inputs.

    Parameters
    ----------
    request : ReconstructionRequest

    Returns
    -------
    list of Path
        Stack, angles, mask, transforms, alignment, dose and defocus, those that are given.
    """
    named = {role: getattr(request, role) for role in FILES}
    return [path for role, path in named.items() if path is not None and not is_given_directly(role, path)]


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
    existing: Mapping[Path, Existing] | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> bool:
    """Write the volume, its provenance, and its preview if one is wanted; if one fails, none is left.

    All are made under temporary names first, and get their own together, the volume's last. A preview that cannot be
    made is a warning.

    Parameters
    ----------
    request, volume, provenance, size_is_known, made_in, existing
        As of :func:`add_outputs`.
    warn : callable
        Is told in one line what became of the preview.

    Returns
    -------
    bool
        Whether there is a preview.

    Raises
    ------
    OutputError
        If no output was asked for, or one cannot be written.
    """
    from tomokit.io.output_set import new_outputs

    with new_outputs() as outputs:
        added = add_outputs(outputs, request, volume, provenance, size_is_known, made_in, existing)
    return added.tell(outputs, warn)


@dataclass(frozen=True)
class AddedPreview:
    """The preview of a volume in a set of outputs.

    Attributes
    ----------
    path : Path or None
        None if none was wanted.
    existing : {"refuse", "replace", "same"}
        What is done about one that is there.
    problem : str or None
        Why it could not be made.
    """

    path: Path | None
    existing: Existing = "refuse"
    problem: str | None = None

    def tell(self, outputs: OutputSet, warn: Callable[[str], None]) -> bool:
        """Say what became of it, when the set is written.

        Parameters
        ----------
        outputs : OutputSet
            The set, its names given.
        warn : callable
            Is told in one line if there is no preview although one was wanted.

        Returns
        -------
        bool
            Whether there is one.
        """
        if self.path is None:
            return False
        refused = [str(error.problem) for error in outputs.refused if error.file == str(self.path)]
        problem = self.problem or next(iter(refused), None)
        if problem is None:
            return True
        left = ""
        if self.existing == "replace" and os.path.lexists(self.path):
            # It would be taken for a picture of the volume that is there now.
            with suppress(OSError):
                self.path.unlink()
                left = ", and the one of an earlier tomogram is removed"
        warn(f"{self.path}: there is no picture{left} ({problem}); the tomogram is complete")
        return False


def add_outputs(
    outputs: OutputSet,
    request: ReconstructionRequest,
    volume: Volume,
    provenance: dict[str, Any],
    size_is_known: bool = True,
    made_in: VolumeFile | None = None,
    existing: Mapping[Path, Existing] | None = None,
) -> AddedPreview:
    """Add a volume, its provenance, and its preview if one is wanted, to a set of outputs.

    Parameters
    ----------
    outputs : OutputSet
        The set; of all that is added the volume gets its name last.
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
    existing : mapping, optional
        What :func:`check_outputs` gave; by default what the request says of overwriting.

    Returns
    -------
    AddedPreview
        To be asked for the preview when the set is written.

    Raises
    ------
    OutputError
        If no output was asked for, or one cannot be written.
    """
    from tomokit.io.output import check_file
    from tomokit.io.volume_write import add_volume

    form = request.form
    output, record_path, preview = request.output, request.provenance_path, request.preview_path
    if output is None:
        raise OutputError("no output was asked for")
    default: Existing = "replace" if request.overwrite else "refuse"
    policy = dict.fromkeys((output, record_path, preview, *request.refined_paths), default) | dict(existing or {})
    if not form.is_plain:
        volume, stored = describe_form(volume, form)
        provenance = {**provenance, "stored": stored}
    text = json.dumps({"output": output.name, **provenance}, indent=2)
    if record_path is not None:
        with outputs.new(record_path, check_file, policy[record_path]) as temporary:
            temporary.write_text(text + "\n", "utf-8")
    if request.refined_paths:
        from tomokit.pipeline.refined_series import refined_texts

        for path, lines in zip(request.refined_paths, refined_texts(provenance["series"]["refinement"]), strict=True):
            with outputs.new(path, check_file, policy[path]) as temporary:
                temporary.write_text(lines, "utf-8")
    add_volume(
        outputs,
        output,
        volume,
        policy[output],
        provenance=provenance,
        size_is_known=size_is_known,
        made_in=made_in if form.is_plain else None,
        form=form,
    )
    if preview is None:
        return AddedPreview(None)
    problem = _add_preview(outputs, preview, policy[preview], volume, output.name, text, size_is_known)
    return AddedPreview(preview, policy[preview], problem)


def describe_form(volume: Volume, form: OutputForm) -> tuple[Volume, dict[str, Any]]:
    """Say in labels and record how a volume is written where that is not the plain way.

    Parameters
    ----------
    volume : Volume
        As reconstructed.
    form : OutputForm

    Returns
    -------
    volume : Volume
        The same, its labels with what is done to it.
    stored : dict
        For the record of provenance.
    """
    scaling = FormedSections(volume.density, form).scaling
    told = {"contrast": "inverted"} if form.invert else {}
    if form.bin > 1:
        told["output bin"] = str(form.bin)
    if form.mode != "float32":
        told["stored"] = scaling.text()
    if form.orientation == "xzy":
        told["orientation"] = f"sections along y, rows along z; {ORIENTATION}"
    # What is done to the numbers comes first among the labels, of which there are ten.
    labels = {**told, **{key: value for key, value in volume.provenance.items() if key not in told}}
    stored = {"orientation": form.orientation, "inverted": form.invert, "bin": form.bin, **scaling.to_json()}
    return replace(volume, provenance=labels), stored


def _add_preview(
    outputs: OutputSet,
    path: Path,
    existing: Existing,
    volume: Volume,
    title: str,
    description: str,
    size_is_known: bool,
) -> str | None:
    """Add the picture to the outputs; what went wrong, if anything did: no fit is lost for a picture."""
    from tomokit.io.output import check_file

    try:
        from tomokit.preview import draw_preview

        picture = draw_preview(
            volume.density,
            voxel_size_angstrom=volume.voxel_size_angstrom if size_is_known else None,
            title=title,
            description=description,
        )
        with outputs.new(path, check_file, existing, optional=True) as temporary:
            temporary.write_bytes(picture)
    except TomokitError as error:
        return error.problem
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
