"""When a run is saved, and what happens when it cannot be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tomokit.errors import OutputError
from tomokit.methods.capabilities import Samplable
from tomokit.methods.interface import Run
from tomokit.state.record import State, previous_path
from tomokit.state.seal import StateError
from tomokit.state.write import Predecessor, drop_aside, put_back, remove_leftovers, set_aside, write_state

DEFAULT_SECONDS = 600.0
_LEAST_RATIO = 40
"""By default a run is not saved before so many times the last saving's cost has passed: on a slow disk, less often."""

History = list[dict[str, Any]]


class Checkpoints:
    """Saves a run into its state file, in time and at the end.

    Parameters
    ----------
    path : Path or None
        The state file; None saves nothing.
    provenance, job, lattice : dict
        What does not change while the run goes on (see :class:`tomokit.state.record.State`); `lattice` goes beside the
        run's own recipe into the state's ``density``.
    epochs : int or None
        Save after every so many epochs.
    seconds : float or None
        Save when so many have passed since the last time; None: the default.
    warn : callable
        Is told in one line what could not be saved.
    predecessor : {"new", "as it is", "none"}
        What becomes of the predecessor at the first saving (see :func:`tomokit.state.write.write_state`).
    has_arrays : bool
        Whether steps have gone into the state that is there, which the run goes on from.

    Attributes
    ----------
    written, failed : int
        Times that it was and could not be saved.
    cost_s : float
        Seconds that all of it took.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        provenance: dict[str, Any],
        job: dict[str, Any],
        lattice: dict[str, Any],
        epochs: int | None,
        seconds: float | None,
        warn: Callable[[str], None],
        predecessor: Predecessor = "new",
        has_arrays: bool = False,
    ) -> None:
        self.path = path
        self._fixed = provenance, job, lattice
        self._every_epochs, self._every_seconds = epochs, seconds
        self._warn = warn
        self._predecessor: Predecessor = predecessor
        self.written = self.failed = 0
        self.cost_s = self._last_cost_s = 0.0
        self._last_s = time.monotonic()
        self._saved_arrays = has_arrays
        if path is not None:
            remove_leftovers(path)

    def begin(self, run: Run) -> None:
        """Save what is known before the first step, so that the run can be resumed from its first moment on.

        A state of an earlier run that may be replaced is put aside, until steps of this one have been saved.

        Parameters
        ----------
        run : Run
            The run, nothing of it done yet.

        Raises
        ------
        OutputError
            If that state cannot be put aside.
        """
        if self.path is None:
            return
        try:
            set_aside(self.path)
        except OSError as error:
            put_back(self.path)
            raise OutputError(f"cannot be put aside ({error.strerror or error})", file=self.path) from error
        if not self._save(State(0, run.epochs, False, *self._fixed[:2])):
            put_back(self.path)

    def save(self, run: Run, history: History, paused: bool = False) -> None:
        """Save the run as it is now; what goes wrong is a warning, and the state before is kept.

        Parameters
        ----------
        run : Run
        history : list of dict
            What each finished epoch gave.
        paused : bool
            Whether some steps of the next epoch are done too.
        """
        if self.path is None:
            return
        provenance, job, lattice = self._fixed
        arrays = run.arrays()
        if isinstance(run, Samplable):
            recipe = run.stored_density()
        else:
            # Nothing is known of what these arrays mean: `export` can sample a volume all the same.
            arrays = {**arrays, "volume": run.volume()}
            recipe = {"kind": "voxels", "array": "volume", "margin_px": 0, "scale": 1.0, "least": None}
        state = State(run.epoch, run.epochs, paused, provenance, job, history, {**recipe, **lattice}, arrays)
        if self._save(state):
            self._saved_arrays = True
            drop_aside(self.path)

    def due(self) -> bool:
        """Tell whether enough time has passed since the last saving.

        Returns
        -------
        bool
        """
        if self.path is None:
            return False
        every = self._every_seconds
        if every is None:
            # On a slow disk less often, so that saving takes no more than a fortieth of the time.
            every = max(DEFAULT_SECONDS, _LEAST_RATIO * self._last_cost_s)
        return time.monotonic() - self._last_s >= every

    def due_after(self, epoch: int) -> bool:
        """Tell whether a run is to be saved now that an epoch is finished.

        Parameters
        ----------
        epoch : int
            Epochs that are finished.

        Returns
        -------
        bool
        """
        return self.path is not None and (
            self.due() or (self._every_epochs is not None and epoch % self._every_epochs == 0)
        )

    def discard_beginning(self) -> None:
        """Remove a state that no step has gone into yet, and bring back the one before: as if the job had not been."""
        if self.path is not None and not self._saved_arrays and not put_back(self.path) and self.written:
            self.path.resolve().unlink(missing_ok=True)

    def _save(self, state: State) -> bool:
        """Write a state, and say whether it could be written."""
        if self.path is None:
            return False
        began = time.monotonic()
        done = False
        try:
            write_state(self.path, state, self._predecessor)
        except (OSError, StateError) as error:
            self.failed += 1
            reason = error.problem if isinstance(error, StateError) else error.strerror or str(error)
            kept = self.path.exists() or previous_path(self.path.resolve()).exists()
            last = "the state before it is kept" if kept else "there is no state yet"
            self._warn(f"{self.path}: the state after epoch {state.epoch} could not be saved ({reason}); {last}")
        else:
            done = True
            self.written += 1
            # From now on the file that is replaced is a good one, and becomes the predecessor.
            self._predecessor = "new"
        self._last_s = time.monotonic()
        self._last_cost_s = self._last_s - began
        self.cost_s += self._last_cost_s
        return done
