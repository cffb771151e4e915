"""The epochs of a run: advanced, checked, scored and saved."""

from __future__ import annotations

import math
import time
from typing import Any

from tomokit.errors import OptionError
from tomokit.methods.capabilities import Pausable
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
    """Do the epochs that are left, or as many as there is time for.

    Parameters
    ----------
    run : Run
    held_out : HeldOut or None
        What to score it on after every epoch.
    history : list of dict
        What each epoch gave; this appends to it.
    checkpoints : Checkpoints
        Saves the run in time, when it is stopped and at the end.
    stop : Stop
        Looked at after every step of a run that can pause, and after every epoch.
    progress : Progress

    Returns
    -------
    bool
        Whether the run was stopped.

    Raises
    ------
    OptionError
        If a term of the loss ceases to be a finite number.
    """
    if isinstance(run, Pausable):
        run.pause = lambda: stop.requested or checkpoints.due()
    spent_s, paused = 0.0, False
    if run.epoch >= run.epochs:
        return False
    while run.epoch < run.epochs and not stop.requested:
        began = time.perf_counter()
        try:
            terms = {name: float(value) for name, value in run.advance().items()}
        except EpochPaused:
            spent_s += time.perf_counter() - began
            paused = True
            if not stop.requested:
                checkpoints.save(run, history, paused)
            continue
        entry = _entry(run, terms, held_out)
        entry["seconds"] = spent_s + time.perf_counter() - began
        spent_s, paused = 0.0, False
        history.append(entry)
        correlation = None if held_out is None else entry["held_out"]["correlation"]
        progress.epoch(run.epoch, run.epochs, terms, correlation)
        if run.epoch < run.epochs and not stop.requested and checkpoints.due_after(run.epoch):
            checkpoints.save(run, history)
    checkpoints.save(run, history, paused)
    return stop.requested


def _entry(run: Run, terms: dict[str, float], held_out: HeldOut | None) -> dict[str, Any]:
    """What an epoch gave, for the history."""
    loss = terms.setdefault("loss", math.nan)
    spoilt = [name for name, value in terms.items() if not math.isfinite(value)]
    if spoilt:
        which = ", ".join(name for name in spoilt if name != "loss") or "loss"
        raise OptionError(
            f"no finite number any more in epoch {run.epoch}: {which}",
            field="options",
            remedy="take smaller steps, or less weight",
        )
    score = None if held_out is None else held_out.score(run)
    return {"epoch": run.epoch, "loss": loss, "terms": terms, "held_out": score}
