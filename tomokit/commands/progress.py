"""Progress of a reconstruction: a bar on a terminal, lines in a log, and the numbers of an epoch in words."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

from tomokit.commands.completion import one_of
from tomokit.commands.output import complain
from tomokit.errors import OptionError, printable
from tomokit.pipeline.progress import Silent

if TYPE_CHECKING:
    from tomokit.commands.progress_bar import ProgressBar
    from tomokit.commands.progress_lines import ProgressLines
    from tomokit.commands.time_left import TimeLeft

COUNTS = ("leaves",)
"""Terms of an epoch that are numbers of things, and no parts of the loss."""

FORMS = ("auto", "bar", "lines", "none")
"""How progress is told; ``auto`` is a bar on a terminal and lines elsewhere."""


def _check_form(value: str) -> str:
    if value not in FORMS:
        raise OptionError(f"{value!r} is not allowed", field="--progress", remedy=f"choose from {', '.join(FORMS)}")
    return value


ProgressForm = Annotated[
    str,
    typer.Option(
        "--progress",
        metavar="|".join(FORMS),
        envvar="TOMOKIT_PROGRESS",
        callback=_check_form,
        autocompletion=one_of(*FORMS),
        help="How progress is told on stderr: by a bar, by lines for a log (each stage, tenth and minute), not at all, "
        "or as suits a terminal or a file (auto).",
    ),
]


class TerminalProgress(Silent):
    """Progress of a run on stderr, as a bar if that is a terminal and as lines if not; used as a context.

    Parameters
    ----------
    form : str
        One of :data:`FORMS`.

    Attributes
    ----------
    told : list of str
        Warnings that have been shown.
    """

    def __init__(self, form: str = "auto") -> None:
        self.told: list[str] = []
        self._form = form
        self._view: ProgressBar | ProgressLines | None = None
        self._fit: TimeLeft | None = None
        self._costs: Sequence[float] = ()

    def __enter__(self) -> TerminalProgress:
        # There is no stderr at all where the caller closed it.
        if self._form == "none" or sys.stderr is None:
            return self
        if self._form == "bar" or (self._form == "auto" and _draws(sys.stderr.isatty())):
            from rich.console import Console

            from tomokit.commands.progress_bar import ProgressBar

            self._view = ProgressBar(Console(stderr=True, force_terminal=True if self._form == "bar" else None))
        else:
            from tomokit.commands.progress_lines import ProgressLines

            self._view = ProgressLines(complain)
        self._view.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._view is not None:
            self._view.stop(refused=kind is not None)

    def stage(self, text: str) -> None:
        """Show what begins (see :class:`tomokit.pipeline.progress.Progress`)."""
        self._fit, self._costs = None, ()
        if self._view is not None:
            self._view.stage(printable(text))

    def epochs_begin(self, costs: Sequence[float]) -> None:
        """Begin to measure the epochs (see :class:`tomokit.pipeline.progress.Progress`)."""
        from tomokit.commands.time_left import TimeLeft

        self._fit = TimeLeft(time.monotonic(), costs)
        if self._view is not None:
            self._view.fit(self._fit)

    def step(self, share: float) -> None:
        """Show how far the epoch under way is (see :class:`tomokit.pipeline.progress.Progress`)."""
        if self._view is not None and self._fit is not None:
            self._fit.step(share)
            self._view.step()

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """Show the epoch's numbers (see :class:`tomokit.pipeline.progress.Progress`)."""
        if self._fit is None:
            self.epochs_begin(())
        if self._view is not None and self._fit is not None:
            self._fit.epoch(done, total, time.monotonic())
            self._view.epoch(line(done, total, terms, correlation))

    def part(self, done: int, total: int) -> None:
        """Show how far a stage is that has parts and no epochs, such as the sections of a stack.

        Parameters
        ----------
        done, total : int
            Parts that are done, and all of them.
        """
        if self._fit is None:
            self.epochs_begin(())
        if self._view is not None and self._fit is not None:
            self._fit.epoch(done, total, time.monotonic())
            self._view.step()

    def warning(self, text: str) -> None:
        """Print a warning at once, on a terminal above the bar (see :class:`tomokit.pipeline.progress.Progress`)."""
        self.told.append(text)
        if self._view is not None:
            self._view.flush()
        complain(f"warning: {text}")


def _draws(is_terminal: bool) -> bool:
    """Whether a line can be drawn anew: not in a log, nor in an editor's shell that calls itself dumb."""
    return is_terminal and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


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
