"""Doubts about the user's data, told or refused before any work is done, and about a result that says nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tomokit.data.problem import Problem
from tomokit.errors import OptionError
from tomokit.geometry import Alignment
from tomokit.pipeline.checkpoint import History
from tomokit.pipeline.readers import KnowsAlignment, Reader
from tomokit.pipeline.request import ReconstructionRequest

NO_BETTER = 0.999
"""A data term above this fraction of that of an empty volume is that of an empty volume."""
DIVERGED = 10.0
"""A data term above so many times the projections' mean square is none that a fit comes down from."""


def check_alignment(
    request: ReconstructionRequest,
    reader: Reader,
    warn: Callable[[str], None],
    alignment: Alignment | None = None,
) -> None:
    """Refuse a stack that is raw beyond doubt, and tell what else of its name, header and neighbours gives doubt.

    Parameters
    ----------
    request : ReconstructionRequest
        The job; its ``xf``, ``alignment`` and ``aligned`` answer the question.
    reader : Reader
        Reads the series; of one that knows nothing of alignment nothing is asked.
    warn : callable
        Is given each doubt, one line.
    alignment : Alignment, optional
        What was read of the request's alignment: what its files say is used, and no doubt.

    Raises
    ------
    InputError
        If the stack is raw beyond doubt, and neither its transforms nor ``--aligned`` are given.
    OptionError
        If both are.
    """
    for option, path in (("--xf", request.xf), ("--alignment", request.alignment)):
        if request.aligned and path is not None:
            remedy = f"leave it or {option} out"
            raise OptionError("says that there is nothing to transform", field="--aligned", remedy=remedy)
    if not isinstance(reader, KnowsAlignment):
        return
    facts = reader.alignment(request.stack)
    if not request.aligned and request.xf is None and request.alignment is None:
        facts.require_aligned(request.stack)
    settings = ("xf", "aligned", "pixel_size", "tilt_offset", "x_tilt", "center", "exclude")
    given = [name for name in settings if getattr(request, name) is not None and getattr(request, name) is not False]
    given += ["exclude"] * bool(request.exclude_from_1) + ["xf"] * (request.alignment is not None)
    names = [] if alignment is None else [path.name.lower() for path in alignment.files]
    if "tilt.com" in names:
        given += ["tilt_offset", "x_tilt", "center", "exclude"]
    elif any(name.endswith(".xtilt") for name in names):
        given.append("x_tilt")
    for text in facts.doubts(request.stack, given):
        warn(text)


def doubt_result(problem: Problem, history: History) -> list[str]:
    """Tell that a fit explains nothing, its data term no less than that of an empty volume; refuse one that diverged.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    history : list of dict
        What each epoch gave. The first one alone is not judged: its term may be that of the volume it began with.

    Returns
    -------
    list of str
        One warning, or none.

    Raises
    ------
    OptionError
        If the data term is many times the projections' mean square.
    """
    data = history[-1]["terms"].get("data") if len(history) > 1 else None
    if data is None or data < NO_BETTER * problem.empty_loss:
        return []
    # With the offsets in it, since a method need not fit them.
    square = float(np.mean([np.mean(view, dtype=np.float64) ** 2 + np.var(view) for view in problem.projections]))
    if data > DIVERGED * square > 0:
        raise OptionError(
            f"the fit has diverged: its data term {data:.3g} is {data / square:.2g} times the projections' mean square",
            field="options",
            remedy="lower the learning rate or the weights",
        )
    return [
        f"the fit explains nothing: its data term {data:.3g} is no better than that of an empty volume, "
        f"{problem.empty_loss:.3g}; check --linearization, the angles and the method's options"
    ]
