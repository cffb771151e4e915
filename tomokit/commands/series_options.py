"""The options of `reconstruct` that say how a series is read and fitted, for other commands that do both."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

from tomokit.commands.reconstruct import reconstruct

SHARED = (
    "method", "thickness", "angles", "allow_unsorted", "mask", "xf", "alignment", "mask_beads", "aligned",
    "tilt_offset", "x_tilt", "x_tilt_error", "pixel_size", "linearization", "percentiles", "offsets", "bin", "y",
    "center", "size", "exclude", "exclude_from_1", "hold_out", "keep_views", "padding", "x_rays", "dose",
    "dose_weighting", "ctf", "ctf_correction",
    "voltage", "cs", "amplitude_contrast", "defocus_gradient", "view_weights", "seed", "backend", "threads", "set_",
    "preset", "config",
)  # fmt: skip
"""Parameters of the command `reconstruct`, by their Python names."""


def with_series_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `reconstruct` that say how a series is read and fitted.

    Parameters
    ----------
    command : callable
        Its parameter ``series`` gets a dictionary of them, by the names of :data:`SHARED`.

    Returns
    -------
    callable
        The command for Typer, whose own options come first.
    """
    theirs = typing.get_type_hints(reconstruct, include_extras=True)
    own = typing.get_type_hints(command, include_extras=True)
    shared = [
        parameter.replace(annotation=theirs[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(reconstruct).parameters.items()
        if name in SHARED
    ]
    parameters = [
        parameter.replace(annotation=own[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "series"
    ]

    def call(**given: Any) -> None:
        series = {name: given.pop(name) for name in SHARED}
        command(**given, series=series)

    functools.update_wrapper(call, command)
    del call.__wrapped__  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*parameters, *shared)}
    call.__signature__ = inspect.Signature([*parameters, *shared])  # type: ignore[attr-defined]
    return call
