"""A mask of a tilt series made of beads, padding and another mask: the work of ``tomokit mask``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.pipeline.memory import check_disk, check_memory

PathLike = str | os.PathLike[str]

_HEADER_BYTES = 1024


def make_mask(
    tilts: PathLike,
    output: PathLike,
    *,
    fiducials: PathLike | None = None,
    find: bool = False,
    radius_px: float | None = None,
    margin_px: float = 0.0,
    angles: PathLike | None = None,
    xf: PathLike | None = None,
    alignment: PathLike | None = None,
    raw_size: tuple[int, int] | None = None,
    merge: PathLike | None = None,
    aligned: bool = False,
    padding: str = "mask",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Make a mask of a tilt series, 1 where a pixel is used and 0 on beads and padding, and write it.

    Parameters
    ----------
    tilts : path-like
        The aligned stack; or the raw one, which is aligned first, with `alignment`, or with `xf` and without
        `raw_size`.
    output : path-like
        The mask, an MRC of bytes, of the shape of the aligned stack.
    fiducials : path-like, optional
        A model of the beads.
    find : bool
        Whether beads are found without a model.
    radius_px : float, optional
        Radius of the discs in pixels; default: measured, out to where a bead and its fringes have no effect.
    margin_px : float
        Added to the radius.
    angles : path-like, optional
        Tilt angles, as for a reconstruction.
    xf : path-like, optional
        IMOD transforms: pixels from outside of the raw images are masked.
    alignment : path-like, optional
        An alignment of the raw stack, of any format that is read: as of `xf`. Views that it leaves out are 0.
    raw_size : tuple of int, optional
        ``(x, y)`` of the raw images, where `tilts` is aligned.
    merge : path-like, optional
        A mask whose zeros are zeros of the new one too.
    aligned : bool
        Whether the stack counts as aligned, whatever lies beside it.
    padding : {"mask", "keep"}
        Whether edges of an aligned stack that are filled with a constant are masked.
    overwrite : bool
        Whether `output` may be replaced.

    Returns
    -------
    dict
        JSON-serializable: ``output``, ``shape``, ``used_fraction``, ``views_left_out``, ``beads`` (or None) and
        ``warnings``.

    Raises
    ------
    InputError
        If an input cannot be used, no bead is found, or beads would cover more than half of the pixels.
    OptionError
        If options contradict each other, or there is nothing to mask.
    OutputError
        If the output exists, is an input, or cannot be written.
    """
    from tomokit.io.mrc_read import read_header
    from tomokit.io.mrc_write import write_mask
    from tomokit.io.output import check_output
    from tomokit.io.output_names import check_stack_name
    from tomokit.pipeline.beads import beads_of, cover_beads, describe_beads
    from tomokit.pipeline.mask_inputs import read_to_mask

    _check_options(fiducials, find, radius_px, margin_px, alignment or xf, raw_size, padding)
    inputs = [path for path in (tilts, fiducials, angles, xf, alignment, merge) if path is not None]
    check_stack_name(output)
    check_output(output, overwrite=overwrite, inputs=inputs)
    shape = read_header(tilts)[0].shape
    n_pixels = int(np.prod(shape, dtype=np.int64))
    check_memory(12 * n_pixels, f"a mask of {shape[0]} views of {shape[2]} x {shape[1]}")
    check_disk(Path(output), n_pixels + _HEADER_BYTES)
    needs_geometry = find or fiducials is not None
    looked_at = read_to_mask(
        tilts,
        shape,
        angles=angles,
        xf=xf,
        alignment=alignment,
        raw_size=raw_size,
        merge=merge,
        aligned=aligned or not needs_geometry,
        padding=padding,
    )
    series, views, warnings = looked_at.series, looked_at.views, looked_at.warnings
    if series.mask is None and not needs_geometry:
        remedy = "give --find, --fiducials F, --xf F, --alignment F or --merge MASK"
        raise OptionError("nothing is to be masked: no edge is filled in", field="--find", remedy=remedy)
    facts = None
    if needs_geometry:
        beads = beads_of(
            series,
            fiducials,
            views=views,
            n_stack=shape[0],
            radius_px=radius_px,
            transforms=looked_at.transforms,
            raw_shape=None if looked_at.transforms is None else shape[1:],
        )
        if beads is None:
            raise InputError("no bead is found", file=tilts, remedy="give a model of them by --fiducials")
        warnings += beads.warnings
        reach = (beads.reach_px if radius_px is None else radius_px) + margin_px
        mask, share = cover_beads(series, beads, reach)
        facts = describe_beads(beads, reach, share)
    else:
        mask = np.ones(series.images.shape, np.float32) if series.mask is None else series.mask
    _require_pixels(mask, views, tilts)
    if len(views) < shape[0]:
        used, mask = mask, np.zeros((shape[0], *mask.shape[1:]), np.float32)
        mask[views] = used
    record = {name: series.provenance.get(name) for name in ("stack", "xf", "alignment", "mask")}
    size = None if series.provenance.get("pixel_size_source") == "none" else series.pixel_size_angstrom
    write_mask(output, mask, pixel_size_angstrom=size, provenance={**record, **(facts or {})}, overwrite=overwrite)
    return {
        "output": str(output),
        "shape": list(mask.shape),
        "views_left_out": sorted(set(range(shape[0])) - set(views)),
        "used_fraction": float(np.mean(mask, dtype=np.float64)),
        "beads": facts,
        "warnings": warnings,
    }


def _check_options(
    fiducials: PathLike | None,
    find: bool,
    radius: float | None,
    margin: float,
    transforms: PathLike | None,
    raw_size: tuple[int, int] | None,
    padding: str,
) -> None:
    if padding not in ("mask", "keep"):
        raise OptionError(f"{padding!r} is neither mask nor keep", field="--padding", remedy="give one of them")
    if find and fiducials is not None:
        raise OptionError("a model says where the beads are", field="--find", remedy="leave it or --fiducials out")
    if radius is not None and not (np.isfinite(radius) and radius > 0):
        raise OptionError(f"{radius:g} is not a positive number", field="--radius", remedy="give pixels")
    if not (np.isfinite(margin) and margin >= 0):
        raise OptionError(f"{margin:g} is no margin", field="--margin", remedy="give pixels from 0")
    if raw_size is not None and transforms is None:
        raise OptionError("a raw size needs transforms", field="--raw-size", remedy="give --xf")
    if raw_size is not None and min(raw_size) < 1:
        raise OptionError("a size of no pixel", field="--raw-size", remedy="give X,Y of the raw images in pixels")


def _require_pixels(mask: NDArray[np.float32], views: list[int], tilts: PathLike) -> None:
    empty = [views[place] for place in np.flatnonzero(~mask.any(axis=(1, 2)))]
    if empty:
        raise InputError(
            f"nothing of view {empty[0]} would be left" + (f", nor of {len(empty) - 1} more" if len(empty) > 1 else ""),
            file=tilts,
            field="mask",
            remedy="check --xf, --raw-size and --merge",
        )
