"""The command ``tune``: what it writes is so, it goes on where it was, and it refuses what it cannot do."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tomokit.commands.app import run
from tomokit.errors import OutputError
from tomokit.pipeline.config import build_request
from tomokit.pipeline.progress import Silent
from tomokit.pipeline.readers import find_reader
from tomokit.tuning import trials
from tomokit.tuning.tune import SearchOptions, output_paths, tune
from tomokit.tuning.verdict import Setting

Cli = Callable[..., tuple[int, str, str]]
WBP = ("--thickness", "12", "--method", "wbp", "--set", "filter=ramp", "--hold-out", 7, "--rows", 20)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a series of so much noise that what is as given fits it; not to be written to."""
    folder = tmp_path_factory.mktemp("noisy")
    words = ["--shape", "12,24,24", "--tilts=-60:60:6", "--noise", "0.3", "--seed", "1"]
    assert run(["simulate", str(folder), *words]) == 0
    return folder


@pytest.fixture
def data(noisy: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written to."""
    return Path(shutil.copytree(noisy, tmp_path / "data"))


class Nobody:
    """Hears of nothing."""

    def tried(self, setting: Setting, number: int, most: int | None, is_best: bool) -> None:
        pass


def as_json(result: tuple[int, str, str]) -> dict[str, Any]:
    status, out, err = result
    assert status == 0, err
    return json.loads(out)


def test_the_settings_that_it_writes_have_the_score_that_it_tells(cli: Cli, data: Path) -> None:
    out = data / "wbp.toml"
    words = ("tune", data / "tilts.mrc", "-o", out, *WBP, "--runs", 6)
    told = as_json(cli(*words, "--json"))
    assert (told["tried"], told["folds"], told["check_fold"], told["y"]) == (6, [3, 4], 2, "2:22")
    assert told["parameters"][0] | {"name": "cutoff", "given": 1.0, "low": 0.25, "high": 1.0} == told["parameters"][0]
    assert told["given"]["values"] == {}
    # With so much noise a ramp without a cutoff lets it all through.
    assert told["is_better"]
    assert told["choice"]["values"]["cutoff"] < 0.7
    assert told["gain"]["gain"] == pytest.approx(
        told["choice"]["mean_ring_correlation"] - told["given"]["mean_ring_correlation"], abs=2e-6
    )
    assert told["check"]["after"] == pytest.approx(told["choice"]["mean_ring_correlation"], abs=0.1)

    def score(fold: int, *more: object) -> float:
        words = ("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--overwrite", "--no-preview", "--json")
        summary = as_json(cli(*words, "--hold-out", f"7:{fold}", "--y", told["y"], *more))
        assert summary["method"] == "wbp"
        return float(summary["held_out"]["mean_ring_correlation"])

    assert told["choice"]["by_fold"] == pytest.approx([score(fold, "--config", out) for fold in (3, 4)], abs=1e-6)
    assert told["check"]["after"] == pytest.approx(score(2, "--config", out), abs=1e-6)
    assert told["check"]["before"] == pytest.approx(score(2, *WBP[:6]), abs=1e-6)
    with (data / "wbp.tried.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["mean_ring_correlation"]) for row in rows] == pytest.approx(
        [setting["mean_ring_correlation"] for setting in told["settings"]], abs=1e-6
    )
    assert rows[0]["cutoff"] == "1"
    assert json.loads((data / "wbp.tried.json").read_text()) == told
    assert (data / "wbp.tried.png").read_bytes().startswith(b"\x89PNG")
    assert len((data / "wbp.journal.jsonl").read_text().splitlines()) == 1 + 6 * 2 + 2

    status, _, err = cli(*words)
    assert status == 2
    assert f"{out.with_suffix('.tried.json')}: exists already" in err


def test_a_search_that_was_ended_goes_on_and_chooses_the_same(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[object] = []
    compute_with = trials.compute_with

    def interrupted(*arguments: Any) -> Any:
        if len(fitted) == 3:
            raise KeyboardInterrupt
        fitted.append(arguments)
        return compute_with(*arguments)

    monkeypatch.setattr(trials, "compute_with", interrupted)

    def searched(name: str, runs: int = 3) -> dict[str, Any]:
        given = {"stack": data / "tilts.mrc", "output": tmp_path / name, "thickness": 12, "method": "wbp"}
        request = build_request(given | {"overwrite": runs != 3})
        return tune(request, SearchOptions(runs=runs, check=False), find_reader(request.stack), Silent(), Nobody())

    with pytest.raises(KeyboardInterrupt):
        searched("a.toml")
    assert not any(path.exists() for name, path in output_paths(tmp_path / "a.toml").items() if name != "journal")
    fitted[:] = [None] * 4
    halfway = searched("a.toml")
    assert len(fitted) == 4 + 3
    fitted[:] = [None] * 4
    whole = searched("b.toml")
    assert len(fitted) == 4 + 6
    for one, other in zip(halfway["settings"], whole["settings"], strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}
    # A larger budget goes on too, in place of the choice, which may be replaced.
    fitted[:] = [None] * 4
    assert searched("a.toml", 4)["tried"] == 4
    assert len(fitted) == 4 + 2


def test_the_epochs_of_a_method_that_can_stop_anywhere_come_free(cli: Cli, data: Path) -> None:
    out = data / "s.toml"
    words = ("--thickness", 12, "--method", "sart", "--set", "relaxation=1.9", "--set", "decay=1", "--no-check")
    told = as_json(cli("tune", data / "tilts.mrc", "-o", out, *words, "--runs", 1, "--json"))
    assert told["tried"] == 1
    epochs = told["choice"]["epochs"]
    assert 1 <= epochs < told["given"]["epochs"] == 10
    assert told["choice"]["values"] == {"epochs": epochs}
    assert told["given"]["mean_ring_correlation"] < told["choice"]["mean_ring_correlation"]
    request = build_request({"stack": data / "tilts.mrc", "output": data / "o.mrc"}, config=out)
    assert request.options["epochs"] == epochs
    assert request.options["relaxation"] == 1.9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--folds", 7), "--folds: all 7 folds are taken"),
        (("--folds", 8), "--folds: 8 folds of 7"),
        (("--runs", 0), "--runs: 0 is out of bounds"),
        (("--minutes", 0), "--minutes: 0 is out of bounds"),
        (("--tune", "cutof=0.1:1"), "did you mean cutoff"),
        (("--tune", "filter"), "filter is no number"),
        (("--hold-out", "7:7"), "no view has index % 7 == 7"),
        (("-o", "a.mrc"), "name it .toml"),
    ],
)
def test_what_is_refused_leaves_nothing(cli: Cli, data: Path, words: tuple[object, ...], said: str) -> None:
    before = sorted(data.iterdir())
    status, out, err = cli("tune", data / "tilts.mrc", "-o", data / "a.toml", *WBP, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert sorted(data.iterdir()) == before


def test_it_says_in_words_what_was_gained(cli: Cli, data: Path) -> None:
    status, out, err = cli("tune", data / "tilts.mrc", "-o", data / "a.toml", *WBP, "--runs", 5, "--progress", "lines")
    assert status == 0
    first, score, check, *_ = out.splitlines()
    assert first.startswith(f"{data / 'a.toml'}: cutoff 0.")
    assert "(index % 7 == 3, 4): " in score
    assert " as given, " in score
    assert "over folds" in score
    assert "views that had no part in the choice (index % 7 == 2)" in check
    assert f"tomokit reconstruct {data / 'tilts.mrc'} --config {data / 'a.toml'} -o OUT.mrc" in out
    assert "tomokit: 1 of 5: as given: 0." in err


@pytest.fixture
def journal_in_use(data: Path) -> Iterator[Path]:
    from tomokit.io.locks import locked

    with locked(data / "a.journal.jsonl", "journal"):
        yield data / "a.toml"


def test_two_searches_do_not_share_a_journal(data: Path, journal_in_use: Path) -> None:
    given = {"stack": data / "tilts.mrc", "output": journal_in_use, "thickness": 12, "method": "wbp"}
    with pytest.raises(OutputError, match="another run is writing this journal"):
        tune(build_request(given), SearchOptions(runs=1), find_reader(data / "tilts.mrc"), Silent(), Nobody())
