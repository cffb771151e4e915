"""The geometry doctor: a series and what lies beside it, judged by :mod:`tomokit.diagnosis`; and the fix, written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.views import excluded_views
from tomokit.diagnosis.examine import examine
from tomokit.diagnosis.finding import Diagnosis
from tomokit.diagnosis.geometry import Geometry
from tomokit.errors import InputError, OptionError
from tomokit.fiducials.tracks import Track
from tomokit.geometry import Alignment, TiltGeometry
from tomokit.io.given_inputs import AUTO
from tomokit.io.mrc_read import MrcImages
from tomokit.pipeline.folder_files import word_of_shell
from tomokit.pipeline.request import ReconstructionRequest

LEAST_VIEWS = 5
UNNAMED = Path("mended")
"""What the fix is called in a command as long as it has no name."""


@dataclass(frozen=True)
class Examined:
    """A series that was examined.

    Attributes
    ----------
    request : ReconstructionRequest
        What was given, or found in the folder.
    diagnosis : Diagnosis
        Of the views that are used.
    views : ndarray of int
        Which views of the stack those are.
    whole : Geometry
        The geometry of all views as given, every tilt offset included.
    x_tilt_deg, tilt_offset_deg : float
        X-axis tilt, and what the angles of `whole` have added, as given, in degrees.
    """

    request: ReconstructionRequest
    diagnosis: Diagnosis
    views: NDArray[np.intp]
    whole: Geometry
    x_tilt_deg: float
    tilt_offset_deg: float

    def command(self, prefix: Path | None = None) -> str:
        """Write the command that reconstructs with everything mended.

        Parameters
        ----------
        prefix : Path, optional
            Where :meth:`write_fix` puts angles and transforms; :data:`UNNAMED` if not given.

        Returns
        -------
        str
            Empty if nothing is to be mended by angles, transforms or options.
        """
        request, diagnosis = self.request, self.diagnosis
        if not diagnosis.is_mended and not diagnosis.options:
            return ""
        levels = {"--tilt-offset": self.tilt_offset_deg, "--x-tilt": self.x_tilt_deg}
        levels |= {name: float(value) for name, value in (option.split() for option in diagnosis.options)}
        words = ["tomokit", "reconstruct", word_of_shell(request.stack)]
        if diagnosis.is_mended:
            tlt, xf = _names(UNNAMED if prefix is None else prefix)
            words += ["--angles", word_of_shell(tlt)]
            words += ["--xf", word_of_shell(xf)] if self._has_transforms else []
            left_out = np.setdiff1d(np.arange(self.whole.tilt_deg.size), self.views)
            words += ["--exclude", ",".join(map(str, left_out))] if left_out.size else []
            # Written angles have the offset in them.
            levels["--tilt-offset"] -= self.tilt_offset_deg
        else:
            files = {"--angles": request.angles, "--xf": request.xf, "--alignment": request.alignment}
            words += [part for key, path in files.items() if path for part in (key, word_of_shell(Path(path)))]
            words += ["--exclude", request.exclude] if request.exclude else []
            words += ["--exclude-from-1", request.exclude_from_1] if request.exclude_from_1 else []
        if request.mask is not None and not self._has_transforms:
            words += ["--mask", word_of_shell(Path(request.mask))]
        words += [f"{key}={value:.4g}" for key, value in levels.items() if value]
        return " ".join([*words, "-o", "tomogram.mrc"])

    def write_fix(self, prefix: Path, overwrite: bool = False) -> list[Path]:
        """Write angles and transforms of all views, mended: ``PREFIX.tlt`` and ``PREFIX.xf``.

        Views that are not used keep what was given.

        Parameters
        ----------
        prefix : Path
            Their name without a suffix.
        overwrite : bool
            Whether files of that name may be replaced.

        Returns
        -------
        list of Path
            What was written; nothing if neither angles nor transforms need mending.

        Raises
        ------
        OutputError
            If they exist, or cannot be written.
        """
        from tomokit.io.output import check_output, write_text

        if not self.diagnosis.is_mended:
            return []
        mended = self.diagnosis.mended
        tilt, transform = self.whole.tilt_deg.copy(), self.whole.transform.copy()
        tilt[self.views], transform[self.views] = mended.tilt_deg, mended.transform
        tlt, xf = _names(prefix)
        texts = {tlt: "".join(f"{angle:8.2f}\n" for angle in tilt)}
        if self._has_transforms:
            texts[xf] = "".join(("%12.7f" * 4 + "%12.3f" * 2 + "\n") % tuple(row) for row in transform)
        for path in texts:
            check_output(path, overwrite=overwrite, inputs=[self.request.stack])
        for path, text in texts.items():
            write_text(path, text, overwrite=overwrite)
        return list(texts)

    @property
    def _has_transforms(self) -> bool:
        """Whether the mended geometry moves any view."""
        identity = Geometry.aligned(self.whole.tilt_deg).transform
        return not (
            np.allclose(self.diagnosis.mended.transform, identity[self.views])
            and np.allclose(self.whole.transform, identity)
        )

    def to_json(self) -> dict[str, Any]:
        """Represent what was found as a dictionary.

        Returns
        -------
        dict
            JSON-serializable: as of :meth:`Diagnosis.to_json`, and ``command``.
        """
        return {**self.diagnosis.to_json(), "command": self.command()}


def examine_series(
    path: Path,
    given: Mapping[str, Any],
    *,
    fiducials: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> Examined:
    """Examine the geometry of a series.

    Parameters
    ----------
    path : Path
        A stack, or a folder of a series.
    given : mapping
        Fields of a request that the user gives: ``angles``, ``xf``, ``alignment``, ``mask``, ``exclude``.
    fiducials : Path, optional
        A model of beads in aligned views, as IMOD or ``model2point`` writes it; ``auto`` finds them without one.
    tell, warn : callable
        Are given what is being judged, and doubts.

    Returns
    -------
    Examined

    Raises
    ------
    InputError
        If the series cannot be read, or has too few views.
    """
    from tomokit.io.angle_sources import angles_of_stack
    from tomokit.io.mrc_read import read_stack
    from tomokit.pipeline.config import build_request
    from tomokit.pipeline.folder import find_series, is_series_folder, named_fields
    from tomokit.pipeline.known_geometry import read_request_alignment

    found = find_series(path, None, named_fields(given)) if is_series_folder(path) else None
    request = build_request({"stack": path, "output": Path("-"), **given}, found=found)
    for text in found.warnings if found else ():
        warn(text)
    images = read_stack(request.stack, check_pixels=False)
    n_views = images.pixels.shape[0]
    alignment = read_request_alignment(request, images.pixels.shape, warn)
    sourced = angles_of_stack(images, request.angles) if alignment is None else None
    tilt = sourced.tilt_deg if sourced is not None else alignment.tilt_deg if alignment is not None else np.zeros(0)
    if tilt.size != n_views:
        raise InputError(
            f"{tilt.size} angles for {n_views} views", file=request.stack, remedy="give the right --angles"
        )
    whole = _whole_geometry(request, images, alignment, tilt)
    left_out = set(excluded_views(n_views, request.exclude, request.exclude_from_1))
    if alignment is not None:
        left_out |= set(np.flatnonzero(~alignment.used).tolist())
    views = np.setdiff1d(np.arange(n_views), sorted(left_out)).astype(np.intp)
    if views.size < LEAST_VIEWS:
        raise InputError(f"{views.size} views are too few to judge a geometry by", file=request.stack)
    used = Geometry(whole.tilt_deg[views], whole.transform[views])
    x_tilt = (request.x_tilt or 0.0) if alignment is None else alignment.frame.x_tilt_deg
    offset = (request.tilt_offset or 0.0) if alignment is None else alignment.tilt_offset_deg
    angles, axes = _records(images, None if sourced is None else sourced.file)
    diagnosis = examine(
        np.asarray(images.pixels, np.float32)[views],
        _mask(request, images, views),
        used,
        x_tilt_deg=x_tilt,
        tilt_offset_deg=offset,
        tracks=[] if fiducials is None else _tracks(fiducials, used, images, views, alignment, warn),
        angle_records={name: each[views] for name, each in angles.items() if each.size == n_views},
        axis_records=axes if request.xf is not None or alignment is not None else {},
        tell=tell,
    )
    return Examined(request, diagnosis, views, whole, x_tilt, offset)


def _whole_geometry(
    request: ReconstructionRequest, images: MrcImages, alignment: Alignment | None, tilt: NDArray[np.float64]
) -> Geometry:
    from tomokit.io.transforms import read_xf

    if alignment is not None:
        return Geometry(tilt + alignment.tilt_offset_deg, alignment.transform)
    geometry = Geometry.aligned(tilt + (request.tilt_offset or 0.0))
    if request.xf is None:
        return geometry
    transform = read_xf(request.xf)
    if len(transform) != tilt.size:
        problem = f"{len(transform)} transforms, but {images.path.name} has {tilt.size} views"
        raise InputError(problem, file=request.xf, remedy="give the right --xf")
    return replace(geometry, transform=transform)


def _mask(request: ReconstructionRequest, images: MrcImages, views: NDArray[np.intp]) -> NDArray[np.float32] | None:
    """The mask of an aligned stack; that of views which are yet to be aligned is not of these pixels."""
    from tomokit.io.mrc_read import open_mrc

    if request.mask is None or request.xf is not None or request.alignment is not None:
        return None
    mask = open_mrc(request.mask).pixels
    if mask.shape[1:] != images.pixels.shape[1:] or mask.shape[0] not in (1, images.pixels.shape[0]):
        raise InputError("a mask of another size than the stack", file=request.mask, remedy="give the right --mask")
    return np.asarray(mask[views] if mask.shape[0] > 1 else np.repeat(mask, views.size, axis=0), np.float32)


def _tracks(
    fiducials: Path,
    used: Geometry,
    images: MrcImages,
    views: NDArray[np.intp],
    alignment: Alignment | None,
    warn: Callable[[str], None],
) -> list[Track]:
    from tomokit.fiducials.model import model_tracks, read_fiducials

    n_y, n_x = images.pixels.shape[1:] if alignment is None else alignment.aligned_shape or images.pixels.shape[1:]
    geometry = TiltGeometry(used.tilt_deg, n_u=n_x, n_v=n_y)
    if str(fiducials) == AUTO:
        from tomokit.fiducials.find import find_beads
        from tomokit.io.transforms import align_images

        aligned, inside = align_images(images.pixels[views], used.transform, out_shape=(n_y, n_x), order=3)
        found = find_beads(aligned, geometry, inside)
        if found is None:
            warn("no beads found: nothing is judged by them")
        return [] if found is None else [bead.fit.track for bead in found.beads]
    return model_tracks(read_fiducials(fiducials), geometry, images.pixels.shape[0], views.tolist())


def _records(images: MrcImages, source: Path | None) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """Angles and axes that files beside the stack and its header record, the source of the angles left out."""
    from tomokit.io.angles import candidate_names, read_angle_file
    from tomokit.io.beside import find_beside
    from tomokit.io.companions import find_companions

    beside = find_companions(images.path, images.pixels.shape[0])
    angles: dict[str, NDArray[np.float64]] = {}
    for name in candidate_names(images.path.name):
        path = find_beside(images.path, [name])
        if path is None or (source is not None and path.resolve() == source.resolve()) or path.suffix == ".mdoc":
            continue
        try:
            angles[path.name] = read_angle_file(path).tilt_deg
        except (InputError, OptionError):
            continue  # a damaged record is none
    if beside.mdoc is not None and beside.mdoc_path is not None and beside.mdoc.kind == "tilt series":
        angles[beside.mdoc_path.name] = beside.mdoc.tilt_deg
    header = images.extended.tilt_deg if images.extended is not None else None
    if header is not None and source is not None and source != images.path:
        angles[f"header of {images.path.name}"] = header
    if source is not None:
        angles.pop(source.name, None)
    return angles, dict(beside.tilt_axes_deg)


def _names(prefix: Path) -> tuple[Path, Path]:
    return prefix.with_name(f"{prefix.name}.tlt"), prefix.with_name(f"{prefix.name}.xf")
