"""Loading of a tilt series: stack, angles, mask and transforms put together and held against each other."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.data.named_views import are_few, list_views, name_views
from tomokit.errors import InputError, OptionError
from tomokit.geometry import Alignment, TiltGeometry
from tomokit.io.aligning import (
    Aligning,
    alignment_digests,
    angles_of_alignment,
    check_alignment_fits,
    plan_aligning,
    split_alignment,
)
from tomokit.io.angle_sources import angles_of_stack
from tomokit.io.angles import check_angles, offset_angles
from tomokit.io.digest import file_digest
from tomokit.io.imaging import imaging_record
from tomokit.io.mrc_read import MrcImages, open_mrc, read_stack
from tomokit.io.pixel_size import NO_SIZE, pixel_size_of
from tomokit.io.pixels import require_finite, require_finite_views
from tomokit.io.raw_defects import RawMender
from tomokit.io.transforms import align_images
from tomokit.version import __version__

_PathLike = str | os.PathLike[str]
_LARGEST_X_TILT_DEG = 45.0
"""A specimen that is tilted further about x is seen along no direction in which it is thin."""


def load_series(
    stack: _PathLike,
    *,
    angles: _PathLike | None = None,
    mask: _PathLike | None = None,
    xf: _PathLike | None = None,
    alignment: Alignment | _PathLike | None = None,
    out_shape: tuple[int, int] | None = None,
    exclude: Sequence[int] = (),
    tilt_offset_deg: float = 0.0,
    x_tilt_deg: float = 0.0,
    pixel_size_angstrom: float | None = None,
    allow_unsorted: bool = True,
    x_rays: str = "keep",
) -> TiltSeries:
    """Load a tilt series and check that its files belong together.

    Parameters
    ----------
    stack : path-like
        MRC stack ``[tilt, y, x]``; aligned (tilt axis vertical through the centre), or raw with `xf`.
    angles : path-like, optional
        ``.tlt``, ``.rawtlt`` or ``.mdoc`` of all views; ``"header"`` for those of the extended header, or
        ``"START:STOP:STEP"``. Default: the file beside the stack, or the header where there is none.
    mask : path-like, optional
        MRC of the shape of the aligned stack, or one image for all views: above 0.5 a pixel is used.
    xf : path-like, optional
        IMOD transforms from the raw stack to the aligned one; aligned pixels from outside of the raw image are masked.
    alignment : Alignment or path-like, optional
        All that an alignment says: transforms, tilt angles, views that are used, and how the specimen lies. Each view
        is resampled once, by one transform; what an x-axis tilt that varies leaves beyond that is in the provenance,
        ``"x_tilt_remainder"``, in pixels per pixel of height. A path is that of an ``.xf``, as of `xf`.
    out_shape : tuple of int, optional
        ``(n_y, n_x)`` of the aligned images; only with transforms. Default: the alignment's, or that of the stack.
    exclude : sequence of int
        Views, counted from 0 in the files, to leave out. They are not checked.
    tilt_offset_deg : float
        Degrees that are added to every angle, beside those of the alignment.
    x_tilt_deg : float
        Degrees that are added to the rotation of the specimen about x, sign of IMOD's XAXISTILT.
    pixel_size_angstrom : float, optional
        Edge of a pixel in ångström, instead of the header's.
    allow_unsorted : bool
        Whether angles that neither rise nor fall throughout are taken, with a warning, or refused.
    x_rays : {"keep", "replace"}
        With transforms, whether isolated extreme pixels are replaced, with a warning, before a spline spreads them.

    Returns
    -------
    TiltSeries
        Images memory-mapped where they can be used as they are. Its provenance has the files' names and
        SHA-256 digests, the source of the pixel size, ``"warnings"``, and what
        :func:`~tomokit.io.imaging.imaging_record` found of the detector and the exposures.

    Raises
    ------
    InputError
        If a file cannot be used, files disagree, a pixel that is used is not finite, or a view has no
        pixel that is used.
    OptionError
        If `exclude`, `tilt_offset_deg`, `x_tilt_deg`, `pixel_size_angstrom` or `out_shape` makes no sense, or options
        contradict each other.
    """
    whole, transforms, given_by = split_alignment(alignment, xf)
    images = read_stack(stack, check_pixels=False)
    n_views = images.pixels.shape[0]
    if whole is not None:
        check_alignment_fits(whole, images)
        exclude = [*exclude, *np.flatnonzero(~whole.used).tolist()]
    used = _used_views(n_views, exclude)
    warnings = list(images.warnings)

    if whole is not None and angles is not None:
        raise OptionError("the alignment has angles of its own", field="--angles", remedy="leave one of them out")
    sourced = angles_of_stack(images, angles) if whole is None else angles_of_alignment(whole)
    warnings += sourced.warnings
    angle_file = sourced.file or sourced.name
    unsorted = check_angles(sourced.tilt_deg, file=angle_file, stack=stack, n_views=n_views, exclude=exclude)
    if unsorted and not allow_unsorted:
        raise InputError("the angles are not sorted", file=angle_file, remedy="sort the stack and its angles")
    warnings += unsorted
    # Checked before the offset is added, so that messages show the angles as they stand in the file.
    offset = tilt_offset_deg + (0.0 if whole is None else whole.tilt_offset_deg)
    tilt = offset_angles(sourced.tilt_deg[used], offset)
    check_x_tilt(x_tilt_deg)
    aligning, tilt = plan_aligning(whole, transforms, given_by, used, tilt, images, out_shape, x_tilt_deg)

    size, size_source = _pixel_size(images, pixel_size_angstrom, warnings)
    shape = images.pixels.shape[1:]
    if out_shape is not None and whole is None and transforms is None:
        raise OptionError("an output size needs transforms", field="out_shape", remedy="give --xf")
    final_shape = shape if aligning.out_shape is None else aligning.out_shape
    weights = None if mask is None else _read_mask(Path(mask), images, (n_views, *final_shape), used, warnings)
    mender = None
    if aligning.transform is not None:
        mender = None if x_rays == "keep" else RawMender(tilt, used, warnings)
        values, inside = _align_used_views(images, aligning.transform, used, aligning.out_shape, mender)
        _require_views_on_field(inside, used, aligning)
        weights = inside if weights is None else weights * inside
    else:
        values = _as_float32(images, used, weights)
    if weights is not None:
        _require_used_pixels(weights, used, mask if mask is not None else aligning.file)

    # Angles of the header are a part of the stack, and those of a range are settings.
    from_file = sourced.file if sourced.file != images.path else None
    if whole is not None:
        from_file = None
    inputs = {"stack": Path(stack), "angles": from_file, "mask": mask, given_by.removeprefix("--"): transforms}
    files = {role: Path(path) for role, path in inputs.items() if path is not None}
    provenance: dict[str, Any] = {role: path.name for role, path in files.items()}
    provenance["angles"] = sourced.name
    if sourced.acquisition_order is not None:
        provenance["acquisition_order"] = [sourced.acquisition_order[view] for view in used]
    provenance |= {
        "tomokit": __version__,
        "pixel_size_source": size_source,
        "tilt_offset_deg": float(offset),
        "excluded_views": sorted({int(view) for view in exclude}),
        "warnings": warnings,
        "sha256": {role: file_digest(path) for role, path in files.items()}
        | ({} if whole is None else alignment_digests(whole)),
        **imaging_record(stack, images.header.labels, [int(view) for view in used]),
    }
    if whole is not None:
        provenance["alignment"] = [path.name for path in whole.files] or "in memory"
        provenance["x_tilt_remainder"] = aligning.remainder_slope
    if mender is not None and mender.replaced:
        provenance["replaced_pixels"] = mender.replaced
    n_y, n_x = values.shape[1:]
    return TiltSeries(
        images=values,
        geometry=TiltGeometry(tilt, n_u=n_x, n_v=n_y),
        pixel_size_angstrom=size,
        mask=weights,
        source=Path(stack),
        provenance=provenance,
        frame=aligning.frame,
    )


def check_x_tilt(x_tilt_deg: float) -> None:
    """Refuse what is no rotation of a specimen about x.

    Parameters
    ----------
    x_tilt_deg : float
        Degrees.

    Raises
    ------
    OptionError
        If it is not finite, or so large that the specimen is seen along no direction in which it is thin.
    """
    if not (math.isfinite(x_tilt_deg) and abs(x_tilt_deg) < _LARGEST_X_TILT_DEG):
        raise OptionError(
            f"{x_tilt_deg:g} degrees are no tilt of a specimen about x",
            field="--x-tilt",
            remedy=f"give less than {_LARGEST_X_TILT_DEG:g} degrees either way",
        )


def _used_views(n_views: int, exclude: Sequence[int]) -> NDArray[np.intp]:
    for view in exclude:
        if not 0 <= view < n_views:
            raise OptionError(f"there is no view {view}", field="--exclude", remedy=_known_views(n_views))
    used = np.setdiff1d(np.arange(n_views), np.asarray(exclude, dtype=np.intp))
    if used.size == 0:
        raise OptionError("leaves no view", field="--exclude", remedy="exclude fewer")
    return used


def _known_views(n_views: int) -> str:
    return f"views are 0 to {n_views - 1}" if n_views > 1 else "the only view is 0"


def _pixel_size(images: MrcImages, requested: float | None, warnings: list[str]) -> tuple[float, str]:
    """Edge of a pixel in ångström, and where it comes from; a warning that no longer holds is taken back."""
    if requested is None:
        found = pixel_size_of(images)
        if found.source != "none":
            warnings[:] = [text for text in warnings if NO_SIZE not in text]
        if found.warning:
            warnings.append(found.warning)
        return found.angstrom, found.source
    if not (math.isfinite(requested) and requested > 0):
        raise OptionError(f"{requested} is not a positive number", field="pixel_size_angstrom")
    if not images.header.pixel_size_known:
        warnings[:] = [text for text in warnings if NO_SIZE not in text]
    return float(requested), "option"


def _read_mask(
    path: Path, images: MrcImages, expected: tuple[int, ...], used: NDArray[np.intp], warnings: list[str]
) -> NDArray[np.float32]:
    """Weights 0 or 1 of the views that are used."""
    mask = open_mrc(path).pixels
    if mask.shape not in (expected, (1, *expected[1:])):
        actual, needed = (" x ".join(str(n) for n in shape[::-1]) for shape in (mask.shape, expected))
        raise InputError(
            f"a mask of {actual} pixels, but {images.path.name} needs {needed}",
            file=path,
            remedy="give the right --mask",
        )
    require_finite(mask, file=path)
    # The lowest number of the type and the next, where a program has stored 0 and 1 with the type's offset.
    lowest = int(np.iinfo(mask.dtype.str).min) if mask.dtype.kind == "i" else 0
    threshold = 0.5
    if lowest < 0 and int(mask.max()) == lowest + 1:
        threshold += lowest
        warnings.append(f"{path.name}: a mask of {lowest} and {lowest + 1}, read as 0 and 1")
    weights = np.empty((used.size, *expected[1:]), dtype=np.float32)
    for index, view in enumerate(used):
        weights[index] = mask[view if mask.shape[0] > 1 else 0] > threshold
    return weights


def _align_used_views(
    images: MrcImages,
    transforms: NDArray[np.float64],
    used: NDArray[np.intp],
    out_shape: tuple[int, int] | None,
    mender: RawMender | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # The spline would spread a NaN over its whole view, where no mask of the aligned images can cover it.
    require_finite_views(images.pixels, used, file=images.path)
    values = images.pixels if used.size == images.pixels.shape[0] else images.pixels[used]
    if mender is not None:
        values = mender.mend(values, transforms, out_shape)
    return align_images(values, transforms, out_shape=out_shape)


def _as_float32(images: MrcImages, used: NDArray[np.intp], weights: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """The used views as float32: the memory map itself if nothing has to be changed in it."""
    values = images.pixels
    everything = used.size == values.shape[0]
    if everything and values.dtype == np.float32 and _all_finite(values):
        return cast("NDArray[np.float32]", values)
    result = np.empty((used.size, *values.shape[1:]), dtype=np.float32)
    for index, view in enumerate(used):
        result[index] = values[view]
        finite = np.isfinite(result[index])
        if finite.all():
            continue
        # A pixel that is not finite may lie where the mask is 0; it gets the mean of its view, which no one looks at.
        covered = weights is not None and not weights[index][~finite].any()
        if not covered:
            # All views, so that the message can tell a few bad pixels from a stack that is damaged.
            require_finite_views(values, used, file=images.path, weights=weights)
        result[index][~finite] = result[index][finite].mean(dtype=np.float64) if finite.any() else 0.0
    return result


def _all_finite(images: NDArray[np.number]) -> bool:
    return all(np.isfinite(image).all() for image in images)


def _require_views_on_field(inside: NDArray[np.float32], used: NDArray[np.intp], aligning: Aligning) -> None:
    """A view that its transform moves off the field is a fault of the transform, not of a mask."""
    empty = [int(view) for view, weight in zip(used, inside, strict=True) if not weight.any()]
    if empty:
        which = name_views(empty, used.size)
        them = "it" if len(empty) == 1 else "them"
        leave_out = f", or leave {them} out with --exclude {list_views(empty)}" if are_few(empty, used.size) else ""
        raise InputError(
            f"{which} {'is' if len(empty) in (1, used.size) else 'are'} moved off the field",
            file=aligning.file,
            remedy=f"give the {aligning.option} of this stack, raw to aligned, its shifts in raw pixels{leave_out}",
        )


def _require_used_pixels(weights: NDArray[np.float32], used: NDArray[np.intp], path: _PathLike | None) -> None:
    empty = [int(view) for view, weight in zip(used, weights, strict=True) if not weight.any()]
    if len(empty) == used.size:
        raise InputError("every pixel of every view is masked", file=path, remedy="use a mask that is 1 where to look")
    if empty:
        few = are_few(empty, used.size)
        them = "it" if len(empty) == 1 else "them"
        leave_out = f"leave {them} out with --exclude {list_views(empty)}, or mend the mask"
        remedy = leave_out if few else "mend the mask: 1 = use"
        raise InputError(f"every pixel of {name_views(empty, used.size)} is masked", file=path, remedy=remedy)
