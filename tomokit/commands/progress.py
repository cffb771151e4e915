"""Progress of a reconstruction on a terminal: epoch, loss and its terms, held-out correlation and the time left."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from tomokit.commands.output import complain
from tomokit.pipeline.progress import Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

COUNTS = ("leaves",)
"""Terms of an epoch that are numbers of things, and no parts of the loss."""


class TerminalProgress(Silent):
    """Progress of a run as a bar on stderr, if stderr is a terminal, and nothing otherwise; used as a context.

    Attributes
    ----------
    told : list of str
        Warnings that have been shown, on a terminal or not.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._numbers = ""
        self.told: list[str] = []

    def __enter__(self) -> TerminalProgress:
        # There is no stderr at all where the caller closed it.
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.table import Column

            self._bar = Progress(
                BarColumn(bar_width=12),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                # On a narrow terminal this is what gives way, to a second line.
                TextColumn("{task.fields[numbers]}", table_column=Column(no_wrap=False)),
                console=Console(stderr=True),
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, text: str) -> None:
        """Begin a new bar below a line that names the stage (see :class:`tomokit.pipeline.progress.Progress`)."""
        if self._bar is not None:
            if self._task is not None:
                self._leave_numbers(self._bar)
                self._bar.remove_task(self._task)
            self._bar.console.print(text, markup=False, highlight=False)
            self._task = self._bar.add_task("", total=None, numbers="")

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """Move the bar and show the epoch's numbers (see :class:`tomokit.pipeline.progress.Progress`)."""
        if self._bar is not None:
            assert self._task is not None, "an epoch before the first stage"
            self._numbers = line(done, total, terms, correlation)
            self._bar.update(self._task, total=total, completed=done, numbers=self._numbers)

    def warning(self, text: str) -> None:
        """Print a warning at once, on a terminal above the bar (see :class:`tomokit.pipeline.progress.Progress`)."""
        self.told.append(text)
        complain(f"warning: {text}")

    def _leave_numbers(self, bar: Progress) -> None:
        """Leave the last epoch's numbers on the screen when their bar goes."""
        if self._numbers:
            bar.console.print(self._numbers, markup=False, highlight=False)
            self._numbers = ""


def line(done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> str:
    """Format the numbers of an epoch as one line, the most telling first.

    Parameters
    ----------
    done, total : int
        Epochs finished, and epochs of the whole run.
    terms : mapping
        ``"loss"``, the terms that it is the sum of, and those of :data:`COUNTS`, which are no part of it.
    correlation : float or None
        Correlation of predicted and measured held-out views, if there are any.

    Returns
    -------
    str
        Such as ``epoch 3/30  held-out 0.6588  loss 0.0123 = data 0.01 + tv 0.0022  leaves 384``.
    """
    parts = [f"epoch {done}/{total}"]
    if correlation is not None:
        parts.append(f"held-out {correlation:.4f}")
    parts.append(f"loss {terms['loss']:.3g}")
    counts = {name: value for name, value in terms.items() if name in COUNTS}
    losses = {name: value for name, value in terms.items() if name not in COUNTS and name != "loss"}
    if len(losses) > 1:
        parts[-1] += " = " + " + ".join(f"{name} {value:.2g}" for name, value in losses.items())
    parts += [f"{name} {value:.0f}" for name, value in counts.items()]
    return "  ".join(parts)
