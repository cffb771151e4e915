"""Progress of a reconstruction on a terminal: epoch, loss and its terms, held-out correlation and the time left."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tomokit.commands.output import complain
from tomokit.pipeline.progress import Silent

COUNTS = ("leaves",)


class TerminalProgress(Silent):
    """A bar on stderr, if stderr is a terminal; silent otherwise. Use it as a context."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
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
        """Begin a new line."""
        if self._bar is not None:
            if self._task is not None:
                self._keep()
                self._bar.remove_task(self._task)
            self._bar.console.print(text, markup=False, highlight=False)
            self._task = self._bar.add_task("", total=None, numbers="")

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._numbers = line(done, total, terms, correlation)
            self._bar.update(self._task, total=total, completed=done, numbers=self._numbers)

    def warning(self, text: str) -> None:
        """Tell it now; on a terminal above the bar."""
        self.told.append(text)
        complain(f"warning: {text}")

    def _keep(self) -> None:
        """Leave the last epoch's numbers on the screen when their bar goes."""
        if self._numbers:
            self._bar.console.print(self._numbers, markup=False, highlight=False)
            self._numbers = ""


def line(done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> str:
    """The numbers of an epoch, the most telling first.

    What is in :data:`COUNTS` is no part of the loss.
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
