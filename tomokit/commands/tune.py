"""The command ``tomokit tune``: settings chosen by views that were not fitted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tomokit.commands.folder_table import tell_found
from tomokit.commands.output import AsJson, Overwrite, at_least, complain, show
from tomokit.commands.progress import ProgressForm, TerminalProgress
from tomokit.commands.series_options import with_series_options
from tomokit.errors import OptionError

if TYPE_CHECKING:
    from tomokit.tuning.verdict import Setting


@with_series_options
def tune(
    tilts: Annotated[
        Path, typer.Argument(metavar="TILTS", help="The tilt series, an MRC stack, or the folder that it lies in.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TUNED.toml", help="The settings to write, for --config.")
    ],
    tune: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=LOW:HIGH[:log]]",
            help="An option of the method that is varied, as --set names it, between two values, by ratio with `log`; "
            "repeatable; default: what the method suggests.",
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=at_least(1),
            help="Settings that are tried, that as given among them; default: 20, or as --minutes allows.",
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Begin no setting when fits have taken so many minutes.")
    ] = None,
    folds: Annotated[
        int,
        typer.Option(metavar="N", callback=at_least(1), help="Sets of held-out views that each setting is scored on."),
    ] = 2,
    rows: Annotated[
        int,
        typer.Option(
            metavar="N",
            callback=at_least(0),
            help="Rows along the tilt axis that are fitted, in the middle, after --bin; 0 for all; without effect "
            "beside --y, --size or --center.",
        ),
    ] = 96,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check", help="Compare the choice on views that had no part in it, by two more fits."
        ),
    ] = True,
    progress: ProgressForm = "auto",
    overwrite: Overwrite = False,
    json: AsJson = False,
    *,
    series: dict[str, Any],
) -> None:
    """Choose settings for a tilt series by how well views that were not fitted are predicted, ring by ring.

    Each setting is fitted without some views and scored on these, on several folds; the settings as given are among
    those that are tried. What is written is a file for `tomokit reconstruct --config`, with a table and a picture
    beside it. A search that was ended goes on from its journal by the same command.
    """
    from tomokit.pipeline.config import build_request
    from tomokit.pipeline.folder import find_series, is_series_folder, named_fields
    from tomokit.pipeline.readers import find_reader
    from tomokit.tuning.tune import SearchOptions
    from tomokit.tuning.tune import tune as run

    if minutes is not None and not minutes > 0:
        raise OptionError(f"{minutes:g} is out of bounds", field="--minutes", remedy="give more than 0")
    found = find_series(tilts, series["angles"], named_fields(series)) if is_series_folder(tilts) else None
    switches = ("allow_unsorted", "aligned", "keep_views")
    settings, config, preset = (series.pop(name) for name in ("set_", "config", "preset"))
    given = {**series, **{name: series[name] or None for name in switches}}
    given |= {"stack": tilts, "output": output, "overwrite": overwrite}
    request = build_request(given, settings=settings or (), config=config, preset=preset, found=found)
    if found is not None:
        tell_found(found, request)
    options = SearchOptions(tuple(tune or ()), runs, minutes, folds, rows, check)
    with TerminalProgress(progress) as told:
        try:
            result = run(request, options, find_reader(request.stack), told, _Lines(told, folds, progress != "none"))
        except KeyboardInterrupt:
            complain("what was fitted is in the journal: the same command goes on")
            raise
    written = [Path(result[name]) for name in ("output", "record", "table", "picture")]
    show(result, _report_text(result), json, written)


class _Lines:
    """Tells of each setting in a line."""

    def __init__(self, progress: TerminalProgress, folds: int, is_on: bool) -> None:
        self._progress, self._folds, self._is_on = progress, folds, is_on

    def tried(self, setting: Setting, number: int, most: int | None, is_best: bool) -> None:
        """Print its score (see :class:`tomokit.tuning.tune.Listener`)."""
        if self._is_on:
            what = _values_text(setting.values) or "as given"
            score = setting.failure if setting.score is None else f"{setting.score:.4f} after {setting.epochs} epochs"
            best = ", the best so far" if is_best and number > 1 else ""
            complain(f"{number}{'' if most is None else f' of {most}'}: {what}: {score}{best}")
        if most is not None:
            self._progress.part(min(number, most), most)


def _values_text(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _report_text(result: dict[str, Any]) -> str:
    choice, gain, check = result["choice"], result["gain"], result["check"]
    epochs = f"after {choice['epochs']} epochs"
    lines = [f"{result['output']}: {_values_text(choice['values']) or 'the settings as given'}, {epochs}"]
    score = f"mean ring correlation of held-out views (index % {result['hold_out']} ==" \
            f" {', '.join(map(str, result['folds']))})"  # fmt: skip
    if result["is_better"]:
        lines.append(f"{score}: {_gain_text(gain)}")
    else:
        lines.append(f"{score}: {gain['before']:.4f}; of {result['tried']} settings none is better by 0.001")
    if check is not None:
        kept = "kept" if check["gain"] > 0 else "not kept: the choice is no better there"
        lines.append(
            f"on views that had no part in the choice (index % {result['hold_out']} == {result['check_fold']}): "
            f"{check['before']:.4f} as given, {check['after']:.4f} chosen, {check['gain']:+.4f}: the gain is {kept}"
        )
    if result["y"]:
        lines.append(f"fitted to rows {result['y']} of the stack alone")
    lines += [f"note: {note}" for note in result["notes"]]
    lines.append(f"{result['tried']} settings in {result['table']}, drawn in {result['picture']}")
    lines.append(f"use it: {result['command']}")
    return "\n".join(lines)


def _gain_text(gain: dict[str, Any]) -> str:
    text = f"{gain['before']:.4f} as given, {gain['after']:.4f} chosen, {gain['gain']:+.4f}"
    if gain["spread"] is None:
        return f"{text}; how much that varies one fold does not tell"
    by_fold = ", ".join(f"{one:+.4f}" for one in gain["by_fold"])
    larger = "larger than" if gain["is_beyond_spread"] else "no larger than"
    return f"{text} (by fold {by_fold}), {larger} what it varies by over folds, {gain['spread']:.4f}"
