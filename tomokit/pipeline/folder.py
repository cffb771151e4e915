"""A tilt series found in a folder: which files are taken for what, which are ignored and why, and what they set.

What decides among several is a rule that can be told: the final alignment before a coarse one, an aligned stack before
the raw one and its transforms, files that bear the series' name before others. Two that are as good as each other are
refused, named, with the option that chooses. Which is newer decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.views import excluded_views
from tomokit.errors import InputError, OptionError
from tomokit.formats.records import AlignmentFile
from tomokit.pipeline.folder_files import STACK_SUFFIXES, FolderFile, list_files, series_of, word_of_shell

_SAME_PX, _SAME_DEG = 0.5, 0.1
"""Alignments that differ by less, at the corner of an image and in tilt, are one."""
_REFINED_DEG = 5.0
"""Refinement moves no angle by more, beside one offset of all."""
_MOST_LISTED = 40


@dataclass(frozen=True)
class Piece:
    """A file of the folder, and what becomes of it.

    Attributes
    ----------
    what : str
        What it is.
    file : str
        Its name.
    used_for : str
        What it is used for; empty if it is ignored.
    note : str
        Why it is ignored, or what it says.
    """

    what: str
    file: str
    used_for: str = ""
    note: str = ""


@dataclass(frozen=True)
class FoundSeries:
    """A tilt series in a folder.

    Attributes
    ----------
    folder, stack : Path
        Where it was looked for, and the stack.
    pieces : tuple of Piece
        What is taken, then what is ignored.
    settings : dict
        Fields of the request that follow from the files.
    warnings : tuple of str
        What the user should know before the work.
    warnings_of_alignment : tuple of str
        The same of the alignment, which the work tells when it reads it.
    instead : dict
        Fields that say of the specimen what the alignment does, for transforms that the user gives in its place.
    n_views : int
        Views of the stack.
    lacks_angles : bool
        Whether no angles were found.
    """

    folder: Path
    stack: Path
    pieces: tuple[Piece, ...]
    settings: dict[str, Any]
    warnings: tuple[str, ...] = ()
    warnings_of_alignment: tuple[str, ...] = ()
    instead: dict[str, Any] = field(default_factory=dict)
    n_views: int = 0
    lacks_angles: bool = False

    def settings_beside(self, given: set[str]) -> dict[str, Any]:
        """Tell which settings remain beside those that the user gives.

        Parameters
        ----------
        given : set of str
            Fields of the request that are given explicitly.

        Returns
        -------
        dict
            Without what is given, and without what contradicts it: transforms that the user gives, or a stack that
            counts as aligned, take the place of the alignment that was found.
        """
        left = {key: value for key, value in self.settings.items() if key not in given}
        if given & {"xf", "alignment", "aligned"}:
            left.pop("alignment", None)
            left.pop("aligned", None)
            left |= {key: value for key, value in self.instead.items() if key not in given}
        if {"size", "thickness"} & given:
            left.pop("thickness", None)
        return left

    def leave_out_too(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Add the views that the files leave out to those that the user does.

        Parameters
        ----------
        settings : dict
            Fields of the request, those of the user over those that were found.

        Returns
        -------
        dict
            With all of them in ``exclude_from_1``, where the user leaves out views and the files do.
        """
        own = settings.get("exclude"), settings.get("exclude_from_1")
        found = self.settings.get("exclude_from_1", self.instead.get("exclude_from_1"))
        if found is None or "alignment" in settings or (own[0] is None and own[1] == found):
            return settings
        if not all(text is None or isinstance(text, str) for text in own):
            return settings  # refused by its type
        views = excluded_views(self.n_views, exclude_from_1=found)
        # Where the user counts from 0, the other list is that of the files.
        views |= excluded_views(self.n_views, own[0], None if own[0] is not None else own[1])
        counted = ",".join(str(view + 1) for view in sorted(views))
        return {**settings, "exclude": None, "exclude_from_1": counted}

    def to_json(self) -> dict[str, Any]:
        """Represent what was found as a dictionary.

        Returns
        -------
        dict
            JSON-serializable.
        """
        return {
            "folder": str(self.folder),
            "stack": str(self.stack),
            "pieces": [vars(piece) for piece in self.pieces],
            "settings": {key: str(value) if isinstance(value, Path) else value for key, value in self.settings.items()},
            "warnings": [*self.warnings, *self.warnings_of_alignment],
        }


def is_series_folder(path: Path) -> bool:
    """Whether what is given as the stack is a folder to look into, not one that a reader takes as a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    if not path.is_dir():
        return False
    from tomokit.pipeline.readers import MrcReader, find_reader

    return isinstance(find_reader(path), MrcReader) and path.suffix.lower() not in (".zarr", *STACK_SUFFIXES)


def find_series(folder: Path, angles: Path | None = None) -> FoundSeries:
    """Find the tilt series of a folder.

    Parameters
    ----------
    folder : Path
        Of Etomo, AreTomo or another program; only files directly in it are looked at.
    angles : Path, optional
        Angles that the user gives, which an alignment without any is read with.

    Returns
    -------
    FoundSeries

    Raises
    ------
    InputError
        If there is no series or more than one in it, files of one series disagree in their views or sizes, or two
        alignments are as good as each other and differ.
    """
    files, subfolders = list_files(folder)
    stack, others = _choose_stack(files, folder)
    search = _Search(folder, stack, files, angles)
    for other, why in others:
        search.ignore(_name_of(other), other, why)
    search.take("tilt series", stack, "the views", _size(stack))
    search.find_alignment()
    search.tell_order()
    search.find_mask()
    search.find_acquisition()
    search.tell_the_rest()
    if subfolders:
        listed = ", ".join(subfolders[:4]) + (", ..." if len(subfolders) > 4 else "")
        search.ignored.append(Piece("folders", listed, "", search.note_of_folders(subfolders)))
    return FoundSeries(
        folder=folder,
        stack=stack.path,
        pieces=(*search.taken, *search.ignored[:_MOST_LISTED]),
        settings={"stack": stack.path, **search.settings},
        warnings=tuple(search.warnings),
        warnings_of_alignment=tuple(search.warnings_of_alignment),
        instead=search.instead,
        n_views=search.n_views,
        lacks_angles=search.lacks_angles(),
    )


def _choose_stack(files: list[FolderFile], folder: Path) -> tuple[FolderFile, list[tuple[FolderFile, str]]]:
    """The stack that is reconstructed, and the other stacks with the reason why they are not."""
    stacks = [file for file in files if file.role in ("raw stack", "aligned stack")]
    if not stacks:
        coarse = next((file for file in files if file.role in ("coarse stack", "copy", "half")), None)
        seen = f"; {coarse.name} is a {_name_of(coarse)}" if coarse else ""
        unread = next((file for file in files if file.note.startswith("cannot be read")), None)
        seen += f"; {unread.name} {unread.note}" if unread else ""
        from tomokit.pipeline.folder_elsewhere import series_elsewhere

        raise InputError(
            f"no tilt series in it (looked for {', '.join(STACK_SUFFIXES)}){seen}",
            file=folder,
            remedy=series_elsewhere(folder) or "give the folder of the stack, or the stack itself",
        )
    projects = {series_of(file.name) for file in files if file.path.suffix.lower() == ".edf"}
    of_series = {name: [stack for stack in stacks if stack.series == name] for name in {s.series for s in stacks}}
    if len(of_series) > 1 and len(projects & set(of_series)) != 1:
        names = ", ".join(sorted(group[0].name for group in of_series.values())[:6])
        dual = {name[:-1] for name in of_series if name[-1:] in "ab"}
        axes = " (two axes of one specimen)" if len(dual) == 1 and len(of_series) == 2 else ""
        raise InputError(
            f"{len(of_series)} tilt series in it{axes}: {names}",
            file=folder,
            remedy="give one of the stacks itself: tomokit reconstruct "
            + word_of_shell(folder / min(stack.name for stack in stacks)),
        )
    series = next(iter(of_series)) if len(of_series) == 1 else next(iter(projects & set(of_series)))
    own = of_series[series]
    aligned = [stack for stack in own if stack.role == "aligned stack"]
    candidates = aligned or own
    if len(candidates) > 1:
        names = " and ".join(sorted(stack.name for stack in candidates)[:4])
        raise InputError(
            f"{names} are both {'aligned stacks' if aligned else 'stacks'} of the series",
            file=folder,
            remedy=f"give one of them itself: tomokit reconstruct {word_of_shell(candidates[0].path)}",
        )
    chosen = candidates[0]
    others = []
    for stack in stacks:
        if stack is chosen:
            continue
        of_it = f"{chosen.name} is aligned already; give this stack itself to align it anew"
        others.append((stack, of_it if stack.series == series else "of another series"))
    return chosen, others


class _Search:
    """What was found so far of one series."""

    def __init__(self, folder: Path, stack: FolderFile, files: list[FolderFile], angles: Path | None) -> None:
        self.folder, self.stack, self.files, self.angles = folder, stack, files, angles
        assert stack.shape is not None
        self.n_views = stack.shape[0]
        self.raw_shape = (stack.shape[1], stack.shape[2])
        self.taken: list[Piece] = []
        self.ignored: list[Piece] = []
        self.settings: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.warnings_of_alignment: list[str] = []
        self.instead: dict[str, Any] = {}
        self.order_of: NDArray[np.float64] | None = None
        self._done = {stack.name}

    def take(self, what: str, file: FolderFile | Path, used_for: str, note: str = "") -> None:
        self.taken.append(Piece(what, file.name, used_for, note))
        self._done.add(file.name)

    def ignore(self, what: str, file: FolderFile | Path, why: str) -> None:
        if file.name not in self._done:
            self.ignored.append(Piece(what, file.name, "", why))
            self._done.add(file.name)

    def of_role(self, *roles: str) -> list[FolderFile]:
        """Files of some roles, those that bear the series' name first."""
        found = [file for file in self.files if file.role in roles]
        return sorted(found, key=lambda file: (file.series != self.stack.series, file.name))

    def find_alignment(self) -> None:
        candidates = self._alignment_candidates()
        if self.stack.role == "aligned stack":
            self._use_settings_of_aligned(candidates)
            return
        found = [(file, self._read(file)) for file in candidates]
        chosen = self._choose(found)
        if chosen is None:
            self._without_alignment()
            return
        self.take("alignment", chosen.path, "aligning the views", chosen.kind)
        for path in chosen.files[1:]:
            self.take(_what_of(path), path, "the alignment", _fields_in_short(chosen, path))
        self.settings["alignment"] = chosen.path
        self.order_of = chosen.alignment.tilt_deg
        self.instead = _options_of(chosen, 1.0)
        # The work reads it again, and tells them then.
        self.warnings_of_alignment += chosen.warnings
        self._apply(chosen, raw_per_pixel=1.0)

    def _alignment_candidates(self) -> list[FolderFile]:
        """Files that hold an alignment, one for each program."""
        transforms = self.of_role("transforms")
        own = [file for file in transforms if file.series == self.stack.series] or transforms
        # Etomo leaves TS_fid.xf beside TS.xf, and the aligned stack is TS_ali.mrc.
        stems = [file.path.stem.lower() for file in own]
        wanted = next((stem for stem in (self.stack.path.stem.lower(), self.stack.series) if stem in stems), None)
        exact = [file for file, stem in zip(own, stems, strict=True) if stem == wanted]
        final = [file for file in own if "final" in file.path.stem.lower()]
        own = exact or final or own
        if len(own) > 1:
            names = " and ".join(file.name for file in own[:4])
            raise InputError(
                f"{names} hold transforms, and nothing says which are final",
                file=self.folder,
                remedy=f"give them with --xf, such as --xf {word_of_shell(own[0].path)}",
            )
        for file in transforms:
            if file not in own:
                self.ignore("transforms", file, f"{own[0].name} is the final alignment by its name")
        for file in self.of_role("coarse transforms"):
            if own:
                self.ignore("coarse transforms", file, f"{own[0].name} is the final alignment")
        others = [file for file in self.of_role("alignment") if file.path.suffix.lower() != ".edf"]
        named = [file for file in others if file.series == self.stack.series]
        if not named and len(others) > 1:
            for file in others:
                self.ignore("alignment", file, "does not bear the name of the series")
            others = []
        return own + (named or others)

    def _read(self, file: FolderFile) -> AlignmentFile:
        from tomokit.formats.front import read_alignment

        try:
            return read_alignment(
                file.path,
                tilt_deg=self._stage_angles(),
                raw_shape=self.raw_shape if self.stack.role == "raw stack" else None,
                pixel_size_angstrom=self._pixel_size(),
            )
        except InputError as error:
            itself = f"give the stack itself: tomokit reconstruct {word_of_shell(self.stack.path)}"
            error.remedy = f"{error.remedy}; or {itself}"
            raise

    def _choose(self, found: list[tuple[FolderFile, AlignmentFile]]) -> AlignmentFile | None:
        """The one alignment; several that agree are one, several that differ are refused."""
        if not found:
            return None
        first_file, first = found[0]
        for file, other in found[1:]:
            if not self._agree(first, other):
                raise InputError(
                    f"{first_file.name} and {file.name} align the views differently",
                    file=self.folder,
                    remedy=f"say which: --alignment {word_of_shell(first_file.path)} or "
                    f"--alignment {word_of_shell(file.path)}",
                )
            self.ignore("alignment", file, f"says the same as {first_file.name}")
        return first

    def _agree(self, first: AlignmentFile, second: AlignmentFile) -> bool:
        one, two = first.alignment, second.alignment
        if one.n_views != two.n_views:
            return False
        both = one.used & two.used
        corner = np.array([self.raw_shape[1], self.raw_shape[0]]) / 2
        moved = [a.transform[both, :4].reshape(-1, 2, 2) @ corner + a.transform[both, 4:] for a in (one, two)]
        tilt = [a.tilt_deg[both] + a.tilt_offset_deg for a in (one, two)]
        apart_px, apart_deg = np.abs(moved[0] - moved[1]).max(initial=0), np.abs(tilt[0] - tilt[1]).max(initial=0)
        return bool(apart_px < _SAME_PX and apart_deg < _SAME_DEG)

    def _use_settings_of_aligned(self, candidates: list[FolderFile]) -> None:
        """Of an aligned stack the transforms are done; what the files say of the specimen is not."""
        self.settings["aligned"] = True
        transforms = [file for file in candidates if file.role == "transforms"]
        for file in candidates:
            if file not in transforms[:1]:
                self.ignore("alignment", file, f"{self.stack.name} is aligned already")
        if not transforms:
            return
        try:
            found = self._read(transforms[0])
        except InputError as error:
            self.warnings.append(f"not used: {error}")
            return
        self.ignore("transforms", transforms[0], f"{self.stack.name} is aligned already")
        self.order_of = found.alignment.tilt_deg
        for path in found.files[1:]:
            self.take(_what_of(path), path, _use_of(path), _fields_in_short(found, path))
        raw_per_pixel = self._binning_of_aligned(found)
        self.settings |= _options_of(found, raw_per_pixel)
        x_tilt = found.alignment.x_tilt_deg
        if np.ptp(x_tilt) > _SAME_DEG:
            self.warnings.append(
                f"x-axis tilts of {x_tilt.min():g} to {x_tilt.max():g} degrees: their mean is used, since "
                f"{self.stack.name} is aligned already"
            )
        self.warnings += found.warnings
        self._apply(found, raw_per_pixel)

    def _binning_of_aligned(self, found: AlignmentFile) -> float:
        """Raw pixels along the edge of one of the aligned stack, by ``newst.com`` or by the sizes."""
        from tomokit.formats.tilt_com import read_newst_com

        newst = next((path for path in found.files if path.name.lower() == "newst.com"), None)
        if newst is not None:
            return float(read_newst_com(newst).bin_by)
        raw = next((f for f in self.files if f.role == "raw stack" and f.series == self.stack.series), None)
        if raw is not None and raw.shape is not None:
            return float(max(1, round(max(raw.shape[1:]) / max(self.raw_shape))))
        return 1.0

    def _apply(self, found: AlignmentFile, raw_per_pixel: float) -> None:
        """What an alignment says beside its transforms."""
        if found.thickness_px is not None:
            self.settings["thickness"] = max(1, round(found.thickness_px / raw_per_pixel))
        if found.pixel_size_angstrom is not None and self._pixel_size() is None:
            self.settings["pixel_size"] = found.pixel_size_angstrom * raw_per_pixel

    def _without_alignment(self) -> None:
        coarse = self.of_role("coarse transforms")
        for file in coarse:
            taken = f"--xf {word_of_shell(file.path)} takes it all the same"
            self.ignore("coarse transforms", file, f"no final alignment; {taken}")
        for file in self.of_role("commands", "x-axis tilts"):
            self.ignore(_name_of(file), file, "there are no transforms (.xf) to go with it")
        own = [file for file in self.of_role("angles") if file.series == self.stack.series]
        if own:
            self.take("angles", own[0], "tilt angles of the views")

    def _stage_angles(self) -> NDArray[np.float64] | None:
        """Angles of the views before refinement, to hold an alignment against; None where nothing says them."""
        from tomokit.io.angle_sources import angles_of_stack
        from tomokit.io.angles import read_angles
        from tomokit.io.mrc_read import open_mrc

        if self.angles is not None:
            given = angles_of_stack(open_mrc(self.stack.path, with_pixels=False), self.angles).tilt_deg
            return given if given.size == self.n_views else np.full(self.n_views, np.nan)
        raw = [
            f for f in self.of_role("angles") if f.path.suffix.lower() == ".rawtlt" and f.series == self.stack.series
        ]
        try:
            if raw:
                angles = read_angles(raw[0].path)
            else:
                angles = angles_of_stack(open_mrc(self.stack.path, with_pixels=False)).tilt_deg
        except (InputError, OptionError):
            return np.full(self.n_views, np.nan) if self.stack.role == "raw stack" else None
        return angles if angles.size == self.n_views else np.full(self.n_views, np.nan)

    def _pixel_size(self) -> float | None:
        from tomokit.io.mrc_read import open_mrc
        from tomokit.io.pixel_size import pixel_size_of

        size = pixel_size_of(open_mrc(self.stack.path, with_pixels=False))
        return None if size.source == "none" else size.angstrom

    def find_mask(self) -> None:
        expected = {(self.n_views, *self.raw_shape), (1, *self.raw_shape)}
        fitting = []
        for file in self.of_role("mask"):
            if file.shape in expected:
                fitting.append(file)
            else:
                self.ignore("mask", file, f"{_size(file)}, not the size of {self.stack.name}")
        if len(fitting) > 1:
            names = " and ".join(file.name for file in fitting[:4])
            remedy = f"give one: --mask {word_of_shell(fitting[0].path)}"
            raise InputError(f"{names} both fit", file=self.folder, remedy=remedy)
        if fitting and self.stack.role == "raw stack" and "alignment" in self.settings:
            taken = f"--mask {word_of_shell(fitting[0].path)} takes it"
            self.ignore("mask", fitting[0], f"of raw or of aligned views? {taken}")
        elif fitting:
            self.settings["mask"] = fitting[0].path
            self.take("mask", fitting[0], "pixels that count")

    def find_acquisition(self) -> None:
        from tomokit.formats.dose_and_defocus import read_dose
        from tomokit.formats.front import read_acquisition

        for file in self.of_role("acquisition"):
            if file.series != self.stack.series:
                self.ignore(_name_of(file), file, "does not bear the name of the series")
                continue
            try:
                if file.name.lower().endswith("_tlt.txt"):
                    found = read_dose(file.path, self.stack.path, self.n_views)
                else:
                    found = read_acquisition(file.path, n_views=self.n_views)
            except InputError as error:
                self.ignore(_name_of(file), file, error.problem)
                continue
            acquisition = found.acquisition
            if acquisition.defocus_um is not None:
                self.ignore("defocus", file, f"give --ctf {word_of_shell(file.path)} to flip phases")
            elif acquisition.prior_dose_e_per_a2 is not None or acquisition.dose_e_per_a2 is not None:
                self.ignore("dose and order", file, f"give {self._dose_options(file.path)} to filter the views")
            else:
                self.ignore("acquisition", file, "no dose in it")
            self.warnings += [text for text in found.warnings if "decimal" in text]

    def note_of_folders(self, subfolders: list[str]) -> str:
        """What is said of folders in the folder: of AreTomo's own, that an alignment for IMOD may lie in it."""
        if "alignment" in self.settings or "aligned" in self.settings:
            return "not looked into"
        own = {f"{self.stack.path.stem}_imod".lower(), f"{self.stack.series}_imod"}
        for name in subfolders:
            there = sorted((self.folder / name).glob("*.xf")) if name.lower() in own else []
            if len(there) == 1:
                return f"not looked into; --alignment {word_of_shell(there[0])} aligns the views, if they are raw"
        return "not looked into"

    def lacks_angles(self) -> bool:
        """Whether neither an alignment nor a file or header has angles."""
        from tomokit.io.angle_sources import angles_of_stack
        from tomokit.io.mrc_read import open_mrc

        if self.angles is not None or {"alignment", "angles"} & set(self.settings):
            return False
        try:
            angles_of_stack(open_mrc(self.stack.path, with_pixels=False))
        except InputError:
            return True
        return False

    def tell_order(self) -> None:
        """Angles that neither rise nor fall: those of a stack in order of acquisition, if another file says so too."""
        angles = self.order_of
        if angles is None or np.all(np.diff(angles) > 0) or np.all(np.diff(angles) < 0):
            return
        from tomokit.io.beside import mdoc_beside
        from tomokit.io.mdoc import read_mdoc

        path = mdoc_beside(self.stack.path)
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
            self.settings["allow_unsorted"] = True
            self.taken.append(Piece("order", path.name, "order of the views", "not sorted by tilt, in both files"))

    def _dose_options(self, path: Path) -> str:
        """The options that use the doses of a file, which need not be named where it lies beside the stack."""
        from tomokit.io.beside import mdoc_beside

        beside = mdoc_beside(self.stack.path)
        named = "" if beside == path else f" --dose {word_of_shell(path)}"
        return f"--dose-weighting on{named}"

    def _tell_beads(self) -> None:
        """Models of fiducials by the names of Etomo: of the coarsely aligned stack, or to erase them in the aligned."""
        from tomokit.pipeline.coarse_model import coarse_transforms_of

        for file in self.of_role("beads"):
            on_aligned = re.search(r"[_-]erase$", file.path.stem, re.IGNORECASE) is not None
            of_coarse = file.series == self.stack.series and coarse_transforms_of(file.path, self.n_views) is not None
            if file.path.suffix.lower() == ".fid" and (on_aligned or of_coarse):
                self.ignore("beads", file, f"give --mask-beads {word_of_shell(file.path)} to mask them")

    def tell_the_rest(self) -> None:
        why = {
            "half": "views of half of the frames",
            "copy": "a copy of the stack at another stage",
            "coarse stack": "aligned coarsely only",
            "volume": "a volume, not a tilt series",
            "angles": "the alignment's angles are used, held against these"
            if "alignment" in self.settings
            else "not needed",
            "x-axis tilts": "not those of the series",
            "commands": "not of this series, or of a step before the final alignment",
            "beads": "--mask-beads auto finds beads without a model",
            "alignment": "not of this series",
        }
        if not any(piece.what == "angles" for piece in self.taken) and "alignment" not in self.settings:
            own = [file for file in self.of_role("angles") if file.series == self.stack.series]
            if own:
                self.take("angles", own[0], "tilt angles of the views")
        self._tell_beads()
        n_others = 0
        for file in self.files:
            if file.name in self._done:
                continue
            if file.role == "other" and not file.note:
                n_others += 1
            else:
                self.ignore(_name_of(file), file, file.note or why.get(file.role, "not needed"))
        if n_others:
            self.ignored.append(Piece("other files", f"{n_others} of them", "", "of no known kind"))


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


def _name_of(file: FolderFile) -> str:
    return {"copy": "copy of the stack", "half": "half stack", "other": "file"}.get(file.role, file.role)


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


def _size(file: FolderFile) -> str:
    return "" if file.shape is None else f"{file.shape[0]} views of {file.shape[2]} x {file.shape[1]}"
