"""Outputs that are there because this very job wrote them, and was ended before the set was complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_MOST_BYTES = 1 << 26


def is_own_output(path: Path, job: Mapping[str, Any], digests: Callable[[], Mapping[Path, str]], stack: Path) -> bool:
    """Tell whether a file says that it is an output of a job, by the record of provenance that it is or holds.

    Parameters
    ----------
    path : Path
        A record, a picture or an OME-Zarr; no other file holds a whole record.
    job : mapping
        What the record must say of the job (see :func:`tomokit.pipeline.provenance.job_record`).
    digests : callable
        Gives the SHA-256 of the job's inputs; called only where the rest agrees, since it reads them.
    stack : Path
        The one of them that every record has.

    Returns
    -------
    bool
        False also where the file cannot be read.
    """
    try:
        record = _record_in(path)
        if not all(record[key] == value for key, value in job.items()):
            return False
        recorded, found = set(record["inputs"].values()), digests()
        return found[stack] in recorded and recorded <= set(found.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError, RecursionError):
        return False


def _record_in(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".png":
        from PIL import Image

        with Image.open(path) as picture:
            text = picture.info["Description"]
    else:
        is_zarr = path.suffix.lower() == ".zarr"
        file = path / "zarr.json" if is_zarr else path
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError("too large for a record")
        text = file.read_text("utf-8")
        if is_zarr:
            return dict(json.loads(text)["attributes"]["tomokit"])
    return dict(json.loads(text))
