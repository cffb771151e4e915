"""The alignment of a series in a folder: the final one before coarse ones, and what it says of the specimen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tomokit.errors import InputError
from tomokit.formats.records import AlignmentFile
from tomokit.pipeline.folder_files import FolderFile, word_of_shell
from tomokit.pipeline.folder_found import Piece
from tomokit.pipeline.folder_search import FolderSearch, name_of

_SAME_PX, _SAME_DEG = 0.5, 0.1
"""Alignments that differ by less, at the corner of an image and in tilt, are one."""
_REFINED_DEG = 5.0
"""Refinement moves no angle by more, beside one offset of all."""


def find_alignment(search: FolderSearch) -> None:
    """Find what aligns the views, and set what it says of the specimen.

    Parameters
    ----------
    search : FolderSearch
        Changed.

    Raises
    ------
    InputError
        If files of transforms differ and nothing says which are final, or one cannot be used.
    """
    candidates = _alignment_candidates(search)
    if search.stack.role == "aligned stack":
        _use_settings_of_aligned(search, candidates)
        return
    found = [(file, _read(search, file)) for file in candidates]
    chosen = _choose(search, found)
    if chosen is None:
        _without_alignment(search)
        return
    search.take("alignment", chosen.path, "aligning the views", chosen.kind)
    for path in chosen.files[1:]:
        search.take(_what_of(path), path, "the alignment", _fields_in_short(chosen, path))
    search.settings["alignment"] = chosen.path
    search.order_of = chosen.alignment.tilt_deg
    search.instead = _options_of(chosen, 1.0)
    # The work reads it again, and tells them then.
    search.warnings_of_alignment += chosen.warnings
    _apply(search, chosen, raw_per_pixel=1.0)


def _alignment_candidates(search: FolderSearch) -> list[FolderFile]:
    """Files that hold an alignment, one for each program."""
    transforms = search.of_role("transforms")
    own = [file for file in transforms if file.series == search.stack.series] or transforms
    # Etomo leaves TS_fid.xf beside TS.xf, and the aligned stack is TS_ali.mrc.
    stems = [file.path.stem.lower() for file in own]
    wanted = next((stem for stem in (search.stack.path.stem.lower(), search.stack.series) if stem in stems), None)
    exact = [file for file, stem in zip(own, stems, strict=True) if stem == wanted]
    final = [file for file in own if "final" in file.path.stem.lower()]
    own = exact or final or own
    if len(own) > 1 and search.aligns_itself:
        for file in own:
            search.ignore("transforms", file, "yours are used")
        own = []
    if len(own) > 1:
        names = " and ".join(file.name for file in own[:4])
        raise InputError(
            f"{names} hold transforms, and nothing says which are final",
            file=search.folder,
            remedy=f"give them with --xf, such as --xf {word_of_shell(own[0].path)}",
        )
    for file in transforms:
        if own and file not in own:
            search.ignore("transforms", file, f"{own[0].name} is the final alignment by its name")
    for file in search.of_role("coarse transforms"):
        if own:
            search.ignore("coarse transforms", file, f"{own[0].name} is the final alignment")
    others = [file for file in search.of_role("alignment") if file.path.suffix.lower() != ".edf"]
    named = [file for file in others if file.series == search.stack.series]
    if not named and len(others) > 1:
        for file in others:
            search.ignore("alignment", file, "does not bear the name of the series")
        others = []
    return own + (named or others)


def _read(search: FolderSearch, file: FolderFile) -> AlignmentFile:
    from tomokit.formats.front import read_alignment

    try:
        return read_alignment(
            file.path,
            tilt_deg=search.stage_angles(),
            raw_shape=search.raw_shape if search.stack.role == "raw stack" else None,
            pixel_size_angstrom=search.pixel_size(),
        )
    except InputError as error:
        itself = f"give the stack itself: tomokit reconstruct {word_of_shell(search.stack.path)}"
        error.remedy = f"{error.remedy}; or {itself}"
        raise


def _choose(search: FolderSearch, found: list[tuple[FolderFile, AlignmentFile]]) -> AlignmentFile | None:
    """The one alignment; several that agree are one, several that differ are refused."""
    if not found:
        return None
    first_file, first = found[0]
    for file, other in found[1:]:
        if search.aligns_itself:
            break
        if not _agree(search, first, other):
            raise InputError(
                f"{first_file.name} and {file.name} align the views differently",
                file=search.folder,
                remedy=f"say which: --alignment {word_of_shell(first_file.path)} or "
                f"--alignment {word_of_shell(file.path)}",
            )
        search.ignore("alignment", file, f"says the same as {first_file.name}")
    return first


def _agree(search: FolderSearch, first: AlignmentFile, second: AlignmentFile) -> bool:
    one, two = first.alignment, second.alignment
    if one.n_views != two.n_views:
        return False
    both = one.used & two.used
    corner = np.array([search.raw_shape[1], search.raw_shape[0]]) / 2
    moved = [a.transform[both, :4].reshape(-1, 2, 2) @ corner + a.transform[both, 4:] for a in (one, two)]
    tilt = [a.tilt_deg[both] + a.tilt_offset_deg for a in (one, two)]
    apart_px, apart_deg = np.abs(moved[0] - moved[1]).max(initial=0), np.abs(tilt[0] - tilt[1]).max(initial=0)
    return bool(apart_px < _SAME_PX and apart_deg < _SAME_DEG)


def _use_settings_of_aligned(search: FolderSearch, candidates: list[FolderFile]) -> None:
    """Of an aligned stack the transforms are done; what the files say of the specimen is not."""
    search.settings["aligned"] = True
    transforms = [file for file in candidates if file.role == "transforms"]
    for file in candidates:
        if file not in transforms[:1]:
            search.ignore("alignment", file, f"{search.stack.name} is aligned already")
    if not transforms:
        return
    try:
        found = _read(search, transforms[0])
    except InputError as error:
        search.warnings.append(f"not used: {error}")
        return
    search.ignore("transforms", transforms[0], f"{search.stack.name} is aligned already")
    search.order_of = found.alignment.tilt_deg
    for path in found.files[1:]:
        search.take(_what_of(path), path, _use_of(path), _fields_in_short(found, path))
    raw_per_pixel = _binning_of_aligned(search, found)
    search.settings |= _options_of(found, raw_per_pixel)
    x_tilt = found.alignment.x_tilt_deg
    if np.ptp(x_tilt) > _SAME_DEG:
        search.warnings.append(
            f"x-axis tilts of {x_tilt.min():g} to {x_tilt.max():g} degrees: their mean is used, since "
            f"{search.stack.name} is aligned already"
        )
    search.warnings += found.warnings
    _apply(search, found, raw_per_pixel)


def _binning_of_aligned(search: FolderSearch, found: AlignmentFile) -> float:
    """Raw pixels along the edge of one of the aligned stack, by ``newst.com`` or by the sizes."""
    from tomokit.formats.tilt_com import read_newst_com

    newst = next((path for path in found.files if path.name.lower() == "newst.com"), None)
    if newst is not None:
        return float(read_newst_com(newst).bin_by)
    raw = next((f for f in search.files if f.role == "raw stack" and f.series == search.stack.series), None)
    if raw is not None and raw.shape is not None:
        return float(max(1, round(max(raw.shape[1:]) / max(search.raw_shape))))
    return 1.0


def _apply(search: FolderSearch, found: AlignmentFile, raw_per_pixel: float) -> None:
    """What an alignment says beside its transforms."""
    if found.thickness_px is not None:
        search.settings["thickness"] = max(1, round(found.thickness_px / raw_per_pixel))
    if found.pixel_size_angstrom is not None and search.pixel_size() is None:
        search.settings["pixel_size"] = found.pixel_size_angstrom * raw_per_pixel


def _without_alignment(search: FolderSearch) -> None:
    coarse = search.of_role("coarse transforms")
    for file in coarse:
        taken = f"--xf {word_of_shell(file.path)} takes it all the same"
        search.ignore("coarse transforms", file, f"no final alignment; {taken}")
    for file in search.of_role("commands", "x-axis tilts"):
        search.ignore(name_of(file), file, "there are no transforms (.xf) to go with it")
    own = [file for file in search.of_role("angles") if file.series == search.stack.series]
    if own:
        search.take("angles", own[0], "tilt angles of the views")


def tell_order(search: FolderSearch) -> None:
    """Allow angles that neither rise nor fall where another file says too that the stack is in order of acquisition.

    Parameters
    ----------
    search : FolderSearch
        Changed.
    """
    angles = search.order_of
    if angles is None or np.all(np.diff(angles) > 0) or np.all(np.diff(angles) < 0):
        return
    from tomokit.io.beside import mdoc_beside
    from tomokit.io.mdoc import read_mdoc

    path = mdoc_beside(search.stack.path)
    if path is None:
        return
    try:
        facts = read_mdoc(path)
    except InputError:
        return
    if facts.kind != "tilt series" or facts.tilt_deg.size != angles.size:
        return
    apart = angles - facts.tilt_deg[np.argsort(facts.z_values)]
    if np.abs(apart - np.median(apart)).max() <= _REFINED_DEG:
        search.settings["allow_unsorted"] = True
        search.taken.append(Piece("order", path.name, "order of the views", "not sorted by tilt, in both files"))


def _options_of(found: AlignmentFile, raw_per_pixel: float) -> dict[str, Any]:
    """The options that say what an alignment says beside its transforms, lengths in pixels of the stack."""
    alignment, options = found.alignment, dict[str, Any]()
    tlt = next((path for path in found.files if path.suffix.lower() in (".tlt", ".rawtlt")), None)
    if tlt is not None:
        options["angles"] = tlt
    if alignment.tilt_offset_deg:
        options["tilt_offset"] = alignment.tilt_offset_deg
    excluded = [int(view) + 1 for view in np.flatnonzero(~alignment.used)]
    if excluded:
        options["exclude_from_1"] = ",".join(map(str, excluded))
    if alignment.frame.x_tilt_deg:
        options["x_tilt"] = alignment.frame.x_tilt_deg
    if any(alignment.frame.centre_px):
        options["center"] = ",".join(f"{place / raw_per_pixel:g}" for place in alignment.frame.centre_px)
    return options


def _what_of(path: Path) -> str:
    names = {".tlt": "angles", ".rawtlt": "angles", ".xtilt": "x-axis tilts", ".com": "commands", ".edf": "project"}
    return names.get(path.suffix.lower(), "alignment")


def _use_of(path: Path) -> str:
    return "tilt angles of the views" if path.suffix.lower() in (".tlt", ".rawtlt") else "the specimen's place"


def _fields_in_short(found: AlignmentFile, path: Path) -> str:
    """The entries of a command file or project that count, with their values."""
    end = f" of {path.name}"
    used = [use for use in found.fields if use.use == "used" and use.name.endswith(end)]
    shown = [f"{use.name.removesuffix(end)} {use.note}" for use in used if use.note not in ("", "0", "0.0", "0.0 0.0")]
    left_out = ("FILE", " /")  # names of files have rows of their own, and a slash is the default
    return ", ".join(text for text in shown if not any(word in text.upper() for word in left_out))
