"""The files of a folder that a tilt series may consist of, each with what it can be for."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tomokit.errors import InputError
from tomokit.io.beside import STEM_ENDINGS, without_compression

Role = Literal["raw stack", "aligned stack", "coarse stack", "copy", "half", "mask", "volume", "transforms",
               "coarse transforms", "alignment", "angles", "x-axis tilts", "commands", "acquisition", "beads",
               "other"]  # fmt: skip

STACK_SUFFIXES = (".st", ".mrc", ".mrcs", ".ali", ".preali")
_VOLUME_SUFFIXES = (".rec", ".map")
_HALF = re.compile(r"[_-](evn|even|odd|half[12])$", re.IGNORECASE)
_COPY = re.compile(r"([_-](orig|fixed|erased?|ctf|ctfcorr|dosefilt|filt|xcorr)|~)$", re.IGNORECASE)
_MASK = re.compile(r"(^|[_-])mask([_-]|$)", re.IGNORECASE)
# What is added to the name of a series for its stacks, transforms and results.
_ENDINGS = (*(end[1:] for end in STEM_ENDINGS), "st", "full", "bin2", "bin4", "bin8", "fid")
_COARSE_XF = re.compile(r"(^|[_-])(start|coarse|pre|initial|xcorr)([_-]|$)", re.IGNORECASE)
_MOST_FILES = 20_000


@dataclass(frozen=True)
class FolderFile:
    """A file of the folder.

    Attributes
    ----------
    path : Path
        Where it is.
    role : str
        What it can be for.
    series : str
        Name of the series that it belongs to by its own name, in lower case.
    shape : tuple of int or None
        ``(n_sections, n_y, n_x)`` of an MRC file.
    note : str
        What is wrong with it, if something is.
    """

    path: Path
    role: Role
    series: str
    shape: tuple[int, int, int] | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.path.name


def list_files(folder: Path) -> tuple[list[FolderFile], list[str]]:
    """Classify the files that lie directly in a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    files : list of FolderFile
        Sorted by name; those of no known kind have the role ``"other"``.
    subfolders : list of str
        Names of the folders in it, which are not looked into.

    Raises
    ------
    InputError
        If it cannot be read, or holds more files than a series has.
    """
    try:
        with os.scandir(folder) as entries:
            present = sorted(entries, key=lambda entry: entry.name)
            files = [folder / entry.name for entry in present if entry.is_file()]
            subfolders = [entry.name for entry in present if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=folder) from error
    if len(files) > _MOST_FILES:
        raise InputError(
            f"{len(files)} files", file=folder, remedy="give the stack itself, or a folder of one tilt series"
        )
    return [_classify(path) for path in files if not path.name.startswith(".")], subfolders


def word_of_shell(path: Path) -> str:
    """Write a path as it is typed in a shell, quoted where it has blanks or the like.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
    """
    return shlex.quote(str(path))


def made_here(mask: Path) -> bool:
    """Tell whether ``tomokit mask`` made a mask, which is always one of aligned views.

    Parameters
    ----------
    mask : Path
        An MRC file.

    Returns
    -------
    bool
    """
    from tomokit.io.mrc_read import read_header

    return _is_own_mask(read_header(mask)[0].labels)


def _is_own_mask(labels: tuple[str, ...]) -> bool:
    return any(label.startswith("tomokit ") and ": mask [" in label for label in labels)


def series_of(name: str) -> str:
    """Tell the name of the series from that of one of its files.

    Parameters
    ----------
    name : str
        Such as ``TS_01_ali.mrc``.

    Returns
    -------
    str
        ``ts_01``.
    """
    stem = without_compression(name).lower()
    stem = re.sub(r"(\.(mrc|st|mrcs))?\.mdoc$", "", stem)
    stem = re.sub(r"_(ctf|tlt)\.txt$", "", stem)
    stem = re.sub(r"\.[a-z][a-z0-9_~]{0,8}$", "", stem)
    shorter = True
    while shorter:
        shorter = False
        for end in _ENDINGS:
            for joint in "_-":
                if stem.endswith(f"{joint}{end}") and len(stem) > len(end) + 1:
                    stem, shorter = stem[: -len(end) - 1], True
    return stem


def _classify(path: Path) -> FolderFile:
    suffix, series = path.suffix.lower(), series_of(path.name)
    bare = Path(without_compression(path.name))
    if bare.suffix.lower() in (*STACK_SUFFIXES, *_VOLUME_SUFFIXES):
        return _classify_mrc(path, bare.stem, series)
    by_suffix: dict[str, Role] = {
        ".xf": "coarse transforms" if _COARSE_XF.search(path.stem) else "transforms", ".prexf": "coarse transforms",
        ".prexg": "coarse transforms", ".tltxf": "coarse transforms", ".rawtltxf": "coarse transforms",
        ".aln": "alignment", ".tlt": "angles", ".rawtlt": "angles", ".xtilt": "x-axis tilts", ".com": "commands",
        ".edf": "alignment", ".mdoc": "acquisition", ".defocus": "acquisition", ".tomostar": "acquisition",
        ".fid": "beads", ".mod": "beads", ".seed": "beads",
    }  # fmt: skip
    if suffix in by_suffix:
        return FolderFile(path, by_suffix[suffix], series)
    if path.name.lower().endswith("_tlt.txt"):  # AreTomo3's angles, order and dose
        return FolderFile(path, "acquisition", series)
    if suffix in (".xml", ".json", ".star") or path.name.lower().endswith("_ctf.txt"):
        return _classify_text(path, series)
    return FolderFile(path, "other", series)


def _classify_text(path: Path, series: str) -> FolderFile:
    from tomokit.formats.front import recognize

    try:
        kind = recognize(path)
        begins = path.open("rb").read(4096)
    except (InputError, OSError):
        return FolderFile(path, "other", series)
    if kind == "ctf":
        return FolderFile(path, "acquisition", series)
    telling = {"warp": b"<TiltSeries", "portal": b"per_section_alignment", "star": b"_rlnTomo"}
    if kind in telling and (telling[kind] in begins or telling[kind] in path.read_bytes()[: 1 << 20]):
        return FolderFile(path, "alignment", series)
    return FolderFile(path, "other", series)


def _classify_mrc(path: Path, stem: str, series: str) -> FolderFile:
    from tomokit.io.alignment import judge_alignment
    from tomokit.io.kind import VOLUME
    from tomokit.io.mrc_read import open_mrc

    try:
        images = open_mrc(path, with_pixels=False)
    except InputError as error:
        return FolderFile(path, "other", series, note=f"cannot be read: {error.problem}")
    shape = images.header.shape
    labels = images.header.labels
    if _MASK.search(stem) or _is_own_mask(labels):
        return FolderFile(path, "mask", series, shape)
    if images.kind().kind == VOLUME or path.suffix.lower() in _VOLUME_SUFFIXES:
        return FolderFile(path, "volume", series, shape)
    if shape[0] < 2:
        return FolderFile(path, "other", series, shape, "one image only")
    if _HALF.search(stem):
        return FolderFile(path, "half", series_of(_HALF.sub("", stem) + ".mrc"), shape)
    if _COPY.search(stem):
        return FolderFile(path, "copy", series_of(_COPY.sub("", stem) + ".mrc"), shape)
    if path.suffix.lower() == ".preali" or re.search(r"[_-]preali$", stem, re.IGNORECASE):
        return FolderFile(path, "coarse stack", series, shape)
    if any(label.startswith("projected: ") for label in labels):
        return FolderFile(path, "other", series, shape, "projected from a volume")
    facts = judge_alignment(images)
    aligned = path.suffix.lower() == ".ali" or facts.aligned == "yes"
    return FolderFile(path, "aligned stack" if aligned else "raw stack", series, shape)
