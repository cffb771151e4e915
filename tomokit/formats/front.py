"""One way in for alignments and one for acquisitions: by the content of the file first, by its suffix second."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.formats.records import AcquisitionFile, AlignmentFile
from tomokit.formats.words import PathLike
from tomokit.io.regular import open_regular
from tomokit.io.table import read_text

Format = Literal["aln", "xf", "angles", "com", "edf", "star", "tomostar", "warp", "portal", "mdoc", "defocus", "ctf",
                 "log", "numbers", "unknown"]  # fmt: skip

ALIGNMENTS = "IMOD .xf, tilt.com, newst.com or .edf, AreTomo .aln, RELION .star, Warp .xml, or the portal's .json"
ACQUISITIONS = "SerialEM .mdoc, IMOD .defocus, CTFFIND4 or AreTomo text, RELION .star, Warp .xml or .tomostar"
_REFINED_DEG = 5.0
"""Refinement moves no angle by more, beside one offset of all."""
_HEAD_BYTES = 1 << 16
_WHAT_IT_IS = {
    "angles": "angles alone",
    "mdoc": "an .mdoc",
    "defocus": "defocus values",
    "ctf": "defocus values",
    "log": "a log, which has no transforms",
    "tomostar": "a .tomostar, which has no alignment",
}


def recognize(path: PathLike) -> Format:
    """Tell what a text file of another program is.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        ``"unknown"`` if neither content nor name tell.

    Raises
    ------
    InputError
        If it cannot be read, is empty or binary.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    text = _head(path)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    first = lines[0] if lines else ""
    if "aretomo alignment" in text[:200].lower() or re.search(r"^#\s*SEC\s+ROT\b", text, re.MULTILINE | re.IGNORECASE):
        return "aln"
    if "Entries to program" in text or re.search(r"^\s*Residual error mean", text, re.MULTILINE):
        return "log"
    if first.startswith(("<", "\ufeff<")):
        return "warp"
    if first.startswith("{"):
        return "portal"
    if re.search(r"^\s*\[\s*ZValue\s*=", text, re.MULTILINE | re.IGNORECASE) or suffix == ".mdoc":
        return "mdoc"
    if re.search(r"^\s*data_\S*\s*$", text, re.MULTILINE):
        return "tomostar" if re.search(r"^\s*_wrp", text, re.MULTILINE) else "star"
    if re.search(r"^\s*\$\s*\w", text, re.MULTILINE) or suffix == ".com":
        return "com"
    if re.search(r"^Setup\.\w+", text, re.MULTILINE) or suffix == ".edf":
        return "edf"
    by_suffix: dict[str, Format] = {
        ".aln": "aln", ".xf": "xf", ".star": "star", ".tomostar": "tomostar", ".xml": "warp", ".json": "portal",
        ".defocus": "defocus", ".tlt": "angles", ".rawtlt": "angles", ".xtilt": "angles",
    }  # fmt: skip
    if suffix in by_suffix:
        return by_suffix[suffix]
    return _numbers(lines)


def read_alignment(
    path: PathLike,
    *,
    tilt_deg: NDArray[np.float64] | None = None,
    raw_shape: tuple[int, int] | None = None,
    pixel_size_angstrom: float | None = None,
    name: str | None = None,
) -> AlignmentFile:
    """Read the alignment of a tilt series.

    Parameters
    ----------
    path : path-like
        IMOD's ``.xf``, ``tilt.com``, ``newst.com`` or ``.edf`` with the files beside it, AreTomo's ``.aln``, RELION's
        STAR, Warp's ``.xml``, or the JSON of the CryoET Data Portal.
    tilt_deg : ndarray of float64, shape (n_views,), optional
        Angles of the stack in degrees before refinement: views are counted and, where the format has no other way to
        tell which they are, compared by them. NaN where only the number of views is known.
    raw_shape : tuple of int, optional
        ``(n_y, n_x)`` of the stack's images in pixels.
    pixel_size_angstrom : float, optional
        Edge of a pixel of the stack in ångström, where the file has shifts in ångström and no size of its own.
    name : str, optional
        Of the series, where a file has several.

    Returns
    -------
    AlignmentFile

    Raises
    ------
    InputError
        Naming file, line or field, and remedy, if it is no alignment, is damaged, or does not fit the stack.
    """
    path = Path(path)
    kind = recognize(path)
    found = _read_alignment(path, kind, tilt_deg, raw_shape, pixel_size_angstrom, name)
    if found is None:
        what = _WHAT_IT_IS.get(kind, "no alignment")
        raise InputError(what, file=path, remedy=f"give an alignment: {ALIGNMENTS}")
    own = found.alignment
    if tilt_deg is not None and own.n_views != tilt_deg.size:
        raise InputError(
            f"an alignment of {own.n_views} views, but the stack has {tilt_deg.size}",
            file=path,
            remedy="give that of this stack: views left out by EXCLUDELIST or as dark frames still count",
        )
    if raw_shape is not None and own.raw_shape is not None and own.raw_shape != raw_shape:
        sizes = [" x ".join(map(str, shape[::-1])) for shape in (own.raw_shape, raw_shape)]
        raise InputError(
            f"made for images of {sizes[0]} pixels, but those of the stack have {sizes[1]}",
            file=path,
            remedy="give that of this stack, or the stack of its size",
        )
    if tilt_deg is not None and np.isfinite(tilt_deg).all():
        found = replace(found, warnings=(*found.warnings, *_doubtful_angles(found, tilt_deg)))
    return found


def read_acquisition(path: PathLike, *, n_views: int | None = None, name: str | None = None) -> AcquisitionFile:
    """Read dose, order, defocus and optics of a tilt series.

    Parameters
    ----------
    path : path-like
        SerialEM's ``.mdoc``, IMOD's ``.defocus``, the text of CTFFIND4 or AreTomo, RELION's STAR, Warp's ``.xml`` or
        ``.tomostar``.
    n_views : int, optional
        Views of the stack.
    name : str, optional
        Of the series, where a file has several.

    Returns
    -------
    AcquisitionFile

    Raises
    ------
    InputError
        Naming file, line or field, and remedy, if it is none of them, is damaged, or does not fit the stack.
    """
    path = Path(path)
    kind = recognize(path)
    found = _read_acquisition(path, kind, n_views, name)
    if found is None:
        raise InputError("neither dose nor defocus", file=path, remedy=f"give {ACQUISITIONS}")
    if n_views is not None and found.acquisition.n_views != n_views:
        raise InputError(
            f"{found.acquisition.n_views} views, but the stack has {n_views}",
            file=path,
            remedy="give that of the stack",
        )
    return found


def _read_alignment(
    path: Path,
    kind: Format,
    tilt_deg: NDArray[np.float64] | None,
    raw_shape: tuple[int, int] | None,
    pixel_size_angstrom: float | None,
    name: str | None,
) -> AlignmentFile | None:
    if kind == "aln":
        from tomokit.formats.aretomo import read_aln

        return read_aln(path, tilt_deg=tilt_deg)
    if kind in ("xf", "com", "edf"):
        from tomokit.formats.imod import find_imod_files, read_imod

        files, warnings = find_imod_files(path)
        known = files.tlt is None and tilt_deg is not None and bool(np.isfinite(tilt_deg).all())
        return read_imod(files, path, tilt_deg=tilt_deg if known else None, raw_shape=raw_shape, warnings=warnings)
    if kind == "star":
        from tomokit.formats.relion import read_relion_alignment

        return read_relion_alignment(path, name=name, pixel_size_angstrom=pixel_size_angstrom, raw_shape=raw_shape)
    if kind == "warp":
        from tomokit.formats.warp import read_warp_alignment

        return read_warp_alignment(path, pixel_size_angstrom=pixel_size_angstrom)
    if kind == "portal":
        from tomokit.formats.portal import read_portal_json

        return read_portal_json(path, n_views=None if tilt_deg is None else tilt_deg.size)
    return None


def _doubtful_angles(found: AlignmentFile, tilt_deg: NDArray[np.float64]) -> list[str]:
    """Angles of an alignment that are hardly those of the stack's views, refined."""
    used = found.alignment.used
    own, stage = found.alignment.tilt_deg[used], tilt_deg[used]
    if own.size < 3:
        return []
    apart = np.abs(own - stage - np.median(own - stage)).max()
    if apart <= _REFINED_DEG:
        return []
    opposite = np.abs(own + stage - np.median(own + stage)).max()
    if opposite <= _REFINED_DEG:
        return [
            f"{found.path.name}: its angles rise where those of the stack fall: its views are in reverse order, or its "
            "angles have the other sign, which mirrors the tomogram"
        ]
    return [
        f"{found.path.name}: its angles are up to {apart:.3g} degrees from those of the stack: is it of this series?"
    ]


def _read_acquisition(path: Path, kind: Format, n_views: int | None, name: str | None) -> AcquisitionFile | None:
    if kind == "mdoc":
        from tomokit.formats.serialem import read_mdoc_acquisition

        return read_mdoc_acquisition(path)
    if kind in ("defocus", "ctf"):
        from tomokit.formats.defocus import read_ctf_text, read_imod_defocus

        return (read_imod_defocus if kind == "defocus" else read_ctf_text)(path, n_views=n_views)
    if kind == "star":
        from tomokit.formats.relion import read_relion_acquisition

        return read_relion_acquisition(path, name=name)
    if kind in ("warp", "tomostar"):
        from tomokit.formats.warp import read_warp_acquisition

        return read_warp_acquisition(path)
    return None


def _numbers(lines: list[str]) -> Format:
    """What a file of numbers is by their count in a row."""
    rows = [line.split() for line in lines if not line.startswith(("#", "!"))][:3]
    try:
        counts = {len([float(word) for word in row]) for row in rows}
    except ValueError:
        return "unknown"
    if counts == {6} and "defocus" not in "".join(lines[:1]).lower():
        return "xf"
    if counts in ({7}, {8}):
        return "ctf"
    if counts == {1}:
        return "angles"
    return "numbers" if rows else "unknown"


def _head(path: Path) -> str:
    """The beginning of a text file, checked as all of it is where it is small enough."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error
    if size <= _HEAD_BYTES:
        return read_text(path)
    try:
        with open_regular(path) as stream:
            raw = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error
    if b"\0" in raw[:4096] and raw[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("a binary file where a text file is expected", file=path)
    return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace").replace("\r", "\n")
