"""The command ``tomokit resume``: continue a job from its state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tomokit.commands.output import AsJson, Overwrite, at_least
from tomokit.commands.progress import ProgressForm, TerminalProgress
from tomokit.commands.telling import stopping, tell


def resume(
    state: Annotated[Path, typer.Argument(metavar="STATE.h5", help="What `reconstruct --state` wrote.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.mrc",
            help="The tomogram to write; default: as the job began, if that lies beside the state.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=at_least(1),
            help="Number of epochs of the whole run; default: as the job began.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", callback=at_least(1), help="Number of threads; default: as the job began.", show_default=False
        ),
    ] = None,
    progress: ProgressForm = "auto",
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Continue a reconstruction from its state, to the same result as if it had never been interrupted.

    Settings and inputs are those of the state; what is written elsewhere than beside it, or over an existing file, has
    to be asked for. If the file is damaged, the state before it is used.
    """
    from tomokit.pipeline.resume import resume as run

    with TerminalProgress(progress) as told, stopping(state, json) as stop:
        summary = run(state, output, epochs=epochs, threads=threads, overwrite=overwrite, progress=told, stop=stop)
    tell(summary, json, told.told)
