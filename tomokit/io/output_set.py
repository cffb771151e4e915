"""Outputs that belong together: made under temporary names, and given their own at once, all or none."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from tomokit.errors import OutputError
from tomokit.io.clean_end import clean_end
from tomokit.io.durable import NO_ROOM, exchange, rename_new, sync_file, sync_folder, sync_tree
from tomokit.io.locks import clear_leftovers, hidden_path, hold

Existing = Literal["refuse", "replace", "same"]
"""What is done about a file that is there: refused, replaced, or taken for the new one if it has the same bytes."""

Check = Callable[[Path, bool], Path]
"""Makes sure that an output can be written, given whether it may be there; gives it with links resolved."""

_TRIES, _BETWEEN_TRIES_S = 40, 0.05


@dataclass
class _Part:
    """An output under its temporary name.

    Attributes
    ----------
    path : Path
        The output as it was asked for.
    target, temporary, aside : Path
        The output, links resolved; its name while it is made; a name for what is replaced.
    existing : {"refuse", "replace", "same"}
        What is done about what is there.
    check : callable
        Looks at the target once more before it is replaced.
    optional : bool
        Whether the others get their names even if this one cannot.
    descriptor : int or None
        Open, and locked, while the part is made.
    """

    path: Path
    target: Path
    temporary: Path
    aside: Path
    existing: Existing
    check: Check
    optional: bool = False
    descriptor: int | None = None

    def is_at(self, name: Path) -> bool:
        """Whether this file or folder has that name."""
        try:
            return self.descriptor is not None and os.path.samestat(os.fstat(self.descriptor), os.lstat(name))
        except OSError:
            return False


@contextmanager
def new_outputs() -> Iterator[OutputSet]:
    """Write a set of outputs; SIGTERM and SIGHUP leave nothing of it.

    Yields
    ------
    OutputSet
        Its files get their names when the context ends, if nothing is raised.
    """
    with clean_end(), OutputSet() as outputs:
        yield outputs


class OutputSet:
    """Files and folders that get their names together; used as a context.

    When the context ends without an error they get their names in the order in which they were begun, but the one that
    is `last`. If one cannot have its name, or anything is raised, an interrupt included, all names are as they were.

    Attributes
    ----------
    refused : list of OutputError
        Why optional ones have not got theirs, once the context has ended.
    """

    def __init__(self) -> None:
        self.refused: list[OutputError] = []
        self._parts: list[_Part] = []
        self._last: _Part | None = None

    def __enter__(self) -> OutputSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._give_names()
        finally:
            for part in self._parts:
                _remove(part)

    @contextmanager
    def new(
        self,
        path: str | os.PathLike[str],
        check: Check,
        existing: Existing = "refuse",
        *,
        folder: bool = False,
        last: bool = False,
        optional: bool = False,
    ) -> Iterator[Path]:
        """Make one of the outputs, by the body of the context; synced to the disk when it ends.

        Parameters
        ----------
        path : path-like
            The output.
        check : callable
            Makes sure that it can be written, now and again before it gets its name.
        existing : {"refuse", "replace", "same"}
            What is done about what is there.
        folder : bool
            Whether it is a folder.
        last : bool
            Whether it gets its name after all others.
        optional : bool
            Whether the others get their names even if this one cannot.

        Yields
        ------
        Path
            The temporary file or folder, empty. If the body raises, it is dropped, and the others are kept.

        Raises
        ------
        OutputError
            If it may not or cannot be written.
        """
        place = Path(path)
        target = check(place, existing != "refuse")
        clear_leftovers(target)
        token = secrets.token_hex(4)
        temporary, aside = (hidden_path(target, f"{token}.{ending}") for ending in ("part", "old"))
        part = _Part(place, target, temporary, aside, existing, check, optional)
        self._parts.append(part)
        try:
            with _as_output_error(part):
                _begin(part, folder)
                yield part.temporary
                _follow(part)
                (sync_tree if folder else sync_file)(part.temporary)
                if existing == "same" and os.path.lexists(target):
                    _require_same(part)
        except BaseException:
            self._parts.remove(part)
            _remove(part)
            raise
        if last:
            self._last = part

    def _give_names(self) -> None:
        parts = sorted(self._parts, key=lambda part: part is self._last)
        try:
            for part in parts:
                try:
                    with _as_output_error(part):
                        _give_name(part)
                except OutputError as error:
                    if not part.optional:
                        raise
                    self.refused.append(error)
        except BaseException:
            for part in reversed(parts):
                _take_back(part)
            raise
        for folder in dict.fromkeys(part.target.parent for part in parts):
            sync_folder(folder)


def _begin(part: _Part, folder: bool) -> None:
    """Make the part, empty; what cannot be created fails before the body does any work."""
    while True:
        if folder:
            os.mkdir(part.temporary)
            part.descriptor = os.open(part.temporary, os.O_RDONLY)
        else:
            part.descriptor = os.open(part.temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with suppress(OSError):
            hold(part.descriptor)
        # A process that clears leftovers may have come between.
        if part.is_at(part.temporary):
            return
        os.close(part.descriptor)


def _follow(part: _Part) -> None:
    """Go on with another file where the body has put one in the place of the one that it was given."""
    if part.descriptor is not None and not part.is_at(part.temporary):
        os.close(part.descriptor)
        part.descriptor = None
        part.descriptor = os.open(part.temporary, os.O_RDONLY)


def _give_name(part: _Part) -> None:
    if part.existing == "same" and os.path.lexists(part.target):
        return  # it has been compared
    if part.existing == "replace" and os.path.lexists(part.target):
        # Hours may have passed since it was looked at.
        part.check(part.path, True)
        exchange(part.temporary, part.target, part.aside)
        return
    try:
        rename_new(part.temporary, part.target)
    except FileExistsError:
        raise OutputError("exists already", file=part.path, remedy="give --overwrite to replace it") from None


def _take_back(part: _Part) -> None:
    """Undo :func:`_give_name` as far as it was done: told by what has the name, whatever was interrupted when."""
    with suppress(OSError):
        if part.is_at(part.target):
            if os.path.lexists(part.temporary) and not part.is_at(part.temporary):
                exchange(part.temporary, part.target, part.aside)
            elif part.target.is_dir():
                os.rename(part.target, part.temporary)
            else:
                part.target.unlink()
        if os.path.lexists(part.aside) and not os.path.lexists(part.target):
            os.rename(part.aside, part.target)


def _remove(part: _Part) -> None:
    """Remove what is left under the temporary name: a part that is not wanted, or what was replaced."""
    with suppress(OSError):
        if part.temporary.is_dir():
            _remove_tree(part.temporary)
        else:
            part.temporary.unlink(missing_ok=True)
    if part.descriptor is not None:
        with suppress(OSError):
            os.close(part.descriptor)
        part.descriptor = None


def _remove_tree(folder: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        # Threads of a library that was interrupted may still be writing what they had begun, and make it anew.
        time.sleep(_BETWEEN_TRIES_S)
        if not folder.exists():
            return


def _require_same(part: _Part) -> None:
    if not _is_same(part.temporary, part.target):
        raise OutputError(
            "exists already, and is not what this run gives", file=part.path, remedy="give --overwrite to replace it"
        )


def _is_same(one: Path, other: Path) -> bool:
    """Whether two files, or all files below two folders, are the same to the byte."""
    import filecmp

    if one.is_dir() and other.is_dir():
        names, others = (
            {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()} for folder in (one, other)
        )
        return names == others and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


@contextmanager
def _as_output_error(part: _Part) -> Iterator[None]:
    """Tell failures of writing in one line; what fails while reading something else stays what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            remedy = "free some space or choose another disk"
            raise OutputError(f"no room on the disk ({error.strerror})", file=part.path, remedy=remedy) from error
        if error.filename is None or os.fspath(error.filename).startswith(os.fspath(part.temporary)):
            raise OutputError(f"cannot be written ({error.strerror or error})", file=part.path) from error
        raise
