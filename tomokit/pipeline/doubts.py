"""Doubts about the user's data, told or refused before any work is done, and about a result that says nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tomokit.data.problem import Problem
from tomokit.errors import InputError, OptionError
from tomokit.pipeline.checkpoint import History
from tomokit.pipeline.readers import KnowsAlignment, Reader
from tomokit.pipeline.request import ReconstructionRequest

FEW_USED = 0.2
"""A mask that leaves a smaller fraction of the pixels is more often one that has 1 and 0 exchanged."""
NO_BETTER = 0.999
"""A data term above this fraction of that of an empty volume is that of an empty volume."""
LEAST_USED = 16
"""Views of fewer pixels that count determine nothing."""


def check_alignment(request: ReconstructionRequest, reader: Reader, warn: Callable[[str], None]) -> None:
    """Refuse a stack that is raw beyond doubt, and tell what else of its name, header and neighbours gives doubt.

    Parameters
    ----------
    request : ReconstructionRequest
        The job; its ``xf`` and ``aligned`` answer the question.
    reader : Reader
        Reads the series; of one that knows nothing of alignment nothing is asked.
    warn : callable
        Is given each doubt, one line.

    Raises
    ------
    InputError
        If the stack is raw beyond doubt, and neither its transforms nor ``--aligned`` are given.
    OptionError
        If both are.
    """
    if request.aligned and request.xf is not None:
        raise OptionError("says that there is nothing to transform", field="--aligned", remedy="leave it or --xf out")
    if not isinstance(reader, KnowsAlignment):
        return
    facts = reader.alignment(request.stack)
    if not request.aligned and request.xf is None:
        facts.require_aligned(request.stack)
    settings = ("xf", "aligned", "pixel_size", "tilt_offset", "exclude")
    given = [name for name in settings if getattr(request, name)]
    for text in facts.doubts(request.stack, ["exclude", *given] if request.exclude_from_1 else given):
        warn(text)


def doubt_mask(problem: Problem, request: ReconstructionRequest) -> list[str]:
    """Tell that a mask leaves little, and refuse one that leaves nothing to speak of.

    Parameters
    ----------
    problem : Problem
        What would be fitted.
    request : ReconstructionRequest
        Names the mask.

    Returns
    -------
    list of str
        One warning, or none.

    Raises
    ------
    InputError
        If fewer than 16 pixels of the typical view count, where it has more.
    """
    if problem.mask is None:
        return []
    used = np.count_nonzero(problem.mask, axis=(1, 2))
    size = problem.mask[0].size
    left = float(used.mean()) / size
    typical = int(np.median(used))
    if typical < min(LEAST_USED, size):
        raise InputError(
            f"{typical} of the {size} pixels of a view count: too few for a tomogram",
            file=request.mask or request.xf or request.stack,
            field="mask",
            remedy="give a mask that is 1 where a pixel is used, 0 on beads and padding",
        )
    if left >= FEW_USED:
        return []
    what = "mask" if request.mask is not None else "transforms" if request.xf is not None else "mask"
    hint = "; is it 1 where a pixel is used, and 0 on beads and padding?" if what == "mask" else ""
    return [f"the {what} leave{'s' if what == 'mask' else ''} {left:.1%} of the pixels{hint}"]


def doubt_result(problem: Problem, history: History) -> list[str]:
    """Tell that a fit explains nothing: its data term is no less than that of an empty volume.

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
    """
    data = history[-1]["terms"].get("data") if len(history) > 1 else None
    if data is None or data < NO_BETTER * problem.empty_loss:
        return []
    return [
        f"the fit explains nothing: its data term {data:.3g} is no better than that of an empty volume, "
        f"{problem.empty_loss:.3g}; check --linearization, the angles and the method's options"
    ]
