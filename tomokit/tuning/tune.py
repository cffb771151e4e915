"""A whole search: what is tuned on which views, tried within a budget, judged, checked and written."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from tomokit.data.views import parse_hold_out
from tomokit.errors import OptionError, OutputError
from tomokit.io.locks import locked
from tomokit.io.output import check_file, check_output
from tomokit.io.output_set import new_outputs
from tomokit.methods.capabilities import BeginsLongerRuns
from tomokit.pipeline.config import method_options
from tomokit.pipeline.opening import Opened
from tomokit.pipeline.outputs import input_paths
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.plugin.manager import get_registry
from tomokit.tuning.journal import Journal
from tomokit.tuning.parameters import Parameter, Values, given_value, lay_over, parameters_of
from tomokit.tuning.picture import as_csv, draw
from tomokit.tuning.search import search
from tomokit.tuning.settings_file import settings_toml
from tomokit.tuning.trials import Fit, Trials, folds_of, middle_rows
from tomokit.tuning.verdict import TELLING, Gain, Setting, as_given, best_epoch, best_of, judge, mean_curve
from tomokit.version import __version__

DEFAULT_RUNS, DEFAULT_FOLDS, DEFAULT_ROWS, DEFAULT_HOLD_OUT = 20, 2, 96, 5

_NOT_IN_JOB = ("threads", "slabs", "state", "state_epochs", "state_seconds", "naming", "orientation", "mode",
               "invert_contrast", "output_bin", "hold_out", "halves", "half")  # fmt: skip


@dataclass(frozen=True)
class SearchOptions:
    """How a search goes.

    Attributes
    ----------
    tune : tuple of str
        What is varied (:func:`tomokit.tuning.parameters.parameters_of`); empty for what the method suggests.
    runs : int or None
        How many settings are tried, that as given among them; None for 20, or as many as there is time for.
    minutes : float or None
        No setting is begun when fits have taken so long.
    folds : int
        On how many sets of held-out views each is scored.
    rows : int
        Rows in the middle that are fitted, after binning; 0 for all.
    check : bool
        Whether the choice is compared with the settings as given on views that had no part in it.
    """

    tune: tuple[str, ...] = ()
    runs: int | None = None
    minutes: float | None = None
    folds: int = DEFAULT_FOLDS
    rows: int = DEFAULT_ROWS
    check: bool = True

    @property
    def most_runs(self) -> int | None:
        """Settings that are tried at most; None for no bound."""
        return DEFAULT_RUNS if self.runs is None and self.minutes is None else self.runs


class Listener(Protocol):
    """Hears of a search."""

    def tried(self, setting: Setting, number: int, most: int | None, is_best: bool) -> None:
        """Hear that a setting has been tried on all folds.

        Parameters
        ----------
        setting : Setting
        number : int
            Settings so far.
        most : int or None
            Settings that will be tried at most.
        is_best : bool
            Whether none before has scored higher.
        """
        ...


def output_paths(output: Path) -> dict[str, Path]:
    """Name the files of a search by what they are, all beside the TOML.

    Parameters
    ----------
    output : Path
        ``TUNED.toml``.

    Returns
    -------
    dict of str to Path
        ``record`` (JSON), ``table`` (CSV), ``picture``, ``journal`` and the ``output`` itself.
    """
    # None has the name of what a tomogram `TUNED.mrc` would have beside it.
    beside = {name: f".tried{end}" for name, end in (("record", ".json"), ("table", ".csv"), ("picture", ".png"))}
    beside["journal"] = ".journal.jsonl"
    return {name: output.with_name(output.stem + ending) for name, ending in beside.items()} | {"output": output}


def tune(
    request: ReconstructionRequest,
    options: SearchOptions,
    reader: Reader,
    progress: Progress,
    listener: Listener,
) -> dict[str, Any]:
    """Search for the settings by which views that were not fitted are predicted best, ring by ring.

    Parameters
    ----------
    request : ReconstructionRequest
        The job with its options as given; its output is the TOML to be written.
    options : SearchOptions
    reader : Reader
        Reads the series.
    progress : Progress
        Is told of stages and warnings.
    listener : Listener
        Is told of every setting.

    Returns
    -------
    dict
        What ``tomokit tune --json`` prints; its keys are in ``docs/cli.md``.

    Raises
    ------
    OptionError
        If no fold is left for the check, or an option or a range is none that the method has.
    TomokitError
        If an input, an option, an output or the machine does not allow it. The journal stays, and the same call goes
        on.
    """
    assert request.output is not None
    overwrite, hold_out = request.overwrite, request.hold_out or DEFAULT_HOLD_OUT
    paths = _checked_paths(request)
    every, _ = parse_hold_out(hold_out)
    folds = folds_of(hold_out, options.folds)
    check_fold = folds_of(hold_out, options.folds + 1)[-1] if options.check and options.folds < every else None
    if options.check and check_fold is None:
        raise OptionError(
            f"all {every} folds are taken, and none is left for the check", field="--folds",
            remedy=f"give at most {every - 1}, another --hold-out, or --no-check",
        )  # fmt: skip
    job = replace(request, output=None, overwrite=False, state=None, halves=False, half=None)
    with ExitStack() as held:
        held.enter_context(locked(paths["journal"], "journal"))
        job = replace(job, y=middle_rows(job, reader, options.rows, progress.warning))
        trials = Trials(job, every, reader, progress)
        progress.stage(f"reading {request.stack.name}")
        opened = trials.opened(folds[0])
        parameters = parameters_of(options.tune, opened.method, opened.options, opened.prepared.problem)
        journal = Journal(paths["journal"], _journal_job(job, opened, every), overwrite)
        progress.stage(f"tuning {request.method}")
        if options.most_runs is not None and hasattr(progress, "epochs_begin"):
            progress.epochs_begin(())  # the listener counts settings
        found = _Search(trials, journal, parameters, opened, options, folds, listener)
        found.go()
        return _conclude(request, found, every, check_fold, paths, job.y)


class _Search:
    """A search under way: settings that were tried, in order."""

    def __init__(
        self,
        trials: Trials,
        journal: Journal,
        parameters: list[Parameter],
        opened: Opened,
        options: SearchOptions,
        folds: list[int],
        listener: Listener,
    ) -> None:
        self.trials, self.journal, self.parameters, self.opened = trials, journal, parameters, opened
        self.options, self.folds, self._listener = options, folds, listener
        self.is_prefix = isinstance(opened.method, BeginsLongerRuns) and opened.method.epochs_are_a_prefix
        self.given = {one.name: given_value(one.name, opened.method, opened.options) for one in parameters}
        self.fits: dict[str, list[Fit]] = {}
        self.settings: list[Setting] = []

    def go(self) -> None:
        """Try settings within the budget, and then the best one with as many epochs as it was best after."""
        search(self.parameters, self._score, self._is_spent)
        best = best_of(self.settings)
        if self.is_prefix or "epochs" in best.values or "epochs" in self.given:
            return
        epoch = best_epoch(mean_curve(self.fits_of(best.values)))
        if epoch < best.epochs and hasattr(self.opened.options, "epochs"):
            self._try({**best.values, "epochs": epoch})

    def fit(self, values: Values, fold: int) -> Fit:
        """The fit of a setting on a fold, from the journal if it is there."""
        known = self.journal.find(values, fold)
        if known is None:
            known = self.trials.fit(values, fold)
            self.journal.add(known)
        return known

    def fits_of(self, values: Values) -> list[Fit]:
        """The fits of a setting that was tried."""
        return self.fits[json.dumps(values, sort_keys=True)]

    def _is_spent(self) -> bool:
        most, minutes = self.options.most_runs, self.options.minutes
        seconds = sum(fit.seconds for fits in self.fits.values() for fit in fits)
        return (most is not None and len(self.fits) >= most) or (minutes is not None and seconds >= 60 * minutes)

    def _score(self, values: Values) -> float | None:
        """The score of a setting, which is tried unless it has been."""
        different = {name: value for name, value in values.items() if value != self.given[name]}
        key = json.dumps(different, sort_keys=True)
        if key not in self.fits:
            return self._try(different).score
        return self._judge(self.fits[key]).score

    def _try(self, values: Values) -> Setting:
        fits = [self.fit(values, fold) for fold in self.folds]
        self.fits[json.dumps(values, sort_keys=True)] = fits
        setting = self._judge(fits)
        if not values and setting.is_cut:  # as given it takes all its epochs
            self.settings.append(judge(fits))
        self.settings.append(setting)
        best = best_of(self.settings)
        self._listener.tried(setting, len(self.fits), self.options.most_runs, setting is best)
        return setting

    def _judge(self, fits: list[Fit]) -> Setting:
        if not self.is_prefix or any(fit.failure for fit in fits):
            return judge(fits)
        return judge(fits, best_epoch(mean_curve(fits)))


def _checked_paths(request: ReconstructionRequest) -> dict[str, Path]:
    """The files that will be written, all of which can be."""
    output = request.output
    assert output is not None
    if output.suffix != ".toml":
        raise OutputError("the settings are TOML", file=output, remedy="name it .toml")
    paths = output_paths(output)
    for name, path in paths.items():
        check_output(path, overwrite=request.overwrite or name == "journal", inputs=input_paths(request))
    return paths


def _journal_job(job: ReconstructionRequest, opened: Opened, every: int) -> dict[str, Any]:
    """All that a fit depends on but its setting and its fold."""
    settings = {name: value for name, value in job.settings().items() if name not in _NOT_IN_JOB}
    return {
        "version": __version__,
        "stack": str(job.stack.resolve()),
        **settings,
        "backend": opened.backend,
        "hold_out": every,
        "options": dataclasses.asdict(opened.options),
        "inputs": opened.inputs,
    }


def _conclude(
    request: ReconstructionRequest,
    found: _Search,
    every: int,
    check_fold: int | None,
    paths: Mapping[str, Path],
    y: str | None,
) -> dict[str, Any]:
    """Judge, check, and write."""
    given, best = found.settings[0], best_of(found.settings)
    chosen = as_given(best)
    gain = Gain.of(given, best)
    is_better = best is not given
    check = None
    if check_fold is not None and is_better:
        before, after = (judge([found.fit(setting.values, check_fold)]) for setting in (given, chosen))
        check = None if after.failure else Gain.of(before, after)
    options = lay_over(request.options, chosen.values)
    method_options(get_registry().get("method", request.method)(), options)
    command = shlex.join(
        ["tomokit", "reconstruct", str(request.stack), "--config", str(paths["output"]), "-o", "OUT.mrc"]
    )
    scored = [*(["--y", y] if y else []), "--hold-out", f"{every}:{found.folds[0]}"]
    header = [
        f"Settings of {request.method} chosen by tomokit {__version__} tune for {request.stack.name}.",
        f"Mean ring correlation of held-out views: {gain.text()}.",
        *([f"On views without a part in the choice: {check.text()}."] if check else []),
        f"Use: {command}",
        f"Score again: {command} {shlex.join(scored)}",
    ]
    names = [one.name for one in found.parameters]
    notes = _notes(found, best)
    result = {
        "output": str(paths["output"]),
        **{name: str(path) for name, path in paths.items() if name != "output"},
        "stack": str(request.stack),
        "method": request.method,
        "measure": "mean_ring_correlation",
        "hold_out": every,
        "folds": found.folds,
        "check_fold": check_fold,
        "y": y,
        "parameters": [{**dataclasses.asdict(one), "given": found.given[one.name]} for one in found.parameters],
        "given": given.to_json(),
        "choice": chosen.to_json(),
        "is_better": is_better,
        "gain": gain.to_json(),
        "check": None if check is None else check.to_json(),
        "tried": len(found.fits),
        "notes": notes,
        "command": command,
        "seconds": round(sum(fit.seconds for fits in found.fits.values() for fit in fits), 2),
        "settings": [setting.to_json() for setting in found.settings],
        "version": __version__,
    }
    texts = {
        "record": (json.dumps(result, indent=2, allow_nan=False) + "\n").encode(),
        "table": as_csv(found.settings, names, found.given, found.folds).encode(),
        "picture": _picture(request, found, best),
        "output": settings_toml(replace(request, options=options), header).encode(),
    }
    with new_outputs() as outputs:
        for name, content in texts.items():
            with outputs.new(paths[name], check_file, "replace" if request.overwrite else "refuse") as temporary:
                temporary.write_bytes(content)
    return result


def _picture(request: ReconstructionRequest, found: _Search, best: Setting) -> bytes:
    curves = {"as given": found.fits_of({}), "chosen": found.fits_of(best.values) if best.values else []}
    title = f"{request.stack.name}, {request.method}: {len(found.fits)} settings on {len(found.folds)} folds"
    return draw(found.settings, found.parameters, found.given, curves, best, title)


def _notes(found: _Search, best: Setting) -> list[str]:
    """What the user should know of the choice."""
    notes = []
    for one in found.parameters:
        value = best.values.get(one.name)
        if value is not None and one.is_at_end(value):
            lower, higher = f"{one.low / 4:.3g}:{one.high:.3g}", f"{one.low:.3g}:{one.high * 4:.3g}"
            wider = lower if value <= one.value(0.05) else higher
            notes.append(f"{one.name} lies at the end of its range: try --tune {one.name}={wider}:log")
    curve = mean_curve(found.fits_of(best.values))
    tenth = max(1, len(curve) // 10)
    if not best.is_cut and len(curve) > tenth and curve[-1] - curve[-1 - tenth] > TELLING:
        notes.append(
            f"the score was still rising at the last of {len(curve)} epochs: try --set epochs={2 * len(curve)}"
        )
    failed = sum(setting.failure is not None for setting in found.settings)
    if failed:
        notes.append(f"{failed} of {len(found.settings)} settings could not be fitted")
    return notes
