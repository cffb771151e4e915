"""What a file is, a saved run included: the facts behind ``tomokit inspect``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tomokit.errors import InputError


def describe(
    path: str | os.PathLike[str], *, pixels: bool | None = None, tell: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Say what a file is, and by which convention it is read.

    Parameters
    ----------
    path : path-like
        The state of a run (``.h5``, or any name if its content is one), an alignment or acquisition of another program,
        a model of fiducials (``.fid``, ``.mod``),
        or a file that :func:`tomokit.io.inspection.describe` knows: MRC, angles, transforms, ``.mdoc``.
    pixels, tell
        As of :func:`tomokit.io.inspection.describe`.

    Returns
    -------
    dict
        JSON-serializable: ``file``, ``kind``, facts by kind, and ``warnings``.

    Raises
    ------
    InputError
        If the file is damaged or of no known kind.
    """
    from tomokit.fiducials.imod_model import is_imod_model
    from tomokit.fiducials.model import describe_fiducials
    from tomokit.formats.description import describe_foreign
    from tomokit.io.inspection import describe as describe_input
    from tomokit.io.regular import require_regular
    from tomokit.pipeline.readers import check_room_to_open
    from tomokit.state.inspection import describe_state
    from tomokit.state.seal import looks_like_state

    path = Path(path)
    require_regular(path)
    if path.suffix.lower() == ".h5" or looks_like_state(path):
        return describe_state(path)
    if path.suffix.lower() in (".fid", ".mod") or is_imod_model(path):
        return describe_fiducials(path)
    foreign = describe_foreign(path)
    if foreign is not None:
        return foreign
    if pixels is not False:
        with suppress(InputError):  # what is no MRC file is described, or refused, below
            check_room_to_open(path)
    try:
        return describe_input(path, pixels=pixels, tell=tell)
    except InputError:
        with suppress(InputError):  # points of a model as text are the last that it can be
            return describe_fiducials(path)
        raise
