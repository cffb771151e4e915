"""The command ``tomokit warm-up``: compile before the first run."""

from __future__ import annotations

from typing import Annotated

import typer

from tomokit.commands.output import AsJson, complain, show


def warm_up(
    methods: Annotated[list[str] | None, typer.Argument(metavar="[METHOD]...", help="Which; by default all.")] = None,
    into_installation: Annotated[
        bool,
        typer.Option(
            "--into-installation",
            help="Keep the machine code in the installation, for all its users, and not in your cache folder.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Compile the methods, so that no run has to wait for it.

    Otherwise the first run with a method does so. Worth it when an image for a cluster is built, and after an update.
    """
    from tomokit.pipeline.warm_up import warm_up as compile_methods

    done = compile_methods(
        methods or (), into_installation=into_installation, tell=lambda name: complain(f"{name} done")
    )
    result = {"runs": done.trials, "folder": str(done.folder), "seconds": done.seconds}
    show(result, f"{', '.join(done.trials)}: machine code in {done.folder}, {done.seconds:.0f} s", json)
