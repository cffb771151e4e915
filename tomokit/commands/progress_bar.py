"""Progress on a terminal: what is done now, how far it is and how long it will take, in lines kept up to date."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tomokit.commands.time_left import TimeLeft, clock_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_BAR_COLUMNS = 24


class ProgressBar:
    """Progress as a bar with percentage, time gone and time left, and the numbers of the last epoch below it.

    Each stage leaves a line with the time that it took; the fit also its last numbers.

    Parameters
    ----------
    console : rich.console.Console
        The terminal.
    now : callable
        The time in seconds.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console, self._now = console, now
        self._live: Live | None = None
        self._stage = ""
        self._began = now()
        self._numbers = ""
        self._fit: TimeLeft | None = None

    def start(self) -> None:
        """Show the line from here on."""
        from rich.live import Live

        self._live = Live(
            console=self._console, get_renderable=self.render, refresh_per_second=4, transient=True, screen=False
        )
        self._live.start()

    def stop(self, refused: bool) -> None:
        """Take the line away, and leave what the last stage has to say.

        Parameters
        ----------
        refused : bool
            Whether the job ended with an error, before its stage was done.
        """
        if self._live is not None:
            # First, or the line would be drawn once more below what is left.
            stage, self._stage = self._stage, ""
            self._live.stop()
            self._stage = stage
        self._leave(None if refused else self._now() - self._began)

    def stage(self, text: str) -> None:
        """Begin a stage (see :class:`tomokit.pipeline.progress.Progress`)."""
        self._leave(self._now() - self._began)
        self._stage, self._began, self._numbers, self._fit = text, self._now(), "", None
        self._refresh()

    def fit(self, fit: TimeLeft) -> None:
        """Begin the fit, as the stage that has epochs.

        Parameters
        ----------
        fit : TimeLeft
            Knows how far it is.
        """
        self._fit = fit

    def epoch(self, numbers: str) -> None:
        """Show the numbers of an epoch that is finished.

        Parameters
        ----------
        numbers : str
            The epoch and its loss in a line.
        """
        self._numbers = numbers
        self._refresh()

    def flush(self) -> None:
        """Do nothing: what is said meanwhile stands above the bar."""

    def step(self) -> None:
        """Do nothing: the bar is drawn anew four times a second."""

    def render(self) -> RenderableType:
        """What is on the terminal now.

        Returns
        -------
        renderable
            Two lines in the fit, one in other stages, none between them.
        """
        from rich.console import Group
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        if not self._stage:
            return Text("")
        now = self._now()
        elapsed = f"{clock_text(now - self._began)} elapsed"
        share = None if self._fit is None else self._fit.share
        grid = Table.grid(padding=(0, 2, 0, 0))
        # Without a share the bar moves to and fro.
        bar = Bar(total=None if share is None else 1.0, completed=share or 0.0, width=_BAR_COLUMNS, animation_time=now)
        if self._fit is None or share is None:
            grid.add_row(bar, Text(elapsed))
        else:
            left = self._fit.left(now)
            remaining = "" if left is None else f"{clock_text(left)} left"
            grid.add_row(bar, Text(f"{100 * share:3.0f} %"), Text(elapsed), Text(remaining))
        # The title is no part of the grid, whose other columns it would push off a narrow terminal.
        lines: list[RenderableType] = [Text(self._stage, no_wrap=True, overflow="ellipsis"), grid]
        if self._numbers:
            lines.append(Text(self._numbers))
        return Group(*lines)

    def _leave(self, seconds: float | None) -> None:
        """Leave the stage on the screen, with the time that it took if it is done."""
        if not self._stage:
            return
        took = "" if seconds is None else f"  {clock_text(seconds)}"
        self._console.print(f"{self._stage}{took}", markup=False, highlight=False)
        if self._numbers:
            self._console.print(f"  {self._numbers}", markup=False, highlight=False)
        self._stage = self._numbers = ""

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.refresh()
