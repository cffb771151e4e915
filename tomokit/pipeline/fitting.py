"""The epochs of a run: advanced, checked, scored and saved."""

from __future__ import annotations

import math
import time
from typing import Any

from tomokit.errors import OptionError
from tomokit.methods.capabilities import ForeseesCosts, Pausable
from tomokit.methods.interface import Run
from tomokit.methods.pausing import EpochPaused
from tomokit.pipeline.checkpoint import Checkpoints, History
from tomokit.pipeline.held_out import HeldOut
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.signals import Stop


def fit(
    run: Run,
    held_out: HeldOut | None,
    history: History,
    checkpoints: Checkpoints,
    stop: Stop,
    progress: Progress,
) -> bool:
    """Do the epochs that are left, or as many as there is time for before the run is asked to stop.

    Parameters
    ----------
    run : Run
        Advanced in place.
    held_out : HeldOut or None
        What to score it on after every epoch.
    history : list of dict
        What each epoch gave; this appends to it.
    checkpoints : Checkpoints
        Saves the run in time, when it is stopped and at the end.
    stop : Stop
        Looked at after every step of a run that can pause, and after every epoch.
    progress : Progress
        Is told of every epoch.

    Returns
    -------
    bool
        Whether the run was stopped.

    Raises
    ------
    OptionError
        If a term of the loss is no finite number any more.
    """
    steps = _Steps(progress)

    def is_to_pause() -> bool:
        stop.has_steps = True
        return steps.count() or stop.requested or checkpoints.due()

    if isinstance(run, Pausable):
        run.pause = is_to_pause
    spent_s, paused = 0.0, False
    if run.epoch >= run.epochs:
        return False
    if hasattr(progress, "epochs_begin"):
        progress.epochs_begin(run.epoch_costs() if isinstance(run, ForeseesCosts) else ())
    while run.epoch < run.epochs and not stop.requested:
        began = time.perf_counter()
        try:
            terms = {name: float(value) for name, value in run.advance().items()}
        except EpochPaused:
            # Between two steps: it is saved if it is time, and the epoch goes on where it was.
            spent_s += time.perf_counter() - began
            paused = True
            if not stop.requested:
                checkpoints.save(run, history, paused)
            continue
        stop.has_steps = True
        entry = _history_entry(run, terms, held_out)
        entry["seconds"] = spent_s + time.perf_counter() - began
        spent_s, paused = 0.0, False
        steps.end_epoch()
        history.append(entry)
        correlation = None if held_out is None else entry["held_out"]["correlation"]
        progress.epoch(run.epoch, run.epochs, terms, correlation)
        if run.epoch < run.epochs and not stop.requested and checkpoints.due_after(run.epoch):
            checkpoints.save(run, history)
    checkpoints.save(run, history, paused)
    return stop.requested


class _Steps:
    """Counts the steps of an epoch, and tells which part of it they are once a whole epoch has been counted."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._is_told = progress, hasattr(progress, "step")
        self._done = 0
        self._in_an_epoch = 0

    def count(self) -> bool:
        """One step more; False, as counting is no reason to pause."""
        self._done += 1
        if self._is_told:
            self._progress.step(min(self._done / self._in_an_epoch, 1.0) if self._in_an_epoch else 0.0)
        return False

    def end_epoch(self) -> None:
        # An epoch that was begun before the run was resumed has fewer steps here.
        self._in_an_epoch = max(self._in_an_epoch, self._done + 1)
        self._done = 0


def _history_entry(run: Run, terms: dict[str, float], held_out: HeldOut | None) -> dict[str, Any]:
    """What an epoch gave, for the history; a loss that is no finite number is refused."""
    loss = terms.setdefault("loss", math.nan)
    # The total is the sum of the others: only where it alone is at fault is it worth naming.
    not_finite = [name for name, value in terms.items() if not math.isfinite(value)]
    culprits = [repr(name) for name in not_finite if name != "loss"]
    if not_finite:
        plural = len(culprits) > 1
        which = f"loss term{'s' if plural else ''} {', '.join(culprits)}" if culprits else "the loss"
        raise OptionError(
            f"{which} {'are' if plural else 'is'} not finite in epoch {run.epoch}",
            field="options",
            remedy=f"lower the learning rate or {'their weights' if plural else 'its weight'}",
        )
    score = None if held_out is None else held_out.score(run)
    return {"epoch": run.epoch, "loss": loss, "terms": terms, "held_out": score}
