"""Progress of a reconstruction on a terminal: a bar with epoch, loss, held-out correlation and the time left."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tomokit.run.progress import Silent


class TerminalProgress(Silent):
    """A bar on stderr, if stderr is a terminal; silent otherwise. Use it as a context."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> TerminalProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
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
                self._bar.update(self._task, total=1, completed=1)
            self._task = self._bar.add_task(text, total=None, numbers="")

    def epoch(self, done: int, total: int, loss: float, correlation: float | None) -> None:
        """Move the bar."""
        if self._bar is not None:
            numbers = f"epoch {done}/{total}  loss {loss:.4g}"
            if correlation is not None:
                numbers += f"  held-out {correlation:.4f}"
            self._bar.update(self._task, total=total, completed=done, numbers=numbers)
