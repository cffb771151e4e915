"""What ``tomokit mask`` looks at: the aligned views, with what is masked before their beads are."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.errors import InputError
from tomokit.pipeline.request import ReconstructionRequest

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class ToMask:
    """Aligned views that are to be masked.

    Attributes
    ----------
    series : TiltSeries
        Those that are used; masked is padding, and what another mask leaves out.
    views : list of int
        Which of the stack they are.
    transforms : ndarray of float64, shape (n_views of the stack, 6), or None
        By which raw views were aligned here.
    warnings : list of str
        What the user should know.
    """

    series: TiltSeries
    views: list[int]
    transforms: NDArray[np.float64] | None
    warnings: list[str]


def read_to_mask(
    tilts: PathLike,
    shape: tuple[int, int, int],
    *,
    angles: PathLike | None,
    xf: PathLike | None,
    alignment: PathLike | None,
    raw_size: tuple[int, int] | None,
    merge: PathLike | None,
    aligned: bool,
    padding: str = "mask",
) -> ToMask:
    """Read the views of a stack, and align them where they are raw.

    Parameters
    ----------
    tilts : path-like
        The stack.
    shape : tuple of int
        ``(n_views, n_y, n_x)`` of it.
    angles, xf, alignment, raw_size, merge
        As of :func:`tomokit.pipeline.masking.make_mask`.
    aligned : bool
        Whether the stack is taken as aligned without a look at what says otherwise.
    padding : {"mask", "keep"}
        Whether constant edges of a stack that is aligned already are masked.

    Returns
    -------
    ToMask

    Raises
    ------
    InputError
        If a file cannot be used, or the stack is raw and nothing aligns it.
    OptionError
        If both transforms and an alignment are given.
    """
    from tomokit.io import load_series
    from tomokit.io.alignment import judge_alignment
    from tomokit.io.mrc_read import open_mrc
    from tomokit.io.transforms import read_xf
    from tomokit.pipeline.defects import mask_padding
    from tomokit.pipeline.known_geometry import read_request_alignment

    told: list[str] = []
    request = ReconstructionRequest(
        stack=Path(tilts),
        angles=None if angles is None else Path(angles),
        xf=None if xf is None else Path(xf),
        alignment=None if alignment is None else Path(alignment),
    )
    views, transforms = list(range(shape[0])), None
    found = read_request_alignment(request, shape, told.append)
    if found is not None:
        # An alignment has angles of its own.
        series = load_series(tilts, mask=merge, alignment=found)
        views, transforms = [int(view) for view in np.flatnonzero(found.used)], found.transform
    elif xf is not None and raw_size is None:
        series, transforms = load_series(tilts, angles=angles, mask=merge, xf=xf), read_xf(xf)
    else:
        if not aligned and xf is None:
            judge_alignment(open_mrc(tilts, with_pixels=False)).require_aligned(tilts)
        series = load_series(tilts, angles=angles, mask=merge)
        if xf is not None and raw_size is not None:
            inside = _inside_of_raw(xf, raw_size, series.images.shape)
            series = replace(series, mask=inside if series.mask is None else inside * series.mask)
        series, of_edges = mask_padding(series, views, padding)
        told += of_edges
    told += [str(text) for text in series.provenance.get("warnings", ())]
    return ToMask(series, views, transforms, told)


def _inside_of_raw(xf: PathLike, raw_size: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """1 where an aligned pixel comes from inside of the raw image."""
    from tomokit.io.transforms import align_images, read_xf

    transforms = read_xf(xf)
    if len(transforms) != shape[0]:
        raise InputError(f"{len(transforms)} transforms for {shape[0]} views", file=xf, remedy="give the right --xf")
    # Only the mask is wanted: the image is one number that takes no memory.
    raw = np.broadcast_to(np.float32(1), (1, raw_size[1], raw_size[0]))
    inside = np.empty(shape, np.float32)
    for view, row in enumerate(transforms):
        inside[view] = align_images(raw, row[None], out_shape=(shape[1], shape[2]), order=1)[1][0]
    return inside
