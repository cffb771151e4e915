"""Continue a run from its state file, which says all that is needed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from tomokit.errors import InputError, OptionError
from tomokit.io.given_inputs import is_given_directly
from tomokit.pipeline.driver import Summary, reconstruct
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.request import FILES, ReconstructionRequest
from tomokit.pipeline.resumption import Resumed, read_resumed
from tomokit.pipeline.signals import Stop
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.plugin.settings import give_way
from tomokit.state.record import State


def resume(
    path: Path,
    output: Path | None = None,
    *,
    epochs: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Continue the run of a state file, and write its tomogram.

    Parameters
    ----------
    path : Path
        The state; its predecessor is used where it does not verify.
    output : Path, optional
        The tomogram; by default that of the job as it began, if that lies beside the state.
    epochs : int, optional
        Epochs of the whole run, in place of those that it was begun with.
    threads : int, optional
        Default: as begun, or all where there are not so many. Changes no bit of the result.
    overwrite : bool
        Whether outputs that exist may be replaced, whatever the run was begun with: a state may come from anybody.
    progress, stop
        As :func:`tomokit.pipeline.driver.reconstruct`.

    Returns
    -------
    dict
        The summary, as :func:`tomokit.pipeline.driver.reconstruct`.

    Raises
    ------
    OptionError
        If there is no output, given or from the beginning and beside the state, or no such number of epochs.
    TomokitError
        If no state verifies, it is of another version or other input, or as
        :func:`tomokit.pipeline.driver.reconstruct`.
    """
    request, resumed = load_resumption(
        path, output, epochs=epochs, threads=threads, overwrite=overwrite, progress=progress
    )
    if request.output is None:
        raise OptionError("the run was begun without an output", field="--output", remedy="give a name")
    return reconstruct(request, progress, stop, resumed)


def load_resumption(
    path: Path,
    output: Path | None = None,
    *,
    epochs: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[ReconstructionRequest, Resumed]:
    """Read a state, and make the request that continues its run.

    Parameters
    ----------
    path, output, epochs, threads, overwrite, progress
        As of :func:`resume`.

    Returns
    -------
    request : ReconstructionRequest
        The job as it began, its files found again, with what is given here laid over it.
    resumed : Resumed
        What the run goes on from.

    Raises
    ------
    InputError
        If the state is that of a half alone.
    TomokitError
        If no state verifies, it is of another version, a file or a plugin is missing, or there is no such number of
        epochs.
    """
    resumed = read_resumed(path, progress)
    state = resumed.state
    if "half" in state.provenance:
        raise InputError(
            f"holds the {state.provenance['half']} half of a run with --halves, which is not continued alone",
            file=path,
            remedy="give the state of the whole run, or sample this one by `tomokit export`",
        )
    request = request_of_state(state, path)
    request = dataclasses.replace(
        request, state=path, output=output, overwrite=overwrite, threads=request.threads if threads is None else threads
    )
    if output is None:
        request = _with_output_of_state(request, state, path)
    if epochs is not None:
        request = _with_epochs(request, state, epochs)
    return request, resumed


def request_of_state(state: State, path: Path) -> ReconstructionRequest:
    """Make the request that a state was made by, its inputs found again, without outputs.

    Parameters
    ----------
    state : State
    path : Path
        Its file, beside which inputs are looked for too.

    Returns
    -------
    ReconstructionRequest

    Raises
    ------
    InputError
        If an input is not found.
    OptionError
        If a setting is none of this version.
    """
    from tomokit.pipeline.backend import most_threads

    configuration, job = dict(state.provenance["configuration"]), state.job
    # As it was chosen, not as it was asked for: another backend gives other bits.
    configuration["backend"] = state.provenance["backend"]
    for role in FILES:
        if is_given_directly(role, configuration.get(role)):
            continue
        configuration[role] = _find_input(job["files"].get(role), role, path)
    # A run that was begun before edges were looked at goes on with them.
    configuration.setdefault("padding", "keep")
    # What is written, and over what, is for the user to say: a state may come from anybody.
    for name in ("output", "overwrite", "state"):
        configuration.pop(name, None)
    for name in ("preview", "state_epochs", "state_seconds"):
        configuration[name] = job[name]
    asked = job["threads"]
    configuration["threads"] = asked if asked is None or asked <= most_threads() else None
    return build_options(ReconstructionRequest, configuration, str(path))


def _with_output_of_state(request: ReconstructionRequest, state: State, path: Path) -> ReconstructionRequest:
    """The request with the tomogram that the job began with, if all that is written with it lies beside the state."""
    place = state.job["files"].get("output")
    if place is None:
        return request
    # Where the folder has moved, the tomogram goes with it.
    folder = path.resolve().parent
    request = dataclasses.replace(request, output=Path(os.path.normpath(folder / place["from_here"])))
    for file in (request.output, request.preview_path, request.provenance_path, *request.refined_paths):
        if file is not None and not _lies_in(file, folder):
            raise OptionError(
                f"the run of {path} was begun with {place['absolute']}, which is not beside the state",
                field="--output",
                remedy="confirm it by giving it, or give another name",
            )
    return request


def _lies_in(file: Path, folder: Path) -> bool:
    """Whether a file, with every link resolved, lies directly in a folder."""
    try:
        return file.resolve().parent == folder
    except (OSError, RuntimeError):  # a loop of links, or a name too long
        return False


def _find_input(place: dict[str, str] | None, role: str, path: Path) -> Path | None:
    """A file where it was, seen from the state; else where it was on the machine that began; else beside the state."""
    if place is None:
        return None
    folder = path.resolve().parent
    absolute = Path(place["absolute"])
    candidates = (folder / place["from_here"], absolute, folder / absolute.name)
    for candidate in candidates:
        # Neither a named pipe nor a device; a folder is what some readers take.
        if os.path.isfile(candidate) or os.path.isdir(candidate):
            return Path(os.path.normpath(candidate))
    raise InputError(
        f"the {role} is neither at {absolute} nor beside the state", file=path, remedy=f"put {absolute.name} beside it"
    )


def _with_epochs(request: ReconstructionRequest, state: State, epochs: int) -> ReconstructionRequest:
    """The request with another number of epochs, if the method has one and so many are not done yet."""
    method = get_registry().get("method", request.method)
    if "epochs" not in {item.name for item in dataclasses.fields(method.Options)}:
        raise OptionError(f"method {request.method} has no number of epochs", field="--epochs", remedy="leave it out")
    # An epoch of which some steps are done has to be finished.
    under_way = state.epoch + state.paused
    if epochs < under_way:
        raise OptionError(
            f"{epochs} where {under_way} are done or under way",
            field="--epochs",
            remedy=f"give the epochs of the whole run, at least {under_way}",
        )
    given = {"epochs": epochs}
    return dataclasses.replace(request, options=give_way({**request.options, **given}, given))
